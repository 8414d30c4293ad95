from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from multiclin.augmentation import Augmentation, Augmenter
from multiclin.batch import (
    Batch,
    Collate,
    Piece,
    TrainingWindows,
    WindowStream,
)
from multiclin.sampling import Share
from multiclin.store import Store
from multiclin.tagging import SCHEMES, Tagging
from multiclin.windows import IGNORED, Placed, Tokenized, Window, Windowing
from tests import toys

# Collate


def piece(*ids: int, tags: list[list[int]] | None = None) -> Piece:
    gold = None if tags is None else np.array(tags, dtype=np.int8)
    return Piece(np.array(ids, dtype=np.int32), gold, Placed(0, Window(0, len(ids))))


def test_rows_are_padded_on_the_right_with_special_tokens_around() -> None:
    # BERT-like: [CLS] 2, [SEP] 3, [PAD] 0.
    batch = Collate(toys.word_piece())(
        [piece(5, 6, tags=[[1, 2], [0, IGNORED]]), piece(7, tags=[[IGNORED], [1]])]
    )
    assert batch.ids.tolist() == [[2, 5, 6, 3, 0, 0, 0, 0], [2, 7, 3, 0, 0, 0, 0, 0]]
    assert batch.mask.tolist() == [[1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0, 0]]
    assert batch.tags is not None
    assert batch.tags.tolist() == [
        [[-1, 1, 2, -1, -1, -1, -1, -1], [-1, 0, -1, -1, -1, -1, -1, -1]],
        [[-1, -1, -1, -1, -1, -1, -1, -1], [-1, 1, -1, -1, -1, -1, -1, -1]],
    ]
    assert batch.ids.dtype == batch.mask.dtype == batch.tags.dtype == torch.int64
    assert len(batch) == 2


@pytest.mark.parametrize(("tokens", "length"), [(0, 8), (6, 8), (7, 16), (14, 16), (15, 24)])
def test_length_is_the_next_multiple_of_8_with_the_special_tokens(tokens: int, length: int) -> None:
    batch = Collate(toys.word_piece())([piece(*range(tokens)), piece()])
    assert batch.ids.shape == batch.mask.shape == (2, length)
    assert batch.mask.sum(dim=1).tolist() == [tokens + 2, 2]


def test_special_tokens_on_one_side_only() -> None:
    batch = Collate(toys.byte_fallback())([piece(9, tags=[[1]])])  # <s> 1, padded with </s> 2
    assert batch.ids.tolist() == [[1, 9, 2, 2, 2, 2, 2, 2]]
    assert batch.mask.tolist() == [[1, 1, 0, 0, 0, 0, 0, 0]]
    assert batch.tags is not None
    assert batch.tags.tolist() == [[[-1, 1, -1, -1, -1, -1, -1, -1]]]


def test_without_gold_there_are_no_tags() -> None:
    batch = Collate(toys.word_piece())([piece(5), piece(6)])
    assert batch.tags is None
    assert batch.to("cpu").tags is None


def test_a_batch_keeps_its_documents_when_it_moves() -> None:
    [batch] = stream([3])
    moved = batch.to("meta")
    assert moved.ids.device.type == "meta"
    assert (moved.placed, moved.arrivals) == (batch.placed, batch.arrivals)
    assert batch.ids.device.type == "cpu"


# Training


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    rows = (("train", document) for document in toys.documents())
    tagging = Tagging(("DISEASE",), SCHEMES["bio"])
    folder = tmp_path_factory.mktemp("batch") / "store"
    return Store.build(folder, rows, toys.metaspace(), tagging)


def test_training_windows_are_those_of_the_chosen_documents(store: Store) -> None:
    windowing = Windowing(size=10, overlap=3, specials=2)
    windows = TrainingWindows(store, [4, 1], windowing)
    cut = [
        (number, window)
        for number in (4, 1)
        for window in windowing.cut(int(store.lengths[number]))
    ]
    assert len(windows) == len(cut) > 4
    for row, (number, window) in enumerate(cut):
        ids, tags, placed = windows[row]
        expected = store.tokens(number, window)
        assert tags is not None
        assert ids.tolist() == expected[0].tolist()
        assert tags.tolist() == expected[1].tolist()
        assert windows.lengths[row] == len(ids)
        assert placed == (number, window)


@pytest.mark.parametrize(
    ("rows", "shares", "expected"),
    [([4, 1], 1, 1), ([4], 2, 24 / 25), ([1], 2, 26 / 25), ([1], 5, 65 / 25), ([], 5, 0)],
)
def test_a_share_weighs_what_it_has_of_the_labels_of_the_step(
    store: Store, rows: list[int], shares: int, expected: float
) -> None:
    """Two whole documents, of 12 and 13 tokens that are not white space."""
    windows = TrainingWindows(store, range(7), Windowing(size=512, overlap=0, specials=2))
    drawn = windows.__getitems__(Share(rows, [4, 1], shares))
    batch = Collate(toys.metaspace()).share(drawn)
    assert batch.weight == expected
    shown = rows or [4]  # A process without a window computes one that counts nothing.
    assert [piece.ids.tolist() for piece in drawn[0]] == [
        windows[row].ids.tolist() for row in shown
    ]


