"""What the readers and writers of all formats are told, and the ledger of what they cannot carry.

No format holds all that another does: a table has no language, tags have no nested mentions. Each
reader and writer puts what it leaves out into one ledger, `Losses`, with reason, document and
offsets, so that a conversion never loses anything in silence. The ledger keeps counts and the first
few places of each reason, whatever the size of the corpus; a sink gets every single one. It holds
names and offsets, never a word of a text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from multiclin.corpus import as_name, one_line
from multiclin.document import Document, Span
from multiclin.errors import OutputError
from multiclin.tables import Table

_SHOWN: Final = 3


class Loss(NamedTuple):
    """One thing that was not carried over: a mention, or a fact of a document.

    Attributes:
        reason: What, and why.
        document: Name of the document.
        span: The mention, as it stood; None where it is no mention.
        times: How often in this document.
    """

    reason: str
    document: str
    span: Span | None = None
    times: int = 1

    @property
    def place(self) -> str:
        """Document and offsets, as a reader looks them up."""
        span = self.span
        return f"{self.document} {span.start}-{span.end}" if span else self.document


@dataclass(slots=True)
class _Tally:
    documents: int = 0
    times: int = 0
    last: str | None = None
    shown: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Losses:
    """The ledger.

    Attributes:
        sink: Gets every loss as it is met.
    """

    sink: Callable[[Loss], object] | None = None
    _tallies: dict[str, _Tally] = field(default_factory=dict)

    def add(self, reason: str, document: str, span: Span | None = None, times: int = 1) -> None:
        """Note one loss. Those of one document come together."""
        loss = Loss(reason, document, span, times)
        tally = self._tallies.setdefault(reason, _Tally())
        tally.documents += tally.last != document
        tally.last = document
        tally.times += times
        if len(tally.shown) < _SHOWN:
            tally.shown.append(loss.place)
        if self.sink:
            self.sink(loss)

    @property
    def counts(self) -> dict[str, int]:
        """How often each reason was met."""
        return {reason: tally.times for reason, tally in self._tallies.items()}

    def table(self) -> Table:
        """One row per reason: how many documents, how often, and the first places.

        Example:
            not carried over               documents  times  where
            mention: an edge inside a word         1      2  case-7 4-12, case-7 30-34
        """
        rows = [("not carried over", "documents", "times", "where")]
        for reason, tally in self._tallies.items():
            more = ", ..." if tally.times > len(tally.shown) else ""
            where = ", ".join(map(one_line, tally.shown)) + more
            rows.append((reason, f"{tally.documents:,}", f"{tally.times:,}", where))
        return rows


@dataclass(frozen=True, slots=True)
class Reading:
    """How a corpus is read.

    Attributes:
        texts: Folder of the texts where they do not lie beside the annotations.
        discontinuous: What becomes of mentions in fragments: `cover`, `split` or `skip`.
        language: Language of documents whose files do not tell one; where they do, only these.
        split: As `language`.
        annotated: What documents with gold are annotated for, where their files do not tell.
        losses: Takes what a reader leaves out.
    """

    texts: Path | None = None
    discontinuous: str = "cover"
    language: str = ""
    split: str = ""
    annotated: frozenset[str] = frozenset()
    losses: Losses = field(default_factory=Losses)


@dataclass(slots=True)
class Survey:
    """What a whole corpus holds: known only when every document has been seen.

    Attributes:
        mentions: Their number by label.
        annotated: Labels that documents say they are annotated for.
        languages: Codes.
        documents: Their number by split.
    """

    mentions: Counter[str] = field(default_factory=Counter)
    annotated: set[str] = field(default_factory=set)
    languages: set[str] = field(default_factory=set)
    documents: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, documents: Iterable[tuple[str, Document]]) -> Survey:
        """Count a corpus: split and document."""
        survey = cls()
        for split, document in documents:
            survey.mentions.update(span.label for span in document.spans)
            survey.annotated |= document.annotated
            survey.languages.add(document.language)
            survey.documents[split] += 1
        return survey

    @property
    def labels(self) -> frozenset[str]:
        """Every label, used or only annotated for."""
        return frozenset(self.mentions) | self.annotated

    def gold_of(self, document: Document) -> frozenset[str]:
        """Labels that a document is annotated for.

        Where no document of the corpus says, each is for all labels; where some do, one that says
        nothing has no gold.
        """
        return document.annotated if self.annotated else self.labels


def file_name(document: Document) -> str:
    """The name of a document, sure to come back when it is that of a file and of a row.

    Raises:
        OutputError: It would not.
    """
    name = document.id
    wrong = any(part[:1] in ("", ".") or part == "__MACOSX" for part in name.split("/"))
    if wrong or name != one_line(name).strip() or name.endswith(".txt"):
        raise OutputError(
            f"no file can be named after the document {as_name(name)}: it begins with a dot, ends "
            "in .txt, or has white space at an edge; rename it, or convert to jsonl"
        )
    return name


def label_without_space(label: str) -> str:
    """The label, for formats that end one at white space.

    Raises:
        OutputError: It is empty or holds white space.
    """
    if label.split() != [label]:
        raise OutputError(
            f"this format cannot carry the label {as_name(label)}; rename it: --map '{label}=NAME'"
        )
    return label
