"""What travels from the data to the model: one dataclass, every field with its shape.

Two streams make batches. Training draws shuffled windows (`TrainingWindows` under
`sampling`: windows of like length meet, so little is computed on padding, and what an
optimizer step is does not depend on who computes it). Validation, test and prediction share
`WindowStream`: documents come one after the other, the windows of a look-ahead are sorted by
length, and each batch brings along the documents that it is the first to touch, so whoever collects
emissions needs no corpus in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from multiclin.augmentation import Augmenter
from multiclin.encoder import Subwords
from multiclin.sampling import Share
from multiclin.store import Store
from multiclin.windows import IGNORED, Placed, Tokenized, Window, Windowing

MULTIPLE = 8
"""Batches are padded to a multiple of this many tokens, which matrix units like."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows, padded on the right.

    Attributes:
        ids: Vocabulary ids with special tokens, int64, shape (batch, length).
        mask: 1 for tokens, 0 for padding, int64, shape (batch, length).
        tags: Tag numbers, int64, shape (batch, labels, length), `IGNORED` on special tokens,
            padding, white space and labels without gold; None in prediction.
        weight: Of its mean loss in the optimizer step, 1 where the labelled tokens of the step are
            shared evenly.
        placed: Row by row the window in its document.
        arrivals: Documents of which this batch holds the first window, by number in the stream.
        portion: In prediction the portion of the input that the documents belong to.
        ends_portion: Whether it is the last batch of its portion: all its documents are complete.
        reading: Of an ensemble, which of its tokenizations the windows are of.
    """

    ids: Tensor
    mask: Tensor
    tags: Tensor | None = None
    weight: float = 1.0
    placed: tuple[Placed, ...] = ()
    arrivals: dict[int, Tokenized] = field(default_factory=dict)
    portion: int = 0
    ends_portion: bool = False
    reading: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch with its tensors on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, move: Callable[[Tensor], Tensor]) -> Batch:
        tags = None if self.tags is None else move(self.tags)
        return replace(self, ids=move(self.ids), mask=move(self.mask), tags=tags)


class Piece(NamedTuple):
    """One window without special tokens.

    Attributes:
        ids: Shape (length,).
        tags: Shape (labels, length); None in prediction.
        placed: Where it stands.
    """

    ids: npt.NDArray[Any]
    tags: npt.NDArray[Any] | None
    placed: Placed


class Collate:
    """Pads windows to a batch and puts the special tokens around them.

    Args:
        subwords: Gives the special and padding ids.
    """

    def __init__(self, subwords: Subwords) -> None:
        self.prefix, self.suffix, self.pad = subwords.prefix, subwords.suffix, subwords.pad

    def __call__(self, pieces: Sequence[Piece]) -> Batch:
        """A batch of the pieces, in their order."""
        head, tail = len(self.prefix), len(self.suffix)
        longest = max(1, head + max(len(piece.ids) for piece in pieces) + tail)
        length = math.ceil(longest / MULTIPLE) * MULTIPLE
        ids = np.full((len(pieces), length), self.pad, dtype=np.int64)
        mask = np.zeros_like(ids)
        first = pieces[0].tags
        tags = None if first is None else np.full((len(ids), len(first), length), IGNORED)
        for row, (text, gold, _) in enumerate(pieces):
            end = head + len(text)
            ids[row, :head], ids[row, head:end] = self.prefix, text
            ids[row, end : end + tail] = self.suffix
            mask[row, : end + tail] = 1
            if tags is not None and gold is not None:
                tags[row, :, head:end] = gold
        return Batch(
            torch.from_numpy(ids),
            torch.from_numpy(mask),
            None if tags is None else torch.from_numpy(tags),
            placed=tuple(piece.placed for piece in pieces),
        )

    def share(self, drawn: tuple[Sequence[Piece], float]) -> Batch:
        """A batch of pieces with its weight, as `TrainingWindows` draws them for a share."""
        pieces, weight = drawn
        return replace(self(pieces), weight=weight)


class TrainingWindows(Dataset[Piece]):
    """The windows of some documents of a store, by number.

    Args:
        store: The tokenised corpus.
        documents: Numbers of the documents in the store.
        windowing: How they are cut.
        augmenter: Changes them each time; None leaves them as they stand in their texts.
    """

    def __init__(
        self,
        store: Store,
        documents: Sequence[int],
        windowing: Windowing,
        augmenter: Augmenter | None = None,
    ) -> None:
        self.store, self.context, self.augmenter = store, windowing.context, augmenter
        rows = [
            (document, *window)
            for document in documents
            for window in windowing.cut(int(store.lengths[document]))
        ]
        self.rows = np.array(rows, dtype=np.int64).reshape(-1, 3)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Piece:
        document, first, end = self.rows[row].tolist()
        window = Window(first, end)
        ids, tags = self.store.tokens(document, window)
        core = window.core(int(self.store.lengths[document]), self.context)
        return Piece(ids, core_tags(tags, window, core), Placed(document, window))

    def drawn(self, row: int, moment: tuple[int, int]) -> Piece:
        """A window as it is trained on in a step of an epoch."""
        piece = self[row]
        if self.augmenter is None or piece.tags is None:
            return piece
        ids, tags = self.augmenter(piece.ids, piece.tags, piece.placed, moment, row)
        return Piece(ids, tags, piece.placed)

    def __getitems__(self, share: Share) -> tuple[list[Piece], float]:
        """The windows of a share, and the weight of their mean loss.

        Lightning averages the gradients of processes and accumulated batches as if all held the
        same number of labelled tokens. With 10 of 40 in one of two shares, it weighs 0.5, the other
        one 1.5: the average is then the mean over the 40.
        """
        # No process is left without a batch: the others would wait for it for ever.
        rows, weight = share or share.step[:1], 1.0
        if share.shares == 1:  # A whole step is not counted.
            return [self.drawn(row, share.moment) for row in rows], weight
        drawn = {row: self.drawn(row, share.moment) for row in share.step}
        labelled = {row: _labelled(piece) for row, piece in drawn.items()}
        mine, whole = (sum(labelled[row] for row in part) for part in (share, share.step))
        return [drawn[row] for row in rows], mine * share.shares / max(1, whole)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each window."""
        lengths: npt.NDArray[np.int64] = self.rows[:, 2] - self.rows[:, 1]
        return lengths


