"""What decides the predictions of a command, so that another one is not taken for the same.

The batch size, the number of workers or processes and the device are not in it: after an error a
prediction may go on with others.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import torch
from torch import Tensor

from multiclin import __version__
from multiclin.bundle import Model
from multiclin.corpus.texts import Texts
from multiclin.ensemble import Ensemble

NOTED = {"architectures", "dtype", "transformers_version"}
"""Fields of a config that transformers writes when it saves one."""


def fingerprint(model: Model, texts: Texts, precision: str) -> dict[str, object]:
    """The settings of a prediction as plain values, by names that a user knows."""
    decoding = ("whole_words", "snapping", "inner", "min_score", "bias")
    recipe = asdict(model.recipe) | {"bias": list(model.recipe.bias)}
    return {
        "ckpt": digest(model),
        **{f"decoding.{name}": recipe[name] for name in decoding},
        "precision": precision,
        "input": f"{len(texts):,} documents, {texts.digest}",
        "version": __version__,
    }


def digest(model: Model) -> str:
    """Of weights, architecture, tokenizer and windows: the same in a bundle and its checkpoint.

    Of an ensemble those of its members, with their weights.

    Weights are folded tensor by tensor, at the speed of memory (0.3 s for 150 million on one core,
    where SHA-256 takes 0.7): it tells trainings apart and is no guard against forgery.
    """
    if isinstance(model, Ensemble):
        weighted = zip(map(digest, model.members), model.weights, strict=True)
        return " + ".join(f"{weight} x {name}" for name, weight in weighted)
    facts = model.facts()
    config = {key: value for key, value in facts["config"].items() if key not in NOTED}
    decisive = ("labels", "scheme", "head", "window", "overlap", "context")
    recipe = {key: facts["recipe"][key] for key in decisive}
    weights = {
        name: (list(one.shape), _folded(one))
        for name, one in sorted(model.tagger.state_dict().items())
    }
    content = json.dumps([config, facts["tokenizer"], recipe, weights], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _folded(weights: Tensor) -> int:
    """A number of 64 bits."""
    return int(torch.hash_tensor(weights).view(torch.int64)) if weights.numel() else 0
