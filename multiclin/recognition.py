"""Documents to mentions in one process: the way of prediction without Lightning or files.

Windows of a look-ahead of documents are sorted by length and go through the network as rows without
padding; documents come out in the order in which they went in. Memory holds one look-ahead.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from itertools import islice

import torch

from multiclin.allocator import keep_memory
from multiclin.batch import WindowStream
from multiclin.bundle import Model
from multiclin.document import Document
from multiclin.windows import Tokenized

CHUNK = 64
"""Texts that are tokenised together."""


class Recognizer:
    """Finds the mentions of documents.

    Args:
        model: A trained model.
        device: Where it runs.
        dtype: What it computes in. In bf16 it is faster, and scores differ in the third digit.
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
        self.model, self.device, self.size = model, torch.device(device), size
        if self.device.type == "cpu":
            keep_memory()
        self.tagger = copy.deepcopy(model.tagger).to(self.device).cast(dtype).eval()

    def pipe(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents with their mentions, in their order.

        Args:
            documents: Any number; read as they are needed.
        """
        stream = WindowStream(
            lambda *_: self._tokenized(documents),
            self.model.collate,
            self.model.windowing,
            size=self.size,
        )
        assembler = self.model.assembler()
        numbers: dict[int, int] = {}
        ready: dict[int, Document] = {}
        following = 0
        for batch in stream:
            numbers |= {id(one): number for number, one in batch.arrivals.items()}
            with torch.inference_mode():
                emissions = self.tagger(batch.ids.to(self.device), batch.mask.to(self.device))
            found = assembler.add(batch.placed, batch.arrivals, emissions.cpu().numpy())
            ready |= {numbers.pop(id(one)): document for one, document in found}
            while following in ready:
                yield ready.pop(following)
                following += 1

    def _tokenized(self, documents: Iterable[Document]) -> Iterator[Tokenized]:
        rest = iter(documents)
        while chunk := list(islice(rest, CHUNK)):
            yield from self.model.subwords.tokenize(chunk)
