"""Losses of a linear head beside plain cross-entropy: focal, smoothed, weighted by tag.

Most tokens are outside of all mentions, and most of these are easy. A focal loss (Lin et al. 2017,
arXiv 1708.02002) gives a token that is right with probability p the weight (1 - p) ** gamma, class
weights give each gold tag one of its own, and label smoothing (Szegedy et al. 2016) takes a share
of the target from the gold tag and spreads it evenly over all, so that scores do not grow without
end. They may be combined: with weights w, smoothed targets q and predicted probabilities p,

    loss of a token with gold tag y  =  w[y] * (1 - p[y]) ** gamma * sum over k of -q[k] log p[k]

A loss stays one per labelled token: it is summed here and divided by their number as cross-entropy
is, so accumulated batches add up and rates need no new scale. It is what is trained on only: the
loss of a validation is plain cross-entropy, so that runs can be compared. In fp32. The cost is
nothing that can be measured; a scale of the scores that is no longer one of probabilities is the
price (`decoding.min_score` means another precision then).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from multiclin.errors import ConfigError
from multiclin.tagging import Scheme
from multiclin.windows import IGNORED

BALANCED = "balanced"
"""Weights that are counted: the inverse of how often a tag is gold, their mean over tokens 1."""


class TokenLoss(nn.Module):
    """A loss of tokens by themselves.

    Args:
        gamma: Exponent of the focal loss; 0: none.
        smoothing: Share of the target that is spread over all tags; 0: none.
        weights: Of each gold tag, shape (tags,); None: all weigh 1.
    """

    weights: Tensor | None

    def __init__(
        self, gamma: float = 0.0, smoothing: float = 0.0, weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.gamma, self.smoothing = gamma, smoothing
        kept = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        self.register_buffer("weights", kept, persistent=False)

    def forward(self, emissions: Tensor, tags: Tensor) -> Tensor:
        """Summed over labelled tokens; zero, with a gradient, where there is none.

        Args:
            emissions: Shape (batch, length, tags).
            tags: Tag numbers, shape (batch, length), `IGNORED` where there is no label.
        """
        labelled = tags != IGNORED
        gold = tags.long().masked_fill(~labelled, 0)
        logs = emissions.float().log_softmax(dim=-1)
        right = logs.gather(-1, gold[..., None])[..., 0]
        losses = -(1 - self.smoothing) * right - self.smoothing * logs.mean(dim=-1)
        if self.gamma:
            # At p = 1 a power below 1 has no gradient that is a number.
            losses = losses * (-torch.expm1(right)).clamp(min=1e-7) ** self.gamma
        if self.weights is not None:
            losses = losses * self.weights[gold]
        return (losses * labelled).sum()


@dataclass(frozen=True, slots=True)
class LossSettings:
    """The `loss` of a config.

    Attributes:
        gamma: As `TokenLoss` has it.
        smoothing: As `TokenLoss` has it.
        weights: `balanced`, or a weight by tag letter (`O`, `B`, `I`), 1 where none is named.
    """

    gamma: float = 0.0
    smoothing: float = 0.0
    weights: str | Mapping[str, float] | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is cross-entropy."""
        return not (self.gamma or self.smoothing or self.weights)

    def of_head(self, scheme: Scheme, counts: Sequence[int]) -> TokenLoss:
        """The loss of one head.

        Args:
            scheme: Names the tags.
            counts: How often each tag is gold in the training documents.

        Raises:
            ConfigError: A weight is of a tag that the scheme has not.
        """
        weights = None
        if self.weights == BALANCED:
            weights = balanced(counts)
        elif isinstance(self.weights, Mapping):
            if unknown := sorted(self.weights.keys() - set(scheme.tags)):
                raise ConfigError(
                    f"loss.weights: tagging.scheme={scheme.name} has no tag {', '.join(unknown)}; "
                    f"its tags are {', '.join(scheme.tags)}"
                )
            weights = [self.weights.get(tag, 1.0) for tag in scheme.tags]
        return TokenLoss(self.gamma, self.smoothing, weights)


def balanced(counts: Sequence[int]) -> list[float]:
    """Weights by which every tag has the same sum over the corpus.

    Example:
        >>> balanced([80, 10, 10])
        [0.4166666666666667, 3.3333333333333335, 3.3333333333333335]
    """
    return [sum(counts) / (len(counts) * max(1, count)) for count in counts]
