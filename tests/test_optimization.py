"""The learning rate step by step; which parameters decay, and at which rates they learn."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import SGD

from multiclin.crf import Chain
from multiclin.heads import CrfHead, Tagger
from multiclin.optimization import Rates, linear_schedule, parameter_groups
from multiclin.tagging import scheme
from tests.test_flat import network


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


def groups_of(model_type: str, rates: Rates | None) -> dict[str, tuple[int, float | None, float]]:
    """By name of a group its number of parameters, rate and decay."""
    tagger = Tagger(network(model_type), [CrfHead(scheme("bio"))])
    groups = parameter_groups(tagger, 0.1, rates)
    assert sum(len(one["params"]) for one in groups) == len(list(tagger.parameters()))
    return {one["name"]: (len(one["params"]), one.get("lr"), one["weight_decay"]) for one in groups}


def test_by_default_all_learn_at_one_rate() -> None:
    found = groups_of("modernbert", None)
    assert list(found) == ["matrices", "vectors"]
    assert {rate for _, rate, _ in found.values()} == {None}  # the optimizer's


def test_rates_fall_from_layer_to_layer() -> None:
    found = groups_of("modernbert", Rates(8.0, layer_decay=0.5))
    rates = {name.partition("/")[0]: rate for name, (_, rate, _) in found.items()}
    assert rates == {
        "embeddings": 1.0,
        "layer_01": 2.0,
        "layer_02": 4.0,
        "layer_03": 8.0,
        "behind": 8.0,  # the final norm
        "classifier": 8.0,
        "heads": 8.0,
    }
    # Projections of the attention and the feed-forward decay, norms do not; the first layer has
    # one norm only.
    assert found["layer_01/matrices"] == (4, 2.0, 0.1)
    assert found["layer_01/vectors"] == (1, 2.0, 0.0)
    assert found["layer_02/vectors"] == (2, 4.0, 0.0)


def test_so_they_do_in_a_bert() -> None:
    found = groups_of("bert", Rates(8.0, layer_decay=0.5))
    assert list(found) == [
        f"{part}/{kind}"
        for part in ("embeddings", "layer_01", "layer_02", "layer_03", "classifier")
        for kind in ("matrices", "vectors")
    ] + ["heads/matrices"]
    assert found["embeddings/matrices"] == (3, 1.0, 0.1)
    assert found["layer_03/matrices"] == (6, 8.0, 0.1)
    assert found["layer_03/vectors"] == (10, 8.0, 0.0)


def test_encoder_classifier_and_crf_learn_at_rates_of_their_own() -> None:
    found = groups_of("bert", Rates(2e-5, 2e-4, 2e-3))
    assert {name: rate for name, (_, rate, _) in found.items()} == {
        **dict.fromkeys(("encoder/matrices", "encoder/vectors"), 2e-5),
        **dict.fromkeys(("classifier/matrices", "classifier/vectors"), 2e-4),
        "heads/matrices": 2e-3,
    }
    assert found["heads/matrices"][0] == len(list(Chain(scheme("bio")).parameters()))


def test_rates_need_no_layers_where_they_do_not_fall() -> None:
    made = Tagger(network("albert", embedding_size=16), [])
    names = {one["name"].partition("/")[0] for one in parameter_groups(made, 0.1, Rates(1.0, 2.0))}
    assert names == {"encoder", "classifier"}


def test_the_schedule_scales_every_rate() -> None:
    tagger = Tagger(network("bert"), [])
    optimizer = SGD(parameter_groups(tagger, 0.0, Rates(1.0, 10.0)), lr=1.0)
    schedule = linear_schedule(optimizer, steps=4, warmup_ratio=0.0)
    optimizer.step()
    schedule.step()
    found = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert found["encoder/matrices"] == pytest.approx(0.75)
    assert found["classifier/matrices"] == pytest.approx(7.5)
