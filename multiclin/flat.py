"""Windows of a batch as one row without padding: no token is computed that nobody asked for.

A batch of windows of unlike length is padded to a rectangle, and a network computes on all of it.
Here the tokens of all windows follow each other in one row. Everything in a transformer but
attention sees single tokens and takes such a row as it is; positions are given, starting anew in
each window. Attention goes through transformers' attention interface, by a function of ours:

- A full layer attends inside each window; neighbours of equal length are computed together.
- A local layer (ModernBERT: 64 tokens to each side) attends blockwise, a block of queries to
  itself and `reach` keys to either side, under a mask that hides other windows. The cost grows with
  the length of the row, where a mask over the rectangle makes it grow with the square.

No forward is written again and no weight copied: a network of the types in `TYPES` gives the same
logits as padded, to rounding. Others are run padded.

In bf16 on a CPU scores are computed by two matrix products, up to `LONGEST` keys: faster than
torch's kernel there. In fp32 that kernel is the faster one. (notebooks/LOG.md)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from multiclin.encoder import first_position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel

ATTENTION = "multiclin_flat"
"""The name of our function in transformers' attention interface."""

TYPES = frozenset(("modernbert", "bert", "electra", "roberta", "xlm-roberta", "camembert"))
"""Model types that are held against their padded forward in the tests."""

BLOCK = 64
"""Queries of a block in local attention."""

LONGEST = 1024
"""Keys up to which two matrix products are faster than torch's bf16 kernel on a CPU."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Where the windows lie in a row.

    Attributes:
        lengths: Tokens of each window, in their order. The last one may be padding that fills the
            last block.
        tokens: Their sum, a multiple of `BLOCK`.
    """

    lengths: tuple[int, ...]
    tokens: int
    device: torch.device
    _masks: dict[tuple[int, torch.dtype], Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> Row:
        """The row of windows of these lengths."""
        rest = -sum(lengths) % BLOCK
        filled = (*lengths, rest) if rest else tuple(lengths)
        return cls(filled, sum(filled), device)

    @property
    def positions(self) -> Tensor:
        """The place of each token in its window, shape (tokens,)."""
        return torch.cat([torch.arange(length, device=self.device) for length in self.lengths])

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

    def mask(self, reach: int, dtype: torch.dtype) -> Tensor:
        """What a block's queries may not see, made once for all layers.

        Args:
            reach: Tokens to either side that a token attends to.
            dtype: Of the scores that it is added to.

        Returns:
            0 or minus infinity, shape (blocks, 1, BLOCK, reach + BLOCK + reach).
        """
        if (reach, dtype) not in self._masks:
            windows = torch.tensor(self.lengths, device=self.device)
            window = torch.repeat_interleave(
                torch.arange(len(windows), device=self.device), windows
            )
            around = functional.pad(window, (reach, reach), value=-1)
            keys = around.unfold(0, reach + BLOCK + reach, BLOCK)
            query = torch.arange(BLOCK, device=self.device)[:, None] + reach
            key = torch.arange(reach + BLOCK + reach, device=self.device)
            seen = ((query - key).abs() <= reach) & (window.view(-1, BLOCK, 1) == keys[:, None])
            mask = torch.zeros(seen.shape, dtype=dtype, device=self.device)
            self._masks[reach, dtype] = mask.masked_fill_(~seen, -torch.inf)[:, None]
        return self._masks[reach, dtype]


def prepare(network: PreTrainedModel) -> None:
    """Have a network attend through `attend`, if its type is one that takes rows."""
    from transformers import AttentionInterface

    if network.config.model_type in TYPES:
        AttentionInterface.register(ATTENTION, attend)
        network.set_attn_implementation(ATTENTION)


def takes_rows(network: nn.Module) -> bool:
    """Whether a network is prepared."""
    config = getattr(network, "config", None)
    return getattr(config, "_attn_implementation", None) == ATTENTION


def logits(network: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor:
    """The outputs of a prepared network for padded windows, computed on a row.

    Args:
        network: A token classifier.
        ids: Vocabulary ids, shape (batch, length).
        mask: 1 for tokens, 0 for padding behind them, shape (batch, length).

    Returns:
        Shape (batch, length, outputs), zero on padding.
    """
    real = mask.bool()
    row = Row.of(mask.sum(dim=1).tolist(), ids.device)
    flat = ids[real]
    filled = functional.pad(
        flat, (0, row.tokens - len(flat)), value=network.config.pad_token_id or 0
    )
    positions = row.positions + first_position(network.config)
    found: Tensor = network(input_ids=filled[None], position_ids=positions[None], row=row).logits[0]
    out: Tensor = found.new_zeros((*ids.shape, found.shape[-1]))
    out[real] = found[: len(flat)]
    return out


def attend(  # noqa: PLR0917 - the signature of transformers' attention interface
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    *,
    row: Row,
    **_: Any,  # noqa: ANN401
) -> tuple[Tensor, None]:
    """Attention inside the windows of a row.

    Args:
        module: The layer.
        query: Shape (1, heads, tokens, size), like `key` and `value`.
        key: What the queries meet.
        value: What is summed up.
        attention_mask: None: nothing is padding.
        scaling: Factor of the scores.
        dropout: Share of the weights that are dropped.
        sliding_window: Tokens to one side, itself included, that a token attends to; None for all.
        row: Where the windows lie.

    Returns:
        Shape (1, tokens, heads, size), and no weights.
    """
    parts = query[0], key[0], value[0]
    if sliding_window is None:
        found = _inside(*parts, row, scaling=scaling, dropout=dropout)
    else:
        found = _nearby(*parts, row, sliding_window - 1, scaling=scaling, dropout=dropout)
    return found[None], None


def _inside(
    query: Tensor, key: Tensor, value: Tensor, row: Row, *, scaling: float, dropout: float
) -> Tensor:
    """Full attention, shapes (heads, tokens, size) to (tokens, heads, size)."""
    heads, _, size = query.shape
    found = []
    for first, windows, length in row.runs():
        end = first + windows * length
        parts = (
            one[:, first:end].view(heads, windows, length, size).transpose(0, 1)
            for one in (query, key, value)
        )
        weighted = _weighted(*parts, scaling=scaling, dropout=dropout)
        found.append(weighted.transpose(1, 2).reshape(end - first, heads, size))
    return torch.cat(found)


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
    """Local attention, shapes (heads, tokens, size) to (tokens, heads, size)."""
    heads, tokens, size = query.shape
    blocks = query.view(heads, -1, BLOCK, size).transpose(0, 1)
    around = (
        functional.pad(one, (0, 0, reach, reach))
        .unfold(1, reach + BLOCK + reach, BLOCK)
        .permute(1, 0, 3, 2)
        for one in (key, value)
    )
    weighted = _weighted(
        blocks, *around, scaling=scaling, dropout=dropout, mask=row.mask(reach, query.dtype)
    )
    return weighted.transpose(1, 2).reshape(tokens, heads, size)


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
    products = query.dtype == torch.bfloat16 and query.device.type == "cpu"
    if not products or key.shape[-2] > LONGEST:
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling
        )
    scores = (query * scaling) @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores + mask
    return functional.dropout(scores.softmax(-1), dropout, dropout > 0) @ value
