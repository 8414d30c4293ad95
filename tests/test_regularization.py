"""R-Drop and FGM against their formulas, on padded batches and on rows."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from multiclin import flat
from multiclin.adapting import checkpoint_layers, freeze
from multiclin.assembly import regularization_of
from multiclin.errors import ConfigError
from multiclin.heads import CrfHead, LinearHead, Tagger
from multiclin.regularization import (
    Regularization,
    directions,
    has_dropout,
    symmetric_divergence,
)
from multiclin.rows import Row
from multiclin.tagging import scheme
from multiclin.windows import IGNORED
from tests.test_flat import CPU, network, windows

BIO = scheme("bio")
DROPOUT: dict[str, Any] = {"mlp_dropout": 0.3, "embedding_dropout": 0.3}


def tagger(*, rows: bool = True, head: str = "linear", **fields: Any) -> Tagger:  # noqa: ANN401
    made = network("modernbert", **fields)
    if rows:
        flat.prepare(made)
    return Tagger(made, [CrfHead(BIO) if head == "crf" else LinearHead(BIO)]).train()


def batch(*lengths: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, mask and tags of windows; the first token of each has no label."""
    ids, mask = windows(*lengths)
    torch.manual_seed(3)
    tags = torch.randint(0, 3, ids.shape).masked_fill(mask == 0, IGNORED)
    tags[:, 0] = IGNORED
    return ids, mask, tags[:, None]


def gradients(model: Tagger) -> list[Tensor]:
    return [one.grad.clone() for one in model.parameters() if one.grad is not None]


def test_without_any_it_is_the_loss_of_one_pass() -> None:
    model, (ids, mask, tags) = tagger(), batch(5, 9)
    assert torch.equal(
        Regularization().loss(model, ids, mask, tags), model.loss(model(ids, mask), tags)
    )


def test_the_divergence_is_that_of_the_example() -> None:
    one, other = torch.tensor([3 / 4, 1 / 4]).log(), torch.tensor([1 / 2, 1 / 2]).log()
    by_hand = (
        3 / 4 * math.log(3 / 2)
        + 1 / 4 * math.log(1 / 2)
        + 1 / 2 * math.log(2 / 3)
        + 1 / 2 * math.log(2)
    ) / 2
    assert by_hand == pytest.approx(0.137, abs=1e-3)
    assert symmetric_divergence(one, other).item() == pytest.approx(by_hand)
    assert symmetric_divergence(one + 5, one).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("head", ["linear", "crf"])
def test_r_drop_is_the_mean_of_two_passes_and_their_divergence(head: str) -> None:
    model, (ids, mask, tags) = tagger(head=head, **DROPOUT), batch(5, 9, 2)
    torch.manual_seed(7)
    found = Regularization(r_drop=0.5).loss(model, ids, mask, tags)
    torch.manual_seed(7)
    first, second = model(ids.repeat(2, 1), mask.repeat(2, 1)).chunk(2)
    losses = (model.loss(first, tags) + model.loss(second, tags)) / 2
    labelled = tags[:, 0] != IGNORED
    p, q = first.softmax(-1)[labelled], second.softmax(-1)[labelled]
    apart = ((p * (p / q).log()).sum() + (q * (q / p).log()).sum()) / 2 / labelled.sum()
    assert apart > 1e-3
    torch.testing.assert_close(found, losses + 0.5 / 2 * apart)


def test_without_dropout_r_drop_is_the_plain_loss() -> None:
    model, (ids, mask, tags) = tagger(), batch(5, 9)
    plain = model.loss(model(ids, mask), tags)
    torch.testing.assert_close(Regularization(r_drop=2.0).loss(model, ids, mask, tags), plain)


def test_dropout_is_found_wherever_it_is() -> None:
    assert not has_dropout(network("modernbert"))
    assert has_dropout(network("modernbert", classifier_dropout=0.1))
    assert has_dropout(network("modernbert", attention_dropout=0.1))
    assert has_dropout(network("bert"))


def test_r_drop_without_dropout_is_refused() -> None:
    chosen = {"regularization": {"r_drop": 1.0, "fgm": 0.0}, "weights": None}
    with pytest.raises(ConfigError, match=r"no dropout.*say model\.config=.*mlp_dropout"):
        regularization_of(OmegaConf.create(chosen), tagger())
    with pytest.raises(ConfigError, match=r"weights=old keeps its own config"):
        regularization_of(OmegaConf.create({**chosen, "weights": "old"}), tagger())
    assert regularization_of(OmegaConf.create(chosen), tagger(**DROPOUT)).r_drop == 1.0


