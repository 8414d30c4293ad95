"""Predictions of few and of many documents, measured: `python -m tests.scale --ckpt MODEL`.

Memory must not grow with the number of documents, and what a document costs must not either.
Without a model a tiny one is trained first. Texts are cut at random places out of the sample
corpus, 300 characters each.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.commands import ROOT, Work, succeeded

LENGTH = 300


class Measured(NamedTuple):
    """What a prediction took.

    Attributes:
        documents: How many were predicted.
        mib: Peak resident memory of its process.
        cpu: Seconds of processor time, loading included.
        seconds: Wall time, loading included.
    """

    documents: int
    mib: float
    cpu: float
    seconds: float


def write_texts(folder: Path, documents: int, corpus: Path) -> Path:
    """A folder of so many short texts, the same for the same corpus."""
    pool = "\n".join(path.read_text("utf-8") for path in sorted(corpus.rglob("*-disease-*.txt")))
    chance = random.Random(1)
    folder.mkdir(parents=True)
    for number in range(documents):
        start = chance.randrange(len(pool) - LENGTH)
        (folder / f"case-{number:07d}.txt").write_text(pool[start : start + LENGTH], "utf-8")
    return folder


def measure(work: Work, ckpt: Path, texts: Path, *words: str) -> Measured:
    """Predict a folder in a process of its own."""
    command = work.prediction(ckpt, texts, f"{texts.name}_out", "report=null", *words)
    began = time.perf_counter()
    script = [sys.executable, str(ROOT / command[0]), *command[1:]]
    with subprocess.Popen(script, env=work.environment, cwd=work.folder) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    seconds, cpu = time.perf_counter() - began, used.ru_utime + used.ru_stime
    return Measured(len(os.listdir(texts)), used.ru_maxrss / 1024, cpu, seconds)  # noqa: PTH208


def main() -> None:
    """Measure each number of documents in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ckpt", type=Path, help="a model; else a tiny one is trained")
    parser.add_argument("--documents", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("overrides", nargs="*", help="for predict.py")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        work = Work(Path(folder))
        if options.ckpt is None:
            succeeded(work.run(*work.training("run", "entity=disease", "logger=csv")))
        ckpt = options.ckpt.absolute() if options.ckpt else work.folder / "run"
        print("documents  peak MiB  of the first  CPU s  ms CPU per document  wall s", flush=True)
        found: list[Measured] = []
        for number in options.documents:
            texts = write_texts(work.folder / f"texts{number}", number, work.corpus)
            found.append(measure(work, ckpt, texts, *options.overrides))
            one, first = found[-1], found[0]
            more = one.documents - first.documents
            each = f"{(one.cpu - first.cpu) / more * 1000:19.2f}" if more else " " * 19
            print(
                f"{one.documents:9,}  {one.mib:8.0f}  {one.mib / first.mib:12.3f}  {one.cpu:5.0f}"
                f"  {each}  {one.seconds:6.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
