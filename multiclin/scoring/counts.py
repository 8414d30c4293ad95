"""Strict matching: a mention counts only if label, first and last character are all right.

Per document, matching is one-to-one. Predictions are a set; gold is a list as its file has it, so a
gold mention written twice costs one false negative that no system can avoid. That is the official
rule (FACTS section 3), and because training monitors the same `strict_counts`, the F1 that is
monitored is the F1 that is submitted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class Mention(Protocol):
    """What a score looks at: `[start, end)` in characters under a label. `Span` is one."""

    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def start(self) -> int: ...  # noqa: D102
    @property
    def end(self) -> int: ...  # noqa: D102


def harmonic_mean(precision: float, recall: float) -> float:
    """F1 of a precision and a recall; 0.0 where both are 0, as in the official scorer."""
    if not precision + recall:
        return 0.0
    return 2 * precision * recall / (precision + recall)


@dataclass(frozen=True, slots=True)
class Counts:
    """True positives, false positives and false negatives; those of two documents add up.

    Precision, recall and F1 are unrounded and 0.0 where they are undefined.

    Example:
        >>> sum([Counts(tp=1, fp=2, fn=0), Counts(tp=0, fp=0, fn=1)], Counts()).f1
        0.4
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float:
        """Share of the distinct predictions that are right."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold mentions, repeated ones included, that were found."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return harmonic_mean(self.precision, self.recall)


def strict_counts(gold: Iterable[Mention], predicted: Iterable[Mention]) -> Counts:
    """Matches the mentions of one document on (label, start, end), in linear time.

    Args:
        gold: Gold mentions of the document; each repetition counts.
        predicted: Predicted mentions of the same document; repetitions are dropped.

    Example:
        Gold 60-68 twice and 80-90; predicted 60-68 twice and 80-91: one hit, one false positive,
        and two false negatives (80-90 and the second 60-68).
    """
    wanted = [(mention.label, mention.start, mention.end) for mention in gold]
    found = {(mention.label, mention.start, mention.end) for mention in predicted}
    tp = len(found.intersection(wanted))
    return Counts(tp=tp, fp=len(found) - tp, fn=len(wanted) - tp)
