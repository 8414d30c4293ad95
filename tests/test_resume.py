"""A training by the real command, killed or told to stop, goes on and ends bit for bit the same.

Processes are forked from one that has imported everything (multiprocessing's forkserver), which
saves seconds for each; what is killed is a process of its own, by SIGKILL.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from multiclin.cli import main
from multiclin.continuing import check_corpus, find_checkpoint, run_folder
from multiclin.errors import CheckpointError, OutputError
from tests.commands import Work

# Which checkpoint


def checkpoint(run: Path, name: str, **content: object) -> Path:
    path = run / "checkpoints" / f"{name}.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"multiclin": {}, "optimizer_states": [], "n": torch.arange(999), **content}, path)
    return path


def config_of(run: Path, ckpt_path: str | Path | None) -> DictConfig:
    ckpt = None if ckpt_path is None else str(ckpt_path)
    return OmegaConf.create({"run_dir": str(run), "ckpt_path": ckpt, "entity": {"name": "disease"}})


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    """Damage one byte in the middle, as a bad disk does."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("asked", ["last", "auto"])
def test_a_run_goes_on_from_its_last_checkpoint(tmp_path: Path, asked: str) -> None:
    checkpoint(tmp_path, "previous")
    last = checkpoint(tmp_path, "last")
    assert find_checkpoint(config_of(tmp_path, asked)) == last


@pytest.mark.parametrize("damage", [cut, flip])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object
) -> None:
    previous, last = checkpoint(tmp_path, "previous"), checkpoint(tmp_path, "last")
    assert callable(damage)
    damage(last)
    assert find_checkpoint(config_of(tmp_path, "last")) == previous
    assert caplog.messages == [
        f"{last} is cut short or damaged: going on from previous.ckpt, saved before it"
    ]


def test_killed_between_two_names_a_run_goes_on_from_the_one_that_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    previous = checkpoint(tmp_path, "previous")
    assert find_checkpoint(config_of(tmp_path, "last")) == previous
    assert caplog.messages == []


def test_a_run_goes_on_with_the_corpus_that_it_began_with(tmp_path: Path) -> None:
    last = checkpoint(tmp_path, "last", NerDataModule={"corpus": "aa"})
    config = config_of(tmp_path, last)
    config.data = {"root": "corpus"}
    check_corpus(config, "aa")
    with pytest.raises(CheckpointError, match=r"another corpus \(digest aa, and data\.root=corpus"):
        check_corpus(config, "bb")


@pytest.mark.parametrize("asked", ["last", "auto"])
def test_two_damaged_checkpoints_are_one_error(tmp_path: Path, asked: str) -> None:
    for name in ("previous", "last"):
        cut(checkpoint(tmp_path, name))
    with pytest.raises(CheckpointError) as caught:
        find_checkpoint(config_of(tmp_path, asked))
    assert str(caught.value).count("is cut short or damaged") == 2
    assert f"weights={tmp_path}/checkpoints/best.ckpt" in str(caught.value)


def test_a_damaged_file_that_was_named_is_an_error(tmp_path: Path) -> None:
    checkpoint(tmp_path, "previous")
    last = checkpoint(tmp_path, "last")
    cut(last)
    with pytest.raises(CheckpointError, match=r"last\.ckpt is cut short or damaged"):
        find_checkpoint(config_of(tmp_path, last))


def test_a_run_killed_before_its_first_checkpoint_begins_anew(tmp_path: Path) -> None:
    run = tmp_path / "disease" / "today"
    (run / ".hydra").mkdir(parents=True)
    (run / "checkpoints").mkdir()
    checkpoint(tmp_path / "disease" / "yesterday", "last")  # Of another run.
    for asked in ("last", "auto"):
        config = config_of(run, asked)
        assert find_checkpoint(config) is None
        assert run_folder(config, None) == run
    with pytest.raises(OutputError, match="holds an unfinished run"):
        run_folder(config_of(run, None), None)


def test_a_new_folder_goes_on_with_the_newest_run_when_asked_for_the_last(tmp_path: Path) -> None:
    new = tmp_path / "disease" / "2026-11-23"
    checkpoint(tmp_path / "disease" / "2026-11-21", "last")
    newest = checkpoint(tmp_path / "disease" / "2026-11-22", "last")
    assert find_checkpoint(config_of(new, "last")) == newest
    assert find_checkpoint(config_of(new, "auto")) is None


