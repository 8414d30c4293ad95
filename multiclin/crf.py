"""A linear-chain CRF: the loss of whole tag paths, with learned scores from tag to tag.

The log partition over all paths of a window is a product of one matrix per token (in the semiring
of logsumexp and sum), and a product may be taken in any grouping: neighbours are multiplied in
pairs, then pairs of pairs. 512 tokens take 9 rounds over the batch instead of 511 steps, at K^3
instead of K^2 per token, of which K = 3 tags makes nothing. Exact: no beam, no approximation.

Transitions that the scheme forbids are no parameters; every path has them at minus a million. A
window may begin and end inside a mention, so first and last tags have no scores of their own in
training; decoding, which sees whole documents, holds them to the scheme.
(Lafferty et al. 2001; Rush, "Torch-Struct", 2020, for the product; FACTS 7.)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from multiclin.tagging import Scheme, Transitions
from multiclin.windows import IGNORED

FORBIDDEN = -1e6
"""Log of nothing: finite, since the gradient of a sum of infinities is no number."""


class Chain(nn.Module):
    """Scores from tag to tag.

    Args:
        scheme: Says which transitions there are.
    """

    forbidden: Tensor

    def __init__(self, scheme: Scheme) -> None:
        super().__init__()
        self.scheme = scheme
        self.scores = nn.Parameter(torch.zeros(len(scheme), len(scheme)))
        forbidden = torch.from_numpy(~np.asarray(scheme.transitions))
        self.register_buffer("forbidden", forbidden, persistent=False)

    def loss(self, emissions: Tensor, tags: Tensor) -> Tensor:
        """Negative log likelihood of the gold paths, summed over windows.

        Args:
            emissions: Shape (batch, length, tags).
            tags: Tag numbers, shape (batch, length); a path leaves `IGNORED` tokens out.
        """
        with torch.autocast(emissions.device.type, enabled=False):
            # What a token's emissions share cancels out; small numbers keep their digits.
            scores = functional.log_softmax(emissions.float(), dim=-1)
            scores, gold, there = _closed_up(scores, tags)
            between = self.scores.masked_fill(self.forbidden, FORBIDDEN)
            partition = log_partition(scores, between, there)
            return (partition - path_score(scores, between, gold, there)).sum()

    def transitions(self) -> Transitions:
        """What a path pays in decoding."""
        allowed = Transitions.of(self.scheme)
        scores = self.scores.detach().float().cpu().numpy()
        return allowed._replace(between=allowed.between + scores, inside=allowed.inside + scores)


def log_partition(emissions: Tensor, between: Tensor, there: Tensor) -> Tensor:
    """Log of the sum over all tag paths of their exponential scores.

    Args:
        emissions: Shape (batch, length, tags).
        between: From tag to tag, shape (tags, tags).
        there: Whether a token exists; the first ones of a row do, shape (batch, length).

    Returns:
        Shape (batch,); 0 for a row without tokens.
    """
    batch, length, tags = emissions.shape
    identity = emissions.new_full((tags, tags), FORBIDDEN).fill_diagonal_(0)
    steps = between + emissions[:, 1:, None, :]  # from the tag before, to this one
    matrices = torch.where(there[:, 1:, None, None], steps, identity)
    while matrices.shape[1] > 1:
        if matrices.shape[1] % 2:
            last = identity.expand(batch, 1, tags, tags)
            matrices = torch.cat((matrices, last), dim=1)
        left, right = matrices[:, ::2], matrices[:, 1::2]
        matrices = (left[..., :, :, None] + right[..., None, :, :]).logsumexp(dim=-2)
    paths = emissions[:, 0, :, None] + (matrices[:, 0] if length > 1 else identity)
    return torch.where(there[:, 0], paths.logsumexp(dim=(1, 2)), 0.0)


def path_score(emissions: Tensor, between: Tensor, gold: Tensor, there: Tensor) -> Tensor:
    """Scores of given paths, shape (batch,).

    Args:
        emissions: Shape (batch, length, tags).
        between: From tag to tag, shape (tags, tags).
        gold: Tag numbers, shape (batch, length), any where no token is.
        there: Whether a token exists, shape (batch, length).
    """
    own = emissions.gather(2, gold[..., None])[..., 0] * there
    steps = between[gold[:, :-1], gold[:, 1:]] * there[:, 1:]
    return own.sum(dim=1) + steps.sum(dim=1)


def _closed_up(emissions: Tensor, tags: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Labelled tokens moved to the front of each row, their tags, and which places they fill."""
    labelled = tags != IGNORED
    order = (~labelled).long().argsort(dim=1, stable=True)
    order = order[:, : max(1, int(labelled.sum(dim=1).max()))]
    there = labelled.gather(1, order)
    gold = tags.long().gather(1, order).masked_fill(~there, 0)
    scores = emissions.gather(1, order[..., None].expand(-1, -1, emissions.shape[-1]))
    return scores, gold, there
