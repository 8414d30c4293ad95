"""A study that several processes share and that outlives each of them.

Optuna's storage is the only place where the state of a search is kept: a journal file beside the
trials, or a database. Whoever runs a trial signs it, with host, process and a heartbeat; whoever
comes next finds the trials whose process is gone and settles them: one that had ended is told with
its result, any other fails and its parameters are tried again. Optuna has a heartbeat for its SQL
storage alone; this one works with every storage, and knows at once that a process of its own
machine is dead.

Trade-off: between machines a silent process counts as dead after `PATIENCE`, so their clocks must
agree to within minutes.

Source: DESIGN section 4 (the files of a study), optuna.storages.fail_stale_trials.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

from multiclin.errors import ConfigError

log = logging.getLogger(__name__)

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
EPOCH = 100
"""Steps of intermediate values in one pass over the training windows (`hpo.pruning` says why)."""
BEAT = 60.0
"""Seconds between two heartbeats of a running trial."""
PATIENCE = 10 * BEAT
"""Seconds without a heartbeat after which a process on another machine counts as dead."""
GRID = ("grid_id", "search_space")
"""Where the grid sampler keeps the point of a trial."""
DIED = "its process died"
TRIES = 5
"""Times that one set of parameters is tried where the process dies: it may be what kills it."""


class Outcome(NamedTuple):
    """How a trial ended.

    Attributes:
        state: COMPLETE, PRUNED or FAIL.
        value: The objective, of a complete trial.
        reason: Why it failed, on one line.
    """

    state: TrialState
    value: float | None = None
    reason: str = ""


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The settings that differ, one line each: `key: before -> now`."""
    return [
        f"{key}: {before.get(key, '(not set)')} -> {now.get(key, '(not set)')}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]


class SharedStudy:
    """A study and the trials of it that this process runs.

    Args:
        study: Optuna's study, with the pruner that it shall use.
        settings: Everything that decides what a value of the study means, search space included:
            dotted key to value. The first process writes it into the study.

    Attributes:
        mine: Trials that this process has begun and not yet told, by number.

    Raises:
        ConfigError: The study was begun with other settings.
    """

    def __init__(self, study: optuna.Study, settings: Mapping[str, Any]) -> None:
        self.study = study
        self.mine: dict[int, optuna.Trial] = {}
        self.me = f"{socket.gethostname()} {os.getpid()} {_started(os.getpid())}"
        known = study.user_attrs.get("settings")
        if known is None:
            study.set_user_attr("settings", dict(settings))
        # As a storage gives them back: its JSON knows no tuples.
        elif lines := changed(known, json.loads(json.dumps(settings))):
            raise ConfigError(
                f"study {study.study_name} was begun with other settings:\n  "
                + "\n  ".join(lines)
                + "\nhint: run it with the same settings, or begin another one: hpo.study=NAME"
            )

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """The trials in these states, or all, by number."""
        return self.study.get_trials(deepcopy=False, states=states or None)

    @property
    def finished(self) -> int:
        """Trials that are complete or pruned."""
        return len(self.trials(*FINISHED))

    def claim(self, wanted: int) -> optuna.Trial | None:
        """Begin the next trial, unless as many as wanted are finished or running somewhere.

        Args:
            wanted: Finished trials that the study shall have.
        """
        if len(self.trials(*FINISHED, TrialState.RUNNING)) >= wanted:
            return None
        if not self.trials(TrialState.WAITING):
            self._enqueue({"owner": self.me})  # Signed before it runs: one cut off has an owner.
        trial = self.study.ask()
        try:
            trial.set_user_attr("owner", self.me)
            trial.set_user_attr("seen", time.time())
        except UpdateFinishedTrialError:  # Taken for dead before it was signed.
            return self.claim(wanted)
        self.mine[trial.number] = trial
        others = self.trials(*FINISHED, TrialState.RUNNING)
        if sum(one.number < trial.number for one in others) >= wanted:
            # Two processes began the last one at the same time: the later one stands back.
            self.tell(trial, Outcome(TrialState.FAIL, reason="one more than wanted"))
            return None
        return trial

    def draws_before(self, number: int) -> int:
        """How many parameters were drawn before those of a trial, or of the one that it retries."""
        trials = self.trials()
        while (original := trials[number].user_attrs.get("retry_of")) is not None:
            number = original
        return sum("retry_of" not in trial.user_attrs for trial in trials[:number])

    def tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        """End a trial of this process."""
        del self.mine[trial.number]
        self._end(trial.number, outcome)

    def _end(self, number: int, outcome: Outcome) -> bool:
        """Tell how a trial ended; False where another process has done so."""
        if outcome.reason:
            with suppress(UpdateFinishedTrialError):
                self._attribute(number, "reason", outcome.reason)
        try:
            self.study.tell(number, outcome.value, outcome.state)
        except (UpdateFinishedTrialError, ValueError):  # ValueError: it is not running any more.
            return False
        except RuntimeError as error:
            # The grid sampler stops the study after its last point, which needs study.optimize.
            if "Study.stop" not in str(error):
                raise
        return True

    def _attribute(self, number: int, key: str, value: object) -> None:
        trial = self.trials()[number]
        self.study._storage.set_trial_user_attr(trial._trial_id, key, value)

    def interrupted(self, trial: optuna.Trial, reason: str) -> None:
        """End a trial of this process that was cut off, and have its parameters tried again."""
        del self.mine[trial.number]
        self._settle(self.trials()[trial.number], reason)

    def release(self) -> None:
        """Give up the trials of this process."""
        for trial in list(self.mine.values()):
            self.interrupted(trial, "the search was stopped")

    def settle_dead(self) -> None:
        """End the trials whose process is gone, and have their parameters tried again."""
        for trial in self.trials(TrialState.RUNNING):
            if trial.number not in self.mine and not self._is_alive(trial):
                self._settle(trial, DIED)
        retried = {trial.user_attrs.get("retry_of") for trial in self.trials()}
        for trial in self.trials(TrialState.FAIL):  # Died between the two steps of `_settle`.
            cut_off = "interrupted" in trial.user_attrs and trial.number not in retried
            if cut_off and _deaths(trial) < TRIES:
                self._try_again(trial)

    def _settle(self, trial: FrozenTrial, reason: str) -> None:
        """End a trial that nobody runs any more."""
        if outcome := trial.user_attrs.get("outcome"):
            state = TrialState[outcome["state"]]
            if self._end(trial.number, Outcome(state, outcome["value"])):
                log.info("trial %d had ended before its process died", trial.number)
            return
        with suppress(UpdateFinishedTrialError):
            self._attribute(trial.number, "interrupted", reason)
        if not self._end(trial.number, Outcome(TrialState.FAIL, reason=reason)):
            return
        ended = self.trials()[trial.number]
        if _deaths(ended) < TRIES:
            log.info("trial %d: %s; its parameters are tried again", trial.number, reason)
            self._try_again(ended)
        else:
            log.warning(
                "trial %d: its process died, as %d before; left out", trial.number, TRIES - 1
            )

    def _try_again(self, trial: FrozenTrial) -> None:
        """Enqueue an interrupted trial: with its parameters, or to be drawn anew as it was."""
        about = {"retry_of": trial.number, "deaths": _deaths(trial), "owner": self.me}
        point = {key: trial.system_attrs[key] for key in GRID if key in trial.system_attrs}
        if "drawn" in trial.user_attrs and not point:
            self.study.enqueue_trial(trial.params, user_attrs=about)
        else:
            self._enqueue(about, point)

    def _enqueue(self, about: dict[str, Any], point: dict[str, Any] | None = None) -> None:
        """Enqueue a trial to be drawn; the grid gives no point to one of `enqueue_trial`."""
        waiting = create_trial(state=TrialState.WAITING, user_attrs=about, system_attrs=point)
        self.study.add_trial(waiting)

    def _is_alive(self, trial: FrozenTrial) -> bool:
        owner = str(trial.user_attrs.get("owner", ""))
        host, _, process = owner.partition(" ")
        if owner == self.me:
            return False  # Not one that we run.
        if host == socket.gethostname():
            number, _, started = process.partition(" ")
            return _started(int(number)) == started
        began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        return time.time() - float(trial.user_attrs.get("seen", began)) < PATIENCE

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """While the block runs, say once a minute that the trials of this process live."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT):
                for trial in list(self.mine.values()):
                    try:
                        trial.set_user_attr("seen", time.time())
                    except UpdateFinishedTrialError:
                        pass
                    except Exception as error:  # Of the storage, which may be back in a minute.
                        log.warning("the storage of the study: %s", error)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _deaths(trial: FrozenTrial) -> int:
    """How many processes died over the parameters of an interrupted trial."""
    return int(trial.user_attrs.get("deaths", 0)) + int(trial.user_attrs["interrupted"] == DIED)


def _started(process: int) -> str:
    """When a process of this machine started, in clock ticks; empty where it is not there.

    With it a number that the system gave to another process is not taken for the old one. Systems
    without /proc tell only that some process has the number.
    """
    try:
        # The name, in parentheses, may hold anything; the 22nd field is the 20th behind it.
        said = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    else:
        return "" if said[0] == "Z" else said[19]
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "running"
