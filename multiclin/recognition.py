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
from multiclin.batch import Batch, WindowStream
from multiclin.bundle import Model
from multiclin.decoding import Completed
from multiclin.document import Document
from multiclin.tagging import Floats
from multiclin.windows import Tokenized

CHUNK = 64
"""Texts that are tokenised together."""


class Recognizer:
    """Finds the mentions of documents.

    Args:
        model: A trained model. In fp32 its own network is used, and moved to the device.
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
        stream = WindowStream(
            lambda *_: self._tokenized(documents),
            self.model.collate,
            self.model.windowing,
            size=self.size,
        )
        assembler = self.model.assembler()
        ready: dict[int, Completed] = {}
        following = 0
        for batch in stream:
            found = assembler.add(batch.placed, batch.arrivals, self.emissions(batch))
            ready |= {one.number: one for one in found}
            while following in ready:
                yield ready.pop(following)
                following += 1

    def emissions(self, batch: Batch) -> Floats:
        """What the network says of a batch, shape (batch, length, tags of all labels)."""
        with torch.inference_mode():
            found = self.tagger(batch.ids.to(self.device), batch.mask.to(self.device))
        emissions: Floats = found.cpu().numpy()
        return emissions

    def _tokenized(self, documents: Iterable[Document]) -> Iterator[Tokenized]:
        rest = iter(documents)
        while chunk := list(islice(rest, CHUNK)):
            yield from self.model.subwords.tokenize(chunk)
