"""How often windows come in an epoch, and in which steps and batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from multiclin.sampling import (
    LengthGroupedBatches,
    Share,
)

# Steps and batches


def test_batches_of_an_epoch_counted_by_hand() -> None:
    """Ten windows by threes in one pool: 3 + 3 + 2 + 2, each of neighbours in length."""
    lengths = np.arange(10)
    batches = list(LengthGroupedBatches(lengths, 3, seed=1))
    assert sorted(batches) == [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9]]
    assert len(LengthGroupedBatches(lengths, 3, seed=1)) == 4


@given(
    windows=st.integers(0, 900),
    size=st.integers(1, 9),
    world=st.integers(1, 4),
    accumulated=st.integers(1, 3),
    epoch=st.integers(0, 9),
)
@example(windows=33, size=4, world=2, accumulated=1, epoch=0)  # One more than a pool.
@example(windows=5, size=1, world=2, accumulated=2, epoch=0)  # Three of four shares are empty.
def test_steps_are_the_same_however_they_are_shared_out(
    windows: int, size: int, world: int, accumulated: int, epoch: int
) -> None:
    lengths = np.random.default_rng(windows).integers(1, 511, windows)

    def shares(rank: int = 0, world: int = 1, accumulated: int = 1) -> list[Share]:
        place = {"rank": rank, "world": world, "accumulated": accumulated}
        sampler = LengthGroupedBatches(lengths, size, seed=1, mixture=None, **place)
        sampler.set_epoch(epoch)
        drawn = list(sampler)
        assert len(drawn) == len(sampler)
        return drawn

    alone = shares()
    assert len(alone) == math.ceil(windows / size)
    assert sorted(row for step in alone for row in step) == list(range(windows))
    ranks = [shares(rank=rank, world=world, accumulated=accumulated) for rank in range(world)]
    for number, step in enumerate(alone):
        batches = slice(number * accumulated, (number + 1) * accumulated)
        of_it = [share for drawn in ranks for share in drawn[batches]]
        assert len(of_it) == world * accumulated
        assert {share.shares for share in of_it} == {len(of_it)}
        assert sorted(row for share in of_it for row in share) == sorted(step)
        assert all(share.step == step.step == list(step) for share in of_it)
        assert max(map(len, of_it)) == math.ceil(math.ceil(len(step) / accumulated) / world)
    assert {len(drawn) for drawn in ranks} == {len(alone) * accumulated}


def test_accumulated_batches_are_of_like_length() -> None:
    """Seven windows, two batches, two processes: 4 and 3 neighbours in length, dealt out."""
    first, second = (
        list(LengthGroupedBatches(np.arange(7), 7, seed=0, rank=rank, world=2, accumulated=2))
        for rank in (0, 1)
    )
    assert (first, second) == ([[0, 2], [4, 6]], [[1, 3], [5]])


def test_order_depends_on_seed_and_epoch_only() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = LengthGroupedBatches(np.arange(200) % 37, 4, seed=seed)
        list(sampler)  # what came before is of no account
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_shares_know_their_epoch_and_step() -> None:
    """Ten windows by threes are four steps, of two batches each."""
    sampler = LengthGroupedBatches(np.arange(10), 3, seed=1, accumulated=2)
    sampler.set_epoch(4)
    moments = [share.moment for share in sampler]
    assert moments == [(4, step) for step in range(4) for _ in range(2)]
    sampler.done = 3
    assert [share.moment for share in sampler] == moments[3:]


def test_one_pass_leaves_out_the_batches_that_were_done() -> None:
    sampler = LengthGroupedBatches(np.arange(12), 3, seed=1)
    whole = list(sampler)
    sampler.done = 3
    assert list(sampler) == whole[3:]
    assert list(sampler) == whole


def test_windows_of_a_batch_are_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(1, 511, 640)
    batches = list(LengthGroupedBatches(lengths, 10, seed=0))
    random = np.arange(640).reshape(64, 10).tolist()

    def padding(chosen: Sequence[list[int]]) -> int:
        return sum(int((lengths[rows].max() - lengths[rows]).sum()) for rows in chosen)

    # Sorted in pools of 80 windows, a batch spans about an eighth of the lengths.
    assert padding(batches) < padding(random) / 6


class Rows(torch.utils.data.Dataset[int]):
    def __len__(self) -> int:
        return 32

    def __getitem__(self, row: int) -> int:
        return row


class Watcher(pl.LightningModule):
    """Trains nothing and keeps the rows of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.epochs: list[list[int]] = []

    def on_train_epoch_start(self) -> None:
        self.epochs.append([])

    def training_step(self, batch: torch.Tensor, _: int) -> None:
        self.epochs[-1] += batch.tolist()

    def configure_optimizers(self) -> None:
        return None


@pytest.mark.filterwarnings("ignore")
def test_lightning_shuffles_every_epoch_anew(tmp_path: Path) -> None:
    batches = LengthGroupedBatches(np.arange(32), 4, seed=0)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=3,
        use_distributed_sampler=False,
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    watcher = Watcher()
    trainer.fit(watcher, DataLoader(Rows(), batch_sampler=batches))
    expected = []
    for epoch in range(3):
        batches.set_epoch(epoch)
        expected.append([row for batch in batches for row in batch])
    assert watcher.epochs == expected
    assert expected[0] != expected[1] != expected[2]
