"""Mentions <-> tags, for every scheme from one table.

A scheme names the tag of a mention's only, first, inner and last token. All else follows: which tag
may come after which, which may begin or end a text, how a path of tags reads back as mentions. So
BIO and BIOES are two rows of data and no code knows a tag by number.

The best path is found by Viterbi under the scheme's transitions, for many documents at once. Steps
*inside a word* have a narrower table (a word is in one mention or in none), which is what keeps a
subword model from cutting words; see `Scheme.inside_word`.

Flat tags cannot hold overlapping mentions of one label: `flatten` says which ones stay. The others
go to a second layer of tags, with a head of its own, and what meets there to a third (`Tagging`);
with one layer, as in the paper, they are counted as the recall ceiling. A layer costs one more
linear map; its mentions do not know of each other, unlike those of a parser over spans, and nothing
is quadratic in the length. (Ramshaw and Marcus 1995; paper section 2.2; Alex et al. 2007 and Ju et
al. 2018 for layers; FACTS 2, 4.)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from multiclin.document import Span
from multiclin.errors import ConfigError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

OUTSIDE = "O"


@dataclass(frozen=True)
class Scheme:
    """A tagging scheme as a table of roles.

    Attributes:
        name: As configs write it.
        single: Tag of a mention of one token.
        first: Tag of the first token of a longer mention.
        inner: Tag of its middle tokens.
        last: Tag of its last token.
    """

    name: str
    single: str
    first: str
    inner: str
    last: str

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """Tag letters in the order of their numbers; `O` is 0."""
        return tuple(dict.fromkeys((OUTSIDE, self.first, self.inner, self.last, self.single)))

    def __len__(self) -> int:
        return len(self.tags)

    def number(self, letter: str) -> int:
        """The number of a tag letter."""
        return self.tags.index(letter)

    def names(self, label: str) -> list[str]:
        """Tag names of one label, by number: `O`, `B-DISEASE`, `I-DISEASE`."""
        return [tag if tag == OUTSIDE else f"{tag}-{label}" for tag in self.tags]

    def _has_role(self, *letters: str) -> Bools:
        return np.array([tag in letters for tag in self.tags])

    @cached_property
    def outside(self) -> Bools:
        """Shape (tags,): the tag `O`."""
        return self._has_role(OUTSIDE)

    @cached_property
    def opening(self) -> Bools:
        """Shape (tags,): tags that begin a mention."""
        return self._has_role(self.single, self.first)

    @cached_property
    def continuing(self) -> Bools:
        """Shape (tags,): tags that need a mention before them."""
        return self._has_role(self.inner, self.last)

    @cached_property
    def closing(self) -> Bools:
        """Shape (tags,): tags after which a mention may be over."""
        return self._has_role(self.single, self.last)

    @cached_property
    def unfinished(self) -> Bools:
        """Shape (tags,): tags after which a mention may go on."""
        return self._has_role(self.first, self.inner)

    @cached_property
    def starts(self) -> Bools:
        """Shape (tags,): tags that may begin a text."""
        return self.outside | self.opening

    @cached_property
    def ends(self) -> Bools:
        """Shape (tags,): tags that may end a text."""
        return self.outside | self.closing

    @cached_property
    def transitions(self) -> Bools:
        """Shape (tags, tags): whether the second tag may follow the first."""
        return np.outer(self.ends, self.starts) | np.outer(self.unfinished, self.continuing)

    @cached_property
    def inside_word(self) -> Bools:
        """Shape (tags, tags): the same between two tokens of one word, which share a mention."""
        return np.outer(self.outside, self.outside) | np.outer(self.unfinished, self.continuing)

    def encode(self, length: int, ranges: Sequence[tuple[int, int]]) -> npt.NDArray[np.int8]:
        """Tags of a token sequence.

        Args:
            length: Number of tokens.
            ranges: Disjoint half-open token ranges of the mentions, none empty.

        Returns:
            Tag numbers, shape (length,).

        Example:
            BIO, 5 tokens, mentions (1, 3) and (3, 4): `O B I B O`.
        """
        tags = np.zeros(length, dtype=np.int8)
        for first, end in ranges:
            if end - first == 1:
                tags[first] = self.number(self.single)
                continue
            tags[first] = self.number(self.first)
            tags[first + 1 : end - 1] = self.number(self.inner)
            tags[end - 1] = self.number(self.last)
        return tags

    def decode(self, tags: npt.NDArray[np.integer]) -> list[tuple[int, int]]:
        """Half-open token ranges of the mentions on a path that the scheme allows.

        Args:
            tags: Tag numbers, shape (length,).
        """
        firsts = np.flatnonzero(self.opening[tags])
        stops = np.append(np.flatnonzero(~self.continuing[tags]), len(tags))
        ends = stops[np.searchsorted(stops, firsts, side="right")]
        return list(zip(firsts.tolist(), ends.tolist(), strict=True))


SCHEMES = {
    "bio": Scheme("bio", single="B", first="B", inner="I", last="I"),
    "bioes": Scheme("bioes", single="S", first="B", inner="I", last="E"),
}


def scheme(name: str) -> Scheme:
    """The scheme of that name; ConfigError names the others."""
    if name.lower() not in SCHEMES:
        raise ConfigError(f"scheme={name} is unknown; choose one of {', '.join(SCHEMES)}")
    return SCHEMES[name.lower()]


class Flattened(NamedTuple):
    """Mentions of one label that flat tags can hold, and those that they cannot."""

    kept: tuple[Span, ...]
    dropped: tuple[Span, ...]


FLATTENING = {
    "longest": lambda span: (span.start - span.end, span.start),
    "first": lambda span: (span.start, span.start - span.end),
}


def flatten(spans: Sequence[Span], rule: str = "longest") -> Flattened:
    """Choose disjoint mentions among overlapping ones of the same label.

    Args:
        spans: Mentions of one label.
        rule: `longest` (the longer mention wins, then the earlier) or `first` (the earlier start
            wins, then the longer).

    Example:
        "severe [aortic insufficiency]" with both annotated: `longest` keeps the whole, drops the
        inner one.
    """
    if rule not in FLATTENING:
        raise ConfigError(
            f"tagging.overlaps={rule} is unknown; choose one of {', '.join(FLATTENING)}"
        )
    kept: list[Span] = []
    dropped: list[Span] = []
    for span in sorted(spans, key=FLATTENING[rule]):
        at = bisect_right(kept, span.start, key=attrgetter("start"))
        # Those kept are disjoint and in order: only the neighbours can overlap.
        if any(span.overlaps(other) for other in kept[max(0, at - 1) : at + 1]):
            dropped.append(span)
        else:
            kept.insert(at, span)
    return Flattened(tuple(kept), tuple(sorted(dropped)))


def token_ranges(
    starts: npt.NDArray[np.integer], ends: npt.NDArray[np.integer], spans: Sequence[Span]
) -> list[tuple[int, int]]:
    """Half-open ranges of the tokens that share a character with each mention.

    Args:
        starts: First character of each token, ascending, shape (tokens,).
        ends: One past its last character, ascending. An empty token only counts strictly inside a
            mention.
        spans: Mentions; the range of one that meets no token is empty (first == end).
    """
    firsts = np.searchsorted(ends, [span.start for span in spans], side="right")
    stops = np.searchsorted(starts, [span.end for span in spans], side="left")
    return list(zip(firsts.tolist(), np.maximum(firsts, stops).tolist(), strict=True))


class Tagging(NamedTuple):
    """How the mentions of a corpus become tags.

    Attributes:
        labels: The labels, in the order of their heads.
        scheme: The tagging scheme.
        overlaps: Which of overlapping mentions stay in a layer, a key of `FLATTENING`.
        layers: Tag sequences, and heads, of each label.
    """

    labels: tuple[str, ...]
    scheme: Scheme
    overlaps: str = "longest"
    layers: int = 1

    @property
    def heads(self) -> tuple[str, ...]:
        """The label of each head: label by label, layer by layer."""
        return tuple(label for label in self.labels for _ in range(self.layers))

    def layered(self, spans: Sequence[Span]) -> tuple[list[tuple[Span, ...]], tuple[Span, ...]]:
        """The mentions of each layer, disjoint there, and those that no layer holds.

        Args:
            spans: Mentions of one label.

        Example:
            Two layers by `longest`, "[severe [aortic insufficiency]]": the whole is in the first
            layer, the inner one in the second.
        """
        kept: list[tuple[Span, ...]] = []
        left: Sequence[Span] = spans
        for _ in range(self.layers):
            layer, left = flatten(left, self.overlaps)
            kept.append(layer)
        return kept, tuple(left)

    def tags(
        self,
        starts: npt.NDArray[np.integer],
        ends: npt.NDArray[np.integer],
        spans: Sequence[Span],
        label: str,
    ) -> npt.NDArray[np.int8]:
        """Tag numbers of one label over non-empty tokens, shape (layers, tokens)."""
        layers, _ = self.layered([span for span in spans if span.label == label])
        ranges = (_disjoint(token_ranges(starts, ends, layer)) for layer in layers)
        return np.stack([self.scheme.encode(len(starts), one) for one in ranges])


def _disjoint(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges without the empty ones and those that meet an earlier one in a shared token."""
    kept: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if first < end and (not kept or first >= kept[-1][1]):
            kept.append((first, end))
    return kept


