"""Emissions of windows -> mentions of documents: the one path for validation, test and prediction.

Three steps. `Merger` puts the emissions of a document's windows together, each weighted to its
window's centre, and `Assembler` lets a document go as soon as its last window is in (memory holds
only the documents under way); of an ensemble in several tokenizations it waits for all, and joins
them (`units`). `Decoder` finds the best tag path of each label over the whole document under the
scheme's transitions, a word being inside one mention or none, and reads it back as character spans.
Snapping then mends the edges that subwords and annotators see differently.

Merging before decoding means that no rule has to choose between the spans of two windows (paper
section 2.4; DESIGN section 3; FACTS 8). Plain numpy: it works on whatever made the emissions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from multiclin.document import Document, Span
from multiclin.errors import DivergedError
from multiclin.tagging import Bools, Floats, Ints, Scheme, Transitions, best_paths
from multiclin.windows import Placed, Tokenized, Windowing, edge_weights
from multiclin.words import snap, word_index


@dataclass(frozen=True, slots=True)
class Decoder:
    """Turns a document's emissions into its mentions.

    Attributes:
        heads: The label of each head in the order of the emissions; one may have several layers.
        scheme: The tagging scheme.
        transitions: Per head what a path pays.
        whole_words: Whether all subwords of a word share their mention.
        snapping: Name of the snapping rule (`words.SNAPPINGS`).
        inner: Characters that hold a word together beyond the rule of `words`.
        min_score: Mentions of a lower score are left out; 0 keeps all.
    """

    heads: tuple[str, ...]
    scheme: Scheme
    transitions: tuple[Transitions, ...]
    whole_words: bool = True
    snapping: str = "words"
    inner: str = ""
    min_score: float = 0.0

    def decode(
        self,
        documents: Sequence[Tokenized],
        emissions: Sequence[Floats],
        besides: Sequence[Floats] | None = None,
    ) -> list[Document]:
        """Documents with their predicted mentions, each with a score.

        Args:
            documents: The documents.
            emissions: Of each, shape (tokens, tags of all heads).
            besides: Of each, `Merged.besides`.
        """
        visible = [np.flatnonzero(one.starts < one.ends) for one in documents]
        joined = [self._joined(one, rows) for one, rows in zip(documents, visible, strict=True)]
        spans: list[list[Span]] = [[] for _ in documents]
        for number, label in enumerate(self.heads):
            part = slice(number * len(self.scheme), (number + 1) * len(self.scheme))
            scores = [e[rows, part] for e, rows in zip(emissions, visible, strict=True)]
            more = besides and [
                one[rows, number] for one, rows in zip(besides, visible, strict=True)
            ]
            paths = best_paths(scores, joined, self.transitions[number], more)
            for i, (path, score) in enumerate(zip(paths, scores, strict=True)):
                spans[i] += self._spans(documents[i], visible[i], path, score, label)
        snapped = (
            snap(one.document.text, found, self.snapping, self.inner)
            for one, found in zip(documents, spans, strict=True)
        )
        return [
            one.document.with_spans(tuple(s for s in found if (s.score or 0.0) >= self.min_score))
            for one, found in zip(documents, snapped, strict=True)
        ]

    def _joined(self, one: Tokenized, rows: Ints) -> Bools:
        """Whether each visible token stands in the word, or the character, of the one before."""
        joined = np.zeros(len(rows), dtype=np.bool_)
        if len(rows) < 2:
            return joined
        starts, ends = one.starts[rows], one.ends[rows]
        # Byte-fallback tokens share the offsets of their one character.
        joined[1:] = starts[1:] < ends[:-1]
        if self.whole_words:
            words = word_index(one.document.text, self.inner)
            before, after = words[ends[:-1] - 1], words[starts[1:]]
            joined[1:] |= (before == after) & (before >= 0)
        return joined

    def _spans(
        self, one: Tokenized, rows: Ints, path: Ints, scores: Floats, label: str
    ) -> list[Span]:
        """Character spans of a path; the score is the mean probability of its tags."""
        if not len(rows):
            return []
        certain = np.take_along_axis(softmax(scores), path[:, None], axis=1)[:, 0]
        starts, ends = one.starts[rows], one.ends[rows]
        return [
            Span(int(starts[a]), int(ends[b - 1]), label, round(float(certain[a:b].mean()), 4))
            for a, b in self.scheme.decode(path)
        ]


def softmax(scores: Floats) -> Floats:
    """Probabilities over the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    share: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return share


