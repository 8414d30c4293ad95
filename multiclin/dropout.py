"""Dropout that draws four decisions from one random number: twice as fast as torch's on a CPU.

torch draws a number per element there, which costs more than the matrix product before it. Here a
64-bit number of torch's generator (so seeds and resumed runs hold) gives four of 16 bits, each
compared with the share: it is exact to 1/65,536. (Srivastava et al. 2014; notebooks/LOG.md)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def dropped(values: Tensor, share: float) -> Tensor:
    """A share of the values set to zero, the rest scaled so that the mean stays.

    Args:
        values: Any shape.
        share: Of the values that are dropped, from 0 to 1.
    """
    if not share or values.device.type != "cpu":
        return functional.dropout(values, share, share > 0)
    numbers = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    decisions = numbers.view(torch.int16)[: values.numel()].view(values.shape)
    least = round(share * 2**16) - 2**15
    kept = (decisions >= least).to(values.dtype)
    return values * kept.mul_(1 / (1 - share)) if share < 1 else values * 0


class Dropout(nn.Dropout):
    """`nn.Dropout` by `dropped`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return dropped(input, self.p) if self.training else input
