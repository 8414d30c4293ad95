"""Masked windows: drawn anew in each epoch, the same whoever draws them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from multiclin.batch import Batch
from multiclin.corpus.unlabelled import UnlabelledTexts
from multiclin.loading import Loading
from multiclin.pretraining_data import HeldOutWindows, MaskedWindows, PretrainingData
from multiclin.sampling import Share
from multiclin.splitting import Splitting
from multiclin.windows import IGNORED
from tests.test_language_model import toy_language_model
from tests.toy_models import CASES, marked


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve texts of two languages."""
    root = tmp_path_factory.mktemp("texts")
    for number, text in enumerate(CASES):
        for language in ("es", "it"):
            line = f"{marked(text).text} {language}\n"
            (root / f"{language}-{number}.txt").write_text(line * 3)
    return root


def opened(folder: Path, cache: Path, workers: int = 0, step: int = 2) -> PretrainingData:
    data = PretrainingData(
        UnlabelledTexts((folder,)),
        toy_language_model(),
        Splitting(0.2, 13, "all"),
        Loading(step, 2, 7, workers),
        cache,
    )
    data.prepare_data()
    data.setup()
    return data


@pytest.fixture(scope="module")
def data(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> PretrainingData:
    return opened(folder, tmp_path_factory.mktemp("cache"))


def drawn(batches: Iterable[Batch]) -> dict[object, tuple[list[int], list[int]]]:
    """By its place, what each window reads and has to find."""

    def listed(row: Tensor) -> list[int]:
        values: list[int] = row.tolist()
        return values

    return {
        place: (listed(ids), listed(tags[0]))
        for batch in batches
        if batch.tags is not None
        for place, ids, tags in zip(batch.placed, batch.ids, batch.tags, strict=True)
    }


def test_cases_are_held_out_in_every_language(data: PretrainingData) -> None:
    held = [data.store.entries[n] for n in data.split["validation"]]
    assert sorted(one.language for one in held) == ["es", "it"]
    assert len(data.split["train"]) + len(data.split["validation"]) == 12
    assert data.split["test"] == []
    assert sum(data.tokens().values()) == data.store.lengths.sum()


def test_what_is_masked_is_to_be_found(data: PretrainingData) -> None:
    mask = data.subwords.mask
    masked = 0
    for batch in data.train_dataloader():
        assert batch.tags is not None
        labels = batch.tags[:, 0]
        assert not (labels[(batch.ids != mask)] >= 0).all()
        assert (labels[batch.ids == mask] != IGNORED).all()
        assert (labels[:, 0] == IGNORED).all()  # <s>
        masked += int((labels != IGNORED).sum())
    # Neither line ends nor characters that no training text holds.
    stored = [data.store.tokenized(number) for number in data.split["train"]]
    known = [np.isin(one.ids, data.subwords.ordinary) & (one.starts < one.ends) for one in stored]
    assert masked / sum(map(np.count_nonzero, known)) == pytest.approx(0.3, abs=0.03)


def test_each_epoch_has_masks_of_its_own(data: PretrainingData) -> None:
    loader = data.train_dataloader()
    first, again = drawn(loader), drawn(loader)
    loader.batch_sampler.set_epoch(1)  # type: ignore[union-attr]
    second = drawn(loader)
    assert first == again
    assert first.keys() == second.keys()
    assert sum(first[place] != second[place] for place in first) > len(first) * 0.8


def test_workers_draw_the_same_masks(data: PretrainingData, folder: Path) -> None:
    loaders = [one.train_dataloader() for one in (data, opened(folder, data.cache, workers=1))]
    for loader in loaders:
        loader.batch_sampler.set_epoch(2)  # type: ignore[union-attr]
    one, other = map(drawn, loaders)
    assert one == other


def test_validation_has_the_same_masks_always(data: PretrainingData) -> None:
    first = drawn(data.val_dataloader())
    drawn(data.train_dataloader())
    assert drawn(data.val_dataloader()) == first
    assert len({place.document for place in first}) == 2  # type: ignore[attr-defined]


def test_processes_share_the_validation_out(data: PretrainingData) -> None:
    windows = data._windows(MaskedWindows, "train")
    held = data._windows(HeldOutWindows, "train")
    whole = held.batches(4, 0, 1)
    parts = [held.batches(4, rank, 3) for rank in range(3)]
    assert sorted(row for part in parts for batch in part for row in batch) == list(
        range(len(windows))
    )
    assert sum(map(len, parts)) == len(whole)
    assert all(sum(held.lengths[batch] + 2) <= 4 * 24 for batch in whole)


def test_a_share_weighs_what_is_masked_in_it(data: PretrainingData) -> None:
    windows = data._windows(MaskedWindows, "train")
    step = [0, 1, 2, 3]
    weights, counts = [], []
    for rows in ([0, 1], [2, 3]):
        pieces, weight = windows.__getitems__(Share(rows, step, 2, (5, 0)))
        weights.append(weight)
        counts.append(
            sum(int((piece.tags != IGNORED).sum()) for piece in pieces if piece.tags is not None)
        )
    assert weights == [2 * one / sum(counts) for one in counts]


def test_a_run_goes_on_with_the_digest_of_its_texts(data: PretrainingData) -> None:
    assert data.source.digest == UnlabelledTexts(data.source.inputs).digest  # type: ignore[attr-defined]
    assert torch.is_tensor(next(iter(data.val_dataloader())).ids)
