"""Targets of words, snapping and tagged sentences, held against slow statements of them."""

from __future__ import annotations

from collections import Counter
from typing import Final

import regex

from multiclin.corpus.exchange import Loss, Losses
from multiclin.corpus.tagged import (
    Token,
    aligned,
    rebuilt,
    spans_of,
    tagged_sentences,
    tokens_of,
)
from multiclin.errors import OutputError
from multiclin.words import SNAPPINGS, snap, word_index, word_spans
from tests.fuzzing.contracts import attempted
from tests.fuzzing.source import Source

_ALNUM: Final = regex.compile(r"[\p{L}\p{N}]")
INNER: Final = ("", "-", "-'", "]\\^", "/")


def words(data: bytes) -> None:
    """Words are disjoint and in order, every letter or digit is in one, and each edge is one."""
    source = Source(data)
    inner, text = source.choice(INNER), source.text(200)
    spans = word_spans(text, inner).tolist()
    index = word_index(text, inner).tolist()
    expected = [-1] * len(text)
    last = 0
    for number, (start, end) in enumerate(spans):
        assert last <= start < end <= len(text)
        assert _ALNUM.match(text[start])
        expected[start:end] = [number] * (end - start)
        last = end
    assert index == expected
    assert all(index[match.start()] >= 0 for match in _ALNUM.finditer(text))


def snapping(data: bytes) -> None:
    """Snapped mentions lie in the text, hold every letter of the old ones, and stay where they are.

    Nothing is snapped out of nowhere: each overlaps a mention of its label.
    """
    source = Source(data)
    strategy, inner = source.choice(tuple(SNAPPINGS)), source.choice(INNER)
    text = source.text(120)
    spans = source.spans(len(text), labels=("X", "Y"))
    snapped = snap(text, spans, strategy, inner)
    assert list(snapped) == sorted(set(snapped))
    assert snap(text, snapped, strategy, inner) == snapped
    for one in snapped:
        assert one.end <= len(text)
        assert any(one.overlaps(old) for old in spans if old.label == one.label)
        if strategy != "none":
            assert any(char.isalnum() for char in text[one.start : one.end])
    covered = {(one.label, at) for one in snapped for at in range(one.start, one.end)}
    for old in spans:
        letters = [at for at in range(old.start, old.end) if _ALNUM.match(text[at])]
        assert strategy == "none" or all((old.label, at) in covered for at in letters)
    if strategy == "none":
        assert set(snapped) == set(spans)


def sentences(data: bytes) -> None:
    """Documents to sentences of tagged tokens and back: what is not the same was told."""
    source = Source(data)
    one = source.document()
    told: list[Loss] = []
    tagged, error = attempted(lambda: tagged_sentences(one, Losses(told.append)))
    assert error is None or isinstance(error, OutputError)
    tokens = [token for sentence in tagged or () for token in sentence]
    assert [(token.start, token.end) for token in tokens] == [
        (token.start, token.end) for token in tokens_of(one.text)
    ]
    shown = "".join(one.text[token.start : token.end] for token in tokens)
    assert shown == "".join(one.text.split())
    missing, new = Counter(one.spans), Counter(spans_of(tagged or ()))
    missing, new = missing - new, new - missing
    assert missing <= Counter(loss.span for loss in told if loss.span)
    assert all(any(a.start <= b.start < b.end <= a.end for a in missing) for b in new)
    pieces = [[one.text[token.start : token.end] for token in part] for part in tagged or ()]
    text = rebuilt(pieces)
    places = list(aligned([piece for part in pieces for piece in part], text))
    assert [text[a:b] for a, b in places] == [piece for part in pieces for piece in part]


def any_tags(data: bytes) -> None:
    """Tags in whatever order and scheme: mentions in order, disjoint, with edges of tokens."""
    source = Source(data)
    tokens = []
    for at in range(source.number(0, 20)):
        kind = source.choice("OBIESLUM")
        label = source.choice(("", "-X", "-Y", "-A-B"))
        tokens.append(Token(2 * at, 2 * at + 1, kind + ("" if kind == "O" else label)))
    cut = source.number(0, len(tokens))
    spans = spans_of([tokens[:cut], tokens[cut:]])
    edges = [edge for one in spans for edge in (one.start, one.end)]
    assert edges == sorted(edges)
    held = {at for one in spans for at in range(one.start, one.end)}
    assert {one.start for one in tokens if one.tag != "O"} <= held
    assert not {one.start for one in tokens if one.tag == "O"} & held
    assert not cut or all(not one.start < 2 * cut < one.end for one in spans)
