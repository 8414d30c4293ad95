"""Contestants that run in turn: A B C D, A B C D, ..., each in a process of its own.

A machine is shared and noisy, and slows down as it warms up: what is compared is what ran in the
same round, one after the other, and the figure is the median over the rounds. All contestants have
loaded before the first one runs, and the first round is not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from multiclin.corpus.jsonl import read_documents
from multiclin.document import Document
from multiclin.errors import LostProcessError, MulticlinError

READY = "ready"
"""What a contestant says when it has loaded."""

MISTAKE = "error: "
"""How the last words of a contestant begin that met an error of the user's."""

Figures = dict[str, Any]
"""What one run measured."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a contestant is told.

    Attributes:
        name: Who does what, a key of `contestants.CONTESTANTS`.
        folder: Its own, of this bench.
        model: A bundle, which is a model in Hugging Face layout too.
        corpus: A JSONL file of texts; for our training all that follows `data.root=`; for the
            peer's the folder that `training.windows` has written.
        overrides: More settings of train.py.
        bf16: Whether it computes in bf16.
        threads: Cores that it may use.
        batch: Windows per batch of a peer, and per optimizer step of all.
        steps: Optimizer steps of a training run that are counted.
    """

    name: str
    folder: str
    model: str
    corpus: str
    overrides: tuple[str, ...] = ()
    bf16: bool = False
    threads: int = 2
    batch: int = 8
    steps: int = 20

    @property
    def precision(self) -> str:
        """What it computes in, in words."""
        return "bf16" if self.bf16 else "fp32"

    @property
    def title(self) -> str:
        """What tables call it: `multiclin bf16`."""
        return f"{self.name.partition(',')[0]} {self.precision}"

    def documents(self) -> list[Document]:
        """The texts, in the order of the file."""
        return list(read_documents(Path(self.corpus)))


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast one contestant was as another, round by round."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, ours: Sequence[Figures], theirs: Sequence[Figures], key: str) -> Ratio:
        """The ratio of a figure of two contestants, over the rounds that they share.

        Example:
            12 and 20 tokens/s against 4 and 5: 3 and 4 times, median 3.5.
        """
        each = [a[key] / b[key] for a, b in zip(ours, theirs, strict=True)]
        return cls(median(each), min(each), max(each))


class Contestant:
    """A process that runs when it is told to.

    Args:
        task: What it does.

    Raises:
        MulticlinError: Its model or data are wrong, or it died (from `wait` and `run`).
    """

    def __init__(self, task: Task) -> None:
        folder = Path(task.folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.task, self.log = task, folder / f"{task.title}.log"
        threads = str(task.threads)
        limits = {"OMP_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads}
        with self.log.open("w", encoding="utf-8") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "multiclin.bench.contestants", json.dumps(asdict(task))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                env={**os.environ, **limits},
            )

    def wait(self) -> None:
        """Return when it has loaded."""
        if self._line() != READY:
            raise self._lost()

    def run(self) -> Figures:
        """Let it run once."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("run\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise self._lost() from error
        if not (line := self._line()):
            raise self._lost()
        figures: Figures = json.loads(line)
        return figures

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def _lost(self) -> MulticlinError:
        status = self.process.wait()
        said = [line for line in self.log.read_text("utf-8").splitlines() if line.strip()]
        mistakes = [at for at, line in enumerate(said) if line.startswith(MISTAKE)]
        if mistakes:
            return MulticlinError("\n".join(said[mistakes[-1] :]).removeprefix(MISTAKE))
        last = said[-1] if said else "it said nothing"
        return LostProcessError(f"{self.task.title} has ended with status {status}: {last}")


def race(tasks: Sequence[Task], rounds: int) -> list[list[Figures]]:
    """Let contestants run in turn, after one round that is not counted.

    Returns:
        For each task what it measured, round by round.

    Raises:
        MulticlinError: One of them cannot run.
    """
    with ExitStack() as stack:
        contestants = []
        for task in tasks:
            contestants.append(Contestant(task))
            stack.callback(contestants[-1].stop)
        for one in contestants:
            one.wait()
        measured: list[list[Figures]] = [[] for _ in tasks]
        for number in range(rounds + 1):
            for one, figures in zip(contestants, measured, strict=True):
                found = one.run()
                if number:
                    figures.append(found)
    return measured


def once(task: Task) -> Figures:
    """What a task answers that is not timed."""
    contestant = Contestant(task)
    try:
        contestant.wait()
        return contestant.run()
    finally:
        contestant.stop()
