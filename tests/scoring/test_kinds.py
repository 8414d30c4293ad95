from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.document import Span
from multiclin.scoring.counts import Counts, strict_counts
from multiclin.scoring.kinds import ABOUT, BOUNDARY, KINDS, ErrorCase, error_cases, fixed


def d(*offsets: tuple[int, int]) -> list[Span]:
    return [Span(start, end, "D") for start, end in offsets]


def one(kind: str, gold: list[Span], predicted: list[Span]) -> ErrorCase:
    return ErrorCase(kind, tuple(gold), tuple(predicted))


# Kind -> gold, predicted: one document whose only error is of that kind.
ONE_OF_EACH = {
    "label": (d((10, 20)), [Span(10, 20, "S")]),
    "short left": (d((10, 20)), d((12, 20))),
    "short right": (d((10, 20)), d((10, 18))),
    "short both": (d((10, 20)), d((12, 18))),
    "long left": (d((10, 20)), d((8, 20))),
    "long right": (d((10, 20)), d((10, 22))),
    "long both": (d((10, 20)), d((8, 22))),
    "shifted": (d((10, 20)), d((12, 22))),
    "merged": (d((10, 14), (16, 20)), d((10, 20))),
    "split": (d((10, 20)), d((10, 14), (16, 20))),
    "missed": (d((10, 20)), d()),
    "spurious": (d(), d((10, 20))),
}


@pytest.mark.parametrize("kind", ONE_OF_EACH)
def test_a_single_error_has_its_kind(kind: str) -> None:
    gold, predicted = ONE_OF_EACH[kind]
    assert error_cases(gold, predicted) == [one(kind, gold, predicted)]


def test_shifted_to_the_left_is_shifted_too() -> None:
    assert error_cases(d((10, 20)), d((8, 18))) == [one("shifted", d((10, 20)), d((8, 18)))]


def test_the_inner_one_of_two_nested_mentions_is_nested_where_the_outer_is_found() -> None:
    assert error_cases(d((0, 20), (5, 9)), d((0, 20))) == [one("nested", d((5, 9)), [])]


def test_a_prediction_inside_a_gold_mention_that_was_found_is_nested() -> None:
    assert error_cases(d((0, 20)), d((0, 20), (5, 9))) == [one("nested", [], d((5, 9)))]


def test_a_repetition_of_a_found_mention_is_repeated() -> None:
    assert error_cases(d((0, 4), (0, 4)), d((0, 4))) == [one("repeated", d((0, 4)), [])]


def test_of_a_mention_three_times_in_gold_and_not_found_one_is_missed() -> None:
    assert error_cases(d((0, 4), (0, 4), (0, 4)), []) == [
        one("missed", d((0, 4)), []),
        one("repeated", d((0, 4)), []),
        one("repeated", d((0, 4)), []),
    ]


def test_a_repeated_mention_with_a_boundary_error_is_paired_once() -> None:
    assert error_cases(d((0, 4), (0, 4)), d((0, 5))) == [
        one("long right", d((0, 4)), d((0, 5))),
        one("repeated", d((0, 4)), []),
    ]


def test_what_is_exactly_right_is_no_error() -> None:
    assert error_cases(d((0, 4), (6, 9)), d((0, 4), (6, 9), (6, 9))) == []
    assert error_cases([], []) == []


def test_swapped_labels_are_two_label_errors_and_no_overlaps() -> None:
    gold = [Span(0, 4, "D"), Span(6, 9, "S")]
    predicted = [Span(0, 4, "S"), Span(6, 9, "D")]
    assert error_cases(gold, predicted) == [
        one("label", gold[:1], predicted[:1]),
        one("label", gold[1:], predicted[1:]),
    ]


def test_labels_of_one_place_are_swapped_one_to_one_in_order() -> None:
    # Three labels wanted at one place, two others found: A as B, C as D; E overlaps no E: missed.
    gold = [Span(0, 4, label) for label in "ACE"]
    predicted = [Span(0, 4, label) for label in "BD"]
    assert error_cases(gold, predicted) == [
        one("label", gold[:1], predicted[:1]),
        one("label", gold[1:2], predicted[1:]),
        one("missed", gold[2:], []),
    ]


def test_a_right_label_beside_a_wrong_one_drops_out_first() -> None:
    gold = [Span(0, 4, "D")]
    predicted = [Span(0, 4, "D"), Span(0, 4, "S")]
    assert error_cases(gold, predicted) == [one("spurious", [], predicted[1:])]


def test_another_label_that_overlaps_but_is_not_equal_does_not_count() -> None:
    gold, predicted = [Span(0, 4, "D")], [Span(0, 5, "S")]
    assert error_cases(gold, predicted) == [
        one("missed", gold, []),
        one("spurious", [], predicted),
    ]


def test_mentions_that_only_touch_do_not_overlap() -> None:
    assert error_cases(d((0, 4)), d((4, 8))) == [
        one("missed", d((0, 4)), []),
        one("spurious", [], d((4, 8))),
    ]


