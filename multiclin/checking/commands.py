"""`multiclin corpus check` and `stats`: their options, and what they print.

What is heavy (pandas, plotly, datasketch, transformers) is imported when a command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from multiclin.errors import ConfigError

if TYPE_CHECKING:
    from multiclin.checking.check import Checked
    from multiclin.checking.subwords import SubwordCheck

DIRTY = 1
"""Exit status of a check that found errors."""


def add_check(tools: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `check` to the tools of `multiclin corpus`; its `run` returns the exit status."""
    parser = tools.add_parser(
        "check",
        help="what is wrong with a corpus, and a corrected copy",
        epilog="Exit status: 0 clean (notes do not count), 1 dirty, 2 a mistake in the command. "
        "With --repair it is that of the copy.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="MultiClinNER tree, or brat files")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every finding")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="every finding, to be read")
    parser.add_argument("--repair", type=Path, metavar="OUT", help="write a corrected copy there")
    parser.add_argument("--drop-duplicates", action="store_true", help="... without repetitions")
    parser.add_argument("--add-empty-ann", action="store_true", help="... with missing .ann")
    parser.add_argument("--encoder", metavar="DIR|ID", help="check the subwords of this one, too")
    parser.add_argument("--window", type=int, default=512, metavar="N", help="its subwords")
    parser.add_argument(
        "--near", type=float, default=0.8, metavar="SHARE", help="of almost the same texts"
    )
    parser.set_defaults(run=_check)


def add_stats(tools: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `stats` to the tools of `multiclin corpus`."""
    parser = tools.add_parser("stats", help="tables and figures of what is in a corpus")
    parser.add_argument("folder", type=Path, metavar="DIR", help="any release of MultiClinNER")
    parser.add_argument("--output", type=Path, metavar="DIR", help="stats.html and CSVs go there")
    parser.add_argument("--no-texts", action="store_true", help="show no word of any document")
    parser.set_defaults(run=_stats)


def _check(options: argparse.Namespace) -> int:
    from multiclin.checking.check import check
    from multiclin.checking.repair import CHANGES, Asked, changes_path, refuse_existing, repair
    from multiclin.checking.telling import as_console, summary

    asked = Asked(options.drop_duplicates, options.add_empty_ann)
    if options.repair:
        refuse_existing(options.folder, options.repair)
    elif asked != Asked():
        raise ConfigError("--drop-duplicates and --add-empty-ann go with --repair OUT")
    subwords = _subwords(options.encoder, options.window) if options.encoder else None
    checked = check(options.folder, near=options.near, subwords=subwords)
    print(as_console(checked))
    _write(checked, options)
    if options.repair:
        counts = repair(checked, options.repair, asked)
        for change, number in counts.items():
            print(f"{number:,} {CHANGES[change]}")
        print(f"every change: {changes_path(options.repair)}")
        checked = check(options.repair, near=options.near, subwords=subwords)
        print(summary(checked))
    return 0 if checked.is_clean else DIRTY


def _subwords(encoder: str, window: int) -> SubwordCheck:
    from multiclin.checking.subwords import SubwordCheck
    from multiclin.encoder import Subwords

    return SubwordCheck(Subwords.of_encoder(encoder), window)


def _write(checked: Checked, options: argparse.Namespace) -> None:
    from multiclin.checking.telling import write_json, write_markdown

    for path, write in ((options.json, write_json), (options.markdown, write_markdown)):
        if path:
            write(checked, path)
            print(path)


def _stats(options: argparse.Namespace) -> None:
    from multiclin.checking.stats import Stats

    stats = Stats.of(options.folder)
    print(stats.as_console(texts=not options.no_texts))
    if options.output:
        print(stats.write(options.output, texts=not options.no_texts))
