"""The options of `multiclin corpus consolidate`, and what it prints and writes."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiclin.corpus.consolidation import Consolidation


def add_command(tools: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `consolidate` to the tools of `multiclin corpus`."""
    consolidate = tools.add_parser(
        "consolidate", help="one text for the entity versions of a case, mentions carried over"
    )
    consolidate.add_argument("source", type=Path, metavar="SOURCE", help="any MultiClinNER release")
    consolidate.add_argument(
        "target", type=Path, metavar="TARGET", help="a folder that does not exist yet"
    )
    consolidate.add_argument(
        "--json", type=Path, metavar="FILE", help="every mention lost, and why"
    )
    consolidate.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    from multiclin.corpus.consolidation import consolidate
    from multiclin.errors import OutputError
    from multiclin.files import atomic_write
    from multiclin.tables import as_text, visible

    if options.json and options.json.exists():
        raise OutputError(f"{options.json} exists already; name another file or move it away")
    done = consolidate(options.source, options.target)
    if options.json:
        with atomic_write(options.json) as stream:
            json.dump(as_json(done), stream, ensure_ascii=False, indent=1)
            stream.write("\n")
    print(as_text(done.table()))
    print(visible(said(done)))
    if losses := Counter(one.reason for one in done.lost):
        rows = [(reason, f"{number:,}") for reason, number in losses.most_common()]
        print(as_text([("lost, for", "mentions"), *rows]), file=sys.stderr)
    print(f"to train on it: python train.py entity=joint data.root={options.target}")


def said(done: Consolidation) -> str:
    """What was met and which texts were taken, in some lines.

    Example:
        8,806 cases, 5,210 of them of one text already; text taken from: disease 7,630, procedure
        702, symptom 474
    """
    taken = ", ".join(f"{entity} {number:,}" for entity, number in sorted(done.chosen.items()))
    return "\n".join(
        [
            f"{done.cases:,} cases, {done.alike:,} of them of one text already; text taken from: "
            f"{taken}",
            *done.report.notes(),
        ]
    )


def as_json(done: Consolidation) -> dict[str, Any]:
    """Counts by language and label, and every mention that was lost."""
    return {
        "cases": done.cases,
        "alike": done.alike,
        "chosen": dict(sorted(done.chosen.items())),
        "kept": [
            {
                "language": language,
                "label": label,
                "mentions": one.mentions,
                "kept": one.kept,
                "similar": one.similar,
            }
            for (language, label), one in sorted(done.tallies.items())
        ],
        "lost": [one._asdict() for one in done.lost],
    }
