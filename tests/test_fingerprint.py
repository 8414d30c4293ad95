"""What tells two predictions apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from multiclin.bundle import Model, load_model, save_bundle
from multiclin.corpus.texts import Texts
from multiclin.fingerprint import digest, fingerprint
from tests.toy_models import toy_model


@pytest.fixture
def model() -> Model:
    torch.manual_seed(1)
    return toy_model()


def test_a_copy_is_the_same_model(model: Model, tmp_path: Path) -> None:
    save_bundle(model, tmp_path / "model", "card")
    assert digest(load_model(tmp_path / "model")) == digest(model)


def test_one_weight_makes_another_model(model: Model) -> None:
    before = digest(model)
    with torch.no_grad():
        next(model.tagger.parameters()).view(-1)[3] += 1e-6
    assert digest(model) != before


@pytest.mark.parametrize("setting", [{"overlap": 4}, {"context": 4}])
def test_windows_make_another_model(model: Model, setting: dict[str, int]) -> None:
    other = replace(model, recipe=replace(model.recipe, **setting))  # type: ignore[arg-type]
    assert digest(other) != digest(model)


def test_settings_go_by_the_names_that_users_know(model: Model, tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    found = fingerprint(model, Texts(tmp_path), "32-true")
    assert found["decoding.snapping"] == "words"
    assert found["precision"] == "32-true"
    assert str(found["input"]).startswith("1 documents, ")
    other = replace(model, recipe=replace(model.recipe, min_score=0.5))
    changed = fingerprint(other, Texts(tmp_path), "32-true")
    assert {key for key in found if found[key] != changed[key]} == {"decoding.min_score"}
