"""What a search found: `trials.csv`, the tables of the console and of W&B, which trial is best.

A study's trials are the only source, so all of it can be written again at any time, while the
search still runs as well. Best is a complete trial alone: a pruned one may have been better when it
was stopped, but nobody knows where it would have ended. The best of 20 values on one split is
optimistic, therefore trials trained again over several seeds stand above all others, by their mean.
(DESIGN section 4, issue 3.)
"""

from __future__ import annotations

import csv
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from multiclin.files import atomic_write
from multiclin.hpo.study import EPOCH, FINISHED
from multiclin.tables import as_text

MAX_EPOCHS = "trainer.max_epochs"


class Confirmed(NamedTuple):
    """A trial whose parameters were trained again with several seeds.

    Attributes:
        trial: Number of the trial.
        scores: Objective by seed.
    """

    trial: int
    scores: dict[int, float]

    @property
    def mean(self) -> float:
        """Mean of the objective over the seeds."""
        return statistics.fmean(self.scores.values())

    @property
    def deviation(self) -> float:
        """Standard deviation of a sample (n - 1); nan for one seed."""
        return statistics.stdev(self.scores.values()) if len(self.scores) > 1 else float("nan")

    def __str__(self) -> str:
        spread = f" ± {self.deviation:.4f}" if len(self.scores) > 1 else ""
        return f"{self.mean:.4f}{spread}"


def epochs_of(trial: FrozenTrial) -> float | None:
    """Epochs until the last validation of a trial; None where it had none."""
    return trial.last_step / EPOCH if trial.last_step is not None else None


def parameter_names(trials: Iterable[FrozenTrial]) -> list[str]:
    """The parameters of all trials, in the order of the search space."""
    return list(dict.fromkeys(name for trial in trials for name in trial.params))


def trial_rows(study: Study) -> list[dict[str, object]]:
    """One row per trial, by number; every row has the same keys, None where nothing is known.

    `value` is the objective of a complete trial and the last one seen of a pruned trial, `epochs`
    runs until the last validation, `seconds` is the time of training.
    """
    trials = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)
    names = parameter_names(trials)
    rows = []
    for trial in trials:
        about, start = trial.user_attrs, trial.datetime_start
        row: dict[str, object] = {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "value": trial.value,
            "epochs": epochs_of(trial),
            "steps": about.get("steps"),
            "seconds": about.get("seconds"),
            "start": start.isoformat(timespec="seconds") if start else None,
        }
        row |= {name: trial.params.get(name) for name in names}
        row |= {key: about.get(key) for key in ("retry_of", "memory", "reason")}
        rows.append(row)
    return rows


def write_trials(study: Study, path: Path) -> None:
    """Write `trials.csv`, empty where there is no trial; an older one is replaced.

    Raises:
        OutputError: It cannot be written.
    """
    rows = trial_rows(study)
    with atomic_write(path, overwrite=True) as stream:
        if rows:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def summary_table(study: Study) -> tuple[list[str], list[list[object]]]:
    """Columns and rows of `trial_rows`, for a table of W&B."""
    rows = trial_rows(study)
    return list(rows[0]) if rows else [], [list(row.values()) for row in rows]


def ranked(study: Study, confirmed: Sequence[Confirmed] = ()) -> list[FrozenTrial]:
    """Complete trials, best first: the confirmed ones by their mean, then the others by value.

    Among equals the earlier trial stands first.
    """
    means = {one.trial: one.mean for one in confirmed if one.scores}
    sign = -1.0 if study.direction is StudyDirection.MAXIMIZE else 1.0

    def place(trial: FrozenTrial) -> tuple[bool, float, int]:
        value = means.get(trial.number, trial.value)
        assert value is not None, "a complete trial has a value"
        return trial.number not in means, sign * value, trial.number

    return sorted(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)), key=place)


