"""The processes of a DDP job: Lightning starts them, and they end together.

Every process runs the whole command and meets the others in each step. Where one is gone the others
would wait: over gloo they are told, over NCCL they learn of it after minutes. Lightning watches the
processes that it has started, but kills the first one without a word, with all that a multirun has
still to do, and nobody watches that one. So each process watches for itself here, and says why it
ends.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only

from multiclin.errors import LostProcessError

PATIENCE = 5.0
"""Seconds that a process has to learn by itself that another one is gone, and to clear up."""


def is_first_process() -> bool:
    """Whether this is the process of a job that writes its files."""
    return not getattr(rank_zero_only, "rank", 0)


def quiet_other_processes() -> None:
    """Under DDP every process runs the whole command; only the first one speaks."""
    if not is_first_process():
        logging.getLogger().setLevel(logging.ERROR)


@contextmanager
def processes_ended() -> Iterator[None]:
    """Afterwards the processes of a DDP job are gone: the next job of a multirun starts its own.

    Lightning leaves the process group and these variables to the end of the main process.
    """
    names = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({name: value} if value is not None else {})


@contextmanager
def processes_watched(trainer: pl.Trainer) -> Iterator[None]:
    """Inside, an error in this process ends those that it has started, and theirs ends this one.

    Raises:
        LostProcessError: Another process is gone.
    """
    watch = Watch(trainer.strategy.launcher, trainer.world_size)
    if trainer.world_size > 1:
        watch.start()
    try:
        yield
    except BaseException as error:
        # What gloo and NCCL raise; what is wrong with the data or the model has types of its own.
        told = type(error) is RuntimeError or isinstance(error, torch.distributed.DistError)
        lost = watch.wait() if told and trainer.world_size > 1 else ""
        watch.kill()
        if lost:
            raise LostProcessError(lost) from error
        raise
    finally:
        watch.over.set()


class Watch(threading.Thread):
    """Looks after the processes that this one has started, and the one that has started it.

    Args:
        launcher: Lightning's, which starts processes; it has others in some strategies, or none.
        world: Number of processes.

    Attributes:
        over: Set when there is nothing to watch any more.
    """

    def __init__(self, launcher: Any, world: int) -> None:  # noqa: ANN401 - of any strategy
        super().__init__(daemon=True, name="watch")
        self.launcher, self.world = launcher, world
        self.over = threading.Event()
        self._parent = os.getppid()
        self._children: list[Popen[bytes]] = []

    def run(self) -> None:
        """End this process where it hangs in waiting for one that is gone."""
        while not self.over.wait(PATIENCE / 5):
            if (lost := self.lost()) and not self.over.wait(PATIENCE):
                print(f"error: {lost}", file=sys.stderr, flush=True)
                self.kill()
                os._exit(2)

    def lost(self) -> str:
        """Which process is gone, and how to go on; empty if none is."""
        self._take()
        ended = {rank: one.poll() for rank, one in enumerate(self._children, 1)}
        reasons = {rank: _reason(status) for rank, status in ended.items() if status}
        if os.getppid() != self._parent:
            reasons[0] = "is gone"
        return "\n".join(
            f"process {rank} of {self.world} {reason}, and without it the others cannot go on\n"
            "hint: a training goes on from its last checkpoint with ckpt_path=last"
            for rank, reason in list(reasons.items())[:1]
        )

    def wait(self) -> str:
        """The same, of a process that is about to be gone."""
        for _ in range(20):
            if lost := self.lost():
                return lost
            threading.Event().wait(PATIENCE / 20)
        return ""

    def kill(self) -> None:
        """End the processes that this one has started."""
        self._take()
        for child in self._children:
            child.kill()
            child.wait()

    def _take(self) -> None:
        """Take the children over from Lightning, once all are there; its own watch is then over."""
        started = getattr(self.launcher, "procs", [])
        if len(started) == getattr(self.launcher, "num_processes", 0) - 1:
            self._children += started
            started.clear()  # In place: an empty list says to its watch that all is well.


def _reason(status: int) -> str:
    if status == -signal.SIGKILL:
        return "was killed (SIGKILL), as systems do that run out of memory"
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"has ended with status {status}, for the reason above"
