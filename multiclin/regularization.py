"""What is added to the loss of a training step: R-Drop and adversarial embeddings (FGM).

R-Drop (Liang et al. 2021, arXiv 2106.14448): a batch goes through the network twice at once, under
two draws of dropout, and its two distributions of every labelled token are pulled together,

    loss  =  mean of both passes' losses  +  alpha / 2 * (KL(p1 | p2) + KL(p2 | p1)) / 2

half of the paper's sum, so that rates and clipping keep their scale at the paper's alpha. Of a CRF
head the distributions are the softmax of its emissions.

FGM (Miyato et al. 2017, arXiv 1605.07725): the embeddings of each window are moved by epsilon, in
L2 norm, in the direction in which the loss rises fastest, and the loss there is trained on too,

    loss  =  (loss(e) + loss(e + epsilon * g / |g|)) / 2        g = gradient of the loss by e

No weight is changed for it and restored: a hook adds to the output of the embedding table, and is
gone after the pass. Both may be combined; then each of FGM's passes is one of R-Drop.

Cost (`small`, 8 windows of 512, ratios of a step; tests/costs.py): R-Drop 2.1 of the time, FGM 2.5;
both hold the activations of two passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from multiclin.heads import Tagger
from multiclin.rows import Row
from multiclin.windows import IGNORED


@dataclass(frozen=True, slots=True)
class Regularization:
    """The loss of a training step.

    Attributes:
        r_drop: Alpha, the weight of the divergence; 0: one pass.
        fgm: Epsilon, the L2 norm of a window's perturbation; 0: none.
    """

    r_drop: float = 0.0
    fgm: float = 0.0

    def loss(self, tagger: Tagger, ids: Tensor, mask: Tensor, tags: Tensor) -> Tensor:
        """Mean per labelled token, zero where no token has a label.

        Args:
            tagger: The network.
            ids: Vocabulary ids, shape (batch, length).
            mask: 1 for tokens, 0 for padding, shape (batch, length).
            tags: Shape (batch, labels, length).
        """

        def passed() -> Tensor:
            if self.r_drop:
                return two_passes(tagger, ids, mask, tags, self.r_drop)
            emissions: Tensor = tagger(ids, mask)
            return tagger.loss(emissions, tags)

        return adversarial(tagger, passed, self.fgm) if self.fgm else passed()


def two_passes(tagger: Tagger, ids: Tensor, mask: Tensor, tags: Tensor, alpha: float) -> Tensor:
    """The loss of R-Drop. Arguments as `Regularization.loss`; `alpha` weighs the divergence."""
    emissions: Tensor = tagger(ids.repeat(2, 1), mask.repeat(2, 1))
    loss = tagger.loss(emissions, tags.repeat(2, 1, 1))
    first, second = emissions.chunk(2)
    apart = emissions.new_zeros(())
    pairs = zip(tagger.split(first), tagger.split(second), tags.unbind(dim=1), strict=True)
    for one, other, gold in pairs:
        apart = apart + (symmetric_divergence(one, other) * (gold != IGNORED)).sum()
    return loss + alpha / 2 * apart / (tags != IGNORED).sum().clamp(min=1)


def symmetric_divergence(one: Tensor, other: Tensor) -> Tensor:
    """Mean of the two Kullback-Leibler divergences of softmaxes.

    Args:
        one: Scores, shape (..., tags).
        other: Scores of the same shape.

    Returns:
        Shape (...).

    Example:
        Of (3/4, 1/4) and (1/2, 1/2): half of (3/4 - 1/2) log 3/2 + (1/4 - 1/2) log 1/2 = 0.137.
    """
    logs, others = one.log_softmax(dim=-1), other.log_softmax(dim=-1)
    return ((logs.exp() - others.exp()) * (logs - others)).sum(dim=-1) / 2


def adversarial(tagger: Tagger, passed: Callable[[], Tensor], epsilon: float) -> Tensor:
    """The loss of FGM.

    Args:
        tagger: The network.
        passed: One pass with its loss.
        epsilon: L2 norm of the perturbation of a window.
    """
    with hooked(tagger.encoder) as embedded:
        loss = passed()
        assert embedded.output is not None
        (gradient,) = torch.autograd.grad(loss, embedded.output, retain_graph=True)
        embedded.added = epsilon * directions(gradient, embedded.row)
        return (loss + passed()) / 2


def directions(gradient: Tensor, row: Row | None) -> Tensor:
    """A gradient with L2 norm 1 in each window; zero in one that has none.

    Args:
        gradient: Of embeddings, shape (batch, length, width), or (1, tokens, width) on a row.
        row: Where the windows lie; None: one in each row of the batch.
    """
    squares = gradient.square().sum(dim=-1)  # (batch, length)
    if row is None:
        norms = squares.sum(dim=1, keepdim=True).sqrt().expand_as(squares)
    else:
        windows = row.windows
        sums = squares.new_zeros(len(row.lengths)).index_add(0, windows, squares[0])
        norms = sums.sqrt()[windows][None]
    return gradient / norms.clamp(min=torch.finfo(gradient.dtype).tiny)[..., None]


@dataclass
class Embedded:
    """What the embedding table of a network gives, seen by hooks.

    Attributes:
        output: Embeddings of the first pass, shape (batch, length, width).
        row: Where their windows lie; None: padded.
        added: What is added to those of the next pass.
    """

    output: Tensor | None = None
    row: Row | None = None
    added: Tensor | None = None


@contextmanager
def hooked(network: nn.Module) -> Iterator[Embedded]:
    """Look at the embeddings of a network, and add to them, within the block."""
    seen = Embedded()

    def look_at_row(_: nn.Module, __: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.row = kwargs.get("row")

    def look_and_add(_: nn.Module, __: tuple[Any, ...], output: Tensor) -> Tensor:
        if seen.added is not None:
            return output + seen.added
        seen.output = output if output.requires_grad else output.requires_grad_()
        return output

    table = network.get_input_embeddings()  # type: ignore[operator]
    handles = [
        network.register_forward_pre_hook(look_at_row, with_kwargs=True),
        table.register_forward_hook(look_and_add),
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def has_dropout(network: nn.Module) -> bool:
    """Whether two passes of a network in training differ."""
    shares = (
        (getattr(one, "p", 0.0) if isinstance(one, nn.Dropout) else 0.0)
        or getattr(one, "attention_dropout", 0.0)
        for one in network.modules()
    )
    return any(isinstance(share, float) and share > 0 for share in shares)