def best_trial(study: Study, confirmed: Sequence[Confirmed] = ()) -> FrozenTrial | None:
    """The first of `ranked`; None while no trial is complete."""
    return next(iter(ranked(study, confirmed)), None)


def count_line(study: Study) -> str:
    """Trials by state: `20 finished: 12 complete, 8 pruned; 1 failed`."""
    trials = study.get_trials(deepcopy=False)
    counts = Counter(_told_state(trial) for trial in trials)
    complete, pruned = counts["complete"], counts["pruned"]
    line = f"{complete + pruned} finished: {complete} complete, {pruned} pruned"
    others = [f"{counts[state]} {state}" for state in _OTHER_STATES if counts[state]]
    return "; ".join([line, ", ".join(others)]) if others else line


_OTHER_STATES = ("failed", "interrupted", "running", "waiting")


def _told_state(trial: FrozenTrial) -> str:
    if trial.state is TrialState.FAIL:
        return "interrupted" if trial.user_attrs.get("interrupted") else "failed"
    return trial.state.name.lower()


def failures(study: Study) -> list[str]:
    """One line per failed trial: its number, why, and which trial took over its parameters."""
    trials = study.get_trials(deepcopy=False)
    retries = {trial.user_attrs.get("retry_of"): trial.number for trial in trials}
    lines = []
    for trial in trials:
        if trial.state is TrialState.FAIL:
            reason = trial.user_attrs.get("reason") or "no reason is known"
            again = retries.get(trial.number)
            retry = "" if again is None else f" (tried again as trial {again})"
            lines.append(f"trial {trial.number}: {reason}{retry}")
    return lines


def saved_by_pruning(study: Study) -> tuple[float, float]:
    """Epochs of the finished trials, and what they would have been had none been pruned.

    A pruned trial would have gone on to its `trainer.max_epochs`, a parameter of the search or a
    setting of the study. A complete one did all that it would have done, even if it stopped early.
    """
    done = unpruned = 0.0
    settings = study.user_attrs.get("settings", {})
    for trial in study.get_trials(deepcopy=False, states=FINISHED):
        planned = float(trial.params.get(MAX_EPOCHS, settings.get(MAX_EPOCHS)) or 0)
        epochs = epochs_of(trial)
        pruned = trial.state is TrialState.PRUNED
        if epochs is None:
            epochs = 0.0 if pruned else planned
        done += epochs
        unpruned += max(planned, epochs) if pruned else epochs
    return done, unpruned


def headings(names: Collection[str]) -> dict[str, str]:
    """Short names of parameters: the last dotted part, or all of it where two would be alike."""
    last = {name: name.rpartition(".")[2] for name in names}
    count = Counter(last.values())
    return {name: short if count[short] == 1 else name for name, short in last.items()}


def best_rows(study: Study, count: int = 5, confirmed: Sequence[Confirmed] = ()) -> list[list[str]]:
    """The best complete trials as cells for reading, the first row the heading."""
    best = ranked(study, confirmed)[:count]
    again = {one.trial: str(one) for one in confirmed if one.scores}
    names = parameter_names(best)
    short = headings(names)
    mean = ["mean ± deviation"] if again else []
    rows = [["trial", "value", *mean, "epochs", *(short[name] for name in names)]]
    for trial in best:
        means = [again.get(trial.number, "")] if again else []
        values = [_cell(trial.params.get(name, "")) for name in names]
        epochs = epochs_of(trial)
        done = "" if epochs is None else f"{epochs:g}"
        rows.append([str(trial.number), f"{trial.value:.4f}", *means, done, *values])
    return rows


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def best_table(study: Study, count: int = 5, confirmed: Sequence[Confirmed] = ()) -> str:
    """The best complete trials as a table for the console, and the number of trials by state."""
    rows = best_rows(study, count, confirmed)
    table = as_text(rows) if rows[1:] else "no trial is complete"
    return f"{table}\n{count_line(study)}"
