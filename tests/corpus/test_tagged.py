"""Tokens, sentences and tags: what they hold of a document, and what they say of the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.corpus.exchange import Losses
from multiclin.corpus.tagged import (
    Token,
    aligned,
    rebuilt,
    spans_of,
    tagged_sentences,
    tokens_of,
)
from multiclin.document import Document, Span
from multiclin.errors import OutputError


def words(text: str) -> list[str]:
    return [text[one.start : one.end] for one in tokens_of(text)]


def tagged(text: str, *spans: Span) -> tuple[str, dict[str, int]]:
    """`word/tag` with `|` between sentences, and the losses."""
    losses = Losses()
    sentences = tagged_sentences(Document("d", text, spans), losses)
    said = [" ".join(f"{text[a:b]}/{tag}" for a, b, tag in one) for one in sentences]
    return " | ".join(said), losses.counts


def test_tokens_are_words_and_every_other_visible_character() -> None:
    assert words("HER2+ (T2N0M0), 38,5 °C.") == [
        *("HER2", "+", "(", "T2N0M0", ")", ","),
        *("38,5", "°", "C", "."),
    ]


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n\t.a\u200b")))
def test_tokens_cover_all_that_is_no_white_space(text: str) -> None:
    tokens = tokens_of(text)
    covered = {at for one in tokens for at in range(one.start, one.end)}
    assert {at for at, one in enumerate(text) if not one.isspace()} == covered
    assert sum(one.end - one.start for one in tokens) == len(covered)
    assert list(aligned([text[a:b] for a, b, _ in tokens], text)) == [(a, b) for a, b, _ in tokens]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Sin tos. Con fiebre.", 2),
        ("Sin tos.\nfiebre", 2),
        ("El Dr. García. Fin", 2),
        ("Mide 3.5 cm. y crece", 1),
        ("¿Duele? ¿Dónde?", 2),
        ("Dosis: 5 mg. 2 veces", 2),
    ],
)
def test_sentences_end_at_line_breaks_and_stops_before_capitals(text: str, sentences: int) -> None:
    assert len(tagged_sentences(Document("d", text), Losses())) == sentences


def test_a_mention_is_in_one_sentence() -> None:
    said, losses = tagged("Prueba de St. Louis\naguda. Fin", Span(10, 25, "X"))
    assert said == "Prueba/O de/O St/B-X ./I-X Louis/I-X aguda/I-X ./O | Fin/O"
    assert not losses


def test_mentions_that_touch_are_two() -> None:
    assert tagged("tos(x)", Span(0, 3, "X"), Span(3, 6, "X"))[0] == "tos/B-X (/B-X x/I-X )/I-X"


def test_of_overlapping_mentions_the_longest_stays() -> None:
    outer, inner, other = Span(0, 10, "X"), Span(6, 10, "X"), Span(0, 10, "Y")
    said, losses = tagged("dolor leve", inner, outer, other, outer)
    assert said == "dolor/B-X leve/I-X"
    assert losses == {
        "mention: overlaps one that is no shorter": 2,
        "mention: repeated, written once": 1,
    }


def test_edges_inside_a_word_and_white_space_are_told() -> None:
    said, losses = tagged("T2N0M0 tos ", Span(4, 6, "X"), Span(6, 11, "X"), Span(10, 11, "X"))
    assert said == "T2N0M0/O tos/B-X"
    assert losses == {
        "mention: an edge inside a word": 1,
        "mention: white space at its edges cut off": 1,
        "mention: only white space": 1,
    }


@pytest.mark.parametrize("label", ["", "Clinical Finding"])
def test_a_label_with_white_space_is_refused(label: str) -> None:
    with pytest.raises(OutputError, match="--map"):
        tagged("tos", Span(0, 3, label))


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("B-X I-X O", [(0, 2)]),
        ("B-X B-X I-X", [(0, 1), (1, 3)]),  # BIO
        ("I-X I-X O I-X", [(0, 2), (3, 4)]),  # IO
        ("I-X B-X O", [(0, 1), (1, 2)]),  # IOB1
        ("S-X B-X E-X B-X I-X", [(0, 1), (1, 3), (3, 5)]),  # BIOES
        ("U-X B-X I-X L-X", [(0, 1), (1, 4)]),  # BILOU
        ("B-X M-X E-X I-X", [(0, 3), (3, 4)]),  # BMES
        ("I-X I-Y", [(0, 1), (1, 2)]),
        ("O O", []),
    ],
)
def test_tags_of_every_scheme_are_read(tags: str, spans: list[tuple[int, int]]) -> None:
    sentence = [Token(at, at + 1, tag) for at, tag in enumerate(tags.split())]
    assert [(one.start, one.end) for one in spans_of([sentence])] == spans


def test_a_sentence_ends_a_mention_and_a_bare_tag_has_a_label() -> None:
    found = spans_of([[Token(0, 1, "B")], [Token(1, 2, "I-A-B")]])
    assert found == (Span(0, 1, "ENTITY"), Span(1, 2, "A-B"))


def test_a_token_that_the_text_lacks_is_told_with_its_place() -> None:
    with pytest.raises(ValueError, match="token 'fiebre' where the text has 'tos' at 4"):
        list(aligned(["Sin", "fiebre"], "Sin tos"))


def test_a_text_is_rebuilt_of_tokens() -> None:
    assert rebuilt([["Sin", "tos", "."], ["Fin"]]) == "Sin tos .\nFin"
