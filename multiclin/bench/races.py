"""The three races, each from its options to its tables."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiclin.bench.machine import header, machine
from multiclin.bench.race import Task, once, race
from multiclin.bench.telling import (
    CPU_RATE,
    RATE,
    Measured,
    bound_table,
    race_table,
    ratios,
    stage_table,
)
from multiclin.errors import ConfigError, OutputError
from multiclin.files import atomic_write

if TYPE_CHECKING:
    from multiclin.bench.entry import Entry


def predict(options: argparse.Namespace) -> None:
    """Ours and the pipeline: texts to mentions, and files to a file."""
    from multiclin.bench.entry import enter, read_texts

    with _bench(options) as bench:
        texts = read_texts(options.texts, options.limit)
        entry = enter(options.model, bench.folder, size=options.size, texts=texts)
        bench.open(entry)
        task = bench.task(entry, entry.texts)
        kinds = {
            "": "texts in memory to mentions",
            ", files": "files to a TSV, loading the model included",
        }
        for kind, what in kinds.items():
            peer = f"pipeline{kind}"
            tasks = [*_both(task, peer), *_both(task, f"multiclin{kind}")]
            measured = _race(tasks, options.rounds, entry.tokens)
            bench.tell(what, race_table(measured, peer))
            bench.keep(what, measured, peer)
        same = once(replace(task, name="agreement"))
        bench.content["agreement"] = same
        bench.tell(
            f"in fp32 {same['both']:,} of {same['ours']:,} spans are those of transformers' padded "
            f"network, which finds {same['padded']:,}"
        )


def train(options: argparse.Namespace) -> None:
    """Ours and the Trainer: optimizer steps.

    Raises:
        ConfigError: The Trainer cannot run here.
    """
    if find_spec("accelerate") is None:
        raise ConfigError(
            "transformers' Trainer needs accelerate, which is not here: "
            "pip install 'multiclin[bench]'"
        )
    from multiclin.bench.entry import enter

    with _bench(options) as bench:
        entry = enter(options.model, bench.folder, size=options.size)
        bench.open(entry)
        task = bench.task(entry, options.corpus.absolute(), options.settings)
        same = once(replace(task, name="windows"))["folder"]
        tasks = [*_both(replace(task, corpus=same), "Trainer"), *_both(task, "multiclin, steps")]
        measured = _race(tasks, options.rounds)
        what = f"{options.steps} optimizer steps of {options.batch} windows"
        bench.tell(what, race_table(measured, "Trainer"))
        bench.keep(what, measured, "Trainer")


def stages(options: argparse.Namespace) -> None:
    """Our own stages, and the bound of the hardware."""
    from multiclin.bench.entry import enter, read_texts

    with _bench(options) as bench:
        texts = read_texts(options.texts, options.limit)
        entry = enter(options.model, bench.folder, size=options.size, texts=texts)
        bench.open(entry)
        own = ("data=jsonl", "entity=all", "data.validation.share=0")
        task = bench.task(entry, entry.texts, own)
        names = ("prediction", "training", "bound")
        measured = _race([one for name in names for one in _both(task, name)], options.rounds)
        kinds = {name: measured[2 * at : 2 * at + 2] for at, name in enumerate(names)}
        bounds = kinds.pop("bound")
        for name, of_kind in kinds.items():
            bench.tell(name, stage_table(of_kind))
            bench.keep(name, of_kind)
        bench.tell(bound_table(kinds, bounds))
        bench.keep("bound", bounds)


def _both(task: Task, name: str) -> list[Task]:
    """A contestant in fp32 and in bf16."""
    return [replace(task, name=name, bf16=bf16) for bf16 in (False, True)]


def _race(tasks: Sequence[Task], rounds: int, tokens: int | None = None) -> Measured:
    """The race, and the rates of those who count tokens, or of all where all have the same."""
    measured = list(zip(tasks, race(tasks, rounds), strict=True))
    for figures in (one for _, each in measured for one in each):
        if tokens is not None:
            figures["tokens"] = tokens
        if "tokens" in figures:
            figures[RATE] = figures["tokens"] / figures["seconds"]
            figures[CPU_RATE] = figures["tokens"] / figures["cpu_seconds"]
    return measured


@dataclass
class _Bench:
    """What is found, told as it comes and kept for the JSON."""

    options: argparse.Namespace
    folder: Path
    content: dict[str, Any] = field(default_factory=dict)

    def open(self, entry: Entry) -> None:
        facts = machine(self.options.threads)
        texts = f"; {entry.documents:,} texts, {entry.tokens:,} subwords" if entry.documents else ""
        rounds = f"rounds: {self.options.rounds}, after one that is not counted"
        print(f"{header(facts)}\n{entry.title}{texts}; {rounds}", flush=True)
        given = {name: value for name, value in vars(self.options).items() if name != "run"}
        self.content |= {
            "machine": facts,
            "options": {name: str(v) if isinstance(v, Path) else v for name, v in given.items()},
            "model": entry.title,
            "documents": entry.documents,
            "tokens": entry.tokens,
            "races": [],
        }

    def task(self, entry: Entry, corpus: Path, settings: Sequence[str] = ()) -> Task:
        return Task(
            "",
            str(self.folder),
            str(entry.model),
            str(corpus),
            (*entry.settings, *settings),
            threads=self.options.threads,
            batch=self.options.batch,
            steps=getattr(self.options, "steps", 0),
        )

    def tell(self, *parts: str) -> None:
        print("", *parts, sep="\n", flush=True)

    def keep(self, what: str, measured: Measured, peer: str = "") -> None:
        kinds = {"times": RATE, "times_by_cpu": CPU_RATE} if peer else {}
        against = {name: ratios(measured, peer, rate) for name, rate in kinds.items()}
        self.content["races"].append(
            {
                "what": what,
                "contestants": [
                    {
                        "name": task.title,
                        "rounds": list(rounds),
                        **{
                            name: {other: asdict(one) for other, one in of_all[task.title].items()}
                            for name, of_all in against.items()
                            if task.title in of_all
                        },
                    }
                    for task, rounds in measured
                ],
            }
        )


@contextmanager
def _bench(options: argparse.Namespace) -> Iterator[_Bench]:
    """A folder for what is raced; at the end what was found is written.

    Raises:
        OutputError: The file stands there already, or cannot be written.
    """
    output: Path | None = options.output
    if output and output.exists():
        raise OutputError(f"{output} exists already; name another output, or move it away")
    with tempfile.TemporaryDirectory(prefix="multiclin-bench-") as folder:
        bench = _Bench(options, Path(folder))
        yield bench
    if output:
        with atomic_write(output) as stream:
            json.dump(bench.content, stream, indent=2)
            stream.write("\n")
        bench.tell(f"all of it: {output}")
