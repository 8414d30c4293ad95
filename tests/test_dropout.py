"""Dropout from a quarter of the random numbers."""

from __future__ import annotations

import copy

import pytest
import torch

from multiclin.dropout import Dropout, dropped


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5, 0.9])
def test_the_share_is_dropped_and_the_mean_stays(share: float) -> None:
    torch.manual_seed(1)
    ones = dropped(torch.ones(1000, 401), share)
    assert torch.unique(ones).tolist() == [0, pytest.approx(1 / (1 - share))]
    assert float((ones == 0).float().mean()) == pytest.approx(share, abs=0.003)
    assert float(ones.mean()) == pytest.approx(1, abs=0.01)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(1)
    gone = dropped(torch.ones(400_000), 0.5) == 0
    for distance in range(1, 9):
        both = (gone[distance:] & gone[:-distance]).float().mean()
        assert float(both) == pytest.approx(0.25, abs=0.005)


def test_all_or_nothing() -> None:
    values = torch.randn(7)
    assert dropped(values, 0).equal(values)
    assert not dropped(values, 1).any()


def test_the_seed_decides_and_the_gradient_is_dropped_alike() -> None:
    drop = Dropout(0.3)
    values = torch.ones(33, requires_grad=True)
    torch.manual_seed(5)
    first = drop(values)
    torch.manual_seed(5)
    assert drop(values).equal(first)
    first.sum().backward()
    assert values.grad is not None
    assert values.grad.equal(first.detach())


def test_evaluation_drops_nothing_and_a_copy_drops_on() -> None:
    drop = copy.deepcopy(Dropout(0.5)).eval()
    values = torch.randn(9)
    assert drop(values).equal(values)
    assert not drop.train()(torch.ones(1000)).equal(torch.ones(1000))