# The real command


SETTINGS = [
    *("entity=symptom", "trainer.max_epochs=3", "trainer.accumulate_grad_batches=2"),
    *("model.config.classifier_dropout=0.1", "model.config.embedding_dropout=0.1"),
    *("data.batch_size=3", "callbacks.last.every_n_steps=3", "logger=csv", "report=null"),
]
"""48 optimizer steps, saved at every third, before and after each of 3 validations."""

TRAINING = "an optimizer step is"  # The last line of the log before it begins.


def command(folder: str, errors: str, words: list[str], environment: dict[str, str]) -> None:
    """A command, in a process of its own."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    stream = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # The server ignores it.
    sys.argv = words
    status = main([words[0].removesuffix(".py"), *words[1:]])
    sys.stderr.flush()
    os._exit(status)


@dataclass
class Session:
    """A process of a run, and what it says.

    Attributes:
        process: It.
        errors: File of its messages.
        began: When it began to train.
    """

    process: BaseProcess
    errors: Path
    began: float = 0.0

    def wait_for(self, text: str) -> None:
        """Until it says so, or ends."""
        while self.process.is_alive() and text not in self.said:
            time.sleep(0.01)
        self.began = time.monotonic()

    @property
    def said(self) -> str:
        return self.errors.read_text("utf-8") if self.errors.exists() else ""

    def end(self) -> int:
        """Its status, as a shell counts it."""
        self.process.join()
        status = self.process.exitcode
        assert status is not None
        return status if status >= 0 else 128 - status


@dataclass
class Runs:
    """Runs of one training, each in a folder of its own."""

    work: Work
    sessions: int = 0

    def start(self, name: str, *words: str, **environment: str) -> Session:
        return self.fork(name, self.work.training(name, *SETTINGS, *words), environment)

    def fork(self, name: str, words: list[str], environment: dict[str, str]) -> Session:
        self.sessions += 1
        errors = self.work.folder / f"{name}-{self.sessions}.log"
        arguments = (
            *(str(self.work.folder), str(errors), words),
            {**self.work.environment, **environment},
        )
        process = get_context("forkserver").Process(target=command, args=arguments)
        process.start()
        return Session(process, errors)

    def finish(self, name: str, *words: str) -> Session:
        session = self.start(name, *words)
        session.wait_for(TRAINING)
        assert session.end() == 0, session.said
        return session

    def assert_same(self, name: str) -> None:
        """The run has ended like the one that was not cut off."""
        one, other = self.work.folder / "whole", self.work.folder / name
        for file in ("best", "last"):
            left, right = (
                torch.load(run / "checkpoints" / f"{file}.ckpt", weights_only=True)["state_dict"]
                for run in (one, other)
            )
            assert left.keys() == right.keys()
            assert all(torch.equal(weight, right[key]) for key, weight in left.items()), file
        files = ["metrics.json", "model/model.safetensors", "split.json"]
        files += [f"predictions/{s}.{e}" for s in ("test", "validation") for e in ("tsv", "jsonl")]
        for file in files:
            assert (one / file).read_bytes() == (other / file).read_bytes(), file
        assert {path.name for path in (other / "checkpoints").iterdir()} == {
            "best.ckpt",
            "last.ckpt",
        }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # Of the server, which imports torch.
        get_context("forkserver").set_forkserver_preload(["multiclin.train", "tests.test_resume"])
        runs = Runs(Work(tmp_path_factory.mktemp("resume")))
        yield runs


@pytest.fixture(scope="module")
def seconds(runs: Runs) -> float:
    """The run that nothing happens to, from the begin of its training to its end."""
    session = runs.finish("whole")
    return time.monotonic() - session.began


@pytest.mark.slow
def test_twenty_runs_killed_at_random_end_the_same(runs: Runs, seconds: float) -> None:
    """Killed in training, in validation, in a save, in scoring, two runs at a time."""
    numbers = random.Random(5)
    moments = [numbers.uniform(0, seconds) for _ in range(40)]
    killed: list[str] = []
    lock = threading.Lock()

    def kill(number: int) -> None:
        name = f"killed{number}"
        session = runs.start(name, "ckpt_path=auto")
        session.wait_for(TRAINING)
        time.sleep(moments[number])
        session.process.kill()
        status = session.end()
        if status == 128 + signal.SIGKILL:  # Else it had ended: the machine was quicker this time.
            runs.finish(name, "ckpt_path=auto")
            runs.assert_same(name)
            with lock:
                killed.append(name)

    with ThreadPoolExecutor(2) as pool:
        for start in range(0, 40, 4):
            if len(killed) < 20:
                list(pool.map(kill, range(start, start + 4)))
    assert len(killed) >= 20


@pytest.mark.slow
@pytest.mark.usefixtures("seconds")
@pytest.mark.parametrize(
    ("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["sigterm", "ctrl-c"]
)
def test_a_run_told_to_stop_saves_and_goes_on(runs: Runs, signum: int, status: int) -> None:
    name = f"stopped{signum}"
    session = runs.start(name, "callbacks.last.every_n_steps=null")
    session.wait_for("epoch 1 of 3")
    os.kill(session.process.pid or 0, signum)
    assert session.end() == status
    folder = runs.work.folder / name
    assert "Traceback" not in session.said
    place = f"hydra.run.dir='{folder}' ckpt_path=last"
    assert f"stopped; go on with the same command and {place}\n" in session.said
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert 16 <= saved["global_step"] < 48
    rest = runs.finish(name, "ckpt_path=last")
    assert "epoch 1 of 3" not in rest.said
    runs.assert_same(name)


@pytest.mark.slow
@pytest.mark.usefixtures("seconds")
def test_a_run_told_to_stop_while_it_is_scored_has_not_done_its_work(runs: Runs) -> None:
    session = runs.start("scored")
    session.wait_for("epoch 3 of 3")
    os.kill(session.process.pid or 0, signal.SIGTERM)
    assert session.end() == 143
    runs.finish("scored", "ckpt_path=last")
    runs.assert_same("scored")


@pytest.mark.slow
@pytest.mark.usefixtures("seconds")
def test_slurm_repeats_a_job_that_runs_out_of_time(runs: Runs) -> None:
    """As under `#SBATCH --requeue --signal=USR1@120` and `srun`."""
    tools = runs.work.folder / "tools"
    tools.mkdir()
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" > {tools}/asked\n')
    (tools / "scontrol").chmod(0o755)
    slurm = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        **{"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1"},
        **{"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"},
    }
    session = runs.start("slurm", "ckpt_path=auto", **slurm)
    session.wait_for("epoch 2 of 3")
    os.kill(session.process.pid or 0, signal.SIGUSR1)
    assert session.end() == 138
    assert (tools / "asked").read_text() == "requeue 4711\n"
    assert "SLURM job 4711 is queued again" in session.said
    assert not list((runs.work.folder / "slurm").glob("hpc_ckpt*"))  # Lightning's way of saving.
    again = runs.start("slurm", "ckpt_path=auto", **slurm)
    assert again.end() == 0, again.said
    assert not re.search("epoch [12] of 3", again.said)
    runs.assert_same("slurm")
    once_too_often = runs.start("slurm", "ckpt_path=auto", **slurm)
    assert once_too_often.end() == 0
    assert "holds the finished run: nothing to do" in once_too_often.said


@pytest.mark.slow
@pytest.mark.usefixtures("seconds")
def test_a_checkpoint_cut_short_costs_a_warning(runs: Runs) -> None:
    session = runs.start("cut")
    session.wait_for("epoch 2 of 3")
    session.process.kill()
    session.end()
    last = runs.work.folder / "cut" / "checkpoints" / "last.ckpt"
    if last.exists():
        cut(last)
    rest = runs.finish("cut", "ckpt_path=last")
    assert "going on from previous.ckpt" in rest.said
    runs.assert_same("cut")


@pytest.mark.slow
def test_auto_needs_a_folder_that_stays_the_same(runs: Runs) -> None:
    session = runs.fork("auto", ["train.py", "ckpt_path=auto", "data.root=nowhere"], {})
    assert session.end() == 2
    assert session.said == (
        "error: ckpt_path=auto goes on in the folder of the run: say which, hydra.run.dir=DIR\n"
    )
