from __future__ import annotations

import pytest

from multiclin.document import Span
from multiclin.scoring.overlap import Overlap, character_overlap


def test_each_side_takes_its_best_dice() -> None:
    overlap = character_overlap([Span(0, 10, "D")], [Span(0, 5, "D"), Span(5, 6, "D")])
    assert overlap.gold == pytest.approx((2 * 5 / 15,))
    assert overlap.predicted == pytest.approx((2 * 5 / 15, 2 * 1 / 11))


def test_one_prediction_may_serve_two_gold_mentions() -> None:
    overlap = character_overlap([Span(0, 4, "D"), Span(6, 10, "D")], [Span(0, 10, "D")])
    assert overlap.gold == pytest.approx((8 / 14, 8 / 14))
    assert overlap.predicted == pytest.approx((8 / 14,))


def test_another_label_at_the_same_place_does_not_overlap() -> None:
    overlap = character_overlap([Span(0, 4, "D")], [Span(0, 4, "S")])
    assert overlap == Overlap(gold=(0.0,), predicted=(0.0,))


def test_neighbours_that_touch_do_not_overlap() -> None:
    assert character_overlap([Span(0, 4, "D")], [Span(4, 8, "D")]).f1 == 0.0


def test_a_short_mention_is_not_hidden_by_a_long_one_that_began_earlier() -> None:
    # The long gold mention stays open over both predictions; the short one ends between them.
    gold = [Span(0, 100, "D"), Span(10, 14, "D")]
    overlap = character_overlap(gold, [Span(10, 14, "D"), Span(50, 100, "D")])
    assert overlap.gold == pytest.approx((100 / 150, 1.0))
    assert overlap.predicted == pytest.approx((1.0, 100 / 150))


def test_repetitions_count_in_gold_and_not_in_predictions() -> None:
    span = Span(0, 4, "D")
    assert character_overlap([span, span], [span, span]) == Overlap((1.0, 1.0), (1.0,))


def test_an_empty_side_scores_zero() -> None:
    overlap = character_overlap([Span(0, 4, "D")], [])
    assert (overlap.precision, overlap.recall, overlap.f1) == (0.0, 0.0, 0.0)


def test_overlaps_of_documents_add_up_in_any_order() -> None:
    first, second = Overlap((0.1, 0.2), (0.7,)), Overlap((0.3,), ())
    assert first + second == Overlap.total([first, second]) == Overlap((0.1, 0.2, 0.3), (0.7,))
    assert (first + second).recall == (second + first).recall == pytest.approx(0.2)
