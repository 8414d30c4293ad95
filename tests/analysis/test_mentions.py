from __future__ import annotations

from math import isnan, nan

import pandas as pd
import pytest

from multiclin.analysis.evaluation import Evaluation, Pair
from multiclin.analysis.mentions import COLUMNS, document_table, mention_table
from multiclin.corpus.texts import UNKNOWN
from multiclin.document import Document, Span
from multiclin.scoring.counts import strict_counts
from tests.analysis.toys import bare, evaluation, pair, random_evaluation, row


def standings(text: str) -> dict[str, str]:
    """Standing of each gold mention by its words."""
    table = mention_table(evaluation(pair("a", text, text.translate({10214: "", 10215: ""}))))
    return dict(zip(table["mention"], table["standing"], strict=True))


def test_gold_and_predicted_mentions_are_rows() -> None:
    table = mention_table(evaluation(pair("a", "⟦dolor leve⟧ y ⟦tos⟧", "⟦dolor⟧ leve y ⟦tos⟧")))
    columns = ["side", "document", "start", "end", "mention", "words", "right", "kind"]
    assert table[columns].to_numpy().tolist() == [
        ["gold", 0, 0, 10, "dolor leve", 2, False, "short right"],
        ["gold", 0, 13, 16, "tos", 1, True, ""],
        ["predicted", 0, 0, 5, "dolor", 1, False, "short right"],
        ["predicted", 0, 13, 16, "tos", 1, True, ""],
    ]
    # Dice of 10 and 5 characters: 2 * 5 / 15.
    assert table["overlap"].tolist() == [2 / 3, 1.0, 2 / 3, 1.0]


def test_the_table_has_its_columns_without_a_row() -> None:
    for found in (Evaluation("x", []), evaluation(bare("a", [], []))):
        table = mention_table(found)
        assert table.empty
        assert table.dtypes.map(str).to_dict() == COLUMNS


def test_a_document_is_its_place_among_the_pairs() -> None:
    table = mention_table(
        evaluation(pair("a", "⟦tos⟧", "tos"), bare("b", [], []), pair("c", "tos", "⟦tos⟧"))
    )
    assert table[["side", "document", "kind"]].to_numpy().tolist() == [
        ["gold", 0, "missed"],
        ["predicted", 2, "spurious"],
    ]


def test_of_a_repeated_gold_mention_one_is_found() -> None:
    span = Span(0, 4, "D")
    table = mention_table(evaluation(bare("a", [span, span], [span])))
    assert table[["side", "right", "kind"]].to_numpy().tolist() == [
        ["gold", True, ""],
        ["gold", False, "repeated"],
        ["predicted", True, ""],
    ]


def test_of_a_repeated_gold_mention_that_is_missed_one_is_missed() -> None:
    span = Span(0, 4, "D")
    table = mention_table(evaluation(bare("a", [span, span, span], [])))
    assert table["kind"].tolist() == ["missed", "repeated", "repeated"]


def test_equal_offsets_of_two_labels_are_two_mentions() -> None:
    gold, predicted = [Span(0, 4, "D"), Span(0, 4, "S")], [Span(0, 4, "S")]
    table = mention_table(evaluation(bare("a", gold, predicted)))
    assert table[["side", "label", "right", "kind"]].to_numpy().tolist() == [
        ["gold", "D", False, "missed"],
        ["gold", "S", True, ""],
        ["predicted", "S", True, ""],
    ]


@pytest.mark.parametrize("scores", [(0.2, 0.9, None), (None, 0.9, 0.2), (0.9, 0.2, None)])
def test_of_a_repeated_prediction_the_surest_is_kept(scores: tuple[float | None, ...]) -> None:
    predicted = [Span(0, 4, "D", score) for score in scores]
    table = mention_table(evaluation(bare("a", [], predicted)))
    assert table["score"].tolist() == [0.9]


def test_a_mention_without_a_score_has_nan() -> None:
    table = mention_table(evaluation(pair("a", "a y b", "⟦a⟧ y ⟦b⟧", scores=(0.0, None))))
    assert table["score"].tolist() == pytest.approx([0.0, nan], nan_ok=True)


def test_without_gold_no_mention_is_an_error() -> None:
    one = Document("a", "tos")
    table = mention_table(evaluation(Pair(one, one.with_spans((Span(0, 3, "D"),)))))
    assert table[["right", "kind", "overlap"]].to_numpy().tolist() == [[False, "", 0.0]]


def test_how_often_the_training_has_a_mention_of_its_label() -> None:
    found = evaluation(
        pair("a", "⟦Dolor\r\nleve⟧ y ⟦tos⟧", "Dolor\r\nleve y tos"),
        lexicon={"D": {"dolor leve": 7}, "S": {"tos": 3}},
    )
    assert mention_table(found)["seen"].tolist() == [7, 0]


def test_without_a_lexicon_that_is_not_known() -> None:
    assert isnan(mention_table(evaluation(pair("a", "⟦tos⟧", "tos")))["seen"].iloc[0])


