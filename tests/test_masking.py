"""What is masked: counted by hand, and whatever the window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.errors import ConfigError
from multiclin.masking import NOWHERE, Masked, Masker, Masking, masks_of
from multiclin.windows import IGNORED

O, B, I, _ = 0, 1, 2, IGNORED  # noqa: E741 - tags of words

TOKENS = Masking(whole_words=False)
WORDS = Masking(whole_words=True)
SPANS = Masking(whole_words=True, stop=0.2, longest=10)
ALL = {"tokens": TOKENS, "words": WORDS, "spans": SPANS}

MASK, FIRST, LAST = 4, 5, 99
ORDINARY = np.arange(FIRST, LAST + 1)

tags = st.lists(st.sampled_from([O, B, I, I, _]), max_size=80)
seeds = st.integers(0, 2**32)


def masked(
    masking: Masking, words: list[int], seed: int = 0
) -> tuple[np.ndarray[Any, Any], Masked]:
    """The window's own ids, and what becomes of it."""
    ids = np.arange(len(words)) % (LAST - FIRST) + FIRST
    found = Masker(masking, MASK, ORDINARY)(
        ids, np.array(words, dtype=np.int8), masks_of(seed, 1, 0)
    )
    return ids, found


def test_units_counted_by_hand() -> None:
    # torá ##cico | , | newline | y | HER ##2
    words = np.array([B, I, O, _, B, B, I])
    assert TOKENS.units(words).tolist() == [0, 1, 2, -1, 3, 4, 5]
    assert WORDS.units(words).tolist() == [0, 0, 1, -1, 2, 3, 3]


def test_a_word_that_the_window_cuts_is_what_is_left_of_it() -> None:
    assert WORDS.units(np.array([I, I, B, I])).tolist() == [0, 0, 1, 1]


def test_what_follows_an_unmasked_token_of_a_word_does_not_join_the_word_before() -> None:
    # dolor | <unk> ##x: the unknown piece is never masked.
    assert WORDS.units(np.array([B, _, I])).tolist() == [0, -1, 1]


def test_a_share_of_the_tokens_is_masked() -> None:
    # 10 tokens that may be: 3 of them, whatever is drawn.
    words = [B, B, B, _, B, O, B, B, _, B, O, B]
    for seed in range(50):
        assert np.count_nonzero(masked(TOKENS, words, seed)[1].labels != IGNORED) == 3


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("words", [[B], [B, I, I], [B, I, B, I, I, O, _, B, B, O, B, I, I, I, B]])
def test_the_share_is_kept_on_average_in_short_windows_too(name: str, words: list[int]) -> None:
    visible = sum(tag != IGNORED for tag in words)
    counts = [
        np.count_nonzero(masked(ALL[name], words, seed)[1].labels != IGNORED) / visible
        for seed in range(4000)
    ]
    assert np.mean(counts) == pytest.approx(0.3, abs=4 * np.std(counts) / 4000**0.5)


@given(st.sampled_from(list(ALL)), tags, seeds)
def test_what_may_be_masked_is_and_nothing_else(name: str, words: list[int], seed: int) -> None:
    ids, (read, labels) = masked(ALL[name], words, seed)
    chosen = labels != IGNORED
    assert not chosen[np.array(words, dtype=int) == IGNORED].any()
    assert (labels[chosen] == ids[chosen]).all()
    assert (read[~chosen] == ids[~chosen]).all()
    assert np.isin(read, [*ORDINARY, MASK]).all()


@given(st.sampled_from(["words", "spans"]), tags, seeds)
def test_words_are_masked_whole(name: str, words: list[int], seed: int) -> None:
    units = WORDS.units(np.array(words, dtype=int))
    chosen = masked(ALL[name], words, seed)[1].labels != IGNORED
    for unit in set(units.tolist()) - {NOWHERE}:
        assert len(set(chosen[units == unit].tolist())) == 1


@given(tags, seeds)
def test_the_share_is_exceeded_by_less_than_a_span(words: list[int], seed: int) -> None:
    units = SPANS.units(np.array(words, dtype=int))
    spans = SPANS.spans(units, masks_of(seed, 1, 0))
    last = spans.max(initial=NOWHERE)
    visible = np.count_nonzero(units != NOWHERE)
    assert np.count_nonzero((spans != NOWHERE) & (spans != last)) <= 0.3 * visible


