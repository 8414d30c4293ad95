"""How sure a score is: bootstrap intervals over documents.

A corpus is drawn anew many times from its own documents, with replacement, and the interval is
read off the scores of these corpora (Efron and Tibshirani 1993). Every score here is a function
of sums over documents, so drawing corpora is one matrix product, resampling weights (resamples,
units) @ counts (units, columns), and one set of weights serves all strata of the same documents.

The unit that is drawn must be independent of the others. The translations and entity versions of
one case are not: add them up first (`clustered`). Measured on 1,000 simulated corpora of 40 cases
in 7 languages, as hard as the case is: the 95 % interval over documents covers the truth in 54 of
100, the one over cases in 92.

Which interval was decided by measurement. How often in 100 the 95 % interval covers the F1 of a
million documents, and (truth below it / above it), where 2.5 / 2.5 is right. Means over 8 kinds of
simulated corpora, 1,500 of each: 3 or 20 mentions a document, lengths equal or gamma distributed,
precision and recall of a document beta distributed, of more or less spread.

    F1   documents  percentile       same, widened    BCa              BCa, widened (this)
    .50     20      92.3 (3.5/4.3)   94.2 (2.5/3.2)   92.2 (3.7/4.1)   94.4 (2.6/3.0)
    .50     50      93.3 (3.2/3.5)   94.2 (2.8/3.1)   93.1 (3.4/3.5)   94.0 (3.1/3.0)
    .50    150      94.3 (2.8/2.9)   94.6 (2.6/2.8)   94.3 (2.8/2.9)   94.6 (2.7/2.7)
    .95     20      89.7 (8.6/1.7)   91.8 (7.1/1.1)   91.7 (5.6/2.7)   93.9 (4.3/1.8)
    .95     50      92.5 (6.0/1.5)   93.3 (5.5/1.2)   93.1 (4.2/2.7)   93.9 (3.7/2.3)
    .95    150      93.5 (4.5/2.0)   93.8 (4.3/1.8)   93.8 (3.4/2.9)   94.0 (3.3/2.7)

BCa (Efron 1987) mends bias and skew, which show near the top of the scale. Widening for few units
(Hesterberg 2015) gives back what resampling forgets: n where the variance has n - 1, the normal
where Student's t belongs. The worst of the 8 (20 documents, F1 .95, a few very hard ones) stays at
90.5, for no bootstrap sees what the documents do not show: where all are perfect it says (1, 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

Statistic = Callable[[Floats], Floats]
"""Sums over units, shape (..., columns), to scores, shape (...); nan where undefined."""

_NORMAL = NormalDist()


class Interval(NamedTuple):
    """A score and the bounds that its true value lies between with the chosen confidence.

    `value` is the official score, 0.0 where undefined. The bounds are nan where fewer than two
    units have the score, for one document says nothing of the next.
    """

    value: float
    low: float
    high: float


def precision(counts: Floats) -> Floats:
    """Precision of tp, fp, fn in the last axis; nan where nothing was predicted."""
    return _ratio(counts[..., 0], counts[..., 0] + counts[..., 1])


def recall(counts: Floats) -> Floats:
    """Recall of tp, fp, fn in the last axis; nan where there is no gold."""
    return _ratio(counts[..., 0], counts[..., 0] + counts[..., 2])


def f1(counts: Floats) -> Floats:
    """F1 of tp, fp, fn in the last axis; nan where there is neither gold nor prediction."""
    return _harmonic_mean(precision(counts), recall(counts))


def mean(sums: Floats) -> Floats:
    """Mean of (sum of values, number of values) in the last axis; nan where there is none.

    Serves document-macro scores (`of_values`), and the precision and the recall of the character
    overlap: the sum and the number of `Overlap.predicted` or `Overlap.gold` of every document.
    """
    return _ratio(sums[..., 0], sums[..., 1])


def overlap_f1(sums: Floats) -> Floats:
    """F1 of the character overlap.

    Args:
        sums: Shape (..., 4): sum and number of `Overlap.predicted`, sum and number of
            `Overlap.gold`.
    """
    return _harmonic_mean(mean(sums[..., :2]), mean(sums[..., 2:]))


def of_values(values: npt.ArrayLike) -> Floats:
    """Counts for `mean`, shape (documents, 2), of one value per document; nan: has none."""
    values = np.asarray(values, dtype=np.float64)
    return np.column_stack([np.nan_to_num(values), ~np.isnan(values)])


def clustered(counts: npt.ArrayLike, clusters: Sequence[str]) -> Floats:
    """Adds up the counts of documents that belong together.

    Args:
        counts: Shape (documents, columns).
        clusters: The cluster of each document, for example `Document.case`.

    Returns:
        Shape (clusters, columns), in alphabetical order of the clusters.

    Example:
        >>> clustered([[1, 0, 2], [4, 1, 0], [1, 1, 1]], ["b", "a", "b"])
        array([[4., 1., 0.],
               [2., 1., 3.]])
    """
    counts = np.asarray(counts, dtype=np.float64)
    names, cluster = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
    sums = np.zeros((len(names), counts.shape[1]))
    np.add.at(sums, cluster, counts)
    return sums


def resampling_weights(units: int, resamples: int = 2000, seed: int = 0) -> Floats:
    """How often each unit is drawn in each resampled corpus of as many units.

    Returns:
        Shape (resamples, units), 8 bytes each; every row adds up to `units`.
    """
    generator = np.random.default_rng(seed)
    weights = np.empty((resamples, units))
    for row in weights if units else ():
        row[:] = np.bincount(generator.integers(units, size=units), minlength=units)
    return weights


def interval(
    counts: npt.ArrayLike,
    statistic: Statistic = f1,
    *,
    weights: Floats | None = None,
    level: float = 0.95,
) -> Interval:
    """The score of all units together, and its bootstrap interval.

    Args:
        counts: Shape (units, columns), what `statistic` takes. For a stratum of the units leave
            the rows of all others zero; so `weights` serves every stratum.
        statistic: The score as a function of sums over units.
        weights: `resampling_weights(units)`; drawn anew if not given.
        level: Confidence.

    Example:
        >>> interval([[8, 2, 1], [5, 0, 5], [9, 1, 3], [2, 2, 2]], precision)
        Interval(value=0.8275862068965517, low=0.5, high=1.0)
    """
    counts = np.asarray(counts, dtype=np.float64)
    total = counts.sum(axis=0)
    value = float(np.nan_to_num(statistic(total)))
    # A unit that has no score by itself changes none: it is no evidence of how scores vary.
    informative = counts[~np.isnan(statistic(counts))]
    if len(informative) < 2:
        return Interval(value, nan, nan)
    if weights is None:
        weights = resampling_weights(len(counts))
    drawn = _defined(statistic(weights @ counts))
    left_out = _defined(statistic(total - informative))
    shares = _bca_shares(value, drawn, left_out, _reach(len(informative), level))
    low, high = np.quantile(drawn, shares)
    return Interval(value, float(low), float(high))


def _reach(units: int, level: float) -> float:
    """Standard errors from the middle to either bound, widened for few units.

    The quantile of Student's t is taken to first order: 2.085 for 2.093 at 20 units and 95 %.
    """
    z = _NORMAL.inv_cdf((1 + level) / 2)
    return sqrt(units / (units - 1)) * (z + (z**3 + z) / (4 * (units - 1)))


def _bca_shares(value: float, drawn: Floats, left_out: Floats, reach: float) -> list[float]:
    """The shares of the drawn scores that lie below the lower and below the upper bound."""
    # Ties count half, so that a score that never varies shows no bias; neither share is 0 or 1.
    below = float(np.mean(drawn < value) + np.mean(drawn <= value)) / 2
    edge = 0.5 / len(drawn)
    bias = _NORMAL.inv_cdf(min(max(below, edge), 1 - edge))
    influence = left_out.mean() - left_out
    spread = float(np.sum(influence**2)) ** 1.5
    skew = float(np.sum(influence**3)) / (6 * spread) if spread else 0.0
    moved = (bias - reach, bias + reach)
    return [_NORMAL.cdf(bias + z / (1 - skew * z)) for z in moved]


def _ratio(part: Floats, whole: Floats) -> Floats:
    ratio = np.full(np.shape(whole), nan)
    np.divide(part, whole, out=ratio, where=np.asarray(whole > 0))
    return ratio


def _harmonic_mean(precisions: Floats, recalls: Floats) -> Floats:
    """The official F1 to the last bit; nan only where neither is defined."""
    undefined = np.isnan(precisions) & np.isnan(recalls)
    precisions, recalls = np.nan_to_num(precisions), np.nan_to_num(recalls)
    scores = np.nan_to_num(_ratio(2 * precisions * recalls, precisions + recalls))
    return np.where(undefined, nan, scores)


def _defined(scores: Floats) -> Floats:
    return scores[~np.isnan(scores)]
