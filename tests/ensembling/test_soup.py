"""The mean of weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from multiclin.bundle import Model, load_model, new_model, save_bundle
from multiclin.cli import main
from multiclin.encoder import scratch_config
from multiclin.ensembling.soup import soup
from multiclin.errors import CheckpointError
from multiclin.fingerprint import digest
from multiclin.members import Member, members_of
from tests.toy_models import ARCHITECTURE, toy_model, toy_subwords


def saved(folder: Path, seed: int, **changes: object) -> Model:
    """A bundle of random weights."""
    torch.manual_seed(seed)
    made = toy_model()
    if changes:
        recipe = replace(made.recipe, **{k: v for k, v in changes.items() if k == "head"})  # type: ignore[arg-type]
        sizes = {k: v for k, v in changes.items() if k != "head"}
        config = scratch_config({**ARCHITECTURE, **sizes}, toy_subwords())
        made = new_model(recipe, toy_subwords(), config=config)
    made.about.update(entity="disease", training={"seed": seed}, scores={"val/strict_f1": 0.5})
    save_bundle(made, folder, "card")
    return made


def test_the_soup_of_a_model_with_itself_is_the_model(tmp_path: Path) -> None:
    for name in "abc":
        one = saved(tmp_path / name, 1)
    made = soup([Member(tmp_path / name) for name in "abc"])
    assert digest(made) == digest(one)
    assert made.about["soup"] == {digest(one): made.about["soup"][digest(one)]}
    assert made.about["soup"][digest(one)]["weight"] == 3


def test_weights_are_averaged(tmp_path: Path) -> None:
    a, b = (saved(tmp_path / name, seed).tagger.state_dict() for seed, name in enumerate("ab"))
    made = soup(members_of([tmp_path / name for name in "aab"]))
    for name, one in made.tagger.state_dict().items():
        torch.testing.assert_close(one, (2 * a[name] + b[name]) / 3)


def test_the_bundle_stands_alone_and_names_its_members(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (saved(tmp_path / name, seed) for seed, name in enumerate("ab"))
    paths = [str(tmp_path / name) for name in "ab"]
    assert main(["ensemble", "soup", *paths, "--output", str(tmp_path / "soup")]) == 0
    assert "the mean of 2 models" in capsys.readouterr().out
    loaded = load_model(tmp_path / "soup")
    assert digest(loaded) == digest(soup(members_of(paths)))
    assert loaded.about["entity"] == "disease"
    assert "scores" not in loaded.about
    assert [one["seed"] for one in loaded.about["soup"].values()] == [0, 1]
    card = (tmp_path / "soup" / "README.md").read_text()
    assert all(f"soup.{digest(one)}.seed" in card for one in (a, b))
    assert "Not scored yet." in card
    assert main(["ensemble", "soup", *paths, "--output", str(tmp_path / "soup")]) == 2
    assert "soup exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden_size": 32}, r"differ in model.hidden_size \(32, 16\): a soup is of"),
        ({"head": "crf"}, r"differ in head \(crf, linear\)"),
    ],
)
def test_models_of_other_shapes_are_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    saved(tmp_path / "a", 1)
    saved(tmp_path / "b", 1, **changes)
    with pytest.raises(CheckpointError, match=said):
        soup(members_of([tmp_path / "a", tmp_path / "b"]))


def test_dropout_is_no_shape(tmp_path: Path) -> None:
    saved(tmp_path / "a", 1)
    saved(tmp_path / "b", 2, classifier_dropout=0.3)
    soup(members_of([tmp_path / "a", tmp_path / "b"]))
