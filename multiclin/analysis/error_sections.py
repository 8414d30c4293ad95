"""The sections of a report about its errors: their causes, kinds, words and examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import isnan
from typing import Any

import pandas as pd

from multiclin.analysis import figures
from multiclin.analysis.advice import causes
from multiclin.analysis.cells import number, place, share
from multiclin.analysis.evaluation import Evaluation
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


def errors_section(tables: Frames, texts: bool) -> Section:
    """All kinds of errors; with texts, the words and mentions they concern, and examples."""
    errors = tables["errors"]
    rows = [["kind", "cases", "missing", "wrong", "F1 if right", "gain", "what it is"]]
    for row in errors[errors["cases"] > 0].to_dict("records"):
        numbers = [number(row[key]) for key in ("cases", "missing", "wrong")]
        shares = [share(row["f1_fixed"]), f"+{row['gain']:.4f}"]
        rows.append([row["kind"], *numbers, *shares, ABOUT[row["kind"]]])
    total = ["all", *(number(errors[key].sum()) for key in ("cases", "missing", "wrong")), "1.0000"]
    rows.append([*total, "", "Every false negative and false positive stands in one kind."])
    after = as_html(rows)
    if texts:
        after += _words(tables["boundary_words"]) + _frequent(tables["frequent"])
        after += _examples(tables["cases"], list(errors["kind"]))
    about = "Each gold mention that is missing and each prediction that is wrong, once."
    if texts:
        about += " In the examples gold is dashed and orange, a prediction solid and blue."
    drawn = [figures.error_gains(errors)] if errors["cases"].sum() else []
    return Section("Errors", about, drawn, after=after)


def _words(table: pd.DataFrame) -> str:
    """Words at wrong boundaries, a table for each change and edge."""
    parts = []
    for (change, edge), found in table.groupby(["change", "edge"]):
        rows = [[f"{change} at the {edge}", "times"]]
        rows += [[str(w), number(n)] for w, n in found[["word", "count"]].head(SHOWN).to_numpy()]
        parts.append(f"<div>{as_html(rows)}</div>")
    return _details("Words at wrong boundaries", parts)


def _frequent(table: pd.DataFrame) -> str:
    """Mentions that are most often missed or made up."""
    parts = []
    for kind, last in (("missed", "in gold"), ("spurious", "predicted")):
        found = table[table["kind"] == kind].head(SHOWN)
        rows = [[f"most often {kind}", "times", last]]
        rows += [
            [m, number(n), number(of)] for m, n, of in found[["mention", "count", "of"]].to_numpy()
        ]
        parts.append(f"<div>{as_html(rows)}</div>")
    return _details("Mentions most often missed and made up", parts)


def _examples(cases: pd.DataFrame, kinds: Iterable[str]) -> str:
    """Some errors of each kind in their context, spread over the documents."""
    parts = []
    for kind in kinds:
        found = cases[cases["kind"] == kind]
        if found.empty:
            continue
        shown = found.drop_duplicates("document").head(EXAMPLES)
        items = "".join(_example(row) for row in shown.to_dict("records"))
        body = f'<ul class="examples">{items}</ul>'
        parts.append(
            f"<details><summary>Examples: {kind} ({number(len(found))})</summary>{body}</details>"
        )
    return "".join(parts)


def _example(row: Mapping[Any, Any]) -> str:
    marks = [
        f'<span class="{kind}">{escape(row[side])}</span>'
        for side, kind in (("gold", "gold"), ("predicted", "found"))
        if row[side]
    ]
    score = "" if isnan(row["score"]) else f", score {row['score']:.2f}"
    return (
        f"<li>{escape(row['before'])} {' '.join(marks)} {escape(row['after'])}<br>"
        f'<small><a href="{escape(place(row["document"]))}">{escape(row["document"])}</a>, '
        f"{row['start']}-{row['end']}{score}</small></li>"
    )


def _details(title: str, parts: Sequence[str]) -> str:
    body = f'<div class="columns">{"".join(parts)}</div>'
    return f"<details><summary>{title}</summary>{body}</details>" if parts else ""
