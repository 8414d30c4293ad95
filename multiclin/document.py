"""What everything else passes around: texts with marked spans.

Offsets count Unicode code points of `Document.text`, half-open, exactly as the files of the corpus
count them; no text is ever normalised, so an offset read is an offset written.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from multiclin.errors import CorpusError, Problem

CROWD = 100
"""Mentions of one label that may share a character: what compares them takes the square of it."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A mention: `text[start:end]` carries `label`.

    Attributes:
        start: First character.
        end: One past the last character.
        label: Entity label as the corpus writes it, for example `DISEASE`.
        score: Confidence in [0, 1] of a predicted mention; never part of equality or order.
    """

    start: int
    end: int
    label: str
    score: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise CorpusError(f"span {self.start}-{self.end} ({self.label}) is empty or negative")

    def overlaps(self, other: Span) -> bool:
        """Whether the two spans share a character (labels are not looked at)."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class Document:
    """One text with its mentions.

    Attributes:
        id: File name without suffix.
        text: The text exactly as in the file: no newline translation, no normalisation.
        spans: Mentions, sorted; spans may nest, overlap and repeat.
        language: Code as the corpus writes it (`cz`, not `cs`); empty where unknown.
        annotated: Labels for which `spans` is complete gold. Empty: no gold at all.
        case: Documents of one case (other languages, other entity versions) share this name and
            never stand on both sides of a split. Defaults to `id`.
    """

    id: str
    text: str
    spans: tuple[Span, ...] = ()
    language: str = ""
    annotated: frozenset[str] = frozenset()
    case: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "spans", tuple(sorted(self.spans)))
        object.__setattr__(self, "case", self.case or self.id)
        for span in self.spans:
            if span.end > len(self.text):
                raise CorpusError(
                    f"{self.id}: span {span.start}-{span.end} ({span.label}) lies outside the "
                    f"text of {len(self.text)} characters"
                )
        if label := crowded((span.label, span.start, span.end) for span in self.spans):
            message = f"more than {CROWD} mentions of {label[:40]!r} share a character"
            raise CorpusError([Problem(Path(self.id), 0, message)])

    def with_spans(self, spans: tuple[Span, ...]) -> Document:
        """The same text with other mentions."""
        return replace(self, spans=spans)


def crowded(mentions: Iterable[tuple[str, int, int]]) -> str:
    """The first label of which more than `CROWD` mentions share a character, else nothing.

    Args:
        mentions: Label, start and end of each; repeated ones count.
    """
    ends_of: dict[str, tuple[list[int], list[int]]] = {}
    for label, start, end in mentions:
        starts, ends = ends_of.setdefault(label, ([], []))
        starts.append(start)
        ends.append(end)
    for label, (starts, ends) in ends_of.items():
        if len(starts) <= CROWD:
            continue
        ends.sort()
        for number, start in enumerate(sorted(starts), 1):
            if number - bisect_right(ends, start) > CROWD:
                return label
    return ""
