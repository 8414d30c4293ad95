"""What can be refused without torch is refused before it is imported."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError

from multiclin.corpus.sample import generate
from multiclin.errors import ConfigError
from multiclin.opening import check_choices, check_training
from tests.commands import ROOT

HEAVY = ("torch", "transformers", "pytorch_lightning", "pandas", "optuna", "wandb")

CODE = """
import contextlib, io, json, sys
from multiclin.cli import main

for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(json.loads(line))
        except SystemExit as stop:
            status = stop.code
    loaded = [name for name in %s if name in sys.modules]
    print(json.dumps([status, out.getvalue() + err.getvalue(), loaded]))
"""

SECONDS = 3.0
"""Of CPU time, for one command; it takes 0.6 where nothing else runs."""

Answer = tuple[int, str, list[str]]


def answers(commands: list[list[str]], folder: Path) -> list[Answer]:
    """Status, output, and heavy modules so far, of commands in one fresh process."""
    run = subprocess.run(
        [sys.executable, "-c", CODE % repr(HEAVY)],
        input="\n".join(map(json.dumps, commands)),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return [tuple(json.loads(line)) for line in run.stdout.splitlines()]


def seconds(command: list[str], folder: Path) -> float:
    """CPU time of a command in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answers([command], folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, a finished run, texts and predictions."""
    folder = tmp_path_factory.mktemp("place")
    generate(folder / "corpus", documents=6, seed=1, languages=["es"])
    (folder / "run" / "model").mkdir(parents=True)
    (folder / "run" / "model" / "multiclin.json").write_text("{}")
    for name in ("tos", "fiebre"):
        (folder / name).mkdir()
        said = {"recipe": {"labels": [name.upper()], "scheme": "bio"}}
        (folder / name / "multiclin.json").write_text(json.dumps(said))
    (folder / "pretrained" / "encoder").mkdir(parents=True)
    (folder / "encoder").mkdir()
    roberta = {"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}
    (folder / "encoder" / "config.json").write_text(json.dumps(roberta))
    (folder / "texts").mkdir()
    (folder / "texts" / "one.txt").write_text("Tos seca.")
    (folder / "done").mkdir()
    (folder / "done" / "predictions.tsv").touch()
    return folder


PRETRAIN = ["pretrain", "input=texts", "model=tiny", "hydra.run.dir=new"]
PREDICT = ["predict", "ckpt=run", "input=texts", "output=new"]
TRAIN = ["train", "data.root=corpus", "model=tiny", "hydra.run.dir=new"]

REFUSED: list[tuple[list[str], str]] = [
    (["train", "entiti=disease"], "did you mean entity?"),
    ([*TRAIN, "data.root=nowhere"], "nowhere: no such folder"),
    ([*TRAIN, "data=brat", "data.root=nowhere"], "nowhere: no such file or folder"),
    ([*TRAIN, "languages=it"], "language 'it' is not among the sets found: es"),
    ([*TRAIN, "data.validation.evaluate_on=it"], "the corpus has no it"),
    ([*TRAIN, "data.validation.ids=nowhere"], "nowhere: cannot be read"),
    ([*TRAIN, "fold=7"], "fold=7 is none of the 5 folds"),
    ([*TRAIN, "data.batch_size=0"], "data.batch_size=0: give a whole number"),
    ([*TRAIN, "data.fraction=0"], "data.fraction=0.0 must be above 0"),
    ([*TRAIN, "data.sampling.temperature=0"], "data.sampling.temperature=0.0 must be above 0"),
    ([*TRAIN, "data.sampling.focus.languages=sv"], "no training documents in sv; there are es"),
    ([*TRAIN, "data.replay.root=corpus"], "a model that begins anew has nothing to forget"),
    ([*TRAIN, "weights=run", "data.replay.root=nowhere"], "nowhere: no such file or folder"),
    ([*TRAIN, "trainer.precision=bf16-true"], "say bf16-mixed"),
    ([*TRAIN, "window.context=65"], "window.context=65 must be at least 0 and at most half of"),
    ([*TRAIN, "augmentation=noise", "augmentation.case=2"], "augmentation.case=2.0: give a share"),
    ([*TRAIN, "tagging.scheme=bilou"], "choose from bio, bioes"),
    ([*TRAIN, "head=crf", "loss=focal"], "head=crf has a loss of its own"),
    ([*TRAIN, "weights=nowhere"], "nowhere does not exist"),
    ([*TRAIN, "ckpt_path=nowhere"], "nowhere is not there"),
    ([*TRAIN, "model.encoder=./nowhere"], "there is no such directory"),
    ([*TRAIN, "hydra.run.dir=run"], "run holds a finished run"),
    ([*PRETRAIN, "input=nowhere"], "nowhere: no such file or folder"),
    ([*PRETRAIN, "input=[texts,done]"], "done: no .txt file here or in any folder below"),
    ([*PRETRAIN, "exclude=[nowhere]"], "nowhere: no such file or folder"),
    ([*PRETRAIN, "masking=word"], "did you mean masking=words?"),
    ([*PRETRAIN, "masking.share=2"], "masking.share=2.0 must be above 0 and at most 1"),
    ([*PRETRAIN, "window.size=9000"], "longer than the 8192 positions of this encoder"),
    (
        ["pretrain", "input=texts", "window.size=600", "model.encoder=encoder"],
        "longer than the 512 positions",
    ),
    ([*PRETRAIN, "optim.layer_decay=0.9"], "layer_decay=0.9 is a setting of train.py"),
    ([*PRETRAIN, "window.overlap=510"], "window.overlap=510 must be at least 0 and smaller"),
    ([*PRETRAIN, "data.validation.share=1"], "data.validation.share=1.0 must be from 0"),
    ([*PRETRAIN, "callbacks=early_stopping"], "val/strict_f1 is no figure of a pretraining"),
    ([*PRETRAIN, "model.encoder=./nowhere"], "there is no such directory"),
    ([*PRETRAIN, "hydra.run.dir=pretrained"], "pretrained/encoder to go on from its weights"),
    ([*PREDICT, "ckpt=nowhere"], "nowhere does not exist"),
    ([*PREDICT, "ckpt=[]"], "give a checkpoint"),
    ([*PREDICT, "ckpt=[run,nowhere]"], "nowhere does not exist"),
    ([*PREDICT, "ckpt=[tos,run,fiebre]"], "labels: FIEBRE in fiebre, TOS in tos"),
    (["ensemble", "select", "run", "nowhere"], "nowhere does not exist"),
    (["ensemble", "soup", "tos", "fiebre", "--output", "new"], "labels: FIEBRE in fiebre"),
    ([*PREDICT, "input=nowhere"], "nowhere: no such file or folder"),
    ([*PREDICT, "output=done"], "exists already"),
    ([*PREDICT, "formats=[xml]"], "formats=xml is unknown"),
    (["evaluate", "gold=nowhere", "pred=done"], "check gold="),
    (["corpus", "check", "nowhere"], "nowhere"),
]


@pytest.fixture(scope="module")
def refusals(place: Path) -> list[Answer]:
    return answers([command for command, _ in REFUSED], place)


@pytest.mark.parametrize("number", range(len(REFUSED)), ids=lambda n: " ".join(REFUSED[n][0][::4]))
def test_a_mistake_is_told_before_torch_is_there(refusals: list[Answer], number: int) -> None:
    status, said, loaded = refusals[number]
    assert (status, loaded) == (2, [])
    assert REFUSED[number][1] in said


def test_help_and_scores_need_nothing_heavy(place: Path) -> None:
    gold = next(place.rglob("MultiClinNER-es-test-disease/tsv/*.tsv"))
    commands = [
        ["--help"],
        *(
            [*task, "--help"]
            for task in (["train"], ["pretrain"], ["predict"], ["evaluate"], ["corpus"])
        ),
        *(["corpus", tool, "--help"] for tool in ("check", "consolidate", "download", "stats")),
        ["report", "--help"],
        ["ensemble", "select", "--help"],
        ["evaluate", f"gold={gold}", f"pred={gold}"],
        ["corpus", "find", "corpus"],
    ]
    assert [(status, loaded) for status, _, loaded in answers(commands, place)] == [
        (0, []) for _ in commands
    ]


@pytest.mark.parametrize(
    "command",
    [["train", "--help"], ["train", "data.root=nowhere"], [*PREDICT, "ckpt=nowhere"]],
    ids=" ".join,
)
def test_an_answer_takes_no_time(place: Path, command: list[str]) -> None:
    assert seconds(command, place) < SECONDS


def test_a_finished_run_needs_nothing_any_more(place: Path) -> None:
    finished = {"run_dir": str(place / "run"), "ckpt_path": "auto"}  # no corpus, no model
    assert (place / "run" / "model").is_dir()
    check_training(OmegaConf.create(finished))
    with pytest.raises(ConfigAttributeError):
        check_training(OmegaConf.create({**finished, "run_dir": str(place / "new")}))


def test_a_prediction_leaves_decoding_to_the_model() -> None:
    check_choices(OmegaConf.create({"decoding": {"snapping": None}}))
    with pytest.raises(ConfigError, match="choose from none, paper, words"):
        check_choices(OmegaConf.create({"decoding": {"snapping": "word"}}))
