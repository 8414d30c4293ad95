from __future__ import annotations

from dataclasses import replace

from multiclin.analysis.evaluation import Evaluation, Pair, folded, lexicon_of, of_label
from multiclin.document import Document, Span
from tests.analysis.toys import bare, evaluation, pair
from tests.toys import document


def test_labels_are_those_that_some_document_is_annotated_for() -> None:
    found = evaluation(bare("a", [], [], "S"), bare("b", [], [], "D"), bare("c", [], [], "SX"))
    assert found.labels == ["D", "S", "X"]


def test_no_documents_have_no_labels_and_no_errors() -> None:
    assert Evaluation("x", []).labels == []
    assert Evaluation("x", []).cases == []


def test_cases_are_the_errors_of_each_document() -> None:
    found = evaluation(
        pair("a", "⟦fiebre alta⟧ y tos", "⟦fiebre⟧ alta y tos"),
        pair("b", "⟦tos⟧", "⟦tos⟧"),
    )
    assert [[case.kind for case in cases] for cases in found.cases] == [["short right"], []]


def test_without_gold_nothing_is_an_error() -> None:
    one = Document("a", "tos", language="es")
    found = evaluation(Pair(one, one.with_spans((Span(0, 3, "D"),))))
    assert found.labels == []
    assert found.cases == [[]]


def test_a_mention_is_folded() -> None:
    assert folded(" Dolor\r\n\tABDOMINAL  leve ") == "dolor abdominal leve"
    assert folded("GROẞE Straße") == "grosse strasse"


def test_the_lexicon_counts_folded_mentions_by_label() -> None:
    documents = [
        document("a", "⟦Tos⟧ y ⟦tos⟧", "S"),
        document("b", "⟦TOS⟧ y ⟦fiebre\n alta⟧", "D"),
    ]
    assert lexicon_of(documents) == {"S": {"tos": 2}, "D": {"tos": 1, "fiebre alta": 1}}


def test_of_one_label_there_are_its_documents_and_mentions() -> None:
    both, other = [Span(0, 4, "D"), Span(0, 4, "S")], [Span(6, 8, "S")]
    pairs = bare("a", both, both), bare("b", other, other, "S")
    joint = evaluation(*pairs, split="test", metrics={"ceiling/test/es/f1": 0.9})
    alone = of_label(joint, "D")
    assert alone.pairs == [bare("a", both[:1], both[:1], "D")]
    assert (alone.labels, alone.split) == (["D"], "test")
    assert alone.metrics == {}  # The ceiling is that of both.
    assert of_label(replace(alone, metrics=joint.metrics), "D").metrics == joint.metrics
