"""The trackers of a run. W&B may be down, refuse, be killed or not be there: the run is not lost.

Where it cannot be reached at the start it is used offline, in the folder of the run, to be uploaded
with `wandb sync`. Where it is lost later it is given up with one warning: the scores are in the CSV
beside it and in the files of the run. The waits are bounded (`conf/logger/wandb.yaml`).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import loggers

from multiclin.mistakes import mistake

log = logging.getLogger(__name__)


class WandbLogger(loggers.WandbLogger):
    """W&B, given up at its first failure."""

    is_lost = False

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics at a step."""
        self.attempt(lambda: super(WandbLogger, self).log_metrics(metrics, step))

    def log_hyperparams(self, params: Any) -> None:  # noqa: ANN401 - Lightning's own type
        """Log the config."""
        self.attempt(lambda: super(WandbLogger, self).log_hyperparams(params))

    def log_table(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - Lightning's own
        """Log a table."""
        self.attempt(lambda: super(WandbLogger, self).log_table(*arguments, **named))

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:  # noqa: ANN401
        """Upload a checkpoint, where that is asked for."""
        self.attempt(lambda: super(WandbLogger, self).after_save_checkpoint(checkpoint_callback))

    def finalize(self, status: str) -> None:
        """Upload the checkpoints, where that is asked for."""
        self.attempt(lambda: super(WandbLogger, self).finalize(status))

    def summarise(self, **figures: object) -> None:
        """Put figures of a whole run where W&B shows them beside its name."""
        self.attempt(lambda: self.experiment.summary.update(figures))

    def attempt(self, act: Callable[[], object]) -> None:
        """Do something with W&B, if it is still there."""
        if self.is_lost:
            return
        try:
            act()
        except Exception as error:
            self.is_lost = True
            log.warning(
                "W&B is lost (%s): the run goes on without; its CSV has all of it", _brief(error)
            )
            _end_session()


def make_loggers(nodes: Iterable[DictConfig]) -> list[pl.loggers.Logger]:
    """The loggers of a config.

    Args:
        nodes: `_target_` and arguments of each. One that is `offline`, as W&B is without a key,
            says nothing of its own.

    Raises:
        ConfigError: What a logger needs is not installed. Without W&B, the default, a run goes on.
    """
    made = [_wandb(one) if is_wandb(one) else _other(one) for one in nodes]
    return [logger for logger in made if logger is not None]


def is_wandb(node: DictConfig) -> bool:
    """Whether a logger's node is one of W&B."""
    return str(node._target_).endswith(".WandbLogger")


def _other(node: DictConfig) -> pl.loggers.Logger:
    try:
        return instantiate(node)  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        missing = str(error).splitlines()[0]
        hint = "install what it needs (multiclin[tensorboard]), or choose another: logger=csv"
        raise mistake(f"{node._target_}: {missing}", hint) from error


def _wandb(node: DictConfig) -> pl.loggers.Logger | None:
    """W&B, offline where its server cannot be had; None where it is not installed."""
    try:
        import wandb
    except ImportError:
        log.warning("W&B is not installed: logging to the CSV alone, as logger=csv does")
        return None
    if not node.offline:
        logger: Any = instantiate(node)
        try:
            _ = logger.experiment
            return logger  # type: ignore[no-any-return]
        except Exception as error:
            log.warning("W&B cannot be reached (%s): this run is offline", _brief(error))
            _end_session()
    wandb.setup(wandb.Settings(mode="offline", silent=True))
    log.info("W&B is offline; to upload: wandb sync %s/wandb/offline-run-*", node.save_dir)
    return instantiate(node, offline=True)  # type: ignore[no-any-return]


def summarise(trainer: pl.Trainer, **figures: object) -> None:
    """Put figures of a whole run where trackers show them beside its name."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.summarise(**figures)


def close_loggers() -> None:
    """End the W&B run of this job, or the next job of a multirun would log into it."""
    wandb = sys.modules.get("wandb")
    if wandb is None or wandb.run is None:
        return
    try:
        wandb.finish()
    except Exception as error:
        log.warning("W&B is lost at the end (%s): its CSV has all of it", _brief(error))
        _end_session()


def _end_session() -> None:
    """Forget the session and the run, so that neither fails again when Python ends."""
    import wandb
    from wandb.sdk.lib import module

    with suppress(Exception):
        wandb.teardown()
    with suppress(Exception):
        module.unset_globals()  # type: ignore[no-untyped-call]


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
