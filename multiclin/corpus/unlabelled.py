"""Texts to learn a language from: which ones, each once, and none that a model is judged by.

Texts lie in folders of .txt at any depth (a MultiClinNER tree is one, annotated or not), in .jsonl,
or in single .txt. A pretrained model must not have met the texts that it will be tested on, though
it never sees their mentions: the score would flatter. So left out are, and counted for all to see:

- the sets of some splits of a tree (`test*`), and any text that `exclude` names: by the name of its
  document, of its case in a MultiClinNER tree (all languages and entities of it), or by the text
  itself, but for white space and case (`splits.text_key`), wherever it stands;
- a text that came before, and other versions of a case in one language (the sets of a tree have one
  for each entity, which differ in a few words).

All inputs are read twice, once to decide and once to use; memory holds some hundred bytes for each
document. The mentions of a document are its words (`LABEL`), so that a store of them tells which
subwords are of one word, and is made like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cached_property
from hashlib import blake2b
from itertools import chain, repeat
from pathlib import Path
from typing import Final, NamedTuple

from multiclin.corpus.inputs import Found, case_named, read_input
from multiclin.corpus.splits import load_split, text_key
from multiclin.corpus.texts import Texts, check_place
from multiclin.document import Document, Span
from multiclin.errors import CorpusError, Problem
from multiclin.files import read_text
from multiclin.tables import as_text
from multiclin.words import word_spans

LABEL: Final = "WORD"
"""Of the words of a document."""

USED: Final = "used"
REASONS: Final = {
    "split": "of left-out splits",
    "name": "excluded by name",
    "text": "excluded by text",
    "empty": "empty",
    "repeated": "repeated",
    "version": "other versions",
}
"""Why a text is left out, the first that holds, and the head of its column."""


class _Row(NamedTuple):
    """What is remembered of a document between two readings."""

    place: int
    split: str
    names: frozenset[str]
    key: bytes
    version: tuple[str, str]
    mark: bytes


class Survey(NamedTuple):
    """What a first reading has decided.

    Attributes:
        kept: Of each document in the order of reading, whether it is used.
        counts: Per input, how many documents are used, and left out for each reason.
        unmatched: The files and folders of `exclude` of which no document was met.
        digest: Of the documents that are used.
    """

    kept: list[bool]
    counts: list[Counter[str]]
    unmatched: list[Path]
    digest: str


@dataclass(frozen=True)
class UnlabelledTexts:
    """The texts of some inputs.

    Attributes:
        inputs: Folders, .jsonl, .txt.
        exclude: What is left out: folders or .jsonl of texts, the `split.json` of a run (its
            validation and test documents), or files of names, one a line.
        exclude_splits: Patterns; so are sets of a tree among the inputs with such a split.
    """

    inputs: tuple[Path, ...]
    exclude: tuple[Path, ...] = ()
    exclude_splits: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise `CorpusError` where an input is not there or holds no text; no text is read."""
        for path in self.inputs:
            check_place(path)
            if path.is_dir():
                Texts(path)
        for path in self.exclude:
            check_place(path)

    @cached_property
    def survey(self) -> Survey:
        """What is used, and why the rest is not.

        Raises:
            CorpusError: Files cannot be read (all of them are named), or no text is left.
        """
        rows = self._rows()
        names, keys, by_path = self._excluded(rows)
        seen: set[bytes] = set()
        versions: set[tuple[str, str]] = set()
        kept: list[bool] = []
        counts: list[Counter[str]] = [Counter() for _ in self.inputs]
        for row in rows:
            reason = USED
            if self._is_left_out(row.split):
                reason = "split"
            elif row.names & names:
                reason = "name"
            elif row.key in keys:
                reason = "text"
            elif not row.key:
                reason = "empty"
            elif row.key in seen:
                reason = "repeated"
            elif row.split and row.version in versions:
                reason = "version"
            kept.append(reason == USED)
            counts[row.place][reason] += 1
            if reason == USED:
                seen.add(row.key)
                versions |= {row.version} if row.split else set()
        met = set().union(*(row.names for row in rows))
        texts = {row.key for row in rows}
        unmatched = [p for p, (n, k) in by_path.items() if not n & met and not k & texts]
        used = (row.mark for row, is_kept in zip(rows, kept, strict=True) if is_kept)
        found = Survey(kept, counts, unmatched, _digest(used))
        if not any(kept):
            raise CorpusError(f"input=: no text is left to learn from\n{self._table(found)}")
        return found

    @property
    def digest(self) -> str:
        """A hash over the documents that are used."""
        return self.survey.digest

    def documents(self) -> Iterator[tuple[str, Document]]:
        """The documents that are used, all of the role `train`, with their words as mentions."""
        return (("train", _with_words(one)) for one in self._chosen())

    def settled_documents(self) -> Iterator[tuple[str, Document]]:
        """The same, for what is kept under the name of the digest.

        Raises:
            CorpusError: At the end: the texts are others than when they were chosen.
        """
        marks: list[bytes] = []
        for document in self._chosen():
            marks.append(_mark(document))
            yield "train", _with_words(document)
        if _digest(marks) != self.digest:
            raise CorpusError(
                "the texts of input= have changed while they were read; give the command again "
                "when nobody writes there"
            )

    def overview(self) -> str:
        """A table of what was used of each input, and what was left out."""
        return self._table(self.survey)

    def _table(self, survey: Survey) -> str:
        total = sum(survey.counts, Counter[str]())
        reasons = [reason for reason in REASONS if total[reason]]
        table = [["input", "texts", *map(REASONS.__getitem__, reasons), USED]]
        shown = list(zip(map(str, self.inputs), survey.counts, strict=True))
        for name, counts in [*shown, *([("all", total)] if len(shown) > 1 else [])]:
            numbers = [counts.total(), *(counts[reason] for reason in [*reasons, USED])]
            table.append([name, *(f"{number:,}" for number in numbers)])
        return as_text(table)

    def _is_left_out(self, split: str) -> bool:
        return any(fnmatch(split, pattern) for pattern in self.exclude_splits)

    def _rows(self) -> list[_Row]:
        """One row for each document."""
        rows: list[_Row] = []
        problems: list[Problem] = []
        for place, path in enumerate(self.inputs):
            for one in read_input(path):
                if isinstance(one, Problem):
                    problems.append(one)
                    continue
                document = one.document
                version = (document.language, document.case)
                key, mark = text_key(document.text), _mark(document)
                rows.append(_Row(place, one.split, frozenset(one.names), key, version, mark))
        if problems:
            raise CorpusError(problems)
        return rows

    def _excluded(
        self, rows: Sequence[_Row]
    ) -> tuple[set[str], set[bytes], dict[Path, tuple[set[str], set[bytes]]]]:
        """Names and texts to leave out, in all and for each of `exclude`."""
        by_path = {path: _named(path) for path in self.exclude}
        left_out = [row for row in rows if self._is_left_out(row.split)]
        names = set().union(*(names for names, _ in by_path.values()))
        names.update(row.version[1] for row in left_out)
        keys = set[bytes]().union(*(keys for _, keys in by_path.values()))
        keys.update(row.key for row in left_out)
        keys.update(row.key for row in rows if row.names & names)
        return names, keys - {b""}, by_path

    def _chosen(self) -> Iterator[Document]:
        """The documents that are used; all that have come since, so that they are noticed."""
        kept = chain(self.survey.kept, repeat(True))
        for one in chain.from_iterable(map(read_input, self.inputs)):
            if isinstance(one, Problem):
                raise CorpusError([one])
            if next(kept):
                yield one.document


