"""Windows one after the other in a row, and attention inside them.

A full layer attends inside each window; neighbours of equal length are computed together. A local
layer (ModernBERT: 64 tokens to each side) attends blockwise, a block of queries to itself and
`reach` keys to either side, under a mask that hides other windows: its cost grows with the length
of the row, where a mask over a padded rectangle makes it grow with the square.

Which kernel: on a GPU in half precision torch's attention over sequences of unlike length, which
needs no blocks. Elsewhere scaled_dot_product_attention, but for bf16 on a CPU in training or
without AMX, where two matrix products and a softmax are faster up to `LONGEST` keys. (Figures:
notebooks/LOG.md)

oneDNN, which does bf16 products on a CPU, makes a program for every shape that it meets and keeps a
thousand of them: 45 ms of a step of 450, and gigabytes, where each window has its own length. So
rows come in some `SIZES` lengths, and windows stand in slots of few sizes for such products.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from multiclin.dropout import dropped

T = TypeVar("T")

BLOCK = 128
"""Queries of a block in local attention."""

LONGEST = 1024
"""Keys up to which two matrix products are faster than torch's bf16 kernel without AMX."""

SLOT = 64
"""Windows of full attention by products are padded to a multiple of so many tokens."""

SIZES = 32
"""Lengths of rows, about, between nothing and twice what they hold: at most 1/32 is filled up."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Where the windows lie in a row.

    Attributes:
        lengths: Tokens of each window, in their order. The last one may be padding that fills the
            row up.
        tokens: Their sum, a multiple of `BLOCK`.
    """

    lengths: tuple[int, ...]
    tokens: int
    device: torch.device
    _kept: dict[Hashable, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> Row:
        """The row of windows of these lengths."""
        total = sum(lengths)
        rest = -total % (BLOCK * max(1, total // (BLOCK * SIZES)))
        filled = (*lengths, rest) if rest else tuple(lengths)
        return cls(filled, sum(filled), device)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What layers share: made by the first that asks."""
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    @property
    def positions(self) -> Tensor:
        """The place of each token in its window, shape (tokens,)."""
        return torch.cat([torch.arange(length) for length in self.lengths]).to(self.device)

    @property
    def borders(self) -> Tensor:
        """Where windows begin, and the end of the last one, int32, shape (windows + 1,)."""
        ends = torch.tensor((0, *self.lengths)).cumsum(0)
        return ends.to(self.device, torch.int32)

    @property
    def windows(self) -> Tensor:
        """The number of each token's window, shape (tokens,)."""
        lengths = torch.tensor(self.lengths, device=self.device)
        return torch.repeat_interleave(torch.arange(len(lengths), device=self.device), lengths)

    def runs(self) -> list[tuple[int, int, int]]:
        """Neighbouring windows of equal length: their first token, their number, their length."""
        runs: list[tuple[int, int, int]] = []
        first = 0
        for length in self.lengths:
            if runs and runs[-1][2] == length:
                begin, windows, _ = runs.pop()
                runs.append((begin, windows + 1, length))
            else:
                runs.append((first, 1, length))
            first += length
        return runs

    def slots(self) -> list[tuple[int, tuple[int, ...]]]:
        """Neighbouring windows that fit into slots of one size: the size and their lengths."""
        by_size = groupby(self.lengths, lambda length: length + -length % SLOT)
        return [(size, tuple(lengths)) for size, lengths in by_size]

    def filling(self, size: int, lengths: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Minus infinity on what fills slots up behind windows, else 0.

        Args:
            size: Of the slots.
            lengths: Of the windows.
            dtype: Of the scores that it is added to.

        Returns:
            Shape (windows, 1, 1, size).
        """

        def made() -> Tensor:
            filled = torch.arange(size) >= torch.tensor(lengths)[:, None]
            mask = torch.zeros(filled.shape, dtype=dtype).masked_fill_(filled, -torch.inf)
            return mask[:, None, None].to(self.device)

        return self.once((size, lengths, dtype), made)

    def mask(self, reach: int, dtype: torch.dtype) -> Tensor:
        """What a block's queries may not see.

        Args:
            reach: Tokens to either side that a token attends to.
            dtype: Of the scores that it is added to.

        Returns:
            0 or minus infinity, shape (blocks, 1, BLOCK, reach + BLOCK + reach).
        """
        window = self.windows
        around = functional.pad(window, (reach, reach), value=-1)
        keys = around.unfold(0, reach + BLOCK + reach, BLOCK)
        query = torch.arange(BLOCK, device=self.device)[:, None] + reach
        key = torch.arange(reach + BLOCK + reach, device=self.device)
        seen = ((query - key).abs() <= reach) & (window.view(-1, BLOCK, 1) == keys[:, None])
        mask = torch.zeros(seen.shape, dtype=dtype, device=self.device)
        return mask.masked_fill_(~seen, -torch.inf)[:, None]


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    row: Row,
    *,
    reach: int | None,
    scaling: float,
    dropout: float,
) -> Tensor:
    """Softmax attention inside the windows of a row.

    Args:
        query: Shape (tokens, heads, size), like `key` and `value`.
        key: What the queries meet.
        value: What is summed up.
        row: Where the windows lie.
        reach: Tokens to either side that a token attends to; None for all of its window.
        scaling: Factor of the scores.
        dropout: Share of the weights that are dropped.

    Returns:
        Shape (tokens, heads, size).
    """
    if query.is_cuda and query.dtype in {torch.bfloat16, torch.float16} and not dropout:
        return _varlen(query, key, value, row, reach=reach, scaling=scaling)
    if reach is None:
        return _inside(query, key, value, row, scaling=scaling, dropout=dropout)
    return _nearby(query, key, value, row, reach, scaling=scaling, dropout=dropout)


def _varlen(
    query: Tensor, key: Tensor, value: Tensor, row: Row, *, reach: int | None, scaling: float
) -> Tensor:
    """By torch's kernel for sequences of unlike length."""
    from torch.nn.attention.varlen import varlen_attn

    near = -1 if reach is None else reach
    borders, longest = row.once("borders", lambda: row.borders), max(row.lengths)
    found = varlen_attn(  # without `return_aux` it is one tensor
        query,
        key,
        value,
        borders,
        borders,
        longest,
        longest,
        scale=scaling,
        window_size=(near, near),
    )
    assert isinstance(found, Tensor)
    return found


def _inside(
    query: Tensor, key: Tensor, value: Tensor, row: Row, *, scaling: float, dropout: float
) -> Tensor:
    """Full attention, run by run."""
    if _by_products(query, max(row.lengths)):
        return _in_slots(query, key, value, row, scaling=scaling, dropout=dropout)
    runs = row.runs()
    sizes = [windows * length for _, windows, length in runs]
    # Split and joined, not sliced: the gradient of slices would be filled with zeros.
    split = (torch.split(one, sizes) for one in (query, key, value))
    found = []
    for (_, windows, length), *parts in zip(runs, *split, strict=True):
        shape = (windows, length, *query.shape[1:])
        cut = (one.view(shape).transpose(1, 2) for one in parts)
        weighted = _weighted(*cut, scaling=scaling, dropout=dropout)
        found.append(weighted.transpose(1, 2).flatten(0, 1))
    return torch.cat(found)


def _in_slots(
    query: Tensor, key: Tensor, value: Tensor, row: Row, *, scaling: float, dropout: float
) -> Tensor:
    """Full attention of windows in slots, size by size."""
    slots = row.once("slots", row.slots)
    split = (
        torch.split(one, [sum(lengths) for _, lengths in slots]) for one in (query, key, value)
    )
    found = []
    for (size, lengths), *parts in zip(slots, *split, strict=True):
        cut = [_slotted(one, lengths, size).transpose(1, 2) for one in parts]
        mask = row.filling(size, lengths, query.dtype)
        weighted = _weighted(*cut, scaling=scaling, dropout=dropout, mask=mask).transpose(1, 2)
        windows = zip(weighted.unbind(), lengths, strict=True)
        found += [one[:length] for one, length in windows]
    return torch.cat(found)


def _slotted(tokens: Tensor, lengths: Sequence[int], size: int) -> Tensor:
    """Windows of a row in slots: (tokens, heads, size) to (windows, slot, heads, size)."""
    windows = torch.split(tokens, list(lengths))
    return torch.stack([functional.pad(one, (0, 0, 0, 0, 0, size - len(one))) for one in windows])


def _nearby(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    row: Row,
    reach: int,
    *,
    scaling: float,
    dropout: float,
) -> Tensor:
    """Local attention, block by block."""
    blocks = query.view(-1, BLOCK, *query.shape[1:]).transpose(1, 2)
    around: list[Tensor] = [_Around.apply(one, reach) for one in (key, value)]  # type: ignore[no-untyped-call]
    mask = row.once((reach, query.dtype), lambda: row.mask(reach, query.dtype))
    weighted = _weighted(blocks, *around, scaling=scaling, dropout=dropout, mask=mask)
    return weighted.transpose(1, 2).flatten(0, 1)


class _Around(torch.autograd.Function):
    """What lies around each block. Its gradient by slices is 5 times faster than `unfold`'s."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, reach: int) -> Tensor:  # noqa: ANN401
        """Shape (tokens, heads, size) to (blocks, heads, reach + BLOCK + reach, size)."""
        ctx.reach = reach
        padded = functional.pad(tokens, (0, 0, 0, 0, reach, reach))
        return padded.unfold(0, reach + BLOCK + reach, BLOCK).transpose(-1, -2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        """Every token's gradient is summed over the blocks that it lies around."""
        blocks, heads, _, size = gradient.shape
        first, *others = torch.split(gradient.transpose(1, 2), BLOCK, dim=1)
        padded = gradient.new_empty((blocks + len(others), BLOCK, heads, size))
        padded[:blocks], padded[blocks:] = first, 0
        for shift, part in enumerate(others, start=1):
            padded[shift : shift + blocks, : part.shape[1]] += part
        tokens = padded.flatten(0, 1)
        return tokens[ctx.reach : ctx.reach + blocks * BLOCK], None


def _weighted(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scaling: float,
    dropout: float,
    mask: Tensor | None = None,
) -> Tensor:
    """Softmax attention of shapes (batch, heads, queries or keys, size)."""
    if not _by_products(query, key.shape[-2]):
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling
        )
    scaled = query if scaling == 1 else query * scaling
    scores = scaled @ key.transpose(-1, -2)
    if mask is not None:
        scores += mask
    return dropped(scores.softmax(-1), dropout) @ value


def _by_products(query: Tensor, keys: int) -> bool:
    """Whether two matrix products and a softmax are faster than torch's kernel."""
    return (
        query.dtype == torch.bfloat16
        and query.device.type == "cpu"
        and (query.requires_grad or not _has_amx())
        and keys <= LONGEST
    )


@cache
def _has_amx() -> bool:
    """Whether this CPU has units for bf16 matrices, which torch's kernel uses."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))
