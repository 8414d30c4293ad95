"""A step with a loss or gradient that is no number ends a toy training, or changes nothing."""

from __future__ import annotations

import logging
import math
from functools import partial
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from multiclin.batch import Batch
from multiclin.corpus.source import Corpus
from multiclin.datamodule import NerDataModule
from multiclin.divergence import Divergence
from multiclin.errors import ConfigError, DivergedError
from multiclin.loading import Loading
from multiclin.module import NerModule
from multiclin.optimization import linear_schedule
from multiclin.splitting import Splitting
from tests.toy_models import toy_model, toy_set

pytestmark = pytest.mark.filterwarnings("ignore")

LAST = "MultiClinNER-es-train-disease-0006"  # "Exploración normal."


class Poisoned(NerModule):
    """Spoils the loss of the batch with one document, or its gradient."""

    spoil = "loss"

    def training_step(self, batch: Batch, index: int) -> Tensor:
        loss = super().training_step(batch, index)
        data: NerDataModule = self.trainer.datamodule  # type: ignore[attr-defined]
        names = {data.store.entries[row.document].id for row in batch.placed}
        if LAST not in names or self.spoil == "nothing":
            return loss
        if self.spoil == "loss":
            return loss * math.nan
        loss.register_hook(lambda gradient: gradient * math.inf)  # type: ignore[no-untyped-call]
        return loss


class Steps(pl.Callback):
    """Keeps the weights, and the steps that AdamW has done, before each step and at the end."""

    def __init__(self) -> None:
        self.weights: list[Tensor] = []
        self.done: list[int] = []

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        self.note(pl_module, optimizer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.note(pl_module, trainer.optimizers[0])

    def note(self, module: pl.LightningModule, optimizer: Optimizer) -> None:
        flat = [parameter.detach().flatten() for parameter in module.parameters()]
        self.weights.append(torch.cat(flat).clone())
        counts = [int(state["step"]) for state in optimizer.state.values()]
        self.done.append(max(counts, default=0))

    @property
    def same(self) -> list[int]:
        """Steps, from 1, that changed no weight."""
        pairs = zip(self.weights[:-1], self.weights[1:], strict=True)
        return [step for step, (one, two) in enumerate(pairs, 1) if torch.equal(one, two)]


def train(
    root: Path, divergence: Divergence, spoil: str, epochs: int = 2
) -> tuple[pl.Trainer, Steps]:
    """Six batches of one window, two a step: three steps an epoch, one of them spoiled."""
    if not list(root.glob("MultiClinNER*")):
        toy_set(root)
    pl.seed_everything(1, verbose=False)
    model, corpus = toy_model(), Corpus(root, {"disease": "DISEASE"})
    loading = Loading(step_size=2, workers=0)
    data = NerDataModule(corpus, model, Splitting(share=0), loading, root / "cache")
    schedule = partial(linear_schedule, warmup_ratio=0.0)
    module = Poisoned(model, partial(AdamW, lr=0.02), schedule, 0.01)
    module.spoil = spoil
    steps = Steps()
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[steps, divergence],
        accumulate_grad_batches=2,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(module, datamodule=data)
    return trainer, steps


@pytest.mark.parametrize("spoil", ["loss", "gradient"])
def test_a_training_ends_at_the_first_and_names_the_documents(tmp_path: Path, spoil: str) -> None:
    with pytest.raises(DivergedError) as caught:
        train(tmp_path, Divergence(), spoil)
    said = str(caught.value)
    assert f"the {spoil} is no number on windows of " in said
    named = said.partition("windows of ")[2].partition(":")[0].split(", ")
    # Of a loss the batch is known; of a gradient the two of its step.
    assert LAST in named
    assert len(named) == (1 if spoil == "loss" else 2)
    assert "callbacks.divergence.skip=N" in said


@pytest.mark.parametrize("spoil", ["loss", "gradient"])
def test_a_step_that_is_left_out_changes_nothing_at_all(
    tmp_path: Path, spoil: str, caplog: pytest.LogCaptureFixture
) -> None:
    divergence = Divergence(skip=2)
    with caplog.at_level(logging.WARNING):
        trainer, steps = train(tmp_path, divergence, spoil)
    assert trainer.global_step == 6
    assert [message.rpartition(": ")[2] for message in caplog.messages] == [
        "left out, 1 of at most 2",
        "left out, 2 of at most 2",
    ]
    assert len(steps.same) == divergence.skipped == 2  # One of each epoch.
    assert steps.same[0] <= 3 < steps.same[1]
    assert steps.done[-1] == 4  # Nor do AdamW's moments know of them.
    assert all(one.isfinite().all() for one in steps.weights)


def test_a_run_of_nothing_else_ends(tmp_path: Path) -> None:
    divergence = Divergence(skip=3)
    with pytest.raises(
        DivergedError, match=r"step 1[012] .*, and 3 such steps have been left out: "
    ):
        train(tmp_path, divergence, "loss", epochs=5)


def test_what_was_left_out_counts_after_going_on(tmp_path: Path) -> None:
    divergence, resumed = Divergence(skip=2), Divergence(skip=2)
    train(tmp_path, divergence, "loss")
    resumed.load_state_dict(divergence.state_dict())
    with pytest.raises(DivergedError):
        train(tmp_path, resumed, "loss")


def test_a_training_of_numbers_is_left_alone(tmp_path: Path) -> None:
    trainer, watched = train(tmp_path, Divergence(), "nothing")
    assert watched.same == []
    assert watched.done[-1] == trainer.global_step == 6


def test_fewer_than_none_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.divergence\.skip=-1"):
        Divergence(-1)
