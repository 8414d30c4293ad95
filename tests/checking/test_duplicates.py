"""Texts that stand twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from multiclin.checking.check import check
from multiclin.checking.duplicates import PERMUTATIONS, bands_for, jaccard
from tests.checking.trees import found, look, make_set

WORDS = [f"palabra{number}" for number in range(103)]
LONG = " ".join(WORDS)  # 101 shingles


def sentence(*changed: int) -> str:
    """The long text with other words at some places."""
    return " ".join("otra" if at in changed else word for at, word in enumerate(WORDS))


def test_one_text_in_training_and_test(tmp_path: Path) -> None:
    make_set(tmp_path, "es-train-disease", a=("Con tos  seca.", ""))
    make_set(tmp_path, "it-test-disease", b=("con\nTOS seca.", ""))
    checked = check(tmp_path)
    assert found(checked) == {"same_text": [("b.txt", 0)]}
    (finding,) = checked.findings
    assert finding.what == "it has the text of a (MultiClinNER-es-train-disease)"


def test_background_texts_are_on_no_side(tmp_path: Path) -> None:
    make_set(tmp_path, "es-test-disease", a=(LONG, ""))
    make_set(tmp_path, "es-background-disease", b=(LONG, None), c=(sentence(50), None))
    assert look(tmp_path) == {}


def test_versions_for_entities_are_told_once(tmp_path: Path) -> None:
    for entity in ("disease", "symptom"):
        make_set(tmp_path, f"es-train-{entity}", a=(LONG, ""))
        make_set(tmp_path, f"es-test-{entity}", b=(LONG, ""), c=(sentence(50), ""))
    assert look(tmp_path) == {"same_text": [("b.txt", 0)], "near_duplicate": [("c.txt", 0)]}


def test_almost_the_same_text_on_two_sides(tmp_path: Path) -> None:
    make_set(tmp_path, "es-train-disease", a=(LONG, ""), c=(sentence(10), ""))
    make_set(tmp_path, "es-dev-disease", b=(sentence(50), ""))
    checked = check(tmp_path, near=0.93)
    # One other word changes 3 of 101 shingles: 98 of 104 are common. Two others: 95 of 107.
    assert [(one.path.name, one.what) for one in checked.findings] == [
        (
            "b.txt",
            "94% of the shingles of both are common to it and a (MultiClinNER-es-train-disease)",
        )
    ]
    assert check(tmp_path, near=0.95).is_clean
    assert check(tmp_path, near=0.88).findings.counts() == {"near_duplicate": 2}


def test_a_text_twice_in_one_set_is_a_note(tmp_path: Path) -> None:
    make_set(tmp_path, "es-train-disease", a=(LONG, ""), b=(LONG, ""))
    assert look(tmp_path) == {"repeated_text": [("b.txt", 0)]}


def test_one_name_for_two_texts(tmp_path: Path) -> None:
    make_set(tmp_path, "es-train-disease", a=("Con tos.", ""))
    make_set(tmp_path, "es-train-symptom", a=("Con  tos seca.", ""))  # another version: allowed
    make_set(tmp_path, "es-test-disease", a=("Con fiebre.", ""))
    assert look(tmp_path) == {"duplicate_id": [("a.txt", 0)]}


def test_folders_of_plain_files_tell_the_side(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / name / "more").mkdir(parents=True)
        (tmp_path / name / "more" / f"{name}.txt").write_text(LONG)
    assert look(tmp_path) == {"same_text": [("test.txt", 0)]}


@pytest.mark.parametrize("near", [0.1, 0.5, 0.8, 0.95, 1.0])
def test_bands_miss_next_to_nothing_at_the_threshold(near: float) -> None:
    bands, rows = bands_for(near)
    assert bands * rows <= PERMUTATIONS
    assert bands >= 2
    assert (1 - near**rows) ** bands <= 0.001


def test_jaccard() -> None:
    one, other = np.array([1, 2, 3], np.uint32), np.array([2, 3, 4], np.uint32)
    assert jaccard(one, other) == 2 / 4
