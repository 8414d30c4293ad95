"""Rows of windows against the padded rectangle of transformers: the same logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import PreTrainedModel

from multiclin import flat
from multiclin.encoder import build_encoder
from multiclin.rows import Row

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,  # heads of 16: the factor of the scores is exact, as in real sizes
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
MODERN = {"cls_token_id": 0, "sep_token_id": 2, "local_attention": 8, "initializer_range": 0.3}
CPU = torch.device("cpu")


def network(model_type: str, **fields: Any) -> PreTrainedModel:  # noqa: ANN401
    torch.manual_seed(1)
    more = MODERN if model_type == "modernbert" else {"max_position_embeddings": 300}
    config = {**SIZES, **more, "model_type": model_type, **fields}
    made = build_encoder(config, ["O", "B-X", "I-X"])
    made.train(False)
    return made


def windows(*lengths: int) -> tuple[Tensor, Tensor]:
    """Ids and mask of windows padded on the right."""
    torch.manual_seed(2)
    ids = torch.full((len(lengths), max(lengths)), 1)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = torch.randint(3, 40, (length,))
    return ids, (ids != 1).long()


def padded(model: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor:
    model.set_attn_implementation("eager")
    logits: Tensor = model(input_ids=ids, attention_mask=mask).logits
    flat.prepare(model)
    return logits * mask[..., None]


@pytest.mark.parametrize("model_type", sorted(flat.TYPES))
def test_a_row_gives_the_logits_of_the_rectangle(model_type: str) -> None:
    model = network(model_type)
    ids, mask = windows(5, 100, 33, 64, 1, 100, 100, 7)
    expected = padded(model, ids, mask)
    assert flat.takes_rows(model)
    torch.testing.assert_close(flat.logits(model, ids, mask), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("model_type", sorted(flat.TYPES))
def test_so_are_the_gradients(model_type: str) -> None:
    model = network(model_type)
    ids, mask = windows(70, 3, 130)
    gradients = []
    for forward in (padded, flat.logits):
        model.zero_grad()
        (forward(model, ids, mask) ** 2).mean().backward()  # type: ignore[no-untyped-call]
        gradients.append([one.grad for one in model.parameters() if one.grad is not None])
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-3)


@given(st.lists(st.integers(1, 150), min_size=1, max_size=6), st.sampled_from([2, 8, 40]))
def test_whatever_the_lengths_and_the_reach(lengths: list[int], reach: int) -> None:
    model = network("modernbert", local_attention=2 * reach, num_hidden_layers=2)
    ids, mask = windows(*lengths)
    with torch.no_grad():
        expected = padded(model, ids, mask)
        torch.testing.assert_close(flat.logits(model, ids, mask), expected, atol=1e-5, rtol=1e-4)


def test_bf16_is_as_exact_as_padded_bf16() -> None:
    model = network("modernbert")
    ids, mask = windows(90, 200, 64)
    with torch.no_grad():
        exact = padded(model, ids, mask)
        with torch.autocast("cpu", torch.bfloat16):
            theirs = (padded(model, ids, mask) - exact).abs().mean()
            mine = (flat.logits(model, ids, mask) * mask[..., None] - exact).abs().mean()
    assert 0 < mine < 1.2 * theirs


def test_a_window_is_not_changed_by_its_neighbours() -> None:
    model = network("modernbert")
    ids, mask = windows(90, 200, 64)
    flat.prepare(model)
    with torch.no_grad():
        together = flat.logits(model, ids, mask)
        for row, length in enumerate((90, 200, 64)):
            alone = flat.logits(model, ids[row : row + 1, :length], mask[row : row + 1, :length])
            torch.testing.assert_close(together[row, :length], alone[0], atol=1e-5, rtol=1e-4)


def test_dropout_of_the_attention_drops() -> None:
    model = network("modernbert", attention_dropout=0.5).train(True)
    flat.prepare(model)
    ids, mask = windows(64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(flat.logits(model, ids, mask), flat.logits(model, ids, mask))


def test_neighbours_of_equal_length_are_one_run() -> None:
    row = Row.of([5, 5, 7, 5], CPU)
    assert row.runs() == [(0, 2, 5), (10, 1, 7), (17, 1, 5), (22, 1, 106)]
    assert row.tokens == 128


def test_positions_begin_anew_in_each_window() -> None:
    row = Row.of([2, 3], CPU)
    assert row.positions.tolist() == [0, 1, 0, 1, 2, *range(123)]
    assert row.borders.tolist() == [0, 2, 5, 128]


def test_a_mask_shows_near_tokens_of_the_same_window() -> None:
    row = Row.of([3, 125], CPU)
    seen = row.mask(2, torch.float32)[0, 0] == 0
    assert seen.shape == (128, 132)
    # Keys are counted from 2 before the block: token t is key t + 2.
    assert [key - 2 for key in seen[1].nonzero().flatten().tolist()] == [0, 1, 2]
    assert [key - 2 for key in seen[3].nonzero().flatten().tolist()] == [3, 4, 5]
    assert [key - 2 for key in seen[10].nonzero().flatten().tolist()] == [8, 9, 10, 11, 12]


def test_another_type_stays_padded() -> None:
    model = network("distilbert", dim=16, hidden_dim=24, n_layers=1, n_heads=2)
    flat.prepare(model)
    assert not flat.takes_rows(model)


def test_the_saved_config_is_as_without(tmp_path: pytest.TempPathFactory) -> None:
    model = network("modernbert")
    before = model.config.to_dict()
    flat.prepare(model)
    assert model.config.to_dict() == before
