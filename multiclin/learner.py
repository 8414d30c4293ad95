"""What all LightningModules of ours share: where Lightning 2.6 has to be told better."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import pytorch_lightning as pl
import torch
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from multiclin.averaging import Averaging
from multiclin.bundle import KEY


class Learner(pl.LightningModule):
    """A network in training."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What a checkpoint tells of the model, beside its weights."""

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip, by the norm too where the optimizer is fused.

        Lightning refuses that for all mixed precision, as if there were always a scaler, which a
        fused optimizer takes off the gradients only after they would be clipped. bf16 has none.
        """
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        if scaled or gradient_clip_algorithm not in {None, "norm"}:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def on_validation_start(self) -> None:
        """Let no process wait for another one: they have different numbers of batches."""
        if isinstance(self.trainer.model, DistributedDataParallel):
            # It would send the buffers before each batch; those of encoders are constants.
            self.trainer.model.broadcast_buffers = False

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the model's facts into the checkpoint, and an average of its weights."""
        checkpoint[KEY] = self.facts()
        for averaging in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(averaging, Averaging):
                averaging.put_into(checkpoint["state_dict"])
