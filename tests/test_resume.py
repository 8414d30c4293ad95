"""A training by the real command, killed or told to stop, goes on and ends bit for bit the same.

Processes are forked from one that has imported everything (multiprocessing's forkserver), which
saves seconds for each; what is killed is a process of its own, by SIGKILL.
"""

from __future__ import annotations

import csv
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, wraps
from itertools import count
from multiprocessing import get_context, set_start_method
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from multiclin.cli import main
from multiclin.continuing import check_corpus, check_folder, find_checkpoint, run_folder
from multiclin.errors import CheckpointError, OutputError
from multiclin.module import NerModule
from multiclin.sweeps import summary
from multiclin.tables import as_text
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
        check_folder(config_of(run, None), run)


def test_a_new_folder_goes_on_with_the_newest_run_when_asked_for_the_last(tmp_path: Path) -> None:
    new = tmp_path / "disease" / "2026-11-23"
    checkpoint(tmp_path / "disease" / "2026-11-21", "last")
    newest = checkpoint(tmp_path / "disease" / "2026-11-22", "last")
    assert find_checkpoint(config_of(new, "last")) == newest
    assert find_checkpoint(config_of(new, "auto")) is None


# The real command


SETTINGS = [
    *("entity=symptom", "languages=es", "model.config.num_hidden_layers=1"),
    *("model.config.classifier_dropout=0.1", "model.config.embedding_dropout=0.1"),
    *("data.batch_size=3", "trainer.accumulate_grad_batches=2", "logger=csv", "report=null"),
    *("trainer.log_every_n_steps=1", "+logger.csv.flush_logs_every_n_steps=1"),
]
"""A step takes milliseconds and leaves a line in metrics.csv."""

COURSES = {
    # Ended by its fifth validation, in the middle of the third epoch of nine.
    "stopping": [
        *("callbacks=early_stopping", "callbacks.early_stopping.patience=4"),
        *("+callbacks.early_stopping.min_delta=2", "trainer.val_check_interval=0.5"),
        *("trainer.max_epochs=9", "callbacks.last.every_n_steps=3"),
    ],
    "workers": ["data.workers=2", "trainer.max_epochs=2", "callbacks.last.every_n_steps=1"],
}

Moment = tuple[str, int, int]
"""A signal to oneself: the step of the module that it interrupts, at which call of it, which."""