def _named(path: Path) -> tuple[set[str], set[bytes]]:
    """Names and texts of what a file or folder of `exclude` holds.

    Raises:
        CorpusError: It cannot be read.
    """
    if path.is_dir() or path.suffix == ".jsonl":
        found = list(read_input(path))
        if problems := [one for one in found if isinstance(one, Problem)]:
            raise CorpusError(problems)
        texts = [one for one in found if isinstance(one, Found)]
        names = {name for one in texts for name in (one.document.id, one.document.case)}
        return names, {text_key(one.document.text) for one in texts}
    if path.suffix == ".json":
        sides = load_split(path)
        listed = {name for side, names in sides.items() if side != "train" for name in names}
    else:
        lines = map(str.strip, read_text(path).removeprefix("\ufeff").splitlines())
        listed = {line for line in lines if line and not line.startswith("#")}
    return listed | {case_named(name) for name in listed}, set()


def _with_words(document: Document) -> Document:
    words = word_spans(document.text).tolist()
    spans = tuple(Span(start, end, LABEL) for start, end in words)
    return replace(document, spans=spans, annotated=frozenset([LABEL]))


def _mark(document: Document) -> bytes:
    """A hash over all that is used of a document."""
    parts = (document.id, document.language, document.case, document.text)
    sizes = " ".join(str(len(part)) for part in parts)  # Which keep apart what runs together.
    return blake2b(
        "".join((sizes, *parts)).encode("utf-8", "surrogatepass"), digest_size=16
    ).digest()


def _digest(marks: Iterable[bytes]) -> str:
    return blake2b(b"".join(marks), digest_size=16).hexdigest()
