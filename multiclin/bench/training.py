"""Training: ours against the Trainer of transformers, in the same windows, steps of the same size.

Ours is what `train.py` does with a config, module, data and Trainer of Lightning; what only saves
and logs is left out, as it is of the peer. The peer is the Trainer with its defaults, as
transformers' own token-classification example sets it up, over our windows with our tags. Its steps
are drawn at random and padded to their longest window, ours are of like length: what is compared is
tokens per second, padding not counted. The clock starts when the first steps are done, and neither
start-up nor the end of a training is in it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from transformers import (
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from multiclin.assembly import make_module, open_corpus, open_data
from multiclin.batch import TrainingWindows
from multiclin.bench.contestants import Run
from multiclin.bench.measures import Clock
from multiclin.bench.prediction import quoted
from multiclin.bench.race import Figures, Task
from multiclin.config import run as run_task
from multiclin.datamodule import NerDataModule
from multiclin.encoder import build_encoder
from multiclin.stopping import Stop
from multiclin.train import trainer_of
from multiclin.windows import IGNORED

WARM_UP = 3
"""Steps before the clock starts."""


@dataclass
class Pace:
    """Counts the tokens of a training between the end of its first steps and that of its last.

    Attributes:
        steps: That are counted.
        tokens: Of their windows, special ones included.
        seen: The same of all steps.
        figures: What the clock said at the end.
    """

    steps: int
    tokens: int = 0
    seen: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    _clock: Clock | None = None

    @property
    def all_steps(self) -> int:
        """Steps of the whole training."""
        return WARM_UP + self.steps

    def see(self, tokens: int) -> None:
        """Take note of a batch."""
        self.seen += tokens
        self.tokens += tokens if self._clock else 0

    def step_done(self, number: int) -> None:
        """Take note of the end of an optimizer step, counted from 1."""
        if number == WARM_UP:
            self._clock = Clock()
        elif number == self.all_steps and self._clock:
            self.figures = self._clock.read()

    def answer(self) -> Figures:
        """Seconds, and tokens per second."""
        return {
            **self.figures,
            "tokens": self.tokens,
            "tokens_per_second": self.tokens / self.figures["seconds"],
        }


class Stages(pl.Callback):
    """Tells a `Pace` of Lightning's steps, and how long each part of them takes.

    Args:
        pace: Is told.

    Attributes:
        seconds: By part; `batch` is all between two steps.
    """

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.seconds: dict[str, float] = defaultdict(float)
        self._clock: Clock | None = None

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, _: int) -> None:  # noqa: ANN401
        """A batch is there."""
        self._lap("batch")
        self.pace.see(int(batch.mask.sum()))

    def on_before_backward(self, *_: Any) -> None:  # noqa: ANN401
        """Its loss is there."""
        self._lap("forward")

    def on_after_backward(self, *_: Any) -> None:  # noqa: ANN401
        """Its gradient is there."""
        self._lap("backward")

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:  # noqa: ANN401
        """The step is done."""
        self._lap("optimizer")
        if trainer.global_step == WARM_UP:
            self._clock = Clock()
        self.pace.step_done(trainer.global_step)

    def _lap(self, name: str) -> None:
        if self._clock:
            self.seconds[name] += self._clock.read()["seconds"]
            self._clock = Clock()


def multiclin_trains(task: Task) -> Run:
    """Ours."""

    def run() -> Figures:
        pace = Pace(task.steps)
        stages = Stages(pace)
        fit(task, stages)
        return {**pace.answer(), "stages": stages.seconds}

    return run


def fit(task: Task, stages: Stages) -> None:
    """Train as train.py does, from the corpus to the last step."""

    def training(config: DictConfig) -> None:
        pl.seed_everything(config.seed, workers=True, verbose=False)
        data = open_data(config, open_corpus(config))
        trainer = trainer_of(config, None, Stop(), validated=False)
        trainer.callbacks.append(stages)  # type: ignore[attr-defined]
        trainer.fit(make_module(config, data.model), datamodule=data)

    settings = [
        *(f"+trainer.max_steps={stages.pace.all_steps}", "trainer.max_epochs=-1"),
        f"trainer.precision={'bf16-mixed' if task.bf16 else '32-true'}",
        *("logger=csv", "logger.csv=null", "callbacks.checkpoint=null", "callbacks.last=null"),
        *("callbacks.learning_rate=null", "callbacks.progress=null"),
    ]
    run_task(training, "train", [*words(task), *settings])


def trainer_trains(task: Task) -> Run:
    """The Trainer of transformers."""
    found: list[tuple[DictConfig, NerDataModule]] = []
    run_task(
        lambda config: found.append((config, open_data(config, open_corpus(config)))),
        "train",
        words(task),
    )
    ((config, data),) = found
    network = build_encoder(data.model.facts()["config"])
    network.load_state_dict(data.model.tagger.encoder.state_dict())
    rows = rows_of(data)
    collate = DataCollatorForTokenClassification(AutoTokenizer.from_pretrained(task.model))

    def run() -> Figures:
        pace = Pace(task.steps)
        settings = TrainingArguments(
            output_dir=str(Path(task.folder) / task.title),
            per_device_train_batch_size=task.batch,
            max_steps=pace.all_steps,
            learning_rate=config.optim.learning_rate,
            weight_decay=config.optim.weight_decay,
            warmup_steps=config.optim.warmup_ratio,
            bf16=task.bf16,
            use_cpu=not torch.cuda.is_available(),
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            seed=config.seed,
        )
        counted = network.register_forward_pre_hook(
            lambda _, args, fields: pace.see(int(fields["attention_mask"].sum())), with_kwargs=True
        )
        Trainer(
            model=network,
            args=settings,
            train_dataset=rows,
            data_collator=collate,
            callbacks=[_Told(pace)],
        ).train()
        counted.remove()
        return pace.answer()

    return run


class _Told(TrainerCallback):
    def __init__(self, pace: Pace) -> None:
        self.pace = pace

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        self.pace.step_done(state.global_step)


def rows_of(data: NerDataModule) -> list[dict[str, list[int]]]:
    """The windows that we train on, as the Trainer takes them; of several labels the first."""
    before, after = data.model.subwords.prefix, data.model.subwords.suffix
    windows = TrainingWindows(data.store, data.split["train"], data.model.windowing)
    rows = []
    for piece in (windows[number] for number in range(len(windows))):
        assert piece.tags is not None
        ids = [*before, *piece.ids.tolist(), *after]
        rows.append(
            {
                "input_ids": ids,
                "attention_mask": [1] * len(ids),
                "labels": [
                    *[IGNORED] * len(before),
                    *piece.tags[0].tolist(),
                    *[IGNORED] * len(after),
                ],
            }
        )
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
