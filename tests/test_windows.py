from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.errors import ConfigError
from multiclin.windows import Window, Windowing, edge_weights, split_mentions, trim_offsets
from tests import toys

# Cutting


@pytest.mark.parametrize(
    ("tokens", "windows"),
    [
        (0, []),
        (1, [(0, 1)]),
        (6, [(0, 6)]),
        (7, [(0, 6), (4, 7)]),
        (10, [(0, 6), (4, 10)]),
        (11, [(0, 6), (4, 10), (8, 11)]),
    ],
)
def test_windows_of_room_6_that_share_2(tokens: int, windows: list[tuple[int, int]]) -> None:
    assert Windowing(size=8, overlap=2, specials=2).cut(tokens) == windows


@given(
    tokens=st.integers(0, 400),
    room=st.integers(1, 40),
    specials=st.integers(0, 3),
    data=st.data(),
)
def test_windows_cover_every_token_and_share_exactly_the_overlap(
    tokens: int, room: int, specials: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, room - 1))
    windows = Windowing(room + specials, overlap, specials).cut(tokens)
    assert {t for window in windows for t in range(*window)} == set(range(tokens))
    assert all(0 < window.end - window.first <= room for window in windows)
    assert all(before.end - after.first == overlap for before, after in pairwise(windows))
    assert all(window.end - window.first == room for window in windows[:-1])
    assert not any(after.end <= before.end for before, after in pairwise(windows))


@pytest.mark.parametrize(
    ("size", "overlap", "specials"), [(8, 6, 2), (8, 7, 2), (8, -1, 2), (2, 0, 2), (1, 0, 2)]
)
def test_an_overlap_must_leave_a_step(size: int, overlap: int, specials: int) -> None:
    with pytest.raises(ConfigError, match=rf"window.overlap={overlap} must be at least 0"):
        Windowing(size, overlap, specials)


# Context


def test_the_core_is_what_is_not_read_as_context_only() -> None:
    """12 tokens in windows of 8 that share 4, of which 2 on each side are context."""
    windows = Windowing(size=8, overlap=4, specials=0, context=2).cut(12)
    assert windows == [(0, 8), (4, 12)]
    assert [window.core(12, 2) for window in windows] == [(0, 6), (6, 12)]
    assert Window(0, 8).core(8, 2) == (0, 8)  # No window before or behind it.
    assert Window(4, 12).core(20, 0) == (4, 12)


