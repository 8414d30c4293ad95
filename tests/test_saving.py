"""A toy training goes on from every checkpoint that it saves and ends as if never cut off."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torch.optim import AdamW

from multiclin.augmentation import Augmentation
from multiclin.averaging import ExponentialAverage, TailAverage
from multiclin.bundle import Recipe, new_model
from multiclin.corpus.source import Corpus
from multiclin.datamodule import NerDataModule
from multiclin.encoder import scratch_config
from multiclin.errors import CheckpointError, ConfigError, OutputError
from multiclin.loading import Loading
from multiclin.module import NerModule
from multiclin.optimization import linear_schedule
from multiclin.saving import Saving, generators, restore_generators
from multiclin.splitting import Splitting
from multiclin.stopping import Stop, without_handlers
from tests.toy_models import ARCHITECTURE, toy_set, toy_subwords

pytestmark = pytest.mark.filterwarnings("ignore")

# Six windows one by one, two a step: three steps an epoch.
RECIPE = {"accumulate_grad_batches": 2, "max_epochs": 3}
DROPOUT = {"classifier_dropout": 0.1, "embedding_dropout": 0.1}
Weights = dict[str, torch.Tensor]


@dataclass
class Course(pl.Callback):
    """What a training went through: the loss of each batch and of each validation."""

    losses: dict[tuple[int, int], float] = field(default_factory=dict)
    validations: list[tuple[int, float]] = field(default_factory=list)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        place = trainer.current_epoch, trainer.fit_loop.batch_idx
        self.losses[place] = float(trainer.callback_metrics["train/loss"])

    def on_validation_end(self, trainer: pl.Trainer, *_: object) -> None:
        loss = float(trainer.callback_metrics["val/loss"])
        self.validations.append((trainer.global_step, loss))


@dataclass
class Run:
    """How a training ended."""

    weights: Weights
    best: Weights
    course: Course


class Copying(Saving):
    """Keeps every checkpoint that it saves."""

    def save(self, trainer: pl.Trainer) -> None:
        super().save(trainer)
        number = len(list(self.folder.glob("copy*.ckpt")))
        shutil.copy(self.folder / "last.ckpt", self.folder / f"copy{number:02d}.ckpt")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    toy_set(tmp_path)
    toy_set(tmp_path, "dev")
    return tmp_path


def train(
    root: Path,
    saving: Saving | None = None,
    ckpt: Path | None = None,
    *callbacks: pl.Callback,
    workers: int = 0,
    batch_size: int = 1,
    mode: str = "min",
    augmentation: Augmentation | None = None,
    **settings: Any,  # noqa: ANN401 - arguments of a Trainer
) -> Run:
    """Train in `root`, with its checkpoints in the folder of `saving`."""
    pl.seed_everything(1, verbose=False)
    subwords = toy_subwords()
    recipe = Recipe(("DISEASE",), window=24, overlap=8)
    config = scratch_config({**ARCHITECTURE, **DROPOUT}, subwords)
    model = new_model(recipe, subwords, config=config)
    step_size = batch_size * {**RECIPE, **settings}["accumulate_grad_batches"]
    corpus = Corpus(root, {"disease": "DISEASE"})
    augmentation = augmentation or Augmentation()
    loading = Loading(step_size, workers=workers, augmentation=augmentation)
    data = NerDataModule(corpus, model, Splitting(share=0), loading, root / "cache")
    module = NerModule(
        model, partial(AdamW, lr=0.02), partial(linear_schedule, warmup_ratio=0.1), 0.01
    )
    saving = saving or Saving(root / "plain")
    monitor = None if settings.get("limit_val_batches") == 0 else "val/loss"
    best = ModelCheckpoint(
        saving.folder,
        "best",
        monitor,
        mode=mode,
        save_weights_only=True,
        enable_version_counter=False,
    )
    course = Course()
    trainer = pl.Trainer(
        accelerator="cpu",
        callbacks=[course, *callbacks, best, saving],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **{**RECIPE, **settings},
    )
    without_handlers(trainer)
    trainer.fit(module, datamodule=data, ckpt_path=ckpt, weights_only=True)
    weights = {name: one.clone() for name, one in module.state_dict().items()}
    return Run(weights, torch.load(best.best_model_path, weights_only=True)["state_dict"], course)


def assert_equal(left: Weights, right: Weights) -> None:
    assert left.keys() == right.keys()
    assert [name for name, one in left.items() if not torch.equal(one, right[name])] == []


def patience() -> EarlyStopping:
    """Ends a training at its third validation, for no loss falls by so much."""
    return EarlyStopping("val/loss", patience=2, min_delta=10)


CHANGES = Augmentation(0.1, 0.1, mentions=0.5, case=0.3, diacritics=0.3, abbreviations=0.3)

SETTINGS: dict[str, tuple[dict[str, Any], list[Callable[[], pl.Callback]], int]] = {
    # Two epochs of three steps: two in the middle, one before the validation, one after it.
    "plain": ({"max_epochs": 2}, [], 8),
    "every batch a step": ({"accumulate_grad_batches": 1, "max_epochs": 2}, [], 14),
    # The validation in mid-epoch comes where gradients are waiting: none is saved there.
    "two validations": ({"val_check_interval": 0.5, "max_epochs": 2}, [], 8),
    "three validations": (
        {"val_check_interval": 2, "accumulate_grad_batches": 1, "max_epochs": 2},
        [],
        14,
    ),
    # The epoch that is not validated saves nothing before its end.
    "every other epoch": ({"check_val_every_n_epoch": 2, "max_epochs": 4}, [], 14),
    "no validation": ({"limit_val_batches": 0}, [], 9),
    "early stopping": ({"max_epochs": 8}, [patience], 12),
    "stopped in mid-epoch": ({"max_epochs": 8, "val_check_interval": 0.5}, [patience], 6),
    # Its end of an epoch is saved at the next boundary, but for the last one.
    "steps": ({"max_epochs": -1, "max_steps": 8}, [], 8),
    "part of an epoch": ({"limit_train_batches": 4}, [], 9),
    "workers": ({"workers": 2, "max_epochs": 2}, [], 8),
    "averaged": ({"max_epochs": 2, "val_check_interval": 0.5}, [ExponentialAverage], 8),
    "averaged in the end": ({"max_epochs": 2}, [lambda: TailAverage(0.4)], 8),
    "changed windows": ({"workers": 2, "max_epochs": 2, "augmentation": CHANGES}, [], 8),
}

FAST = ("plain", "averaged")


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=[] if one in FAST else [pytest.mark.slow]) for one in SETTINGS],
)
def test_from_every_checkpoint_a_run_ends_the_same(root: Path, name: str) -> None:
    settings, callbacks, saves = SETTINGS[name]
    folder = root / "checkpoints"

    def go(saving: Saving, ckpt: Path | None = None) -> Run:
        return train(root, saving, ckpt, *(make() for make in callbacks), **settings)

    whole = go(Copying(folder, None, every_n_steps=1))
    copies = sorted(folder.glob("copy*.ckpt"))
    assert len(copies) == saves
    assert_equal(go(Saving(root / "rarely")).weights, whole.weights)  # Saving changes nothing.
    for copy in copies:
        rest = go(Saving(folder), copy)
        assert_equal(rest.weights, whole.weights)
        assert_equal(rest.best, whole.best)
        assert whole.course.losses | rest.course.losses == whole.course.losses
        seen = len(rest.course.validations)
        assert rest.course.validations == whole.course.validations[-seen:][:seen]


class Signal(pl.Callback):
    """Sends this process a SIGTERM at a batch of training or validation."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def on_train_batch_start(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_validation_batch_start(self, *_: object) -> None:
        self.on_train_batch_start()


