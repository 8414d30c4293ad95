"""Emissions of windows become mentions of documents, whatever the windows and batches were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.decoding import Assembler, Merger, softmax
from multiclin.document import Document, Span
from multiclin.tagging import Floats
from multiclin.windows import Placed, Tokenized, Window, Windowing
from tests.toy_models import BIO, characters, decoder, marked, perfect, tokenized

PREFIX = 1
JUNK = 99.0  # what special tokens and padding emit: nobody may look at it


def assembler_of(windowing: Windowing) -> Assembler:
    return Assembler(decoder(), [Merger(windowing, PREFIX)])


def windows_of(documents: Sequence[Tokenized], windowing: Windowing) -> list[Placed]:
    return [
        Placed(number, window)
        for number, one in enumerate(documents)
        for window in windowing.cut(len(one)) or [Window(0, 0)]
    ]


def batch(rows: Sequence[Placed], emissions: Sequence[Floats]) -> Floats:
    """What the model emits for these windows, shape (batch, length, tags)."""
    longest = max(row.window.end - row.window.first for row in rows) + 2
    out = np.full((len(rows), longest, emissions[0].shape[1]), JUNK, dtype=np.float32)
    for place, (number, window) in zip(out, rows, strict=True):
        part = emissions[number][window.first : window.end]
        place[PREFIX : PREFIX + len(part)] = part
    return out


def run(
    assembler: Assembler, documents: Sequence[Tokenized], batches: Sequence[Sequence[Placed]]
) -> list[Document]:
    """All documents that come out of these batches, in the order in which they do."""
    waiting = dict(enumerate(documents))
    emissions = [perfect(one) for one in documents]
    out: list[Document] = []
    for rows in batches:
        new = dict.fromkeys(row.document for row in rows if row.document in waiting)
        arrivals = {number: waiting.pop(number) for number in new}
        found = assembler.add(rows, arrivals, batch(rows, emissions))
        out += [one.predicted for one in found]
    return out


@st.composite
def documents(draw: st.DrawFn) -> list[Tokenized]:
    """Documents of a few words with disjoint mentions at any letters, maybe touching."""
    drawn = []
    for number in range(draw(st.integers(1, 5))):
        text = draw(st.text("ab1 \n.é\U0001d11e", max_size=40))
        letters = [at for at, char in enumerate(text) if not char.isspace()]
        edges = sorted(draw(st.sets(st.sampled_from(letters), max_size=8))) if letters else []
        spans = tuple(
            Span(first, last + 1, "X") for first, last in zip(edges[::2], edges[1::2], strict=False)
        )
        one = Document(f"d{number}", text, spans, annotated=frozenset({"X"}))
        drawn.append(characters(one))
    return drawn


@st.composite
def windowings(draw: st.DrawFn) -> Windowing:
    """Small windows, whatever they share and read as context only."""
    size = draw(st.integers(3, 12))
    overlap = draw(st.integers(0, size - 3))
    return Windowing(size, overlap, specials=2, context=draw(st.integers(0, overlap // 2)))


@given(documents(), windowings(), st.integers(1, 7), st.randoms())
def test_perfect_emissions_give_the_gold_spans_however_the_windows_come(
    texts: list[Tokenized], windowing: Windowing, together: int, random: Random
) -> None:
    placed = windows_of(texts, windowing)
    random.shuffle(placed)
    batches = [placed[at : at + together] for at in range(0, len(placed), together)]
    found = run(assembler_of(windowing), texts, batches)
    assert {one.id: one.spans for one in found} == {
        one.document.id: one.document.spans for one in texts
    }


def test_windows_are_weighted_to_their_centres() -> None:
    # Room 4, overlap 2, 6 tokens: windows (0, 4) and (2, 6), weights 4 3 2 1 and 1 2 3 4.
    one = characters(marked("abcdef"))
    outside, begin = [3.0, 0.0, -90.0], [0.0, 3.0, -90.0]
    first = [outside, outside, begin, begin]
    second = [outside, outside, outside, outside]
    emissions = np.array([[[JUNK] * 3, *rows, [JUNK] * 3] for rows in (first, second)], np.float32)
    assembler = assembler_of(Windowing(6, 2, 2))
    rows = [Placed(0, Window(0, 4)), Placed(0, Window(2, 6))]
    ((number, same, found, merged),) = assembler.add(rows, {0: one}, emissions)
    assert (number, same) == (0, one)
    assert merged[2].tolist() == [1, 2, -90]
    # Token 2: O (2*0 + 1*3)/3 = 1, B (2*3 + 1*0)/3 = 2. Token 3: O 2, B 1.
    assert found.spans == (Span(2, 3, "X"),)
    assert found.spans[0].score == pytest.approx(np.e / (1 + np.e), abs=1e-4)


def test_nothing_is_decoded_from_context() -> None:
    """Windows (0, 8) and (4, 12) of 12 tokens: what they say of each other's cores is not heard."""
    one, windowing = characters(marked("abc[defg]hijkl")), Windowing(10, 4, 2, context=2)
    rows = windows_of([one], windowing)
    emissions = batch(rows, [perfect(one)])
    emissions[0, PREFIX + 6 : PREFIX + 8] = JUNK * np.arange(3)
    emissions[1, PREFIX : PREFIX + 2] = JUNK * np.arange(3)
    (found,) = assembler_of(windowing).add(rows, {0: one}, emissions)
    assert found.predicted.spans == one.document.spans


