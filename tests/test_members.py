"""Who is asked, and whether all of them find the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multiclin.errors import CheckpointError, ConfigError
from multiclin.members import Member, check_alike, check_said, members_of


def bundle(folder: Path, labels: list[str], scheme: str = "bio") -> Path:
    folder.mkdir(parents=True)
    said = {"recipe": {"labels": labels, "scheme": scheme}}
    (folder / "multiclin.json").write_text(json.dumps(said))
    return folder


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    return bundle(tmp_path / "a" / "model", ["X"]), bundle(tmp_path / "b", ["X"])


def test_who_is_named_twice_counts_double(models: tuple[Path, Path]) -> None:
    a, b = models
    assert members_of(str(b)) == [Member(b, 1)]
    # A run is its bundle.
    assert members_of([str(a.parent), b, str(a)]) == [Member(a, 2), Member(b, 1)]
    assert members_of(f"[{a}, {b}]") == [Member(a, 1), Member(b, 1)]


def test_weights_have_no_common_divisor(models: tuple[Path, Path]) -> None:
    a, b = models
    assert members_of([a, a]) == members_of([a])
    assert members_of([a, b, a, b, a, a]) == [Member(a, 2), Member(b, 1)]


@pytest.mark.parametrize("ckpt", [[], "", "[]", [""], ["a", 3], {"a": 1}, None])
def test_what_names_no_model_is_refused(ckpt: object) -> None:
    with pytest.raises(ConfigError, match="give a checkpoint"):
        members_of(ckpt)


def test_a_member_that_is_not_there_is_named(models: tuple[Path, Path]) -> None:
    with pytest.raises(CheckpointError, match="ckpt=nowhere does not exist"):
        members_of([models[0], "nowhere"])


def test_other_labels_and_other_schemes_are_refused() -> None:
    first = {"labels": ("X", "Y"), "scheme": "bio"}
    check_alike({Path("a"): first, Path("b"): {**first, "labels": ["X", "Y"]}})
    with pytest.raises(CheckpointError, match="labels: Y, X in b, X, Y in a"):
        check_alike({Path("a"): first, Path("b"): {**first, "labels": ("Y", "X")}})
    with pytest.raises(CheckpointError, match="scheme: bioes in b, bio in a"):
        check_alike({Path("a"): first, Path("b"): {**first, "scheme": "bioes"}})
    with pytest.raises(CheckpointError, match="layers: 2 in b, 1 in a"):
        check_alike({Path("a"): first, Path("b"): {**first, "layers": 2}})


def test_bundles_say_so_before_they_are_loaded(tmp_path: Path) -> None:
    paths = [bundle(tmp_path / name, labels) for name, labels in (("a", ["X"]), ("b", ["X", "Y"]))]
    broken = bundle(tmp_path / "c", ["X"])
    (broken / "multiclin.json").write_text('{"recipe": 3}')
    check_said(members_of([paths[0], broken]))  # Left to whoever loads it.
    with pytest.raises(CheckpointError, match="labels: X, Y in"):
        check_said(members_of([broken, *paths]))
