"""What commands leave on the disk, found and read: training runs and studies.

A run is a folder with `.hydra/config.yaml`, finished once it has `metrics.json`; a study is one
with `best.yaml` (DESIGN section 4). Configs are read as they are written, with interpolations
unresolved: runs of one system then differ in nothing but their repetitions.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from multiclin.errors import ConfigError
from multiclin.files import read_text
from multiclin.tables import flat_rows
from multiclin.yaml_files import read_yaml

REPEATS = ("seed", "fold", "data.validation.seed")
"""Settings that tell repetitions of one system apart."""
ASIDE = (
    *("run_dir", "run_name", "run_group", "ckpt_path", "logger", "privacy", "report", "tuned"),
    *("data.cache", "data.workers", "data.evaluation_batch_size"),
    *("callbacks.last", "callbacks.progress", "callbacks.learning_rate"),
)
"""Settings that change no score; `tuned` says where the values of others come from."""


def aside(key: str) -> bool:
    """Whether a setting changes no score."""
    return any(f"{key}.".startswith(f"{one}.") for one in ASIDE)


class Study(NamedTuple):
    """A search: its `best.yaml`, and the settings of its trials.

    Attributes:
        folder: Where its files lie.
        entity: What its models find.
        tuned: `trial`, `value` and `objective` of the best trial; how many `trials` there were.
        found: Searched parameters with the values of the best trial, by dotted key.
        settings: All settings of one of its trials; empty where the trials are gone.
    """

    folder: Path
    entity: str
    tuned: Mapping[str, Any]
    found: Mapping[str, str]
    settings: Mapping[str, str]

    @property
    def minimized(self) -> bool:
        """Whether the lowest value is the best."""
        return self.settings.get("hpo.direction") == "minimize"

    def value(self, key: str) -> str:
        """A setting of the best trial; `-` where it is unknown."""
        return _short(self.found.get(key) or self.settings.get(key, "-"))

    def __str__(self) -> str:
        best = self.tuned
        return f"{self.folder} ({best['objective']} {best['value']:.4f}, trial {best['trial']})"


def read_study(folder: Path) -> Study:
    """A study from its folder.

    Raises:
        ConfigError: `best.yaml` is not what a search writes, or nothing tells the entity.
    """
    path = folder / "best.yaml"
    best = read_mapping(path)
    tuned = best.pop("tuned", None) or {}
    if not {"trial", "trials", "objective", "value"} <= tuned.keys():
        raise ConfigError(f"{path} is not what a search writes: it does not say where it is from")
    options = chain.from_iterable(one.items() for one in best.pop("defaults", []))
    groups = {key.removeprefix("override /"): str(option) for key, option in options}
    trial = min(folder.glob("trials/*/.hydra/config.yaml"), default=None)
    settings = _flat(read_mapping(trial)) if trial else {}
    command = re.search(r"^# Train with it: .*\bentity='?([^\s']+)", read_text(path), re.MULTILINE)
    entity = settings.get("entity.name") or (command[1] if command else None)
    if entity is None:
        raise ConfigError(f"{folder}: neither trials/ nor best.yaml tells the entity of this study")
    return Study(folder, entity, tuned, groups | _flat(best), settings)


def best_study(studies: Sequence[Study]) -> Study:
    """The study with the best value, the first of equals.

    Raises:
        ConfigError: Their values are those of different objectives.
    """
    if len({(one.tuned["objective"], one.minimized) for one in studies}) > 1:
        listed = "\n  ".join(map(str, studies))
        raise ConfigError(
            f"studies of {studies[0].entity} have different objectives, so none is the best:\n"
            f"  {listed}\nhint: give the folder of the one that counts"
        )
    choose = min if studies[0].minimized else max
    return choose(studies, key=lambda one: one.tuned["value"])


class Run(NamedTuple):
    """A finished training run: its folder, its config as it is written, its `metrics.json`."""

    folder: Path
    config: Mapping[str, Any]
    metrics: Mapping[str, float]

    @property
    def strategy(self) -> str | None:
        """Its row in Table 2; None where it has none."""
        return self.config.get("strategy")

    @property
    def labels(self) -> dict[str, str]:
        """Entity -> label in the files; a joint model counts for each of its entities."""
        entity = self.config["entity"]
        given = entity["labels"] or self._bundle["recipe"]["labels"]  # None: all of the corpus.
        named = given if isinstance(given, dict) else {label.lower(): label for label in given}
        if len(named) > 1:
            return named
        [label] = named.values()
        return {entity["name"]: label}

    @property
    def _bundle(self) -> dict[str, Any]:
        return read_mapping(self.folder / "model" / "multiclin.json")

    def validation_f1(self, entity: str) -> float:
        """Strict F1 of one of its entities."""
        of_label = f"/{self.labels[entity]}" if len(self.labels) > 1 else ""
        return self.metrics[f"val/strict_f1{of_label}"]

    def settings(self) -> dict[str, str]:
        """What its scores depend on, by dotted key; the corpus by its content where it is known."""
        bundle = self.folder / "model" / "multiclin.json"
        about = self._bundle.get("about", {}) if bundle.is_file() else {}
        found = _flat(self.config)
        found["data.root"] = about.get("data", {}).get("digest", found.get("data.root", "-"))
        return {key: said for key, said in found.items() if not aside(key)}


Passed = defaultdict[str, list[Path]]
"""Runs that no figure was taken from, by the reason."""


def find_runs(paths: Sequence[Path], passed: Passed) -> list[Run]:
    """The finished training runs below some folders, in the order of their paths."""
    runs = []
    for folder in below(paths, ".hydra/config.yaml"):
        config, scores = read_mapping(folder / ".hydra" / "config.yaml"), folder / "metrics.json"
        if config.get("hpo"):
            passed["of a search"].append(folder)
        elif not isinstance(config.get("entity"), dict):
            passed["of no training"].append(folder)
        elif not scores.is_file():
            passed["not finished"].append(folder)
        else:
            runs.append(Run(folder, config, read_mapping(scores)))
    return runs


def of_one_system(runs: Sequence[Run], of: str, passed: Passed) -> list[Run]:
    """Runs that differ in seed and fold alone, each seed and fold once: the last by its path.

    Args:
        runs: Some runs.
        of: What they are runs of, for the message.
        passed: Takes those that were trained again.

    Raises:
        ConfigError: They differ in something else.
    """
    settings = [run.settings() for run in runs]
    lines = []
    for key in sorted(set().union(*settings).difference(REPEATS)):
        where: dict[str, Path] = {}
        for run, one in zip(runs, settings, strict=True):
            where.setdefault(one.get(key, "(not set)"), run.folder)
        if len(where) > 1:
            lines.append(f"{key}: " + "; ".join(f"{said} in {at}" for said, at in where.items()))
    if lines:
        listed = "\n  ".join([*lines[:5], *([f"and {len(lines) - 5} more"] if lines[5:] else [])])
        raise ConfigError(
            f"runs of {of} differ in more than seed and fold, so they are not one "
            f"system:\n  {listed}\n"
            "hint: give the folders of the runs that belong together"
        )
    last = {tuple(map(one.get, REPEATS)): run for run, one in zip(runs, settings, strict=True)}
    kept = list(last.values())
    passed["trained again with the same seed"] += [r.folder for r in runs if r not in kept]
    return kept


def below(paths: Sequence[Path], mark: str) -> list[Path]:
    """Folders that hold a file of this name, each once, sorted; none inside of another.

    Raises:
        ConfigError: There is no such folder.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.is_dir():
            raise ConfigError(f"{path}: no such folder; give folders of runs or of studies")
        for name, folders, _ in os.walk(path):
            folder = Path(name)
            if (folder / mark).is_file():
                found.setdefault(folder.resolve(), folder)
                folders.clear()
    return sorted(found.values())


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a file of YAML or JSON.

    Raises:
        ConfigError: It holds none.
    """
    try:
        content = json.loads(read_text(path)) if path.suffix == ".json" else read_yaml(path)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is broken: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is broken: it holds no mapping")
    return content


def _flat(config: Mapping[str, Any]) -> dict[str, str]:
    return dict(flat_rows(config))


def _short(said: str) -> str:
    """A value as the paper writes it: `0.000486` as `4.9e-4`, `0.165485` as `0.165`."""
    try:
        value = float(said)
    except ValueError:
        return said
    if 0 < abs(value) < 0.01:
        return f"{value:.1e}".replace("e-0", "e-")
    return f"{value:.3g}"
