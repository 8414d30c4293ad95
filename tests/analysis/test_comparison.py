"""Systems side by side: every expectation is counted by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from multiclin.analysis.comparison import (
    agreement_rows,
    compare,
    difference_rows,
    system_rows,
)
from multiclin.analysis.evaluation import Evaluation, Pair, of_label
from multiclin.document import Document, Span
from multiclin.errors import ConfigError
from multiclin.scoring.significance import holm
from multiclin.tables import as_latex, numeric_columns

TEXT = "dolor de pecho, tos y fiebre alta"
CHEST, COUGH, FEVER, HIGH_FEVER = (0, 14), (16, 19), (22, 28), (22, 33)
Offsets = Sequence[tuple[int, int]]


def document(name: str, mentions: Offsets, *, language: str = "es", case: str = "") -> Document:
    spans = tuple(Span(start, end, "SYMPTOM") for start, end in mentions)
    return Document(name, TEXT, spans, language, frozenset({"SYMPTOM"}), case)


def system(name: str, gold: Sequence[Document], found: Mapping[str, Offsets]) -> Evaluation:
    """A system by what it finds in each document; nothing where the document is not named."""
    pairs = [
        Pair(one, one.with_spans(document(one.id, found.get(one.id, ())).spans)) for one in gold
    ]
    return Evaluation(name, pairs)


def coughs(number: int, language: str = "es") -> list[Document]:
    """Documents that each have one mention."""
    return [document(f"{language}-{place}", [COUGH], language=language) for place in range(number)]


def all_of(documents: Sequence[Document]) -> dict[str, Offsets]:
    """All that is in gold."""
    return {one.id: [(span.start, span.end) for span in one.spans] for one in documents}


GOLD = [document("case-1", [CHEST, HIGH_FEVER])]
A = system("a", GOLD, {"case-1": [CHEST]})
B = system("b", GOLD, {"case-1": [CHEST, FEVER]})


def test_two_systems_are_counted_and_their_mentions_told_apart() -> None:
    tables = compare([A, B])
    # a: 1 of 1 right, 1 of 2 found: 2/3. b: 1 of 2 right, 1 of 2 found: 1/2.
    columns = ["system", "documents", "gold", "predicted", "right", "precision", "recall", "f1"]
    assert tables["systems"][columns].to_numpy().tolist() == [
        ["a", 1, 2, 1, 1, 1, 0.5, pytest.approx(2 / 3)],
        ["b", 1, 2, 2, 1, 0.5, 0.5, 0.5],
    ]
    (row,) = tables["differences"].to_dict("records")
    assert (row["a"], row["b"], row["dimension"], row["group"]) == ("a", "b", "all", "all")
    assert (row["f1_a"], row["f1_b"]) == pytest.approx((2 / 3, 1 / 2))
    assert row["difference"] == pytest.approx(-1 / 6)
    assert tables["agreement"].to_dict("records") == [
        {
            **{"a": "a", "b": "b"},
            **{"gold_both": 1, "gold_only_a": 0, "gold_only_b": 0, "gold_neither": 1},
            **{"wrong_both": 0, "wrong_only_a": 0, "wrong_only_b": 1},
        }
    ]
    # Both miss the fever as gold has it, so only the wrong prediction of b tells them apart.
    assert tables["disagreements"].to_numpy().tolist() == [
        ["case-1", "predicted", "SYMPTOM", 22, 28, "fiebre", "b", "a", "short right"]
    ]


def test_identical_systems_do_not_differ() -> None:
    gold = coughs(3)
    found = {"es-0": [COUGH], "es-1": [CHEST]}
    tables = compare([system("a", gold, found), system("b", gold, found)])
    row = tables["differences"].iloc[0]
    assert row[["difference", "low", "high", "p", "p_holm"]].tolist() == [0, 0, 0, 1, 1]
    assert difference_rows(tables)[1][5:] == ["+0.0000", "+0.000 to +0.000", "1.0000", "no"]
    assert agreement_rows(tables)[1] == ["a", "b", "1", "0", "0", "2", "1", "0", "0"]
    assert tables["disagreements"].empty
    assert [*tables["disagreements"]][-3:] == ["found_by", "missed_by", "how"]


def test_a_system_that_is_better_everywhere_is_significantly_better() -> None:
    gold = coughs(10)
    tables = compare([system("a", gold, {}), system("b", gold, all_of(gold))])
    row = tables["differences"].iloc[0]
    # Of the 2^10 ways to swap, only none and all give a difference as large.
    assert row["p"] == pytest.approx(2 / 2**10, abs=0.002)
    assert row[["f1_a", "f1_b", "difference", "low", "high"]].tolist() == [0, 1, 1, 1, 1]
    assert difference_rows(tables)[1][-1] == "yes"


def test_the_versions_of_a_case_are_swapped_together() -> None:
    names = [(code, case) for code in ("es", "it") for case in "12345"]
    gold = [document(f"{code}-{case}", [COUGH], language=code, case=case) for code, case in names]
    tables = compare([system("a", gold, {}), system("b", gold, all_of(gold))])
    # 5 cases, not 10 documents: 2 of the 2^5 ways.
    assert tables["differences"]["p"][0] == pytest.approx(2 / 2**5, abs=0.01)
    assert difference_rows(tables)[1][-1] == "no"


def test_languages_that_disagree() -> None:
    spanish, italian = coughs(8, "es"), coughs(8, "it")
    gold = spanish + italian
    tables = compare([system("a", gold, all_of(spanish)), system("b", gold, all_of(italian))])
    rows = tables["differences"].set_index("group")
    assert rows["dimension"].tolist() == ["all", "language", "language"]
    assert rows["difference"].to_dict() == {"all": 0, "es": -1, "it": 1}
    assert rows["p"]["all"] == 1
    assert rows["p"]["es"] == rows["p"]["it"] == pytest.approx(2 / 2**8, abs=0.004)
    assert [row[0] for row in difference_rows(tables)] == [
        *("group", "all"),
        *("language es", "language it"),
    ]


def test_labels_and_subcorpora_are_groups_where_there_are_several() -> None:
    spans = (Span(*COUGH, "SYMPTOM"), Span(*CHEST, "DISEASE"))
    both = frozenset({"SYMPTOM", "DISEASE"})
    gold = [Document(name, TEXT, spans, "es", both) for name in ("x", "y")]
    a = Evaluation("a", [Pair(one, one.with_spans(spans[:1])) for one in gold], native={"x"})
    b = Evaluation("b", [Pair(one, one.with_spans(spans[1:])) for one in gold], native={"x"})
    rows = compare([a, b])["differences"]
    assert rows[["dimension", "group", "difference"]].to_numpy().tolist() == [
        ["all", "all", 0.0],
        ["label", "DISEASE", 1.0],
        ["label", "SYMPTOM", -1.0],
        ["subcorpus", "native", 0.0],
        ["subcorpus", "translated", 0.0],
    ]
    of_disease = compare([of_label(a, "DISEASE"), of_label(b, "DISEASE")])
    assert of_disease["systems"][["gold", "right"]].to_numpy().tolist() == [[2, 0], [2, 2]]


def test_p_values_of_three_systems_are_corrected() -> None:
    gold = coughs(10)
    systems = [system("a", gold, {}), system("b", gold, {}), system("c", gold, all_of(gold))]
    tables = compare(systems)
    rows = tables["differences"]
    assert rows[["a", "b"]].to_numpy().tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
    assert rows["p_holm"].tolist() == holm(rows["p"].tolist())
    assert rows["p_holm"].tolist() == pytest.approx([1, 3 * rows["p"][1], 3 * rows["p"][1]])
    head, *cells = difference_rows(tables)
    assert head[-3:] == ["p", "p (Holm)", "p < .05"]
    assert [row[-1] for row in cells] == ["no", "yes", "yes"]


def test_of_three_systems_all_that_find_and_all_that_miss_are_named() -> None:
    gold = [document("x", [COUGH]), document("w", [CHEST, HIGH_FEVER])]
    a = system("a", gold, {"w": [CHEST], "x": [COUGH]})
    b = system("b", gold, {"w": [(0, 5)], "x": [COUGH]})
    c = system("c", gold, {"w": [(0, 5)]})
    table = compare([a, b, c])["disagreements"]
    # The high fever, which all three miss, tells them not apart.
    assert table.drop(columns=["label", "end"]).to_numpy().tolist() == [
        ["w", "predicted", 0, "dolor", "b, c", "a", "short right, short right"],
        ["w", "gold", 0, "dolor de pecho", "a", "b, c", "short right, short right"],
        ["x", "gold", 16, "tos", "a, b", "c", "missed"],
    ]


def test_a_mention_that_gold_repeats_is_found_once() -> None:
    gold = [document("x", [COUGH, COUGH])]
    tables = compare([system("a", gold, all_of(gold)), system("b", gold, {})])
    row = tables["agreement"].iloc[0]
    assert row[["gold_both", "gold_only_a", "gold_only_b", "gold_neither"]].tolist() == [0, 1, 0, 1]
    assert tables["disagreements"]["how"].tolist() == ["missed"]


def test_a_document_without_gold_that_a_system_lacks_is_one_where_it_found_nothing() -> None:
    seen = [*coughs(1), document("unasked", [])]
    a = system("a", seen, {"es-0": [COUGH], "unasked": [CHEST]})
    b = system("b", coughs(1), {"es-0": [COUGH]})
    for systems in ([a, b], [b, a]):
        rows = compare(systems)["systems"].set_index("system")
        assert rows["documents"].tolist() == [2, 2]
        assert rows["predicted"].to_dict() == {"a": 2, "b": 1}


def test_texts_made_of_blanks_and_mentions_are_no_other_texts() -> None:
    gold = coughs(2)
    blanks = [Document(one.id, " " * 16 + "Tos", one.spans, "es", one.annotated) for one in gold]
    tables = compare([system("a", gold, {}), system("b", blanks, {})])
    assert tables["systems"]["gold"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ([], "b has no gold mentions"),
        (coughs(1), r"b lacks documents of a: 2 of 3 documents, first 'es-1'; .*--split"),
        ([*coughs(3), *coughs(1, "it")], r"a lacks documents of b: 1 of 4 documents, first 'it-0'"),
        (
            [*coughs(1), document("es-1", [COUGH, CHEST]), document("es-2", [])],
            r"b has other gold than a: 2 of 3 documents, first 'es-1' \(SYMPTOM 0-14 is in one",
        ),
        (
            [*coughs(2), Document("es-2", TEXT.upper(), (Span(*COUGH, "SYMPTOM"),))],
            r"b has other texts than a: 1 of 3 documents, first 'es-2'; ",
        ),
    ],
)
def test_evaluations_of_different_gold_are_refused(other: list[Document], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compare([system("a", coughs(3), {}), system("b", other, {})])


def test_two_systems_with_names_of_their_own_are_needed() -> None:
    with pytest.raises(ConfigError, match="two systems or more; given: a"):
        compare([A])
    with pytest.raises(ConfigError, match="two systems have the name a"):
        compare([A, A])


def test_rows_are_tables_to_read() -> None:
    tables = compare([A, B])
    # Dice of fever with high fever: 2 * 6 / (6 + 11) = .7059. Characters of a: precision 1, recall
    # 1/2; of b: both (1 + .7059) / 2. One document has no interval, and its macro F1 is its F1.
    assert system_rows(tables)[1:] == [
        ["a", "1", "2", "1", "1", "1.0000", "0.5000", "0.6667", "-", "0.6667", "0.6667"],
        ["b", "1", "2", "2", "1", "0.5000", "0.5000", "0.5000", "-", "0.8529", "0.5000"],
    ]
    assert difference_rows(tables) == [
        ["group", "a", "b", "F1 of a", "F1 of b", "b - a", "95 %", "p", "p < .05"],
        ["all", "a", "b", "0.6667", "0.5000", "-0.1667", "-", "1.0000", "no"],
    ]
    assert agreement_rows(tables)[0][2:5] == ["gold both", "gold only a", "gold only b"]


def test_the_corrected_p_decides() -> None:
    tables = compare([A, B, replace(A, name="c")])
    seen = tables["differences"].assign(p=0.03, p_holm=0.09)
    rows = difference_rows({**tables, "differences": seen})
    assert rows[0][7:] == ["p", "p (Holm)", "p < .05"]
    assert rows[1][7:] == ["0.0300", "0.0900", "no"]


def test_small_p_values_are_bounds_and_stay_numbers() -> None:
    gold = coughs(30)
    rows = difference_rows(compare([system("a", gold, {}), system("b", gold, all_of(gold))]))
    assert rows[1][5:8] == ["+1.0000", "+1.000 to +1.000", "< 0.0001"]
    assert numeric_columns(rows)[3:8] == [True] * 5
    assert r"+1.000 to +1.000 & \textless{} 0.0001 & yes" in as_latex(rows)