def command(
    folder: str, errors: str, words: list[str], environment: dict[str, str], moment: Moment | None
) -> None:
    """A command, in a process of its own."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    stream = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # The server ignores it.
    set_start_method("fork", force=True)  # Of the workers: the default where no server is.
    if moment:
        interrupt(*moment)
    sys.argv = words
    status = main([words[0].removesuffix(".py"), *words[1:]])
    sys.stderr.flush()
    os._exit(status)


def interrupt(step: str, number: int, signum: int) -> None:
    """Let a step of the module be interrupted by a signal at one of its calls."""
    method, calls = getattr(NerModule, step), count(1)

    @wraps(method)
    def interrupted(*arguments: object) -> object:
        if next(calls) == number:
            os.kill(os.getpid(), signum)
        return method(*arguments)

    setattr(NerModule, step, interrupted)


@dataclass
class Session:
    """A process of a run, and what it says.

    Attributes:
        process: It.
        errors: File of its messages.
    """

    process: BaseProcess
    errors: Path

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
    """Runs of one training, each in a folder of its own; the one called `whole` is not cut off."""

    work: Work
    course: str
    sessions: int = 0

    def folder(self, name: str) -> Path:
        return self.work.folder / self.course / name

    def start(
        self,
        name: str,
        *words: str,
        environment: dict[str, str] | None = None,
        moment: Moment | None = None,
    ) -> Session:
        settings = [*SETTINGS, *COURSES[self.course], *words]
        training = self.work.training(f"{self.course}/{name}", *settings)
        return self.fork(name, training, environment, moment)

    def fork(
        self,
        name: str,
        words: list[str],
        environment: dict[str, str] | None = None,
        moment: Moment | None = None,
    ) -> Session:
        self.sessions += 1
        errors = self.work.folder / f"{self.course}-{name}-{self.sessions}.log"
        environment = {**self.work.environment, **(environment or {})}
        process = get_context("forkserver").Process(
            target=command, args=(str(self.work.folder), str(errors), words, environment, moment)
        )
        process.start()
        return Session(process, errors)

    def finish(self, name: str, *words: str) -> Session:
        session = self.start(name, *words)
        assert session.end() == 0, session.said
        assert "site-packages" not in session.said  # No warning of a library's.
        return session

    def assert_same(self, name: str) -> None:
        """The run has ended like the one that was not cut off."""
        one, other = self.folder("whole"), self.folder(name)
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


def written(run: Path) -> int:
    """How far a run is: the lines of its metrics, and the files that it has written."""
    lines = (path.read_bytes().count(b"\n") for path in run.glob("csv/*/metrics.csv"))
    return sum(lines) + sum(path.is_file() for path in run.rglob("*"))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # Of the server, which imports torch.
        modeling = "transformers.models.modernbert.modeling_modernbert"
        needed = ["multiclin.train", "tests.test_resume", modeling, "seqeval.metrics"]
        get_context("forkserver").set_forkserver_preload(needed)
        yield Work(tmp_path_factory.mktemp("resume"))


@pytest.fixture(scope="module")
def course(work: Work) -> Callable[[str], Runs]:
    """Each of the courses, with its run that nothing happens to."""

    @cache
    def of(name: str) -> Runs:
        runs = Runs(work, name)
        runs.finish("whole")
        return runs

    return of


@pytest.fixture
def runs(course: Callable[[str], Runs]) -> Runs:
    """The course that most can happen in."""
    return course("stopping")


@pytest.mark.slow
@pytest.mark.parametrize("name", COURSES)
def test_ten_runs_killed_at_random_end_the_same(name: str, course: Callable[[str], Runs]) -> None:
    """In a step, in a validation, in a save, in scoring: wherever it is when so much is written.

    Two runs at a time. One that has ended before it could be killed makes room for another.
    """
    runs, numbers = course(name), random.Random(name)
    end = written(runs.folder("whole"))
    moments = [(numbers.randrange(end), numbers.uniform(0, 0.05)) for _ in range(40)]

    def killed(number: int) -> bool:
        name = f"killed{number}"
        point, seconds = moments[number]
        session = runs.start(name, "ckpt_path=auto")
        while session.process.is_alive() and written(runs.folder(name)) < point:
            time.sleep(0.01)
        time.sleep(seconds)
        session.process.kill()
        if session.end() == 0:
            return False
        runs.finish(name, "ckpt_path=auto")
        runs.assert_same(name)
        return True

    with ThreadPoolExecutor(2) as pool:
        done = 0
        for first in range(0, 40, 2):
            done += sum(pool.map(killed, range(first, first + 2))) if done < 10 else 0
    assert done >= 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["sigterm", "ctrl-c"]
)
def test_a_run_told_to_stop_in_a_step_saves_and_goes_on(
    runs: Runs, signum: int, status: int
) -> None:
    name = f"stopped{signum}"
    often = "callbacks.last.every_n_steps=null"
    session = runs.start(name, often, moment=("training_step", 8, signum))
    assert session.end() == status
    folder = runs.folder(name)
    assert "Traceback" not in session.said
    place = f"hydra.run.dir='{folder}' ckpt_path=last"
    assert f"stopped; go on with the same command and {place}\n" in session.said
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 4  # Two batches each.
    runs.finish(name, "ckpt_path=last")
    runs.assert_same(name)
    with (folder / "csv" / "version_1" / "metrics.csv").open(encoding="utf-8") as stream:
        assert next(csv.DictReader(stream))["step"] == "4"  # No step was done again.


@pytest.mark.slow
def test_a_run_told_to_stop_while_it_is_scored_has_not_done_its_work(runs: Runs) -> None:
    session = runs.start("scored", moment=("test_step", 1, signal.SIGTERM))
    assert session.end() == 143
    runs.finish("scored", "ckpt_path=last")
    runs.assert_same("scored")


@pytest.mark.slow
def test_a_prediction_told_to_stop_leaves_nothing(runs: Runs) -> None:
    texts = runs.work.set("test", "symptom")
    words = runs.work.prediction(runs.folder("whole"), texts, "predicted")
    session = runs.fork("predict", words, moment=("predict_step", 1, signal.SIGTERM))
    assert session.end() == 143
    assert "Traceback" not in session.said
    assert not list((runs.work.folder / "predicted").glob("*"))


@pytest.mark.slow
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
    notice = ("validation_step", 2, signal.SIGUSR1)
    session = runs.start("slurm", "ckpt_path=auto", environment=slurm, moment=notice)
    assert session.end() == 138
    assert (tools / "asked").read_text() == "requeue 4711\n"
    assert "SLURM job 4711 is queued again" in session.said
    assert not list(runs.folder("slurm").glob("hpc_ckpt*"))  # Lightning's way of saving.
    again = runs.start("slurm", "ckpt_path=auto", environment=slurm)
    assert again.end() == 0, again.said
    runs.assert_same("slurm")
    once_too_often = runs.start("slurm", "ckpt_path=auto", environment=slurm)
    assert once_too_often.end() == 0
    assert "holds the finished run: nothing to do" in once_too_often.said


@pytest.mark.slow
def test_a_checkpoint_cut_short_costs_a_warning(runs: Runs) -> None:
    session = runs.start("cut", moment=("validation_step", 3, signal.SIGKILL))
    assert session.end() == 128 + signal.SIGKILL
    cut(runs.folder("cut") / "checkpoints" / "last.ckpt")
    rest = runs.finish("cut", "ckpt_path=last")
    assert "going on from previous.ckpt" in rest.said
    runs.assert_same("cut")


@pytest.mark.slow
def test_a_sweep_that_was_cut_off_is_completed_by_the_same_command(runs: Runs) -> None:
    """Two seeds, each scored after both epochs, at the end, and on the test set: four times."""
    cell = ["strategy=biomed_spanish", "entity=symptom", "seed=1,2", "trainer.max_epochs=2"]
    training = runs.work.training("none", *SETTINGS, *cell, "experiment=table2")
    words = [word for word in training if not word.startswith("hydra.run.dir=")]
    words.insert(1, "-m")
    moment = ("on_validation_epoch_start", 6, signal.SIGKILL)  # After the second epoch.
    session = runs.fork("sweep", words, moment=moment)
    assert session.end() == 128 + signal.SIGKILL
    folder = runs.work.folder / "outputs" / "table2"
    first, second = (folder / f"biomed_spanish-symptom-{seed}" for seed in (1, 2))
    before = (first / "metrics.json").stat().st_mtime_ns
    again = runs.fork("sweep", words)
    assert again.end() == 0, again.said
    assert f"{first} holds the finished run: nothing to do" in again.said
    assert (first / "metrics.json").stat().st_mtime_ns == before
    assert "epoch 1 of 2" not in again.said
    assert "epoch 2 of 2" in again.said
    table = as_text(summary([first, second]))
    assert again.said.endswith(f"(summary.md)\n{table}\n")
    assert table.splitlines()[1].split()[0] == "2"  # Runs in the one row.


@pytest.mark.slow
def test_auto_needs_a_folder_that_stays_the_same(runs: Runs) -> None:
    session = runs.fork("auto", ["train.py", "ckpt_path=auto", "data.root=nowhere"])
    assert session.end() == 2
    assert session.said == (
        "error: ckpt_path=auto goes on in the folder of the run: say which, hydra.run.dir=DIR\n"
    )
