"""Mentions in the place of others: which ones, and with which tags."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from multiclin.document import Document, Span
from multiclin.encoder import Subwords
from multiclin.lexicon import Kind, Lexicon
from multiclin.passages import Passage
from multiclin.store import Store
from multiclin.tagging import SCHEMES, Scheme, Tagging
from multiclin.windows import IGNORED
from tests import toys
from tests.toy_passages import part, passage, read_edited

DOCUMENTS = [
    toys.document("es-1", "Sufre ⟦asma⟧ y ⟦dolor renal⟧ fuerte.", "X", "es"),
    toys.document("es-2", "Un ⟦asma⟧ leve, sin (⟦tos⟧) ni (⟦fiebre⟧).", "X", "es"),
    toys.document("en-1", "Has ⟦asthma⟧ now.", "X", "en"),
]
SUBWORDS = Subwords.train([one.text for one in DOCUMENTS] * 9, 400)
"""In which each word is a token."""

Made = Callable[..., tuple[Lexicon, Tagging]]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Makes the lexicon of some documents."""

    def make(
        documents: list[Document],
        scheme: str = "bio",
        labels: tuple[str, ...] = ("X",),
        subwords: Subwords = SUBWORDS,
        layers: int = 1,
    ) -> tuple[Lexicon, Tagging]:
        tagging = Tagging(labels, SCHEMES[scheme], layers=layers)
        rows = (("train", one) for one in documents)
        store = Store.build(tmp_path / "store", rows, subwords, tagging)
        return Lexicon(store, range(len(store)), tagging.scheme), tagging

    return make


def replaced(lexicon: Lexicon, one: Passage, scheme: Scheme, seed: int = 0) -> list[str]:
    """Per row the text of a passage with every mention replaced that can be."""
    edits = lexicon.edits(one, 1.0, np.random.default_rng(seed))
    return read_edited(one, edits, SUBWORDS, scheme)


def test_mentions_stand_by_head_language_and_what_is_before_them(made: Made) -> None:
    lexicon, _ = made(DOCUMENTS)
    assert {kind: len(places) for kind, places in lexicon.places.items()} == {
        Kind(0, "es", " "): 2,  # `asma` once, `dolor renal`
        Kind(0, "es", "("): 2,
        Kind(0, "en", " "): 1,
    }


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("seed", range(3))
def test_a_mention_is_replaced_by_another_of_its_kind(made: Made, scheme: str, seed: int) -> None:
    """There are two of each kind: each is replaced by the other one, whatever is drawn."""
    lexicon, tagging = made(DOCUMENTS, scheme)
    expected = [
        "Sufre ⟦dolor renal⟧ y ⟦asma⟧ fuerte.",
        "Un ⟦dolor renal⟧ leve, sin (⟦fiebre⟧) ni (⟦tos⟧).",
        "Has ⟦asthma⟧ now.",  # Without another one in its language it is left alone.
    ]
    for document, text in zip(DOCUMENTS, expected, strict=True):
        one = passage(document, SUBWORDS, tagging)
        assert replaced(lexicon, one, tagging.scheme, seed) == [text]


def test_a_share_of_the_mentions_is_replaced(made: Made) -> None:
    lexicon, tagging = made(DOCUMENTS)
    one = passage(DOCUMENTS[1], SUBWORDS, tagging)
    generator = np.random.default_rng(0)
    edits = [len(list(lexicon.edits(one, 0.25, generator))) for _ in range(1000)]
    assert sum(edits) / 3000 == pytest.approx(0.25, abs=0.03)


def test_a_mention_at_the_end_of_a_window_is_left_alone(made: Made) -> None:
    """It may go on behind it, as one that has begun before the window does."""
    lexicon, tagging = made(DOCUMENTS)
    whole = passage(DOCUMENTS[0], SUBWORDS, tagging)
    first = int(np.searchsorted(whole.starts, whole.text.index("dolor")))
    assert replaced(lexicon, part(whole, 0, first + 1), tagging.scheme) == [
        "Sufre ⟦dolor renal⟧ y ⟦dolor⟧"
    ]
    assert not list(lexicon.edits(part(whole, first + 1, 99), 1.0, np.random.default_rng(0)))


