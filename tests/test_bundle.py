"""A model stands alone: as a directory, in a checkpoint, and opened by transformers."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForTokenClassification, AutoTokenizer

from multiclin.analysis.runs import BUNDLE
from multiclin.batch import Piece
from multiclin.bundle import KEY, Model, Recipe, load_model, new_model, save_bundle
from multiclin.encoder import quiet, scratch_config
from multiclin.errors import CheckpointError, ConfigError, OutputError
from multiclin.windows import Placed, Window
from tests.toy_models import ARCHITECTURE, CASES, marked, toy_model, toy_subwords

ROOT = Path(__file__).parents[1]
ABOUT_IT = {"entity": "disease", "scores": {"val/strict_f1": 0.5}}


def emissions(model: Model) -> Tensor:
    """What a model emits for the toy cases, one padded batch."""
    documents = model.subwords.tokenize([marked(text) for text in CASES])
    whole = [Placed(0, Window(0, len(one))) for one in documents]
    pieces = zip(documents, whole, strict=True)
    batch = model.collate([Piece(one.ids, None, placed) for one, placed in pieces])
    with torch.inference_mode():
        found: Tensor = model.tagger.eval()(batch.ids, batch.mask)
    return found


def facts(model: Model) -> dict[str, Any]:
    """What a model says of itself, but for what transformers notes when it saves."""
    said = model.facts()
    for key in ("architectures", "dtype"):
        said["config"].pop(key)
    return said


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(1)
    made = toy_model()
    made.about.update(ABOUT_IT)
    return made


@pytest.fixture(scope="module")
def saved(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that tests may read."""
    folder = tmp_path_factory.mktemp("bundle") / "model"
    save_bundle(model, folder, "# A card\n")
    return folder


@pytest.fixture
def bundle(saved: Path, tmp_path: Path) -> Path:
    """A bundle that a test may break."""
    return shutil.copytree(saved, tmp_path / "model")


@pytest.fixture
def checkpoint(model: Model, tmp_path: Path) -> Path:
    """What Lightning would write, as far as `load_model` looks at it."""
    state = {f"tagger.{name}": tensor for name, tensor in model.tagger.state_dict().items()}
    torch.save({KEY: model.facts(), "state_dict": state, "epoch": 3}, tmp_path / "best.ckpt")
    return tmp_path / "best.ckpt"


def test_a_bundle_gives_back_the_model(model: Model, saved: Path) -> None:
    loaded = load_model(saved)
    assert torch.equal(emissions(loaded), emissions(model))
    assert loaded.recipe == model.recipe
    assert loaded.about == ABOUT_IT
    assert facts(loaded) == facts(model)


def test_a_bundle_from_before_a_setting_has_its_default(bundle: Path) -> None:
    facts = json.loads((bundle / BUNDLE).read_text("utf-8"))
    del facts["recipe"]["context"]
    (bundle / BUNDLE).write_text(json.dumps(facts), "utf-8")
    assert load_model(bundle).windowing.context == 0


def test_a_checkpoint_gives_back_the_model(model: Model, checkpoint: Path) -> None:
    loaded = load_model(checkpoint)
    assert torch.equal(emissions(loaded), emissions(model))
    assert facts(loaded) == facts(model)


def test_the_folder_of_a_run_stands_for_its_bundle(model: Model, saved: Path) -> None:
    assert load_model(saved.parent).recipe == model.recipe


def test_a_bundle_holds_no_code(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "multiclin.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert (saved / "README.md").read_text() == "# A card\n"


def test_a_standing_folder_is_not_overwritten(model: Model, saved: Path) -> None:
    with pytest.raises(OutputError, match="exists already; choose another place for the bundle"):
        save_bundle(model, saved, "")


def test_transformers_opens_a_bundle(model: Model, saved: Path) -> None:
    with quiet():
        network = AutoModelForTokenClassification.from_pretrained(saved).eval()
    tokenizer = AutoTokenizer.from_pretrained(saved)
    assert network.config.id2label == {0: "O", 1: "B-DISEASE", 2: "I-DISEASE"}
    texts = [marked(text).text for text in CASES]
    batch = tokenizer(texts, padding=True, return_tensors="pt", pad_to_multiple_of=8)
    with torch.inference_mode():
        logits = network(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    ours = emissions(model)  # Computed without padding: equal to rounding, and zero there.
    torch.testing.assert_close(ours, logits * batch["attention_mask"][..., None])


def test_a_bundle_needs_no_hub_and_no_encoder(tmp_path: Path) -> None:
    source, folder, emitted = tmp_path / "encoder", tmp_path / "model", tmp_path / "emitted.pt"
    first = toy_model()
    with quiet():
        first.tagger.encoder.save_pretrained(source)
    first.subwords.save(source)
    second = new_model(Recipe(("SYMPTOM",), "bioes"), first.subwords, encoder=str(source))
    save_bundle(second, folder, "")
    shutil.rmtree(source)
    code = (
        "import sys, torch\nfrom multiclin.bundle import load_model\n"
        "from tests.test_bundle import emissions\n"
        "torch.save(emissions(load_model(sys.argv[1])), sys.argv[2])"
    )
    subprocess.run(
        [sys.executable, "-c", code, folder, emitted],
        check=True,
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "empty")},
    )
    assert torch.equal(torch.load(emitted), emissions(second))
    assert str(tmp_path) not in json.dumps(second.facts())