@pytest.mark.parametrize(
    "name", [pytest.param("plain", marks=pytest.mark.slow), "two validations", "averaged"]
)
def test_a_run_stopped_again_and_again_ends_the_same(root: Path, name: str) -> None:
    settings, callbacks, _ = SETTINGS[name]
    whole = train(root, None, None, *(make() for make in callbacks), **settings)
    numbers, rest = random.Random(7), None
    stops: list[Any] = []
    while rest is None:
        saving = Saving(root / "checkpoints")
        last = saving.folder / "last.ckpt"
        with Stop() as saving.stop:
            try:
                ckpt = last if last.exists() else None
                more = [*(make() for make in callbacks), Signal(numbers.randint(1, 5))]
                rest = train(root, saving, ckpt, *more, **settings)
            except SystemExit as stop:
                stops.append(stop.code)
    assert len(stops) > 3
    assert set(stops) == {128 + signal.SIGTERM}
    assert_equal(rest.weights, whole.weights)
    assert_equal(rest.best, whole.best)


def test_a_validation_where_gradients_wait_is_finished(root: Path) -> None:
    """Six batches, two a step, validated after the third: the next boundary is the fourth."""
    saving = Saving(root / "checkpoints")
    with Stop() as saving.stop, pytest.raises(SystemExit):
        train(root, saving, None, Signal(batches=4), val_check_interval=0.5)
    assert torch.load(saving.folder / "last.ckpt", weights_only=True)["global_step"] == 2


