"""Losses of single tokens, counted by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from multiclin.errors import ConfigError
from multiclin.heads import LinearHead
from multiclin.losses import LossSettings, TokenLoss, balanced
from multiclin.tagging import scheme
from multiclin.windows import IGNORED

BIO = scheme("bio")
# Three tokens of one window, the tags O, B, I, with probabilities 2/4 1/4 1/4 and 1/5 1/5 3/5; the
# last has no label.
EMISSIONS = torch.tensor([[[math.log(2), 0.0, 0.0], [0.0, 0.0, math.log(3)], [7.0, 0.0, 0.0]]])
TAGS = torch.tensor([[0, 2, IGNORED]])


def test_plain_it_is_cross_entropy() -> None:
    found = TokenLoss()(EMISSIONS, TAGS)
    assert found.item() == pytest.approx(-math.log(2 / 4) - math.log(3 / 5))


def test_focal_weighs_a_token_by_what_is_missing_to_it() -> None:
    found = TokenLoss(gamma=2.0)(EMISSIONS, TAGS)
    by_hand = -((1 - 2 / 4) ** 2) * math.log(2 / 4) - (1 - 3 / 5) ** 2 * math.log(3 / 5)
    assert found.item() == pytest.approx(by_hand)


def test_smoothing_takes_from_the_gold_tag_and_gives_to_all() -> None:
    found = TokenLoss(smoothing=0.3)(EMISSIONS[:, :1], TAGS[:, :1])
    by_hand = -0.8 * math.log(2 / 4) - 0.1 * math.log(1 / 4) - 0.1 * math.log(1 / 4)
    assert found.item() == pytest.approx(by_hand)


def test_smoothing_is_torchs() -> None:
    torch.manual_seed(1)
    scores, tags = torch.randn(2, 5, 3), torch.randint(0, 3, (2, 5))
    tags[0, 2] = IGNORED
    theirs = functional.cross_entropy(
        scores.flatten(0, 1),
        tags.flatten(),
        ignore_index=IGNORED,
        label_smoothing=0.2,
        reduction="sum",
    )
    torch.testing.assert_close(TokenLoss(smoothing=0.2)(scores, tags), theirs)


def test_a_gold_tag_has_its_weight() -> None:
    found = TokenLoss(weights=[0.5, 1.0, 4.0])(EMISSIONS, TAGS)
    assert found.item() == pytest.approx(-0.5 * math.log(2 / 4) - 4 * math.log(3 / 5))


def test_all_together() -> None:
    found = TokenLoss(gamma=1.0, smoothing=0.3, weights=[0.5, 1.0, 4.0])(EMISSIONS, TAGS)
    first = 0.5 * (1 - 2 / 4) * -(0.8 * math.log(2 / 4) + 0.2 * math.log(1 / 4))
    second = 4 * (1 - 3 / 5) * -(0.8 * math.log(3 / 5) + 0.2 * math.log(1 / 5))
    assert found.item() == pytest.approx(first + second)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_a_token_that_is_surely_right_has_a_gradient_of_numbers(gamma: float) -> None:
    sure = torch.tensor([[[200.0, 0.0, 0.0]]], requires_grad=True)
    TokenLoss(gamma=gamma)(sure, torch.tensor([[0]])).backward()
    assert sure.grad is not None
    assert sure.grad.isfinite().all()


def test_a_batch_without_labels_costs_nothing_and_can_be_differentiated() -> None:
    scores = torch.randn(1, 4, 3, requires_grad=True)
    loss = TokenLoss(2.0, 0.1, [1.0, 2.0, 2.0])(scores, torch.full((1, 4), IGNORED))
    assert loss.item() == 0.0
    loss.backward()
    assert scores.grad is not None
    assert not scores.grad.any()


def test_half_precision_is_counted_in_full() -> None:
    assert TokenLoss(gamma=2.0)(EMISSIONS.bfloat16(), TAGS).dtype == torch.float32


def test_balanced_weights_give_every_tag_the_same_sum() -> None:
    weights = balanced([80, 15, 5])
    assert weights == pytest.approx([100 / 240, 100 / 45, 100 / 15])
    assert sum(w * n for w, n in zip(weights, [80, 15, 5], strict=True)) == pytest.approx(100)
    assert balanced([80, 0, 5])[1] > 0  # of a tag that no document has


def test_weights_are_named_by_tags() -> None:
    loss = LossSettings(weights={"O": 0.25, "I": 2.0}).of_head(BIO, [1, 1, 1])
    assert loss.weights is not None
    assert loss.weights.tolist() == [0.25, 1.0, 2.0]


def test_an_unknown_tag_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"tagging\.scheme=bio has no tag E; its tags are O, B, I"
    ):
        LossSettings(weights={"E": 2.0}).of_head(BIO, [1, 1, 1])


def test_a_head_trains_on_its_criterion_and_tells_cross_entropy() -> None:
    head = LinearHead(BIO)
    plain = head.loss(EMISSIONS, TAGS)
    head.criterion = TokenLoss(gamma=2.0)
    assert head.train().loss(EMISSIONS, TAGS) < plain / 2
    assert head.eval().loss(EMISSIONS, TAGS) == plain


def test_a_criterion_is_no_part_of_what_is_saved() -> None:
    head = LinearHead(BIO)
    head.criterion = TokenLoss(weights=[1.0, 2.0, 2.0])
    assert head.state_dict() == {}
