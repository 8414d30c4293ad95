"""The sections of a report about its errors: their causes, kinds, words and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import pandas as pd

from multiclin.analysis import figures
from multiclin.analysis.advice import causes
from multiclin.analysis.cells import number, share
from multiclin.analysis.evaluation import Evaluation
from multiclin.analysis.examples import examples
from multiclin.figures import Section
from multiclin.scoring.kinds import ABOUT
from multiclin.tables import as_html

Frames = Mapping[str, pd.DataFrame]

EXAMPLES = 8
"""Examples shown of each kind of error."""

SHOWN = 15
"""Lines shown of lists that may be long."""


def causes_section(main: Evaluation, tables: Frames, texts: bool) -> Section | None:
    """The three main causes, and what to do about each."""
    table = causes(main, tables)
    if table.empty:
        return None
    items = []
    for row in table.head(3).to_dict("records"):
        finding = f"{row['finding']} {row['words'] if texts else ''}"
        items.append(
            f"<li><b>{escape(row['cause'])}</b>: {number(row['cases'])} cases; without them "
            f"strict F1 would be {share(row['f1_fixed'])} (+{row['gain']:.4f})"
            f"<p>{escape(finding)}</p><p>{escape(row['advice'])}</p></li>"
        )
    about = "The main causes of error by what they cost, and what may be done about them."
    return Section("What to do next", about, body=f'<ol class="causes">{"".join(items)}</ol>')


def errors_section(main: Evaluation, tables: Frames, texts: bool) -> Section:
    """All kinds of errors; with texts, the words and mentions they concern, and examples."""
    errors = tables["errors"]
    there = errors[errors["cases"] > 0].to_dict("records")
    rows = [["kind", "cases", "missing", "wrong", "F1 if right", "gain"]]
    for row in there:
        numbers = [number(row[key]) for key in ("cases", "missing", "wrong")]
        rows.append([row["kind"], *numbers, share(row["f1_fixed"]), f"+{row['gain']:.4f}"])
    total = [number(errors[key].sum()) for key in ("cases", "missing", "wrong")]
    rows.append(["all", *total, "1.0000", ""])
    said = "".join(f"<dt>{row['kind']}</dt><dd>{ABOUT[row['kind']]}</dd>" for row in there)
    after = (
        as_html(rows) + f"<details><summary>What the kinds are</summary><dl>{said}</dl></details>"
    )
    if texts:
        after += _words(tables["boundary_words"]) + _frequent(tables["frequent"])
        after += "".join(examples(main, row["kind"], EXAMPLES) for row in there)
    about = (
        "Each gold mention that is missing (false negative) and each prediction that is wrong "
        "(false positive) stands in one kind, once."
    )
    drawn = [figures.error_gains(errors)] if there else []
    return Section("Errors", about, drawn, after=after)


def _words(table: pd.DataFrame) -> str:
    """Words at wrong boundaries, a table for each change and edge."""
    parts = []
    groups = table.groupby(["change", "edge"])
    for (change, edge), found in sorted(groups, key=lambda group: -group[1]["count"].sum()):
        rows = [[f"{change} at the {edge}", "times"]]
        rows += [[str(w), number(n)] for w, n in found[["word", "count"]].head(SHOWN).to_numpy()]
        parts.append(f"<div>{as_html(rows)}</div>")
    return _details("Words at wrong boundaries", parts)


def _frequent(table: pd.DataFrame) -> str:
    """Mentions that are most often missed or spurious."""
    parts = []
    for kind, last in (("missed", "in gold"), ("spurious", "predicted")):
        found = table[table["kind"] == kind].head(SHOWN)
        rows = [[f"most often {kind}", "times", last]]
        rows += [
            [m, number(n), number(of)] for m, n, of in found[["mention", "count", "of"]].to_numpy()
        ]
        parts.append(f"<div>{as_html(rows)}</div>")
    return _details("Mentions most often missed and spurious", parts)


def _details(title: str, parts: Sequence[str]) -> str:
    body = f'<div class="columns">{"".join(parts)}</div>'
    return f"<details><summary>{title}</summary>{body}</details>" if parts else ""
