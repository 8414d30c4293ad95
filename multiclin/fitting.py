"""What a training and a pretraining share around the Trainer: folder, signals, memory, callbacks.

`fitted` gives a training the folder that it has to itself, lets signals stop it between two steps,
and begins it anew with a smaller batch where that does not fit in memory.
"""

from __future__ import annotations

import gc
import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from multiclin.continuing import check_folder, find_checkpoint, keep_config, run_folder
from multiclin.faults import is_out_of_memory
from multiclin.files import claimed
from multiclin.loading import Loading
from multiclin.processes import is_first_process, processes_ended, quiet_other_processes
from multiclin.repeating import nothing_to_do
from multiclin.running import make_trainer
from multiclin.saving import Saving
from multiclin.steps import Step, shrink
from multiclin.stopping import Stop
from multiclin.tracking import make_loggers

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")


def fitted(config: DictConfig, fit: Callable[[DictConfig, Stop], _Result]) -> _Result | None:
    """Fit as configured.

    Args:
        config: Of the run; its `run_dir` and `ckpt_path` become those that are meant.
        fit: Its steps.

    Returns:
        What they return; None where nothing had to be done (`ckpt_path=auto`).

    Raises:
        MulticlinError: A setting, a checkpoint or a place for output is wrong.
    """
    quiet_other_processes()
    if nothing_to_do(config):
        return None
    goes_on = config.ckpt_path == "auto" or config.get("hpo") is not None  # by the same command
    while True:
        with processes_ended(), Stop(goes_on) as stop:
            try:
                return _in_its_folder(config, fit, stop)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                log.warning("%s", shrink(config, error))
                # Of this try.
                shutil.rmtree(Path(config.run_dir) / "checkpoints", ignore_errors=True)
        # Outside the handler: the exception held on to all that was in memory.
        gc.collect()
        torch.cuda.empty_cache()


def _in_its_folder(
    config: DictConfig, fit: Callable[[DictConfig, Stop], _Result], stop: Stop
) -> _Result:
    """Fit with the batch as it is configured, unless a signal asks to stop."""
    resumed = find_checkpoint(config)
    folder = run_folder(config, resumed)
    with claimed(folder) if is_first_process() else nullcontext():
        check_folder(config, folder)
        keep_config(config, folder)
        config.run_dir = str(folder)
        config.ckpt_path = str(resumed) if resumed else None
        return fit(config, stop)


def fitting_trainer(
    config: DictConfig,
    stop: Stop,
    *,
    validated: bool,
    more: Sequence[pl.Callback] = (),
    **changes: Any,  # noqa: ANN401 - whatever a Trainer takes
) -> pl.Trainer:
    """The Trainer of a config with its callbacks and loggers, which know the whole config.

    Args:
        config: Of the run.
        stop: What signals ask for.
        validated: Whether there are documents to validate on.
        more: Callbacks that no config names.
        changes: Arguments of the Trainer that take the place of the config's.
    """
    nodes = {role: node for role, node in config.callbacks.items() if node is not None}
    if not validated:
        log.info("no validation documents: best.ckpt is that of the last epoch")
        nodes.pop("early_stopping", None)
        if "checkpoint" in nodes:
            nodes["checkpoint"].monitor = None
        changes["limit_val_batches"] = 0  # else figures of nothing would be logged
    callbacks = [*(instantiate(node) for node in nodes.values()), *more]
    for saving in (one for one in callbacks if isinstance(one, Saving)):
        saving.stop = stop
    loggers = make_loggers(node for node in (config.logger or {}).values() if node is not None)
    workers = Loading(workers=config.data.workers).worker_processes
    trainer = make_trainer(config.trainer, callbacks, loggers, workers=workers, **changes)
    step = Step.of(config, trainer.world_size)
    trainer.accumulate_grad_batches = step.accumulated
    log.info("%s", step)
    for logger in trainer.loggers:
        logger.log_hyperparams(shown(config))
    return trainer


def shown(config: DictConfig) -> dict[str, Any]:
    """The config as trackers get it: resolved, without the password of a database."""
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    if plain.get("hpo") and plain["hpo"]["storage"]:
        from multiclin.hpo.storage import without_password

        plain["hpo"]["storage"] = without_password(plain["hpo"]["storage"])
    return plain


def take_best(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """Put the weights of the best checkpoint into the module."""
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    if best:
        state = torch.load(best, map_location="cpu", weights_only=True, mmap=True)
        module.load_state_dict(state["state_dict"])


def as_said(folder: Path) -> Path:
    """A folder as a user types it: below the working directory, without that."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
