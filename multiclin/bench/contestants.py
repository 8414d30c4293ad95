"""Who is timed: ours, and what people use today, each in a process of its own.

A contestant loads everything, says `ready`, and then runs once for each line that it reads: only
the run is timed. Answers are lines of JSON on standard output; what libraries say goes to standard
error.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from importlib import import_module

import torch

from multiclin.bench.measures import Clock, peak_mib
from multiclin.bench.race import MISTAKE, READY, Figures, Task
from multiclin.errors import MulticlinError

Run = Callable[[], Figures]
"""One timed run; gives what it did, and its own seconds where they are not those of all of it."""

CONTESTANTS = {
    "multiclin": "prediction:multiclin_predicts",
    "pipeline": "peers:pipeline_predicts",
    "multiclin, files": "prediction:multiclin_writes",
    "pipeline, files": "peers:pipeline_writes",
    "agreement": "prediction:agreement",
    "multiclin, steps": "training:multiclin_trains",
    "Trainer": "peers:trainer_trains",
    "windows": "training:windows",
    "prediction": "stages:prediction_stages",
    "training": "stages:training_stages",
    "bound": "bound:matrix_peaks",
}
"""By name the function that loads one, as `module:function` of this package."""


def load(task: Task) -> Run:
    """A contestant, ready to run."""
    module, _, name = CONTESTANTS[task.name].partition(":")
    made: Run = getattr(import_module(f"multiclin.bench.{module}"), name)(task)
    return made


def main(words: list[str]) -> int:
    """Get ready, then run once per line read."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    fields = json.loads(words[0])
    task = Task(**{**fields, "overrides": tuple(fields["overrides"])})
    torch.set_num_threads(task.threads)
    try:
        run = load(task)
        print(READY, file=answers, flush=True)
        for _ in sys.stdin:
            clock = Clock()
            did = run()
            figures = {**clock.read(), "peak_mib": peak_mib(), **did}
            gc.collect()  # Others need the memory of a Trainer and its optimizer.
            print(json.dumps(figures), file=answers, flush=True)
    except MulticlinError as error:
        print(f"{MISTAKE}{error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
