"""What a study leaves behind: files, weights worth keeping, a table in W&B, confirmed scores.

`summary` and `study_report` say how each is made; here stands when and where.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
from omegaconf import DictConfig

from multiclin.hpo.study import Outcome
from multiclin.hpo.study_report import write_report
from multiclin.hpo.summary import (
    Confirmed,
    best_table,
    best_trial,
    failures,
    ranked,
    saved_by_pruning,
    summary_table,
    write_trials,
)
from multiclin.hpo.tuned import train_command, write_best
from multiclin.tracking import WandbLogger, close_loggers, is_wandb, make_loggers

log = logging.getLogger(__name__)

WEIGHTS = ("checkpoints", "model")
"""Folders of a run that hold weights."""


class Confirmations:
    """The best trials trained again with other seeds: the best of many is optimistic.

    The scores stand in the study, so what is confirmed is not trained twice.

    Args:
        study: The study.
        hpo: Its settings: `confirm` trials, each with every one of `seeds`.
        folder: Of the study.
    """

    def __init__(self, study: optuna.Study, hpo: DictConfig, folder: Path) -> None:
        self.study, self.hpo, self.folder = study, hpo, folder

    def missing(self) -> Iterator[tuple[int, int]]:
        """Yield trial and seed of every score that is not there yet."""
        for trial in ranked(self.study)[: self.hpo.confirm]:
            for seed in self.hpo.seeds:
                if self.run_of(trial.number, seed) not in self.study.user_attrs:
                    yield trial.number, seed

    @staticmethod
    def run_of(number: int, seed: int) -> str:
        """The folder of a confirming run below that of its study; also the key of its score."""
        return f"confirm/{number}-{seed}"

    def take(self, run: str, outcome: Outcome) -> None:
        """Write the score of a confirming run into the study."""
        if outcome.value is None:
            log.warning("%s failed: %s", run, outcome.reason)
            return
        log.info("%s: %.4f", run, outcome.value)
        self.study.set_user_attr(run, outcome.value)
        if self.hpo.keep != "all":
            _drop_weights(self.folder / run)


def confirmed(study: optuna.Study) -> list[Confirmed]:
    """The confirmed scores of a study, by trial."""
    scores: dict[int, dict[int, float]] = {}
    for key, value in study.user_attrs.items():
        if key.startswith("confirm/"):
            number, _, seed = key.removeprefix("confirm/").partition("-")
            scores.setdefault(int(number), {})[int(seed)] = value
    return [Confirmed(number, by_seed) for number, by_seed in sorted(scores.items())]


def publish(study: optuna.Study, folder: Path, config: DictConfig, groups: Sequence[str]) -> None:
    """Write trials.csv, best.yaml and report.html, say what is best, and tell W&B.

    Args:
        study: The study.
        folder: Where its files go.
        config: The settings of the study.
        groups: Parameters that choose the option of a config group.
    """
    again = confirmed(study)
    write_trials(study, folder / "trials.csv")
    write_report(study, folder / "report.html", again)
    for line in failures(study):
        log.info("%s", line)
    if best_trial(study, again) is None:
        log.warning("no trial of study %s is complete; see %s", study.study_name, folder)
        return
    write_best(study, folder / "best.yaml", again, groups)
    log.info(
        "the best of study %s, %s\n%s",
        study.study_name,
        config.hpo.objective,
        best_table(study, confirmed=again),
    )
    done, without = saved_by_pruning(study)
    if done < without:
        log.info("pruning saved %.0f %% of %g epochs", 100 * (1 - done / without), without)
    log.info("all of it: %s (report.html, trials.csv)", folder)
    log.info("to train with it: %s", train_command(study, folder / "best.yaml"))
    track(study, config)


def track(study: optuna.Study, config: DictConfig) -> None:
    """Log the table of all trials as a run of its own in the group of the study."""
    nodes = [node.copy() for node in (config.logger or {}).values() if node is not None]
    nodes = [node for node in nodes if is_wandb(node)]
    for node in nodes:
        node.name = f"study-{study.study_name}"
        node.save_dir = str(Path(config.hydra.sweep.dir))
    columns, rows = summary_table(study)
    best = best_trial(study, confirmed(study))
    for logger in make_loggers(nodes):
        assert isinstance(logger, WandbLogger)
        logger.log_table("trials", columns=columns, data=rows)
        if best is not None:
            logger.summarise(best=best.value, **{"best trial": best.number})
    close_loggers()


def tidy(study: optuna.Study, folder: Path, keep: str, candidates: int = 0) -> None:
    """Remove the weights of trials that have ended and are not worth keeping.

    Args:
        study: The study.
        folder: Of the study, with the trials below it.
        keep: `best`, `all` or `none`.
        candidates: How many of the highest values may still be the best, once they are confirmed.
    """
    if keep == "all":
        return
    kept: set[int] = set()
    if keep == "best":
        best = ranked(study, confirmed(study))[:1] + ranked(study)[:candidates]
        kept = {trial.number for trial in best}
    for trial in study.get_trials(deepcopy=False):
        if trial.state.is_finished() and trial.number not in kept:
            _drop_weights(folder / "trials" / str(trial.number))


def _drop_weights(run: Path) -> None:
    for name in WEIGHTS:
        shutil.rmtree(run / name, ignore_errors=True)
