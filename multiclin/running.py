"""What training and prediction share in running Lightning: precision, and a quiet console.

A bar is drawn where somebody watches; what has to be read later (one line per epoch, the scores)
goes through the log, so a job's log file reads like its console.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm
from pytorch_lightning.plugins import Precision
from torch import nn

from multiclin.allocator import keep_memory
from multiclin.module import NerModule
from multiclin.stopping import without_handlers

log = logging.getLogger(__name__)

_NOISE = (
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning 2.6 with torch 2.13
    r".*smaller than the logging interval.*",
    r".*does not have many workers.*",  # slicing a memory map needs none
    r".*exists and is not empty.*",  # a resumed run writes into its own folder
    r".*`IterableDataset` has `__len__` defined.*",
    r".*your dataloader is not resumable.*",  # ours leaves out what was done
    r".*sync_dist=True.*",  # every process has the scores of all documents
)


class Progress(TQDMProgressBar):
    """A bar on a terminal, and everywhere one line of the log per epoch.

    Args:
        refresh_rate: Steps between two updates of the bar.
    """

    def __init__(self, refresh_rate: int = 5) -> None:
        super().__init__(refresh_rate if sys.stdout.isatty() else 0)
        self._began = 0.0

    def init_train_tqdm(self) -> Tqdm:
        """The bar of training."""
        return _fleeting(super().init_train_tqdm())

    def init_validation_tqdm(self) -> Tqdm:
        """The bar of validation."""
        return _fleeting(super().init_validation_tqdm())

    def init_test_tqdm(self) -> Tqdm:
        """The bar of the test."""
        return _fleeting(super().init_test_tqdm())

    def init_predict_tqdm(self) -> Tqdm:
        """The bar of prediction."""
        return _fleeting(super().init_predict_tqdm())

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What stands beside the bar, without the version of a logger's folder."""
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        return shown

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:  # noqa: ANN401
        """Begin a bar; an epoch that is continued does not start again."""
        super().on_train_start(trainer)
        self._began = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:  # noqa: ANN401
        """Begin the epoch's bar; epochs count from 1."""
        super().on_train_epoch_start(trainer)
        self.train_progress_bar.set_description(self._epoch(trainer))
        self._began = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the epoch's scores."""
        super().on_train_epoch_end(trainer, pl_module)
        self.train_progress_bar.clear()
        scores = trainer.progress_bar_metrics.items()
        said = "  ".join(f"{name} {figure(float(value))}" for name, value in sorted(scores))
        seconds = time.monotonic() - self._began
        log.info("%s  %s  %.0f s", self._epoch(trainer), said, seconds)

    def on_exception(self, *_: Any) -> None:  # noqa: ANN401
        """Clear the line for the message that comes."""
        for bar in vars(self).values():
            if isinstance(bar, Tqdm):
                bar.close()

    @staticmethod
    def _epoch(trainer: pl.Trainer) -> str:
        last = trainer.max_epochs or -1
        return f"epoch {trainer.current_epoch + 1}" + (f" of {last}" if last > 0 else "")


def figure(value: float) -> str:
    """A figure of a line of the log: `0.4371`, `28,113`."""
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}"


def _fleeting(bar: Tqdm) -> Tqdm:
    """A bar that leaves no line behind: what it showed is in the log."""
    bar.leave = False
    return bar


class HalfWeights(Precision):
    """Everything in half precision, for prediction: no weight is cast at every batch.

    Lightning's own would cast buffers too (see `Tagger.cast`).

    Args:
        precision: `bf16-true` or `16-true`.
    """

    DTYPES: ClassVar = {"bf16-true": torch.bfloat16, "16-true": torch.float16}

    def __init__(self, precision: Any) -> None:  # noqa: ANN401 - Lightning's type names all of its own
        self.precision = precision

    def convert_module(self, module: nn.Module) -> nn.Module:
        """Cast the weights of the model."""
        if isinstance(module, NerModule):
            module.tagger.cast(self.DTYPES[self.precision])
        return module


def make_trainer(
    node: DictConfig,
    callbacks: list[pl.Callback],
    loggers: list[pl.loggers.Logger],
    *,
    workers: int = 0,
    **arguments: Any,  # noqa: ANN401 - whatever a Trainer takes
) -> pl.Trainer:
    """The Trainer of a config node, with device and precision chosen and named.

    Args:
        node: `_target_: pytorch_lightning.Trainer` and its arguments; `precision: auto` is ours.
        callbacks: Its callbacks.
        loggers: Its loggers.
        workers: Worker processes of its loaders, to be named beside them.
        arguments: Arguments that take the place of the node's.
    """
    for pattern in _NOISE:
        warnings.filterwarnings("ignore", pattern)
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    precision = arguments.pop("precision", node.precision)
    if precision == "auto":
        precision = best_precision(node.accelerator)
    how: dict[str, Any] = {"precision": precision}
    if precision in HalfWeights.DTYPES:
        how = {"precision": None, "plugins": [HalfWeights(precision)]}
    trainer: pl.Trainer = instantiate(
        node, callbacks=callbacks, logger=loggers or False, **how, **arguments
    )
    without_handlers(trainer)
    device = trainer.strategy.root_device
    if device.type == "cpu":
        keep_memory()
    machine = described(device, trainer.world_size)
    log.info("on %s, %s, %s", machine, precision, counted(workers, "loader worker"))
    return trainer


def described(device: torch.device, processes: int) -> str:
    """What a run computes on: `cpu (2 threads, AMX)`, `2 x cpu (AMX)`, `4 x NVIDIA H200`."""
    if device.type == "cuda":
        return f"{processes} x {torch.cuda.get_device_name(device)}"
    if device.type != "cpu":
        return device.type
    unit = bf16_unit() or "no bf16 unit"
    if processes > 1:  # Lightning shares the threads out later.
        return f"{processes} x cpu ({unit})"
    return f"cpu ({counted(torch.get_num_threads(), 'thread')}, {unit})"


def counted(number: int, thing: str) -> str:
    """`no loader workers`, `1 thread`, `4 threads`."""
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"


def own_device(node: DictConfig, slot: int | None) -> dict[str, Any]:
    """The `devices` of one of several jobs that run at once: each gets a GPU to itself.

    Args:
        node: The config of the Trainer.
        slot: Which of the jobs this is; a scheduler that shows each job one GPU needs no more.
    """
    count = torch.cuda.device_count() if node.accelerator in {"auto", "gpu", "cuda"} else 0
    if slot is None or not count or node.devices != 1:
        return {}
    return {"accelerator": "gpu", "devices": [slot % count]}


def best_precision(accelerator: str) -> str:
    """bf16 arithmetic over fp32 weights where the device has it (DESIGN section 5)."""
    if accelerator != "cpu" and torch.cuda.is_available():
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = bool(bf16_unit())
    return "bf16-mixed" if able else "32-true"


BF16_UNITS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}
"""What computes bf16 in a CPU, the fastest first. Any other emulates it, slower than fp32."""


def bf16_unit() -> str:
    """The unit of this CPU that computes bf16; empty where there is none."""
    has = torch.cpu.get_capabilities()
    return next((name for key, name in BF16_UNITS.items() if has.get(key)), "")
