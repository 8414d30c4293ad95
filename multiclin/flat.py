"""Windows of a batch as one row without padding: no token is computed that nobody asked for.

A batch of windows of unlike length is padded to a rectangle, and a network computes on all of it.
Here the tokens of all windows follow each other in one row, in the order of their length.
Everything in a transformer but attention sees single tokens and takes such a row as it is;
positions are given, starting anew in each window. Attention goes through transformers' attention
interface, by a function of ours (`rows.attention`); ModernBERT gets faster modules (`modernbert`).

No weight is copied: a network of the types in `TYPES` gives the same logits as padded, to rounding.
Others are run padded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from multiclin.encoder import first_position
from multiclin.rows import Row, attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ATTENTION = "multiclin_flat"
"""The name of our function in transformers' attention interface."""

TYPES = frozenset(("modernbert", "bert", "electra", "roberta", "xlm-roberta", "camembert"))
"""Model types that are held against their padded forward in the tests."""


def prepare(network: PreTrainedModel) -> None:
    """Have a network attend through `attend`, if its type is one that takes rows."""
    from transformers import AttentionInterface

    if network.config.model_type not in TYPES:
        return
    AttentionInterface.register(ATTENTION, attend)
    network.set_attn_implementation(ATTENTION)
    if network.config.model_type == "modernbert":
        from multiclin.modernbert import hasten

        hasten(network)


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
    packed = Packed.of(mask)
    found: Tensor = packed.compute(network, ids)[0]
    out: Tensor = found.new_zeros((*ids.shape, found.shape[-1]))
    out[packed.real] = found[: packed.tokens]
    return out[packed.order.argsort()]


class Packed(NamedTuple):
    """How padded windows lie in a row.

    Attributes:
        row: The windows, equal lengths side by side, which are computed together.
        order: Their numbers in the batch, shape (batch,).
        real: What is no padding, in this order, shape (batch, length).
        tokens: Tokens that are none; the row is filled up behind them.
    """

    row: Row
    order: Tensor
    real: Tensor
    tokens: int

    @classmethod
    def of(cls, mask: Tensor) -> Packed:
        """The row of windows with this mask, 1 for tokens, shape (batch, length)."""
        lengths, order = mask.sum(dim=1).sort()
        row = Row.of(lengths.tolist(), mask.device)
        return cls(row, order, mask[order].bool(), int(lengths.sum()))

    def take(self, values: Tensor) -> Tensor:
        """A value per token in the order of the row, shape (batch, length) to (tokens,)."""
        return values[self.order][self.real]

    def compute(self, network: PreTrainedModel, ids: Tensor) -> Tensor:
        """The logits of a prepared network, shape (1, tokens of the row, outputs)."""
        filling = (0, self.row.tokens - self.tokens)
        filled = functional.pad(self.take(ids), filling, value=network.config.pad_token_id or 0)
        positions = self.row.positions + first_position(network.config)
        found: Tensor = network(
            input_ids=filled[None], position_ids=positions[None], row=self.row
        ).logits
        return found


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
    """`rows.attention` as transformers calls it.

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
    query, key, value = (one[0].transpose(0, 1) for one in (query, key, value))
    found = attention(
        query,
        key,
        value,
        row,
        reach=None if sliding_window is None else sliding_window - 1,
        scaling=scaling,
        dropout=dropout,
    )
    return found[None], None
