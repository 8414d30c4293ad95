"""Offsets that were counted in another way come back to characters."""

from __future__ import annotations

from collections.abc import Callable
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.checking.mentions import Mention
from multiclin.checking.recounting import Counting, fitting, recounted


def mention(start: int, end: int, words: str) -> Mention:
    return Mention(1, "DISEASE", ((start, end),), words)


@pytest.mark.parametrize(
    ("text", "counted", "right", "told"),
    [
        ("😀 tos y asma", [(3, 6, "tos"), (9, 13, "asma")], [(2, 5), (8, 12)], "UTF-16"),
        ("día tos ó asma", [(5, 8, "tos"), (12, 16, "asma")], [(4, 7), (10, 14)], "UTF-8"),
        ("a\r\ntos\r\nasma", [(2, 5, "tos"), (6, 10, "asma")], [(3, 6), (8, 12)], "CRLF as one"),
        ("a\ntos\nasma", [(3, 6, "tos"), (8, 12, "asma")], [(2, 5), (6, 10)], "as two"),
        ("e\u0301 tos o\u0301 asma", [(2, 5, "tos"), (8, 12, "asma")], [(3, 6), (10, 14)], "NFC"),
        ("– \u00e9 tos ó asma", [(5, 8, "tos"), (12, 16, "asma")], [(4, 7), (10, 14)], "NFD"),
        ("\ufeff😀 tos asma", [(3, 6, "tos"), (7, 11, "asma")], [(3, 6), (7, 11)], ""),
        ("\ufeff😀 tos", [(3, 6, "tos")], [(3, 6)], ""),
        ("con tos y asma", [(6, 9, "tos"), (12, 16, "asma")], [(4, 7), (10, 14)], "offset +2"),
    ],
)
def test_one_explanation(
    text: str, counted: list[tuple[int, int, str]], right: list[tuple[int, int]], told: str
) -> None:
    mentions = [mention(*one) for one in counted]
    simplest = fitting(text, mentions)[0]
    assert told in str(simplest)
    assert recounted(text, mentions, simplest) == [(one,) for one in right]


def test_several_ways_at_once() -> None:
    text = "\ufeff😀 día\r\ntos\r\nasma"
    # UTF-16 units, without the mark, a CRLF as one: 😀 2, space 1, día 3, break 1.
    mentions = [mention(7, 10, "tos"), mention(11, 15, "asma")]
    countings = fitting(text, mentions)
    assert Counting("utf-16", "one", mark=False) in countings
    assert recounted(text, mentions, countings[0]) == [((8, 11),), ((13, 17),)]


def test_words_in_another_normalisation_keep_their_offsets() -> None:
    mentions = [mention(0, 4, "día")]
    simplest = fitting("di\u0301a tos", mentions)[0]
    assert simplest == Counting()
    assert recounted("di\u0301a tos", mentions, simplest) == [((0, 4),)]


def test_an_offset_inside_a_character_is_no_other_count() -> None:
    assert fitting("😀 tos", [mention(1, 6, "tos")]) == []


def test_one_wrong_mention_is_not_explained() -> None:
    assert fitting("tos 😀 asma", [mention(0, 3, "tos"), mention(5, 9, "asma")]) == []


@given(
    st.lists(
        st.sampled_from(["a", "é", "e\u0301", "😀", "\n", "\r\n", "tos", "한", " "]), min_size=1
    ),
    st.data(),
)
def test_every_count_is_turned_back(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    counts: dict[str, Callable[[str], int]] = {
        "utf-16": lambda text: len(text.encode("utf-16-le")) // 2,
        "utf-8": lambda text: len(text.encode()),
        "nfd": lambda text: len(normalize("NFD", text)),
    }
    parts_accent = "\u0301" in (text[start], text[end : end + 1])
    for unit, count in counts.items():
        if not (unit == "nfd" and parts_accent):
            counted = mention(count(text[:start]), count(text[:end]), text[start:end])
            assert recounted(text, [counted], Counting(unit)) == [((start, end),)]
            assert Counting(unit) in fitting(text, [counted])
