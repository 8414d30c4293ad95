"""Attention inside the windows of a row, by each kernel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from multiclin import rows
from multiclin.rows import Row, attention

LENGTHS = (5, 120, 3, 64, 64)


def parts(row: Row) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    query, key, value = torch.randn(3, row.tokens, 2, 8)
    return query, key, value


def slowly(row: Row, reach: int | None, scaling: float) -> Tensor:
    """Attention token by token."""
    query, key, value = parts(row)
    found = torch.zeros_like(query)
    first = 0
    for length in row.lengths:
        for token in range(first, first + length):
            near = length if reach is None else reach
            seen = slice(max(first, token - near), min(first + length, token + near + 1))
            for head in range(2):
                scores = key[seen, head] @ query[token, head] * scaling
                found[token, head] = scores.softmax(0) @ value[seen, head]
        first += length
    return found


@pytest.mark.parametrize("reach", [None, 1, 40, 200])
@pytest.mark.parametrize("scaling", [1.0, 0.25])
def test_a_row_is_attended_to_window_by_window(reach: int | None, scaling: float) -> None:
    row = Row.of(LENGTHS, torch.device("cpu"))
    query, key, value = parts(row)
    found = attention(query, key, value, row, reach=reach, scaling=scaling, dropout=0)
    torch.testing.assert_close(found, slowly(row, reach, scaling), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("reach", [None, 40])
@pytest.mark.parametrize("amx", [True, False])
def test_bf16_takes_the_kernel_of_the_machine(
    reach: int | None, amx: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_has_amx", lambda: amx)
    row = Row.of(LENGTHS, torch.device("cpu"))
    query, key, value = (one.bfloat16() for one in parts(row))
    found = attention(query, key, value, row, reach=reach, scaling=0.25, dropout=0)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), slowly(row, reach, 0.25), atol=0.03, rtol=0.03)


@pytest.mark.parametrize("reach", [1, 40, 200])
def test_gradients_of_what_lies_around_are_those_of_torch(reach: int) -> None:
    torch.manual_seed(4)
    tokens = torch.randn(2 * rows.BLOCK, 2, 4, requires_grad=True)
    size = reach + rows.BLOCK + reach
    weights = torch.randn(2, 2, size, 4)
    gradients: list[Tensor | None] = []
    for around in (
        rows._Around.apply(tokens, reach),  # type: ignore[no-untyped-call]
        torch.nn.functional.pad(tokens, (0, 0, 0, 0, reach, reach))
        .unfold(0, size, rows.BLOCK)
        .transpose(-1, -2),
    ):
        tokens.grad = None
        (around * weights).sum().backward()
        gradients.append(tokens.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("reach", [None, 40])
def test_the_kernel_for_a_gpu_is_told_where_windows_lie(
    reach: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No GPU in the tests: a stand-in takes its arguments and attends slowly."""

    def varlen(*given: object, scale: float, window_size: tuple[int, int]) -> Tensor:
        _, _, _, borders, same, longest, again = given
        assert borders is same
        assert isinstance(borders, Tensor)
        assert borders.dtype == torch.int32
        assert borders.tolist() == [0, 5, 125, 128, 192, 256]
        assert longest == again == 120
        assert window_size == ((-1, -1) if reach is None else (40, 40))
        return slowly(row, reach, scale)

    row = Row.of(LENGTHS, torch.device("cpu"))
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", varlen)
    query, key, value = parts(row)
    found = rows._varlen(query, key, value, row, reach=reach, scaling=0.25)
    torch.testing.assert_close(found, slowly(row, reach, 0.25))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("reach", [None, 40])
def test_a_gpu_agrees(reach: int | None) -> None:
    row = Row.of(LENGTHS, torch.device("cuda"))
    query, key, value = (one.cuda().bfloat16() for one in parts(row))
    found = attention(query, key, value, row, reach=reach, scaling=0.25, dropout=0)
    slow = slowly(row, reach, 0.25)
    torch.testing.assert_close(found.float().cpu(), slow, atol=0.03, rtol=0.03)


def test_windows_stand_in_slots_of_few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row.of((70, 100, 128, 3, 90), torch.device("cpu"))
    assert row.lengths[-1] == 121  # 391 and it are four blocks
    assert row.slots() == [(128, (70, 100, 128)), (64, (3,)), (128, (90, 121))]
    monkeypatch.setattr(rows, "_by_products", lambda *_: True)
    ours, slow = ([one.requires_grad_() for one in parts(row)] for _ in range(2))
    torch.manual_seed(4)
    weights = torch.randn(row.tokens, 2, 8)
    query, key, value = ours
    found = attention(query, key, value, row, reach=None, scaling=0.25, dropout=0)
    torch.autograd.backward((found * weights).sum())
    first = 0
    for length in row.lengths:
        window = [one[first : first + length].transpose(0, 1) for one in slow]
        scores = window[0] @ window[1].transpose(1, 2) * 0.25
        said = (scores.softmax(-1) @ window[2]).transpose(0, 1)
        torch.autograd.backward((said * weights[first : first + length]).sum())
        first += length
    for mine, theirs in zip(ours, slow, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("most", [8192, 32768])
def test_rows_come_in_few_lengths(most: int) -> None:
    totals = range(most // 2, most)
    sizes = [Row.of((total,), torch.device("cpu")).tokens for total in totals]
    assert len(set(sizes)) <= 50
    assert all(0 <= size - total <= total / 31 for size, total in zip(sizes, totals, strict=True))
