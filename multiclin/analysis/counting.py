"""Strict and character scores of any part of an evaluation, each with its interval.

Every score is a function of sums over cases, so one set of resamples of the cases serves all lines
of all tables (`scoring.intervals`), and lines of one report can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from multiclin.scoring.intervals import (
    Floats,
    Interval,
    Statistic,
    interval,
    mean,
    overlap_f1,
    resampling_weights,
)

Mask = npt.NDArray[np.bool_]


class Counting:
    """Counts of any rows of the two tables, with intervals.

    Args:
        mentions: `mention_table`.
        documents: `document_table`.
        resamples: Of the bootstrap.
    """

    def __init__(
        self, mentions: pd.DataFrame, documents: pd.DataFrame, resamples: int = 2000
    ) -> None:
        self.mentions, self.documents = mentions, documents
        self._case, cases = pd.factorize(documents["case"])
        self._cases = len(cases)
        self._case_of_mention = self._case[mentions["document"].to_numpy()]
        self._weights = resampling_weights(self._cases, resamples)
        gold = (mentions["side"] == "gold").to_numpy()
        right, overlap = mentions["right"].to_numpy(), mentions["overlap"].to_numpy()
        self._columns = np.stack(
            [right & ~gold, ~gold, right & gold, gold, overlap * ~gold, overlap * gold]
        ).astype(np.float64)

    def by_case(self, chosen: Mask) -> Floats:
        """Sums over some mentions; shape (cases, 6), columns as `PRECISION` and so on take them."""
        cases = self._case_of_mention[chosen]
        return np.stack(
            [np.bincount(cases, column[chosen], self._cases) for column in self._columns], axis=1
        )

    def line(self, chosen: Mask, measures: Mapping[str, Statistic]) -> dict[str, float]:
        """Numbers of mentions, and scores with their intervals, over some mentions.

        Args:
            chosen: Which rows of `mentions`.
            measures: Score by name, of sums with columns as in `by_case`.
        """
        counts = self.by_case(chosen)
        _, predicted, right, gold, *_ = counts.sum(axis=0).astype(int).tolist()
        line = {"gold": gold, "predicted": predicted, "right": right}
        for name, measure in measures.items():
            line |= named(name, interval(counts, measure, weights=self._weights))
        return line

    def macro(self, chosen: Mask) -> Interval:
        """Mean strict F1 of the documents with mentions, see `scoring.breakdown`."""
        places = self.mentions["document"].to_numpy()[chosen]
        right, predicted, _, gold = (
            np.bincount(places, column[chosen], len(self.documents)) for column in self._columns[:4]
        )
        has = gold + predicted > 0
        f1 = np.divide(2 * right, gold + predicted, out=np.zeros(len(has)), where=has)
        by_case = [np.bincount(self._case, column, self._cases) for column in (f1, has)]
        return interval(np.stack(by_case, axis=1), mean, weights=self._weights)


STRICT: Mapping[str, Statistic] = {
    "precision": lambda sums: mean(sums[..., 0:2]),
    "recall": lambda sums: mean(sums[..., 2:4]),
    "f1": lambda sums: overlap_f1(sums[..., 0:4]),
}
"""Of the columns right, predicted, found, gold. In a group of mentions right and found may differ:
its predictions are right by themselves, its gold is found by whatever matches it."""

CHARACTERS: Mapping[str, Statistic] = {
    "char_precision": lambda sums: mean(sums[..., [4, 1]]),
    "char_recall": lambda sums: mean(sums[..., [5, 3]]),
    "char_f1": lambda sums: overlap_f1(sums[..., [4, 1, 5, 3]]),
}


def named(name: str, found: Interval) -> dict[str, float]:
    """A score as the columns `name`, `name_low` and `name_high`."""
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
