"""Two processes do what one does, and end together. Slow: the real commands, over gloo."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from multiclin import processes
from multiclin.errors import LostProcessError
from multiclin.processes import Watch, processes_watched
from tests.commands import Work, read_json, succeeded

Child = subprocess.Popen[bytes]


@pytest.fixture
def child() -> Iterator[Child]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.2)


def trainer_of(*children: Child) -> Any:  # noqa: ANN401 - what is asked of a Trainer
    """A Trainer that has started these processes."""
    launcher = SimpleNamespace(procs=list(children), num_processes=1 + len(children))
    strategy = SimpleNamespace(launcher=launcher)
    return SimpleNamespace(strategy=strategy, world_size=launcher.num_processes)


# Ending together


def test_an_error_ends_the_other_processes_and_lightnings_watch(child: Child) -> None:
    trainer = trainer_of(child)
    watched = trainer.strategy.launcher.procs
    with pytest.raises(ValueError, match="wrong"), processes_watched(trainer):
        raise ValueError("wrong")
    assert watched == []
    assert child.returncode is not None


def test_an_error_of_its_own_stays_what_it_is(child: Child) -> None:
    with pytest.raises(RuntimeError, match="a bug"), processes_watched(trainer_of(child)):
        raise RuntimeError("a bug")


def test_one_process_alone_has_no_others() -> None:
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(launcher=None), world_size=1)
    with pytest.raises(RuntimeError, match="a bug"), processes_watched(trainer):
        raise RuntimeError("a bug")


def test_a_broken_connection_is_told_by_the_process_that_is_gone(child: Child) -> None:
    child.kill()
    message = r"process 1 of 2 was killed \(SIGKILL\)"
    with pytest.raises(LostProcessError, match=message), processes_watched(trainer_of(child)):
        raise RuntimeError("Read error [127.0.0.1]:9103: Connection reset by peer")


def test_a_process_that_has_said_why_it_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "exit(2)"])
    child.wait()
    message = "process 1 of 2 has ended with status 2, for the reason above"
    with pytest.raises(LostProcessError, match=message), processes_watched(trainer_of(child)):
        raise RuntimeError("Connection closed by peer")


@pytest.mark.parametrize("gone", [0, 1])
def test_a_process_that_waits_for_ever_is_ended(
    gone: int, child: Child, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    left: list[int] = []
    trainer = trainer_of(child)
    watch = Watch(trainer.strategy.launcher, trainer.world_size)
    monkeypatch.setattr(os, "_exit", left.append)
    if gone == 0:
        monkeypatch.setattr(os, "getppid", lambda: 1)
    else:
        child.terminate()
    watch.start()
    while not left:
        time.sleep(0.01)
    watch.over.set()
    watch.join()
    assert left[0] == 2
    reason = "process 0 of 2 is gone" if gone == 0 else "process 1 of 2 was ended by SIGTERM"
    assert f"error: {reason}, and without it the others cannot go on\n" in capfd.readouterr().err


# The real commands

TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
TRAINING = ["entity=symptom", "trainer.max_epochs=2", "trainer.precision=32-true", "logger=csv"]
QUIET = ["report=null", "callbacks.last.every_n_steps=3"]
FROZEN = ["optim.learning_rate=0", "+trainer.limit_train_batches=1", "trainer.max_epochs=1"]


def training(work: Work, name: str, *words: str) -> list[str]:
    return work.training(name, *TRAINING, *QUIET, *words)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Trained on one process (`one`) and on two (`two`), at the same time as a second pair.

    `same_one` and `same_two` score the weights of `one`: a single validation document, so one
    process has none, and five test documents.
    """
    work = Work(tmp_path_factory.mktemp("ddp"))
    succeeded(work.run(*training(work, "one")))
    chosen = work.folder / "chosen.txt"
    first = read_json(work.folder / "one" / "split.json")["validation"][0]
    chosen.write_text(first.rpartition("/")[2] + "\n")
    again = [f"weights={work.folder / 'one/model'}", f"data.validation.ids={chosen}", *FROZEN]
    commands = [
        training(work, "two", *TWO),
        training(work, "same_two", *again, *TWO),
        training(work, "same_one", *again),
    ]
    for done in work.run_all(commands):
        succeeded(done)
    return work


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_two_processes_train_what_one_does(work: Work) -> None:
    """Steps of eight windows are four and four; the last ones of an epoch are uneven."""
    one, two = weights(work.folder / "one"), weights(work.folder / "two")
    torch.testing.assert_close(two, one, atol=1e-3, rtol=0)  # Means of means would differ by 0.3.
    said = read_json(work.folder / "two/model/multiclin.json")["about"]["training"]
    assert said == read_json(work.folder / "one/model/multiclin.json")["about"]["training"]
    assert said["effective_batch_size"] == 8


