"""Our training, as `train.py` does it, and the windows that its peer trains on as well.

Config, data, module and Trainer of Lightning are those of a run; what only saves and logs is left
out, as it is of the peer. The clock starts when the first steps are done: neither start-up nor the
end of a training is in it. The peer pads a batch to its longest window: what is compared is tokens
per second, padding not counted.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from omegaconf import DictConfig

from multiclin.assembly import make_module, open_data
from multiclin.batch import Batch, TrainingWindows
from multiclin.bench.contestants import Run
from multiclin.bench.measures import WARM_UP, Clock, Pace
from multiclin.bench.prediction import quoted
from multiclin.bench.race import Figures, Task
from multiclin.bundle import save_bundle
from multiclin.config import run as run_task
from multiclin.datamodule import NerDataModule
from multiclin.opening import open_corpus
from multiclin.stopping import Stop
from multiclin.train import trainer_of
from multiclin.windows import IGNORED

NOT_LEARNED = -100
"""What transformers calls `IGNORED`."""


class Steps(pl.Callback):
    """Tells a `Pace` of Lightning's batches and steps.

    Args:
        pace: Is told.
    """

    def __init__(self, pace: Pace) -> None:
        self.pace = pace

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """A batch is there."""
        self.pace.see(batch.mask)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:  # noqa: ANN401
        """The step is done."""
        self.pace.step_done(trainer.global_step)


class Stages(Steps):
    """The same, and how long each part of the steps takes.

    Attributes:
        seconds: By part; `batch` is all between two steps.
    """

    def __init__(self, pace: Pace) -> None:
        super().__init__(pace)
        self.seconds: dict[str, float] = defaultdict(float)
        self._clock: Clock | None = None

    def on_train_batch_start(self, *words: Any) -> None:  # noqa: ANN401
        """A batch is there."""
        self._lap("batch")
        super().on_train_batch_start(*words)

    def on_before_backward(self, *_: Any) -> None:  # noqa: ANN401
        """Its loss is there."""
        self._lap("forward")

    def on_after_backward(self, *_: Any) -> None:  # noqa: ANN401
        """Its gradient is there."""
        self._lap("backward")

    def on_train_batch_end(self, trainer: pl.Trainer, *words: Any) -> None:  # noqa: ANN401
        """The step is done."""
        self._lap("optimizer")
        if trainer.global_step == WARM_UP:
            self._clock = Clock()
        super().on_train_batch_end(trainer, *words)

    def _lap(self, name: str) -> None:
        if self._clock:
            self.seconds[name] += self._clock.read()["seconds"]
            self._clock = Clock()


def multiclin_trains(task: Task) -> Run:
    """Ours."""

    def run() -> Figures:
        pace = Pace(task.steps)
        fit(task, Steps(pace))
        return pace.answer()

    return run


def fit(task: Task, steps: Steps) -> None:
    """Train as train.py does, from the corpus to the last step."""

    def training(config: DictConfig) -> None:
        pl.seed_everything(config.seed, workers=True, verbose=False)
        data = open_data(config, open_corpus(config))
        trainer = trainer_of(config, None, Stop(), validated=False)
        trainer.callbacks.append(steps)  # type: ignore[attr-defined]
        trainer.fit(make_module(config, data), datamodule=data)

    settings = [
        *(f"+trainer.max_steps={steps.pace.all_steps}", "trainer.max_epochs=-1"),
        f"trainer.precision={'bf16-mixed' if task.bf16 else '32-true'}",
        *("logger=csv", "logger.csv=null", "callbacks.checkpoint=null", "callbacks.last=null"),
        *("callbacks.learning_rate=null", "callbacks.progress=null"),
        "+trainer.enable_checkpointing=false",  # else Lightning saves at each epoch's end
    ]
    run_task(training, "train", [*words(task), *settings])


def windows(task: Task) -> Run:
    """What we train on, written for the peer: model, windows with their tags, settings."""
    folder = Path(task.folder) / "windows"

    def write(config: DictConfig) -> None:
        data = open_data(config, open_corpus(config))
        save_bundle(data.model, folder / "model", "# For a benchmark\n")
        settings = {
            "learning_rate": config.optim.learning_rate,
            "weight_decay": config.optim.weight_decay,
            "warmup_steps": config.optim.warmup_ratio,
            "seed": config.seed,
        }
        (folder / "settings.json").write_text(json.dumps(settings), "utf-8")
        (folder / "windows.json").write_text(json.dumps(rows_of(data)), "utf-8")

    def run() -> Figures:
        run_task(write, "train", words(task))
        return {"folder": str(folder)}

    return run


def rows_of(data: NerDataModule) -> list[dict[str, list[int]]]:
    """The windows that we train on, as the Trainer takes them; of several labels the first."""
    before, after = data.model.subwords.prefix, data.model.subwords.suffix
    pieces = TrainingWindows(data.store, data.split["train"], data.model.windowing)
    rows = []
    for piece in map(pieces.__getitem__, range(len(pieces))):
        assert piece.tags is not None
        ids = [*before, *piece.ids.tolist(), *after]
        tags = np.where(piece.tags[0] == IGNORED, NOT_LEARNED, piece.tags[0]).tolist()
        labels = [*[NOT_LEARNED] * len(before), *tags, *[NOT_LEARNED] * len(after)]
        rows.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels})
    return rows


def words(task: Task) -> list[str]:
    """The settings of train.py that all contestants share."""
    folder = Path(task.folder)
    return [
        f"data.root={quoted(task.corpus)}",
        f"weights={quoted(task.model)}",
        f"data.cache={quoted(folder / 'cache')}",
        f"data.batch_size={task.batch}",
        f"hydra.run.dir={quoted(folder / 'log')}",
        *task.overrides,
    ]