@given(st.sampled_from(list(ALL)), tags, seeds)
def test_the_same_generator_gives_the_same_masks(name: str, words: list[int], seed: int) -> None:
    one, other = (masked(ALL[name], words, seed)[1] for _ in range(2))
    assert (one.ids == other.ids).all()
    assert (one.labels == other.labels).all()


def test_spans_are_runs_of_words_of_geometric_lengths() -> None:
    units = np.arange(10_000)
    masking = Masking(whole_words=True, share=0.01, stop=0.2, longest=10)
    drawn = [masking.spans(units, masks_of(seed, 1, 0)) for seed in range(50)]
    lengths = np.concatenate([np.bincount(one[one != NOWHERE]) for one in drawn])
    assert lengths.max() == 10
    # SpanBERT, section 3.1: 3.8 words on average; few overlap at a share of 1 %.
    assert lengths.mean() == pytest.approx(3.8, rel=0.05)


def test_a_span_is_one_run() -> None:
    spans = SPANS.spans(np.arange(200), masks_of(3, 1, 0))
    run = np.flatnonzero(spans == 0)
    assert run.tolist() == list(range(run[0], run[0] + len(run)))


def test_eighty_ten_ten() -> None:
    ids, (read, labels) = masked(TOKENS, [B] * 20_000)
    chosen = labels != IGNORED
    assert np.count_nonzero(chosen) == 6000
    assert np.mean(read[chosen] == MASK) == pytest.approx(0.8, abs=0.02)
    assert np.mean(read[chosen] == ids[chosen]) == pytest.approx(0.1 + 0.1 / 95, abs=0.015)


@pytest.mark.parametrize(
    ("mask", "random", "expected"), [(1.0, 0.0, "mask"), (0.0, 0.0, "kept"), (0.0, 1.0, "random")]
)
def test_what_stands_in_the_place_of_a_masked_token(
    mask: float, random: float, expected: str
) -> None:
    masking = Masking(whole_words=True, share=1, mask=mask, random=random)
    ids, (read, _) = masked(masking, [B, I, I, O] * 50)
    found = {"mask": (read == MASK).all(), "kept": (read == ids).all()}
    assert found.get(expected, np.mean(read == ids) < 0.05 and (read >= FIRST).all())


def test_the_tokens_of_a_word_share_their_fate() -> None:
    ids, (read, _) = masked(Masking(whole_words=True, share=1, mask=0.5, random=0), [B, I, I] * 100)
    kept = (read == ids).reshape(-1, 3)
    assert 20 < kept.all(axis=1).sum() < 80
    assert (kept.all(axis=1) | ~kept.any(axis=1)).all()


def test_special_tokens_inside_a_text_are_left_alone() -> None:
    masker = Masker(Masking(whole_words=False, share=1, random=0, mask=1), MASK, ORDINARY)
    ids = np.array([50, 2, MASK, 51, LAST + 7])
    read, labels = masker(ids, np.array([B] * 5), masks_of(0, 1, 0))
    assert labels.tolist() == [50, IGNORED, IGNORED, 51, IGNORED]
    assert read.tolist() == [MASK, 2, MASK, MASK, LAST + 7]


@pytest.mark.parametrize("other", [(2, 1, 1), (1, 2, 1), (1, 1, 2)])
def test_another_seed_epoch_or_window_is_masked_otherwise(other: tuple[int, int, int]) -> None:
    units = np.arange(200)
    one, two = (TOKENS.spans(units, masks_of(*key)) for key in ((1, 1, 1), other))
    assert (one != two).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 0.0}, r"masking\.share=0\.0 must be above 0"),
        ({"share": 1.5}, r"masking\.share=1\.5 must be"),
        ({"stop": 0.0}, r"masking\.stop=0\.0 must be above 0"),
        ({"mask": 0.9, "random": 0.2}, "together at most 1"),
        ({"random": -0.1}, "each at least 0"),
        ({"longest": 0}, r"masking\.longest=0"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Masking(whole_words=True, **settings)
