from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.scoring.calibration import (
    expected_calibration_error,
    reliability,
    threshold_curve,
    wilson,
)
from multiclin.scoring.counts import Counts

MENTIONS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def test_bins_that_hold_mentions() -> None:
    first, last = reliability([0.95, 0.55, 0.91], [True, False, False])
    assert first[:5] == (0.5, 0.6, 1, 0.55, 0.0)
    assert last[:5] == pytest.approx((0.9, 1.0, 2, 0.93, 0.5))
    assert last.right_low == pytest.approx(0.0945, abs=5e-5)  # Wilson of 1 in 2
    assert last.right_high == pytest.approx(0.9055, abs=5e-5)


def test_a_score_on_an_edge_opens_the_upper_bin_and_one_closes_the_last() -> None:
    scores = [0.0, 0.3, 0.7, 1.0]
    assert [one.low for one in reliability(scores, [True] * 4)] == [0.0, 0.3, 0.7, 0.9]


@given(MENTIONS, st.integers(1, 30))
def test_every_mention_is_in_the_bin_of_its_score(
    mentions: list[tuple[float, bool]], bins: int
) -> None:
    scores, right = zip(*mentions, strict=True)
    found = reliability(scores, right, bins)
    assert sum(one.mentions for one in found) == len(mentions)
    assert sum(one.mentions * one.right for one in found) == pytest.approx(sum(right))
    assert all(one.low - 1e-12 <= one.score <= one.high + 1e-12 for one in found)
    assert all(one.right_low <= one.right <= one.right_high for one in found)


def test_expected_calibration_error() -> None:
    # Bin [.5, .6): 1 mention, gap .55. Bin [.9, 1]: 2 mentions, gap .93 - .5.
    error = expected_calibration_error([0.95, 0.55, 0.91], [True, False, False])
    assert error == pytest.approx((1 * 0.55 + 2 * 0.43) / 3)
    assert expected_calibration_error([0.75] * 4, [True, True, True, False]) == 0.0


def test_wilson() -> None:
    low, high = wilson([1.0, 0.5, 0.0], [10, 10, 10])
    assert low == pytest.approx([0.7225, 0.2366, 0.0], abs=5e-5)
    assert high == pytest.approx([1.0, 0.7634, 0.2775], abs=5e-5)


def test_shares_lie_within_their_bounds() -> None:
    shares = [(right / number, number) for number in range(1, 61) for right in range(number + 1)]
    share, number = np.array(shares).T
    low, high = wilson(share, number)
    assert np.all((low >= 0) & (low <= share) & (share <= high) & (high <= 1))


def test_threshold_curve() -> None:
    lowest, middle, highest = threshold_curve([0.9, 0.5, 0.2], [True, False, True], gold=4)
    assert lowest == pytest.approx((0.2, 3, 2 / 3, 2 / 4, 4 / 7))
    assert middle == pytest.approx((0.5, 2, 1 / 2, 1 / 4, 1 / 3))
    assert highest == pytest.approx((0.9, 1, 1 / 1, 1 / 4, 2 / 5))


def test_mentions_of_one_score_are_kept_together() -> None:
    (point,) = threshold_curve([0.5, 0.5, 0.5], [True, False, True], gold=2)
    assert point == pytest.approx((0.5, 3, 2 / 3, 2 / 2, 4 / 5))


@given(MENTIONS, st.integers(0, 20), st.integers(3, 10))
def test_the_thinned_curve_keeps_both_ends_and_the_best(
    mentions: list[tuple[float, bool]], missed: int, points: int
) -> None:
    scores, right = zip(*mentions, strict=True)
    gold = sum(right) + missed
    whole = threshold_curve(scores, right, gold, points=100)
    thinned = threshold_curve(scores, right, gold, points=points)
    assert [one.threshold for one in whole] == sorted(set(scores))
    assert len(thinned) == min(points, len(whole)) or len(thinned) == points - 1
    assert thinned[0] == whole[0]
    assert thinned[-1] == whole[-1]
    assert max(one.f1 for one in thinned) == max(one.f1 for one in whole)
    assert set(thinned) <= set(whole)


@given(MENTIONS, st.integers(0, 20))
def test_every_point_is_the_official_score_of_the_mentions_kept(
    mentions: list[tuple[float, bool]], missed: int
) -> None:
    scores, right = zip(*mentions, strict=True)
    gold = sum(right) + missed
    for point in threshold_curve(scores, right, gold):
        kept = [is_right for score, is_right in mentions if score >= point.threshold]
        counts = Counts(tp=sum(kept), fp=len(kept) - sum(kept), fn=gold - sum(kept))
        assert point.mentions == len(kept)
        assert point[2:] == (counts.precision, counts.recall, counts.f1)


def test_no_mentions() -> None:
    assert reliability([], []) == []
    assert threshold_curve([], [], gold=3) == []
    assert isnan(expected_calibration_error([], []))


def test_figures_are_plain_numbers() -> None:
    (point,) = threshold_curve(np.array([0.5]), np.array([True]), gold=1)
    (one,) = reliability(np.array([0.5]), np.array([True]))
    assert {type(value) for value in (*point, *one)} == {int, float}


@pytest.mark.parametrize("score", [1.01, -0.2, float("nan")])
def test_a_score_that_is_no_probability_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        reliability([0.5, score], [True, True])


def test_more_right_mentions_than_gold_are_refused() -> None:
    with pytest.raises(ValueError, match="2 mentions are right, but gold has only 1"):
        threshold_curve([0.5, 0.6], [True, True], gold=1)
