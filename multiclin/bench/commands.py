"""`multiclin bench`: its options.

What is heavy (torch, transformers) is imported when a command runs.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from multiclin.bench.races import predict, stages, train
from multiclin.bench.sizes import SIZES

_CORES = len(os.sched_getaffinity(0))


def add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `bench` to the parser of `multiclin`."""
    bench = commands.add_parser("bench", help="how fast it is here, against transformers' own")
    races = bench.add_subparsers(title="races", metavar="RACE", required=True)

    parser = races.add_parser("predict", help="find mentions: ours and the pipeline, in turn")
    _add_texts(parser)
    _add_common(parser)
    parser.set_defaults(run=predict)

    parser = races.add_parser("train", help="train: ours and the Trainer, in turn")
    _add_model(parser)
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="what train.py trains on")
    says = "of train.py, such as entity=symptom languages=[es]"
    parser.add_argument("--settings", nargs="+", default=[], metavar="KEY=VALUE", help=says)
    _add_steps(parser)
    _add_common(parser)
    parser.set_defaults(run=train)

    parser = races.add_parser(
        "stages", help="where our own time goes, and how near it is to what the hardware can do"
    )
    _add_texts(parser)
    _add_steps(parser)
    _add_common(parser)
    parser.set_defaults(run=stages)


def _add_model(parser: argparse.ArgumentParser) -> None:
    says = "a bundle, a checkpoint, a run, or an encoder"
    parser.add_argument("model", type=Path, metavar="MODEL", help=says)


def _add_texts(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    says = "a folder of .txt, a .txt or a .jsonl"
    parser.add_argument("texts", type=Path, metavar="TEXTS", help=says)
    parser.add_argument("--limit", type=_count, metavar="N", help="of the texts; default: all")


def _add_steps(parser: argparse.ArgumentParser) -> None:
    says = "of the optimizer (default: 20)"
    parser.add_argument("--steps", type=_count, default=20, metavar="N", help=says)


def _add_common(parser: argparse.ArgumentParser) -> None:
    says = "random weights of this shape, with the tokenizer of MODEL"
    parser.add_argument("--size", choices=SIZES, help=says)
    says = "after one that warms up (default: 5)"
    parser.add_argument("--rounds", type=_count, default=5, metavar="N", help=says)
    says = "windows in a batch of the peer, and in an optimizer step of all (default: 8)"
    parser.add_argument("--batch", type=_count, default=8, metavar="N", help=says)
    says = "cores to use; default: all"
    parser.add_argument("--threads", type=_count, default=_CORES, metavar="N", help=says)
    parser.add_argument("--output", type=Path, metavar="FILE", help="all that was measured, JSON")


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number
