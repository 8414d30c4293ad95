"""Losses of heads, counted by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from multiclin.errors import ConfigError
from multiclin.heads import LinearHead, Tagger, make_head
from multiclin.tagging import Transitions, scheme
from multiclin.windows import IGNORED

BIO = scheme("bio")
# Two tokens of one window, the tags O, B, I: the right one has 2 of 4, and 3 of 5.
EMISSIONS = torch.tensor([[[math.log(2), 0.0, 0.0], [0.0, 0.0, math.log(3)]]])
LOSS = math.log(4 / 2) + math.log(5 / 3)


class Encoder(nn.Module):
    """Gives the mask as half-precision logits of six tags."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=attention_mask[..., None].expand(-1, -1, 6).bfloat16())


def tagger(labels: int) -> Tagger:
    return Tagger(Encoder(), [LinearHead(BIO) for _ in range(labels)])  # type: ignore[arg-type]


def test_the_loss_is_the_summed_cross_entropy() -> None:
    loss = LinearHead(BIO).loss(EMISSIONS, torch.tensor([[0, 2]]))
    assert loss.item() == pytest.approx(LOSS)


def test_tokens_without_a_label_cost_nothing() -> None:
    longer = torch.cat([EMISSIONS, torch.full((1, 3, 3), 77.0)], dim=1)
    tags = torch.tensor([[0, 2, IGNORED, IGNORED, IGNORED]])
    assert LinearHead(BIO).loss(longer, tags).item() == pytest.approx(LOSS)


def test_the_loss_runs_in_fp32() -> None:
    loss = LinearHead(BIO).loss(EMISSIONS.bfloat16(), torch.tensor([[0, 2]]))
    assert loss.dtype == torch.float32


def test_a_linear_head_pays_only_for_what_the_scheme_forbids() -> None:
    for mine, rule in zip(LinearHead(BIO).transitions(), Transitions.of(BIO), strict=True):
        np.testing.assert_array_equal(mine, rule)


def test_an_unknown_head_is_named_with_the_others() -> None:
    with pytest.raises(ConfigError, match=r"head\.name=linaer is unknown; choose one of linear"):
        make_head("linaer", BIO)


def test_a_label_without_gold_gives_no_loss() -> None:
    both = torch.cat([EMISSIONS, torch.full((1, 2, 3), 5.0)], dim=-1).requires_grad_()
    tags = torch.tensor([[[0, 2], [IGNORED, IGNORED]]])
    loss = tagger(2).loss(both, tags)
    assert loss.item() == pytest.approx(LOSS / 2)  # the mean over two labelled tokens
    loss.backward()  # type: ignore[no-untyped-call]
    assert both.grad is not None
    assert both.grad[..., :3].abs().sum() > 0
    assert both.grad[..., 3:].abs().sum() == 0


def test_labels_are_weighed_by_their_tokens() -> None:
    both = torch.cat([EMISSIONS, torch.zeros(1, 2, 3)], dim=-1)
    tags = torch.tensor([[[0, 2], [1, IGNORED]]])
    assert tagger(2).loss(both, tags).item() == pytest.approx((LOSS + math.log(3)) / 3)


def test_a_batch_without_labels_costs_nothing_and_can_be_differentiated() -> None:
    emissions = torch.randn(2, 4, 6, requires_grad=True)
    loss = tagger(2).loss(emissions, torch.full((2, 2, 4), IGNORED))
    assert loss.item() == 0.0
    loss.backward()  # type: ignore[no-untyped-call]
    assert emissions.grad is not None
    assert emissions.grad.tolist() == torch.zeros(2, 4, 6).tolist()


def test_emissions_are_fp32_whatever_the_encoder_computes_in() -> None:
    mask = torch.ones(2, 5, dtype=torch.int64)
    emissions = tagger(2)(mask, mask)
    assert (emissions.shape, emissions.dtype) == ((2, 5, 6), torch.float32)
