"""The sections of a report about its scores, each a sentence, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from multiclin.analysis import figures
from multiclin.analysis.cells import bounds, cell, number, place, share
from multiclin.analysis.evaluation import Evaluation
from multiclin.analysis.frames import best_least, f1_from, frames
from multiclin.figures import Section
from multiclin.scoring.calibration import expected_calibration_error
from multiclin.tables import as_html, flat_rows

Frames = Mapping[str, pd.DataFrame]

CEILING = {
    "lost_overlap": "lost: overlaps",
    "lost_duplicate": "repeated",
    "lost_tokenizer": "inside a subword",
    "lost_words": "by word rules",
    "split_by_windows": "whole in no window",
    "f1_before_snapping": "F1 unsnapped",
    "recall": "best recall",
    "f1": "best F1",
}
"""Headings of the ceiling."""

SHOWN = 15
"""Lines shown of lists that may be long."""


def scores_section(evaluations: Sequence[Evaluation], tables: Frames) -> Section:
    """The official scores of every evaluation, the first of them in large."""
    strict = [["split", "label", "documents", "gold", "predicted", "P", "R", "strict F1", "95 %"]]
    others = [["split", "label", "character P", "R", "F1", "95 %", "document-macro F1", "95 %"]]
    for evaluation in evaluations:
        table = tables["scores"] if evaluation is evaluations[0] else frames(evaluation)["scores"]
        for row in table.to_dict("records"):
            which = [evaluation.split or "-", row["label"]]
            counts = [number(row[key]) for key in ("documents", "gold", "predicted")]
            strict.append([*which, *counts, *_shares(row, "precision", "recall", "f1")])
            characters = _shares(row, "char_precision", "char_recall", "char_f1")
            others.append([*which, *characters, *_shares(row, "document_macro_f1")])
    first = tables["scores"].to_dict("records")[0]
    where = f" on {escape(evaluations[0].split)}" if evaluations[0].split else ""
    head = (
        f'<p class="headline">Strict F1{where} <b>{share(first["f1"])}</b> '
        f"({bounds(first, 'f1')}), precision {share(first['precision'])}, "
        f"recall {share(first['recall'])}</p>"
    )
    about = (
        "Strict and character scores as the official scorer counts them. Intervals: 95 %, "
        "bootstrap over documents, versions of one case together."
    )
    return Section("Scores", about, body=head + as_html(strict) + as_html(others))


def _shares(row: Mapping[Any, Any], *keys: str) -> list[str]:
    """Some scores of a line, the last with its interval."""
    return [*(share(row[key]) for key in keys), bounds(row, keys[-1])]


def groups_section(tables: Frames) -> Section | None:
    """Scores by group; a dimension of one group tells nothing new."""
    strata = tables["strata"]
    first = tables["scores"].iloc[0]
    sizes = strata.groupby("dimension", sort=False).size() if len(strata) else pd.Series(dtype=int)
    dimensions = [str(name) for name, size in sizes.items() if size > 1]
    rows = [["", "group", "documents", "gold", "predicted", "P", "R", "95 %", "F1", "95 %"]]
    drawn = []
    for dimension in dimensions:
        lines = strata[strata["dimension"] == dimension]
        measure = "f1" if lines["f1"].notna().any() else "recall"
        drawn.append(figures.group_scores(strata, dimension, float(first[measure])))
        drawn[-1].update_layout(title={"text": dimension, "x": 0, "font": {"size": 14}})
        drawn[-1].update_layout(margin_t=36)
        for row in lines.to_dict("records"):
            rows.append(
                [
                    dimension,
                    row["group"],
                    *(number(row[key]) for key in ("documents", "gold", "predicted")),
                    *(share(row["precision"]), share(row["recall"]), bounds(row, "recall")),
                    *(share(row["f1"]), bounds(row, "f1")),
                ]
            )
    if not dimensions:
        return None
    table = f"<details><summary>As a table</summary>{as_html(rows)}</details>"
    about = "Strict scores of parts of the documents and mentions; the dashed line is that of all."
    return Section("Where it fails", about, drawn, "several", table)


def confidence_section(evaluations: Sequence[Evaluation], tables: Frames) -> Section | None:
    """What scores are worth."""
    bins, curve = tables["reliability"], tables["thresholds"]
    if bins.empty:
        return None
    mentions = tables["mentions"]
    predicted = mentions[mentions["side"] == "predicted"]
    error = expected_calibration_error(predicted["score"].to_numpy(), predicted["right"].to_numpy())
    about = (
        "Whether a score is the chance of being right (on average the two are "
        f"{error:.3f} apart: the expected calibration error), and what it does to keep only "
        f"mentions of a least score. {_chosen(evaluations, tables)}"
    )
    drawn = [figures.reliability(bins), figures.precision_recall(curve), figures.thresholds(curve)]
    return Section("Scores of mentions", about, drawn, "several")


def _chosen(evaluations: Sequence[Evaluation], tables: Frames) -> str:
    """The least score that validation would choose, and what it does to the main evaluation."""
    for evaluation in evaluations[1:]:
        seen = frames(evaluation)["thresholds"]
        if evaluation.split == "validation" and len(seen):
            least = best_least(seen)
            return (
                f"Validation would choose decoding.min_score={least}: "
                f"F1 {f1_from(tables['mentions'], least):.4f} here, "
                f"and {f1_from(tables['mentions'], 0):.4f} without."
            )
    return "Choose it on validation documents."


def ceiling_section(tables: Frames) -> Section | None:
    """What could be reached at best; nothing where the run did not count it."""
    table = tables["ceiling"]
    if table.empty:
        return None
    names = [str(name) for name in table.columns]
    rows = [[CEILING.get(name, name.replace("_", " ")) for name in names]]
    for row in table.to_dict("records"):
        rows.append([cell(row[name]) for name in names])
    about = (
        "What perfect tags would score: tags, subwords and word rules cannot hold every mention."
    )
    return Section("The best that can be reached", about, body=as_html(rows))


def learning_section(tables: Frames) -> Section | None:
    """Losses and scores per epoch; nothing for a single epoch."""
    history = tables["history"]
    drawn = figures.learning(history) if len(history) > 1 else []
    return Section("Learning curves", "Means per epoch.", drawn, "several") if drawn else None


def hardest_section(tables: Frames, texts: bool) -> Section:
    """The documents with most errors."""
    documents = tables["documents"]
    errors = documents["missing"] + documents["wrong"]
    worst = documents.assign(errors=errors).sort_values("errors", ascending=False).head(SHOWN)
    rows = [["document", "words", "gold", "right", "missing", "wrong", "F1"]]
    for row in worst.to_dict("records"):
        numbers = [number(row[key]) for key in ("words", "gold", "right", "missing", "wrong")]
        rows.append([row["document"], *numbers, share(row["f1"])])
    links = {name: place(name) for name in worst["document"]} if texts else {}
    return Section("Hardest documents", "Those with most errors.", body=as_html(rows, links))


def about_section(main: Evaluation) -> Section:
    """What was evaluated, and where the model comes from."""
    facts = {key: value for key, value in main.about.items() if key != "scores"}
    rows = [["", ""], ["evaluated", main.name], *flat_rows(facts)]
    about = "multiclin report RUN --csv DIR writes every table of this page."
    return Section("This run", about, body=as_html(rows))


def found_sections(tables: Frames, texts: bool) -> list[Section | None]:
    """What was found, where there is no gold."""
    mentions = tables["mentions"]
    by_label = mentions.groupby("label").agg(
        mentions=("mention", "size"), documents=("document", "nunique"), score=("score", "mean")
    )
    rows = [["label", "mentions", "documents with some", "mean score"]]
    for label, row in by_label.iterrows():
        rows.append(
            [str(label), number(row["mentions"]), number(row["documents"]), share(row["score"])]
        )
    about = (
        f"{number(len(mentions))} mentions in {number(len(tables['documents']))} documents. There "
        "is no gold beside them, so nothing is scored."
    )
    scored = mentions["score"].notna().any()
    drawn = [figures.score_histogram(mentions)] if scored else []
    often = mentions["mention"].str.casefold().value_counts().head(2 * SHOWN)
    list_ = [["mention", "times"], *([str(name), number(times)] for name, times in often.items())]
    return [
        Section("Found", about, drawn, body=as_html(rows)),
        Section("Most frequent", "Case folded.", body=as_html(list_)) if texts else None,
    ]
