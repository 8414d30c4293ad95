"""Tables, the model card and the page of a run."""

from __future__ import annotations

from collections import Counter

from multiclin.ceiling import Ceiling
from multiclin.document import Document, Span
from multiclin.module import Scored
from multiclin.report import (
    ceiling_rows,
    model_card,
    score_rows,
)
from multiclin.scoring.counts import Counts
from multiclin.scoring.official import score_mentions
from tests.toy_models import toy_model


def scored(id: str, language: str, found: int) -> Scored:
    """Two gold mentions under X and one under Y; `found` of those under X are predicted."""
    gold = (Span(0, 1, "X"), Span(2, 3, "X"), Span(4, 5, "Y"))
    document = Document(id, "a b c", gold, language, frozenset({"X", "Y"}))
    predicted = document.with_spans(gold[:found])
    return Scored(document, predicted, score_mentions(gold, predicted.spans), [], [])


def test_scores_stand_by_label_and_by_language_where_there_are_several() -> None:
    rows = score_rows({"test": [scored("a", "es", 2), scored("b", "it", 1)]})
    by_group = {(row[1], row[2]): row[3:8] for row in rows[1:]}
    # X, all: 3 found of 4, none wrong: recall 3/4, F1 6/7. Y: nothing found.
    assert by_group["X", "all"] == ["2", "4", "1.0000", "0.7500", "0.8571"]
    assert by_group["X", "it"] == ["1", "2", "1.0000", "0.5000", "0.6667"]
    assert by_group["Y", "all"] == ["2", "2", "0.0000", "0.0000", "0.0000"]
    assert len(by_group) == 6


def test_one_language_needs_no_row_of_its_own() -> None:
    rows = score_rows({"test": [scored("a", "es", 2)]})
    assert [row[1:3] for row in rows[1:]] == [["X", "all"], ["Y", "all"]]


def test_ceilings_stand_by_reason() -> None:
    one = Ceiling(10, Counter(overlap=2), 1, Counts(8, 0, 2), Counts(8, 1, 2))
    assert ceiling_rows({"train": {"es": one}})[1] == (
        ["train", "es", "10", "2", "0", "0", "0", "1", "0.8889", "0.8000", "0.8421"]
    )


def test_the_model_card_names_labels_and_scores() -> None:
    model = toy_model(("DISEASE",))
    model.about.update({"scores": {"test/strict_f1": 0.5}, "encoder": "toy"})
    card = model_card(model)
    assert card.startswith("# DISEASE in clinical text")
    assert "| test/strict_f1 | 0.5000 |" in card
    assert "| encoder | toy |" in card
