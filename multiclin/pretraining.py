"""Masked language modelling as a LightningModule: losses, and how many masked tokens are found."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from multiclin.batch import Batch
from multiclin.errors import DivergedError
from multiclin.language_model import LanguageModel, summed
from multiclin.learner import Learner
from multiclin.masking import FIGURES
from multiclin.optimization import parameter_groups
from multiclin.windows import IGNORED


class PretrainingModule(Learner):
    """A language model in training.

    Args:
        model: The network and its facts.
        optimizer: Called with the parameter groups.
        schedule: Called with the optimizer and `steps`, the number of optimizer steps in all.
        weight_decay: Decay of matrices.
    """

    def __init__(
        self,
        model: LanguageModel,
        optimizer: Callable[[list[dict[str, Any]]], Optimizer],
        schedule: Callable[..., LRScheduler],
        weight_decay: float,
    ) -> None:
        super().__init__()
        self.model = model
        self.network = model.network
        self._optimizer, self._schedule, self._weight_decay = optimizer, schedule, weight_decay
        self._sums: Tensor | None = None  # of losses, of tokens found, of masked tokens
        self._began, self._tokens = 0.0, 0

    def facts(self) -> dict[str, Any]:
        """Those of the model."""
        return self.model.facts()

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits of the masked tokens, and what stood there (`MaskedTokens`)."""
        assert batch.tags is not None
        found: tuple[Tensor, Tensor] = self.network(batch.ids, batch.mask, batch.tags[:, 0])
        return found

    def on_train_epoch_start(self) -> None:
        """Begin to count the tokens of an epoch."""
        self._began, self._tokens = time.monotonic(), 0

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Mean loss per masked token, weighed as the batch is in its optimizer step."""
        logits, wanted = self(batch)
        masked = max(1, int((wanted != IGNORED).sum()))
        loss = summed(logits, wanted) / masked
        self.log("train/loss", loss, prog_bar=True, batch_size=masked)
        self._tokens += int(batch.mask.sum()) * self.trainer.world_size
        pace = self._tokens / max(1e-9, time.monotonic() - self._began)
        self.log("train/tokens_per_s", pace, prog_bar=True)
        return loss * batch.weight

    def on_validation_epoch_start(self) -> None:
        """Begin to sum up."""
        self._sums = torch.zeros(3, dtype=torch.float64)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Sum up what is lost and found."""
        assert self._sums is not None
        # In fp32: in bf16 a window's loss depends on what shares its batch.
        with torch.autocast(self.device.type, enabled=False):
            logits, wanted = self(batch)
        right = (logits.argmax(-1) == wanted).sum()
        figures = (float(summed(logits, wanted)), int(right), int((wanted != IGNORED).sum()))
        self._sums += torch.tensor(figures, dtype=torch.float64)

    def on_validation_epoch_end(self) -> None:
        """Log the figures over all windows and processes."""
        assert self._sums is not None
        sums = self._sums.float().to(self.device)
        loss, right, masked = self.trainer.strategy.reduce(sums, reduce_op="sum").tolist()
        if not masked:
            return
        mean = loss / masked
        if not math.isfinite(mean):
            raise DivergedError(
                f"val/loss is {mean} after {self.trainer.global_step} optimizer steps: the "
                "pretraining diverged; lower optim.learning_rate or trainer.gradient_clip_val, or "
                "raise optim.warmup_ratio"
            )
        values = (mean, math.exp(min(mean, 700)), right / masked)
        for name, value in zip(FIGURES, values, strict=True):
            # Every process has computed the same value: nothing to reduce.
            self.log(name, value, prog_bar=True, rank_zero_only=False)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's own union type
        """Optimizer over two parameter groups, schedule per optimizer step."""
        optimizer = self._optimizer(parameter_groups(self.network, self._weight_decay))
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = self._schedule(optimizer, steps=max(1, steps))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