@given(tokens=st.integers(1, 300), room=st.integers(1, 40), data=st.data())
def test_every_token_is_in_a_core(tokens: int, room: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, room - 1))
    context = data.draw(st.integers(0, overlap // 2))
    sums = np.zeros(tokens)
    for window in Windowing(room, overlap, 0, context).cut(tokens):
        core, weights = window.core(tokens, context), edge_weights(window, tokens, context)
        inside = [core.first <= at < core.end for at in range(*window)]
        assert (weights > 0).tolist() == inside
        sums[window.first : window.end] += weights
    assert (sums > 0).all()


@pytest.mark.parametrize(("context", "overlap"), [(65, 128), (1, 0), (-1, 128)])
def test_a_context_leaves_no_token_between_two_windows(context: int, overlap: int) -> None:
    with pytest.raises(ConfigError, match=rf"window.context={context} must be .* at most half of"):
        Windowing(512, overlap, 2, context)


def test_the_remedy_for_too_much_context_is_one() -> None:
    with pytest.raises(ConfigError, match=r"say window.context=64 or window.overlap=130$"):
        Windowing(512, 128, 2, 65)
    Windowing(512, 128, 2, 64)
    Windowing(512, 130, 2, 65)


# Weights


@pytest.mark.parametrize(
    ("window", "tokens", "weights"),
    [
        ((0, 4), 6, [4, 3, 2, 1]),  # only the right edge cuts the text
        ((2, 6), 6, [1, 2, 3, 4]),
        ((1, 6), 9, [1, 2, 3, 2, 1]),
        ((0, 4), 4, [4, 4, 4, 4]),
        ((0, 0), 0, []),
    ],
)
def test_weights_fall_to_the_edges_that_cut(
    window: tuple[int, int], tokens: int, weights: list[int]
) -> None:
    assert edge_weights(Window(*window), tokens).tolist() == weights


@pytest.mark.parametrize(
    ("window", "tokens", "weights"),
    [
        ((0, 6), 9, [4, 3, 2, 1, 0, 0]),
        ((3, 9), 9, [0, 0, 1, 2, 3, 4]),
        ((1, 8), 9, [0, 0, 1, 2, 1, 0, 0]),
        ((0, 4), 4, [4, 4, 4, 4]),
    ],
)
def test_context_of_2_has_no_weight(
    window: tuple[int, int], tokens: int, weights: list[int]
) -> None:
    assert edge_weights(Window(*window), tokens, 2).tolist() == weights


@given(tokens=st.integers(1, 200), room=st.integers(1, 40), data=st.data())
def test_every_window_counts_for_each_of_its_tokens(
    tokens: int, room: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, room - 1))
    for window in Windowing(room, overlap, 0).cut(tokens):
        weights = edge_weights(window, tokens)
        assert weights.shape == (window.end - window.first,)
        assert weights.dtype == np.float32
        assert weights.min() >= 1


def test_mentions_that_no_window_holds_whole() -> None:
    windows = [Window(0, 6), Window(4, 10)]
    assert split_mentions(windows, [(0, 6), (4, 6), (3, 7), (0, 10), (9, 10)]) == 2
    assert split_mentions([], [(0, 0)]) == 0  # met no token: nothing to split


# White space


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    offsets = np.array([start], dtype=np.int32), np.array([end], dtype=np.int32)
    starts, ends = trim_offsets(text, *offsets)
    assert starts.dtype == ends.dtype == np.int32
    return int(starts[0]), int(ends[0])


@pytest.mark.parametrize(
    ("text", "token", "left"),
    [
        (" dolor", (0, 6), (1, 6)),
        ("a  b ", (1, 5), (3, 4)),
        ("a b", (0, 3), (0, 3)),  # white space inside stays
        ("a\u00a0\u202fb", (1, 4), (3, 4)),  # NBSP, narrow NBSP
        ("\ufeff\u200b\u2060b", (0, 4), (3, 4)),  # byte order mark, zero-width space, word joiner
        ("\r\n\tb\r\n", (0, 6), (3, 4)),
        ("a\u200db", (1, 3), (1, 3)),  # a joiner is part of a word
        ("a\u0301 ", (0, 3), (0, 2)),  # and so is a combining accent
        ("😀 😀", (1, 3), (2, 3)),  # code points, not UTF-16
        ("a   b", (1, 4), (4, 4)),  # nothing is left: empty, at its end
        ("ab", (1, 1), (1, 1)),
        ("ab", (2, 2), (2, 2)),
        ("", (0, 0), (0, 0)),
    ],
)
def test_white_space_is_taken_off_a_token(
    text: str, token: tuple[int, int], left: tuple[int, int]
) -> None:
    assert trimmed(text, *token) == left


@given(text=st.text("ab \n\u00a0\u200b\ufeff😀é\u0301", max_size=12), data=st.data())
def test_what_is_left_is_the_stripped_text(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    first, last = trimmed(text, start, end)
    assert start <= first <= last <= end
    assert text[first:last] == text[start:end].strip(" \n\u00a0\u200b\ufeff")


def test_the_given_offsets_stay_as_they_are() -> None:
    starts, ends = np.array([0], dtype=np.int32), np.array([2], dtype=np.int32)
    trim_offsets(" a", starts, ends)
    assert (starts.tolist(), ends.tolist()) == ([0], [2])


def test_tokenized_documents_are_compared_by_identity() -> None:
    """Arrays have no truth value: comparing their contents would raise."""
    one, same = toys.tokenized("a", 3), toys.tokenized("a", 3)
    assert one != same
    assert len({one, same}) == 2
    assert len(one) == 3
