"""A trial from the inside: it reports to its study after each validation and ends when told to.

The job gets the study's name, its storage and its number as settings (`hpo.study`, `hpo.storage`,
`hpo.trial`), so it reaches its study from whatever process, machine or launcher it runs in.

A report needs a step at which trials can be compared. Optimizer steps cannot serve: with batches of
4 to 32 windows and 1 to 4 of them accumulated, the same number of steps is up to 32 times the data.
The step here is the share of the training windows seen, in percent of an epoch: at equal steps two
trials have read the same text, each window as often, and cost about the same. What stays unequal is
the schedule: at step 300 the learning rate of a trial of three epochs has come down to zero and
that of six epochs has not, so a long trial is judged a little early. The last report of a trial
never prunes it: it is paid for, and its value is worth more to the sampler.

Under DDP only the first process talks to the study, and tells the others. (FACTS 6)
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import optuna
import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState
from pytorch_lightning.trainer.states import TrainerFn

from multiclin.errors import ConfigError, MulticlinError
from multiclin.hpo.storage import open_storage
from multiclin.hpo.study import EPOCH
from multiclin.processes import is_first_process
from multiclin.tracking import summarise


class WithdrawnError(MulticlinError):
    """Another process has ended this trial: its own was thought dead."""


def open_trial(hpo: DictConfig) -> optuna.Trial:
    """The trial that this job runs.

    Args:
        hpo: The settings `hpo.*` of the job.

    Raises:
        WithdrawnError: The trial is not running: another process has taken it over.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(
        study_name=hpo.study,
        storage=open_storage(hpo.storage),
        sampler=optuna.samplers.RandomSampler(),  # The parameters are there: none is drawn here.
        pruner=instantiate(hpo.pruner),  # A storage does not keep it.
    )
    frozen = study.get_trials(deepcopy=False)[hpo.trial]
    if frozen.state is not TrialState.RUNNING:
        raise WithdrawnError(
            f"trial {hpo.trial} of {hpo.study} is {frozen.state.name.lower()} already"
        )
    return optuna.Trial(study, frozen._trial_id)


class Pruning(pl.Callback):
    """Reports the objective after each validation, and stops a trial that its pruner gives up.

    Args:
        trial: The trial; None in all processes but the first.
        objective: Name of the monitored metric.

    Attributes:
        pruned: Where it was stopped, in words; empty for a trial that was not.
    """

    def __init__(self, trial: optuna.Trial | None, objective: str) -> None:
        self.trial, self.objective = trial, objective
        self.pruned = ""

    @classmethod
    def of(cls, hpo: DictConfig) -> Pruning | None:
        """The callback of a job; None where the job is no trial."""
        if hpo.trial is None:
            return None
        return cls(open_trial(hpo) if is_first_process() else None, hpo.objective)

    def begin(self, digest: str, batch_size: int) -> None:
        """Note what this trial trains on, and how.

        Args:
            digest: Of the corpus.
            batch_size: Windows per batch; less than the parameter where that did not fit in memory.

        Raises:
            ConfigError: Other trials of the study have trained on another corpus.
        """
        if self.trial is None:
            return
        asked = self.trial.params.get("data.batch_size", batch_size)
        if asked != batch_size:
            more = math.ceil(asked / batch_size)
            self._attribute("memory", f"batch {asked} -> {batch_size}, {more} times accumulated")
        study = self.trial.study
        known = study.user_attrs.get("corpus")
        if known is None:
            study.set_user_attr("corpus", digest)
        elif known != digest:
            raise ConfigError(
                f"study {study.study_name} was begun with another corpus: {known} -> {digest}\n"
                "hint: values on two corpora cannot be compared; begin a new study: hpo.study=NAME"
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report, and ask whether to go on."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        said = self._report(trainer) if self.trial else ""
        self.pruned = trainer.strategy.broadcast(said)
        if self.pruned:
            trainer.should_stop = True

    def check(self) -> None:
        """Raise `TrialPruned` where the trial was stopped."""
        if self.pruned:
            raise optuna.TrialPruned(self.pruned)

    def complete(self, value: float | None) -> None:
        """Leave the result with the study, in case whoever waits for it dies first."""
        self._leave("COMPLETE", value)

    @contextmanager
    def told(self, trainer: pl.Trainer) -> Iterator[None]:
        """While a trial runs: tell the study and the trackers how it ends."""
        began = time.monotonic()
        state = "complete"
        try:
            yield
        except optuna.TrialPruned:
            state = "pruned"
            self._leave("PRUNED", None)
            if self.trial is not None:
                raise
        except BaseException as error:
            state = f"failed: {type(error).__name__}"
            raise
        finally:
            objective = trainer.callback_metrics.get(self.objective)
            summarise(trainer, state=state, objective=objective)
            self._attribute("steps", trainer.global_step)
            self._attribute("seconds", round(time.monotonic() - began, 1))

    def _leave(self, state: str, value: float | None) -> None:
        self._attribute("outcome", {"state": state, "value": value})

    def _attribute(self, key: str, value: object) -> None:
        if self.trial is not None:
            with suppress(UpdateFinishedTrialError):  # WithdrawnError meanwhile.
                self.trial.set_user_attr(key, value)

    def _report(self, trainer: pl.Trainer) -> str:
        """Report to the study; where the trial shall end, why."""
        assert self.trial is not None
        value = float(trainer.callback_metrics.get(self.objective, math.nan))
        if not math.isfinite(value):
            known = ", ".join(sorted(trainer.callback_metrics))
            raise ConfigError(f"hpo.objective={self.objective} is {value}; there is: {known}")
        step = epochs_done(trainer)
        try:
            self.trial.report(value, round(EPOCH * step))
        except UpdateFinishedTrialError as error:
            raise WithdrawnError(
                f"trial {self.trial.number} was ended by another process"
            ) from error
        stop = self.trial.should_prune()  # Asked at the end too: the pruner notes who came so far.
        if not stop or trainer.global_step >= trainer.estimated_stepping_batches:
            return ""
        return f"after {step:.4g} epochs at {self.objective} {value:.4f}"


def epochs_done(trainer: pl.Trainer) -> float:
    """Passes over the training windows at a validation, mid-epoch ones included.

    With `val_check_interval=0.25` the validations of every trial stand at 0.25, 0.5, 0.75, 1,
    whatever the number of batches that this is rounded to.
    """
    batches, between = int(trainer.num_training_batches), int(trainer.val_check_batch or 0)
    seen = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    if seen >= batches or not between:
        return trainer.current_epoch + 1.0
    given = trainer.val_check_interval
    # Rounded down, few batches give more validations than asked for: they stand where they are.
    as_given = isinstance(given, float) and batches // between * given < 1.001
    share = given if as_given else between / batches
    return trainer.current_epoch + seen / between * share
