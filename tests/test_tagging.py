from __future__ import annotations

import time
from collections import Counter
from itertools import chain, combinations, pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.document import Span
from multiclin.errors import ConfigError
from multiclin.tagging import (
    FLATTENING,
    SCHEMES,
    Bools,
    Floats,
    Scheme,
    Tagging,
    Transitions,
    best_paths,
    flatten,
    scheme,
    token_ranges,
)

BIO, BIOES = SCHEMES["bio"], SCHEMES["bioes"]
BOTH = pytest.mark.parametrize("chosen", [BIO, BIOES], ids=lambda chosen: chosen.name)


def letters(chosen: Scheme, ranges: list[tuple[int, int]], length: int) -> str:
    return "".join(chosen.tags[tag] for tag in chosen.encode(length, ranges))


def numbers(chosen: Scheme, tags: str) -> np.ndarray:
    return np.array([chosen.number(letter) for letter in tags], dtype=np.int8)


def x(start: int, end: int) -> Span:
    return Span(start, end, "X")


# Schemes


def test_tags_of_mentions_of_one_two_and_three_tokens() -> None:
    mentions = [(0, 1), (1, 3), (4, 7)]
    assert letters(BIO, mentions, 8) == "BBIOBIIO"
    assert letters(BIOES, mentions, 8) == "SBEOBIEO"


@BOTH
def test_outside_is_tag_zero_and_nothing_encodes_to_it(chosen: Scheme) -> None:
    assert chosen.number("O") == 0
    assert chosen.encode(3, []).tolist() == [0, 0, 0]
    assert chosen.encode(0, []).tolist() == []
    assert chosen.decode(chosen.encode(0, [])) == []


def test_names_carry_the_label_except_outside() -> None:
    assert BIO.names("DISEASE") == ["O", "B-DISEASE", "I-DISEASE"]
    assert BIOES.names("X") == ["O", "B-X", "I-X", "E-X", "S-X"]


def test_a_mention_may_end_the_text_and_touch_the_next_one() -> None:
    assert BIO.decode(numbers(BIO, "BIBOBI")) == [(0, 2), (2, 3), (4, 6)]
    assert BIOES.decode(numbers(BIOES, "BESOBE")) == [(0, 2), (2, 3), (4, 6)]


def test_transitions_of_bio_by_hand() -> None:
    # From O, B, I to O, B, I.
    assert BIO.transitions.astype(int).tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    assert BIO.inside_word.astype(int).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]
    assert BIO.starts.astype(int).tolist() == [1, 1, 0]
    assert BIO.ends.astype(int).tolist() == [1, 1, 1]


def test_transitions_of_bioes_by_hand() -> None:
    def allowed(table: Bools) -> set[str]:
        return {BIOES.tags[a] + BIOES.tags[b] for a, b in zip(*np.nonzero(table), strict=True)}

    assert allowed(BIOES.transitions) == {
        *("OO", "OB", "OS", "EO", "EB", "ES", "SO", "SB", "SS"),
        *("BI", "BE", "II", "IE"),
    }
    assert allowed(BIOES.inside_word) == {"OO", "BI", "BE", "II", "IE"}
    assert [BIOES.tags[tag] for tag in np.flatnonzero(BIOES.starts)] == ["O", "B", "S"]
    assert [BIOES.tags[tag] for tag in np.flatnonzero(BIOES.ends)] == ["O", "E", "S"]


@BOTH
def test_inside_a_word_less_is_allowed_than_between_words(chosen: Scheme) -> None:
    assert not (chosen.inside_word & ~chosen.transitions).any()


@st.composite
def disjoint_ranges(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """A length and mentions made of gaps (0 or more) and lengths (1 or more)."""
    steps = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), max_size=6))
    ranges, at = [], 0
    for gap, length in steps:
        ranges.append((at + gap, at + gap + length))
        at += gap + length
    return at + draw(st.integers(0, 2)), ranges


@BOTH
@given(example=disjoint_ranges())
def test_mentions_come_back_from_their_tags(
    chosen: Scheme, example: tuple[int, list[tuple[int, int]]]
) -> None:
    length, ranges = example
    assert chosen.decode(chosen.encode(length, ranges)) == ranges


