"""The network of a pretraining: transformers' padded loss, and an encoder that others take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModelForMaskedLM, PreTrainedModel

from multiclin import flat
from multiclin.bundle import Recipe, load_model, new_model
from multiclin.document import Document
from multiclin.encoder import (
    Subwords,
    build_language_model,
    load_language_model,
    scratch_config,
)
from multiclin.errors import CheckpointError, ConfigError, EncoderError
from multiclin.language_model import FACTS, MULTIPLE, LanguageModel, MaskedTokens, summed
from multiclin.masking import Masking
from multiclin.windows import IGNORED, Windowing
from tests import toys
from tests.toy_models import ARCHITECTURE, toy_subwords

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "max_position_embeddings": 300,
}
MORE: dict[str, dict[str, Any]] = {
    "modernbert": {"cls_token_id": 0, "sep_token_id": 2, "local_attention": 8},
    "distilbert": {"dim": 16, "hidden_dim": 24, "n_layers": 1, "n_heads": 2},
    "deberta-v2": {},
}
TYPES = sorted({*flat.TYPES, *MORE})


def network(model_type: str) -> PreTrainedModel:
    torch.manual_seed(1)
    fields = {**SIZES, **MORE.get(model_type, {}), "model_type": model_type}
    made = build_language_model({**fields, "initializer_range": 0.3})
    made.train(False)
    return made


def windows() -> tuple[Tensor, Tensor, Tensor]:
    """Ids, mask and labels of windows of unlike length; one has nothing masked."""
    torch.manual_seed(2)
    lengths = (5, 100, 33, 1, 100, 7)
    ids = torch.full((len(lengths), 104), 1)
    labels = torch.full_like(ids, IGNORED)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(3, 40, (length,))
        chosen = torch.rand(length) < (0.3 if length > 1 else 0)
        labels[row, :length][chosen] = torch.randint(3, 40, (int(chosen.sum()),))
    return ids, (ids != 1).long(), labels


def padded(model: PreTrainedModel) -> Tensor:
    """The loss as transformers computes it, on the rectangle and with every logit."""
    ids, mask, labels = windows()
    if flat.takes_rows(model):
        model.set_attn_implementation("eager")
    target = labels.masked_fill(labels == IGNORED, -100)
    loss: Tensor = model(input_ids=ids, attention_mask=mask, labels=target).loss
    return loss


@pytest.mark.parametrize("model_type", TYPES)
def test_the_loss_and_its_gradients_are_those_of_transformers(model_type: str) -> None:
    model = network(model_type)
    found = []
    for mine in (False, True):
        model.zero_grad()
        loss = padded(model)
        if mine:
            logits, wanted = MaskedTokens(model)(*windows())
            loss = summed(logits, wanted) / (wanted != IGNORED).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [one.grad for one in model.parameters() if one.grad is not None]
        found.append([loss.detach(), *map(Tensor.clone, gradients)])
    assert flat.takes_rows(model) == (model_type in flat.TYPES)
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)


def test_only_masked_tokens_reach_the_head() -> None:
    model = network("modernbert")
    seen: list[int] = []
    model.get_output_embeddings().register_forward_hook(  # type: ignore[no-untyped-call]
        lambda _, given, __: seen.append(given[0].flatten(0, -2).shape[0])
    )
    masked = int((windows()[2] != IGNORED).sum())
    logits, wanted = MaskedTokens(model)(*windows())
    assert masked % MULTIPLE > 0
    filled = masked + -masked % MULTIPLE
    assert seen == [filled]
    assert (logits.shape, wanted.shape) == ((filled, 40), (filled,))
    assert (wanted != IGNORED).tolist() == [True] * masked + [False] * (filled - masked)
    assert len(model.base_model._forward_hooks) == 0


@pytest.mark.parametrize("model_type", ["modernbert", "distilbert"])
def test_a_batch_without_masks_has_a_loss_of_zero_and_gradients(model_type: str) -> None:
    model = MaskedTokens(network(model_type))
    ids, mask, labels = windows()
    loss = summed(*model(ids, mask, torch.full_like(labels, IGNORED)))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    gradients = [one.grad for one in model.parameters()]
    assert all(one is not None and not one.any() for one in gradients)


# What it leaves


def toy_language_model(window: int = 24) -> LanguageModel:
    subwords = toy_subwords()
    made = build_language_model(scratch_config(ARCHITECTURE, subwords))
    return LanguageModel.of(subwords, made, Windowing(window, 0), Masking(whole_words=True))


def test_an_encoder_is_one_that_a_training_begins_with(tmp_path: Path) -> None:
    model = toy_language_model()
    model.save(tmp_path / "encoder", {"masking": "words"})
    assert json.loads((tmp_path / "encoder" / FACTS).read_text()) == {"masking": "words"}
    assert {path.suffix for path in (tmp_path / "encoder").iterdir()} == {".json", ".safetensors"}
    subwords = Subwords.of_encoder(tmp_path / "encoder")
    document = Document("d", "Sin tos; niega alergias.")
    ours, theirs = (one.tokenize([document])[0].ids for one in (model.subwords, subwords))
    assert (ours.tolist(), subwords.mask) == (theirs.tolist(), 4)
    trained = new_model(
        Recipe(("X",), window=24, overlap=8), subwords, encoder=str(tmp_path / "encoder")
    )
    mine, its = model.network.network.state_dict(), trained.tagger.encoder.state_dict()
    shared = mine.keys() & its.keys()
    assert {name.partition(".")[0] for name in shared} == {"model", "head"}
    assert all(torch.equal(mine[name], its[name]) for name in shared)


def test_it_is_gone_on_with_as_it_was_left(tmp_path: Path) -> None:
    model = toy_language_model()
    model.save(tmp_path / "encoder", {})
    again, fresh = load_language_model(tmp_path / "encoder", {})
    assert fresh == []
    assert again.training
    ours = model.network.network.state_dict()
    assert all(torch.equal(ours[name], one) for name, one in again.state_dict().items())
    theirs = AutoModelForMaskedLM.from_pretrained(tmp_path / "encoder")
    assert type(theirs).__name__ == "ModernBertForMaskedLM"


def test_a_head_that_is_not_there_begins_anew(tmp_path: Path) -> None:
    toy_language_model().save(tmp_path / "encoder", {})
    file = tmp_path / "encoder" / "model.safetensors"
    body = {name: one for name, one in load_file(file).items() if name.startswith("model.")}
    save_file(body, file, {"format": "pt"})
    _, fresh = load_language_model(tmp_path / "encoder", {})
    assert fresh == ["decoder.bias", "head.dense.weight", "head.norm.weight"]


def test_a_checkpoint_of_a_pretraining_finds_no_mentions(tmp_path: Path) -> None:
    facts = {"multiclin": toy_language_model().facts(), "state_dict": {}}
    torch.save(facts, tmp_path / "best.ckpt")
    with pytest.raises(CheckpointError, match=r"is of a pretraining .* model\.encoder="):
        load_model(tmp_path / "best.ckpt")


def test_windows_longer_than_the_encoder() -> None:
    with pytest.raises(ConfigError, match=r"window\.size=600 is longer than the 512 positions"):
        toy_language_model(600)


def test_a_tokenizer_without_a_mask_token() -> None:
    subwords = toys.byte_fallback()
    made = build_language_model(scratch_config(ARCHITECTURE, toy_subwords()))
    with pytest.raises(EncoderError, match="no mask token"):
        LanguageModel.of(subwords, made, Windowing(24, 0), Masking(whole_words=True))


@pytest.mark.parametrize(
    ("subwords", "mask"), [(toy_subwords(), 4), (toys.byte_fallback(), None)], ids=["own", "llama"]
)
def test_the_mask_token(subwords: Subwords, mask: int | None) -> None:
    assert subwords.mask == mask


def test_ordinary_tokens_are_all_but_the_special_ones() -> None:
    subwords = toy_subwords()
    assert subwords.ordinary.tolist() == list(range(5, len(subwords)))


def test_an_encoder_without_such_a_head(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="makes no encoder: Unrecognized"):
        build_language_model({"model_type": "vit"})


def test_the_sum_is_cross_entropy() -> None:
    logits, wanted = torch.randn(4, 7), torch.tensor([1, 2, 3, IGNORED])
    assert summed(logits, wanted) == cross_entropy(logits[:3], wanted[:3], reduction="sum")
