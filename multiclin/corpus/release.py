"""The sets of a MultiClinNER tree of any release.

A set is a folder `MultiClinNER-{language}-{split}-{entity}` with `txt/` in it, and gold in `ann/`
or `tsv/` (FACTS 2). Later releases end the names in `_batch1`, which becomes part of the split:
`test_batch1`. Sets are found by walking down from any level of the tree, so no layout is fixed;
languages, splits and entities are whatever the names say.

Documents stream: good ones come out as they are read, and all problems of all files are raised
together when the last file is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal

from multiclin.corpus import ReadReport, settle_bom
from multiclin.corpus.brat import read_ann
from multiclin.corpus.texts import case_of, files_of, folders_of
from multiclin.corpus.tsv import group_rows, read_rows, rows_without_text, spans_from_rows
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, CorpusError, Problem
from multiclin.files import read_text
from multiclin.tables import as_text

LAYOUT: Final = (
    "MultiClinNER-{language}-{split}-{entity}/txt/*.txt, with gold in ann/*.ann or tsv/*.tsv "
    "beside txt/, at any depth below the folder given"
)
SET_NAME: Final = re.compile(r"MultiClinNER-([^-]+)-(.+)-([^-]+?)(_batch\d+)?")
# Other codes for a language, and the one that the corpus writes (FACTS 1).
_LANGUAGE_ALIASES: Final = {"cs": "cz"}


@dataclass(frozen=True, slots=True, order=True)
class CorpusSet:
    """One set of documents on disk.

    Attributes:
        language: Code as the corpus writes it.
        split: `train`, `dev`, `test`, `test_batch1`, ...
        entity: `disease`, ...
        folder: Where it lies.
        gold: The folder in it that holds the mentions, or empty where there are none.
    """

    language: str
    split: str
    entity: str
    folder: Path
    gold: Literal["ann", "tsv", ""]

    @property
    def has_gold(self) -> bool:
        """Whether mentions come with the texts."""
        return bool(self.gold)


def normalise_language(code: str) -> str:
    """The code that the corpus writes: `cs` is `cz`, `ES` is `es`."""
    return _LANGUAGE_ALIASES.get(code.lower(), code.lower())


def find_sets(root: Path) -> list[CorpusSet]:
    """Every set at or below `root`, sorted.

    Raises:
        CorpusError: There is none, or two folders hold the same set.
    """
    if not root.is_dir():
        raise CorpusError([Problem(root, 0, f"no such folder; expected {LAYOUT}")])
    sets: dict[tuple[str, str, str], CorpusSet] = {}
    problems: list[Problem] = []
    for folder in folders_of(root):
        name = SET_NAME.fullmatch(folder.absolute().name)
        if not name or not (folder / "txt").is_dir():
            continue
        language, split, entity, batch = name.groups(default="")
        key = (normalise_language(language), split + batch, entity)
        if key in sets:
            message = f"the same set lies in {sets[key].folder}; name one of them as the root"
            problems.append(Problem(folder, 0, message))
        sets[key] = CorpusSet(*key, folder, _gold(folder))
    if problems:
        raise CorpusError(problems)
    if not sets:
        raise CorpusError([Problem(root, 0, f"no set of documents found; expected {LAYOUT}")])
    return sorted(sets.values())


def _gold(folder: Path) -> Literal["ann", "tsv", ""]:
    if any((folder / "ann").glob("*.ann")):
        return "ann"
    return "tsv" if any((folder / "tsv").glob("*.tsv")) else ""


def select(
    sets: Iterable[CorpusSet],
    *,
    languages: str | Sequence[str] = "all",
    split: str = "all",
    entities: str | Sequence[str] = "all",
) -> list[CorpusSet]:
    """The sets of these languages, this split and these entities; `all` takes every one.

    Raises:
        ConfigError: One of the values is nowhere among the sets that the others leave.

    Example:
        >>> select(find_sets(root), languages=["es", "cs"], split="train", entities="disease")
    """
    chosen = _having(list(sets), "split", split)
    codes = [languages] if isinstance(languages, str) else languages
    chosen = _having(chosen, "language", [normalise_language(code) for code in codes])
    return _having(chosen, "entity", entities)


def _having(sets: list[CorpusSet], axis: str, wanted: str | Sequence[str]) -> list[CorpusSet]:
    values = [wanted] if isinstance(wanted, str) else list(wanted)
    if values == ["all"]:
        return sets
    known = sorted({getattr(one, axis) for one in sets})
    for value in values:
        if value not in known:
            near = get_close_matches(value, known, n=1, cutoff=0)
            hint = f"; the nearest is {near[0]!r}" if near else ""
            listed = ", ".join(known) or "none"
            raise ConfigError(f"{axis} {value!r} is not among the sets found: {listed}{hint}")
    if not values:
        raise ConfigError(f"no {axis} was asked for; choose from {', '.join(known)}, or all")
    return [one for one in sets if getattr(one, axis) in values]


def read_set(
    corpus_set: CorpusSet,
    *,
    label: str | None = None,
    discontinuous: str = "cover",
    report: ReadReport | None = None,
) -> Iterator[Document]:
    """The documents of one set, by file name.

    Args:
        corpus_set: The set.
        label: Label of its mentions; the entity in capitals where None. Others are counted.
        discontinuous: What becomes of brat mentions in fragments: `cover`, `split` or `skip`.
        report: Takes the counts of the good documents as they come.

    Raises:
        CorpusError: After the last good document: every problem of every file of the set.
    """
    label = label or corpus_set.entity.upper()
    annotated = frozenset([label]) if corpus_set.has_gold else frozenset[str]()
    paths = files_of(corpus_set.folder / "txt", ".txt")
    stems = {path.stem for path in paths}
    mentions, problems = _GOLD[corpus_set.gold](corpus_set.folder, stems, {label}, discontinuous)
    for path in paths:
        try:
            text, (spans, counts) = settle_bom(read_text(path), partial(mentions, path.stem))
        except CorpusError as error:
            problems += error.problems
            continue
        if report is not None:
            report.add(counts + ReadReport(documents=1))
        yield Document(path.stem, text, spans, corpus_set.language, annotated, case_of(path.stem))
    if problems:
        raise CorpusError(problems)


# Stem and text of a document -> its mentions and what was met reading them.
_Mentions = Callable[[str, str], tuple[tuple[Span, ...], ReadReport]]


def _ann_gold(
    folder: Path, stems: Set[str], labels: Set[str], discontinuous: str
) -> tuple[_Mentions, list[Problem]]:
    def mentions(stem: str, text: str) -> tuple[tuple[Span, ...], ReadReport]:
        path = folder / "ann" / f"{stem}.ann"
        return read_ann(path, text, labels=labels, discontinuous=discontinuous)

    lonely = [path for path in files_of(folder / "ann", ".ann") if path.stem not in stems]
    return mentions, [Problem(path, 0, "no text of that name in txt/") for path in lonely]


def _tsv_gold(
    folder: Path, stems: Set[str], labels: Set[str], _: str
) -> tuple[_Mentions, list[Problem]]:
    path, *more = files_of(folder / "tsv", ".tsv")
    if more:
        raise CorpusError([Problem(more[0], 0, f"a second table beside {path.name}; keep one")])
    grouped = group_rows(read_rows(path))

    def mentions(stem: str, text: str) -> tuple[tuple[Span, ...], ReadReport]:
        return spans_from_rows(grouped.get(stem, []), text, path, labels=labels)

    lonely = {stem: rows for stem, rows in grouped.items() if stem not in stems}
    return mentions, rows_without_text(lonely, path)


def _no_gold(*_: object) -> tuple[_Mentions, list[Problem]]:
    return lambda _stem, _text: ((), ReadReport()), []


_GOLD: Final[dict[str, Callable[..., tuple[_Mentions, list[Problem]]]]] = {
    "ann": _ann_gold,
    "tsv": _tsv_gold,
    "": _no_gold,
}


def read_sets(
    sets: Iterable[CorpusSet],
    *,
    labels: Mapping[str, str] | None = None,
    discontinuous: str = "cover",
    reports: dict[CorpusSet, ReadReport] | None = None,
) -> Iterator[tuple[CorpusSet, Document]]:
    """The documents of several sets, each with its set, one set after the other.

    Args:
        sets: The sets.
        labels: Label by entity, where it is not the entity in capitals.
        discontinuous: As for `read_set`.
        reports: Takes one report per set.

    Raises:
        CorpusError: After the last good document: every problem of all sets together.
    """
    problems: list[Problem] = []
    for one in sets:
        report = ReadReport()
        if reports is not None:
            reports[one] = report
        label = (labels or {}).get(one.entity)
        try:
            for document in read_set(one, label=label, discontinuous=discontinuous, report=report):
                yield one, document
        except CorpusError as error:
            problems += error.problems
    if problems:
        raise CorpusError(problems)


def overview(reports: Mapping[CorpusSet, ReadReport]) -> str:
    """A table of the sets and what was met in them; mentions are `-` where there is no gold.

    Example:
        language  split  entity   documents  mentions
        es        test   disease        150     1,519
        es        train  disease        600     6,546
        all                             750     8,065
    """
    table = [("language", "split", "entity", "documents", "mentions")]
    for one, report in sorted(reports.items()):
        mentions = f"{report.mentions:,}" if one.has_gold else "-"
        table.append((one.language, one.split, one.entity, f"{report.documents:,}", mentions))
    total = sum(reports.values(), ReadReport())
    table.append(("all", "", "", f"{total.documents:,}", f"{total.mentions:,}"))
    return "\n".join([as_text(table), *total.notes()])


def digest(sets: Iterable[CorpusSet]) -> str:
    """A hash over names and contents of all files of the sets, wherever the tree lies.

    Raises:
        CorpusError: A file cannot be read.
    """
    total = blake2b(digest_size=16)
    for one in sorted(sets, key=lambda one: one.folder.name):
        for path in sorted(path for path in one.folder.rglob("*") if path.is_file()):
            try:
                content = path.read_bytes()
            except OSError as error:
                problem = Problem(path, 0, f"cannot be read: {error.strerror}")
                raise CorpusError([problem]) from error
            name = f"{one.folder.name}/{path.relative_to(one.folder).as_posix()}"
            # Lengths keep apart what runs together: "a" + "bc" is not "ab" + "c".
            total.update(f"{len(name)} {name} {len(content)} ".encode())
            total.update(content)
    return total.hexdigest()