@pytest.mark.parametrize(
    ("labels", "scheme", "tags"),
    [
        (("X",), "bio", ["O", "B-X", "I-X"]),
        (("X",), "bioes", ["O", "B-X", "I-X", "E-X", "S-X"]),
        (("X", "Y"), "bio", ["O-X", "B-X", "I-X", "O-Y", "B-Y", "I-Y"]),
    ],
)
def test_outputs_are_the_tags_of_each_label(
    labels: tuple[str, ...], scheme: str, tags: list[str]
) -> None:
    assert Recipe(labels, scheme).tags == tags


def test_layers_of_a_label_have_outputs_of_their_own() -> None:
    names = ["O-X", "B-X", "I-X", "O-X-2", "B-X-2", "I-X-2"]
    assert Recipe(("X",), layers=2).tags == names
    with pytest.raises(ConfigError, match=r"tagging\.layers=0"):
        Recipe(("X",), layers=0)


def test_a_bias_is_kept_and_decoded_with(model: Model, tmp_path: Path) -> None:
    biased = replace(model, recipe=replace(model.recipe, bias=(-1.5,)))
    save_bundle(biased, tmp_path / "model", "")
    again = load_model(tmp_path / "model")
    assert again.recipe == biased.recipe
    (transitions,) = again.decoder().transitions
    assert transitions.start.tolist() == [0.0, -1.5, -math.inf]


@pytest.mark.parametrize("label", ["Enf. rara", "type", "O", "enfermedad crónica"])
def test_a_label_may_have_any_name(label: str, tmp_path: Path) -> None:
    both = toy_model((label, "X"))
    save_bundle(both, tmp_path / "model", "")
    assert load_model(tmp_path / "model").recipe.labels == (label, "X")


def test_windows_longer_than_the_encoder_reads_are_refused() -> None:
    subwords = toy_subwords()
    config = scratch_config(ARCHITECTURE, subwords)
    with pytest.raises(ConfigError, match=r"window\.size=513 .* say window\.size=512 or less"):
        new_model(Recipe(("X",), window=513), subwords, config=config)


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


class Code:
    """Something that a pickle would run when it is opened."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, ("echo run > run",)


@pytest.mark.parametrize("name", ["missing", "missing.ckpt", "empty"])
def test_a_path_without_a_model_says_what_can_be_given(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    says = rf"{name} (does not exist|holds no multiclin\.json); give a checkpoint \(outputs/"
    with pytest.raises(CheckpointError, match=says):
        load_model(tmp_path / name)


def test_a_checkpoint_cut_short_is_named(checkpoint: Path) -> None:
    cut_in_half(checkpoint)
    with pytest.raises(
        CheckpointError, match=r"best\.ckpt is not a readable checkpoint: it is cut "
    ):
        load_model(checkpoint)


def test_a_checkpoint_of_another_program_is_named(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=r"a\.ckpt was not written by multiclin"):
        load_model(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    "save", [torch.save, lambda what, path: path.write_bytes(pickle.dumps(what))]
)
def test_code_in_a_checkpoint_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: Callable[[object, Path], object]
) -> None:
    monkeypatch.chdir(tmp_path)
    save({KEY: Code()}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=r"a\.ckpt is not a readable checkpoint") as caught:
        load_model(tmp_path / "a.ckpt")
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def without_key(path: Path, key: str) -> None:
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / BUNDLE).write_text("{"),
        lambda folder: (folder / BUNDLE).write_text("[]"),
        lambda folder: without_key(folder / BUNDLE, "about"),
        lambda folder: without_key(folder / BUNDLE, "recipe"),
        lambda folder: without_key(folder / "config.json", "model_type"),
        lambda folder: cut_in_half(folder / "model.safetensors"),
        lambda folder: cut_in_half(folder / "tokenizer.json"),
        lambda folder: (folder / "tokenizer.json").unlink(),
        lambda folder: (folder / "model.safetensors").unlink(),
    ],
)
def test_a_broken_bundle_is_named(bundle: Path, damage: Callable[[Path], object]) -> None:
    damage(bundle)
    with pytest.raises(CheckpointError, match=rf"ckpt={bundle} is a broken bundle: \w+: ."):
        load_model(bundle)


def test_a_bundle_of_a_later_version_is_refused(bundle: Path) -> None:
    content = json.loads((bundle / BUNDLE).read_text())
    (bundle / BUNDLE).write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(CheckpointError, match="has format 99, this version reads 1; use the versi"):
        load_model(bundle)


def test_a_checkpoint_with_other_weights_than_its_config_is_named(checkpoint: Path) -> None:
    content = torch.load(checkpoint)
    content[KEY]["config"]["hidden_size"] = 32
    torch.save(content, checkpoint)
    with pytest.raises(CheckpointError, match=r"best\.ckpt is a broken checkpoint: ValueError"):
        load_model(checkpoint)
