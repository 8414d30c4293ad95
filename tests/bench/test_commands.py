"""`multiclin bench` on a toy model: what is refused, and that all run; nothing is timed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from multiclin.bench import races
from multiclin.bench.entry import enter, read_texts
from multiclin.bench.race import Task, once
from multiclin.bundle import load_model, save_bundle
from multiclin.cli import main
from multiclin.corpus.brat import format_ann
from multiclin.errors import CorpusError, LostProcessError, MulticlinError
from tests.toy_models import CASES, marked, toy_model


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    save_bundle(toy_model(), tmp_path / "model", "")
    return tmp_path / "model"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Annotated documents of some windows each."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for number, text in enumerate(CASES):
        one = marked(" ".join([text] * 6), f"case-{number}", "DISEASE")
        (folder / f"{one.id}.txt").write_bytes(one.text.encode())
        (folder / f"{one.id}.ann").write_bytes(format_ann(one).encode())
    return folder


def bench(output: Path, *words: str | Path) -> dict[str, Any]:
    """What the command measures in one round, on one core."""
    rest = ["--rounds", "1", "--threads", "1", "--batch", "2", "--output", str(output)]
    assert main(["bench", *map(str, words), *rest]) == 0
    content: dict[str, Any] = json.loads(output.read_text("utf-8"))
    return content


def titles(content: dict[str, Any]) -> list[list[str]]:
    return [[one["name"] for one in race["contestants"]] for race in content["races"]]


def test_an_output_that_is_there_is_refused_before_the_race(
    tmp_path: Path, bundle: Path, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.json").write_text("old")
    words = ["bench", "predict", str(bundle), str(texts), "--output", str(tmp_path / "old.json")]
    assert main(words) == 2
    assert "old.json exists already" in capsys.readouterr().err
    assert (tmp_path / "old.json").read_text() == "old"


def test_the_trainer_needs_accelerate(
    bundle: Path,
    texts: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(races, "find_spec", lambda _: None)
    assert main(["bench", "train", str(bundle), str(texts)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "pip install 'multiclin[bench]'" in said[0]


def test_the_first_texts_are_taken(texts: Path) -> None:
    assert [one.id for one in read_texts(texts, 2)] == ["case-0", "case-1"]
    assert len(read_texts(texts, None)) == len(CASES)


def test_a_text_that_cannot_be_read_is_told(texts: Path) -> None:
    (texts / "bad.txt").write_bytes(b"\xff")
    with pytest.raises(CorpusError, match=r"bad\.txt"):
        read_texts(texts, None)


def test_a_random_model_finds_few_mentions(bundle: Path, texts: Path, tmp_path: Path) -> None:
    documents = read_texts(texts, None)
    entry = enter(bundle, tmp_path / "race", size="tiny", texts=documents)
    model = load_model(entry.model)
    longest = max(documents, key=lambda one: len(one.text))
    (one,) = model.subwords.tokenize([longest])
    ids = torch.from_numpy(one.ids[: model.windowing.room]).long()[None]
    model.tagger.eval()
    with torch.no_grad():
        tags = model.tagger(ids, torch.ones_like(ids))[0].argmax(dim=1).numpy()
    assert 0 < np.sum(tags != 0) <= 2  # One in twenty, of 22 tokens.
    assert entry.documents == len(CASES)
    assert "tiny with random weights" in entry.title


@pytest.mark.slow
def test_prediction(bundle: Path, texts: Path, tmp_path: Path) -> None:
    content = bench(tmp_path / "out.json", "predict", bundle, texts, "--limit", "2")
    peers = ["pipeline fp32", "pipeline bf16", "multiclin fp32", "multiclin bf16"]
    assert titles(content) == [peers, peers]
    assert content["documents"] == 2
    for race in content["races"]:
        assert all(one["rounds"][0]["tokens_per_second"] > 0 for one in race["contestants"])
        assert list(race["contestants"][2]["times"]) == peers[:2]
    (ours,) = content["races"][0]["contestants"][2]["rounds"]
    (written,) = content["races"][1]["contestants"][2]["rounds"]
    same = content["agreement"]
    assert ours["spans"] == written["spans"] == same["ours"] == same["both"] == same["padded"] > 0


@pytest.mark.slow
def test_training(bundle: Path, texts: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    settings = ["--settings", "data=brat", "entity=all", "data.validation.share=0"]
    content = bench(tmp_path / "out.json", "train", bundle, texts, "--steps", "2", *settings)
    peers = ["Trainer fp32", "Trainer bf16", "multiclin fp32", "multiclin bf16"]
    assert titles(content) == [peers]
    for one in content["races"][0]["contestants"]:
        # Two steps of two windows, each of at most 24 tokens.
        assert 0 < one["rounds"][0]["tokens"] <= 4 * 24


@pytest.mark.slow
def test_stages(bundle: Path, texts: Path, tmp_path: Path) -> None:
    content = bench(tmp_path / "out.json", "stages", bundle, texts, "--limit", "2", "--steps", "2")
    prediction, training, bound = (race["contestants"][1]["rounds"][0] for race in content["races"])
    stages = ["tokenize", "windows", "forward", "merge", "decode", "snap", "write"]
    assert list(prediction["stages"]) == stages
    assert sorted(training["stages"]) == ["backward", "batch", "forward", "optimizer"]
    assert prediction["flops"] > 0 < training["flops"]
    assert 0 < bound["prediction"] <= bound["machine"] >= bound["training"] > 0


@pytest.mark.slow
def test_a_contestant_that_cannot_load_ends_the_race(bundle: Path, tmp_path: Path) -> None:
    task = Task("multiclin", str(tmp_path), str(bundle), str(tmp_path / "none.jsonl"))
    with pytest.raises(MulticlinError, match=r"none\.jsonl: cannot be read"):
        once(task)
    with pytest.raises(LostProcessError, match="pipeline fp32 has ended with status 1: FileNot"):
        once(Task("pipeline", str(tmp_path), str(tmp_path / "none"), ""))
