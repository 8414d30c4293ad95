"""`multiclin ensemble`: its options, and what it prints.

What is heavy (torch, transformers) is imported when a command runs, and its models are there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from multiclin.members import check_said, members_of
from multiclin.tables import as_text


def add_ensemble(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ensemble` to the parser of `multiclin`."""
    ensemble = commands.add_parser("ensemble", help="which models together, or their mean as one")
    tools = ensemble.add_subparsers(title="tools", metavar="TOOL", required=True)

    select = tools.add_parser("select", help="the members whose ensemble has the best strict F1")
    says = "runs, bundles or checkpoints to choose from"
    select.add_argument("candidates", nargs="+", metavar="CANDIDATE", help=says)
    says = "documents with mentions that none was trained on; default: the first one's validation"
    select.add_argument("--gold", type=Path, metavar="PATH", help=says)
    says = "for what the networks say; default: a temporary folder"
    select.add_argument("--work", type=Path, metavar="DIR", help=says)
    says = "write selection.json and selection.csv"
    select.add_argument("--output", type=Path, metavar="DIR", help=says)
    select.set_defaults(run=_select)

    soup = tools.add_parser("soup", help="the mean of their weights, one model of the same size")
    says = "runs, bundles or checkpoints of one shape"
    soup.add_argument("models", nargs="+", metavar="MODEL", help=says)
    soup.add_argument("--output", type=Path, required=True, metavar="DIR", help="the new bundle")
    soup.set_defaults(run=_soup)


def _select(options: argparse.Namespace) -> None:
    check_said(members_of(options.candidates))
    from multiclin.ensembling.selection import select_members, write_selection

    found = select_members(options.candidates, options.gold, options.work)
    print(f"{found.documents:,} documents: {found.gold}\n")
    alone = sorted(found.alone.items(), key=lambda one: -one[1])
    print(as_text([["candidate", "F1 alone"], *([name, f"{f1:.4f}"] for name, f1 in alone)]))
    print(f"\n{as_text(found.rows())}\n\nno further member raises it. To use it:")
    print(f"python predict.py {found.ckpt} input=DIR output=DIR")
    if options.output:
        write_selection(found, options.output)
        print(f"\n{options.output} (selection.json, selection.csv)")


def _soup(options: argparse.Namespace) -> None:
    check_said(members_of(options.models))
    from multiclin.ensembling.soup import cook

    made = cook(options.models, options.output)
    print(f"the mean of {len(made.about['soup'])} models: {options.output}")
    print(f"score it first (python predict.py ckpt={options.output} gold=...):")
    print("the mean is a model only where all have begun from the same weights")
