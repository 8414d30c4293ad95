"""What training and prediction share in running Lightning: precision, and a quiet console."""

from __future__ import annotations

import logging
import warnings

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

log = logging.getLogger(__name__)

_NOISE = (
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning 2.6 with torch 2.13
    r".*smaller than the logging interval.*",
    r".*does not have many workers.*",  # slicing a memory map needs none
    r".*exists and is not empty.*",  # a resumed run writes into its own folder
    r".*`IterableDataset` has `__len__` defined.*",
)


def make_trainer(
    node: DictConfig, callbacks: list[pl.Callback], loggers: list[pl.loggers.Logger]
) -> pl.Trainer:
    """The Trainer of a config node, with device and precision chosen and named.

    Args:
        node: `_target_: pytorch_lightning.Trainer` and its arguments; `precision: auto` is ours.
        callbacks: Its callbacks.
        loggers: Its loggers.
    """
    for pattern in _NOISE:
        warnings.filterwarnings("ignore", pattern)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    node = node.copy()
    if node.precision == "auto":
        node.precision = best_precision(node.accelerator)
    trainer: pl.Trainer = instantiate(node, callbacks=callbacks, logger=loggers or False)
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    log.info(
        "%s, %s, %d process%s",
        name,
        node.precision,
        trainer.world_size,
        "" if trainer.world_size == 1 else "es",
    )
    return trainer


def best_precision(accelerator: str) -> str:
    """bf16 arithmetic over fp32 weights where the device has it (DESIGN section 5)."""
    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    able = torch.cpu.get_capabilities()
    return "bf16-mixed" if able.get("avx512_bf16") or able.get("amx_bf16") else "32-true"
