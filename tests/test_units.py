"""Two tokenizations of one text as one sequence of units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.decoding import Decoder, Merged
from multiclin.document import Document
from multiclin.errors import Problem
from multiclin.tagging import SCHEMES, Floats, Scheme, Transitions
from multiclin.units import Units, Voice, paths, unit_ranges
from multiclin.windows import Tokenized

TEXT = "dolor toracico"


def tokens(text: str, *ranges: tuple[int, int], problem: Problem | None = None) -> Tokenized:
    """A document with a token at each range."""
    starts, ends = np.array(ranges, dtype=np.int32).reshape(-1, 2).T
    return Tokenized(Document("d", text), np.zeros_like(starts), starts, ends, problem=problem)


def cut(text: str, *edges: int) -> Tokenized:
    """A document cut before these characters; white space is trimmed off, as tokenizers do."""
    ranges = pairwise([0, *edges, len(text)])
    shown = []
    for start, end in ranges:
        piece = text[start:end]
        lead = len(piece) - len(piece.lstrip())
        shown.append((start + lead, max(start + lead, end - len(piece) + len(piece.rstrip()))))
    return tokens(text, *shown)


def shown(*tokenizations: Tokenized) -> list[tuple[int, int]]:
    starts, ends = unit_ranges(tokenizations)
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def voice(scheme: Scheme, weight: float = 1.0, *labels: Floats) -> Voice:
    """A voice whose paths pay these scores from tag to tag, one table for each label."""
    allowed = Transitions.of(scheme)
    pays = [
        allowed._replace(between=allowed.between + table, inside=allowed.inside + table)
        for table in labels
    ]
    return Voice(pays or [allowed], weight)


def test_units_are_the_smallest_ranges_of_whole_tokens_on_both_sides() -> None:
    whole, halves, others = cut(TEXT, 5), cut(TEXT, 5, 10), cut(TEXT, 5, 9)
    assert shown(whole, whole) == [(0, 5), (6, 14)]
    assert shown(halves, halves) == [(0, 5), (6, 10), (10, 14)]
    assert shown(halves, whole) == [(0, 5), (6, 14)]
    # tora|cico and tor|acico: no cut is one of both.
    assert shown(halves, others) == [(0, 5), (6, 14)]
    assert shown(cut(TEXT, 2, 5, 9, 12), cut(TEXT, 5, 12)) == [(0, 5), (6, 12), (12, 14)]


def test_tokens_of_one_character_are_one_unit() -> None:
    bytes_of = tokens("aéb", (0, 1), (1, 2), (1, 2), (2, 3))
    assert shown(bytes_of, bytes_of) == [(0, 1), (1, 2), (2, 3)]


def test_what_one_tokenizer_leaves_out_is_a_unit_of_the_other() -> None:
    assert shown(tokens("a+b", (0, 1), (2, 3)), cut("a+b", 1, 2)) == [(0, 1), (1, 2), (2, 3)]
    assert shown(tokens("", (0, 0)), tokens("")) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bio", {"O": "OOO", "B": "BII", "I": "III"}),
        ("bioes", {"O": "OOO", "B": "BII", "I": "III", "E": "IIE", "S": "BIE"}),
    ],
)
def test_a_tag_of_a_unit_is_a_path_of_its_tokens(name: str, expected: dict[str, str]) -> None:
    scheme = SCHEMES[name]
    found = ["".join(scheme.tags[number] for number in row) for row in np.transpose(paths(scheme))]
    assert dict(zip(scheme.tags, found, strict=True)) == expected


def test_the_emission_of_a_unit_is_the_score_of_its_path() -> None:
    bio = SCHEMES["bio"]
    # O, B and I of dolor, tora, cico; and of dolor, toracico.
    halves = np.array([[1, 0, 0], [2, 5, 1], [4, 7, 3]], dtype=np.float32)
    whole = np.array([[3, 0, 2], [0, 2, 4]], dtype=np.float32)
    step = np.zeros((3, 3), dtype=np.float32)
    step[bio.number("B"), bio.number("I")], step[0, 0] = 0.5, 0.25
    units = Units(bio, [voice(bio, 0.5, step), voice(bio, 0.5, 0 * step)])
    joined = units.join([Merged(cut(TEXT, 5, 10), halves), Merged(cut(TEXT, 5), whole)])
    # toracico: O 2+4+0.25, B 5+3+0.5, I 1+3; the mean with 0, 2, 4.
    assert joined.emissions.tolist() == [[2, 0, 1], [3.125, 5.25, 4]]
    assert joined.besides is not None
    # Out of dolor, one token in both, into toracico, which begins with its own tag: nothing.
    assert not joined.besides.any()


def test_a_step_out_of_a_long_unit_is_that_of_its_last_token() -> None:
    bio = SCHEMES["bio"]
    step = np.arange(9, dtype=np.float32).reshape(3, 3)  # O 0 1 2, B 3 4 5, I 6 7 8
    units = Units(bio, [voice(bio, 0.5, step), voice(bio, 0.5, step)])
    nothing = np.zeros((3, 3), dtype=np.float32)
    one, other = cut("dolor abdominal", 3, 6), cut("dolor abdominal", 6)
    joined = units.join([Merged(one, nothing), Merged(other, nothing[:2])])
    assert joined.besides is not None
    # Of the first voice, `B` leaves dolor with `I`: 6 7 8 instead of 3 4 5, half of it.
    assert joined.besides[1, 0].tolist() == [[0, 0, 0], [1.5, 1.5, 1.5], [0, 0, 0]]


def test_one_tokenization_in_two_windowings_stays_as_it_is() -> None:
    bio = SCHEMES["bio"]
    one = cut(TEXT, 5, 10)
    emissions = np.arange(9, dtype=np.float32).reshape(3, 3)
    joined = Units(bio, [voice(bio, 0.5)] * 2).join(
        [Merged(one, emissions), Merged(one, 3 * emissions)]
    )
    assert joined.tokenized.starts.tolist() == one.starts.tolist()
    assert joined.emissions.tolist() == (2 * emissions).tolist()
    assert joined.besides is None


def test_every_head_is_joined_by_itself() -> None:
    bio = SCHEMES["bio"]
    numbers = np.random.default_rng(1)
    steps = numbers.random((2, 2, 3, 3), dtype=np.float32)
    said = [(cut(TEXT, 5, 10), numbers.random((3, 6))), (cut(TEXT, 5, 9), numbers.random((3, 6)))]
    merged = [Merged(one, its.astype(np.float32)) for one, its in said]
    both = Units(bio, [voice(bio, 0.5, *tables) for tables in steps]).join(merged)
    assert both.besides is not None
    for head in (0, 1):
        part = slice(3 * head, 3 * head + 3)
        alone = Units(bio, [voice(bio, 0.5, tables[head]) for tables in steps])
        joined = alone.join([one._replace(emissions=one.emissions[:, part]) for one in merged])
        assert joined.besides is not None
        assert joined.emissions.tolist() == both.emissions[:, part].tolist()
        assert joined.besides[:, 0].tolist() == both.besides[:, head].tolist()


def test_a_document_that_could_not_be_read_keeps_its_problem() -> None:
    problem = Problem(Path("a"), 0, "not UTF-8")
    bio = SCHEMES["bio"]
    empty = Merged(tokens("", problem=problem), np.zeros((0, 3), dtype=np.float32))
    joined = Units(bio, [voice(bio, 0.5)] * 2).join([empty, empty])
    assert joined.tokenized.problem == problem
    assert (len(joined.tokenized), joined.emissions.shape) == (0, (0, 3))


@dataclass
class Case:
    """Two tokenizations of a text, what each says, and how its paths pay."""

    scheme: Scheme
    merged: list[Merged]
    steps: list[Floats]
    weights: list[float]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    scheme = draw(st.sampled_from(list(SCHEMES.values())))
    length = draw(st.integers(1, 7))
    text = "abcdefg"[:length]
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def table(rows: int) -> Floats:
        return numbers.integers(-8, 9, (rows, len(scheme))).astype(np.float32)

    merged = []
    for _ in range(2):
        cuts = draw(st.lists(st.booleans(), min_size=length - 1, max_size=length - 1))
        one = cut(text, *(edge for edge, is_cut in enumerate(cuts, 1) if is_cut))
        merged.append(Merged(one, table(len(one))))
    has_scores = draw(st.booleans())
    steps = [table(len(scheme)) * has_scores for _ in range(2)]
    weights = draw(st.sampled_from([[0.5, 0.5], [0.25, 0.75]]))
    return Case(scheme, merged, steps, weights)


def mentions_of(units: int) -> Iterator[list[tuple[int, int]]]:
    """Every set of disjoint ranges of units."""
    ranges = [(a, b) for a in range(units) for b in range(a + 1, units + 1)]
    for chosen in chain.from_iterable(combinations(ranges, n) for n in range(units + 1)):
        if all(before[1] <= after[0] for before, after in pairwise(chosen)):
            yield list(chosen)


def score(
    case: Case, number: int, units: Sequence[tuple[int, int]], chosen: Sequence[tuple[int, int]]
) -> float:
    """What a member's path pays whose mentions are these ranges of units."""
    one, step = case.merged[number], case.steps[number]
    starts, ends = one.tokenized.starts.tolist(), one.tokenized.ends.tolist()
    ranges = [(starts.index(units[a][0]), ends.index(units[b - 1][1]) + 1) for a, b in chosen]
    path = case.scheme.encode(len(starts), ranges).tolist()
    total = sum(float(row[tag]) for row, tag in zip(one.emissions, path, strict=True))
    return total + sum(float(step[a, b]) for a, b in pairwise(path))


