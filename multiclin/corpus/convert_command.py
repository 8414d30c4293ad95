"""The options of `multiclin corpus convert`; what it needs is imported when it runs (`convert`)."""

from __future__ import annotations

import argparse
from pathlib import Path

from multiclin.corpus.brat import POLICIES

NAMES = ("brat", "tsv", "conll", "jsonl", "bioc", "huggingface", "multiclinner")
"""The formats; `formats.FORMATS` has them."""


def add_command(tools: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `convert` to the tools of `multiclin corpus`."""
    names = "|".join(NAMES)
    convert = tools.add_parser("convert", help="write a corpus in another format, and what is lost")
    convert.add_argument("source", type=Path, metavar="IN", help="a file or folder")
    convert.add_argument("target", type=Path, metavar="OUT", help="one that does not exist yet")
    convert.add_argument("--from", dest="old", metavar="FORMAT", required=True, help=names)
    convert.add_argument("--to", dest="new", metavar="FORMAT", required=True, help=names)
    convert.add_argument(
        "--map",
        dest="labels",
        metavar="A=B,C=-",
        type=label_map,
        default={},
        help="rename label A, leave mentions of label C out",
    )
    convert.add_argument(
        "--language", metavar="CODE", default="", help="theirs; where IN tells languages, only this"
    )
    convert.add_argument(
        "--split", metavar="NAME", default="", help="theirs; where IN tells splits, only this"
    )
    convert.add_argument("--texts", type=Path, metavar="DIR", help="texts that lie elsewhere")
    convert.add_argument(
        "--discontinuous", choices=POLICIES, default="cover", help="mentions in fragments"
    )
    convert.add_argument(
        "--losses", type=Path, metavar="FILE", help="a table of every single loss, with offsets"
    )
    convert.set_defaults(run=_run)


def label_map(text: str) -> dict[str, str]:
    """The labels of `--map`.

    Example:
        >>> label_map("ENFERMEDAD=DISEASE,FARMACO=-")
        {'ENFERMEDAD': 'DISEASE', 'FARMACO': '-'}
    """
    labels: dict[str, str] = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        old, _, new = (part.strip() for part in pair.partition("="))
        if not old or not new or old in labels:
            raise argparse.ArgumentTypeError(
                f"{pair!r} is not OLD=NEW, or its label stands there twice; use commas in between"
            )
        labels[old] = new
    return labels


def _run(options: argparse.Namespace) -> None:
    from multiclin.corpus.convert import run

    run(options)