@BOTH
@pytest.mark.parametrize("length", range(5))
def test_allowed_paths_and_sets_of_mentions_are_the_same_thing(chosen: Scheme, length: int) -> None:
    paths = {path for path in product(range(len(chosen)), repeat=length) if allows(chosen, path)}
    decoded = {tuple(chosen.decode(np.array(path, dtype=np.int8))) for path in paths}
    assert len(decoded) == len(paths)
    assert {tuple(chosen.encode(length, list(ranges)).tolist()) for ranges in decoded} == paths


def allows(chosen: Scheme, path: tuple[int, ...]) -> bool:
    return not path or bool(
        chosen.starts[path[0]]
        and chosen.ends[path[-1]]
        and all(chosen.transitions[a, b] for a, b in pairwise(path))
    )


def test_schemes_are_found_by_name() -> None:
    assert scheme("BIOES") is BIOES
    with pytest.raises(ConfigError, match="scheme=iob is unknown; choose one of bio, bioes"):
        scheme("iob")


# Best paths


def path_score(
    path: tuple[int, ...], emissions: Floats, joined: Bools, transitions: Transitions
) -> float:
    score = transitions.start[path[0]] + transitions.end[path[-1]]
    score += sum(emissions[t, tag] for t, tag in enumerate(path))
    for t in range(1, len(path)):
        table = transitions.inside if joined[t] else transitions.between
        score += table[path[t - 1], path[t]]
    return float(score)


def random_transitions(chosen: Scheme, generator: np.random.Generator) -> Transitions:
    """What a CRF may learn: any score for a step that the scheme allows, else minus infinity."""
    return Transitions(
        *(
            (part + generator.normal(size=part.shape)).astype(np.float32)
            for part in Transitions.of(chosen)
        )
    )


@BOTH
@given(
    lengths=st.lists(st.integers(0, 4), max_size=4),
    seed=st.integers(0, 2**32 - 1),
    learned=st.booleans(),
)
def test_best_paths_are_the_best_of_all_paths(
    chosen: Scheme, lengths: list[int], seed: int, learned: bool
) -> None:
    generator = np.random.default_rng(seed)
    tags = len(chosen)
    transitions = random_transitions(chosen, generator) if learned else Transitions.of(chosen)
    emissions = [generator.normal(size=(n, tags)).astype(np.float32) for n in lengths]
    joined = [generator.random(n) < 0.4 for n in lengths]

    found = best_paths(emissions, joined, transitions)

    assert [len(path) for path in found] == lengths
    for path, e, j in zip(found, emissions, joined, strict=True):
        if len(path):
            every = product(range(tags), repeat=len(path))
            best = max(path_score(one, e, j, transitions) for one in every)
            assert path_score(tuple(path), e, j, transitions) == pytest.approx(best, abs=1e-4)


def test_finite_scores_need_no_scheme() -> None:
    """Two tags, all steps free but 1 -> 1, which costs 5: emissions 0.0 1.0 each step."""
    nothing = np.zeros(2, dtype=np.float32)
    steps = np.array([[0, 0], [0, -5]], dtype=np.float32)
    transitions = Transitions(nothing, steps, steps, nothing)
    emissions = np.array([[0, 1], [0, 1], [0, 1]], dtype=np.float32)
    [path] = best_paths([emissions], [np.zeros(3, dtype=np.bool_)], transitions)
    assert path.tolist() == [1, 0, 1]


def test_a_word_is_in_one_mention_or_in_none() -> None:
    # O B I; the second token alone says B, the first and third say O but weakly.
    emissions = np.array([[1, 0, 0], [0, 3, 0], [1, 0, 0]], dtype=np.float32)
    apart, joined = np.zeros(3, dtype=np.bool_), np.array([False, True, True])
    free, whole = best_paths([emissions] * 2, [apart, joined], Transitions.of(BIO))
    assert free.tolist() == [0, 1, 0]
    assert whole.tolist() == [0, 0, 0]  # 1 + 0 + 1 against B I I: 0 + 0 + 0


def test_a_mention_begins_with_its_first_tag_whatever_the_emissions_say() -> None:
    emissions = np.array([[0, 0, 9], [0, 0, 9], [9, 0, 0]], dtype=np.float32)
    [path] = best_paths([emissions], [np.zeros(3, dtype=np.bool_)], Transitions.of(BIO))
    assert path.tolist() == [1, 2, 0]


def test_no_sequences_and_empty_sequences() -> None:
    transitions = Transitions.of(BIO)
    nothing, flags = np.empty((0, 3), dtype=np.float32), np.empty(0, dtype=np.bool_)
    assert best_paths([], [], transitions) == []
    assert [path.tolist() for path in best_paths([nothing] * 2, [flags] * 2, transitions)] == [
        [],
        [],
    ]


