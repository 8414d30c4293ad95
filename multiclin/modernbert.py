"""ModernBERT's attention and feed-forward on a row, without the copies that cost most of the time.

Two modules of transformers with a forward of ours; weights, names and everything around them stay
theirs. On a CPU with bf16 units matrix products are so fast that what lies between them decides:

- The rotation of queries and keys runs on both together, in the layout that the projection leaves
  and in its precision, where transformers transposes and goes to fp32 and back (5 times slower).
- The activation gets a contiguous half: torch's bf16 GELU on a strided one is 14 times slower.

Without a row they do what transformers does. (Figures: notebooks/LOG.md; ModernBERT: Warner et al.
2024, arXiv 2412.13663.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.models.modernbert.modeling_modernbert import ModernBertAttention, ModernBertMLP

from multiclin.dropout import Dropout
from multiclin.rows import Row, attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def hasten(network: PreTrainedModel) -> None:
    """Give a network's attention and feed-forward modules the forwards of this file."""
    for module in network.modules():
        if type(module) is ModernBertAttention:
            module.__class__ = RowAttention
        elif type(module) is nn.Dropout:
            module.__class__ = Dropout
        elif type(module) is ModernBertMLP:
            module.__class__ = RowFeedForward


class RowAttention(ModernBertAttention):
    """Attention inside the windows of a row."""

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor] | None = None,
        attention_mask: Tensor | None = None,
        row: Row | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            hidden_states: Shape (1, tokens, width).
            position_embeddings: Cosines and sines, shapes (1, tokens, size of a head).
            attention_mask: Unused on a row: nothing is padding.
            row: Where the windows lie; None for a padded batch.
            kwargs: For the padded batch.
        """
        if row is None or position_embeddings is None:
            found: tuple[Tensor, Tensor | None] = super().forward(
                hidden_states, position_embeddings, attention_mask, **kwargs
            )
            return found
        qkv = self.Wqkv(hidden_states[0]).unflatten(-1, (3, -1, self.head_dim))
        # The factor of the scores is in the rotation of the queries: no product more.
        factors = qkv.new_tensor([self.head_dim**-0.5, 1], dtype=torch.float32)[:, None, None]
        cosine, sine = (
            (one[0, :, None, None] * factors).to(qkv.dtype) for one in position_embeddings
        )
        both, value = qkv.split((2, 1), dim=1)  # The gradient of slices would be filled with zeros.
        query, key = rotated(both, cosine, sine).unbind(1)
        weighted = attention(
            query,
            key,
            value.squeeze(1),
            row,
            reach=None if self.sliding_window is None else self.sliding_window - 1,
            scaling=1.0,
            dropout=self.attention_dropout if self.training else 0.0,
        )
        return self.out_drop(self.Wo(weighted.flatten(1)))[None], None


def rotated(vectors: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021): coordinate i and i + half of a vector are turned together.

    Args:
        vectors: Shape (tokens, 2, heads, size).
        cosine: Of each coordinate's angle, its second half repeats the first one, shape
            (tokens, 2, 1, size).
        sine: The same.
    """
    half = vectors.shape[-1] // 2
    signed = torch.cat((-sine[..., :half], sine[..., half:]), dim=-1)
    return torch.addcmul(vectors * cosine, vectors.roll(half, -1), signed)


class RowFeedForward(ModernBertMLP):
    """The gated feed-forward."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Shape (..., width) to the same."""
        wide, gate = self.Wi(hidden_states).chunk(2, dim=-1)
        found: Tensor = self.Wo(self.drop(self.act(wide.contiguous()) * gate))
        return found