def test_offsets_count_characters_whatever_they_are() -> None:
    table = mention_table(evaluation(pair("a", "\ufeff😀\r\n⟦fie😀bre⟧", "\ufeff😀\r\n⟦fie😀bre⟧")))
    assert table[["start", "end", "mention", "right"]].to_numpy().tolist() == [
        [4, 11, "fie😀bre", True],
        [4, 11, "fie😀bre", True],
    ]


def test_a_mention_without_a_word_has_none() -> None:
    assert mention_table(evaluation(pair("a", "⟦+⟧", "+")))["words"].tolist() == [0]


def test_mentions_side_by_side_are_adjacent() -> None:
    assert standings("⟦tos⟧, ⟦fiebre⟧ y ⟦dolor⟧") == {
        "tos": "adjacent",
        "fiebre": "adjacent",
        "dolor": "alone",
    }


def test_mentions_that_touch_are_adjacent() -> None:
    assert standings("⟦tos⟧⟦seca⟧") == {"tos": "adjacent", "seca": "adjacent"}


def test_mentions_far_apart_are_not_adjacent_whatever_is_between() -> None:
    assert set(standings("⟦tos⟧ / ⟦asma⟧").values()) == {"adjacent"}
    assert set(standings("⟦tos⟧    ⟦asma⟧").values()) == {"alone"}


def test_nested_mentions() -> None:
    assert standings("⟦⟦tos⟧ seca⟧ y ⟦dolor⟧") == {
        "tos seca": "around a shorter one",
        "tos": "inside a longer one",
        "dolor": "alone",
    }


def test_nested_comes_before_adjacent() -> None:
    assert standings("⟦gripe⟧, ⟦tos ⟦seca⟧⟧")["tos seca"] == "around a shorter one"


def test_mentions_of_one_end_are_nested() -> None:
    assert standings("⟦infarto ⟦agudo⟧⟧") == {
        "infarto agudo": "around a shorter one",
        "agudo": "inside a longer one",
    }


def test_a_mention_between_two_others_is_inside_one_and_around_the_other() -> None:
    # Around comes after inside in STANDINGS.
    assert standings("⟦a ⟦b ⟦c⟧⟧⟧")["b c"] == "around a shorter one"


def test_crossing_mentions_lie_partly_over_each_other() -> None:
    table = mention_table(evaluation(bare("a", [Span(0, 6, "D"), Span(4, 9, "D")], [])))
    assert table["standing"].tolist() == ["partly over one"] * 2


def test_other_labels_and_repetitions_make_no_neighbours() -> None:
    gold = [Span(0, 4, "D"), Span(0, 4, "D"), Span(0, 4, "S"), Span(2, 9, "S")]
    table = mention_table(evaluation(bare("a", gold, [])))
    of_label = table.set_index("label")["standing"]
    assert of_label["D"].tolist() == ["alone", "alone"]
    assert of_label["S"].tolist() == ["partly over one"] * 2


@pytest.mark.parametrize("seed", range(30))
def test_rows_are_the_official_counts_of_every_document(seed: int) -> None:
    found = random_evaluation(seed)
    table = mention_table(found)
    for place, (gold, predicted) in enumerate(found.pairs):
        mine = table[table["document"] == place]
        counts = mine.groupby(["side", "right"]).size()
        official = strict_counts(gold.spans, predicted.spans)
        assert counts.get(("gold", True), 0) == official.tp
        assert counts.get(("predicted", True), 0) == official.tp
        assert counts.get(("gold", False), 0) == official.fn
        assert counts.get(("predicted", False), 0) == official.fp


@pytest.mark.parametrize("seed", range(30))
def test_every_error_has_its_kind_in_the_rows(seed: int) -> None:
    found = random_evaluation(seed)
    table = mention_table(found)
    wrong = table[~table["right"]]
    assert (table["kind"] == "").equals(table["right"])
    for side in ("gold", "predicted"):
        expected = pd.Series(
            [case.kind for cases in found.cases for case in cases for _ in getattr(case, side)],
            dtype=str,
        )
        rows = wrong.loc[wrong["side"] == side, "kind"]
        assert rows.value_counts().to_dict() == expected.value_counts().to_dict()


def test_documents() -> None:
    table = document_table(
        evaluation(
            pair("a", "dos palabras", "dos palabras", case="x"),
            pair("cz-1", "", "", language=""),
            pair("z", "una", "una", language=""),
            native={"a"},
        )
    )
    assert table.to_numpy().tolist() == [
        ["a", "x", "es", "native", "D", 2],
        ["cz-1", "cz-1", "cz", "translated", "D", 0],
        ["z", "z", UNKNOWN, "translated", "D", 1],
    ]


def test_without_a_list_of_native_documents_their_kind_is_unknown() -> None:
    assert row(document_table(evaluation(pair("a", "", ""))))["subcorpus"] == UNKNOWN
