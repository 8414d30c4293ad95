from __future__ import annotations

import random
from math import fsum
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiclin.scoring.official import official, score_documents


class Row(NamedTuple):
    filename: str
    label: str
    start: int
    end: int


def test_hand_counted_result() -> None:
    gold = [
        Row("a", "DISEASE", 0, 10),  # found, but two characters short: Dice 16/18
        Row("a", "DISEASE", 20, 24),  # found
        Row("b", "DISEASE", 5, 9),  # not found
    ]
    predicted = [
        Row("a", "DISEASE", 0, 8),
        Row("a", "DISEASE", 20, 24),
        Row("a", "DISEASE", 20, 24),  # repeated: dropped
        Row("c", "DISEASE", 5, 9),  # a document without gold: false positive
    ]
    # Overlap: recall = precision = (16/18 + 1 + 0) / 3 = 0.62963; strict: 1 of 3 on both sides.
    assert official(gold, predicted, "DISEASE") == {
        "entity": "DISEASE",
        "strict": {"precision": 0.3333, "recall": 0.3333, "f1": 0.3333, "tp": 1, "fp": 2, "fn": 2},
        "char_f1": {"precision": 0.6296, "recall": 0.6296, "f1": 0.6296, "n_gold": 3, "n_pred": 3},
    }


def test_the_example_of_the_official_readme() -> None:
    # Its figures, from spans that give them: 1 of 3 right, 1 of 2 found, Dice 14/15 for the other.
    gold = [Row("a", "DISEASE", 10, 18), Row("b", "DISEASE", 5, 13)]
    predicted = [
        Row("a", "DISEASE", 10, 18),
        Row("b", "DISEASE", 5, 12),
        Row("b", "DISEASE", 90, 95),
    ]
    assert official(gold, predicted, "DISEASE") == {
        "entity": "DISEASE",
        "strict": {"precision": 0.3333, "recall": 0.5, "f1": 0.4, "tp": 1, "fp": 2, "fn": 1},
        "char_f1": {"precision": 0.6444, "recall": 0.9667, "f1": 0.7733, "n_gold": 2, "n_pred": 3},
    }


def test_f1_comes_from_unrounded_precision_and_recall() -> None:
    # P = 1/1, R = 1/6; F1 = 2/7 = 0.28571. From the rounded 0.1667 it would be 0.2858 (0.28576).
    gold = [Row("a", "D", 10 * i, 10 * i + 3) for i in range(6)]
    assert official(gold, gold[:1])["strict"]["f1"] == 0.2857


def test_entity_filters_both_sides() -> None:
    gold = [Row("a", "DISEASE", 0, 4), Row("a", "SYMPTOM", 5, 9)]
    predicted = [Row("a", "DISEASE", 0, 4), Row("b", "SYMPTOM", 5, 9)]
    result = official(gold, predicted, "DISEASE")
    assert result["strict"]["f1"] == 1.0
    assert (result["char_f1"]["n_gold"], result["char_f1"]["n_pred"]) == (1, 1)


def test_without_an_entity_labels_must_still_match() -> None:
    result = official([Row("a", "DISEASE", 0, 4)], [Row("a", "SYMPTOM", 0, 4)])
    assert result["entity"] is None
    assert (result["strict"]["fp"], result["strict"]["fn"]) == (1, 1)
    assert result["char_f1"]["f1"] == 0.0


def test_no_predictions_score_zero() -> None:
    result = official([Row("a", "D", 0, 4)], [])
    assert result["strict"] == {
        "precision": 0.0, "recall": 0.0, "f1": 0.0, "tp": 0, "fp": 0, "fn": 1,
    }  # fmt: skip
    assert result["char_f1"] == {
        "precision": 0.0, "recall": 0.0, "f1": 0.0, "n_gold": 1, "n_pred": 0,
    }  # fmt: skip


def test_documents_are_those_named_on_either_side() -> None:
    scores = score_documents([Row("b", "D", 0, 4)], [Row("a", "D", 0, 4)])
    assert list(scores) == ["a", "b"]


