"""Opening a model from elsewhere runs nothing that it brings."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from multiclin.analysis.runs import BUNDLE
from multiclin.bundle import KEY, load_model, save_bundle
from multiclin.continuing import check
from multiclin.encoder import Subwords, load_encoder
from multiclin.errors import CheckpointError, EncoderError
from tests.safety.hostile import Bomb
from tests.toy_models import toy_model

REMOTE = {
    "AutoConfig": "evil.Config",
    "AutoModelForTokenClassification": "evil.Model",
    "AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"],
}


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that is there once a stranger's code has run."""
    return tmp_path / "owned"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    save_bundle(toy_model(), folder, "# A card\n")
    return folder


def change(path: Path, **fields: object) -> None:
    """Change a file of JSON."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def bring_code(folder: Path, mark: Path) -> None:
    """Put Python beside a model, named wherever transformers would look for it."""
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nConfig = Model = Tokenizer = 1\n")
    change(folder / "config.json", auto_map=REMOTE)
    change(folder / "tokenizer_config.json", auto_map=REMOTE, tokenizer_class="EvilTokenizer")


def as_encoder(folder: Path) -> None:
    load_encoder(folder, ["O", "B-X", "I-X"], {})


def as_tokenizer(folder: Path) -> None:
    Subwords.of_encoder(folder)


@pytest.mark.parametrize("opened", [load_model, as_encoder, as_tokenizer])
def test_code_beside_a_model_is_not_run(
    bundle: Path, mark: Path, opened: Callable[[Path], object]
) -> None:
    bring_code(bundle, mark)
    opened(bundle)
    assert not mark.exists()


@pytest.mark.parametrize("opened", [load_model, as_encoder, as_tokenizer])
def test_a_model_of_an_unknown_kind_is_refused_without_a_question(
    bundle: Path, mark: Path, opened: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers would ask on the terminal whether to run the code, and take a `y`."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    bring_code(bundle, mark)
    change(bundle / "config.json", model_type="evil")
    with pytest.raises((CheckpointError, EncoderError)) as refusal:
        opened(bundle)
    assert "trust_remote_code" not in str(refusal.value)
    assert not mark.exists()


@pytest.mark.parametrize("opened", [load_model, as_encoder])
@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_a_kernel_of_the_hub_is_refused(
    bundle: Path, opened: Callable[[Path], object], key: str
) -> None:
    change(bundle / "config.json", **{key: "kernels-community/flash-attn2"})
    with pytest.raises((CheckpointError, EncoderError), match="is code of the hub"):
        opened(bundle)


def test_a_target_in_a_config_is_a_word(bundle: Path, mark: Path) -> None:
    change(bundle / "config.json", _target_="os.system", _args_=[f"touch {mark}"])
    change(bundle / BUNDLE, _target_="os.system", _args_=[f"touch {mark}"])
    load_model(bundle)
    assert not mark.exists()


@pytest.mark.parametrize("opened", [load_model, as_encoder])
@pytest.mark.parametrize("alone", [True, False])
def test_a_pickle_in_the_place_of_weights_is_not_opened(
    bundle: Path, mark: Path, opened: Callable[[Path], object], alone: bool
) -> None:
    torch.save({"weight": Bomb(mark)}, bundle / "pytorch_model.bin")
    if alone:
        (bundle / "model.safetensors").unlink()
        with pytest.raises((CheckpointError, EncoderError), match=r"model\.safetensors"):
            opened(bundle)
    else:
        opened(bundle)
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["zip", "old", "bare"])
def test_a_pickle_as_a_checkpoint_is_refused(tmp_path: Path, mark: Path, kind: str) -> None:
    path, content = tmp_path / "best.ckpt", {KEY: Bomb(mark), "state_dict": {}}
    if kind == "bare":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    for opened in (load_model, check):
        with pytest.raises(CheckpointError) as refusal:
            opened(path)
        assert "weights_only" not in str(refusal.value)  # torch's advice: to open it without care
    assert not mark.exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers=1000000000, and there are 18 weights"),
        ({"hidden_size": 10**6}, "numbers, and the weights are 7,299"),
        ({"vocab_size": 10**12}, "numbers, and the weights are 7,299"),
    ],
)
def test_a_config_builds_nothing_larger_than_its_weights(
    bundle: Path, fields: dict[str, Any], said: str
) -> None:
    change(bundle / "config.json", layer_types=None, **fields)
    with pytest.raises(CheckpointError, match=said):
        load_model(bundle)


@pytest.mark.parametrize("length", [2**63 - 1, 99_000_000, 200])
def test_a_header_of_weights_that_lies_is_refused(bundle: Path, length: int) -> None:
    (bundle / "model.safetensors").write_bytes(length.to_bytes(8, "little") + b'{"a":' * 20)
    with pytest.raises(CheckpointError, match="is a broken bundle"):
        load_model(bundle)


@pytest.mark.parametrize("name", [BUNDLE, "config.json", "tokenizer.json", "model.safetensors"])
def test_a_pipe_in_a_bundle_is_not_waited_for(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    with pytest.raises(CheckpointError):
        load_model(bundle)


def test_a_message_quotes_nothing_of_the_file_that_a_link_leads_to(
    bundle: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_text("s3cret-s3cret\n")
    for name in ("tokenizer.json", "config.json", BUNDLE):
        (bundle / name).unlink()
        (bundle / name).symlink_to(secret)
        with pytest.raises(CheckpointError) as refusal:
            load_model(bundle)
        assert "s3cret" not in str(refusal.value)


def test_a_checkpoint_cannot_name_files_to_be_deleted(tmp_path: Path) -> None:
    """Lightning deletes the checkpoint that a better one replaces, by the name in its state."""
    state = {"ModelCheckpoint{}": {"kth_best_model_path": f"{tmp_path}/checkpoints/../../mine"}}
    torch.save({KEY: {}, "optimizer_states": [], "callbacks": state}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match="remembers files outside of its folder"):
        check(tmp_path / "last.ckpt")


def test_a_bundle_that_we_write_holds_no_pickle(bundle: Path) -> None:
    assert {path.suffix for path in bundle.iterdir()} == {".json", ".safetensors", ".md"}
