"""Documents to mentions in one process: the way of prediction without Lightning or files.

Windows of a look-ahead of documents are sorted by length and go through the network as rows without
padding; documents come out in the order in which they went in. Memory holds one look-ahead.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

import torch

from multiclin.allocator import keep_memory
from multiclin.batch import Batch
from multiclin.bundle import Model
from multiclin.decoding import Completed
from multiclin.document import Document
from multiclin.portions import batches_of
from multiclin.tagging import Floats

CHUNK = 128
"""Documents that are tokenised, and whose windows are sorted by length, together."""


class Recognizer:
    """Finds the mentions of documents.

    Args:
        model: A trained model, or an ensemble. In fp32 its own network is used, and moved to the
            device.
        device: Where it runs.
        dtype: What it computes in. In bf16 it is faster, and scores differ by some hundredths.
        size: Windows per batch.
    """

    def __init__(
        self,
        model: Model,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        size: int = 16,
    ) -> None:
        self.device, self.size = torch.device(device), size
        if self.device.type == "cpu":
            keep_memory()
        tagger = model.tagger
        if dtype != torch.float32:  # Of a copy: the weights given stay as exact as they are.
            tagger = copy.deepcopy(tagger).cast(dtype)
        self.tagger = tagger.to(self.device).eval()
        self.model = replace(model, tagger=self.tagger)

    def pipe(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents with their mentions, in their order.

        Args:
            documents: Any number; read as they are needed.
        """
        return (one.predicted for one in self.completed(documents))

    def completed(self, documents: Iterable[Document]) -> Iterator[Completed]:
        """The same with the emissions that the mentions were decoded from."""
        assembler = self.model.assembler()
        ready: dict[int, Completed] = {}
        following = 0
        for batch in self.batches(documents):
            emissions = self.emissions(batch)
            found = assembler.add(batch.placed, batch.arrivals, emissions, batch.reading)
            ready |= {one.number: one for one in found}
            while following in ready:
                yield ready.pop(following)
                following += 1

    def batches(self, documents: Iterable[Document]) -> Iterator[Batch]:
        """The windows of the documents, which are numbered from 0."""
        numbered = enumerate(documents)
        while chunk := dict(islice(numbered, CHUNK)):
            yield from batches_of(chunk, self.model.readings, self.size)

    def emissions(self, batch: Batch) -> Floats:
        """What the network says of a batch, shape (batch, length, tags of all labels)."""
        with torch.inference_mode():
            found = self.tagger.emissions(batch.to(self.device))
        emissions: Floats = found.cpu().numpy()
        return emissions
