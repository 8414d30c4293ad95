"""Pretraining by the real command: what it leaves, what goes on from it, what it refuses."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from multiclin.corpus.jsonl import read_documents
from tests.commands import MODEL, Work, read_json, succeeded

SETTINGS = [
    *(word for word in MODEL if not word.startswith("window.")),
    *("model.config.embedding_dropout=0.1", "window.size=128", "trainer=cpu", "logger=csv"),
    *("optim.learning_rate=1e-2", "trainer.max_epochs=3", "data.validation.share=0.2"),
    *("callbacks.last.every_n_steps=1", "data.batch_size=3", "trainer.accumulate_grad_batches=2"),
]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return Work(tmp_path_factory.mktemp("pretrain"))


def pretraining(work: Work, name: str, *words: str) -> list[str]:
    places = [f"input={work.corpus}", f"hydra.run.dir={work.folder / name}"]
    return ["pretrain.py", *SETTINGS, *places, *words]


@pytest.fixture(scope="module")
def whole(work: Work) -> Path:
    """A run that nothing happened to."""
    done = succeeded(work.run(*pretraining(work, "whole")))
    lines = done.stderr.splitlines()
    assert lines[1].split() == ["input", "texts", "of", "left-out", "splits", "repeated", "used"]
    assert lines[2].split()[1:] == ["144", "30", "76", "38"]
    assert lines[-1].startswith("to use it: python train.py model.encoder=")
    return work.folder / "whole"


@pytest.mark.slow
def test_a_run_leaves_an_encoder_and_what_it_learned(whole: Path) -> None:
    metrics = read_json(whole / "metrics.json")
    assert (metrics["texts/train"], metrics["texts/validation"]) == (30, 8)
    assert metrics["val/loss"] < 7  # ln 2,000 = 7.6
    assert 0 < metrics["val/accuracy"] < 1
    assert metrics["train/tokens_per_s"] > 0
    there = {path.name for path in whole.iterdir()}
    assert {"checkpoints", "csv", "encoder", "report.html", "split.json", ".hydra"} <= there
    assert {path.name for path in (whole / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    kept = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in (whole / "encoder").iterdir()} == {*kept, "pretraining.json"}


@pytest.mark.slow
def test_no_text_is_in_log_or_report(whole: Path, work: Work) -> None:
    said = (whole / "pretrain.log").read_text("utf-8") + (whole / "report.html").read_text("utf-8")
    texts = [path.read_text("utf-8") for path in work.corpus.rglob("*.txt")]
    lines = {line for text in texts for line in text.splitlines() if len(line) > 20}
    assert len(lines) > 20
    assert not [line for line in lines if line in said]


@pytest.mark.slow
def test_a_training_begins_with_its_encoder(whole: Path, work: Work) -> None:
    words = ["entity=symptom", "trainer.max_epochs=1", "logger=csv", "report=null"]
    training = [word for word in work.training("after", *words) if not word.startswith("model")]
    succeeded(work.run(*training, f"model.encoder={whole / 'encoder'}"))
    about = read_json(work.folder / "after" / "model" / "multiclin.json")["about"]
    assert about["encoder"] == str(whole / "encoder")
    assert not load_file(work.folder / "after" / "model" / "model.safetensors").keys() & {
        "decoder.bias"
    }


@pytest.mark.slow
def test_killed_it_goes_on_and_ends_with_the_same_weights(whole: Path, work: Work) -> None:
    last = work.folder / "killed" / "checkpoints" / "last.ckpt"
    with work.start(*pretraining(work, "killed")) as process:
        while not last.is_file() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    succeeded(work.run(*pretraining(work, "killed", "ckpt_path=last")))
    one, other = (run / "encoder" / "model.safetensors" for run in (whole, last.parents[1]))
    assert one.read_bytes() == other.read_bytes()
    figures = [read_json(run / "metrics.json") for run in (whole, last.parents[1])]
    for one_s in figures:
        one_s.pop("train/tokens_per_s")
    assert figures[0] == figures[1]


@pytest.mark.slow
def test_it_goes_on_with_an_encoder_on_other_texts(whole: Path, work: Work, tmp_path: Path) -> None:
    ids = sorted(path.stem for path in (work.set("train", "symptom") / "txt").glob("*.txt"))
    texts = [{"id": f"n{n}", "text": f"Paciente {n} sin dolor ni fiebre."} for n in range(12)]
    (tmp_path / "notes.jsonl").write_text("\n".join(map(json.dumps, texts)))
    (tmp_path / "ids.txt").write_text(ids[0])
    done = work.run(
        *("pretrain.py", f"input=[{tmp_path / 'notes.jsonl'},{work.corpus}]", "masking=spans"),
        *(f"exclude=[{tmp_path / 'ids.txt'}]", f"model.encoder={whole / 'encoder'}"),
        *("trainer=cpu", "logger=csv", "trainer.max_epochs=1", "report=false", "window.size=64"),
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    succeeded(done)
    assert "begin anew" not in done.stderr
    # The case in both languages and its three versions.
    assert done.stderr.splitlines()[3].split()[3] == "6"
    assert read_json(tmp_path / "run" / "metrics.json")["val/loss"] < 7
    assert len(list(read_documents(tmp_path / "notes.jsonl"))) == 12


@pytest.mark.slow
def test_a_finished_run_is_left_alone(whole: Path, work: Work) -> None:
    again = succeeded(work.run(*pretraining(work, "whole", "ckpt_path=auto")))
    assert "nothing to do" in again.stderr
