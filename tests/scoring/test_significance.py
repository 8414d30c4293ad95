from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from multiclin.scoring.counts import Counts
from multiclin.scoring.intervals import Floats, resampling_weights
from multiclin.scoring.significance import compare_f1, holm


def random_counts(generator: np.random.Generator, documents: int) -> tuple[Floats, Floats]:
    """Two systems equally good on the same gold: tp, fp, fn of each."""
    ease = generator.beta(6, 2, documents)
    gold = generator.poisson(10, documents)

    def system() -> Floats:
        tp = generator.binomial(gold, ease)
        return np.stack([tp, generator.poisson(2, documents), gold - tp], axis=1).astype(np.float64)

    return system(), system()


def f1(units: list[tuple[int, int, int]]) -> float:
    return sum((Counts(*unit) for unit in units), Counts()).f1


def test_identical_systems_do_not_differ() -> None:
    counts = [[8, 2, 1], [5, 0, 5], [0, 0, 0]]
    assert compare_f1(counts, counts, rounds=100) == (0.0, 0.0, 0.0, 1.0)


def test_no_documents_show_no_difference() -> None:
    found = compare_f1(np.empty((0, 3)), np.empty((0, 3)), rounds=100)
    assert (found.difference, found.p) == (0.0, 1.0)
    assert np.isnan(found.low)


def test_one_mention_more_in_each_of_six_documents() -> None:
    found = compare_f1([[8, 0, 2]] * 6, [[9, 0, 1]] * 6)
    assert found.difference == pytest.approx(18 / 19 - 16 / 18)
    assert found.low == pytest.approx(found.difference)  # no document says otherwise
    assert found.p == pytest.approx(2 / 64, abs=0.006)  # swap all or none; 3 deviations of drawing


@pytest.mark.parametrize("seed", range(4))
def test_randomisation_agrees_with_all_swaps_counted(seed: int) -> None:
    a, b = np.random.default_rng(seed).integers(0, 6, (2, 7, 3)).tolist()
    seen = abs(f1(b) - f1(a))
    as_large = 0
    for swaps in product([False, True], repeat=7):
        new_a = [y if swap else x for swap, x, y in zip(swaps, a, b, strict=True)]
        new_b = [x if swap else y for swap, x, y in zip(swaps, a, b, strict=True)]
        as_large += abs(f1(new_b) - f1(new_a)) >= seen - 1e-12
    assert compare_f1(a, b).p == pytest.approx(as_large / 2**7, abs=0.015)


def test_the_other_way_round_is_the_mirror_image() -> None:
    a, b = random_counts(np.random.default_rng(5), 40)
    there, back = compare_f1(a, b, rounds=500), compare_f1(b, a, rounds=500)
    assert back.difference == -there.difference
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert back.p == there.p
    assert there.low < there.difference < there.high


def test_documents_that_both_answer_alike_do_not_change_the_p_value() -> None:
    # They are not randomised at all. With gold of their own they dilute the difference, not p.
    a, b = [[8, 0, 2]] * 6, [[9, 0, 1]] * 6
    same = [[5, 1, 1]] * 50
    alone, among_others = compare_f1(a, b), compare_f1(a + same, b + same)
    assert among_others.p == alone.p
    assert 0 < among_others.difference < alone.difference


def test_the_size_of_a_block_does_not_change_the_p_value(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(6)
    a, b = generator.integers(0, 4, (8, 3)), generator.integers(4, 8, (8, 3))
    whole = compare_f1(a, b, rounds=1001)
    monkeypatch.setattr("multiclin.scoring.significance._BLOCK", 70)  # 8 rounds at once, 1 at last
    assert compare_f1(a, b, rounds=1001) == whole
    assert 0.002 < whole.p < 1


def test_equal_systems_are_found_different_as_often_as_the_level_says() -> None:
    generator = np.random.default_rng(8)
    weights = resampling_weights(40, resamples=200)
    ps = np.array(
        [
            compare_f1(*random_counts(generator, 40), rounds=500, weights=weights).p
            for _ in range(300)
        ]
    )
    assert 0.02 <= np.mean(ps < 0.05) <= 0.09
    assert 0.4 <= np.mean(ps < 0.5) <= 0.6


def test_a_clear_difference_has_the_smallest_p_value() -> None:
    found = compare_f1([[5, 3, 5]] * 30, [[8, 1, 2]] * 30, rounds=999)
    assert found.p == 1 / 1000


def test_counts_of_different_documents_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3\) cannot be paired with \(2, 3\)"):
        compare_f1([[1, 0, 0]], [[1, 0, 0]] * 2)


def test_holm() -> None:
    # Sorted .01 * 3, .03 * 2, .04 * 1; the last is raised to the one before it.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
