"""`multiclin report`, `compare` and `table`: their options, and what they print.

What is heavy (pandas, plotly) is imported when a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from multiclin.errors import ConfigError
from multiclin.files import atomic_write
from multiclin.tables import Table, as_latex, as_markdown, as_text, visible

if TYPE_CHECKING:
    from multiclin.analysis.evaluation import Evaluation

FORMATS: dict[str, Callable[[Table], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "latex": as_latex,
}


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the three commands to the parser of `multiclin`."""
    report = commands.add_parser("report", help="how good it is, and why: report RUN...")
    report.add_argument("paths", type=Path, nargs="+", metavar="RUN", help=_SYSTEM)
    _add_sources(report)
    report.add_argument("--output", type=Path, metavar="DIR", help="default: where it lies")
    report.add_argument("--csv", type=Path, metavar="DIR", help="every table as a file, too")
    report.add_argument("--no-texts", action="store_true", help="show no word of any document")
    report.set_defaults(run=_report)

    compare = commands.add_parser("compare", help="is a difference more than chance? compare A B")
    compare.add_argument("paths", type=Path, nargs="+", metavar="RUN", help=_SYSTEM)
    _add_sources(compare)
    compare.add_argument("--names", metavar="a,b", help="what to call them; default: their paths")
    compare.add_argument("--format", choices=FORMATS, default="text")
    compare.add_argument(
        "--output", type=Path, metavar="DIR", help="write comparison.md, .tex and all tables"
    )
    compare.add_argument("--no-texts", action="store_true", help="write no disagreements.csv")
    compare.set_defaults(run=_compare)

    table = commands.add_parser("table", help="the paper's tables with your figures")
    table.add_argument("number", type=int, choices=(1, 2, 3), help="of the table in the paper")
    table.add_argument("paths", type=Path, nargs="+", metavar="DIR", help="runs, or studies for 1")
    table.add_argument("--native", type=Path, metavar="FILE", help=_NATIVE)
    table.add_argument("--format", choices=FORMATS, default="text")
    table.set_defaults(run=_table)


_READING = (
    "p: paired randomisation of the cases; 95 %: paired bootstrap over them. They may differ at\n"
    "the border; p decides. gold both: mentions that both find; wrong only a: predictions that a\n"
    "alone makes and gold does not have."
)

_SYSTEM = (
    "the folder of a training run, or of a sweep over folds (scored as one); or predictions (TSV, "
    "JSONL, brat) with --gold"
)
_NATIVE = "ids of the native documents, one per line"


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gold", type=Path, metavar="PATH", help="gold of predictions")
    parser.add_argument("--entity", metavar="LABEL", help="only this label of predictions")
    parser.add_argument("--split", choices=("test", "validation"), help="of a run; default: test")
    parser.add_argument("--native", type=Path, metavar="FILE", help=_NATIVE)


def _open(path: Path, options: argparse.Namespace) -> Evaluation:
    from multiclin.analysis.sources import open_system

    sources = {key: getattr(options, key) for key in ("gold", "entity", "split", "native")}
    return open_system(path, **sources)


def _check(options: argparse.Namespace) -> None:
    """Refuse an option that no path would take note of."""
    from multiclin.analysis.runs import splits_of

    runs = [path for path in options.paths if splits_of(path)]
    if options.gold and len(runs) == len(options.paths):
        raise ConfigError(f"{runs[0]} is a training run, which has its own gold: leave out --gold")
    if options.split and not runs:
        raise ConfigError(f"{options.paths[0]} is no training run: leave out --split")


def _place(path: Path, main: Evaluation, options: argparse.Namespace) -> Path:
    """Where the pages of a system go: to it; by split or label where they are not of all of it."""
    from multiclin.analysis.runs import splits_of

    if options.output:
        return Path(options.output)
    if path.is_dir():
        there = splits_of(path)
        parts = [main.split] if main.split not in {"", *there[:1]} and there else []
        parts += main.labels if options.entity and main.split else []
        return path / "-".join(["report", *parts]) if parts else path
    return path.with_name(f"{path.stem}-report")


def _report(options: argparse.Namespace) -> None:
    from multiclin.analysis.frames import frames, write_csv
    from multiclin.analysis.report import summary, write_report
    from multiclin.analysis.sources import other_splits

    if len(options.paths) > 1 and (options.output or options.csv):
        raise ConfigError("--output and --csv take one run at a time; leave them out for several")
    _check(options)
    for path in options.paths:
        main = _open(path, options)
        tables = frames(main)
        folder = _place(path, main, options)
        entity = options.entity or main.about.get("entity", "multiclin")
        title = f"{entity}: {path.resolve().name}"
        texts = not options.no_texts
        evaluations = [main, *other_splits(path, main)]
        report = write_report(folder, title, evaluations, tables=tables, texts=texts)
        if options.csv:
            write_csv(tables, options.csv, texts=texts)
        print(f"{summary(main, tables)}\n{report}")


def _compare(options: argparse.Namespace) -> None:
    from multiclin.analysis.comparison import (
        agreement_rows,
        compare,
        difference_rows,
        system_rows,
    )
    from multiclin.analysis.frames import write_csv

    _check(options)
    names = options.names.split(",") if options.names else list(map(str, options.paths))
    if len(names) != len(options.paths):
        raise ConfigError(f"--names={options.names}: give {len(options.paths)} names, one per path")
    systems = [
        replace(_open(path, options), name=name)
        for path, name in zip(options.paths, names, strict=True)
    ]
    tables = compare(systems)
    parts = [rows(tables) for rows in (system_rows, difference_rows, agreement_rows)]
    print("\n\n".join(map(FORMATS[options.format], parts)))
    if options.format == "text":
        print(f"\n{_READING}")
    if options.output:
        write_csv(tables, options.output, texts=not options.no_texts)
        for suffix, dress in (("md", as_markdown), ("tex", as_latex)):
            with atomic_write(options.output / f"comparison.{suffix}", overwrite=True) as stream:
                stream.write("\n\n".join(map(dress, parts)) + "\n")
        print(f"\n{options.output} (comparison.md, comparison.tex, differences.csv, ...)")


def _table(options: argparse.Namespace) -> None:
    from multiclin.analysis.published import paper_table

    table = paper_table(options.number, options.paths, options.native)
    print(table.title, file=sys.stderr)
    print(FORMATS[options.format](table.rows), flush=True)
    for note in table.notes:
        print(f"note: {visible(note)}", file=sys.stderr)