@given(cases())
def test_paths_of_units_score_as_those_of_tokens_and_the_best_is_found(case: Case) -> None:
    voices = [
        voice(case.scheme, weight, step)
        for weight, step in zip(case.weights, case.steps, strict=True)
    ]
    one, emissions, besides = Units(case.scheme, voices).join(case.merged)
    units = list(zip(one.starts.tolist(), one.ends.tolist(), strict=True))
    mean = np.average(case.steps, axis=0, weights=case.weights)
    expected = {
        tuple(chosen): sum(w * score(case, n, units, chosen) for n, w in enumerate(case.weights))
        for chosen in mentions_of(len(units))
    }
    for chosen, its in expected.items():
        path = case.scheme.encode(len(units), chosen).tolist()
        total = sum(float(row[tag]) for row, tag in zip(emissions, path, strict=True))
        total += sum(float(mean[step]) for step in pairwise(path))
        if besides is not None:
            steps = zip(besides[1:, 0], pairwise(path), strict=True)
            total += sum(float(table[step]) for table, step in steps)
        assert total == pytest.approx(its, abs=1e-3)
    (transitions,) = voice(case.scheme, 1.0, mean.astype(np.float32)).transitions
    decoder = Decoder(("X",), case.scheme, (transitions,), whole_words=False, snapping="none")
    (found,) = decoder.decode([one], [emissions], None if besides is None else [besides])
    starts, ends = one.starts.tolist(), one.ends.tolist()
    best = tuple((starts.index(span.start), ends.index(span.end) + 1) for span in found.spans)
    assert expected[best] == pytest.approx(max(expected.values()), abs=1e-3)