def test_a_long_text_is_decoded_as_exactly_as_a_short_one() -> None:
    """In single precision the sum, 10,000,000 at the end, counts in steps of 1."""
    emissions = np.zeros((5_000, 3), dtype=np.float32)
    emissions[:, 0] = 2000.0
    emissions[-1] = [2000.0, 2000.1, 0.0]
    [path] = best_paths([emissions], [np.zeros(5_000, dtype=np.bool_)], Transitions.of(BIO))
    assert np.flatnonzero(path).tolist() == [4_999]


# Flattening


@pytest.mark.parametrize(
    ("rule", "spans", "kept"),
    [
        ("longest", [x(0, 4), x(2, 9)], [x(2, 9)]),
        ("first", [x(0, 4), x(2, 9)], [x(0, 4)]),
        ("longest", [x(0, 5), x(5, 9)], [x(0, 5), x(5, 9)]),  # they touch and share nothing
        ("longest", [x(0, 4), x(2, 6)], [x(0, 4)]),  # equally long: the earlier
        ("first", [x(0, 3), x(0, 9)], [x(0, 9)]),  # an equal start: the longer
        ("longest", [x(0, 9), x(0, 2), x(4, 6)], [x(0, 9)]),
        ("longest", [x(0, 3), x(2, 7), x(6, 9)], [x(2, 7)]),
        ("first", [x(0, 3), x(2, 7), x(6, 9)], [x(0, 3), x(6, 9)]),
        ("longest", [x(1, 2), x(1, 2)], [x(1, 2)]),
        ("first", [], []),
    ],
)
def test_rule_of_flattening(rule: str, spans: list[Span], kept: list[Span]) -> None:
    assert list(flatten(spans, rule).kept) == kept


spans = st.builds(
    lambda start, length: x(start, start + length), st.integers(0, 20), st.integers(1, 8)
)


@pytest.mark.parametrize("rule", ["longest", "first"])
@given(mentions=st.lists(spans, max_size=8))
def test_flattening_loses_only_what_overlaps(rule: str, mentions: list[Span]) -> None:
    kept, dropped = flatten(mentions, rule)
    assert sorted(kept + dropped) == sorted(mentions)
    assert not any(one.overlaps(other) for one, other in combinations(kept, 2))
    assert all(any(one.overlaps(other) for other in kept) for one in dropped)
    assert flatten(mentions[::-1], rule) == (kept, dropped)


def test_a_book_is_flattened_as_fast_as_its_pages() -> None:
    """20,000 mentions, every third one inside the one before it: 0.1 s, not ten."""
    mentions = [x(30 * at, 30 * at + 20) for at in range(20_000)]
    inner = [x(one.start + 5, one.end) for one in mentions[::3]]
    began = time.process_time()
    assert flatten(mentions + inner) == (tuple(mentions), tuple(inner))
    assert time.process_time() - began < 3


def test_unknown_rule_of_flattening() -> None:
    with pytest.raises(
        ConfigError, match=r"tagging\.overlaps=last is unknown; choose one of longest"
    ):
        flatten([], "last")


# Tokens


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


@pytest.mark.parametrize(
    ("start", "end", "tokens"),
    [
        (0, 2, (0, 1)),
        (0, 6, (0, 2)),  # the space between counts for nothing
        (1, 4, (0, 2)),  # edges inside tokens: both belong
        (2, 3, (1, 1)),  # nothing but the space
        (2, 6, (1, 2)),  # a leading space
        (6, 8, (2, 4)),
        (7, 8, (2, 4)),  # two tokens that share a character
        (8, 9, (4, 4)),  # behind the last token
    ],
)
def test_tokens_of_a_mention(start: int, end: int, tokens: tuple[int, int]) -> None:
    # ab_cde😀 : tokens ab, cde (3-6), and two that both stand for the characters 6-8.
    starts, ends = ints(0, 3, 6, 6), ints(2, 6, 8, 8)
    assert token_ranges(starts, ends, [x(start, end)]) == [tokens]


def test_an_empty_token_counts_only_strictly_inside() -> None:
    starts, ends = ints(0, 4, 4), ints(3, 4, 8)  # `abc`, a trimmed space, `defg`
    assert token_ranges(starts, ends, [x(0, 3), x(4, 8), x(3, 4), x(0, 8)]) == [
        (0, 1),
        (2, 3),
        (1, 1),
        (0, 3),
    ]


