"""How long commands take to answer: `python -m tests.starting [ROUNDS]`; not a test.

CPU seconds (user and system, one thread) of each command, to its end or to a line that it says;
the median of the rounds, in which the commands take turns. One column per checkout of this
repository: `python -m tests.starting 5 ../older .` compares two.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen
from tempfile import TemporaryDirectory

from multiclin.tables import as_text
from tests.commands import ROOT, Work, succeeded

TICK = os.sysconf("SC_CLK_TCK")

Command = tuple[list[str], str]
"""The words after `python`, and what the command says where the time is taken; its end if empty."""


def commands(work: Work) -> dict[str, Command]:
    """The commands, by what they are called in the table."""
    run, texts = work.folder / "run", work.set("test", "disease") / "txt"
    gold = next((work.set("test", "disease") / "tsv").glob("*.tsv"))
    training = work.training("new", "logger=csv")
    return {
        "multiclin --help": (["-m", "multiclin.cli", "--help"], ""),
        "train.py --help": (["train.py", "--help"], ""),
        "train.py, a wrong key": (["train.py", "entiti=x"], ""),
        "train.py, no such corpus": (["train.py", "data.root=/nowhere"], ""),
        "predict.py, no such model": (work.prediction(Path("/no"), texts, "x"), ""),
        "predict.py, no such texts": (work.prediction(run, Path("/no"), "x"), ""),
        "evaluate.py": (["evaluate.py", f"gold={gold}", f"pred={gold}"], ""),
        "train.py, to its first step": (training, "an optimizer step is"),
        "predict.py, to its result": (
            [*work.prediction(run, texts, "new"), "report=null"],
            "mentions in",
        ),
        "python -c 'import torch'": (["-c", "import torch"], ""),
    }


def seconds(command: Command, work: Work, checkout: Path) -> float:
    """CPU time of a command of a checkout."""
    words, until = command
    shutil.rmtree(work.folder / "new", ignore_errors=True)
    script = [str(checkout / words[0]) if words[0].endswith(".py") else words[0]]
    environment = {**work.environment, "PYTHONPATH": str(checkout)}
    with Popen(
        [sys.executable, *script, *words[1:]],
        stdout=PIPE,
        stderr=STDOUT,
        text=True,
        env=environment,
        cwd=work.folder,
    ) as process:
        assert process.stdout is not None
        if until:
            assert any(until in line for line in process.stdout), words
            fields = Path(f"/proc/{process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
            process.kill()
            return (int(fields[11]) + int(fields[12])) / TICK
        process.stdout.read()
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    return usage.ru_utime + usage.ru_stime


def main(rounds: int, checkouts: list[Path]) -> str:
    """The table."""
    with TemporaryDirectory() as folder:
        work = Work(Path(folder))
        succeeded(work.run(*work.training("run", "logger=csv", "trainer.max_epochs=1")))
        timed = commands(work)
        taken: dict[str, list[list[float]]] = {name: [[] for _ in checkouts] for name in timed}
        for _ in range(rounds):
            for name, command in timed.items():
                for number, checkout in enumerate(checkouts):
                    taken[name][number].append(seconds(command, work, checkout))
    rows = [[name, *(f"{statistics.median(one):.2f}" for one in of)] for name, of in taken.items()]
    return as_text([["CPU seconds", *map(str, checkouts)], *rows])


if __name__ == "__main__":
    rounds, *others = sys.argv[1:] or ["5"]
    print(main(int(rounds), [Path(one).resolve() for one in others] or [ROOT]))
