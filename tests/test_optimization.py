"""The learning rate step by step, and which parameters decay."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import SGD

from multiclin.optimization import linear_schedule, parameter_groups


def rates(steps: int, warmup_ratio: float) -> list[float]:
    """The learning rate of each step in units of the peak."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = linear_schedule(optimizer, steps=steps, warmup_ratio=warmup_ratio)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(
    ("steps", "ratio", "expected"),
    [
        (10, 0.2, [0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
        (4, 0.0, [1, 0.75, 0.5, 0.25]),
        (4, 1.0, [0, 0.25, 0.5, 0.75]),
        (1, 0.1, [1]),
    ],
)
def test_the_rate_rises_and_falls_linearly(steps: int, ratio: float, expected: list[float]) -> None:
    assert rates(steps, ratio) == pytest.approx(expected)


def test_the_rate_stays_zero_after_the_last_step() -> None:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = linear_schedule(optimizer, steps=2, warmup_ratio=0.0)
    factor = schedule.lr_lambdas[0]
    assert [factor(step) for step in (2, 3, 9)] == [0.0, 0.0, 0.0]


def test_matrices_decay_and_vectors_do_not() -> None:
    module = nn.Sequential(nn.Embedding(5, 4), nn.LayerNorm(4), nn.Linear(4, 3), nn.Linear(3, 2))
    module[3].requires_grad_(requires_grad=False)
    decayed, plain = parameter_groups(module, 0.1)
    assert [list(p.shape) for p in decayed["params"]] == [[5, 4], [3, 4]]
    assert [list(p.shape) for p in plain["params"]] == [[4], [4], [3]]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
