"""Trainings by many recipes at once, through the real commands: what they leave predicts alike."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from multiclin.corpus.tsv import read_rows
from tests.commands import Work, read_json, succeeded

pytestmark = pytest.mark.slow

WIDE = [
    *("head=crf", "optim.layer_decay=0.9", "trainer.max_epochs=6"),
    *("optim.head_learning_rate=2e-2", "optim.crf_learning_rate=5e-2"),
    *("regularization=r_drop", "regularization.r_drop=0.1", "regularization.fgm=0.1"),
    *("model.config.classifier_dropout=0.1", "model.gradient_checkpointing=true"),
    *("callbacks=[early_stopping,swa]", "callbacks.averaging.start=0.6"),
]
LOW_RANK = [
    *("loss=focal", "loss.smoothing=0.05", "loss.weights={O: 0.5}", "callbacks=ema"),
    *("model.freeze=1", "model.gradient_checkpointing=true"),
    *(["lora=all_linear", "model.lora.r=4"] if find_spec("peft") else ()),
]
ALWAYS = ["entity=symptom", "languages=es", "logger=csv"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """A training, a second that begins with its weights, and what their models predict."""
    work = Work(tmp_path_factory.mktemp("recipes"))
    succeeded(work.run(*work.training("wide", *ALWAYS, *WIDE)))
    begin = f"weights={work.folder / 'wide' / 'model'}"
    words = [*ALWAYS, *LOW_RANK, begin, "trainer.max_epochs=2"]
    succeeded(work.run(*work.training("low_rank", *words)))
    texts = work.set("test", "symptom") / "txt"
    predictions = [
        work.prediction(work.folder / name / model, texts, f"{name}_{Path(model).stem}")
        for name in ("wide", "low_rank")
        for model in ("model", "checkpoints/best.ckpt", "checkpoints/last.ckpt")
    ]
    for done in work.run_all(predictions):
        succeeded(done)
    return work


@pytest.mark.parametrize("name", ["wide", "low_rank"])
def test_a_bundle_and_its_checkpoint_predict_alike(work: Work, name: str) -> None:
    bundle, best, last = (
        read_rows(work.folder / f"{name}_{model}" / "predictions.tsv")
        for model in ("model", "best", "last")
    )
    assert bundle
    assert last
    assert bundle == best == read_rows(work.folder / name / "predictions" / "test.tsv")


def test_a_bundle_is_a_plain_encoder(work: Work) -> None:
    from safetensors import safe_open

    with safe_open(work.folder / "low_rank" / "model" / "model.safetensors", "pt") as weights:
        names = set(weights.keys())
    assert "model.layers.0.attn.Wqkv.weight" in names
    assert not any("lora" in name or "base_layer" in name for name in names)


def test_the_logged_rates_have_the_names_of_their_parts(work: Work) -> None:
    (csv,) = (work.folder / "wide").rglob("metrics.csv")
    heading = csv.read_text("utf-8").splitlines()[0].split(",")
    for part in ("layer_01/matrices", "layer_02/vectors", "classifier/matrices", "heads/matrices"):
        assert f"lr-AdamW/{part}" in heading


def test_a_run_of_low_rank_goes_on(work: Work) -> None:
    """From a copy of its last checkpoint, for an epoch more."""
    other = work.folder / "more" / "checkpoints"
    other.mkdir(parents=True)
    shutil.copy(work.folder / "low_rank" / "checkpoints" / "last.ckpt", other)
    begin = [f"weights={work.folder / 'wide' / 'model'}", "ckpt_path=last"]
    words = [*ALWAYS, *LOW_RANK, *begin, "trainer.max_epochs=3"]
    done = succeeded(work.run(*work.training("more", *words)))
    said = done.stdout + done.stderr
    assert ("epoch 3 of 3" in said, "epoch 2 of 3" in said) == (True, False)
    assert read_json(work.folder / "more" / "metrics.json")["val/strict_f1"] > 0