def test_context_is_read_and_not_trained_on(store: Store) -> None:
    """The outermost two of a window, but not at the edges of the document."""
    windowing = Windowing(size=10, overlap=4, specials=2, context=2)
    plain = replace(windowing, context=0)
    windows, same = TrainingWindows(store, [4], windowing), TrainingWindows(store, [4], plain)
    length = int(store.lengths[4])
    assert len(windows) == len(same) > 2
    for row in range(len(windows)):
        (ids, tags, placed), (whole, gold, _) = windows[row], same[row]
        assert ids.tolist() == whole.tolist()
        assert tags is not None
        assert gold is not None
        first = 2 if placed.window.first else 0
        end = len(ids) - (2 if placed.window.end < length else 0)
        assert tags[:, first:end].tolist() == gold[:, first:end].tolist()
        assert (np.delete(tags, range(first, end), axis=1) == IGNORED).all()


def augmented(store: Store, windowing: Windowing) -> TrainingWindows:
    """All windows of a store, their words in another spelling, which takes more tokens or less."""
    shares = Augmentation(case=0.6, mentions=0.5)
    augmenter = Augmenter(
        shares, store, range(7), toys.metaspace(), SCHEMES["bio"], room=windowing.room, seed=1
    )
    return TrainingWindows(store, range(7), windowing, augmenter)


def test_each_epoch_has_its_windows_in_whatever_share_they_come(store: Store) -> None:
    windows = augmented(store, Windowing())

    def drawn(rows: list[int], epoch: int, shares: int = 1) -> list[list[int]]:
        step = [0, 1, 2, 3]
        pieces, _ = windows.__getitems__(Share(rows, step, shares, (epoch, 0)))
        return [piece.ids.tolist() for piece in pieces]

    first = drawn([0, 1, 2, 3], 0)
    assert drawn([2, 1], 0, 2) == [first[2], first[1]]
    assert drawn([0, 1, 2, 3], 1) != first
    assert [windows[row].ids.tolist() for row in range(4)] != first


def test_shares_weigh_what_is_given_to_the_loss(store: Store) -> None:
    """Their weights are 2 together, by the tokens of the changed windows, not of the texts."""
    windows = augmented(store, Windowing())
    shares = [Share(rows, [0, 1, 2, 3], 2, (3, 0)) for rows in ([0, 1], [2, 3])]
    halves = [windows.__getitems__(share) for share in shares]
    labelled = []
    for pieces, _ in halves:
        tags = [piece.tags for piece in pieces if piece.tags is not None]
        labelled.append(sum(int((one != IGNORED).sum()) for one in tags))
    expected = [2 * count / sum(labelled) for count in labelled]
    assert [weight for _, weight in halves] == expected
    texts = TrainingWindows(store, range(7), Windowing())
    assert texts.__getitems__(Share([0, 1], [0, 1, 2, 3], 2))[1] != expected[0]


def test_no_documents_no_windows(store: Store) -> None:
    assert len(TrainingWindows(store, [], Windowing())) == 0


# Whole documents

WINDOWING = Windowing(size=8, overlap=2, specials=2)


class Toys:
    """Documents of given lengths for `WindowStream`; ids of a document count from 100."""

    def __init__(self, lengths: list[int]) -> None:
        self.lengths = lengths

    def __call__(self, part: int, parts: int) -> Iterator[Tokenized]:
        for number in range(part, len(self.lengths), parts):
            yield toys.tokenized(str(number), self.lengths[number])


def windows_of(
    lengths: list[int], size: int = 4, rank: int = 0, world: int = 1, lookahead: int = 128
) -> WindowStream:
    collate = Collate(toys.word_piece())
    return WindowStream(
        Toys(lengths),
        collate,
        WINDOWING,
        size=size,
        rank=rank,
        world=world,
        lookahead=lookahead,
    )


def stream(lengths: list[int], size: int = 4, lookahead: int = 128) -> list[Batch]:
    return list(windows_of(lengths, size, lookahead=lookahead))


def rows(batches: list[Batch]) -> list[tuple[int, Window, list[int]]]:
    """Document, window and ids between the special tokens of every row, sorted."""
    return sorted(
        (number, window, ids[1 : 1 + window.end - window.first].tolist())
        for batch in batches
        for (number, window), ids in zip(batch.placed, batch.ids, strict=True)
    )