def test_gold_mentions_that_touch_are_disjoint() -> None:
    assert error_cases(d((0, 4), (4, 8)), d((0, 8))) == [
        one("merged", d((0, 4), (4, 8)), d((0, 8)))
    ]


def test_in_a_chain_each_joins_what_lies_over_several() -> None:
    # g1 0-10, p1 5-25, g2 20-40, p2 30-50: p1 is over g1 and g2, g2 is over p1 and p2.
    assert error_cases(d((0, 10), (20, 40)), d((5, 25), (30, 50))) == [
        one("merged", d((0, 10)), d((5, 25))),
        one("split", d((20, 40)), d((30, 50))),
    ]


def test_a_boundary_error_on_the_outer_mention_leaves_the_inner_one_nested() -> None:
    assert error_cases(d((0, 20), (5, 9)), d((0, 18))) == [
        one("short right", d((0, 20)), d((0, 18))),
        one("nested", d((5, 9)), []),
    ]


def test_a_prediction_between_two_nested_mentions_takes_the_more_alike() -> None:
    # Dice of 4-10 with 0-20: 2*6/26; with 5-9: 2*4/10.
    assert error_cases(d((0, 20), (5, 9)), d((4, 10))) == [
        one("nested", d((0, 20)), []),
        one("long both", d((5, 9)), d((4, 10))),
    ]


def test_of_two_predictions_over_each_other_the_more_alike_is_paired() -> None:
    # 0-9 and 1-8 overlap each other, so 0-10 is not split; the second is nested.
    assert error_cases(d((0, 10)), d((0, 9), (1, 8))) == [
        one("short right", d((0, 10)), d((0, 9))),
        one("nested", [], d((1, 8))),
    ]


def test_equal_overlaps_are_paired_from_the_left() -> None:
    # 2-8 shares four of six characters with either, and they share 4-6: nothing is merged.
    assert error_cases(d((0, 6), (4, 10)), d((2, 8))) == [
        one("shifted", d((0, 6)), d((2, 8))),
        one("nested", d((4, 10)), []),
    ]


def test_the_outer_mention_of_a_merged_one_is_merged_too() -> None:
    gold = d((0, 4), (0, 12), (6, 10))
    assert error_cases(gold, d((0, 10))) == [one("merged", gold, d((0, 10)))]


def test_a_gold_mention_under_a_merged_prediction_is_paired_first() -> None:
    # 0-20 is over both gold mentions; 15-22 overlaps it, so 14-20 is not split but paired.
    assert error_cases(d((0, 4), (14, 20)), d((0, 20), (15, 22))) == [
        one("merged", d((0, 4)), d((0, 20))),
        one("shifted", d((14, 20)), d((15, 22))),
    ]


def test_a_merged_prediction_may_have_no_gold_mention_left() -> None:
    assert error_cases(d((0, 4), (14, 20)), d((0, 20), (0, 3), (15, 20))) == [
        one("short right", d((0, 4)), d((0, 3))),
        one("merged", [], d((0, 20))),
        one("short left", d((14, 20)), d((15, 20))),
    ]


def test_a_split_mention_may_have_no_prediction_left() -> None:
    assert error_cases(d((0, 20), (0, 3), (15, 20)), d((0, 4), (14, 20))) == [
        one("long right", d((0, 3)), d((0, 4))),
        one("split", d((0, 20)), []),
        one("long left", d((15, 20)), d((14, 20))),
    ]


def test_of_two_merged_predictions_the_more_alike_gets_the_gold_mention() -> None:
    # 8-12: Dice with 0-20 is 2*4/24, with 6-30 it is 2*4/28; 0-3 and 26-30 are under one each.
    assert error_cases(d((0, 3), (8, 12), (26, 30)), d((0, 20), (6, 30))) == [
        one("merged", d((0, 3), (8, 12)), d((0, 20))),
        one("merged", d((26, 30)), d((6, 30))),
    ]


def test_a_found_mention_does_not_make_a_prediction_merged() -> None:
    assert error_cases(d((0, 4), (6, 10)), d((0, 4), (0, 10))) == [
        one("long left", d((6, 10)), d((0, 10)))
    ]


def test_a_mention_over_a_prediction_that_went_to_another_label_is_nested() -> None:
    gold = [Span(0, 4, "S"), Span(2, 9, "D")]
    predicted = [Span(0, 4, "D")]
    assert error_cases(gold, predicted) == [
        one("label", gold[:1], predicted),
        one("nested", gold[1:], []),
    ]


def test_cases_come_by_where_they_begin() -> None:
    gold, predicted = d((50, 60), (20, 30), (0, 5)), d((48, 60), (35, 40), (22, 30))
    assert [case.kind for case in error_cases(gold, predicted)] == [
        "missed",  # 0
        "short left",  # 20
        "spurious",  # 35
        "long left",  # 48
    ]


def test_of_equal_predictions_the_surest_score_is_kept() -> None:
    for scores in ((0.2, 0.9, None), (None, 0.9, 0.2)):
        [case] = error_cases([], [Span(0, 4, "D", score=score) for score in scores])
        assert [span.score for span in case.predicted] == [0.9]


