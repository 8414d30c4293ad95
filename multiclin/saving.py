"""`last.ckpt`: saved so that a run which goes on from it ends bit for bit like one never cut off.

Saved is at boundaries between two optimizer steps only, every so many steps or minutes, at the end
of each epoch, and when a signal asks the run to stop (`stopping`). Beyond what Lightning keeps
(weights, optimizer, schedule, counters, best score so far, patience) a checkpoint holds the states
of the random generators, whether the training had been told to end, and, from the data module, the
position in the epoch. A file is written beside the older ones, synced and renamed; the one before
stays as `previous.ckpt` until the run is finished.

Three moments need care, for Lightning 2.6 would go on differently:

- The last batch of an epoch: going on from there it leaves out the validation and all hooks of the
  epoch's end. The end of the epoch saves instead.
- Before and in a validation: it repeats one only if it broke off between the start and the end of a
  batch, so that is what the checkpoint says.
- A boundary where a validation follows: it would be left out. The start of the validation saves.

The price: 12 bytes per parameter in each of two files, three while one is written (308M
parameters: 3.7 GB each), and 1.6 seconds per GB for a save (a laptop's disk; Lightning's own way
takes 2.6). Bit for bit means on a CPU: GPUs add in any order.
"""

from __future__ import annotations

import logging
import random
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn

from multiclin.errors import ConfigError
from multiclin.files import atomic_write
from multiclin.stopping import Stop

log = logging.getLogger(__name__)

KEY = "saving"
"""Where a checkpoint keeps what this module adds."""


class DurableIO(TorchCheckpointIO):
    """Writes every checkpoint, `best.ckpt` too, whole and onto the disk, or not at all.

    Lightning's own writes to /tmp and moves from there: across two disks that is a copy, which can
    be cut short, and it is not synced.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Write a checkpoint, over an older one of this name."""
        with atomic_write(Path(path), binary=True, overwrite=True) as stream:
            torch.save(checkpoint, stream)


