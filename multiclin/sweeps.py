"""What the runs of a sweep scored, in one table: on the console at its end, and as `summary.md`.

A run is its folder: `.hydra/` says what it was asked for, `metrics.json` what came of it. Columns
are the settings that the command line gave and that differ between the runs. Runs that differ in
seed or fold alone are one row: mean ± standard deviation of a sample (n - 1), and their number.

All of it is read from files, so the table holds the runs of any launcher, on whatever machine, and
all that earlier commands left in the same folder: seeds can be added to a sweep, and a sweep that
was cut off can be completed. Over `data.fraction` there is a learning curve beside it. Trade-off:
runs that ought not to be compared, in one folder, are compared; the settings that differ are
columns then.

Searches have a report of their own (`multiclin.hpo`).
"""

from __future__ import annotations

import logging
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from multiclin.config import command
from multiclin.corpus.splits import load_split
from multiclin.errors import MulticlinError
from multiclin.files import atomic_write
from multiclin.privacy import asked
from multiclin.sweep_runs import Run, differing, find_runs, read_run
from multiclin.tables import as_html, as_markdown, as_text
from multiclin.unfinished import (
    FAILED,
    UNKNOWN,
    Unfinished,
    explained,
    failures,
    keep_failure,
    never_begun,
)

log = logging.getLogger(__name__)

SCORES = ("val/strict_f1", "test/strict_f1", "val/seqeval_f1", "replay/strict_f1")
SUMMARY = "summary.md"
FRACTION = "data.fraction"


def summary(runs: Sequence[Path]) -> list[list[str]]:
    """The scores of runs as the rows of a table, the first one its heading.

    Example:
        >>> print(as_text(summary(sorted(Path("outputs/table2").iterdir()))))
        strategy        entity   runs    val/strict_f1   test/strict_f1   val/seqeval_f1
        biomed_spanish  disease     2  0.7107 ± 0.0042  0.6913 ± 0.0061  0.7213 ± 0.0038

    Args:
        runs: Their folders, in the order in which settings shall stand in the rows.

    Raises:
        ConfigError: One of the folders is none of a run.
    """
    return _table([read_run(folder) for folder in runs])


def _table(runs: Sequence[Run]) -> list[list[str]]:
    keys = differing(runs)
    names = [name for name in SCORES if any(name in run.metrics for run in runs)]
    rows: defaultdict[tuple[str, ...], list[Mapping[str, float]]] = defaultdict(list)
    for run in runs:
        rows[tuple(run.setting(key) for key in keys)].append(run.metrics)
    body = [
        [
            *chosen,
            str(sum(map(bool, rows[chosen]))),
            *(mean([one[name] for one in rows[chosen] if name in one]) for name in names),
        ]
        for chosen in _nested(list(rows))
    ]
    return [[*_headings(keys), "runs", *names], *body]