@dataclass(slots=True)
class _Collected:
    """A document under way.

    Attributes:
        tokenized: The document.
        emissions: Weighted sums so far, shape (tokens, tags).
        weights: Sums of the weights, shape (tokens,).
        missing: Windows still to come.
    """

    tokenized: Tokenized
    emissions: Floats
    weights: npt.NDArray[np.float32]
    missing: int


class Merged(NamedTuple):
    """A document whose windows have been put together.

    Attributes:
        tokenized: The document.
        emissions: Shape (tokens, tags of all heads).
        besides: What the step into each token pays besides the transitions, shape (tokens, heads,
            tags, tags); None where that is nothing.
    """

    tokenized: Tokenized
    emissions: Floats
    besides: Floats | None = None


class Completed(NamedTuple):
    """A document whose last window is in.

    Attributes:
        number: Its number in the stream.
        tokenized: The document.
        predicted: The same with the predicted mentions.
        emissions: What they were decoded from, shape (tokens, tags of all heads).
    """

    number: int
    tokenized: Tokenized
    predicted: Document
    emissions: Floats


@dataclass(slots=True)
class Merger:
    """Puts the emissions of windows together to those of documents.

    Attributes:
        windowing: How the documents were cut.
        prefix: Special tokens before the text of a window.
    """

    windowing: Windowing
    prefix: int
    _open: dict[int, _Collected] = field(default_factory=dict)

    def add(
        self, placed: Sequence[Placed], arrivals: dict[int, Tokenized], emissions: Floats
    ) -> dict[int, Merged]:
        """Take a batch, as `Assembler.add`; give the documents that it completes, by number."""
        for number, tokenized in arrivals.items():
            shape = (len(tokenized), emissions.shape[-1])
            self._open[number] = _Collected(
                tokenized,
                np.zeros(shape, dtype=np.float32),
                np.zeros(shape[0], dtype=np.float32),
                max(1, len(self.windowing.cut(shape[0]))),
            )
        complete = {
            place.document: self._open.pop(place.document)
            for row, place in enumerate(placed)
            if self._place(place, emissions[row])
        }
        return {
            number: Merged(one.tokenized, one.emissions / one.weights[:, None])
            for number, one in complete.items()
        }

    def _place(self, place: Placed, emissions: Floats) -> bool:
        """Add one window to its document; whether that was the last one."""
        one, (first, end) = self._open[place.document], place.window
        if not np.isfinite(emissions).all():
            raise DivergedError(
                f"{one.tokenized.document.id}: what the model says of it is no number: its weights "
                "are damaged, or those of a training that diverged"
            )
        weights = edge_weights(place.window, len(one.tokenized), self.windowing.context)
        text = slice(self.prefix, self.prefix + end - first)
        one.emissions[first:end] += weights[:, None] * emissions[text]
        one.weights[first:end] += weights
        one.missing -= 1
        return one.missing == 0


@dataclass(slots=True)
class Assembler:
    """Collects window emissions and decodes every document that is complete.

    Attributes:
        decoder: What makes mentions of emissions.
        mergers: One for each tokenization that the documents come in.
        join: Makes one of what the mergers have of a document.
    """

    decoder: Decoder
    mergers: Sequence[Merger]
    join: Callable[[Sequence[Merged]], Merged] = itemgetter(0)
    _merged: dict[int, dict[int, Merged]] = field(default_factory=dict)

    def add(
        self,
        placed: Sequence[Placed],
        arrivals: dict[int, Tokenized],
        emissions: Floats,
        reading: int = 0,
    ) -> list[Completed]:
        """Take a batch; give the documents that it completes.

        Args:
            placed: Of each row, its document and window.
            arrivals: Documents whose first window is in this batch.
            emissions: Shape (batch, length, tags of all labels), special tokens included.
            reading: Which tokenization the batch is of.

        Raises:
            DivergedError: An emission is no number.
        """
        merged = self.mergers[reading].add(placed, arrivals, emissions)
        for number, one in merged.items():
            self._merged.setdefault(number, {})[reading] = one
        complete = {
            number: [found for _, found in sorted(self._merged.pop(number).items())]
            for number in merged
            if len(self._merged[number]) == len(self.mergers)
        }
        joined = [self.join(parts) for parts in complete.values()]
        predicted = decoded(self.decoder, joined)
        return [
            Completed(number, one.tokenized, document, one.emissions)
            for number, one, document in zip(complete, joined, predicted, strict=True)
        ]


def decoded(decoder: Decoder, merged: Sequence[Merged]) -> list[Document]:
    """Documents with their predicted mentions."""
    besides = [one.besides for one in merged if one.besides is not None]
    return decoder.decode(
        [one.tokenized for one in merged], [one.emissions for one in merged], besides or None
    )
