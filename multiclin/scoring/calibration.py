"""Whether the score of a mention says how likely it is right, and what a threshold would do.

`reliability` puts mentions into bins of equal width by their score and holds the mean score of
each bin against its share of right mentions; a calibrated system has both equal. The expected
calibration error is the mean gap, weighted by mentions (Naeini et al. 2015; Guo et al. 2017).
Equal width shows where on the scale the gaps lie; its price is bins with few mentions, for which
the Wilson interval says how little they tell (it takes mentions as independent, which those of one
document are not quite: a lower bound of the doubt).

`threshold_curve` keeps mentions from a score upward. Right is strict: label, start and end.
"""

from __future__ import annotations

from math import nan
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from multiclin.scoring.intervals import Floats, f1, precision, recall

_Z = NormalDist().inv_cdf(0.975)


class Bin(NamedTuple):
    """Mentions with a score in [low, high), the last bin with 1.0.

    Attributes:
        low: Lower edge.
        high: Upper edge.
        mentions: How many there are, at least one.
        score: Their mean score.
        right: The share that is right.
        right_low: Lower bound of the Wilson 95 % interval of that share.
        right_high: Upper bound.
    """

    low: float
    high: float
    mentions: int
    score: float
    right: float
    right_low: float
    right_high: float


class Threshold(NamedTuple):
    """What remains where only mentions with at least this score are kept."""

    threshold: float
    mentions: int
    precision: float
    recall: float
    f1: float


def reliability(scores: npt.ArrayLike, right: npt.ArrayLike, bins: int = 10) -> list[Bin]:
    """The bins that hold mentions, by rising score.

    Args:
        scores: Score of each predicted mention, in [0, 1].
        right: Whether each is right, in the same order.
        bins: Bins of equal width over [0, 1].

    Raises:
        ValueError: A score lies outside [0, 1] or is nan.

    Example:
        Scores .95, .91 and .55, of which the first is right: bin [.5, .6) holds one mention,
        mean .55, share 0; bin [.9, 1] two, mean .93, share .5.
    """
    scores, right = _checked(scores, right)
    edges = np.arange(bins + 1) / bins
    index = np.minimum(np.searchsorted(edges, scores, side="right") - 1, bins - 1)
    mentions = np.bincount(index, minlength=bins)
    held = np.flatnonzero(mentions)
    mentions = mentions[held]
    mean_score = np.bincount(index, weights=scores, minlength=bins)[held] / mentions
    share = np.bincount(index, weights=right, minlength=bins)[held] / mentions
    columns = (edges[held], edges[held + 1], mentions, mean_score, share, *wilson(share, mentions))
    return [Bin(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def expected_calibration_error(
    scores: npt.ArrayLike, right: npt.ArrayLike, bins: int = 10
) -> float:
    """Mean distance of mean score and share right over the bins, weighted by mentions.

    0 is calibrated; nan where there are no mentions. Arguments as in `reliability`.

    Example:
        For the bins of its example: (1 * |.55 - 0| + 2 * |.93 - .5|) / 3 = .47.
    """
    found = reliability(scores, right, bins)
    mentions = sum(one.mentions for one in found)
    gaps = sum(one.mentions * abs(one.score - one.right) for one in found)
    return gaps / mentions if mentions else nan


def wilson(share: npt.ArrayLike, number: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Lower and upper bound of the 95 % interval of shares (Wilson 1927).

    Args:
        share: Shares of yes among independent yes or no, any shape.
        number: How many there were, at least one, the same shape.

    Example:
        10 of 10 right: from .7225 to 1, where share +- 2 standard errors would say 1 to 1.
    """
    share, number = np.asarray(share, dtype=np.float64), np.asarray(number, dtype=np.float64)
    shrink = 1 + _Z**2 / number
    centre = (share + _Z**2 / (2 * number)) / shrink
    reach = _Z / shrink * np.sqrt(share * (1 - share) / number + (_Z / (2 * number)) ** 2)
    # Of no or of all the bound is the share itself, but for rounding.
    return np.clip(centre - reach, 0.0, share), np.clip(centre + reach, share, 1.0)


def threshold_curve(
    scores: npt.ArrayLike, right: npt.ArrayLike, gold: int, points: int = 200
) -> list[Threshold]:
    """Precision, recall and F1 over the threshold, by rising threshold.

    Args:
        scores: Score of each predicted mention, in [0, 1].
        right: Whether each is right, in the same order.
        gold: Number of gold mentions, repeated ones included, as the official recall counts them.
        points: At most this many points, 3 or more: of all distinct scores every so many-th, the
            first, the last and the one of the best F1.

    Raises:
        ValueError: A score lies outside [0, 1] or is nan, or more mentions are right than `gold`.

    Example:
        Scores .9 right, .5 wrong, .2 right of 4 gold mentions. From .2: P 2/3, R 2/4, F1 4/7;
        from .5: P 1/2, R 1/4, F1 1/3; from .9: P 1, R 1/4, F1 2/5.
    """
    scores, right = _checked(scores, right)
    if right.sum() > gold:
        raise ValueError(f"{right.sum()} mentions are right, but gold has only {gold}")
    thresholds, index = np.unique(scores, return_inverse=True)
    kept = _from_here_on(np.bincount(index, minlength=len(thresholds)))
    tp = _from_here_on(np.bincount(index[right], minlength=len(thresholds)))
    counts = np.stack([tp, kept - tp, gold - tp], axis=1).astype(np.float64)  # (thresholds, 3)
    shares = [np.nan_to_num(statistic(counts)) for statistic in (precision, recall, f1)]
    shown = _thinned(shares[-1], points)
    columns = [column[shown].tolist() for column in (thresholds, kept, *shares)]
    return [Threshold(*row) for row in zip(*columns, strict=True)]


def _from_here_on(numbers: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
    """Of each place, the sum of it and all that follow."""
    return np.cumsum(numbers[::-1])[::-1]


def _thinned(f1s: Floats, points: int) -> npt.NDArray[np.int_]:
    """Places of at most `points` thresholds: spread evenly, and the one of the best F1."""
    if len(f1s) <= points:
        return np.arange(len(f1s))
    spread = np.linspace(0, len(f1s) - 1, points - 1).round().astype(np.int_)
    return np.union1d(spread, f1s.argmax())


def _checked(scores: npt.ArrayLike, right: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    scores, right = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=np.bool_)
    if not np.all((scores >= 0) & (scores <= 1)):
        raise ValueError("a score of a mention lies outside [0, 1]")
    return scores, right
