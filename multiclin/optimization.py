"""Parameter groups and the learning-rate schedule.

Norms, biases and other vectors are not decayed: decay pulls matrices towards zero, a norm's gain
has no reason to be there. The rate rises linearly over a share of all steps and falls linearly to
zero (the warm-up ratio of the paper's search space, section 2.3).

By default all weights learn at one rate. What was pretrained wants smaller steps than what begins
at random, so classifier and heads may have rates of their own (2e-5 / 2e-4 / 2e-3 for encoder,
classifier and CRF won GutBrainIE 2025, FACTS 7), and in the encoder the rate may fall from layer to
layer towards the embeddings (Sun et al. 2019, arXiv 1905.05583, section 4.3.2; ELECTRA, Clark et
al. 2020). It costs nothing but groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from multiclin.depth import depths

if TYPE_CHECKING:
    from multiclin.heads import Tagger


@dataclass(frozen=True, slots=True)
class Rates:
    """Learning rates of the parts of a model.

    Attributes:
        encoder: Of the encoder's last layer and what stands behind it.
        classifier: Of what makes emissions of its states; None: as the encoder.
        heads: Of what heads learn themselves (a CRF's transitions); None: as the encoder.
        layer_decay: Factor from one layer to the one below it; 1: all layers learn alike.
    """

    encoder: float
    classifier: float | None = None
    heads: float | None = None
    layer_decay: float = 1.0

    def of_parts(self, tagger: Tagger) -> Iterator[tuple[str, str, float]]:
        """Each weight of a model by name, with the name of its part and its rate.

        Example:
            3e-4, layer_decay 0.5, two layers: embeddings 7.5e-5, layer_01 1.5e-4, layer_02 3e-4.
        """
        network = tagger.encoder
        layered = depths(network) if self.layer_decay < 1 else {}
        last = network.config.num_hidden_layers if layered else 0
        for full, _ in tagger.named_parameters():
            name = full.removeprefix("encoder.")
            if name == full:
                yield full, "heads", self.encoder if self.heads is None else self.heads
            elif not name.startswith(f"{network.base_model_prefix}."):
                rate = self.encoder if self.classifier is None else self.classifier
                yield full, "classifier", rate
            elif layered:
                depth = layered[name]
                part = "embeddings" if depth == 0 else f"layer_{depth:02d}"
                rate = self.encoder * self.layer_decay ** max(0, last - depth)
                yield full, part if depth <= last else "behind", rate
            else:
                yield full, "encoder", self.encoder


def parameter_groups(
    module: nn.Module, weight_decay: float, rates: Rates | None = None
) -> list[dict[str, Any]]:
    """Trainable parameters in groups: matrices with decay, vectors without, by part of the model.

    Args:
        module: The network; a `Tagger` where there are rates.
        weight_decay: Decay of the matrices.
        rates: Of the parts; None: all learn at the optimizer's own.

    Returns:
        Groups with a `name`, by which a learning rate is logged: `layer_07/matrices`.
    """
    where: dict[str, tuple[str, dict[str, float]]]
    if rates is None:
        where = {name: ("", {}) for name, _ in module.named_parameters()}
    else:
        parts = rates.of_parts(module)  # type: ignore[arg-type]
        where = {name: (f"{part}/", {"lr": rate}) for name, part, rate in parts}
    groups: dict[str, dict[str, Any]] = {}
    for name, weights in module.named_parameters():
        if not weights.requires_grad:
            continue
        part, rate = where[name]
        is_matrix = weights.ndim > 1
        called = f"{part}{'matrices' if is_matrix else 'vectors'}"
        decay = weight_decay if is_matrix else 0.0
        group = groups.setdefault(
            called, {"params": [], "weight_decay": decay, "name": called, **rate}
        )
        group["params"].append(weights)
    return list(groups.values())


def linear_schedule(optimizer: Optimizer, *, steps: int, warmup_ratio: float) -> LambdaLR:
    """Linear warm-up over `warmup_ratio` of the optimizer steps, then linearly to zero.

    Each group's own rate is what rises and falls.

    Example:
        10 steps, ratio 0.2, in units of the learning rate: 0 .5 1 .875 .75 ... .125
    """
    warmup = round(steps * warmup_ratio)

    def factor(step: int) -> float:
        if step < warmup:
            return step / warmup
        return max(0.0, (steps - step) / max(1, steps - warmup))

    return LambdaLR(optimizer, factor)