class Transitions(NamedTuple):
    """Scores that a path pays on its way, added to the emissions; minus infinity forbids.

    Attributes:
        start: Of the first tag, shape (tags,).
        between: From tag to tag, shape (tags, tags).
        inside: The same between two tokens of one word.
        end: Of the last tag, shape (tags,).
    """

    start: Floats
    between: Floats
    inside: Floats
    end: Floats

    @classmethod
    def of(cls, scheme: Scheme) -> Transitions:
        """Nothing for what the scheme allows, minus infinity for the rest."""

        def cost(allowed: Bools) -> Floats:
            return np.where(allowed, 0.0, -np.inf).astype(np.float32)

        return cls(
            cost(scheme.starts),
            cost(scheme.transitions),
            cost(scheme.inside_word),
            cost(scheme.ends),
        )

    def favouring(self, bias: float, scheme: Scheme) -> Transitions:
        """The same with `bias` added for each mention: above 0 more of them are worth their path.

        Paid where a mention begins, so its length and its edges do not count.
        """
        bonus = np.where(scheme.opening, bias, 0.0).astype(np.float32)
        return self._replace(
            start=self.start + bonus, between=self.between + bonus, inside=self.inside + bonus
        )


def best_paths(
    emissions: Sequence[Floats],
    joined: Sequence[Bools],
    transitions: Transitions,
    besides: Sequence[Floats] | None = None,
) -> list[Ints]:
    """The best tag path of each sequence (Viterbi), all sequences in step.

    Args:
        emissions: Per sequence, shape (length, tags).
        joined: Per sequence, shape (length,): whether the token stands in the word of the token
            before it.
        transitions: What a path pays.
        besides: Per sequence what a step into each token pays as well, shape (length, tags, tags).

    Returns:
        Per sequence the tag numbers, shape (length,).
    """
    paths: list[Ints] = [np.empty(0, dtype=np.int64)] * len(emissions)
    # Sequences stand in order of falling length: at step t the first running[t] ones go on.
    filled = (i for i in range(len(emissions)) if len(emissions[i]))
    order = sorted(filled, key=lambda i: -len(emissions[i]))
    if not order:
        return paths
    lengths = np.array([len(emissions[i]) for i in order])
    longest, tags = emissions[order[0]].shape
    running = np.searchsorted(-lengths, -np.arange(longest)).tolist()
    scores = np.zeros((longest, len(order), tags), dtype=np.float32)  # (T, N, K)
    inside = np.zeros((longest, len(order)), dtype=np.int8)  # (T, N)
    for row, i in enumerate(order):
        scores[: lengths[row], row] = emissions[i]
        inside[: lengths[row], row] = joined[i]
    steps = np.stack([transitions.between, transitions.inside])  # (2, K, K)
    more: Floats | None = None  # (T, N, K, K)
    if besides is not None:
        more = np.zeros((longest, len(order), tags, tags), dtype=np.float32)
        for row, i in enumerate(order):
            more[: lengths[row], row] = besides[i]
    # fp64: the sum over a long text would swallow the last digits of an emission.
    best = transitions.start + scores[0].astype(np.float64)  # (N, K)
    came_from = np.zeros(scores.shape, dtype=np.int8)
    for t, n in enumerate(running[1:], start=1):
        reach = best[:n, :, None] + steps[inside[t, :n]]  # (n, K, K)
        if more is not None:
            reach += more[t, :n]
        came_from[t, :n] = reach.argmax(axis=1)
        best[:n] = reach.max(axis=1) + scores[t, :n]
    lasts = (best + transitions.end).argmax(axis=1).tolist()
    for row, i in enumerate(order):
        path = [lasts[row]]
        for before in came_from[lengths[row] - 1 : 0 : -1, row].tolist():
            path.append(before[path[-1]])
        paths[i] = np.array(path[::-1], dtype=np.int64)
    return paths