class Saving(Checkpoint):
    """Keeps `last.ckpt`, and stops the training where a signal asks for it.

    It stands behind the callbacks whose state it saves.

    Args:
        folder: Where the checkpoints lie.
        every_minutes: Minutes from one save to the next; None: not by time.
        every_n_steps: Optimizer steps from one save to the next; None: not by steps.

    Attributes:
        stop: What the signals ask for.
    """

    def __init__(
        self,
        folder: str | Path,
        every_minutes: float | None = 15,
        every_n_steps: int | None = None,
    ) -> None:
        for name, value in (("every_minutes", every_minutes), ("every_n_steps", every_n_steps)):
            if value is not None and value <= 0:
                raise ConfigError(f"callbacks.last.{name}={value}: say more than 0, or null")
        self.folder = Path(folder)
        self.every_minutes, self.every_n_steps = every_minutes, every_n_steps
        self.stop = Stop()
        self._generators: list[dict[str, Any]] | None = None
        self._stepped = self._saved = 0  # optimizer steps done at the last batch, at the last save
        self._between = False  # whether no gradients wait for their step
        self._owed = False  # whether an epoch's end has yet to be saved
        self._time = 0.0
        self._last_is_damaged = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """See to it that all checkpoints are written whole."""
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = DurableIO()
        if stage == "fit" and trainer.is_global_zero:
            for left in self.folder.glob(".multiclin-*.tmp"):  # A process was killed while writing.
                left.unlink(missing_ok=True)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From here on signals wait for a boundary."""
        self._stepped = self._saved = trainer.global_step
        self._between, self._time = True, time.monotonic()
        self.stop.patient = True

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Put the generators back where they were, after all that is drawn in starting again."""
        if self._generators is not None:
            if len(self._generators) == trainer.world_size:
                restore_generators(self._generators[trainer.global_rank])
            else:
                log.warning(
                    "processes were %d and are %d: the steps stay the same, dropout draws anew",
                    len(self._generators),
                    trainer.world_size,
                )
        self._generators = None

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Save between two steps."""
        self._between = trainer.global_step > self._stepped
        self._stepped = trainer.global_step
        loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
        assert fetcher is not None
        if self._between and not loop._is_training_done and not loop._should_check_val_fx(fetcher):
            self._save_if_due(trainer)

    def on_validation_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Save what has been put off to here."""
        if in_training(trainer) and self._between:
            self._save_if_due(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Stop in the middle of a validation: it will be repeated.

        Not where gradients wait for their step, which would be lost; and not on several processes,
        which have different numbers of batches. They stop behind it.
        """
        if in_training(trainer) and trainer.world_size == 1 and self.stop.asked is not None:
            if not self._between:
                return
            if self._saved < trainer.global_step:
                self.save(trainer)
            self.stop.obey()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end of an epoch, after its validation."""
        self._owed = True
        # With max_steps Lightning would count the epoch twice: then the next boundary saves.
        if trainer.max_steps == -1 or trainer.global_step >= trainer.max_steps:
            self._save_if_due(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """All is saved: signals need not wait any more."""
        self.stop.patient = False

    def on_exception(self, *_: object) -> None:
        """The training is over: signals need not wait any more."""
        self.stop.patient = False

    def _save_if_due(self, trainer: pl.Trainer) -> None:
        """Save if it is time, or asked for by a signal to any process; then stop all of them."""
        strategy = trainer.strategy
        asked = strategy.reduce_boolean_decision(self.stop.asked is not None, all=False)
        due = strategy.reduce_boolean_decision(self._due(trainer), all=False)
        if asked or due:
            self.save(trainer)
        if asked:
            self.stop.obey()

    def _due(self, trainer: pl.Trainer) -> bool:
        steps, minutes = self.every_n_steps, self.every_minutes
        by_steps = steps is not None and trainer.global_step % steps == 0
        by_time = minutes is not None and time.monotonic() - self._time >= 60 * minutes
        return by_steps or by_time or self._owed

    def save(self, trainer: pl.Trainer) -> None:
        """Write `last.ckpt`; the older one becomes `previous.ckpt`. On all processes together."""
        last, new = self.folder / "last.ckpt", self.folder / "new.ckpt"
        trainer.save_checkpoint(new)
        if trainer.is_global_zero:
            if not self._last_is_damaged:
                with suppress(FileNotFoundError):
                    last.replace(self.folder / "previous.ckpt")
            new.replace(last)
        self._last_is_damaged = False
        self._saved, self._time, self._owed = trainer.global_step, time.monotonic(), False

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what Lightning leaves out."""
        # Where nothing was trained since the run went on, those that it went on with still wait.
        states = self._generators or gather(generators(), trainer.world_size)
        checkpoint[KEY] = {"generators": states, "should_stop": trainer.should_stop}
        if trainer.validating:
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            progress["current"] = dict.fromkeys(progress["current"], 0)
            progress["total"] = {"ready": 1, "started": 1, "processed": 0, "completed": 0}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take it up again."""
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.dirpath:
                follow(checkpoint["callbacks"].get(callback.state_key, {}), Path(callback.dirpath))
        added = checkpoint.get(KEY, {})
        self._generators = added.get("generators")
        self._last_is_damaged = Path(trainer.ckpt_path or "").name == "previous.ckpt"
        if trainer.state.fn == TrainerFn.FITTING and added.get("should_stop"):
            trainer.should_stop = True  # By early stopping, whose patience does not tell it again.


def follow(state: dict[str, Any], folder: Path) -> None:
    """Make the state of a `ModelCheckpoint` that of this folder, where its run was moved to.

    Lightning would forget the best score so far.
    """

    def here(path: str) -> str:
        return path and str(folder / Path(path).name)

    if Path(here(state.get("best_model_path", ""))).is_file():
        state["dirpath"] = str(folder)
        for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
            state[key] = here(state[key])
        state["best_k_models"] = {here(path): one for path, one in state["best_k_models"].items()}


def in_training(trainer: pl.Trainer) -> bool:
    """Whether a validation is one of a training."""
    return trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking


def gather(mine: dict[str, Any], processes: int) -> list[dict[str, Any]]:
    """What each process has, by rank."""
    parts = [mine] * processes
    if processes > 1:
        torch.distributed.all_gather_object(parts, mine)
    return parts


def generators() -> dict[str, Any]:
    """The states of the random generators, as `weights_only=True` loads them."""
    kind, words, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": (kind, np.asarray(words).tolist(), *rest),
    }


def restore_generators(states: dict[str, Any]) -> None:
    """Put the generators back into states taken by `generators`."""
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
