"""Mentions without their texts, from whatever holds them: for scores, which compare only offsets.

A table (official TSV), one `.ann`, or a folder of either at any depth: a set, a whole MultiClinNER
tree, the output of a prediction. A brat mention in fragments counts with its covering span, the
only way in which the official table can hold it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from multiclin.corpus import BOM, as_name, excerpt, listing
from multiclin.corpus.texts import UNKNOWN, language_of
from multiclin.corpus.tsv import Row, group_rows, read_rows
from multiclin.document import CROWD, crowded
from multiclin.errors import ConfigError, CorpusError, Problem
from multiclin.files import read_text

log = logging.getLogger(__name__)

_OFFSETS: Final = "[0-9]{1,12} [0-9]{1,12}"
_ANN_MENTION: Final = re.compile(rf"T\S*\t(\S+) ({_OFFSETS}(?:;{_OFFSETS})*)(?:\t|\s*$)")
_NO_MENTION: Final = tuple("RAEMN#*")  # relations, attributes, events, notes


def mention_files(path: Path, key: str = "the path") -> list[Path]:
    """The files with the mentions of `path`: itself, or all `.ann`, or else all `.tsv`, below it.

    Args:
        path: A file or folder.
        key: What `path` was given as, such as `gold=`, for the message.

    Raises:
        CorpusError: There is no such file or folder, or it holds neither.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise CorpusError([Problem(path, 0, f"no such file or folder; check {key}")])
    for suffix in (".ann", ".tsv"):
        files = sorted(
            file
            for file in path.rglob(f"*{suffix}")
            if not any(part.startswith((".", "__MACOSX")) for part in file.relative_to(path).parts)
        )
        if files:
            return files
    raise CorpusError([Problem(path, 0, f"no .ann and no .tsv below this folder; check {key}")])


def read_mentions(files: Iterable[Path]) -> list[Row]:
    """All mentions of these files, repetitions included.

    Raises:
        CorpusError: All problems of all files; also where two files have mentions of one label for
            a document of one name, which would be counted together.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    sources: dict[tuple[str, str], Path] = {}
    for file in files:
        try:
            found = _read_ann(file) if file.suffix == ".ann" else read_rows(file)
        except CorpusError as error:
            problems += error.problems
            continue
        rows += found
        problems += _crowds(found, file)
        for name, label in sorted({(row.filename, row.label) for row in found}):
            source = sources.setdefault((name, label), file)
            if source != file:
                message = f"{label} of {as_name(name)} is in {source} too; name one of the folders"
                problems.append(Problem(file, 0, message))
    if problems:
        raise CorpusError(problems)
    return rows


def _crowds(rows: Iterable[Row], path: Path) -> list[Problem]:
    """Documents with more mentions at one place than can be compared."""
    problems = []
    for name, mine in group_rows(rows).items():
        if label := crowded((row.label, row.start, row.end) for row in mine):
            message = (
                f"{as_name(name)}: over {CROWD} mentions of {as_name(label)} share a character"
            )
            problems.append(Problem(path, mine[0].line, message))
    return problems


def _read_ann(path: Path) -> list[Row]:
    """The mentions of a `.ann` without its text; fragments as their covering span, wordless."""
    rows: list[Row] = []
    problems: list[Problem] = []
    for number, line in enumerate(read_text(path).removeprefix(BOM).split("\n"), 1):
        if not line.strip() or line.startswith(_NO_MENTION):
            continue
        try:
            label, start, end, words = _covering_span(line)
        except ValueError as error:
            problems.append(Problem(path, number, str(error)))
        else:
            rows.append(Row(path.stem, label, start, end, words, number))
    if problems:
        raise CorpusError(problems)
    return rows


def _covering_span(line: str) -> tuple[str, int, int, str]:
    match = _ANN_MENTION.match(line)
    if not match:
        raise ValueError(f"expected T<id><TAB>LABEL START END<TAB>mention, found {excerpt(line)}")
    ends = [int(end) for end in re.split("[ ;]", match[2])]
    if any(end <= start for start, end in zip(ends[::2], ends[1::2], strict=True)):
        raise ValueError(f"offset {excerpt(match[2])} is empty: the end must be above the start")
    words = line[match.end() :].rstrip("\r") if len(ends) == 2 else ""
    return match[1], min(ends), max(ends), words


def native_names(path: Path, scored: Collection[str]) -> set[str]:
    """The native ones of some documents, by a file of names, one per line, with or without `.txt`.

    A name of no document of `scored` is warned of.

    Raises:
        ConfigError: All of them are.
    """
    lines = (line.strip() for line in read_text(path).removeprefix(BOM).splitlines())
    names = {line.removesuffix(".txt") for line in lines} - {""}
    known = {name for name in scored if name.removesuffix(".txt") in names}
    strangers = sorted(names - {name.removesuffix(".txt") for name in known})
    if scored and not known:
        example = as_name(min(scored))
        raise ConfigError(
            f"native={path}: none of its {len(names)} lines names a scored document; write one "
            f"name per line as the table has it, such as {example}"
        )
    if strangers:
        log.warning(
            "%s: %d of %d names are of no scored document, the first: %s",
            path,
            len(strangers),
            len(names),
            as_name(strangers[0]),
        )
    return known


def language_of_folder(path: Path) -> str:
    """The language that the folders of a path tell, as `MultiClinNER-{lang}-...`; else empty."""
    folders = (part for part in path.absolute().parts if part.startswith("MultiClinNER-"))
    told = {language_of(folder) for folder in folders} - {UNKNOWN}
    return told.pop() if len(told) == 1 else ""


def languages_of_folders(files: Iterable[Path]) -> dict[str, str]:
    """Language of the documents in a `.ann` whose folder tells it."""
    told = {file.stem: language_of_folder(file) for file in files if file.suffix == ".ann"}
    return {name: language for name, language in told.items() if language}


def meant_label(entity: str, gold: Collection[str], predicted: Collection[str]) -> str:
    """The label that `entity` means: as gold writes it, else as predictions do.

    Raises:
        ConfigError: Neither has it, or both have several that differ in case alone.
    """
    for labels in (gold, predicted):
        same = sorted(label for label in labels if label.casefold() == entity.casefold())
        if entity in same or len(same) == 1:
            return entity if entity in same else same[0]
        if same:
            raise ConfigError(f"entity={entity} may mean {' or '.join(same)}: write it exactly")
    known = sorted({*gold, *predicted})
    if not known:
        return entity
    near = get_close_matches(entity.upper(), known, n=1, cutoff=0)[0]
    raise ConfigError(
        f"entity={entity}: no mention has this label; gold and predictions have "
        f"{listing(known)}; the nearest is {listing([near])}"
    )