def test_a_direction_has_length_one_in_each_window() -> None:
    gradient = torch.tensor([[[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]])  # one window: norm 5
    torch.testing.assert_close(
        directions(gradient, None), torch.tensor([[[0.6, 0.0], [0.0, 0.8], [0.0, 0.0]]])
    )
    row = Row((1, 2), 3, CPU)  # two windows: norms 3 and 4
    torch.testing.assert_close(
        directions(gradient, row), torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])
    )


@pytest.mark.parametrize("rows", [False, True])
def test_fgm_is_the_mean_of_the_loss_and_of_that_beside_it(rows: bool) -> None:
    model, (ids, mask, tags) = tagger(rows=rows), batch(5, 9, 2)
    found = Regularization(fgm=0.5).loss(model, ids, mask, tags)
    # The same by hand, window by window on padded batches of one.
    plain = tagger(rows=False)
    table = plain.encoder.get_input_embeddings()
    embedded = table(ids).detach().requires_grad_()

    def losses(embeddings: Tensor) -> Tensor:
        logits = plain.encoder(inputs_embeds=embeddings, attention_mask=mask).logits
        return plain.loss(logits, tags)

    loss = losses(embedded)
    (gradient,) = torch.autograd.grad(loss, embedded)
    norms = torch.stack([one.norm() for one in gradient])[:, None, None]
    moved = losses(embedded + 0.5 * gradient / norms)
    assert moved > loss + 1e-4
    torch.testing.assert_close(found, (loss + moved) / 2, rtol=1e-4, atol=1e-6)


def test_rows_and_rectangles_give_the_same_gradients() -> None:
    found = []
    for rows in (False, True):
        model, (ids, mask, tags) = tagger(rows=rows), batch(70, 3, 130)
        Regularization(fgm=1.0).loss(model, ids, mask, tags).backward()  # type: ignore[no-untyped-call]
        found.append(gradients(model))
    for padded, flattened in zip(*found, strict=True):
        torch.testing.assert_close(flattened, padded, rtol=1e-3, atol=1e-5)


def test_fgm_leaves_nothing_behind() -> None:
    model, (ids, mask, tags) = tagger(), batch(5, 9)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    plain = model(ids, mask)
    Regularization(fgm=3.0).loss(model, ids, mask, tags).backward()  # type: ignore[no-untyped-call]
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert torch.equal(model(ids, mask), plain)
    table = model.encoder.get_input_embeddings()
    assert not table._forward_hooks
    assert not model.encoder._forward_pre_hooks


def test_nor_does_a_pass_that_fails() -> None:
    model, (ids, mask, tags) = tagger(), batch(5, 9)
    with pytest.raises(ValueError, match="batch_size"):
        Regularization(fgm=3.0).loss(model, ids, mask, tags[:, :, :2])
    assert not model.encoder.get_input_embeddings()._forward_hooks


def test_a_batch_without_labels_is_moved_nowhere() -> None:
    model, (ids, mask, tags) = tagger(), batch(5, 9)
    loss = Regularization(1.0, 1.0).loss(model, ids, mask, torch.full_like(tags, IGNORED))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert all(one.isfinite().all() for one in gradients(model))


def test_frozen_embeddings_are_moved_too() -> None:
    model, (ids, mask, tags) = tagger(), batch(5, 9)
    expected = Regularization(fgm=1.0).loss(model, ids, mask, tags)
    freeze(model.encoder, 1)
    torch.testing.assert_close(Regularization(fgm=1.0).loss(model, ids, mask, tags), expected)


@pytest.mark.parametrize("both", [Regularization(0.5, 0.5), Regularization(fgm=0.5)])
def test_layers_that_are_computed_again_give_the_same_gradients(both: Regularization) -> None:
    found = []
    for again in (False, True):
        model, (ids, mask, tags) = tagger(**DROPOUT), batch(5, 9, 70)
        if again:
            checkpoint_layers(model.encoder)
        torch.manual_seed(7)
        both.loss(model, ids, mask, tags).backward()  # type: ignore[no-untyped-call]
        found.append(gradients(model))
    for plain, recomputed in zip(*found, strict=True):
        torch.testing.assert_close(recomputed, plain, rtol=1e-5, atol=1e-7)


def test_in_mixed_precision_the_loss_is_full() -> None:
    model, (ids, mask, tags) = tagger(**DROPOUT), batch(5, 9)
    with torch.autocast("cpu", torch.bfloat16):
        loss = Regularization(1.0, 1.0).loss(model, ids, mask, tags)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.dtype == torch.float32
    assert all(one.isfinite().all() for one in gradients(model))