def test_every_kind_can_come_up_and_has_its_sentence() -> None:
    met = {
        case.kind
        for seed in range(300)
        for case in error_cases(*_random_mentions(random.Random(seed)))
    }
    assert met == set(KINDS) == set(ABOUT)
    assert len(KINDS) == 14
    assert {kind for kind in KINDS if kind.startswith(("short", "long"))} | {"shifted"} == BOUNDARY


def _random_mentions(rng: random.Random) -> tuple[list[Span], list[Span]]:
    """Up to ten mentions a side in 24 characters under three labels: nested, crossing, repeated."""

    def side() -> list[Span]:
        starts = [rng.randrange(24) for _ in range(rng.randrange(11))]
        return [Span(start, start + rng.randint(1, 8), rng.choice("DDDPS")) for start in starts]

    gold, predicted = side(), side()
    gold += rng.sample(gold, len(gold) // 3)
    predicted += rng.sample(gold, len(gold) // 3) + rng.sample(predicted, len(predicted) // 3)
    return gold, predicted


def _assert_all_in_one_case(gold: list[Span], predicted: list[Span]) -> None:
    cases = error_cases(gold, predicted)
    false_negatives = Counter(span for case in cases for span in case.gold)
    false_positives = Counter(span for case in cases for span in case.predicted)
    assert false_negatives == Counter(gold) - Counter(set(predicted))
    assert false_positives == Counter(set(predicted) - set(gold))

    counts = strict_counts(gold, predicted)
    assert (false_negatives.total(), false_positives.total()) == (counts.fn, counts.fp)
    assert fixed(counts, cases) == Counts(tp=len(gold), fp=0, fn=0)


def test_kinds_add_up_to_the_official_errors_on_a_thousand_random_sets() -> None:
    for seed in range(1000):
        _assert_all_in_one_case(*_random_mentions(random.Random(seed)))


spans = st.builds(
    lambda start, length, label: Span(start, start + length, label),
    st.integers(0, 12),
    st.integers(1, 8),
    st.sampled_from("DS"),
)


@given(st.lists(spans, max_size=8), st.lists(spans, max_size=8))
def test_kinds_add_up_to_the_official_errors(gold: list[Span], predicted: list[Span]) -> None:
    _assert_all_in_one_case(gold, predicted)


@given(st.lists(spans, max_size=8), st.lists(spans, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_mentions_does_not_matter(
    gold: list[Span], predicted: list[Span], rng: random.Random
) -> None:
    cases = error_cases(gold, predicted)
    rng.shuffle(gold)
    rng.shuffle(predicted)
    assert error_cases(gold, predicted) == cases


def _touched(span: Span, others: Iterable[Span]) -> bool:
    return any(span.label == other.label and span.overlaps(other) for other in others)


@given(st.lists(spans, max_size=8), st.lists(spans, max_size=8))
def test_kinds_say_what_overlaps(gold: list[Span], predicted: list[Span]) -> None:
    for kind, missing, extra in error_cases(gold, predicted):
        if kind in BOUNDARY:
            assert _touched(missing[0], extra)
        elif kind == "merged":
            assert len(extra) == 1
            assert all(_touched(span, extra) for span in missing)
        elif kind == "split":
            assert len(missing) == 1
            assert all(_touched(span, missing) for span in extra)
        elif kind in {"missed", "spurious", "nested"}:
            beside = [_touched(span, predicted) for span in missing]
            beside += [_touched(span, gold) for span in extra]
            assert beside == [kind == "nested"]


def test_fixing_a_case_finds_its_gold_and_drops_its_predictions() -> None:
    # 2 * 6 / (2 * 6 + 3 + 5) = 0.6; the merged case has two gold mentions and one prediction.
    merged = one("merged", d((10, 14), (16, 20)), d((10, 20)))
    after = fixed(Counts(tp=6, fp=3, fn=5), [merged])
    assert after == Counts(tp=8, fp=2, fn=3)
    assert after.f1 == pytest.approx(16 / 21)


def test_fixing_nothing_changes_nothing() -> None:
    assert fixed(Counts(tp=6, fp=3, fn=5), []) == Counts(tp=6, fp=3, fn=5)


def test_all_cases_fixed_is_a_perfect_score() -> None:
    gold, predicted = d((0, 4), (0, 4), (6, 9), (20, 30)), d((0, 4), (5, 9), (40, 44))
    assert fixed(strict_counts(gold, predicted), error_cases(gold, predicted)).f1 == 1.0


def test_a_document_of_five_thousand_mentions_takes_no_comparison_of_all_pairs() -> None:
    # Every gold mention is found one character too long, below one gold mention of everything.
    gold = d((0, 50_000), *((10 * i, 10 * i + 5) for i in range(5000)))
    predicted = d(*((10 * i, 10 * i + 6) for i in range(5000)))
    begun = process_time()
    kinds = Counter(case.kind for case in error_cases(gold, predicted))
    assert process_time() - begun < 2
    assert kinds == {"long right": 5000, "split": 1}