def _labelled(piece: Piece) -> int:
    """Labels that a window gives to the loss."""
    return 0 if piece.tags is None else int(np.count_nonzero(piece.tags != IGNORED))


def core_tags(tags: npt.NDArray[Any], window: Window, core: Window) -> npt.NDArray[Any]:
    """Tags of a window, shape (labels, length), `IGNORED` outside of its core."""
    if core == window:
        return tags
    part = slice(core.first - window.first, core.end - window.first)
    kept = np.full_like(tags, IGNORED)
    kept[:, part] = tags[:, part]
    return kept


class WindowStream(IterableDataset[Batch]):
    """Batches over whole documents for validation, test and prediction.

    Processes and workers each take every n-th document, so each document comes out once.

    Args:
        documents: Called in each worker with (part, parts); gives that part of the documents.
        collate: Makes batches.
        windowing: How documents are cut.
        size: Full windows per batch; of shorter ones as many as fit into as many tokens.
        rank: This process.
        world: Number of processes.
        lookahead: Documents whose windows are sorted together.
    """

    def __init__(
        self,
        documents: Callable[[int, int], Iterable[Tokenized]],
        collate: Collate,
        windowing: Windowing,
        *,
        size: int,
        rank: int = 0,
        world: int = 1,
        lookahead: int = 128,
    ) -> None:
        self.documents, self.collate, self.windowing = documents, collate, windowing
        self.size, self.rank, self.world, self.lookahead = size, rank, world, lookahead

    def __iter__(self) -> Iterator[Batch]:
        part, parts = part_here(self.rank, self.world)
        stream = iter(self.documents(part, parts))
        number = part
        while ahead := list(islice(stream, self.lookahead)):
            numbered = {number + i * parts: document for i, document in enumerate(ahead)}
            number += len(ahead) * parts
            yield from window_batches(numbered, self.collate, self.windowing, self.size)


def part_here(rank: int, world: int) -> tuple[int, int]:
    """Which part of a stream this worker of this process makes, and how many parts there are."""
    worker = get_worker_info()
    part, parts = (worker.id, worker.num_workers) if worker else (0, 1)
    # Neighbouring parts go to different processes: few documents then reach each of them.
    return part * world + rank, world * parts


def window_batches(
    documents: dict[int, Tokenized], collate: Collate, windowing: Windowing, size: int
) -> Iterator[Batch]:
    """The windows of whole documents, sorted by length, in batches.

    Args:
        documents: By number.
        collate: Makes batches.
        windowing: How documents are cut.
        size: Full windows per batch; of shorter ones as many as fit into as many tokens.
    """
    placed = [
        Placed(number, window)
        for number, document in documents.items()
        for window in windowing.cut(len(document)) or [Window(0, 0)]
    ]
    placed.sort(key=lambda one: one.window.end - one.window.first)
    waiting = dict(documents)
    for rows in _filled(placed, windowing, size):
        batch = collate([_piece(documents[row.document], row, windowing) for row in rows])
        new = dict.fromkeys(row.document for row in rows if row.document in waiting)
        yield replace(batch, arrivals={number: waiting.pop(number) for number in new})


def _filled(placed: Sequence[Placed], windowing: Windowing, size: int) -> Iterator[list[Placed]]:
    """Windows, the longest last, in groups of up to `size` full windows' tokens."""
    rows: list[Placed] = []
    for one in placed:
        first, end = one.window
        length = end - first + windowing.specials
        if (len(rows) + 1) * length > size * windowing.size and rows:
            yield rows
            rows = []
        rows.append(one)
    if rows:
        yield rows


def _piece(document: Tokenized, placed: Placed, windowing: Windowing) -> Piece:
    window = placed.window
    part = slice(window.first, window.end)
    if document.tags is None:
        return Piece(document.ids[part], None, placed)
    core = window.core(len(document), windowing.context)
    return Piece(document.ids[part], core_tags(document.tags[:, part], window, core), placed)
