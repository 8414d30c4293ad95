"""Every format by its name: how a corpus in it is read, and how one is written.

A corpus is one part, or a part per split. Parts are files (`train.jsonl`) or folders (`dev/`) that
lie together and are named as `multiclin.corpus.source.ROLES` says; in a folder without such names
everything is one part, of no split. What is written by split is read by split again. A MultiClinNER
tree has its own layout (`trees`). Documents stream, split by split.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, Protocol

from multiclin.corpus import as_name, bioc, conll, excerpt, huggingface, listing
from multiclin.corpus.exchange import Losses, Reading, Survey
from multiclin.corpus.jsonl import read_documents, write_documents
from multiclin.corpus.release import normalise_language
from multiclin.corpus.source import role_of
from multiclin.corpus.standoff import read_brat, read_tables, write_brat, write_tables
from multiclin.corpus.texts import case_of, files_of
from multiclin.corpus.trees import Trees
from multiclin.document import Document
from multiclin.errors import ConfigError, CorpusError, OutputError, Problem
from multiclin.files import atomic_folder, read_lines

Split = tuple[str, Document]
"""Name of the split, empty where there is none, and a document."""

_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}$")
_NO_PART: Final = frozenset(["txt", "__MACOSX", "dataset_info.json", "names.txt"])


_KEYS: Final = frozenset(["id", "text", "language", "annotated", "case", "spans"])
_SPAN: Final = frozenset(["start", "end", "label", "text", "score"])


class Format(Protocol):
    """How a corpus lies on disk.

    Attributes:
        holds: What it can say of a document beside text and mentions: `language`, `case`,
            `annotated`, `score`.
        files: Suffixes of the files of mentions, where one holds those of many documents.
    """

    @property
    def holds(self) -> frozenset[str]:
        """As the attribute."""

    @property
    def files(self) -> tuple[str, ...]:
        """As the attribute."""

    def read(self, root: Path, reading: Reading) -> Iterator[Split]:
        """The documents, those of one split together."""

    def write(self, documents: Iterable[Split], out: Path, survey: Survey, losses: Losses) -> None:
        """Write a corpus; it appears whole or not at all."""


@dataclass(frozen=True)
class Parts:
    """A format whose corpora are parts, each read and written alone.

    Attributes:
        read_part: Reads a file or folder.
        write_part: Writes one.
        files: Suffixes of the files that can be a part; none where only folders can.
        written: Suffix of the file that a part is written to; empty where it is a folder.
        holds: As `Format.holds`.
    """

    read_part: Callable[[Path, Reading], Iterator[Document]]
    write_part: Callable[[Iterable[Document], Path, Losses], None]
    files: tuple[str, ...] = ()
    written: str = ""
    holds: frozenset[str] = frozenset()

    def read(self, root: Path, reading: Reading) -> Iterator[Split]:
        """The documents of all parts, or of the split asked for.

        A part without a name is of the split asked for, and documents that tell no language of the
        one asked for.

        Raises:
            CorpusError: After the last good document: every problem of all parts.
            ConfigError: The split or the language asked for is nowhere in the corpus.
        """
        problems: list[Problem] = []
        names: dict[str, set[str]] = {}
        languages: set[str] = set()
        for split, path in self.chosen(root, reading.split):
            seen = names.setdefault(split, set())
            try:
                for document in self.read_part(path, reading):
                    if document.id in seen:
                        message = f"a second document with the name {as_name(document.id)}"
                        problems.append(Problem(path, 0, message))
                        continue
                    seen.add(document.id)
                    code = normalise_language(document.language or reading.language)
                    languages.add(code)
                    if code == (reading.language or code):
                        yield split, replace(document, language=code)
            except CorpusError as error:
                problems += error.problems or [Problem(path, 0, str(error))]
        if problems:
            raise CorpusError(problems)
        _must_be_there("language", reading.language, languages)

    def chosen(self, root: Path, split: str) -> list[tuple[str, Path]]:
        """The parts of a corpus: of the split asked for, or all."""
        found = parts_of(root, self.files)
        if not split:
            return found
        if [name for name, _ in found] == [""]:
            return [(split, path) for _, path in found]
        _must_be_there("split", split, {name for name, _ in found})
        return [(name, path) for name, path in found if name == split]

    def write(self, documents: Iterable[Split], out: Path, survey: Survey, losses: Losses) -> None:
        """Write the parts: into `out` itself where it is a file or there are no splits.

        Raises:
            OutputError: There are several splits for one file; or as the parts raise.
        """
        told = (
            (split, telling(document, self.holds, survey, losses)) for split, document in documents
        )
        if out.suffix in self.files and self.written:
            if len(survey.documents) > 1:
                listed = ", ".join(sorted(survey.documents))
                raise OutputError(
                    f"{out} is one file, and the corpus has the splits {listed}: name a folder, or "
                    "take one of them with --split"
                )
            self.write_part((document for _, document in told), out, losses)
            return
        with atomic_folder(out) as folder:
            for split, group in groupby(told, itemgetter(0)):
                name = f"{split or 'documents'}{self.written}" if self.written else split
                self.write_part((document for _, document in group), folder / name, losses)


def _must_be_there(axis: str, asked: str, known: Iterable[str]) -> None:
    known = sorted(known)
    if asked and known and asked not in known:
        near = get_close_matches(asked, known, n=1, cutoff=0)[0]
        raise ConfigError(
            f"--{axis} {asked}: the corpus has {listing(known)}; nearest: {excerpt(near)}"
        )


def parts_of(root: Path, files: tuple[str, ...]) -> list[tuple[str, Path]]:
    """The parts of a corpus with their splits; one of no split where nothing is named after one.

    Args:
        root: A file or a folder.
        files: Suffixes of the files that can be a part.

    Raises:
        CorpusError: There is no such file or folder.
    """
    if root.is_file():
        return [("", root)]
    if not root.is_dir():
        raise CorpusError([Problem(root, 0, "no such file or folder")])
    for folder in (root, root / "tsv"):
        found = sorted(
            (_SHARD.sub("", path.stem if path.is_file() else path.name), path)
            for path in (folder.iterdir() if folder.is_dir() else ())
            if _can_be_part(path, files)
        )
        if any(role_of(split) for split, _ in found):
            return found
    return [("", root)]


def _can_be_part(path: Path, files: tuple[str, ...]) -> bool:
    if path.name.startswith(".") or path.name in _NO_PART:
        return False
    if path.is_dir():
        return any(next(path.rglob(f"*{suffix}"), None) for suffix in files or (".txt", ".ann"))
    return path.suffix in files


def telling(document: Document, holds: frozenset[str], survey: Survey, losses: Losses) -> Document:
    """The document; the ledger gets what a format that holds only this cannot say of it."""
    facts = {
        f"language; read it back with --language {document.language}": "language" not in holds
        and document.language,
        "case": "case" not in holds and document.case != case_of(document.id),
        "annotated labels: read back as all": "annotated" not in holds
        and survey.gold_of(document) != survey.labels,
    }
    for fact, is_lost in facts.items():
        if is_lost:
            losses.add(fact, document.id)
    for span in document.spans:
        if span.score is not None and "score" not in holds:
            losses.add("mention: its score", document.id, span)
    return document


def read_jsonl(path: Path, reading: Reading) -> Iterator[Document]:
    """The documents of a file of ours, or of all in a folder.

    Raises:
        CorpusError: After the last good document: every line that is no document.
    """
    files = [path] if path.is_file() else files_of(path, ".jsonl")
    problems = [] if files else [Problem(path, 0, "no .jsonl file here")]
    for file in files:
        try:
            yield from read_documents(file)
        except CorpusError as error:
            problems += error.problems
        _tell_keys(file, reading.losses)
    if problems:
        raise CorpusError(problems)


def _tell_keys(path: Path, losses: Losses) -> None:
    """The keys of a file that are none of ours; lines that are wrong are told elsewhere."""
    with suppress(CorpusError):
        for _, line in read_lines(path):
            try:
                entry = json.loads(line)
                spans = entry.get("spans") or []
                keys = [
                    *(entry.keys() - _KEYS),
                    *(key for one in spans for key in one.keys() - _SPAN),
                ]
                name = str(entry.get("id"))
            except (ValueError, TypeError, AttributeError, RecursionError):
                continue
            for key, times in sorted(Counter(keys).items()):
                losses.add(f"key {as_name(key)}", name, times=times)


def write_jsonl(documents: Iterable[Document], path: Path, _: Losses) -> None:
    """Write one file.

    Raises:
        OutputError: The file exists already or cannot be written.
    """
    write_documents(documents, path)


ALL: Final = frozenset(["language", "case", "annotated", "score"])

FORMATS: Final[Mapping[str, Format]] = {
    "brat": Parts(read_brat, write_brat),
    "tsv": Parts(read_tables, write_tables, (".tsv",)),
    "conll": Parts(conll.read_conll, conll.write_conll, conll.SUFFIXES + conll.OTHER_SUFFIXES),
    "jsonl": Parts(read_jsonl, write_jsonl, (".jsonl",), ".jsonl", ALL),
    "bioc": Parts(bioc.read_bioc, bioc.write_bioc, bioc.SUFFIXES, ".xml", ALL),
    "huggingface": Parts(
        huggingface.read_huggingface,
        huggingface.write_huggingface,
        huggingface.SUFFIXES,
        ".jsonl",
        frozenset(["language"]),
    ),
    "multiclinner": Trees(),
}


def format_of(name: str, key: str) -> Format:
    """The format of that name.

    Raises:
        ConfigError: There is none; `key` is where the name came from.
    """
    if name not in FORMATS:
        near = get_close_matches(name, FORMATS, n=1, cutoff=0)[0]
        known = ", ".join(FORMATS)
        raise ConfigError(f"{key}={name} is none of {known}; the nearest is {near}")
    return FORMATS[name]