@pytest.mark.slow
def test_two_processes_leave_the_files_of_one(work: Work) -> None:
    assert files(work.folder / "two").keys() == files(work.folder / "one").keys()
    log = (work.folder / "two/train.log").read_text("utf-8")
    assert "an optimizer step is 8 windows: 4 a batch, processes: 2, batches accumulated: 1" in log
    assert [log.count(f"epoch {number} of 2") for number in (1, 2)] == [1, 1]


@pytest.mark.slow
def test_two_processes_score_what_one_does(work: Work) -> None:
    one, two = work.folder / "same_one", work.folder / "same_two"
    assert len(read_json(one / "split.json")["validation"]) == 1
    assert len(read_json(one / "split.json")["test"]) == 5
    assert read_json(two / "metrics.json") == read_json(one / "metrics.json")
    assert 0 < read_json(one / "metrics.json")["test/strict_f1"] < 1
    assert files(two / "predictions") == files(one / "predictions")
    assert files(two / "gold") == files(one / "gold")


@pytest.mark.slow
def test_two_processes_predict_what_one_does(work: Work) -> None:
    """Five documents, and one, which leaves a process without any."""
    texts = work.set("test", "symptom") / "txt"
    (work.folder / "single").mkdir()
    shutil.copy(min(texts.iterdir()), work.folder / "single")
    model, formats = work.folder / "one/model", ["formats=[tsv,brat,jsonl]", "report=null"]
    commands = [
        work.prediction(model, source, f"{name}_{source.name}", *formats, *trainer)
        for source in (texts, work.folder / "single")
        for name, trainer in {"p1": [], "p2": TWO}.items()
    ]
    for done in work.run_all(commands):
        succeeded(done)
    for source, count in {"txt": 5, "single": 1}.items():
        alone = files(work.folder / f"p1_{source}")
        assert len(alone) == 2 + 2 * count
        assert files(work.folder / f"p2_{source}") == alone
    assert not list(work.folder.rglob("train_ddp_process_*"))


@pytest.mark.slow
def test_a_killed_process_ends_the_other_and_the_run_goes_on(work: Work) -> None:
    words = training(work, "killed", *TWO)
    checkpoint = work.folder / "killed/checkpoints/last.ckpt"
    with work.start(*words) as process:
        while not checkpoint.exists():
            time.sleep(0.05)
        found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, check=True)
        (other,) = map(int, found.stdout.split())
        os.kill(other, signal.SIGKILL)
        _, err = process.communicate()
    assert process.returncode == 2, err
    assert "error: process 1 of 2 was killed (SIGKILL)" in err
    assert "Traceback" not in err
    assert not (work.folder / "killed/metrics.json").exists()
    done = succeeded(work.run(*words, "ckpt_path=last"))
    assert "epoch 2 of 2" in done.stderr
    whole = weights(work.folder / "two")
    rest = weights(work.folder / "killed")
    assert [name for name in whole if not torch.equal(whole[name], rest[name])] == []
