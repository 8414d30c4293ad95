"""What a signal does to a run, and how SLURM is asked to repeat it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from multiclin.stopping import Stop, requeue, serve_on


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize(
    ("signum", "stop", "status"),
    [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 143)],
)
def test_a_signal_ends_a_run_at_once(
    signum: int, stop: type[BaseException], status: int | None
) -> None:
    with pytest.raises(stop) as caught, Stop():
        send(signum)
    assert getattr(caught.value, "code", None) == status


@pytest.mark.parametrize(
    ("signum", "stop"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_in_training_it_waits(
    signum: int, stop: type[BaseException], capfd: pytest.CaptureFixture[str]
) -> None:
    with Stop() as asked:
        asked.patient = True
        send(signum)
        assert asked.asked == signum
        with pytest.raises(stop):
            asked.obey()
    said = capfd.readouterr().err
    assert ("Ctrl-C again stops at once" in said) == (signum == signal.SIGINT)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_from_the_keyboard_does_not_wait(first: int) -> None:
    with Stop() as asked:
        asked.patient = True
        send(first)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_a_second_sigterm_waits_like_the_first() -> None:
    with Stop() as asked:
        asked.patient = True
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        assert asked.asked == signal.SIGTERM


def test_a_process_that_was_told_by_another_ends_like_after_sigterm() -> None:
    with pytest.raises(SystemExit) as caught:
        Stop().obey()
    assert caught.value.code == 143


def test_afterwards_signals_are_what_they_were() -> None:
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with Stop():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


def test_handlers_of_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """submitit has its own, which resubmits a job."""

    def theirs(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, theirs)
    try:
        with Stop():
            assert signal.getsignal(signal.SIGTERM) is theirs
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_run_in_a_thread_has_no_handlers() -> None:
    found: list[object] = []

    def run() -> None:
        with Stop():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]


# SLURM


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of SLURM with a scontrol that writes down what it is asked; its notes."""
    notes = tmp_path / "asked"
    script = tmp_path / "scontrol"
    script.write_text(f'#!/bin/sh\necho "$@" >> {notes}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for name in ("SLURM_ARRAY_JOB_ID", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    return notes


@pytest.mark.parametrize(("goes_on", "asked"), [(True, "requeue 4711\n"), (False, "")])
def test_slurm_is_asked_to_repeat_a_run_that_would_go_on(
    scontrol: Path, goes_on: bool, asked: str
) -> None:
    scontrol.touch()
    with pytest.raises(SystemExit) as caught, Stop(goes_on):
        send(signal.SIGUSR1)
    assert caught.value.code == 138
    assert scontrol.read_text() == asked


def test_of_an_array_one_task_is_repeated(scontrol: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    requeue()
    assert scontrol.read_text() == "requeue 4711_3\n"


def test_one_of_several_processes_asks(scontrol: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    requeue()
    assert not scontrol.exists()


def test_a_refusal_is_said(
    scontrol: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho 'Job may not be requeued' >&2\nexit 1\n")
    requeue()
    assert caplog.messages == [
        "scontrol requeue 4711: Job may not be requeued; submit the job again"
    ]


@pytest.mark.usefixtures("scontrol")
def test_a_machine_without_scontrol_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    requeue()
    assert "No such file or directory: 'scontrol'; submit the job again" in caplog.text


# Workers


class Slow(Dataset[int]):
    """Items that take a while."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, row: int) -> int:
        time.sleep(0.05)
        return os.getpid()


def kill(worker: int, signum: int) -> None:
    """Send a signal from a process that is not the worker's parent."""
    subprocess.run(["kill", f"-{signum}", str(worker)], check=True)


def test_workers_serve_on_when_their_group_is_told_to_stop() -> None:
    loader = DataLoader(Slow(), num_workers=1, worker_init_fn=serve_on)
    batches = iter(loader)
    worker = int(next(batches))
    for signum in (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM):
        kill(worker, signum)
    assert [int(one) for one in batches] == [worker] * 3


def test_workers_end_when_their_parent_says_so() -> None:
    context = get_context("fork")
    ready = context.Event()

    def serve() -> None:
        serve_on(0)
        ready.set()
        time.sleep(60)

    worker = context.Process(target=serve)
    worker.start()
    ready.wait(10)
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0


def test_workers_end_when_their_parent_was_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiclin.stopping.WATCH", 0.05)
    context = get_context("fork")
    here, there = context.Pipe()

    def worker() -> None:
        serve_on(0)
        there.send("serving")
        time.sleep(60)

    def main() -> None:
        context.Process(target=worker).start()
        time.sleep(60)

    process = context.Process(target=main)
    process.start()
    there.close()  # The worker has the only other one: its end is the end of the line.
    assert here.recv() == "serving"
    process.kill()
    assert here.poll(10)
    with pytest.raises(EOFError):
        here.recv()
