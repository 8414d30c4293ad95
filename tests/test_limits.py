"""Training recipes that cannot be right are refused, and say why."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from multiclin.errors import ConfigError
from multiclin.limits import LIMITS, check_recipe
from tests.test_conf import composed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["optim.layer_decay=1.5"], "optim.layer_decay=1.5: say more than 0, at most 1"),
        (["optim.head_learning_rate=0"], "optim.head_learning_rate=0.0: say more than 0"),
        (["loss.smoothing=1"], "loss.smoothing=1.0: say 0 or more, less than 1"),
        (["loss.gamma=nan"], "loss.gamma=nan: say 0 or more"),
        (["regularization.fgm=inf"], "regularization.fgm=inf: say 0 or more"),
        (["optim.crf_learning_rate=2e-3"], "head=linear has nothing that learns at it"),
        (["head=crf", "loss=focal"], "head=crf has a loss of its own, of whole paths"),
        (["head=crf", "loss.weights={O: 0.5}"], "head=crf has a loss of its own"),
        (["loss.weights=equal"], "loss.weights=equal: say balanced, or a weight"),
        (["loss.weights={O: -1}"], "say balanced, or a weight of 0 or more by tag"),
        (["loss.weights={}"], "say balanced, or a weight of 0 or more by tag"),
        (["model.freeze=all"], "model.freeze=all: say embeddings, or how many"),
        (["model.freeze=-1"], "model.freeze=-1: say embeddings, or how many"),
        (["model.freeze=true"], "model.freeze=True: say embeddings, or how many"),
        (["model=tiny", "model.freeze=2"], "model.freeze=2: model=tiny begins at random"),
        (["model=tiny", "lora=all_linear"], "model.lora: model=tiny begins at random"),
        (["model.lora={r: 8}"], "model.lora says no "),
        (["lora=all_linear", "model.lora.r=0"], "model.lora.r=0: say 1 or more"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_right_is_told(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_recipe(composed("train", *words))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["model.freeze=0", "loss=focal", "loss.weights={O: 0.5, B: 2}", "regularization=fgm"],
        ["model.freeze=embeddings", "loss.weights=balanced", "optim.layer_decay=0.9"],
        ["head=crf", "optim.crf_learning_rate=2e-3", "regularization=r_drop"],
        ["model=tiny", "model.freeze=2", "weights=outputs/run/model"],
    ],
    ids=" ".join,
)
def test_what_can_is_not(words: list[str]) -> None:
    check_recipe(composed("train", *words))


def test_lora_without_peft_says_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiclin.limits.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"needs peft: pip install 'multiclin\[lora\]'"):
        check_recipe(composed("train", "lora=all_linear"))
    monkeypatch.setattr("multiclin.limits.find_spec", lambda _: find_spec("torch"))
    check_recipe(composed("train", "lora=all_linear"))


def test_every_limit_is_of_a_setting() -> None:
    config = composed("train", "lora=all_linear")
    for key in LIMITS:
        above, _, own = key.rpartition(".")
        node = config
        for part in above.split("."):
            node = node[part]
        assert own in node, key
