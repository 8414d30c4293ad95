"""The portions of an input as batches, for prediction.

A batch holds windows of one portion only (`corpus.texts`), so what a document is computed together
with depends on neither workers nor processes nor shards, nor on where a prediction was cut off:
the last digit of a score is the same however the work is shared out. The price is a last batch per
portion that is not full, and windows sorted by length over 128 documents and not over more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch.utils.data import IterableDataset

from multiclin.batch import Batch, part_here, window_batches
from multiclin.bundle import Model, Reading
from multiclin.corpus.texts import Texts
from multiclin.document import Document
from multiclin.encoder import Subwords
from multiclin.errors import CorpusError, Problem
from multiclin.windows import Tokenized


class PortionStream(IterableDataset[Batch]):
    """Batches of some portions, each worker of each process making every n-th of them.

    Args:
        texts: The input.
        portions: Numbers of the portions that are wanted.
        model: Gives tokenizers and windows.
        size: Windows per batch.
        rank: This process.
        world: Number of processes.
    """

    def __init__(
        self,
        texts: Texts,
        portions: Sequence[int],
        model: Model,
        *,
        size: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.texts, self.portions, self.size = texts, portions, size
        self.readings = model.readings
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[Batch]:
        part, parts = part_here(self.rank, self.world)
        for portion in self.portions[part::parts]:
            found = dict(self.texts.portion(portion))
            if len(found) != self.texts.size(portion):
                changed = "it has changed since the command began: give it again"
                raise CorpusError([Problem(self.texts.path, 0, changed)])
            batches = batches_of(found, self.readings, self.size)
            *others, last = (replace(batch, portion=portion) for batch in batches)
            yield from others
            yield replace(last, ends_portion=True)


def batches_of(
    found: Mapping[int, Document | Problem], readings: Sequence[Reading], size: int
) -> Iterator[Batch]:
    """All windows of some documents, of one tokenization after the other.

    Args:
        found: Documents by number; what could not be read is one without a text.
        readings: The tokenizations.
        size: Windows per batch.
    """
    for number, (subwords, windowing, collate) in enumerate(readings):
        for batch in window_batches(tokenized(found, subwords), collate, windowing, size):
            yield replace(batch, reading=number)


def tokenized(found: Mapping[int, Document | Problem], subwords: Subwords) -> dict[int, Tokenized]:
    """Documents as tokens, by number; what could not be read takes its problem along."""
    documents = (one for one in found.values() if isinstance(one, Document))
    tokens = iter(subwords.tokenize(list(documents)))
    return {
        number: next(tokens) if isinstance(one, Document) else _unreadable(one)
        for number, one in found.items()
    }


def _unreadable(problem: Problem) -> Tokenized:
    nothing = np.empty(0, dtype=np.int32)
    return Tokenized(Document(str(problem.path), ""), nothing, nothing, nothing, problem=problem)
