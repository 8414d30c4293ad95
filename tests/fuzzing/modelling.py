"""Targets on the way from text to emissions and back: tokens, tags, windows, paths, mentions.

Each holds the code against a slow statement of what it does, on inputs small enough for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise, product
from typing import Final

import numpy as np

from multiclin.ceiling import document_ceilings
from multiclin.decoding import Assembler, Decoder, Merger
from multiclin.document import Document
from multiclin.store import tag_document
from multiclin.tagging import (
    FLATTENING,
    SCHEMES,
    Bools,
    Floats,
    Ints,
    Scheme,
    Tagging,
    Transitions,
    best_paths,
    flatten,
    token_ranges,
)
from multiclin.windows import (
    Placed,
    Tokenized,
    Window,
    Windowing,
    edge_weights,
    split_mentions,
    trim_offsets,
)
from multiclin.words import SNAPPINGS
from tests.fuzzing.contracts import judge_document
from tests.fuzzing.source import Source
from tests.fuzzing.wording import INNER
from tests.toys import TOKENIZERS

_BLANK: Final = "".join(map(chr, range(0x3001))).translate(
    {code: None for code in range(0x3001) if not chr(code).isspace()}
) + ("\u200b\u2060\ufeff")


def windows(data: bytes) -> None:
    """Windows cover every token, share `overlap` tokens, and their weights make a mean."""
    source = Source(data)
    specials = source.number(0, 3)
    room = source.number(1, 40)
    overlap = source.number(0, room - 1)
    windowing = Windowing(room + specials, overlap, specials, source.number(0, overlap // 2))
    tokens = source.number(0, 100)
    cut = windowing.cut(tokens)
    assert [at for at in range(tokens) if not any(a <= at < b for a, b in cut)] == []
    assert all(0 < end - first <= room for first, end in cut)
    assert all(end - first == room for first, end in cut[:-1])
    for before, after in pairwise(cut):
        assert before.end - after.first == windowing.overlap
        assert after.end > before.end
    weights = np.zeros(tokens)
    for window in cut:
        mine = edge_weights(window, tokens, windowing.context)
        core, inside = window.core(tokens, windowing.context), np.arange(*window)
        assert ((mine >= 1) == ((core.first <= inside) & (inside < core.end))).all()
        weights[window.first : window.end] += mine
    assert (weights > 0).all()
    ranges = [(one.start, one.end) for one in source.spans(tokens)]
    whole = [any(w.first <= a and b <= w.end for w in cut) for a, b in ranges]
    assert split_mentions(cut, ranges) == whole.count(False)


def offsets(data: bytes) -> None:
    """Tokens lose the white space at their edges and nothing else."""
    source = Source(data)
    text = source.text(80)
    tokens = [(one.start, one.end) for one in source.spans(len(text))]
    tokens += [(at, at) for at in (0, len(text))]
    starts, ends = trim_offsets(text, *np.array(tokens, dtype=np.int32).T)
    for (first, end), start, stop in zip(tokens, starts.tolist(), ends.tolist(), strict=True):
        kept = text[first:end].strip(_BLANK)
        assert text[start:stop] == kept
        assert first <= start <= stop <= end


def tags(data: bytes) -> None:
    """Mentions of whole tokens come back from tags; flattening drops only what overlaps."""
    source = Source(data)
    scheme, rule = source.choice(tuple(SCHEMES.values())), source.choice(tuple(FLATTENING))
    length = source.number(1, 40)
    # Tokens of one to three characters, with or without a gap between two.
    widths = np.array([source.number(1, 3) for _ in range(length)], dtype=np.int64)
    gaps = np.array([source.number(0, 1) for _ in range(length)], dtype=np.int64)
    starts: Ints = np.cumsum(widths + gaps) - widths - gaps
    ends: Ints = starts + widths
    spans = source.spans(int(ends[-1]), labels=("X",))
    kept, dropped = flatten(spans, rule)
    assert Counter(kept) + Counter(dropped) == Counter(spans)
    assert not any(a.overlaps(b) for a in kept for b in kept if a is not b)
    assert all(any(one.overlaps(other) for other in kept) for one in dropped)
    ranges = token_ranges(starts, ends, spans)
    for one, (first, end) in zip(spans, ranges, strict=True):
        met = [at for at in range(length) if starts[at] < one.end and ends[at] > one.start]
        assert list(range(first, end)) == met
    (numbers,) = Tagging(("X",), scheme, rule).tags(starts, ends, spans, "X")
    _judge_path(scheme, numbers.tolist())
    again = scheme.decode(numbers)
    wanted = token_ranges(starts, ends, kept)
    assert all(one in wanted for one in again)
    free = [one for one in wanted if one[0] < one[1] and not _meets(one, wanted)]
    assert all(one in again for one in free)
    assert scheme.encode(length, again).tolist() == numbers.tolist()


def _meets(one: tuple[int, int], others: Sequence[tuple[int, int]]) -> bool:
    return sum(one[0] < end and first < one[1] for first, end in others if first < end) > 1


def _judge_path(scheme: Scheme, path: Sequence[int]) -> None:
    """The scheme allows it."""
    assert not path or (scheme.starts[path[0]] and scheme.ends[path[-1]])
    assert all(scheme.transitions[a, b] for a, b in pairwise(path))


def paths(data: bytes) -> None:
    """Viterbi finds a path as good as the best of all paths, in whatever company."""
    source = Source(data)
    scheme = source.choice(tuple(SCHEMES.values()))
    rows, joined = [], []
    for _ in range(source.number(1, 2)):
        length = source.number(0, 4)
        scores = [[source.number(0, 15) - 8 for _ in range(len(scheme))] for _ in range(length)]
        rows.append(np.array(scores, dtype=np.float32).reshape(length, len(scheme)))
        joined.append(np.array([source.flag() for _ in range(length)], dtype=np.bool_))
    transitions = Transitions.of(scheme)
    found = best_paths(rows, joined, transitions)
    for row, inside, path in zip(rows, joined, found, strict=True):
        assert len(path) == len(row)
        every = product(range(len(scheme)), repeat=len(row))
        best = max(_worth(row, inside, transitions, other) for other in every)
        assert _worth(row, inside, transitions, path.tolist()) == best


def _worth(row: Floats, inside: Bools, paid: Transitions, path: Sequence[int]) -> float:
    if not path:
        return 0.0
    total = float(paid.start[path[0]] + paid.end[path[-1]])
    total += sum(float(scores[tag]) for scores, tag in zip(row, path, strict=True))
    steps = zip(pairwise(path), inside[1:].tolist(), strict=True)
    return total + sum(float((paid.inside if i else paid.between)[step]) for step, i in steps)


def decoding(data: bytes) -> None:
    """A document through a real tokenizer, tags, windows and back.

    What a perfect model says comes back as gold, but for what the ceiling counts; what any other
    says comes back as mentions of the text, the same however windows are put into batches.
    """
    source = Source(data)
    subwords = TOKENIZERS[source.choice(tuple(TOKENIZERS))]()
    scheme, inner = source.choice(tuple(SCHEMES.values())), source.choice(INNER)
    layers = source.number(1, 2)
    tagging = Tagging(("X", "Y"), scheme, source.choice(tuple(FLATTENING)), layers)
    room = source.number(1, 20)
    windowing = Windowing(room + 1, source.number(0, room - 1), 1)
    decoder = Decoder(
        tagging.heads,
        scheme,
        (Transitions.of(scheme),) * len(tagging.heads),
        source.flag(),
        source.choice(tuple(SNAPPINGS)),
        inner,
    )
    text = source.text(60)
    gold = Document(
        "a", text, source.spans(len(text), labels=("X", "Y")), "es", frozenset(("X", "Y"))
    )
    (one,) = subwords.tokenize([gold])
    _judge_tokens(one)
    tagged = Tokenized(gold, one.ids, one.starts, one.ends, tag_document(one, tagging))
    (ceiling,) = document_ceilings([tagged], tagging, decoder, windowing)
    assert ceiling.gold == len(gold.spans)
    assert sum(ceiling.lost.values()) == ceiling.snapped.fn
    width = len(tagging.heads) * len(scheme)
    emissions = np.array(
        [[source.number(0, 15) for _ in range(width)] for _ in range(len(one))],
        dtype=np.float32,
    ).reshape(len(one), width)
    (whole,) = decoder.decode([one], [emissions])
    judge_document(whole)
    for size in (1, 3):
        merged = _in_batches(one, emissions, Assembler(decoder, [Merger(windowing, 1)]), size)
        assert merged.spans == whole.spans


def _judge_tokens(one: Tokenized) -> None:
    """Tokens stand in the text in order, none begins or ends with white space."""
    starts, ends, text = one.starts, one.ends, one.document.text
    assert (np.diff(starts) >= 0).all()
    assert (np.diff(ends) >= 0).all()
    assert not len(one) or (starts.min() >= 0 and ends.max() <= len(text))
    visible = [text[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True) if a < b]
    assert all(piece == piece.strip(_BLANK) for piece in visible)


def _in_batches(one: Tokenized, emissions: Floats, assembler: Assembler, size: int) -> Document:
    """The document whose windows come in batches of a size, each with what it shows of it."""
    cut = assembler.mergers[0].windowing.cut(len(one)) or [Window(0, 0)]
    arrivals = {0: one}
    for at in range(0, len(cut), size):
        rows = cut[at : at + size]
        longest = 1 + max(end - first for first, end in rows)
        batch = np.full((len(rows), longest, emissions.shape[1]), 99, dtype=np.float32)
        for row, (first, end) in zip(batch, rows, strict=True):
            row[1 : 1 + end - first] = emissions[first:end]
        done = assembler.add([Placed(0, window) for window in rows], arrivals, batch)
        arrivals = {}
    (completed,) = done
    return completed.predicted
