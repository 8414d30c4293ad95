"""One study, from the first trial to the report.

The loop: begin a trial, draw its parameters, launch it as a job of its own, tell the study how it
ended, until as many are finished as wanted. A draw depends on the sampler's seed, on how many draws
came before and on the trials that have ended, all of which the storage knows: with one job at a
time, a search that was interrupted and goes on finds what it would have found.

A trial that fails (no memory, no finite loss, a dead worker) is recorded with its reason and the
search goes on. A mistake in the settings, which every trial would make again, ends it.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import TrialState

from multiclin.config import command
from multiclin.errors import (
    DivergedError,
    LostProcessError,
    MulticlinError,
    OutOfMemoryError,
    WorkerError,
)
from multiclin.files import alone
from multiclin.hpo.launching import Job, Slots
from multiclin.hpo.pruning import WithdrawnError
from multiclin.hpo.results import Confirmations, publish, tidy
from multiclin.hpo.storage import JOURNAL, open_storage, without_password
from multiclin.hpo.study import Outcome, SharedStudy
from multiclin.hpo.summary import headings
from multiclin.mistakes import mistake, settings
from multiclin.privacy import asked, message

if TYPE_CHECKING:
    from multiclin.hpo.search import Search

log = logging.getLogger(__name__)

FREE = (
    *("hydra", "hpo", "logger", "run_", "ckpt_path", "tuned", "data.root", "data.cache"),
    *("data.workers", "data.evaluation_batch_size", "trainer.accelerator"),
    *("trainer.default_root_dir", "trainer.enable_", "trainer.log_every_n_steps"),
    *("callbacks.progress", "callbacks.learning_rate", "privacy"),
)
"""Beginnings of settings that may differ within a study: but for rounding, no value is changed."""

PARENTS = ("storage", "direction", "n_trials", "n_jobs", "max_failure_rate")
"""Keys of the parent sweeper: they follow those of `hpo`, where trials find them, if not set."""
MISTAKES = (HydraException, OmegaConfBaseException, MulticlinError)
ACCIDENTS = (DivergedError, LostProcessError, OutOfMemoryError, WithdrawnError, WorkerError)
"""Errors of ours that another trial need not make."""


class StudyLoop:
    """One study, run by this process and perhaps by others at the same time.

    Args:
        search: The sweeper: launcher, sampler, space.
        settled: Overrides of every study of the command.
        chosen: Overrides that tell this study from the others.

    Raises:
        MulticlinError: A setting of the search is wrong.
    """

    def __init__(self, search: Search, settled: Sequence[str], chosen: Sequence[str]) -> None:
        self.search = search
        self.overrides = [*settled, *chosen]
        sweeper, hpo = self._composed().hydra.sweeper, self._composed().hpo
        self.overrides += [
            f"hpo.{key}={_written(sweeper[key])}" for key in PARENTS if sweeper[key] != hpo[key]
        ]
        named = sweeper.study_name or hpo.study
        choices = [Path(one.partition("=")[2]).stem for one in chosen]  # An option may be a file.
        self.name = "-".join([named, *(one for one in choices if one not in named)])
        self.overrides.append(f"hpo.study={_written(self.name)}")
        self.folder = Path(self._composed().hydra.sweep.dir)
        self.config = self._composed()
        check(self.config)
        if self.config.hpo.storage is None:
            journal = (self.folder / JOURNAL).absolute()
            self.overrides.append(f"hpo.storage={_written(str(journal))}")
            self.config = self._composed()
        self.failed = 0.0
        self.shared: SharedStudy
        self.slots: Slots

    def _composed(self) -> DictConfig:
        loader = self.search.context.config_loader
        assert self.search.config is not None
        return loader.load_sweep_config(self.search.config, list(self.overrides))

    def run(self) -> None:
        """Bring the study to as many finished trials as wanted, and write what they say.

        Raises:
            MulticlinError: A setting is wrong, or the study was begun with others.
            Exception: What the last trial raised, where too many failed.
        """
        self.shared = self._open()
        log.info("study %s, in %s: %s", self.name, self.folder, self._progress())
        self.slots = self._slots()
        confirmations = Confirmations(self.shared.study, self.config.hpo, self.folder)
        unconfirmed: list[str] = []
        with self.shared.heartbeat():
            try:
                for job, result in self.slots.completed(self.next_trial):
                    self.settle(job, result)
                if self.config.hpo.confirm and self.shared.finished >= self.search.wanted:
                    unconfirmed = self._confirm(confirmations)
            except BaseException:
                self.slots.abandon()
                self.shared.release()
                log.warning("stopped; the same command goes on with study %s", self.name)
                raise
        if running := self.shared.trials(TrialState.RUNNING):
            log.info("%d trials still run in other processes", len(running))
        tidy(self.shared.study, self.folder, self.config.hpo.keep)
        groups = [key for key in self.search.space if self.search.is_group(key)]
        publish(self.shared.study, self.folder, self.config, groups)
        if unconfirmed:
            raise MulticlinError(
                f"study {self.name}: no score of {', '.join(unconfirmed)}\n"
                "hint: the log of each says why; the same command tries them again"
            )

    def _open(self) -> SharedStudy:
        """The study in its storage, made where it is not there yet."""
        hpo = self.config.hpo
        study = optuna.create_study(
            study_name=self.name,
            storage=open_storage(hpo.storage),
            sampler=self.search.make_sampler(0),
            pruner=self.search.make_pruner(),
            direction=hpo.direction,
            load_if_exists=True,
        )
        shared = SharedStudy(study, self._settings())
        study.set_user_attr("objective", hpo.objective)
        study.set_user_attr("command", without_password(command()))
        return shared

    def _settings(self) -> dict[str, Any]:
        """All that the values of the study depend on, and its search space."""
        fixed = {
            key: value
            for key, value in settings(self.config)
            if not key.startswith(FREE) and key not in self.search.space
            if not isinstance(value, dict)
        }
        searched = {f"search of {key}": str(one) for key, one in self.search.space.items()}
        aim = {f"hpo.{key}": self.config.hpo[key] for key in ("objective", "direction")}
        return {**fixed, **searched, **aim}

    def _slots(self) -> Slots:
        launcher = Plugins.instance().instantiate_launcher(
            config=self.config,
            hydra_context=self.search.context,
            task_function=self.search.task,
        )
        name = self.config.hydra.runtime.choices["hydra/launcher"]
        return Slots(launcher, self.search.n_jobs, name)

    def next_trial(self) -> Job | None:
        """Begin a trial, unless as many as wanted are finished or running."""
        self.shared.settle_dead()
        trial = self.shared.claim(self.search.wanted)
        if trial is None:
            return None
        draw = self.shared.draws_before(trial.number)
        trial.study.sampler = self.search.make_sampler(draw)
        parameters = self.search.parameters(trial)
        trial.set_user_attr("drawn", True)
        short = headings(trial.params)
        drawn = (f"{short[key]} {_brief(value)}" for key, value in trial.params.items())
        log.info("trial %d: %s", trial.number, ", ".join(drawn))
        return self._job(trial.number, f"trials/{trial.number}", str(trial.number), parameters)

    def _job(self, number: int, run: str, trial: str, parameters: Sequence[str]) -> Job:
        """A job with its folder below that of the study, and the trial that it reports to."""
        name = run.replace("trials/", "trial-").replace("/", "-")
        place = [f"hpo.run={run}", f"hpo.trial={trial}", f"run_name={name}"]
        return Job(number, run, [*self.overrides, *parameters, *place])

    def _confirm(self, confirmations: Confirmations) -> list[str]:
        """Train the best trials again; returns the runs that left no score."""
        with alone(self.folder / "confirm"):  # What another process has confirmed is not missing.
            jobs = self._confirming(confirmations)
            for job, result in self.slots.completed(lambda: next(jobs, None)):
                confirmations.take(job.run, self._outcome(result))
        return [confirmations.run_of(*one) for one in confirmations.missing()]

    def _confirming(self, confirmations: Confirmations) -> Iterator[Job]:
        """The best trials again, with other seeds."""
        for number, seed in confirmations.missing():
            trial = self.shared.trials()[number]
            run = confirmations.run_of(number, seed)
            shutil.rmtree(self.folder / run, ignore_errors=True)  # Cut off before it had a score.
            parameters = [f"{key}={value}" for key, value in trial.params.items()]
            log.info("confirming trial %d with seed %d", number, seed)
            yield self._job(number, run, "null", [*parameters, f"seed={seed}"])

    def settle(self, job: Job, result: JobReturn | BaseException) -> None:
        """Tell the study how a trial ended.

        Raises:
            Exception: What the job raised, where all others would raise it or too many failed.
        """
        trial = self.shared.mine[job.number]
        outcome = self._outcome(result)
        cut_off = isinstance(result, BaseException) and not isinstance(result, MISTAKES)
        if cut_off:
            self.shared.interrupted(trial, outcome.reason)  # Killed, and perhaps by another.
        else:
            self.shared.tell(trial, outcome)
        hpo = self.config.hpo
        tidy(self.shared.study, self.folder, hpo.keep, hpo.confirm)
        failed = outcome.state is TrialState.FAIL
        error = result if isinstance(result, BaseException) else result._return_value
        if failed and isinstance(error, MISTAKES) and not isinstance(error, ACCIDENTS):
            raise error
        how = f"{outcome.value:.4f}" if outcome.value is not None else outcome.reason
        state = "failed" if failed else outcome.state.name.lower()
        log.info("trial %d %s: %s; %s", job.number, state, how, self._progress())
        if not failed:
            return
        # One dead worker may end the jobs of all of them.
        self.failed += 1 / self.slots.count if cut_off else 1
        allowed = int(self.search.max_failure_rate * self.search.wanted)
        if self.failed > allowed:
            log.error("%g trials failed; hpo.max_failure_rate allows %d", self.failed, allowed)
            if isinstance(error, Exception):
                raise error
            raise MulticlinError(f"trial {job.number}: {outcome.reason}")

    def _outcome(self, result: JobReturn | BaseException) -> Outcome:
        return outcome_of(result, quoted=asked(self.config))

    def _progress(self) -> str:
        """`8 of 20 trials finished, 3 pruned; best 0.8123 (trial 3)`."""
        pruned = len(self.shared.trials(TrialState.PRUNED))
        said = f"{self.shared.finished} of {self.search.wanted} trials finished, {pruned} pruned"
        if not self.shared.trials(TrialState.COMPLETE):
            return said
        best = self.shared.study.best_trial
        return f"{said}; best {best.value:.4f} (trial {best.number})"


def check(config: DictConfig) -> None:
    """Raise `ConfigError` for settings of a search that cannot work."""
    hpo = config.hpo
    if config.hydra.sweeper.pruner != hpo.pruner:
        raise mistake("hydra.sweeper.pruner is not hpo.pruner", "choose it with hpo/pruner=")
    if not hpo.objective.startswith("val/"):
        raise mistake(
            f"hpo.objective={hpo.objective}: a search must not see what it is judged by later",
            "choose a figure of the validation, such as val/seqeval_f1 or val/strict_f1",
        )
    allowed = {"direction": ("maximize", "minimize"), "keep": ("best", "all", "none")}
    for key, options in allowed.items():
        if hpo[key] not in options:
            raise mistake(f"hpo.{key}={hpo[key]}", f"there is: {', '.join(options)}")
    for key, least in {"n_trials": 1, "n_jobs": 1, "confirm": 0}.items():
        if hpo[key] < least:
            raise mistake(f"hpo.{key}={hpo[key]}", f"it is {least} or more")


def outcome_of(result: JobReturn | BaseException, *, quoted: bool = False) -> Outcome:
    """How a job ended.

    Args:
        result: What the job returned or raised, or what kept its launcher from running it.
        quoted: Whether words of a document may be in the reason, which all trackers get.
    """
    if isinstance(result, JobReturn) and result.status is JobStatus.COMPLETED:
        value = result.return_value
        if isinstance(value, float) and math.isfinite(value):
            return Outcome(TrialState.COMPLETE, value)
        return Outcome(TrialState.FAIL, reason=f"the objective is {value}")
    # JobReturn.return_value would print that the job failed: a pruned one did not.
    error = result._return_value if isinstance(result, JobReturn) else result
    if isinstance(error, optuna.TrialPruned):
        return Outcome(TrialState.PRUNED, reason=str(error))
    first = (message(error, quoted=quoted).splitlines() or [""])[0]
    return Outcome(TrialState.FAIL, reason=f"{type(error).__name__}: {first}")


def _brief(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _written(value: object) -> str:
    """A value as Hydra's grammar takes it, whatever is in it."""
    if not isinstance(value, str):
        return "null" if value is None else str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
