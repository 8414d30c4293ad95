"""Lightning callbacks of ours: the one that writes predictions.

It collects the emissions of a document's windows, merges, decodes and snaps them (`Assembler`), and
hands each finished document to a `Sink` at once, so memory does not grow with the number of
documents. On several processes each writes its own part; the first one joins them at the end.
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from multiclin.batch import Batch
from multiclin.bundle import Model
from multiclin.decoding import Assembler
from multiclin.output import Spool


class PredictionWriter(pl.Callback):
    """Writes documents as they complete.

    Args:
        model: Gives the decoder.
        spool: Takes finished documents; joined and published when the run ends.
    """

    def __init__(self, model: Model, spool: Spool) -> None:
        self.model, self.spool = model, spool
        self._assembler: Assembler | None = None

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open this process's part of the output."""
        self._assembler = self.model.assembler()
        self.spool.open(trainer.global_rank)

    def on_predict_batch_end(  # noqa: PLR0917 - Lightning's signature
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the emissions of a batch and write the documents that it completes."""
        if self._assembler is None or not isinstance(outputs, Tensor):
            raise RuntimeError("prediction has not started")
        emissions = outputs.float().cpu().numpy()
        for one, predicted in self._assembler.add(batch.placed, batch.arrivals, emissions):
            if one.problem is None:
                self.spool.add(predicted)
            else:
                self.spool.add_problem(one.problem)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Join the parts once every process has written its own."""
        self.spool.close()
        trainer.strategy.barrier("predictions written")
        if trainer.is_global_zero:
            self.spool.publish(trainer.world_size)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave no texts behind in half a result."""
        self.spool.discard()
