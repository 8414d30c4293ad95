"""Who is asked for a prediction: one model, or the members of an ensemble.

`ckpt=[a,b,b]` names them; who is named twice counts double, and is computed once. What all members
must share is told here, where nothing needs torch: labels, scheme and layers, for only then do
their emissions mean the same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from multiclin.analysis.runs import BUNDLE, find_model
from multiclin.corpus import listing
from multiclin.errors import CheckpointError, ConfigError, CorpusError
from multiclin.files import read_text


class Member(NamedTuple):
    """One of those that are asked.

    Attributes:
        path: A checkpoint, or the folder of a bundle.
        weight: How much it counts, in whole numbers without a common divisor.
    """

    path: Path
    weight: int = 1


def members_of(ckpt: object) -> list[Member]:
    """The models that `ckpt=` names, in their order.

    Args:
        ckpt: A path or a sequence of paths, or the latter as it is written: `[a,b]`.

    Raises:
        ConfigError: It names none.
        CheckpointError: There is no model at a path.

    Example:
        `[a,b,a]`: a with weight 2 and b with weight 1. `[a,a]`: a with weight 1, as `a` alone.
    """
    found: dict[Path, Path] = {}
    counts: dict[Path, int] = {}
    for name in _names(ckpt):
        path = find_model(name)
        place = path.resolve()
        found.setdefault(place, path)
        counts[place] = counts.get(place, 0) + 1
    common = math.gcd(*counts.values())
    return [Member(path, counts[place] // common) for place, path in found.items()]


def _names(ckpt: object) -> Sequence[str | Path]:
    if isinstance(ckpt, str) and ckpt.startswith("[") and ckpt.endswith("]"):
        ckpt = [name.strip() for name in ckpt[1:-1].split(",")]
    names = [ckpt] if isinstance(ckpt, (str, Path)) else ckpt
    if (
        not isinstance(names, Sequence)
        or not names
        or not all(isinstance(name, (str, Path)) and str(name) for name in names)
    ):
        raise ConfigError(
            f"ckpt={ckpt}: give a checkpoint, a bundle or the folder of a run; of an ensemble "
            "several: ckpt=[a,b,c]"
        )
    return names


def check_said(members: Sequence[Member]) -> None:
    """Raise what `check_alike` would, as far as the bundles among the members say it themselves."""
    check_alike({one.path: said for one in members if (said := _said(one.path))})


def _said(path: Path) -> Mapping[str, Any]:
    """The recipe that a bundle names; nothing of a checkpoint, nor of what loading will refuse."""
    try:
        recipe = json.loads(read_text(path / BUNDLE))["recipe"] if path.is_dir() else {}
        labels = [str(one) for one in recipe["labels"]]
        return {**recipe, "labels": labels, "scheme": str(recipe["scheme"])}
    except (CorpusError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def check_alike(recipes: Mapping[Path, Mapping[str, Any]]) -> None:
    """Hold the recipes of members against that of the first.

    Raises:
        CheckpointError: One has other labels, another scheme or other layers.
    """
    for path, recipe in recipes.items():
        first = next(iter(recipes))
        for key in ("labels", "scheme", "layers"):
            mine, its = (_shown(one.get(key, 1)) for one in (recipe, recipes[first]))
            if mine != its:
                raise CheckpointError(
                    f"ckpt: {key}: {mine} in {path}, {its} in {first}; members of an ensemble find "
                    "the same labels in the same order, with one tagging.scheme and tagging.layers"
                )


def _shown(value: str | int | Sequence[str]) -> str:
    return str(value) if isinstance(value, str | int) else listing(value)
