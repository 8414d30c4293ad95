"""What of an encoder is trained, and that a merged one is the same model without peft."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from multiclin import flat
from multiclin.adapting import LowRank, add_low_rank, checkpoint_layers, freeze, merge, merged
from multiclin.errors import ConfigError
from tests.test_flat import network, windows

LORA = LowRank(r=2, alpha=6.0, targets="all-linear", dropout=0.0)


def trained(made: PreTrainedModel) -> set[str]:
    """Names of the modules that have a weight to train."""
    return {name.rpartition(".")[0] for name, one in made.named_parameters() if one.requires_grad}


def test_nothing_is_frozen_unless_told() -> None:
    made = network("bert")
    freeze(made, 0)
    assert all(one.requires_grad for one in made.parameters())


def test_embeddings_may_be_frozen_alone() -> None:
    made = network("bert")
    before = trained(made)
    freeze(made, "embeddings")
    assert before - trained(made) == {
        "bert.embeddings.LayerNorm",
        *(f"bert.embeddings.{kind}_embeddings" for kind in ("word", "position", "token_type")),
    }


def test_layers_are_frozen_from_below_with_the_embeddings() -> None:
    made = network("modernbert")
    freeze(made, 2)
    assert {name for name in trained(made) if name.startswith("model.")} == {
        "model.final_norm",
        *(f"model.layers.2.{name}" for name in ("attn.Wqkv", "attn.Wo", "attn_norm")),
        *(f"model.layers.2.{name}" for name in ("mlp.Wi", "mlp.Wo", "mlp_norm")),
    }
    assert {"classifier", "head.dense", "head.norm"} <= trained(made)


def test_more_layers_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(ConfigError, match=r"model\.freeze=4: this encoder has 3 layers"):
        freeze(network("bert"), 4)


@pytest.mark.parametrize("model_type", ["modernbert", "bert"])
def test_frozen_embeddings_need_no_gradient_through_what_is_frozen(model_type: str) -> None:
    made = network(model_type)
    flat.prepare(made)
    freeze(made, 1)
    checkpoint_layers(made.train())
    ids, mask = windows(5, 9)
    seen = []
    made.get_input_embeddings().register_forward_hook(
        lambda _, __, output: seen.append(output.requires_grad)
    )
    flat.logits(made, ids, mask).sum().backward()  # type: ignore[no-untyped-call]
    assert seen == [False]


@pytest.mark.parametrize("model_type", ["modernbert", "bert"])
@pytest.mark.parametrize("rows", [False, True])
def test_layers_computed_again_give_the_same_gradients(model_type: str, rows: bool) -> None:
    ids, mask = windows(5, 100, 33)
    found = []
    for again in (False, True):
        made = network(model_type).train()
        if rows:
            flat.prepare(made)
        if again:
            checkpoint_layers(made)
            assert made.is_activation_checkpointing
        torch.manual_seed(5)  # dropout of BERT
        logits = flat.logits(made, ids, mask) if rows else made(ids, attention_mask=mask).logits
        (logits**2).mean().backward()
        found.append([one.grad for one in made.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_an_encoder_that_cannot_is_named() -> None:
    made = network("bert")
    made.supports_gradient_checkpointing = False
    with pytest.raises(ConfigError, match=r"model\.gradient_checkpointing=true: BertFor"):
        checkpoint_layers(made)


def test_updates_are_put_into_the_matrices() -> None:
    weights = {
        "q.base_layer.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        "q.base_layer.bias": torch.tensor([7.0]),
        "q.lora_A.default.weight": torch.tensor([[1.0, -1.0]]),  # rank 1
        "q.lora_B.default.weight": torch.tensor([[1.0], [0.0], [2.0]]),
        "norm.weight": torch.tensor([8.0]),
    }
    found = merged(weights, alpha=3.0)
    assert {name: one.tolist() for name, one in found.items()} == {
        "q.weight": [[4.0, -1.0], [3.0, 4.0], [11.0, 0.0]],
        "q.bias": [7.0],
        "norm.weight": [8.0],
    }


def test_what_has_no_updates_stays() -> None:
    weights = network("bert").state_dict()
    assert merged(weights, 1.0) == weights


def updated(model_type: str) -> PreTrainedModel:
    """An encoder with updates that are not zero any more."""
    pytest.importorskip("peft")
    made = network(model_type)
    flat.prepare(made)
    add_low_rank(made, LORA)
    torch.manual_seed(9)
    for name, one in made.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(one, std=0.3)
    return made


@pytest.mark.parametrize("model_type", ["modernbert", "bert"])
def test_a_merged_encoder_gives_the_same_logits(model_type: str, tmp_path: Path) -> None:
    ids, mask = windows(5, 100, 33)
    plain = network(model_type)
    flat.prepare(plain)
    before = flat.logits(plain, ids, mask)
    made = updated(model_type)
    expected = flat.logits(made, ids, mask)
    assert (expected - before).abs().max() > 0.1
    saved = merged(made.state_dict(), LORA.alpha)
    merge(made, LORA.alpha)
    assert made.state_dict().keys() == plain.state_dict().keys()
    torch.testing.assert_close(flat.logits(made, ids, mask), expected, rtol=1e-4, atol=1e-5)
    plain.load_state_dict(saved)  # as a checkpoint is opened, without peft
    assert torch.equal(flat.logits(plain, ids, mask), flat.logits(made, ids, mask))


def test_updates_and_what_stands_over_the_encoder_are_trained() -> None:
    names = trained(updated("modernbert"))
    assert {name for name in names if not name.startswith("model.")} == {
        *("classifier", "head.dense", "head.norm"),
    }
    body = {name for name in names if name.startswith("model.")}
    assert all(".lora_" in name for name in body)
    assert len(body) == 3 * 4 * 2  # layers, matrices of each, A and B


def test_only_some_matrices_may_have_updates() -> None:
    pytest.importorskip("peft")
    made = network("modernbert")
    add_low_rank(made, LowRank(2, 4.0, ["Wqkv"], 0.1))
    assert sum(".lora_A." in name for name, _ in made.named_parameters()) == 3


@pytest.mark.parametrize(
    ("targets", "said"),
    [(["qkw"], r"model\.lora\.targets=\['qkw'\]"), (["tok_embeddings"], "is no linear layer")],
)
def test_a_target_that_cannot_have_one_is_named(targets: list[str], said: str) -> None:
    pytest.importorskip("peft")
    with pytest.raises(ConfigError, match=said):
        add_low_rank(network("modernbert"), LowRank(2, 4.0, targets, 0.0))


def test_lower_layers_may_be_left_without_updates() -> None:
    made = updated("modernbert")
    freeze(made, 2)
    body = {name.split(".")[2] for name in trained(made) if name.startswith("model.")}
    assert body == {"2"}
