"""The CRF against all tag paths, one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from multiclin.crf import FORBIDDEN, Chain, log_partition
from multiclin.heads import make_head
from multiclin.tagging import best_paths, scheme
from multiclin.windows import IGNORED

SCHEMES = ("bio", "bioes")


def chain(name: str) -> Chain:
    torch.manual_seed(1)
    made = Chain(scheme(name))
    torch.nn.init.normal_(made.scores)
    return made


def slowly(emissions: Tensor, made: Chain) -> dict[tuple[int, ...], float]:
    """Every path that the scheme allows between first and last tag, with its score."""
    allowed = made.scheme.transitions
    found = {}
    for path in itertools.product(range(len(made.scheme)), repeat=len(emissions)):
        steps = list(itertools.pairwise(path))
        if all(allowed[a][b] for a, b in steps):
            own = sum(float(emissions[t, tag]) for t, tag in enumerate(path))
            found[path] = own + sum(made.scores[a, b].item() for a, b in steps)
    return found


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_the_loss_is_that_of_all_paths_one_by_one(name: str, length: int) -> None:
    made = chain(name)
    emissions = torch.randn(1, length, len(made.scheme))
    paths = slowly(emissions[0], made)
    total = math.log(sum(map(math.exp, paths.values())))
    for path in list(paths)[:: max(1, len(paths) // 7)]:
        loss = made.loss(emissions, torch.tensor([path]))
        assert loss.item() == pytest.approx(total - paths[path], abs=1e-4)


@pytest.mark.parametrize("name", SCHEMES)
def test_gradients_are_marginals_minus_gold(name: str) -> None:
    made = chain(name)
    emissions = torch.randn(1, 4, len(made.scheme), requires_grad=True)
    paths = slowly(emissions[0].detach(), made)
    total = sum(map(math.exp, paths.values()))
    gold = next(iter(paths))
    expected = np.zeros((4, len(made.scheme)))
    for path, score in paths.items():
        for t, tag in enumerate(path):
            expected[t, tag] += math.exp(score) / total
    for t, tag in enumerate(gold):
        expected[t, tag] -= 1
    made.loss(emissions, torch.tensor([gold])).backward()  # type: ignore[no-untyped-call]
    assert emissions.grad is not None
    np.testing.assert_allclose(emissions.grad[0].numpy(), expected, atol=1e-5)
    assert made.scores.grad is not None
    assert not made.scores.grad[made.forbidden].any()


@given(lengths=st.lists(st.integers(0, 40), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_windows_of_a_batch_do_not_meet(lengths: list[int], seed: int) -> None:
    """Each row's loss is that of the row alone, wherever tokens without a tag stand."""
    made = chain("bio")
    generator = torch.Generator().manual_seed(seed)
    emissions = torch.randn(len(lengths), 45, 3, generator=generator)
    tags = torch.full((len(lengths), 45), IGNORED)
    alone = 0.0
    for row, length in enumerate(lengths):
        places = torch.randperm(45, generator=generator)[:length].sort().values
        tags[row, places] = torch.randint(0, 2, (length,), generator=generator)  # O and B only
        if length:
            alone += made.loss(emissions[row : row + 1, places], tags[row : row + 1, places]).item()
    assert made.loss(emissions, tags).item() == pytest.approx(alone, rel=1e-4, abs=1e-3)


def test_a_row_without_tokens_costs_nothing_and_has_gradients() -> None:
    made = chain("bio")
    emissions = torch.randn(2, 3, 3, requires_grad=True)
    loss = made.loss(emissions, torch.full((2, 3), IGNORED))
    assert loss.item() == 0
    loss.backward()  # type: ignore[no-untyped-call]
    assert emissions.grad is not None
    assert not emissions.grad.any()


def test_a_window_may_begin_and_end_inside_a_mention() -> None:
    made = chain("bioes")
    inner = made.scheme.names("X").index("I-X")
    loss = made.loss(torch.zeros(1, 3, 5), torch.tensor([[inner, inner, inner]]))
    assert 0 < loss.item() < 20


def test_a_long_window_in_bf16_is_as_exact_as_in_double_precision() -> None:
    torch.manual_seed(2)
    made = chain("bio")
    emissions = 20 * torch.randn(2, 512, 3)
    there = torch.ones(2, 512, dtype=torch.bool)
    between = made.scores.detach().masked_fill(made.forbidden, FORBIDDEN)
    exact = log_partition(emissions.double(), between.double(), there)
    torch.testing.assert_close(
        log_partition(emissions, between, there).double(), exact, rtol=1e-5, atol=1e-2
    )
    with torch.autocast("cpu", torch.bfloat16):
        loss = made.loss(emissions, torch.zeros(2, 512, dtype=torch.long))
    assert loss.dtype == torch.float32


@pytest.mark.parametrize("name", SCHEMES)
def test_decoding_finds_the_best_of_all_paths(name: str) -> None:
    head = make_head("crf", scheme(name))
    torch.manual_seed(3)
    made = head.chain
    assert isinstance(made, Chain)
    torch.nn.init.normal_(made.scores)
    emissions = torch.randn(5, len(made.scheme))
    ended = {
        path: score
        for path, score in slowly(emissions, made).items()
        if made.scheme.starts[path[0]] and made.scheme.ends[path[-1]]
    }
    [path] = best_paths([emissions.numpy()], [np.zeros(5, dtype=np.bool_)], head.transitions())
    assert tuple(path.tolist()) == max(ended, key=lambda one: ended[one])
