"""Averages of weights: as a loop by hand has them, validated and saved."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from multiclin.averaging import Averaging, ExponentialAverage, TailAverage
from multiclin.bundle import load_model
from multiclin.errors import ConfigError
from multiclin.saving import Saving
from multiclin.stopping import Stop
from tests.test_saving import Signal, Weights, assert_equal, root, train

pytestmark = pytest.mark.filterwarnings("ignore")
__all__ = ["root"]


class Steps(pl.Callback):
    """Keeps the weights after each optimizer step, and those that are validated."""

    def __init__(self) -> None:
        self.trained: dict[int, Weights] = {}
        self.validated: dict[int, Weights] = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        if trainer.global_step:
            self.trained[trainer.global_step] = copied(pl_module)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        self.validated[trainer.global_step] = copied(pl_module)


def copied(module: nn.Module) -> Weights:
    return {name: one.detach().clone() for name, one in module.named_parameters()}


def exponential(trained: dict[int, Weights], decay: float, last: int) -> Weights:
    """The average of the steps up to the last one."""
    average = trained[1]
    for step in range(2, last + 1):
        keep = min(decay, (1 + step) / (10 + step))
        average = {n: keep * one + (1 - keep) * trained[step][n] for n, one in average.items()}
    return average


def mean(trained: dict[int, Weights], first: int, last: int) -> Weights:
    steps = [trained[step] for step in range(first, last + 1)]
    return {name: torch.stack([one[name] for one in steps]).mean(dim=0) for name in steps[0]}


def assert_close(found: Weights, expected: Weights) -> None:
    for name, one in expected.items():
        torch.testing.assert_close(found[name], one, rtol=1e-5, atol=1e-6)


def test_the_exponential_average_is_that_of_a_loop(root: Path) -> None:
    steps = Steps()
    run = train(root, None, None, ExponentialAverage(0.3), steps)
    assert sorted(steps.trained) == list(range(1, 10))  # three epochs of three steps
    for last in (3, 6, 9):
        assert_close(steps.validated[last], exponential(steps.trained, 0.3, last))
    assert_close(run.weights, exponential(steps.trained, 0.3, 9))
    best = min(run.course.validations, key=lambda one: one[1])[0]
    assert_close(run.best, exponential(steps.trained, 0.3, best))


def test_the_mean_is_that_of_the_last_part(root: Path) -> None:
    steps = Steps()
    run = train(root, None, None, TailAverage(0.5), steps)
    # Nine steps, the first four of them before the half.
    assert_close(steps.validated[3], steps.trained[3])
    assert_close(steps.validated[6], mean(steps.trained, 5, 6))
    assert_close(run.weights, mean(steps.trained, 5, 9))


@pytest.mark.parametrize("averaging", [ExponentialAverage(), TailAverage(0.2)])
def test_an_average_changes_no_step(root: Path, averaging: Averaging) -> None:
    with_it, without = Steps(), Steps()
    train(root, None, None, averaging, with_it, val_check_interval=0.5)
    train(root, None, None, without, val_check_interval=0.5)
    for step, weights in without.trained.items():
        assert_equal(with_it.trained[step], weights)


def test_the_last_checkpoint_opens_as_the_average(root: Path) -> None:
    steps, folder = Steps(), root / "checkpoints"
    train(root, Saving(folder, every_n_steps=1), None, ExponentialAverage(0.3), steps)
    opened = load_model(folder / "last.ckpt").tagger
    weights = {f"tagger.{name}": one for name, one in copied(opened).items()}
    assert_close(weights, exponential(steps.trained, 0.3, 9))


def test_a_run_stopped_in_mid_validation_goes_on_with_its_own_weights(root: Path) -> None:
    """The average is in the module then."""
    whole = train(root, None, None, ExponentialAverage(0.3))
    saving = Saving(root / "checkpoints", None)
    last = saving.folder / "last.ckpt"
    with Stop() as saving.stop, pytest.raises(SystemExit):
        # Six batches of training, then the first one of the validation.
        train(root, saving, None, ExponentialAverage(0.3), Signal(batches=7))
    assert torch.load(last, weights_only=True)["global_step"] == 3
    rest = train(root, Saving(saving.folder), last, ExponentialAverage(0.3))
    assert_equal(rest.weights, whole.weights)
    assert_equal(rest.best, whole.best)


def test_without_validations_the_average_is_saved_too(root: Path) -> None:
    steps = Steps()
    run = train(root, None, None, ExponentialAverage(0.3), steps, limit_val_batches=0)
    assert_close(run.best, exponential(steps.trained, 0.3, 9))


def test_frozen_weights_are_not_kept_again() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[0].requires_grad_(requires_grad=False)
    averaging = begun(module, ExponentialAverage())
    assert list(averaging.state_dict()["weights"]) == ["1.weight", "1.bias"]


def test_a_validation_after_the_training_is_of_the_weights_that_are_there() -> None:
    """Those of best.ckpt, which are loaded then."""
    module = nn.Linear(2, 1)
    averaging = begun(module, ExponentialAverage())
    averaging.on_train_batch_end(toy_trainer(step=1))
    averaging.on_train_end()
    nn.init.ones_(module.weight)
    averaging.on_validation_epoch_start()
    assert module.weight.tolist() == [[1.0, 1.0]]


def begun(module: nn.Module, averaging: Averaging) -> Averaging:
    averaging.on_train_start(toy_trainer(step=0), cast("pl.LightningModule", module))
    return averaging


def toy_trainer(step: int) -> pl.Trainer:
    return cast("pl.Trainer", SimpleNamespace(global_step=step, estimated_stepping_batches=10))


def test_the_first_steps_fade_fast() -> None:
    average = ExponentialAverage(0.9)
    kept = [1 - average.share(step, 1000) for step in (1, 8, 80, 81, 500)]
    assert kept == pytest.approx([2 / 11, 9 / 18, 81 / 90, 0.9, 0.9])


def test_the_last_part_begins_behind_its_start() -> None:
    average = TailAverage(0.75)
    assert [average.share(step, 8) for step in (1, 6, 7, 8)] == [0, 0, 1, 1 / 2]
    assert TailAverage(0.0).share(1, 8) == 1


def test_shares_are_shares() -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.averaging\.decay=1.0: say more than 0"):
        ExponentialAverage(1.0)
    with pytest.raises(ConfigError, match=r"callbacks\.averaging\.start=1: say 0 or more"):
        TailAverage(1)
