from __future__ import annotations

import pytest

from multiclin.document import Span
from multiclin.scoring.counts import Counts, harmonic_mean, strict_counts


def test_label_start_and_end_must_all_be_right() -> None:
    gold = [Span(60, 68, "DISEASE"), Span(80, 90, "DISEASE"), Span(95, 99, "SYMPTOM")]
    predicted = [Span(60, 68, "DISEASE"), Span(80, 91, "DISEASE"), Span(95, 99, "DISEASE")]
    assert strict_counts(gold, predicted) == Counts(tp=1, fp=2, fn=2)


def test_a_repeated_gold_mention_costs_one_false_negative() -> None:
    gold = [Span(0, 5, "DISEASE"), Span(0, 5, "DISEASE")]
    assert strict_counts(gold, gold) == Counts(tp=1, fp=0, fn=1)


def test_a_repeated_prediction_counts_once() -> None:
    predicted = [Span(7, 9, "DISEASE"), Span(7, 9, "DISEASE", score=0.5)]
    assert strict_counts([], predicted) == Counts(tp=0, fp=1, fn=0)


def test_nothing_to_find_and_nothing_found_scores_zero() -> None:
    counts = strict_counts([], [])
    assert (counts.precision, counts.recall, counts.f1) == (0.0, 0.0, 0.0)


def test_counts_of_documents_add_up() -> None:
    total = sum([Counts(tp=2, fp=1, fn=0), Counts(tp=1, fp=0, fn=3)], Counts())
    assert total == Counts(tp=3, fp=1, fn=3)
    assert total.precision == 3 / 4
    assert total.recall == 3 / 6
    assert total.f1 == pytest.approx(6 / 10)  # 2 tp / (2 tp + fp + fn)


def test_harmonic_mean_of_two_zeros_is_zero() -> None:
    assert harmonic_mean(0.0, 0.0) == 0.0
    assert harmonic_mean(1.0, 0.0) == 0.0
    assert harmonic_mean(0.5, 0.5) == 0.5