def _nested(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Rows as nested loops would give them, the values of each column as they first appear.

    `a x, b x, a y` becomes `a x, a y, b x`: runs that were added later stand among the others.
    """
    columns = [list(dict.fromkeys(column)) for column in zip(*rows, strict=True)]

    def places(row: tuple[str, ...]) -> list[int]:
        return [column.index(cell) for column, cell in zip(columns, row, strict=True)]

    return sorted(rows, key=places)


def mean(values: Sequence[float]) -> str:
    """`0.7107 ± 0.0042`: mean and deviation (n - 1); of one value that value, of none `-`."""
    if not values:
        return "-"
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.4f}{spread}"


class Summary(Callback):
    """Tells of the jobs of a sweep of trainings: a failure at once, all scores at the end.

    Hydra calls it (`hydra.callbacks` in conf/train.yaml). In a search and in a single run it says
    nothing.
    """

    def on_job_start(self, config: DictConfig, **_: Any) -> None:  # noqa: ANN401
        """Forget how an earlier try in this folder ended."""
        if _is_sweep(config):
            (Path(config.hydra.runtime.output_dir) / FAILED).unlink(missing_ok=True)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:  # noqa: ANN401
        """Say that a job has failed: its sweep goes on, and Hydra tells of the first one alone."""
        error = job_return._return_value  # The property would raise it, and print a line.
        if _is_sweep(config) and isinstance(error, BaseException):
            reason = explained(error, quoted=asked(config))
            if isinstance(error, Exception):
                what = "error" if isinstance(error, MulticlinError) else "failed"
                log.error("%s: %s", what, reason)
            words = config.hydra.overrides.task
            keep_failure(Path(config.hydra.runtime.output_dir), words, reason)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:  # noqa: ANN401
        """Print the scores of all runs in the sweep's folder, and write them there."""
        if _is_sweep(config):
            try:
                publish(config, command())
            except MulticlinError as error:  # Hydra would make a warning of it.
                log.warning("no table of the scores: %s", error)


def publish(config: DictConfig, made_by: str) -> None:
    """Print the scores of all runs in a sweep's folder, and write them there as `summary.md`.

    Args:
        config: Of the sweep.
        made_by: The command that trained the last of them.

    Raises:
        ConfigError: The files of a run are broken.
        OutputError: The table cannot be written.
    """
    folder = Path(config.hydra.sweep.dir)
    runs, failed = find_runs(folder), failures(folder)
    if not runs and not failed:
        return
    unfinished = _unfinished(config, runs, failed)
    finished = [run for run in runs if run.metrics]
    table = _table(runs)
    with atomic_write(folder / SUMMARY, overwrite=True) as stream:
        stream.write(f"# {folder}\n\nThe last command:\n\n    {made_by}\n\n")
        stream.write(f"{as_markdown(table)}\n")
        if unfinished:
            stream.write("\nNot finished, with the command of each:\n\n")
            stream.writelines(
                f"- {one.folder}: {one.reason}\n\n      {one.again}\n\n" for one in unfinished
            )
        if _are_folds(finished):
            stream.write(f"\nAll folds as one evaluation:\n\n    multiclin report {folder}\n")
    if finished:
        log.info("scores of all runs in %s (%s)\n%s", folder, SUMMARY, as_text(table))
        _draw_curve(finished, folder, made_by)
    if unfinished:
        listed = "\n".join(f"{one.folder}: {one.reason}" for one in unfinished)
        log.warning("not finished (%s has the command of each)\n%s", folder / SUMMARY, listed)


def _draw_curve(runs: Sequence[Run], folder: Path, made_by: str) -> None:
    """Draw the scores over the number of documents, where runs differ in their fraction."""
    keys = differing(runs)
    if FRACTION not in keys:
        return
    from multiclin.analysis.learning_curve import Point, write_curve  # plotly.

    keys.remove(FRACTION)
    names = [name for name in SCORES if any(name in run.metrics for run in runs)]
    points = [
        Point(
            name,
            ", ".join(run.setting(key) for key in keys),
            run.config["data"]["fraction"],
            len(load_split(run.folder / "split.json")["train"]),
            run.metrics[name],
        )
        for name in names
        for run in runs
        if name in run.metrics
    ]
    path = folder / "learning_curve.html"
    write_curve(points, path, as_html(_table(runs)), made_by)
    log.info("the learning curve: %s", path)


def _are_folds(runs: Sequence[Run]) -> bool:
    """Whether runs differ in nothing but their fold."""
    folds = {run.setting("fold") for run in runs}
    return 1 < len(folds) == len(runs) and not differing(runs)


def _unfinished(
    config: DictConfig, runs: Sequence[Run], failed: Sequence[Unfinished]
) -> list[Unfinished]:
    """All jobs without scores: first those that began."""
    known = {one.folder: one for one in failed}
    begun = {
        run.folder: Unfinished(run.folder, run.overrides, UNKNOWN)
        for run in runs
        if not run.metrics
    }
    asked = [*(list(run.overrides) for run in runs), *(list(one.words) for one in failed)]
    return [*(begun | known).values(), *never_begun(config, asked)]


def _is_sweep(config: DictConfig) -> bool:
    """Whether a config is that of a multirun, or of one of its jobs, and not of a search."""
    return config.hydra.mode == RunMode.MULTIRUN and config.get("hpo") is None


def _headings(keys: Sequence[str]) -> list[str]:
    """The last parts of dotted keys, where they tell them apart."""
    last = Counter(key.rpartition(".")[2] for key in keys)
    return [short if last[short := key.rpartition(".")[2]] == 1 else key for key in keys]
