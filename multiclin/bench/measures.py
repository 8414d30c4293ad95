"""Seconds, CPU seconds, memory and tokens of this process, on a CPU or a GPU."""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor


def device() -> torch.device:
    """Where contestants compute."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def cpu_seconds() -> float:
    """User and system time of all threads of this process, and of its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_mib() -> float:
    """The most memory that this process has held: of the GPU where there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would tell of the process that started this one, too.
        lines = status.read_text("ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


WARM_UP = 3
"""Optimizer steps before the clock starts."""


class Clock:
    """Runs from its making on; a GPU has done what it was given before it is read."""

    def __init__(self) -> None:
        self._began, self._cpu = self._now(), cpu_seconds()

    def read(self) -> dict[str, float]:
        """Seconds since the clock began, by the wall and of all cores."""
        return {"seconds": self._now() - self._began, "cpu_seconds": cpu_seconds() - self._cpu}

    @staticmethod
    def _now() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()


class Laps:
    """Seconds by stage.

    Attributes:
        seconds: Of each stage, in the order in which they were first met.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the seconds of the block to a stage."""
        clock = Clock()
        yield
        self.seconds[name] += clock.read()["seconds"]


@dataclass
class Pace:
    """Counts the tokens of a training between the end of its first steps and that of its last.

    Attributes:
        steps: That are counted.
        tokens: Of their windows, special ones included.
        seen: The same of all steps.
        figures: What the clock said at the end.
    """

    steps: int
    tokens: Tensor = field(default_factory=lambda: torch.tensor(0))
    seen: Tensor = field(default_factory=lambda: torch.tensor(0))
    figures: dict[str, float] = field(default_factory=dict)
    _clock: Clock | None = None

    @property
    def all_steps(self) -> int:
        """Steps of the whole training."""
        return WARM_UP + self.steps

    def see(self, mask: Tensor) -> None:
        """Take note of a batch by its mask, 1 for tokens, and keep no GPU waiting for it."""
        tokens = mask.sum()
        self.seen = self.seen + tokens
        self.tokens = self.tokens + (tokens if self._clock else 0)

    def step_done(self, number: int) -> None:
        """Take note of the end of an optimizer step, counted from 1."""
        if number == WARM_UP:
            self._clock = Clock()
        elif number == self.all_steps and self._clock:
            self.figures = self._clock.read()

    def answer(self) -> dict[str, float]:
        """Seconds, and the tokens of their steps."""
        return {**self.figures, "tokens": int(self.tokens)}
