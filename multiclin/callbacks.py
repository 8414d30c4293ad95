"""Lightning callbacks of ours: the one that writes predictions.

It collects the emissions of a document's windows, merges, decodes and snaps them (`Assembler`), and
hands each finished document to the `Spool` at once, so memory does not grow with the number of
documents. On several processes each writes its own part; `output` joins them at the end.
"""

from __future__ import annotations

import logging
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from multiclin.batch import Batch
from multiclin.bundle import Model
from multiclin.decoding import Assembler
from multiclin.pace import Pace
from multiclin.spool import Spool

log = logging.getLogger(__name__)


class PredictionWriter(pl.Callback):
    """Writes documents as they complete.

    Args:
        model: Gives the decoder.
        spool: Takes finished documents.
        pace: Shows how far it is; of several processes the first one counts for all.
    """

    def __init__(self, model: Model, spool: Spool, pace: Pace) -> None:
        self.model, self.spool, self.pace = model, spool, pace
        self._assembler: Assembler | None = None

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open this process's part of the output."""
        self._assembler = self.model.assembler()
        self.spool.open(trainer.global_rank)
        self.pace.start(trainer.is_global_zero)

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
        found = self._assembler.add(batch.placed, batch.arrivals, emissions, batch.reading)
        for number, one, predicted, _ in found:
            if one.problem is None:
                self.spool.add(predicted, portion=batch.portion, number=number)
            else:
                self.spool.add_problem(one.problem, portion=batch.portion)
        if batch.ends_portion:
            self.spool.finish(batch.portion)
        self.pace.advance(len(found) * trainer.world_size)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the part, and wait until every process has closed its own."""
        self.spool.close()
        self.pace.close()
        trainer.strategy.barrier("predictions written")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Say how to go on; where there is nothing to go on with, leave no texts behind."""
        self.pace.close()
        if self.spool.interrupt():
            log.info("stopped after %s; the same command goes on from there", self.pace.counted)