def test_a_document_comes_out_with_its_last_window() -> None:
    windowing = Windowing(6, 2, 2)
    texts = [characters(marked("abcdef")), characters(marked("[ab]", "e"))]
    assembler = assembler_of(windowing)
    (first, second), (only,) = (
        [p for p in windows_of(texts, windowing) if p[0] == n] for n in (0, 1)
    )
    emissions = [perfect(one) for one in texts]
    assert assembler.add([second], {0: texts[0]}, batch([second], emissions)) == []
    out = assembler.add([only, first], {1: texts[1]}, batch([only, first], emissions))
    assert [(one.number, one.tokenized.document.id, one.predicted.spans) for one in out] == [
        (1, "e", (Span(0, 2, "X"),)),
        (0, "d", ()),
    ]
    assert (assembler._merged, assembler.mergers[0]._open) == ({}, {})


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_a_document_without_letters_comes_out_without_mentions(text: str) -> None:
    one = characters(marked(text))
    windowing = Windowing(6, 2, 2)
    (found,) = run(assembler_of(windowing), [one], [windows_of([one], windowing)])
    assert found == one.document


def emitted(one: Tokenized, *rows: tuple[float, ...], whole_words: bool = False) -> list[Span]:
    """Mentions for these emissions of O, B and I, token by token."""
    (found,) = decoder(whole_words=whole_words).decode([one], [np.array(rows, dtype=np.float32)])
    return list(found.spans)


def test_a_word_is_in_one_mention_or_in_none() -> None:
    one = tokenized(marked("dolor toracico"), "dolor| tora|cico")
    begun = ((5.0, 0.0, 0.0), (0.0, 5.0, 0.0), (1.0, 0.0, 0.0))
    assert emitted(one, *begun) == [Span(6, 10, "X")]
    # B I costs 1 less than what each token would choose, O O costs 4.
    assert emitted(one, *begun, whole_words=True) == [Span(6, 14, "X")]
    faint = ((5.0, 0.0, 0.0), (0.0, 1.0, 0.0), (5.0, 0.0, 0.0))
    assert emitted(one, *faint) == [Span(6, 10, "X")]
    assert emitted(one, *faint, whole_words=True) == []


def test_a_word_holds_no_second_mention() -> None:
    one = tokenized(marked("toracico"), "tora|cico")
    twice = ((0.0, 5.0, 0.0), (0.0, 5.0, 1.0))
    assert emitted(one, *twice) == [Span(0, 4, "X"), Span(4, 8, "X")]
    assert emitted(one, *twice, whole_words=True) == [Span(0, 8, "X")]


def test_tokens_of_one_character_share_its_mention() -> None:
    text = "a\U0001d11eb"  # the clef as four bytes
    one = replace(
        characters(marked(text)),
        ids=np.arange(6, dtype=np.int32),
        starts=np.array([0, 1, 1, 1, 1, 2], dtype=np.int32),
        ends=np.array([1, 2, 2, 2, 2, 3], dtype=np.int32),
    )
    out, begin, faint = (2.0, 0.0, 0.0), (0.0, 5.0, 0.0), (0.0, 1.0, 0.0)
    assert emitted(one, out, begin, out, begin, begin, out) == [Span(1, 2, "X")]  # B I I I: 5
    assert emitted(one, out, faint, out, faint, faint, out) == []  # O O O O: 2


def test_the_score_is_the_mean_probability_of_the_tags() -> None:
    one = tokenized(marked("dolor fuerte"), "dolor| fuerte")
    # B with 2/4, I with 3/5.
    rows = np.log([(1, 2, 1), (1, 1, 3)])
    (span,) = emitted(one, *rows.tolist())
    assert (span, span.score) == (Span(0, 12, "X"), 0.55)


def test_probabilities_of_large_emissions_are_finite() -> None:
    assert softmax(np.array([[1e4, 0.0]], dtype=np.float32)).tolist() == [[1.0, 0.0]]


def test_each_label_has_its_own_mentions() -> None:
    one = characters(marked("tos seca"), labels=("X", "Y"))
    x = [[9, 0, 0]] * 4 + [[0, 9, 0]] + [[0, 0, 9]] * 3  # seca
    y = [[0, 9, 0]] + [[0, 0, 9]] * 7  # tos seca
    emissions = np.concatenate([np.array(x), np.array(y)], axis=1).astype(np.float32)
    (found,) = decoder(("X", "Y")).decode([one], [emissions])
    assert found.spans == (Span(0, 8, "Y"), Span(4, 8, "X"))


@given(st.data(), st.booleans(), st.sampled_from(["words", "paper", "none"]))
def test_any_emissions_give_disjoint_mentions_with_a_score(
    data: st.DataObject, whole_words: bool, snapping: str
) -> None:
    text = data.draw(st.text("ab1 -.\U0001d11e", min_size=1, max_size=20))
    letters = [at for at, char in enumerate(text) if char != " "]
    # Some characters have no token, some have several, as bytes do.
    at = np.array(sorted(data.draw(st.lists(st.sampled_from(letters or [0]), max_size=20))))
    starts = at.astype(np.int32)
    one = Tokenized(Document("d", text), starts, starts, starts + 1)
    number = st.floats(-50, 50, width=32)
    row = st.tuples(number, number, number)
    rows = data.draw(st.lists(row, min_size=len(at), max_size=len(at)))
    emissions = np.array(rows, dtype=np.float32).reshape(-1, len(BIO))
    made = decoder(whole_words=whole_words, snapping=snapping)
    (found,) = made.decode([one], [emissions])
    for before, after in zip(found.spans, found.spans[1:], strict=False):
        assert before.end <= after.start
    assert all(span.score is not None and 0 <= span.score <= 1 for span in found.spans)
