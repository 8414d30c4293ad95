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
        # Layers of a type get the same tensors.
        turns = row.once(id(position_embeddings), lambda: self._turns(qkv, position_embeddings))
        query, key, value = rotated(qkv, *turns)
        weighted = attention(
            query,
            key,
            value,
            row,
            reach=None if self.sliding_window is None else self.sliding_window - 1,
            scaling=1.0,
            dropout=self.attention_dropout if self.training else 0.0,
        )
        return self.out_drop(self.Wo(weighted.flatten(1)))[None], None

    def _turns(self, qkv: Tensor, angles: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Cosines and sines as `rotated` takes them, the factor of the scores in the queries'."""
        factors = qkv.new_tensor([self.head_dim**-0.5, 1], dtype=torch.float32)[:, None, None]
        cosine, sine = ((one[0, :, None, None] * factors).to(qkv.dtype) for one in angles)
        half = self.head_dim // 2
        return cosine, torch.cat((-sine[..., :half], sine[..., half:]), dim=-1)


def rotated(qkv: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotary positions (Su et al. 2021): coordinate i and i + half of a vector are turned together.

    Args:
        qkv: Queries, keys and values, shape (tokens, 3, heads, size).
        cosine: Of each coordinate's angle for queries and keys, its second half repeats the first
            one, shape (tokens, 2, 1, size).
        sine: The same, negative in the first half.

    Returns:
        Queries and keys, turned, and the values, each of shape (tokens, heads, size).
    """
    if qkv.requires_grad:
        found: tuple[Tensor, Tensor, Tensor] = _Rotated.apply(qkv, cosine, sine)  # type: ignore[no-untyped-call]
        return found
    turned = _turned(qkv[:, :2], cosine, sine)
    return turned[:, 0], turned[:, 1], qkv[:, 2]


def _turned(vectors: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    return torch.addcmul(vectors * cosine, vectors.roll(vectors.shape[-1] // 2, -1), sine)


class _Rotated(torch.autograd.Function):
    """The rotation. Its gradient is written into place, where torch would join three parts."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        qkv: Tensor,
        cosine: Tensor,
        sine: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `rotated`."""
        ctx.save_for_backward(cosine, sine)
        turned = _turned(qkv[:, :2], cosine, sine)
        return turned[:, 0], turned[:, 1], qkv[:, 2].contiguous()

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401
        *gradients: Tensor,
    ) -> tuple[Tensor, None, None]:
        """A rotation's transpose turns back."""
        cosine, sine = ctx.saved_tensors
        value = gradients[2]
        found = value.new_empty((len(value), 3, *value.shape[1:]))
        for part, gradient in enumerate(gradients[:2]):
            back = gradient.roll(gradient.shape[-1] // 2, -1)
            torch.mul(gradient, cosine[:, part], out=found[:, part])
            found[:, part].addcmul_(back, sine[:, part], value=-1)
        found[:, 2] = value
        return found, None, None


class RowFeedForward(ModernBertMLP):
    """The gated feed-forward."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Shape (..., width) to the same."""
        wide, gate = self.Wi(hidden_states).chunk(2, dim=-1)
        found: Tensor = self.Wo(self.drop(self.act(wide.contiguous()) * gate))
        return found
