"""Emissions of windows -> mentions of documents: the one path for validation, test and prediction.

Three steps. `Assembler` puts the emissions of a document's windows together, each weighted to its
window's centre, and lets a document go as soon as its last window is in (memory holds only the
documents under way). `Decoder` finds the best tag path of each label over the whole document under
the scheme's transitions, a word being inside one mention or none, and reads it back as character
spans. Snapping then mends the edges that subwords and annotators see differently.

Merging before decoding means that no rule has to choose between the spans of two windows (paper
section 2.4; DESIGN section 3; FACTS 8). Plain numpy: it works on whatever made the emissions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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

    def decode(self, documents: Sequence[Tokenized], emissions: Sequence[Floats]) -> list[Document]:
        """Documents with their predicted mentions, each with a score.

        Args:
            documents: The documents.
            emissions: Of each, shape (tokens, tags of all heads).
        """
        visible = [np.flatnonzero(one.starts < one.ends) for one in documents]
        joined = [self._joined(one, rows) for one, rows in zip(documents, visible, strict=True)]
        spans: list[list[Span]] = [[] for _ in documents]
        for number, label in enumerate(self.heads):
            part = slice(number * len(self.scheme), (number + 1) * len(self.scheme))
            scores = [e[rows, part] for e, rows in zip(emissions, visible, strict=True)]
            paths = best_paths(scores, joined, self.transitions[number])
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
class Assembler:
    """Collects window emissions and decodes every document that is complete.

    Attributes:
        decoder: What makes mentions of emissions.
        windowing: How the documents were cut.
        prefix: Special tokens before the text of a window.
    """

    decoder: Decoder
    windowing: Windowing
    prefix: int
    _open: dict[int, _Collected] = field(default_factory=dict)

    def add(
        self,
        placed: Sequence[Placed],
        arrivals: dict[int, Tokenized],
        emissions: Floats,
    ) -> list[Completed]:
        """Take a batch; give the documents that it completes.

        Args:
            placed: Of each row, its document and window.
            arrivals: Documents whose first window is in this batch.
            emissions: Shape (batch, length, tags of all labels), special tokens included.

        Raises:
            DivergedError: An emission is no number.
        """
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
        merged = [one.emissions / one.weights[:, None] for one in complete.values()]
        documents = [one.tokenized for one in complete.values()]
        predicted = self.decoder.decode(documents, merged)
        return list(map(Completed, complete, documents, predicted, merged))

    def _place(self, place: Placed, emissions: Floats) -> bool:
        """Add one window to its document; whether that was the last one."""
        one, (first, end) = self._open[place.document], place.window
        if not np.isfinite(emissions).all():
            raise DivergedError(
                f"{one.tokenized.document.id}: what the model says of it is no number: its weights "
                "are damaged, or those of a training that diverged"
            )
        weights = edge_weights(place.window, len(one.tokenized))
        text = slice(self.prefix, self.prefix + end - first)
        one.emissions[first:end] += weights[:, None] * emissions[text]
        one.weights[first:end] += weights
        one.missing -= 1
        return one.missing == 0
