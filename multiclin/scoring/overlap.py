"""Character overlap: how much of each mention was found, for mentions that are not exactly right.

Each gold mention takes its best Dice overlap with any prediction of its label in its document; the
mean over gold is the recall. Each distinct prediction takes its best over gold likewise; the mean
is the precision. It is not one-to-one: one long prediction may serve several gold mentions (FACTS
section 3).

A plane sweep meets only pairs that share a character: O(n log n + k) for n mentions of a document
and k pairs of distinct, overlapping gold and predicted mentions of one label. Mentions nest a few
deep, so k is a small multiple of n on real files; where all mentions of a document overlap each
other, k is quadratic, as it is for the direct comparison of all pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum

from multiclin.scoring.counts import Mention, harmonic_mean

Key = tuple[str, int, int]  # label, start, end: in sorting order of the sweep


@dataclass(frozen=True, slots=True)
class Overlap:
    """Best Dice overlap of every gold mention and of every distinct prediction, each in [0, 1].

    The scores themselves are kept, not their sums: summed once and exactly, the mean does not
    depend on the order of the documents, and so its rounding does not either.
    """

    gold: tuple[float, ...] = ()
    predicted: tuple[float, ...] = ()

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap.total((self, other))

    @classmethod
    def total(cls, overlaps: Iterable[Overlap]) -> Overlap:
        """The overlaps of many documents as one, in linear time (a chain of `+` copies anew)."""
        parts = list(overlaps)
        return cls(
            gold=tuple(score for part in parts for score in part.gold),
            predicted=tuple(score for part in parts for score in part.predicted),
        )

    @property
    def precision(self) -> float:
        """Mean over the distinct predictions; 0.0 where there are none."""
        return fsum(self.predicted) / len(self.predicted) if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Mean over the gold mentions, repeated ones included; 0.0 where there are none."""
        return fsum(self.gold) / len(self.gold) if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return harmonic_mean(self.precision, self.recall)


def character_overlap(gold: Iterable[Mention], predicted: Iterable[Mention]) -> Overlap:
    """Compares the mentions of one document.

    Args:
        gold: Gold mentions of the document; each repetition counts.
        predicted: Predicted mentions of the same document; repetitions are dropped.

    Example:
        Gold 0-10, predicted 0-5 and 5-6 of the same label. Dice of the pairs: 2*5/15 = 2/3 and
        2*1/11 = 2/11. Gold takes the better: recall 2/3; precision is their mean, 14/33.
    """
    gold_keys = [(mention.label, mention.start, mention.end) for mention in gold]
    best_gold = dict.fromkeys(gold_keys, 0.0)
    best_predicted = dict.fromkeys(
        ((mention.label, mention.start, mention.end) for mention in predicted), 0.0
    )
    _sweep(best_gold, best_predicted)
    return Overlap(tuple(best_gold[key] for key in gold_keys), tuple(best_predicted.values()))


def _sweep(best_gold: dict[Key, float], best_predicted: dict[Key, float]) -> None:
    """Raises the score of every mention to its best overlap with the other side, in place.

    Mentions arrive by label and start. Each meets the mentions of the other side that are still
    open; those that have ended, or are of the label before, are met once more and then dropped.
    """
    sides = (best_gold, best_predicted)
    arrivals = sorted((key, side) for side in (0, 1) for key in sides[side])
    opened: list[list[Key]] = [[], []]
    for key, side in arrivals:
        label, start, end = key
        other = 1 - side
        opened[other] = [open_ for open_ in opened[other] if open_[2] > start and open_[0] == label]
        for met in opened[other]:
            shared = min(end, met[2]) - start
            # Dice as the F1 of two shares: the official scorer's expression, to the last bit.
            dice = harmonic_mean(shared / (end - start), shared / (met[2] - met[1]))
            sides[side][key] = max(sides[side][key], dice)
            sides[other][met] = max(sides[other][met], dice)
        opened[side].append(key)
