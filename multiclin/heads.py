"""Heads: what emissions cost in training, and what a path pays in decoding.

The encoder's classifier gives every token one number per tag of every label (emissions). A head
owns the slice of one label: its loss, and its transitions. The linear head of the paper (section
2.2) takes each token by itself and adds no transition score of its own; at decoding the scheme's
transitions keep its path well-formed. Losses run in fp32, also under autocast.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from multiclin import flat
from multiclin.crf import Chain
from multiclin.errors import ConfigError
from multiclin.losses import TokenLoss
from multiclin.tagging import Scheme, Transitions
from multiclin.windows import IGNORED

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from multiclin.batch import Batch


class Head(nn.Module, ABC):
    """One label's part of the model; subclasses say what a tag path costs.

    Args:
        scheme: The tagging scheme, which gives the number of tags.
    """

    def __init__(self, scheme: Scheme) -> None:
        super().__init__()
        self.scheme = scheme

    @abstractmethod
    def loss(self, emissions: Tensor, tags: Tensor) -> Tensor:
        """Summed loss of a batch; zero (with gradient) where nothing is labelled.

        Args:
            emissions: Shape (batch, length, tags).
            tags: Tag numbers, shape (batch, length), `IGNORED` where there is no label.

        Returns:
            A scalar, the sum over labelled tokens.
        """

    @abstractmethod
    def transitions(self) -> Transitions:
        """What a path pays when this head is decoded."""


class LinearHead(Head):
    """Softmax over the tags of each token, as in the paper (section 2.2).

    Attributes:
        criterion: What is trained on in place of cross-entropy, which validations still tell.
    """

    def __init__(self, scheme: Scheme) -> None:
        super().__init__(scheme)
        self.criterion: TokenLoss | None = None

    def loss(self, emissions: Tensor, tags: Tensor) -> Tensor:
        """Cross-entropy, or in training the criterion, summed over labelled tokens."""
        if self.training and self.criterion is not None:
            found: Tensor = self.criterion(emissions, tags)
            return found
        return nn.functional.cross_entropy(
            emissions.float().flatten(0, 1),
            tags.flatten().long(),
            ignore_index=IGNORED,
            reduction="sum",
        )

    def transitions(self) -> Transitions:
        """What the scheme allows costs nothing, the rest is forbidden."""
        return Transitions.of(self.scheme)


class CrfHead(Head):
    """A linear-chain CRF over the tags of a window's tokens (`crf`)."""

    def __init__(self, scheme: Scheme) -> None:
        super().__init__(scheme)
        self.chain = Chain(scheme)

    def loss(self, emissions: Tensor, tags: Tensor) -> Tensor:
        """Negative log likelihood of the gold paths."""
        return self.chain.loss(emissions, tags)

    def transitions(self) -> Transitions:
        """What was learned, within the scheme."""
        return self.chain.transitions()


HEADS: dict[str, type[Head]] = {"linear": LinearHead, "crf": CrfHead}


def make_head(name: str, scheme: Scheme) -> Head:
    """The head of that name; ConfigError names the others."""
    if name not in HEADS:
        raise ConfigError(f"head.name={name} is unknown; choose one of {', '.join(HEADS)}")
    return HEADS[name](scheme)


class Tagger(nn.Module):
    """An encoder with one head per label.

    Args:
        encoder: A transformers token-classification model with `labels x tags` outputs.
        heads: The head of each label, in the order of the outputs.
    """

    def __init__(self, encoder: PreTrainedModel, heads: Iterable[Head]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleList(heads)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Emissions of windows.

        Args:
            ids: Vocabulary ids, shape (batch, length).
            mask: 1 for tokens, 0 for padding, shape (batch, length).

        Returns:
            fp32, shape (batch, length, tags of all labels).
        """
        if flat.takes_rows(self.encoder):
            return flat.logits(self.encoder, ids, mask).float()
        logits: Tensor = self.encoder(input_ids=ids, attention_mask=mask).logits
        return logits.float()

    def emissions(self, batch: Batch) -> Tensor:
        """Of the windows of a batch, as `forward`."""
        emissions: Tensor = self(batch.ids, batch.mask)
        return emissions

    def cast(self, dtype: torch.dtype) -> Tagger:
        """Its weights in another precision, and it itself, for prediction.

        Buffers stay: angles of positions in bf16 would be wrong by up to half a radian.
        """
        for weights in self.parameters():
            weights.data = weights.data.to(dtype)
        return self

    def loss(self, emissions: Tensor, tags: Tensor) -> Tensor:
        """Mean loss per labelled token over all heads; zero where no token has a label.

        Args:
            emissions: Shape (batch, length, tags of all labels).
            tags: Shape (batch, labels, length).
        """
        parts = zip(self._heads(), self.split(emissions), tags.unbind(dim=1), strict=True)
        losses = [head.loss(part, gold) for head, part, gold in parts]
        return torch.stack(losses).sum() / (tags != IGNORED).sum().clamp(min=1)

    def split(self, emissions: Tensor) -> tuple[Tensor, ...]:
        """Per label its slice of the last axis."""
        return torch.split(emissions, [len(head.scheme) for head in self._heads()], dim=-1)

    def transitions(self) -> list[Transitions]:
        """Per label what a path pays in decoding."""
        return [head.transitions() for head in self._heads()]

    def _heads(self) -> list[Head]:
        return list(self.heads)  # type: ignore[arg-type]
