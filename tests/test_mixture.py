"""How often windows come in an epoch: temperature, languages of the last epochs, replay."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from multiclin.errors import ConfigError
from multiclin.mixture import Group, Mixture, Sampling, whole_parts
from multiclin.sampling import LengthGroupedBatches

ES, IT = Group("es", ("DISEASE",)), Group("it", ("DISEASE",))
OLD = Group("es", ("DISEASE",), replayed=True)


def mixture(counts: dict[Group, int], **sampling: Any) -> Mixture:  # noqa: ANN401
    groups = [group for group, count in counts.items() for _ in range(count)]
    return Mixture(groups, Sampling(**sampling), seed=1)


@pytest.mark.parametrize(
    ("temperature", "spanish", "italian"),
    [(1, 400, 100), (2, 333, 167), (math.inf, 250, 250), (0.5, 471, 29)],
)
def test_temperature_flattens_the_shares_of_groups(
    temperature: float, spanish: int, italian: int
) -> None:
    """At 2: 20 to 10, so two thirds of 500. At 0.5: 160,000 to 10,000."""
    found = mixture({ES: 400, IT: 100}, temperature=temperature)
    assert found.expected(0) == pytest.approx({ES: spanish, IT: italian}, abs=0.5)
    assert len(found.drawn(0)) == len(found) == 500


def test_the_last_epochs_belong_to_some_languages() -> None:
    """Of ten epochs the last three; as many windows, each Spanish one 5 times."""
    found = mixture({ES: 40, IT: 160}, focus=("es",), last=0.3, epochs=10)
    assert [found.expected(epoch) for epoch in (0, 6)] == [{ES: 40, IT: 160}] * 2
    assert [found.expected(epoch) for epoch in (7, 9)] == [{ES: 200}] * 2
    assert Counter(found.drawn(9).tolist()) == dict.fromkeys(range(40), 5)


@pytest.mark.parametrize(
    ("last", "epochs", "first"), [(0.3, 10, 7), (0.1, 4, 3), (0.5, 3, 1), (1.0, 3, 0)]
)
def test_a_share_of_the_epochs_is_one_at_least(last: float, epochs: int, first: int) -> None:
    assert Sampling(focus=("es",), last=last, epochs=epochs).first_focused == first


def test_replayed_windows_are_a_share_of_each_epoch() -> None:
    """Of 10 in an epoch 3 are replayed, other ones each time; the 7 new ones come all."""
    found = mixture({ES: 7, OLD: 100}, replayed=0.3)
    assert len(found) == 10
    draws = [sorted(found.drawn(epoch).tolist()) for epoch in range(3)]
    for drawn in draws:
        assert drawn[:7] == list(range(7))
        assert len(set(drawn[7:])) == 3
    assert draws[0] != draws[1] != draws[2]


def test_an_older_corpus_keeps_its_share_in_the_last_epochs() -> None:
    found = mixture({ES: 10, IT: 10, OLD: 2}, replayed=0.5, focus=("it",), last=1, epochs=1)
    assert found.expected(0) == {IT: 20, OLD: 20}


def test_a_share_that_is_less_than_a_window_replays_none() -> None:
    found = mixture({ES: 7, OLD: 100}, replayed=0.01)
    assert sorted(found.drawn(0).tolist()) == list(range(7))
    assert len(list(LengthGroupedBatches(np.arange(107), 7, seed=1, mixture=found))) == 1


def test_a_group_of_less_than_a_window_comes_in_some_epochs() -> None:
    """Of 10 windows drawn from 100, 2 of them in a group of their own, 0.2 are of that."""
    few = Group("it", (), replayed=True)
    found = mixture({ES: 10, OLD: 98, few: 2}, replayed=0.5)
    assert found.expected(0) == {ES: 10, OLD: 9.8, few: pytest.approx(0.2)}
    met = sum(n >= 108 for epoch in range(500) for n in found.drawn(epoch).tolist())
    assert 70 < met < 130  # 100, give or take three deviations.


sizes = st.lists(st.integers(1, 40), min_size=1, max_size=5)


@given(sizes, sizes, st.floats(0.2, 20), st.floats(0.05, 0.9), st.integers(0, 3))
def test_windows_of_a_group_come_equally_often_but_for_one(
    new: list[int], old: list[int], temperature: float, share: float, epoch: int
) -> None:
    counts = {Group(str(n), ()): size for n, size in enumerate(new)}
    counts |= {Group(str(n), (), replayed=True): size for n, size in enumerate(old)}
    found = mixture(counts, temperature=temperature, replayed=share)
    drawn, expected = found.drawn(epoch), found.expected(epoch)
    assert len(drawn) == len(found) == round(sum(expected.values()))
    assert sum((drawn < sum(new)).tolist()) == sum(new)
    assert drawn.tolist() == found.drawn(epoch).tolist()
    times = Counter(drawn.tolist())
    for group, windows in found.windows.items():
        mine = [times[n] for n in windows.tolist()]
        assert max(mine) - min(mine) <= 1
        assert abs(sum(mine) - expected[group]) < 1


@given(st.lists(st.floats(0, 1e4), max_size=9), st.floats(0, 1, exclude_max=True))
@example([1.0], math.nextafter(1, 0))
def test_numbers_are_rounded_up_or_down_and_their_sum_stays(
    some: list[float], offset: float
) -> None:
    parts = [*some, math.ceil(sum(some)) - sum(some)]
    found = whole_parts(parts, offset)
    assert sum(found) == math.ceil(sum(some))
    assert all(abs(whole - part) < 1.00001 for whole, part in zip(found, parts, strict=True))
    assert whole_parts([3.0, 0.0, 5.0], offset) == [3, 0, 5]


def test_steps_are_made_of_what_is_drawn_on_any_number_of_processes() -> None:
    found = mixture({ES: 30, IT: 10, OLD: 5}, temperature=3, replayed=0.2)
    lengths = np.arange(45)

    def steps(world: int, epoch: int) -> list[list[int]]:
        ranks = []
        for rank in range(world):
            sampler = LengthGroupedBatches(
                lengths, 4, seed=1, rank=rank, world=world, mixture=found
            )
            sampler.set_epoch(epoch)
            ranks.append(list(sampler))
            assert len(ranks[-1]) == len(sampler) == 13  # 40 and 10 windows, by four.
        return [sorted(n for share in shares for n in share) for shares in zip(*ranks, strict=True)]

    assert steps(1, 2) == steps(3, 2)
    assert sorted(n for step in steps(2, 2) for n in step) == sorted(found.drawn(2).tolist())
    assert steps(1, 2) != steps(1, 3)


def test_a_mixture_in_which_every_window_comes_once_changes_nothing() -> None:
    plain = mixture({ES: 30, IT: 10})
    assert plain.is_plain
    assert list(LengthGroupedBatches(np.arange(40), 4, seed=1, mixture=plain)) == list(
        LengthGroupedBatches(np.arange(40), 4, seed=1)
    )
    assert str(plain) == "every window once"


def test_a_checkpoint_is_told_what_is_drawn() -> None:
    found = mixture({ES: 7, OLD: 9}, temperature=2, focus=("es",), last=0.5, epochs=4)
    assert str(found) == "temperature 2, es from epoch 3, 3 replayed"


def test_the_table_has_a_line_for_each_group() -> None:
    found = mixture({ES: 40, IT: 1_160, OLD: 9}, focus=("es",), last=0.5, epochs=4)
    assert found.table() == [
        ["language", "labels", "windows", "epochs 1 to 2", "epochs 3 to 4"],
        ["es", "DISEASE", "40", "40", "1,200"],
        ["it", "DISEASE", "1,160", "1,160", "0"],
        ["es, replayed", "DISEASE", "9", "514", "514"],
    ]
    assert mixture({ES: 2}, focus=("es",), last=1, epochs=1).table()[0][-1] == "epoch 1"
    assert mixture({ES: 2}).table()[0][-1] == "an epoch has"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0}, "data.sampling.temperature=0 must be above 0"),
        ({"temperature": math.nan}, "must be above 0"),
        ({"replayed": 1.0}, r"data.replay.share=1.0 must be above 0 and below 1"),
        ({"last": 0.0}, r"data.sampling.focus.last=0.0 must be above 0 and at most 1"),
        ({"focus": ("es",)}, "say how many with trainer.max_epochs"),
        ({"focus": ("sv",), "epochs": 3}, "no training documents in sv; there are es, it"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mixture({ES: 1, IT: 1}, **settings)
