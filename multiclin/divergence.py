"""A loss or gradient that is no number: the training ends, or the step is left out and counted.

One step with such a gradient makes every weight NaN, and all training after it is lost. So each
optimizer step is looked at before it is done: the losses of all its batches and the norm of its
gradient, in one comparison. Several processes decide together. A step that is left out finds no
gradients: it changes neither weights nor moments, and the next one begins from zero. Schedule and
step counter go on, so the run stays as long as it was planned and can be gone on with exactly.

The price is one wait for the device per step, as with the loss scaling of fp16. (Infinite gradients
are that scaling's own affair: it lowers the scale and leaves the step out.)
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer

from multiclin.batch import Batch
from multiclin.errors import ConfigError, DivergedError
from multiclin.saving import gather
from multiclin.windows import Placed

log = logging.getLogger(__name__)

SHOWN = 8
"""Documents that a message names; a batch of long windows has few more."""

REMEDY = (
    "lower optim.learning_rate or trainer.gradient_clip_val, raise optim.warmup_ratio, or look at "
    "these documents; callbacks.divergence.skip=N leaves up to N such steps out"
)


class Divergence(pl.Callback):
    """Ends a training whose loss or gradient is no number.

    Args:
        skip: Optimizer steps that may be left out for it instead, in the whole run.

    Attributes:
        skipped: Those that were.

    Raises:
        ConfigError: `skip` is negative.
    """

    def __init__(self, skip: int = 0) -> None:
        if skip < 0:
            raise ConfigError(f"callbacks.divergence.skip={skip}: say 0 or more")
        self.skip, self.skipped = skip, 0
        # Of the batches that wait for the optimizer step:
        self._windows: list[tuple[Placed, ...]] = []
        self._losses: list[Tensor] = []

    def state_dict(self) -> dict[str, Any]:
        """What a run that goes on has to know."""
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        self.skipped = state_dict["skipped"]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Note the windows of a batch."""
        self._windows.append(batch.placed)

    def on_before_backward(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor
    ) -> None:
        """Note its loss."""
        self._losses.append(loss.detach().float())

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Look at the step, and let only one of numbers be done.

        Raises:
            DivergedError: It is not, and no more steps may be left out.
        """
        windows, losses = self._windows, self._losses
        self._windows, self._losses = [], []
        figures = torch.stack([*losses, *_norm(trainer, pl_module)])
        is_bad = not bool(figures.isfinite().all())
        if not trainer.strategy.reduce_boolean_decision(is_bad, all=False):
            return
        bad = [batch for batch, loss in zip(windows, losses, strict=True) if not loss.isfinite()]
        what = f"in optimizer step {trainer.global_step + 1} {_said(trainer, bad, windows)}"
        if self.skipped == self.skip:
            before = f", and {self.skip} such steps have been left out" if self.skip else ""
            raise DivergedError(f"{what}{before}: {REMEDY}")
        self.skipped += 1
        log.warning("%s: left out, %d of at most %d", what, self.skipped, self.skip)
        optimizer.zero_grad(set_to_none=True)


def _norm(trainer: pl.Trainer, module: pl.LightningModule) -> list[Tensor]:
    """The norm of the gradient, if there is one that has to be finite."""
    gradients = [one.grad for one in module.parameters() if one.grad is not None]
    is_scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
    return [] if is_scaled or not gradients else [torch.nn.utils.get_total_norm(gradients).float()]


def _said(
    trainer: pl.Trainer, bad: Sequence[Sequence[Placed]], windows: Sequence[Sequence[Placed]]
) -> str:
    """`the loss is no number on windows of d1, d2`; where all losses are, it is the gradient."""
    ids = _documents(trainer, bad)
    what = "loss" if ids else "gradient"
    ids = ids or _documents(trainer, windows)
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f"the {what} is no number on windows of {', '.join(ids[:SHOWN])}{more}"


def _documents(trainer: pl.Trainer, batches: Sequence[Sequence[Placed]]) -> list[str]:
    """Ids of the documents in batches, of all processes."""
    entries = trainer.datamodule.store.entries  # type: ignore[attr-defined]
    mine = {entries[row.document].id for rows in batches for row in rows}
    parts = gather({"ids": sorted(mine)}, trainer.world_size)
    return sorted({one for part in parts for one in part["ids"]})
