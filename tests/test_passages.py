"""Edits of a window, put in together, within its room."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.passages import Edit, Passage, edited
from multiclin.tagging import SCHEMES, Scheme
from multiclin.windows import IGNORED

O, B, I = 0, 1, 2  # noqa: E741 - BIO by number
BIO = SCHEMES["bio"]


def passage(*rows: list[int], words: int = 2) -> Passage:
    """Tokens of one character with these tags, a space before every `words`-th of them."""
    tokens = np.arange(len(rows[0]), dtype=np.int32)
    starts = tokens + tokens // words
    text = "".join("a" if at in starts else " " for at in range(int(starts[-1]) + 1))
    return Passage(tokens, np.array(rows, dtype=np.int8), starts, starts + 1, text)


def edit(first: int, end: int, *ids: int, tags: list[int] | None = None) -> Edit:
    path = [O] * len(ids) if tags is None else tags
    return Edit(first, end, np.array(ids, dtype=np.int32), np.array([path], dtype=np.int8))


def test_edits_come_in_the_place_of_their_tokens() -> None:
    one = passage([O, B, I, O, O, O])
    edits = [edit(4, 5, 40, 41), edit(1, 3, 10, tags=[B])]
    ids, tags = edited(one, edits, 6, BIO)
    assert ids.tolist() == [0, 10, 3, 40, 41, 5]
    assert tags.tolist() == [[O, B, O, O, O, O]]


def test_without_edits_a_passage_is_what_it_was() -> None:
    one = passage([O, B, I])
    ids, tags = edited(one, [], 3, BIO)
    assert ids is one.ids
    assert tags is one.tags


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ([O, O, O, O, O, O, O, O], [10, 11, 12, 1, 2, 3, 4, 5]),  # Words are 01 23 45 67.
        ([O, O, O, O, O, B, I, O], [10, 11, 12, 1, 2, 3]),  # No cut in the mention.
        ([O, O, O, B, I, I, I, I], [10, 11, 12, 1]),
        ([O, O, O, O, O, B, IGNORED, I], [10, 11, 12, 1, 2, 3]),  # White space is inside of it.
        ([O, B, I, I, I, I, I, I], [0, 1, 2, 3, 4, 5, 6, 7]),  # No cut at all: left as it is.
    ],
)
def test_what_has_no_room_is_cut_at_white_space(path: list[int], kept: list[int]) -> None:
    """The first of 8 tokens becomes 3; there is room for 8."""
    one = passage(path)
    if IGNORED in path:
        one.starts[6] = one.ends[6]
    ids, tags = edited(one, [edit(0, 1, 10, 11, 12)], 8, BIO)
    assert ids.tolist() == kept
    grown = 2 if kept[0] else 0
    assert tags[0].tolist() == ([O, O, O, *path[1:]] if grown else path)[: len(kept)]


def test_an_edit_is_never_cut_in_two() -> None:
    """Tokens 2 to 7 become 7 where there is room for 8: nothing of them stays."""
    one = passage([O] * 8)
    ids, _ = edited(one, [edit(0, 1, 10, 11), edit(2, 8, *range(20, 27))], 8, BIO)
    assert ids.tolist() == [10, 11, 1]


def test_the_mention_of_any_row_is_kept_whole() -> None:
    one = passage([O] * 8, [O, O, O, O, O, B, I, I])
    grown = Edit(0, 1, np.arange(10, 13, dtype=np.int32), np.zeros((2, 3), dtype=np.int8))
    assert edited(one, [grown], 8, BIO)[0].tolist() == [10, 11, 12, 1, 2, 3]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Passage, list[Edit], int, Scheme]:
    """A passage, edits of its words and mentions, and a room."""
    scheme = draw(st.sampled_from(list(SCHEMES.values())))
    tokens = draw(st.integers(1, 30))
    edges = sorted(draw(st.sets(st.integers(0, tokens), max_size=10)))
    mentions = list(zip(edges[::2], edges[1::2], strict=False))
    path = scheme.encode(tokens, mentions)
    one = passage(path.tolist(), words=draw(st.integers(1, 3)))
    edits = []
    for first, end in mentions:
        length = draw(st.integers(0, 6))
        if length:
            ids = np.arange(100, 100 + length, dtype=np.int32)
            edits.append(Edit(first, end, ids, scheme.encode(length, [(0, length)])[None]))
    return one, edits, draw(st.integers(tokens, 40)), scheme


@given(cases())
def test_what_comes_out_is_the_beginning_of_what_was_meant(
    case: tuple[Passage, list[Edit], int, Scheme],
) -> None:
    one, edits, room, scheme = case
    ids, tags = edited(one, edits, room, scheme)
    whole_ids, whole_tags = edited(one, edits, 1000, scheme)
    assert len(ids) <= room
    if ids is not one.ids:
        assert ids.tolist() == whole_ids[: len(ids)].tolist()
        assert tags.tolist() == whole_tags[:, : len(ids)].tolist()
        assert not scheme.continuing[whole_tags[0, len(ids) : len(ids) + 1]].any()
    assert len(scheme.decode(whole_tags[0])) == len(scheme.decode(one.tags[0]))
    steps = scheme.transitions[tags[0, :-1], tags[0, 1:]]
    assert steps.all()
