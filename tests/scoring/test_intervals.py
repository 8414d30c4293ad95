from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap  # type: ignore[import-untyped]

from multiclin.document import Span
from multiclin.scoring.breakdown import document_macro_f1
from multiclin.scoring.counts import Counts
from multiclin.scoring.intervals import (
    Floats,
    clustered,
    f1,
    interval,
    mean,
    of_values,
    overlap_f1,
    precision,
    recall,
    resampling_weights,
)
from multiclin.scoring.official import score_mentions

NUMBERS = st.integers(min_value=0, max_value=200)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_statistics_are_the_official_score_to_the_last_bit(tp: int, fp: int, fn: int) -> None:
    counts, official = np.array([tp, fp, fn], dtype=np.float64), Counts(tp, fp, fn)
    assert np.nan_to_num(precision(counts)) == official.precision
    assert np.nan_to_num(recall(counts)) == official.recall
    assert np.nan_to_num(f1(counts)) == official.f1


def test_a_score_is_undefined_only_where_nothing_could_be_counted() -> None:
    spurious, missed, silent = np.array([[0.0, 2, 0], [0, 0, 3], [0, 0, 0]])
    assert precision(spurious) == 0.0
    assert isnan(recall(spurious))
    assert f1(spurious) == f1(missed) == 0.0
    assert isnan(f1(silent))


def test_overlap_f1_is_the_official_character_score() -> None:
    score = score_mentions([Span(0, 10, "D"), Span(20, 24, "D")], [Span(0, 5, "D")])
    (found,) = score.overlap.predicted  # Dice 10 / 15; the same for the first gold mention
    sums = np.array([found, 1, sum(score.overlap.gold), 2])
    assert (
        overlap_f1(sums) == score.overlap.f1 == pytest.approx(2 * 2 / 3 * 1 / 3 / (2 / 3 + 1 / 3))
    )


def test_documents_of_a_cluster_add_up() -> None:
    counts = clustered([[1, 0, 2], [4, 1, 0], [1, 1, 1]], ["b", "a", "b"])
    assert counts.tolist() == [[4, 1, 0], [2, 1, 3]]


def test_every_resampled_corpus_has_as_many_units() -> None:
    weights = resampling_weights(7, resamples=50, seed=3)
    assert weights.shape == (50, 7)
    assert weights.sum(axis=1).tolist() == [7] * 50
    assert np.array_equal(weights, resampling_weights(7, resamples=50, seed=3))
    assert not np.array_equal(weights, resampling_weights(7, resamples=50, seed=4))


def test_the_value_is_the_score_of_all_units_together() -> None:
    found = interval([[8, 2, 1], [5, 0, 5], [9, 1, 3], [2, 2, 2]], precision)
    assert found.value == 24 / 29
    assert 2 / 4 <= found.low < found.value < found.high <= 5 / 5  # between worst and best unit


def test_documents_that_are_all_alike_leave_no_doubt() -> None:
    assert interval([[3, 1, 1]] * 5) == pytest.approx((0.75, 0.75, 0.75))
    assert interval([[0, 1, 1]] * 5) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("counts", "value"),
    [(np.empty((0, 3)), 0.0), ([[3, 1, 1]], 0.75), ([[3, 1, 1], [0, 0, 0]], 0.75)],
    ids=["no document", "one", "one that has mentions"],
)
def test_bounds_need_two_documents_that_have_the_score(counts: Floats, value: float) -> None:
    found = interval(counts)
    assert found.value == value
    assert isnan(found.low)
    assert isnan(found.high)


def test_nothing_anywhere_is_zero_without_bounds() -> None:
    found = interval(np.zeros((5, 3)))
    assert found.value == 0.0
    assert isnan(found.low)


def test_resampled_corpora_without_the_stratum_say_nothing_of_it() -> None:
    # Two of 20 documents: 12 of 100 resampled corpora hold neither. Their F1 is not 0.
    counts = np.zeros((20, 3))
    counts[:2] = [[9, 1, 1], [8, 2, 2]]
    assert interval(counts).low >= 0.8 - 1e-12


def test_a_higher_level_is_a_wider_interval() -> None:
    counts = np.random.default_rng(0).integers(0, 9, (30, 3))
    weights = resampling_weights(30)
    narrow = interval(counts, weights=weights, level=0.5)
    wide = interval(counts, weights=weights, level=0.99)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_document_macro_leaves_out_documents_without_a_value() -> None:
    found = interval(of_values([1.0, 2 / 3, float("nan"), 0.0]), mean)
    one, two = Span(0, 4, "D"), Span(5, 9, "D")
    scores = [
        score_mentions([one], [one]),
        score_mentions([one, two], [one]),  # P 1, R 1/2
        score_mentions([], []),
        score_mentions([], [two]),
    ]
    assert found.value == pytest.approx(document_macro_f1(scores)) == pytest.approx(5 / 9)
    assert 0.0 <= found.low < 5 / 9 < found.high <= 1.0


def test_the_interval_covers_the_truth_in_about_95_of_100_corpora() -> None:
    generator = np.random.default_rng(4)

    def corpus(documents: int) -> Floats:
        """Documents of 20 mentions on average, found and found right as each one's ease allows."""
        ease = generator.beta(6, 2, documents)
        gold, predicted = generator.poisson(20, (2, documents))
        tp = generator.binomial(gold, ease)
        fp = generator.binomial(predicted, 1 - ease)
        return np.stack([tp, fp, gold - tp], axis=1).astype(np.float64)

    truth = interval(corpus(300_000), weights=np.ones((1, 300_000))).value
    weights = resampling_weights(100)
    found = [interval(corpus(100), weights=weights) for _ in range(300)]
    covered = np.mean([low <= truth <= high for _, low, high in found])
    assert truth == pytest.approx(0.75, abs=0.005)
    assert 0.92 <= covered <= 0.98


def test_few_units_widen_the_interval_as_students_t_does() -> None:
    values = np.linspace(0, 1, 20)
    found = interval(of_values(values), mean, weights=resampling_weights(20, 20_000))
    # t of 19 degrees of freedom is 2.093; 1.96 and the deviation of n are 9 % less.
    reach = 2.093 * values.std(ddof=1) / np.sqrt(20)
    assert (found.high - found.low) / 2 == pytest.approx(reach, rel=0.03)


def test_skew_moves_the_bounds_as_bca_does() -> None:
    values = np.random.default_rng(2).lognormal(sigma=1.5, size=400)
    found = interval(of_values(values), mean, weights=resampling_weights(400, 20_000))
    bca, percentile = (
        bootstrap((values,), np.mean, n_resamples=20_000, method=method, rng=1)
        for method in ("BCa", "percentile")
    )
    assert found[1:] == pytest.approx(bca.confidence_interval, rel=0.01)
    assert found.high > 1.03 * percentile.confidence_interval.high


def test_translations_of_a_case_are_one_unit() -> None:
    # The same 15 documents in 4 languages are 15 pieces of evidence, not 60.
    counts = np.random.default_rng(1).integers(0, 9, (15, 3))
    cases = [str(case) for case in range(15)] * 4
    alone = interval(counts)
    four = interval(clustered(np.tile(counts, (4, 1)), cases))
    apart = interval(np.tile(counts, (4, 1)))
    assert four.value == alone.value == apart.value
    assert four.high - four.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert apart.high - apart.low < 0.6 * (alone.high - alone.low)