def test_what_must_not_be_changed_is_not(made: Made) -> None:
    """As the tokens that are read as context only."""
    lexicon, tagging = made(DOCUMENTS)
    one = passage(DOCUMENTS[0], SUBWORDS, tagging)
    one.tags[:, : int(np.searchsorted(one.starts, one.text.index(" y ")))] = IGNORED
    assert replaced(lexicon, one, tagging.scheme) == ["Sufre asma y ⟦asma⟧ fuerte."]


def of_two(name: str, x: str, y: str) -> Document:
    """A document annotated for X and Y."""
    one, other = toys.document(name, x, "X"), toys.document(name, y, "Y")
    assert one.text == other.text
    return Document(name, one.text, (*one.spans, *other.spans), "es", frozenset("XY"))


def test_a_mention_that_meets_one_of_another_label_is_left_alone(made: Made) -> None:
    x, y = "Sufre ⟦dolor leve⟧ y ⟦asma⟧ fuerte.", "Sufre dolor ⟦leve⟧ y asma fuerte."
    overlapping = of_two("d", x, y)
    lexicon, tagging = made([overlapping, DOCUMENTS[0]], labels=("X", "Y"))
    assert len(lexicon.places[Kind(0, "es", " ")]) == 2  # `asma`, `dolor renal`
    one = passage(overlapping, SUBWORDS, tagging)
    edits = lexicon.edits(one, 1.0, np.random.default_rng(0))
    assert [(edit.first, edit.end) for edit in edits] == [(4, 5)]


def test_labels_without_gold_stay_without(made: Made) -> None:
    """X alone is known of `es-1`: nobody can say whether `dolor renal` is a Y as well."""
    both = of_two("d", "Un ⟦asma⟧ leve.", "Un asma ⟦leve⟧.")
    lexicon, tagging = made([both, DOCUMENTS[0]], labels=("X", "Y"))
    (edit,) = lexicon.edits(passage(both, SUBWORDS, tagging), 1.0, np.random.default_rng(0))
    assert edit.tags.tolist() == [[1, 2], [IGNORED, IGNORED]]
    one = passage(DOCUMENTS[0], SUBWORDS, tagging)
    found = {edit.tags[1].max() for edit in lexicon.edits(one, 1.0, np.random.default_rng(0))}
    assert found == {IGNORED}


def test_a_mention_inside_another_stays_in_its_layer(made: Made) -> None:
    """Where a label has two layers, the inner one meets the outer one: both are left alone."""
    nested = toys.document("d", "Un ⟦dolor ⟦renal⟧⟧ y ⟦asma⟧ leve.", "X")
    lexicon, tagging = made([nested, DOCUMENTS[0]], layers=2)
    assert set(lexicon.places) == {Kind(0, "es", " ")}
    one = passage(nested, SUBWORDS, tagging)
    assert replaced(lexicon, one, tagging.scheme) == [
        "Un ⟦dolor renal⟧ y ⟦dolor renal⟧ leve.",
        "Un dolor ⟦renal⟧ y dolor renal leve.",
    ]


def test_a_mention_whose_edge_is_inside_a_token_stands_for_none(made: Made) -> None:
    document = Document("d", "Un asma leve.", (Span(3, 6, "X"),), "es", frozenset("X"))
    assert made([document])[0].places == {}


def test_a_space_of_its_own_is_neither_lost_nor_doubled(made: Made) -> None:
    """`▁mal` is one token, and of ` MAL` the space is one by itself: they are of two kinds."""
    subwords = Subwords.train(["mal mal mal a", "(MAL"], 16)
    document = toys.document("d", "a ⟦mal⟧ a ⟦MAL⟧ a", "X")
    lexicon, _ = made([document], subwords=subwords)
    assert set(lexicon.places) == {Kind(0, "es", " ", apart=apart) for apart in (False, True)}
