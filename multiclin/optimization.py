"""Parameter groups and the learning-rate schedule of the paper's recipe.

Norms, biases and other vectors are not decayed: decay pulls matrices towards zero, a norm's gain
has no reason to be there. The rate rises linearly over a share of all steps and falls linearly to
zero (the warm-up ratio of the paper's search space, section 2.3).
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: matrices with decay, vectors without.

    Args:
        module: The network.
        weight_decay: Decay of the matrices.
    """
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]


def linear_schedule(optimizer: Optimizer, *, steps: int, warmup_ratio: float) -> LambdaLR:
    """Linear warm-up over `warmup_ratio` of the optimizer steps, then linearly to zero.

    Example:
        10 steps, ratio 0.2, in units of the learning rate: 0 .5 1 .875 .75 ... .125
    """
    warmup = round(steps * warmup_ratio)

    def factor(step: int) -> float:
        if step < warmup:
            return step / warmup
        return max(0.0, (steps - step) / max(1, steps - warmup))

    return LambdaLR(optimizer, factor)
