"""What an older model knew, and still knows: its scores on two test sets, before and after.

A model that goes on with other documents (`weights=`, `data.replay.root=`) is tested on those of
its new corpus and on those of the older one, as it was and as it became. (Issue 7, few-shot.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytorch_lightning as pl

from multiclin.datamodule import NerDataModule
from multiclin.module import NerModule
from multiclin.tables import as_text

TESTS: Final = {"test": "test", "replayed_test": "replay"}
"""Documents that are tested on -> what their figures are called."""

BEFORE: Final = "before"


def tested(
    trainer: pl.Trainer, module: NerModule, data: NerDataModule, split: str
) -> dict[str, float]:
    """The figures of a test, such as `test/strict_f1`; its documents are then in `module.scored`.

    Args:
        trainer: Its processes share the documents out.
        module: Scored as it is now.
        data: Has the documents.
        split: One of `TESTS`.
    """
    return _tested(trainer, module, data, split, TESTS[split])


def tested_before(trainer: pl.Trainer, module: NerModule, data: NerDataModule) -> dict[str, float]:
    """The figures of a model that is not trained yet, such as `before/replay/strict_f1`.

    None, where nothing is replayed: then nobody asks.
    """
    figures: dict[str, float] = {}
    for split in TESTS if data.replayed["test"] else ():
        if data.parts[split]:
            figures |= _tested(trainer, module, data, split, f"{BEFORE}/{TESTS[split]}")
    return figures


def _tested(
    trainer: pl.Trainer, module: NerModule, data: NerDataModule, split: str, name: str
) -> dict[str, float]:
    module.tested = name
    data.trainer = trainer  # Which Lightning says in `fit` alone.
    [found] = trainer.test(module, dataloaders=data.documents_loader(split), verbose=False)
    return {key: round(value, 6) for key, value in found.items()}


def before_and_after(metrics: Mapping[str, float]) -> str:
    """The strict F1 of both test sets, before and after.

    Example:
                before   after
        test    0.4123  0.5301
        replay  0.7012  0.6987
    """
    rows = [["strict F1", "before", "after"]]
    for name in TESTS.values():
        key = f"{name}/strict_f1"
        if f"{BEFORE}/{key}" in metrics:
            rows.append([name, *(f"{metrics[one]:.4f}" for one in (f"{BEFORE}/{key}", key))])
    return as_text(rows)
