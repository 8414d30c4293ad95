"""The folds of a sweep as one evaluation: folders written here, counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multiclin.analysis.folds import open_folds
from multiclin.analysis.frames import frames
from multiclin.analysis.runs import save, save_lexicon
from multiclin.analysis.sources import open_system
from multiclin.cli import main
from multiclin.errors import ConfigError
from tests.analysis.toys import pair, row

TOS = ("⟦tos⟧ y ⟦asma⟧", "⟦tos⟧ y asma")


def fold(folder: Path, number: int | None, *ids: str, seed: int = 13, rate: float = 0.1) -> Path:
    """A finished run that found one of the two mentions of each validation document."""
    save(folder, "validation", [pair(id, *TOS) for id in ids])
    save(folder, "test", [pair("t", "⟦tos⟧", "tos")])
    save_lexicon(folder, {"D": {"tos": 1}} if number == 0 else {"D": {"asma": 1}})
    (folder / "metrics.json").write_text("{}", "utf-8")
    config = {
        "entity": {"name": "disease", "labels": {"disease": "D"}},
        "seed": seed,
        "fold": number,
        "data": {"root": "x", "validation": {"folds": 3}},
        "optim": {"learning_rate": rate},
        "hpo": None,
    }
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "config.yaml").write_text(json.dumps(config), "utf-8")
    return folder


def test_every_fold_adds_its_validation_documents(tmp_path: Path) -> None:
    for number, ids in enumerate((["d", "a"], ["b"], ["c"])):
        fold(tmp_path / f"{number}", number, *ids)
    found = open_system(tmp_path)
    assert [gold.id for gold, _ in found.pairs] == ["a", "b", "c", "d"]
    assert (found.split, found.labels) == ("3 folds", ["D"])
    assert found.about["runs"] == [str(tmp_path / f"{number}") for number in range(3)]
    line = row(frames(found)["scores"])
    # One of two found in each of four documents, nothing wrong.
    assert (line["gold"], line["right"], line["precision"], line["recall"]) == (8, 4, 1, 0.5)


def test_a_mention_is_seen_where_the_run_that_found_it_had_it(tmp_path: Path) -> None:
    fold(tmp_path / "0", 0, "a")  # Trained on tos.
    fold(tmp_path / "1", 1, "b")  # Trained on asma.
    mentions = frames(open_system(tmp_path))["mentions"]
    gold = mentions[mentions["side"] == "gold"]
    places = zip(gold["document"], gold["mention"], gold["seen"], strict=True)
    assert list(places) == [("a", "tos", 1), ("a", "asma", 0), ("b", "tos", 0), ("b", "asma", 1)]


def test_a_missing_fold_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, id in enumerate("abc"):
        fold(tmp_path / f"{number}", number, id)
    (tmp_path / "2" / "metrics.json").unlink()
    assert open_system(tmp_path).split == "2 of 3 folds"
    assert f"passed over, not finished: {tmp_path / '2'}" in caplog.text


def test_folds_of_two_systems_or_two_seeds_are_no_evaluation(tmp_path: Path) -> None:
    fold(tmp_path / "x" / "0", 0, "a")
    fold(tmp_path / "x" / "1", 1, "b", rate=0.2)
    with pytest.raises(ConfigError, match=r"not one system:\n  optim.learning_rate: 0.1 in "):
        open_folds(tmp_path / "x")
    fold(tmp_path / "y" / "0", 0, "a")
    fold(tmp_path / "y" / "1", 0, "a", seed=14)
    with pytest.raises(ConfigError, match=r"'a' is validated on in .*0 and in .*1; .* of one seed"):
        open_folds(tmp_path / "y")


def test_runs_that_are_no_folds_are_to_be_named(tmp_path: Path) -> None:
    fold(tmp_path / "0", None, "a")
    fold(tmp_path / "1", None, "a", seed=14)
    with pytest.raises(ConfigError, match="holds 2 runs; name one"):
        open_system(tmp_path)
    for number, id in enumerate("ab"):
        fold(tmp_path / f"fold{number}", number, id)
    with pytest.raises(ConfigError, match="holds 4 runs; name one"):
        open_system(tmp_path)


def test_sweeps_over_folds_are_reported_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "xy":
        for number, id in enumerate("abc"):
            fold(tmp_path / name / f"{number}", number, id)
    assert main(["report", str(tmp_path / "x")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "x" / "report.html")
    assert "Strict F1 on 3 folds <b>0.6667</b>" in (tmp_path / "x" / "report.html").read_text()
    assert main(["compare", str(tmp_path / "x"), str(tmp_path / "y")]) == 0
    assert "+0.0000" in capsys.readouterr().out
