"""`best.yaml`: the best trial of a search as a config, for `python train.py tuned=.../best.yaml`.

Hydra composes it over the defaults. OmegaConf writes it because OmegaConf reads it: every value
comes back exactly (for plain YAML 1.1, `1e-05` is a string). What found the values stands in the
comments for a reader, and under `tuned` for the run that trains with them. (DESIGN section 4.)
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna import Study

from multiclin.files import atomic_write
from multiclin.hpo.study import FINISHED
from multiclin.hpo.summary import Confirmed, best_trial, count_line


def train_command(study: Study, best: Path) -> str:
    """The command that trains a model with `best.yaml`."""
    entity = study.user_attrs.get("settings", {}).get("entity.name")
    words = ["python", "train.py", *([f"entity={entity}"] if entity else []), f"tuned={best}"]
    return shlex.join(words)


def write_best(
    study: Study,
    path: Path,
    confirmed: Sequence[Confirmed] = (),
    groups: Collection[str] = (),
) -> None:
    """Write `best.yaml`: the best trial as a config, with where it came from under `tuned`.

    Args:
        study: The study.
        path: The file; an older one is replaced.
        confirmed: Trials trained again over several seeds.
        groups: Parameters that choose an option of a config group, such as `model`.

    Raises:
        OutputError: It cannot be written.
    """
    trial = best_trial(study, confirmed)
    assert trial is not None, "a study without a complete trial has no best one"
    objective, command = (str(study.user_attrs.get(key, "")) for key in ("objective", "command"))
    again = next((one for one in confirmed if one.trial == trial.number and one.scores), None)
    seeds = ", ".join(map(str, again.scores)) if again else ""
    comments = [
        "@package _global_",
        f"Study {study.study_name}: trial {trial.number} is the best. {count_line(study)}.",
        f"{objective} = {trial.value}",
        *([f"Trained again with seeds {seeds}: {again}"] if again else []),
        f"Found by: {command}",
        f"Train with it: {train_command(study, path)}",
    ]
    tuned: dict[str, object] = {
        "study": _literal(study.study_name),
        "trial": trial.number,
        "objective": _literal(objective),
        "value": trial.value,
        "command": _literal(command),
        "trials": len(study.get_trials(deepcopy=False, states=FINISHED)),
    }
    if again:
        tuned["confirmed"] = {
            "mean": again.mean,
            "deviation": again.deviation if len(again.scores) > 1 else None,
            "seeds": list(again.scores),
        }
    with atomic_write(path, overwrite=True) as stream:
        # A comment ends with its line, and a command may hold several.
        stream.writelines(f"# {' '.join(comment.split())}\n" for comment in comments)
        stream.write(_as_config(trial.params, groups, tuned))


def _as_config(
    params: Mapping[str, object], groups: Collection[str], tuned: Mapping[str, object]
) -> str:
    """Parameters as YAML that OmegaConf reads back exactly."""
    config = OmegaConf.create()
    chosen = {name: _as_trained(name, value) for name, value in params.items()}
    if overrides := [{f"override /{name}": chosen[name]} for name in params if name in groups]:
        config["defaults"] = overrides
    config["tuned"] = tuned
    for name, value in chosen.items():
        if name not in groups:
            OmegaConf.update(config, name.lstrip("+"), value, force_add=True)
    return OmegaConf.to_yaml(config)


def _as_trained(name: str, value: object) -> object:
    """The value that a trial's config had: a string such as `[es,it]` came as an override."""
    if not isinstance(value, str):
        return value
    return OverridesParser.create().parse_override(f"{name}={value}").value()


def _literal(text: str) -> str:
    """Text that OmegaConf shall not take for an interpolation."""
    return re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", text)
