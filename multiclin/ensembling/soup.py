"""The mean of several models' weights as one model, which costs what one costs.

It works where the models lie in one valley of the loss: trainings that began from the same weights
(one pretrained encoder), with other seeds, orders or settings. The mean of models that began from
different random weights is no model at all: score a soup before it is used. (Wortsman et al. 2022,
"Model soups"; FACTS 7: merged checkpoints of folds beat a fixed split.)

Sums are taken in fp64, so the soup of a model with itself is the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from multiclin import __version__
from multiclin.bundle import Model, load_model, save_bundle
from multiclin.corpus import listing
from multiclin.errors import CheckpointError, OutputError
from multiclin.fingerprint import NOTED, digest
from multiclin.members import Member, check_alike, members_of
from multiclin.report import model_card


def cook(names: Sequence[str], output: Path) -> Model:
    """Write the mean of models as a bundle.

    Args:
        names: Runs, bundles or checkpoints; one that is named twice counts double.
        output: The new bundle.

    Raises:
        MulticlinError: A model is missing, broken or of another shape, or the output is there.
    """
    if output.exists():
        raise OutputError(f"{output} exists already; choose another place for the bundle")
    members = members_of(names)
    made = soup(members)
    save_bundle(made, output, model_card(made))
    return made


def soup(members: Sequence[Member]) -> Model:
    """The model whose weights are the weighted mean; all else is that of the first.

    Raises:
        CheckpointError: The models are of different shapes.
    """
    first = load_model(members[0].path)
    total: dict[str, Tensor] = {}
    ingredients: dict[str, dict[str, Any]] = {}
    abouts: list[Mapping[str, Any]] = []
    for member in members:
        model = load_model(member.path)
        check_shape(member.path, model, members[0].path, first)
        for key, one in model.tagger.state_dict().items():
            share = one.double() * member.weight
            total[key] = total[key] + share if key in total else share
        copies = ingredients.get(name := digest(model), {}).get("weight", 0)
        ingredients[name] = _ingredient(model, member.weight + copies)
        abouts.append(model.about)
    weight = sum(one.weight for one in members)
    kinds = first.tagger.state_dict()
    mean = {name: (one / weight).to(kinds[name].dtype) for name, one in total.items()}
    first.tagger.load_state_dict(mean)
    return replace(first, about=_about(abouts, ingredients))


def _ingredient(model: Model, weight: int) -> dict[str, Any]:
    """What the bundle says of a member."""
    training = model.about.get("training", {})
    said = {key: training.get(key) for key in ("seed", "fold", "epochs", "learning_rate")}
    f1 = model.about.get("scores", {}).get("val/strict_f1")
    return {"weight": weight, **said, "val/strict_f1": f1}


def _about(
    abouts: Sequence[Mapping[str, Any]], ingredients: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Where it comes from: what all members say alike, and the members by their digests."""
    shared = {
        key: abouts[0][key]
        for key in ("entity", "encoder", "data")
        if key in abouts[0] and all(one.get(key) == abouts[0][key] for one in abouts)
    }
    return {**shared, "soup": dict(ingredients), "versions": {"multiclin": __version__}}


def check_shape(path: Path, model: Model, first_path: Path, first: Model) -> None:
    """Raise `CheckpointError` where the weights of two models have no mean."""
    check_alike({first_path: asdict(first.recipe), path: asdict(model.recipe)})
    mine, its = _shape(model), _shape(first)
    for key in sorted(mine.keys() | its.keys()):
        if mine.get(key) != its.get(key):
            shown = [listing([str(one.get(key))]) for one in (mine, its)]
            raise CheckpointError(
                f"{path} and {first_path} differ in {key} ({shown[0]}, {shown[1]}): a soup is of "
                "models of one shape; predict.py ckpt=[a,b] takes any"
            )


def _shape(model: Model) -> dict[str, Any]:
    """What decides which number of the weights means what."""
    facts = model.facts()
    config = {
        f"model.{key}": value
        for key, value in facts["config"].items()
        if key not in NOTED and "dropout" not in key
    }
    tokenizer = hashlib.sha256(facts["tokenizer"]["tokenizer.json"].encode()).hexdigest()[:16]
    return {**config, "head": facts["recipe"]["head"], "tokenizer.json": tokenizer}