def test_no_tokens_and_no_mentions() -> None:
    assert token_ranges(ints(), ints(), [x(0, 3)]) == [(0, 0)]
    assert token_ranges(ints(0), ints(3), []) == []


@given(
    edges=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), min_size=1, max_size=8),
    mentions=st.lists(spans, max_size=5),
)
def test_tokens_of_a_mention_are_those_that_share_a_character(
    edges: list[tuple[int, int]], mentions: list[Span]
) -> None:
    starts, ends, at = [], [], 0
    for gap, length in edges:
        starts.append(at + gap)
        ends.append(at := at + gap + length)
    found = token_ranges(ints(*starts), ints(*ends), mentions)
    for span, (first, end) in zip(mentions, found, strict=True):
        shared = [i for i in range(len(starts)) if starts[i] < span.end and ends[i] > span.start]
        assert list(range(first, end)) == shared


def tags(mentions: list[Span], label: str = "X", overlaps: str = "longest") -> str:
    """Tags of five tokens of two characters, with a space between: 0-2 3-5 6-8 9-11 12-14."""
    starts = np.arange(0, 15, 3, dtype=np.int32)
    tagging = Tagging(("X", "Y"), BIO, overlaps)
    (layer,) = tagging.tags(starts, starts + 2, mentions, label)
    return "".join(BIO.tags[tag] for tag in layer)


def test_tags_of_one_label_only() -> None:
    mentions = [x(0, 5), Span(6, 8, "Y")]
    assert tags(mentions) == "BIOOO"
    assert tags(mentions, "Y") == "OOBOO"
    assert tags([]) == "OOOOO"


def test_mentions_in_neighbouring_tokens_are_two() -> None:
    assert tags([x(0, 2), x(3, 5)]) == "BBOOO"


def test_tags_follow_the_rule_of_overlaps() -> None:
    assert tags([x(0, 5), x(3, 11)]) == "OBIIO"
    assert tags([x(0, 5), x(3, 11)], overlaps="first") == "BIOOO"


def test_of_two_mentions_in_one_token_the_earlier_is_tagged() -> None:
    assert tags([x(0, 4), x(4, 8)]) == "BIOOO"
    assert tags([x(3, 4), x(4, 5)]) == "OBOOO"


def test_a_mention_outside_every_token_has_no_tag() -> None:
    assert tags([x(2, 3)]) == "OOOOO"
    assert tags([x(20, 22)]) == "OOOOO"


def test_overlapping_mentions_stand_in_layers() -> None:
    starts = np.arange(0, 15, 3, dtype=np.int32)
    mentions = [x(0, 8), x(3, 8), x(6, 8), x(9, 14)]  # three of them inside each other
    tagging = Tagging(("X",), BIO, layers=2)
    layers = tagging.tags(starts, starts + 2, mentions, "X")
    assert ["".join(BIO.tags[tag] for tag in layer) for layer in layers] == ["BIIBI", "OBIOO"]
    assert tagging.layered(mentions)[1] == (x(6, 8),)
    assert Tagging(("X", "Y"), BIO, layers=2).heads == ("X", "X", "Y", "Y")


@given(st.lists(spans), st.integers(1, 4), st.sampled_from(sorted(FLATTENING)))
def test_layers_hold_every_mention_once(mentions: list[Span], layers: int, rule: str) -> None:
    held, left = Tagging(("X",), BIO, rule, layers).layered(mentions)
    assert Counter([*chain(*held), *left]) == Counter(mentions)
    assert not any(a.overlaps(b) for layer in held for a, b in combinations(layer, 2))
    if not left:
        return
    assert all(any(one.overlaps(other) for other in layer) for one in left for layer in held)


def test_a_bias_is_paid_once_by_each_mention() -> None:
    plain = Transitions.of(BIO)
    dear = plain.favouring(-3.0, BIO)
    emissions = [np.array([[2, 0, 0], [0, 2, 0], [0, 0, 2], [0, 0, 2]], dtype=np.float32)]
    joined = [np.zeros(4, dtype=np.bool_)]
    assert best_paths(emissions, joined, plain)[0].tolist() == [0, 1, 2, 2]
    # Three tokens for 6 or, without the mention, 0: it is worth 3, whatever its length.
    assert best_paths(emissions, joined, dear)[0].tolist() == [0, 1, 2, 2]
    far = plain.favouring(-7.0, BIO)
    assert best_paths(emissions, joined, far)[0].tolist() == [0, 0, 0, 0]
