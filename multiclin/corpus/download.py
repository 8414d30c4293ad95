"""`multiclin corpus download`: the corpus from Zenodo, or the parts of it that are asked for.

Nothing is unpacked before the checksum agrees (`zenodo`), and what exists is never written over
unasked. Sets are unpacked beside their place and take it when all are there. Space is checked
twice, since only the archive can say how large its sets are: for the archive before the download,
for the sets before the unpacking.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Final

from multiclin.corpus import ReadReport
from multiclin.corpus.archives import open_archive, unpack
from multiclin.corpus.parts import Parts, set_key, sets_of
from multiclin.corpus.release import (
    SET_NAME,
    CorpusSet,
    find_sets,
    normalise_language,
    overview,
    read_sets,
)
from multiclin.corpus.source import role_of
from multiclin.corpus.zenodo import (
    CONCEPT,
    LATEST,
    PUBLISHED,
    RELEASES,
    SERVER,
    ZENODO,
    Zenodo,
    checksum_of,
    require_space,
    said_size,
    tell,
)
from multiclin.errors import ConfigError, CorpusError, OutputError
from multiclin.faults import cannot_write

_BLOCK: Final = 4096  # A file takes its space on a disk in steps of this.


def download(
    dest: Path,
    parts: Parts,
    *,
    version: str = LATEST,
    archive: Path | None = None,
    keep: bool = False,
    overwrite: bool = False,
    zenodo: Zenodo = ZENODO,
    bar: bool = False,
) -> list[CorpusSet]:
    """Gets the sets that are wanted into `dest`.

    Args:
        dest: Is made if need be; sets of other languages, splits and entities may be there.
        parts: The sets wanted.
        version: One of RELEASES.
        archive: A release that is here already, instead of a download. It is left as it is.
        keep: Whether a downloaded archive stays in `dest`.
        overwrite: Whether to replace sets that are there already.
        zenodo: Where from.
        bar: Whether to draw a progress bar.

    Returns:
        The new sets, sorted.

    Raises:
        ConfigError: No such version, or no such language, split or entity in it.
        DownloadError: The archive cannot be had or is not the right one.
        CorpusError: The archive is broken, unsafe or holds no sets.
        OutputError: Sets are there already, there is no space, or `dest` cannot be written.
    """
    if archive is None and version not in RELEASES:
        raise ConfigError(
            f"version {version} is unknown; choose from {', '.join(RELEASES)}. If {CONCEPT} has "
            "a newer one, get its archive with a browser and name it: --archive FILE"
        )
    _present(dest, parts, overwrite)  # Told now, not after gigabytes have come.
    if archive:
        _compare(archive)
        return extract(archive, dest, parts, overwrite=overwrite)
    parts.check(PUBLISHED, "any release")
    release = zenodo.locate(RELEASES[version])
    tell(f"{release.name}, {said_size(release.size)}, from {release.doi}")
    keep = keep or (dest / release.name).exists()  # What an earlier command kept, too.
    path = zenodo.fetch(release, dest, bar=bar)
    sets = extract(path, dest, parts, overwrite=overwrite)
    if keep:
        tell(f"{path} stays; other parts of it can be unpacked without a download")
    else:
        path.unlink()
    return sets


def _present(dest: Path, parts: Parts, overwrite: bool) -> list[CorpusSet]:
    """The wanted sets that are there already, where they may be replaced."""
    present: list[CorpusSet] = []
    with suppress(CorpusError):  # None are there.
        present = [one for one in find_sets(dest) if parts.take(one)]
    if present and not overwrite:
        listed = ", ".join(f"{one.language} {one.split} {one.entity}" for one in present[:3])
        raise OutputError(
            f"{dest} has {len(present)} of these sets already ({listed}"
            f"{', ...' * (len(present) > 3)}); replace them with --overwrite, or name another "
            "folder: --dest DIR"
        )
    return present


def _compare(path: Path) -> None:
    """Warns of an archive that is none of those known."""
    found = checksum_of(path)
    if found not in [release.checksum for release in RELEASES.values()]:
        tell(
            f"warning: {path} has {found}, which is not known here; compare it with that of "
            f"its record ({RELEASES[LATEST].doi} for version {LATEST})"
        )


def extract(path: Path, dest: Path, parts: Parts, *, overwrite: bool = False) -> list[CorpusSet]:
    """Unpacks the wanted sets of an archive, all or none.

    Raises:
        As `download` does.
    """
    with open_archive(path) as archive:
        found = sets_of(archive.infolist(), path)
        for axis in ("language", "split", "entity"):
            parts.check({axis: {getattr(one, axis) for one in found}}, path.name)
        chosen = {one: files for one, files in found.items() if parts.take(one)}
        if not chosen:
            raise ConfigError(f"{path.name} has no set that is all of this: {parts}")
        members = [member for files in chosen.values() for member in files]
        size = sum(-(-member.file_size // _BLOCK) * _BLOCK for member in members)
        tell(f"unpacking {len(members):,} files, {said_size(size)}")
        building = dest / f".multiclin-{token_hex(8)}.tmp"
        try:
            (building / "new").mkdir(parents=True)
            require_space(dest, size, "the unpacked corpus")
            unpack(archive, members, building / "new")
            keys = {set_key(one) for one in chosen}
            old = {one.folder for one in _present(dest, parts, overwrite) if set_key(one) in keys}
            _swap(building / "new", dest, old, building)
        except OSError as error:
            raise OutputError(cannot_write(dest, error)) from error
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return sorted(find_sets(dest / one.folder)[0] for one in chosen)


def _swap(new: Path, dest: Path, old: Iterable[Path], aside: Path) -> None:
    """Moves what is in `new` to `dest`, and the old folders aside; back again if that fails."""
    moved: list[tuple[Path, Path]] = []
    try:
        for number, folder in enumerate(old):
            moved.append((folder, folder.rename(aside / str(number))))
        _merge(new, dest)
    except BaseException:
        for folder, kept in moved:
            with suppress(OSError):  # The new one may be there already.
                kept.rename(folder)
        raise


def _merge(new: Path, dest: Path) -> None:
    """Moves what is in a folder: whole folders where they are new, down to the sets."""
    for child in sorted(new.iterdir()):
        target = dest / child.name
        if target.is_dir() and not SET_NAME.fullmatch(child.name):
            _merge(child, target)
        else:
            child.rename(target)


def add_command(tools: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `download` to the tools of `multiclin corpus`."""
    parser = tools.add_parser("download", help="get the corpus, or parts of it, from Zenodo")
    parser.add_argument(
        "--version", default=LATEST, metavar="V", help=f"{', '.join(RELEASES)}; default: {LATEST}"
    )
    parser.add_argument(
        "--dest", type=Path, default=Path("outputs/multiclinner"), metavar="DIR", help="%(default)s"
    )
    for option, example in (
        ("--languages", "es,it"),
        ("--split", "train"),
        ("--entities", "disease"),
    ):
        parser.add_argument(
            option, type=_listed, default=(), metavar=example, help="only these; all if unset"
        )
    parser.add_argument(
        "--archive", type=Path, metavar="FILE", help="a release that is here already"
    )
    parser.add_argument("--keep", action="store_true", help="keep the archive that was downloaded")
    parser.add_argument("--overwrite", action="store_true", help="replace sets that are there")
    parser.set_defaults(run=_run)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip() not in ("", "all")]


def _run(options: argparse.Namespace) -> None:
    languages = [normalise_language(code) for code in options.languages]
    sets = download(
        options.dest,
        Parts(languages, options.split, options.entities),
        version=options.version.removeprefix("v"),
        archive=options.archive,
        keep=options.keep,
        overwrite=options.overwrite,
        zenodo=replace(ZENODO, base=os.environ.get(SERVER, ZENODO.base).rstrip("/")),
        bar=sys.stderr.isatty(),
    )
    reports: dict[CorpusSet, ReadReport] = {}
    problems = 0
    try:
        for _ in read_sets(sets, reports=reports):
            pass
    except CorpusError as error:  # They were published so: the download is what was asked for.
        problems = len(error.problems)
    print(overview(reports))
    if problems:
        print(f"problems met reading them: {problems:,}; the check below lists them")
    place = shlex.quote(str(options.dest))
    trained = [one.entity for one in sets if one.has_gold and role_of(one.split) == "train"]
    print(f"Next: multiclin corpus check {place}")
    if trained:
        print(f"then: multiclin train entity={trained[0]} data.root={place}")
    else:
        print(f"then: multiclin predict ckpt=PATH input={place} output=DIR")
