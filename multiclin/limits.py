"""What the settings of a training recipe may be, told before torch is there.

Each setting by itself, and those that would do nothing, or something else than they say, beside
another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf

from multiclin.errors import ConfigError


class Limit(NamedTuple):
    """Which numbers a setting may have.

    Attributes:
        holds: Whether one is allowed.
        said: Which are, in words.
    """

    holds: Callable[[float], bool]
    said: str


POSITIVE = Limit(lambda value: value > 0, "more than 0")
NOT_NEGATIVE = Limit(lambda value: value >= 0, "0 or more")
SHARE = Limit(lambda value: 0 <= value < 1, "0 or more, less than 1")

LIMITS: Mapping[str, Limit] = {
    "optim.head_learning_rate": POSITIVE,
    "optim.crf_learning_rate": POSITIVE,
    "optim.layer_decay": Limit(lambda value: 0 < value <= 1, "more than 0, at most 1"),
    "loss.gamma": NOT_NEGATIVE,
    "loss.smoothing": SHARE,
    "regularization.r_drop": NOT_NEGATIVE,
    "regularization.fgm": NOT_NEGATIVE,
    "model.lora.r": Limit(lambda value: value >= 1, "1 or more"),
    "model.lora.alpha": POSITIVE,
    "model.lora.dropout": SHARE,
}
"""Settings that are numbers; null leaves one out."""


def check_recipe(config: DictConfig) -> None:
    """Raise `ConfigError` where a training recipe cannot be right."""
    for key, limit in LIMITS.items():
        value = OmegaConf.select(config, key)
        if value is not None and not (math.isfinite(value) and limit.holds(value)):
            raise ConfigError(f"{key}={value}: say {limit.said}")
    _check_head(config)
    _check_weights(config.loss.weights)
    _check_frozen(config)
    if config.model.lora is not None:
        _check_lora(config.model.lora)


def _check_head(config: DictConfig) -> None:
    """A loss of single tokens is none of whole paths, and a linear head learns nothing itself."""
    head, loss = config.head.name, config.loss
    if head == "linear" and config.optim.crf_learning_rate is not None:
        raise ConfigError(
            f"optim.crf_learning_rate={config.optim.crf_learning_rate}: head=linear has nothing "
            "that learns at it; say head=crf, or leave it at null"
        )
    if head != "linear" and (loss.gamma or loss.smoothing or loss.weights):
        raise ConfigError(
            f"loss: head={head} has a loss of its own, of whole paths; say head=linear for "
            "loss.gamma, loss.smoothing and loss.weights, or loss=cross_entropy"
        )


def _check_weights(weights: object) -> None:
    """Class weights are a word or numbers by tag."""
    if weights is None or weights == "balanced":
        return
    if OmegaConf.is_dict(weights):
        values = OmegaConf.to_container(weights).values()  # type: ignore[union-attr]
        if values and all(isinstance(one, int | float) and one >= 0 for one in values):
            return
    raise ConfigError(
        f"loss.weights={weights}: say balanced, or a weight of 0 or more by tag, such as {{O: 0.5}}"
    )


def _check_frozen(config: DictConfig) -> None:
    """It is a part of an encoder, and one that has been trained."""
    lowest = config.model.freeze
    is_number = isinstance(lowest, int) and not isinstance(lowest, bool) and lowest >= 0
    if lowest not in {None, "embeddings"} and not is_number:
        raise ConfigError(
            f"model.freeze={lowest}: say embeddings, or how many of the lowest layers beside them"
        )
    begins_at_random = config.model.encoder is None and config.weights is None
    if begins_at_random and (lowest or config.model.lora is not None):
        key = f"model.freeze={lowest}" if lowest else "model.lora"
        raise ConfigError(
            f"{key}: model={config.model.name} begins at random, and what is frozen would stay so; "
            "say model.encoder=DIR or weights=MODEL"
        )


def _check_lora(lora: DictConfig) -> None:
    """It is said whole, and the package is there."""
    if missing := OmegaConf.missing_keys(lora):
        raise ConfigError(
            f"model.lora says no {', '.join(sorted(missing))}; begin from lora=all_linear"
        )
    if find_spec("peft") is None:
        raise ConfigError("model.lora needs peft: pip install 'multiclin[lora]'")