def slow_statement_of_the_rules(gold: list[Row], predicted: list[Row]) -> dict[str, Any]:
    """FACTS section 3, every rule as one line of all pairs."""
    distinct: list[Row] = []
    for row in predicted:
        if row not in distinct:
            distinct.append(row)

    free = list(distinct)
    tp = 0
    for row in gold:  # one-to-one
        if row in free:
            free.remove(row)
            tp += 1

    def dice(one: Row, two: Row) -> float:
        shared = min(one.end, two.end) - max(one.start, two.start)
        if one[:2] != two[:2] or shared <= 0:
            return 0.0
        p, r = shared / (one.end - one.start), shared / (two.end - two.start)
        return 2 * p * r / (p + r)

    best_gold = [max((dice(g, p) for p in distinct), default=0.0) for g in gold]
    best_predicted = [max((dice(p, g) for g in gold), default=0.0) for p in distinct]

    def shares(precision: float, recall: float) -> dict[str, float]:
        both = precision + recall
        f1 = 2 * precision * recall / both if both else 0.0
        return {"precision": round(precision, 4), "recall": round(recall, 4), "f1": round(f1, 4)}

    n_gold, n_pred = len(gold), len(distinct)
    strict = shares(tp / n_pred if n_pred else 0.0, tp / n_gold if n_gold else 0.0)
    overlap = shares(
        fsum(best_predicted) / n_pred if n_pred else 0.0,
        fsum(best_gold) / n_gold if n_gold else 0.0,
    )
    return {
        "entity": None,
        "strict": strict | {"tp": tp, "fp": n_pred - tp, "fn": n_gold - tp},
        "char_f1": overlap | {"n_gold": n_gold, "n_pred": n_pred},
    }


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """Rows crowded into few documents, labels and offsets: many repeat, nest and overlap."""
    reach = draw(st.sampled_from([4, 12, 60]))
    mention = st.tuples(st.integers(0, reach), st.integers(1, reach)).map(
        lambda at: (at[0], at[0] + at[1])
    )
    row = st.builds(
        lambda filename, label, span: Row(filename, label, *span),
        st.sampled_from("ab"),
        st.sampled_from(["D", "S"]),
        mention,
    )
    return draw(st.lists(row, max_size=25))


@settings(max_examples=200, deadline=None)
@given(gold=rows(), predicted=rows(), shared=rows())
def test_equals_the_slow_statement_of_the_rules(
    gold: list[Row], predicted: list[Row], shared: list[Row]
) -> None:
    gold, predicted = gold + shared, shared[::2] + predicted
    assert official(gold, predicted) == slow_statement_of_the_rules(gold, predicted)


def test_equals_the_slow_statement_on_thousands_of_random_cases() -> None:
    # hypothesis looks for the odd case and shrinks it; plain chance is cheaper for the mass.
    chance = random.Random(0)

    def crowded(most: int, reach: int) -> list[Row]:
        starts = [chance.randrange(reach) for _ in range(chance.randint(0, most))]
        return [
            Row(chance.choice("ab"), chance.choice("DS"), at, at + chance.randint(1, reach))
            for at in starts
        ]

    for case in range(5000):
        reach = chance.choice([2, 4, 12, 60])
        shared = crowded(8, reach)
        gold, predicted = crowded(8, reach) + shared, shared + crowded(8, reach)
        assert official(gold, predicted) == slow_statement_of_the_rules(gold, predicted), case


@settings(max_examples=50, deadline=None)
@given(gold=rows(), predicted=rows(), data=st.data())
def test_the_order_of_rows_changes_nothing(
    gold: list[Row], predicted: list[Row], data: st.DataObject
) -> None:
    shuffled = official(data.draw(st.permutations(gold)), data.draw(st.permutations(predicted)))
    assert shuffled == official(gold, predicted)


@pytest.mark.parametrize("entity", ["D", "S"])
@settings(max_examples=50, deadline=None)
@given(gold=rows(), predicted=rows())
def test_the_filter_is_the_same_as_leaving_rows_out(
    entity: str, gold: list[Row], predicted: list[Row]
) -> None:
    def kept(side: list[Row]) -> list[Row]:
        return [row for row in side if row.label == entity]

    filtered = official(kept(gold), kept(predicted)) | {"entity": entity}
    assert official(gold, predicted, entity) == filtered