def test_signals_do_not_wait_once_a_training_is_over(root: Path) -> None:
    saving = Saving(root / "checkpoints")
    train(root, saving, max_epochs=1)
    assert not saving.stop.patient
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# Files


def test_a_run_that_was_moved_keeps_its_best(root: Path) -> None:
    """The best is the first of three validations; the third is done in another folder."""
    here, there = root / "here", root / "there"
    whole = train(root, Copying(here), mode="max")
    losses = [loss for _, loss in whole.course.validations]
    assert max(losses) == losses[0]
    here.rename(there)
    rest = train(root, Saving(there), there / "copy01.ckpt", mode="max")
    assert [step for step, _ in rest.course.validations] == [9]
    assert_equal(rest.best, whole.best)


def test_the_checkpoint_before_stays_beside_the_last(root: Path) -> None:
    folder = root / "checkpoints"
    train(root, Saving(folder, every_n_steps=1), max_epochs=1)
    steps = [
        torch.load(folder / name, weights_only=True)["global_step"]
        for name in ("previous.ckpt", "last.ckpt")
    ]
    assert steps == [3, 3]  # Before the validation and after it.
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "last.ckpt", "previous.ckpt"}


def test_what_a_killed_process_left_half_written_is_removed(root: Path) -> None:
    folder = root / "checkpoints"
    folder.mkdir()
    (folder / ".multiclin-0123.tmp").write_bytes(b"half")
    train(root, Saving(folder), max_epochs=1)
    assert not (folder / ".multiclin-0123.tmp").exists()


def test_a_damaged_checkpoint_does_not_take_the_place_of_the_good_one(root: Path) -> None:
    folder = root / "checkpoints"
    train(root, Saving(folder, every_n_steps=1), max_epochs=1)
    good = (folder / "previous.ckpt").read_bytes()
    (folder / "last.ckpt").write_bytes(b"half")
    train(root, Saving(folder), folder / "previous.ckpt", max_epochs=1)
    assert (folder / "previous.ckpt").read_bytes() == good
    assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == 3


def test_a_save_that_fails_leaves_the_older_ones(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = root / "checkpoints"
    train(root, Saving(folder), max_epochs=1)
    before = (folder / "last.ckpt").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*new\.ckpt: .*No space left on device"):
        train(root, Saving(folder, every_n_steps=1), folder / "last.ckpt")
    assert (folder / "last.ckpt").read_bytes() == before
    assert not list(folder.glob("*.tmp"))


def test_minutes_count_from_the_last_save(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a minute whenever it is read: by the start and by each boundary."""
    clock = iter(range(0, 10**6, 60))
    monkeypatch.setattr("multiclin.saving.time", SimpleNamespace(monotonic=lambda: next(clock)))
    folder = root / "checkpoints"
    train(root, Copying(folder, every_minutes=2), max_epochs=1, accumulate_grad_batches=1)
    steps = [
        torch.load(path, weights_only=True)["global_step"]
        for path in sorted(folder.glob("copy*.ckpt"))
    ]
    assert steps == [2, 4, 6, 6]


@pytest.mark.parametrize("wrong", [{"every_minutes": 0}, {"every_n_steps": -3}])
def test_an_interval_must_be_more_than_nothing(wrong: dict[str, int]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=rf"callbacks\.last\.{name}="):
        Saving("checkpoints", **wrong)


# What a checkpoint belongs to


def test_a_position_in_another_order_is_refused(root: Path) -> None:
    folder = root / "checkpoints"
    train(root, Saving(folder), max_epochs=1)
    with pytest.raises(CheckpointError) as caught:
        train(root, Saving(folder), folder / "last.ckpt", batch_size=2, accumulate_grad_batches=1)
    assert "that checkpoint: batches accumulated was 2 and is 1; say" in str(caught.value)


def test_a_run_goes_on_with_another_number_of_processes(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    last = root / "checkpoints" / "last.ckpt"
    train(root, Saving(last.parent), max_epochs=1)
    checkpoint = torch.load(last, weights_only=True)
    checkpoint["saving"]["generators"] *= 2
    torch.save(checkpoint, last)
    run = train(root, Saving(last.parent), last, max_epochs=2)
    assert run.course.losses
    assert "processes were 2 and are 1: the steps stay the same" in caplog.text


def test_generators_are_put_back() -> None:
    def draw() -> list[float]:
        return [float(torch.rand(())), random.random(), float(np.random.rand())]

    states = generators()
    drawn = draw()
    assert draw() != drawn
    restore_generators(states)
    assert draw() == drawn