def expected_rows(lengths: list[int]) -> list[tuple[int, Window, list[int]]]:
    return [
        (number, window, list(range(100 + window.first, 100 + window.end)))
        for number, length in enumerate(lengths)
        for window in WINDOWING.cut(length) or [Window(0, 0)]
    ]


def test_short_windows_fill_a_batch_in_greater_number() -> None:
    """With special tokens 4, 4, 4, 4, 6, 8 and 8 of them into 16: four of 4, two of 8, the rest."""
    batches = stream([2, 2, 2, 2, 4, 6, 6], size=2)
    assert [len(batch) for batch in batches] == [4, 2, 1]
    assert [len(batch) for batch in stream([2, 2, 2, 2, 4, 6, 6], size=1)] == [2, 2, 1, 1, 1]


def test_a_stream_counted_by_hand() -> None:
    """Room 6, overlap 2: lengths 7 and 3 give (0, 6), (4, 7) and (0, 3); short windows first."""
    first, second = stream([7, 3], size=2)
    assert first.placed == ((0, Window(4, 7)), (1, Window(0, 3)))
    assert second.placed == ((0, Window(0, 6)),)
    assert first.ids[0].tolist() == [2, 104, 105, 106, 3, 0, 0, 0]
    assert {number: one.document.id for number, one in first.arrivals.items()} == {0: "0", 1: "1"}
    assert second.arrivals == {}
    assert first.tags is not None


def test_the_loss_of_a_validation_leaves_context_out() -> None:
    """12 tokens in windows (0, 8) and (4, 12): 6 of each are counted."""
    windowing = Windowing(size=10, overlap=4, specials=2, context=2)
    collate = Collate(toys.word_piece())
    [batch] = WindowStream(Toys([12]), collate, windowing, size=4)
    assert batch.tags is not None
    labelled = (batch.tags[:, 0] != IGNORED).int()
    assert batch.placed == ((0, Window(0, 8)), (0, Window(4, 12)))
    assert labelled[:, 1:9].tolist() == [[1] * 6 + [0] * 2, [0] * 2 + [1] * 6]


def test_an_empty_document_arrives_with_an_empty_window() -> None:
    [batch] = stream([0])
    assert batch.placed == ((0, Window(0, 0)),)
    assert list(batch.arrivals) == [0]
    assert batch.ids.tolist() == [[2, 3, 0, 0, 0, 0, 0, 0]]


def test_no_documents_no_batches() -> None:
    assert stream([]) == []


lists_of_lengths = st.lists(st.integers(0, 30), max_size=12)


@given(lengths=lists_of_lengths, size=st.integers(1, 5), lookahead=st.integers(1, 13))
def test_batch_size_and_lookahead_change_the_grouping_only(
    lengths: list[int], size: int, lookahead: int
) -> None:
    batches = stream(lengths, size, lookahead)
    assert rows(batches) == expected_rows(lengths)
    room = size * WINDOWING.size
    assert all(len(one) * int(one.mask.sum(1).max()) <= room for one in batches)


@given(lengths=lists_of_lengths, size=st.integers(1, 5), lookahead=st.integers(1, 13))
def test_a_document_arrives_once_with_the_first_of_its_windows(
    lengths: list[int], size: int, lookahead: int
) -> None:
    arrived: dict[int, str] = {}
    for batch in stream(lengths, size, lookahead):
        fresh = {number: one.document.id for number, one in batch.arrivals.items()}
        assert not arrived.keys() & fresh.keys()
        assert fresh.keys() <= {placed.document for placed in batch.placed}
        arrived |= fresh
        assert all(placed.document in arrived for placed in batch.placed)
    assert arrived == {number: str(number) for number in range(len(lengths))}


@given(
    lengths=lists_of_lengths,
    world=st.integers(1, 3),
    workers=st.integers(0, 3),
    lookahead=st.integers(1, 4),
)
def test_every_window_once_over_processes_and_workers(
    lengths: list[int], world: int, workers: int, lookahead: int
) -> None:
    batches: list[Batch] = []
    for rank in range(world):
        for worker in range(max(1, workers)):
            info = SimpleNamespace(id=worker, num_workers=workers) if workers else None
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("multiclin.batch.get_worker_info", lambda info=info: info)
                batches += windows_of(lengths, rank=rank, world=world, lookahead=lookahead)
    assert rows(batches) == expected_rows(lengths)
    arrivals = [(number, one.document.id) for b in batches for number, one in b.arrivals.items()]
    assert sorted(arrivals) == [(number, str(number)) for number in range(len(lengths))]


def test_batches_come_whole_from_real_workers() -> None:
    lengths = [5, 0, 20, 9, 1]
    loader = DataLoader(windows_of(lengths), batch_size=None, num_workers=2)
    batches = list(loader)
    assert rows(batches) == expected_rows(lengths)
    assert all(isinstance(batch, Batch) for batch in batches)
