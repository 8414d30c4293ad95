"""The runs of a sweep, read from their folders: what each was asked for and what it scored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multiclin.analysis.folders import REPEATS
from multiclin.errors import ConfigError, CorpusError
from multiclin.yaml_files import read_yaml


@dataclass(frozen=True, slots=True)
class Run:
    """A training run, finished or not.

    Attributes:
        folder: Where its files lie.
        config: What it was configured as, interpolations as they are written.
        choices: Chosen option by config group; None where none was.
        overrides: What the command line asked of it, Hydra's own settings left out.
        job: Its number in its sweep; 0 for a single run.
        metrics: Scores by name, such as `val/strict_f1`; empty until the run is finished.
    """

    folder: Path
    config: Mapping[str, Any]
    choices: Mapping[str, str | None]
    overrides: Sequence[str]
    job: int
    metrics: Mapping[str, float]

    @property
    def given(self) -> list[str]:
        """The groups and keys that the command line names."""
        return [word.lstrip("+~").partition("=")[0] for word in self.overrides]

    def setting(self, key: str) -> str:
        """The option of a group, or the value of a key, as written; `-` where there is none.

        Example:
            >>> run.setting("entity"), run.setting("optim.learning_rate"), run.setting("fold")
            ('disease', '0.0005', '-')
        """
        if key in self.choices:
            return _as_text(self.choices[key])
        value: Any = self.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return _as_text(value)


def read_run(folder: Path) -> Run:
    """Read what a run was asked for and what it scored.

    Raises:
        ConfigError: The folder is none of a run, or its files are broken.
    """
    hydras = folder / ".hydra"
    try:
        config, hydra, words = (
            read_yaml(hydras / f"{name}.yaml") for name in ("config", "hydra", "overrides")
        )
        path = folder / "metrics.json"
        metrics = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        about = hydra["hydra"]
        choices, job = about["runtime"]["choices"], about["job"]["num"]
        job = job if isinstance(job, int) else 0
        return Run(folder, dict(config), dict(choices), list(map(str, words)), job, metrics)
    except CorpusError as error:
        raise ConfigError(f"{folder} is not the folder of a run: {error}") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{folder}: cannot read its config or its scores: {error}") from error


def find_runs(folder: Path) -> list[Run]:
    """The training runs anywhere below a folder, in the order of their sweep, without trials."""
    found = [read_run(path.parent.parent) for path in folder.rglob(".hydra/config.yaml")]
    runs = [run for run in found if "entity" in run.config and run.config.get("hpo") is None]
    return sorted(runs, key=lambda run: (run.job, run.folder))


def differing(runs: Sequence[Run]) -> list[str]:
    """The groups and keys that were given to some run and differ between them, but repeats."""
    given = dict.fromkeys(key for run in runs for key in run.given)
    return [
        key
        for key in given
        if key not in (*REPEATS, "ckpt_path") and len({run.setting(key) for run in runs}) > 1
    ]


def _as_text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ",".join(map(_as_text, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)
