"""Which letters of two versions of a text stand for each other."""

from __future__ import annotations

from random import Random
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.corpus.alignment import Alignment, Letters, Stretch

TEXTS = st.text(st.sampled_from("aábBcß .,-\n\u0301\u200bﬁé1²"), max_size=40)


def aligned(source: str, target: str) -> Alignment:
    return Alignment.of(Letters.of(source), Letters.of(target))


def pairs(source: str, target: str) -> list[tuple[str, str]]:
    """The runs of characters that stand for each other, in words."""
    found = aligned(source, target)
    runs: list[tuple[str, str]] = []
    before = (-2, -2)
    for letter, its in enumerate(found.there):
        if its < 0:
            continue
        mine, theirs = source[found.source.places[letter]], target[found.target.places[its]]
        if (letter, its) == (before[0] + 1, before[1] + 1) and runs:
            runs[-1] = (runs[-1][0] + mine, runs[-1][1] + theirs)
        else:
            runs.append((mine, theirs))
        before = (letter, its)
    return runs


@pytest.mark.parametrize(
    ("text", "letters", "words"),
    [
        ("Ataxia\n (Éa)", "ataxia(ea)", ["ataxia", "(", "ea", ")"]),
        ("e\u0301l", "el", ["el"]),  # An accent by itself is none.
        ("Straße", "strasse", ["strasse"]),
        ("pa\u00adtient", "patient", ["patient"]),  # A soft hyphen neither.
        (" \u0301\n", "", []),
    ],
)
def test_letters_are_without_case_accents_and_gaps(
    text: str, letters: str, words: list[str]
) -> None:
    found = Letters.of(text)
    assert found.letters == letters
    assert [found.said(word) for word in found.words] == words


def test_letters_know_their_characters() -> None:
    found = Letters.of("Sí,  ne\u0301!")
    assert found.places == [0, 1, 2, 5, 6, 8]
    assert found.within(1, 6) == Stretch(1, 4)  # `í,  n`
    assert found.word(4) == Stretch(3, 5)
    assert found.characters(Stretch(3, 5)) == (5, 8)  # With the accent behind the last letter.


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (
            "dolor torácico agudo",
            "Dolor toracico, agudo",
            [("dolortorácico", "Dolortoracico"), ("agudo",) * 2],
        ),
        ("post operatorio", "postoperatorio", [("postoperatorio",) * 2]),  # Two words, one.
        ("con dolores hoy", "con dolor hoy", [("condolor", "condolor"), ("hoy", "hoy")]),
        ("de la tos", "tos", [("tos", "tos")]),
        ("asma", "gota", [("a", "a")]),
        ("", "tos", []),
    ],
)
def test_words_are_aligned_and_letters_within(
    source: str, target: str, expected: list[tuple[str, str]]
) -> None:
    assert pairs(source, target) == expected


@given(TEXTS)
def test_a_text_is_aligned_with_itself_however_it_is_written(text: str) -> None:
    letters = Letters.of(text)
    whole = list(range(len(letters.letters)))
    assert aligned(text, text).there == whole
    assert aligned(text, normalize("NFD", text)).there == whole


@given(TEXTS, TEXTS)
def test_letters_stand_for_the_same_letter_in_order(source: str, target: str) -> None:
    found = aligned(source, target)
    landed = [its for its in found.there if its >= 0]
    assert landed == sorted(set(landed))
    for mine, its in enumerate(found.there):
        assert its < 0 or found.source.letters[mine] == found.target.letters[its]
    assert found.reversed().reversed().there == found.there


def test_a_long_text_takes_no_time_that_one_notices() -> None:
    """10,000 characters with 50 words of 400; 15 ms where nothing else runs."""
    rng = Random(1)
    words = [f"w{rng.randrange(400)}" for _ in range(2_500)]
    other = [word if rng.random() < 0.9 else "x" for word in words]
    found = aligned(" ".join(words), " ".join(other))
    assert sum(its >= 0 for its in found.there) > 0.85 * len(found.there)
