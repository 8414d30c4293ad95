from __future__ import annotations

from multiclin.document import Span
from multiclin.scoring.breakdown import (
    by_language,
    by_subcorpus,
    document_macro_f1,
    format_table,
)
from multiclin.scoring.official import Score, score_mentions

RIGHT = score_mentions([Span(0, 4, "D")], [Span(0, 4, "D")])
MISSED = score_mentions([Span(0, 4, "D")], [])
SPURIOUS = score_mentions([], [Span(0, 4, "D"), Span(5, 9, "D")])
EMPTY = score_mentions([], [])


def test_macro_f1_is_the_mean_over_documents_with_gold_or_predictions() -> None:
    assert document_macro_f1([RIGHT, MISSED, SPURIOUS, RIGHT, EMPTY]) == 2 / 4


def test_macro_f1_of_no_documents_is_zero() -> None:
    assert document_macro_f1([EMPTY]) == 0.0


def test_one_line_per_language() -> None:
    scores = {
        "MultiClinNER-es-test-disease-0001": RIGHT,
        "MultiClinNER-es-test-disease-0002": MISSED,
        "MultiClinNER-cz-test-disease-0001": RIGHT,
        "0003": SPURIOUS,
    }
    lines = by_language(scores)
    assert [(line.group, line.documents) for line in lines] == [
        ("cz", 1),
        ("es", 2),
        ("unknown", 1),
    ]
    spanish = lines[1]
    assert spanish.score.strict.recall == 0.5
    assert spanish.document_macro_f1 == 0.5


def test_a_given_language_comes_before_the_name() -> None:
    (line,) = by_language({"es-1": RIGHT}, languages={"es-1": "ro"})
    assert line.group == "ro"


def test_native_and_translated_documents() -> None:
    lines = by_subcorpus({"a": RIGHT, "b": MISSED, "c": RIGHT}, native={"b", "elsewhere"})
    assert [(line.group, line.documents, line.score.strict.f1) for line in lines] == [
        ("native", 1, 0.0),
        ("translated", 2, 1.0),
    ]


def test_lines_add_up_to_the_whole() -> None:
    scores = {"es-1": RIGHT, "it-1": MISSED, "it-2": SPURIOUS}
    whole = Score.total(scores.values())
    assert Score.total(line.score for line in by_language(scores)).strict == whole.strict


def test_table() -> None:
    lines = by_language({"es-1": RIGHT, "es-2": SPURIOUS})
    table = format_table({line.group: line.as_dict() for line in lines}).splitlines()
    assert table[0].split() == [
        "documents", "gold", "predicted", "precision", "recall", "f1",
        "document_macro_f1", "char_f1",
    ]  # fmt: skip
    # 1 of 3 predictions right, 1 of 1 gold: F1 2/4; documents 1.0 and 0.0; Dice the same as strict.
    assert table[1].split() == ["es", "2", "1", "3", "0.3333", "1.0000"] + 3 * ["0.5000"]
