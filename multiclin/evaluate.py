"""`python evaluate.py gold=... pred=...`: the official score of predictions, and what it hides.

Standard output gets the JSON of the official scorer and nothing else, so that it can be piped.
Document-macro F1 and the lines per language and subcorpus go to standard error as a table, and
with everything else into `output`, where that is given.

Gold and predictions are what `corpus.mentions` reads: no texts are needed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from multiclin.corpus import as_name, listing
from multiclin.corpus.mentions import (
    languages_of_folders,
    meant_label,
    mention_files,
    native_names,
    read_mentions,
)
from multiclin.corpus.tsv import Row
from multiclin.files import atomic_write
from multiclin.scoring.breakdown import (
    Line,
    by_language,
    by_subcorpus,
    format_table,
)
from multiclin.scoring.official import official_result, score_documents
from multiclin.tables import visible


def evaluate(
    gold: Path,
    pred: Path,
    entity: str | None = None,
    native: Path | None = None,
) -> dict[str, Any]:
    """Scores predictions against gold.

    Args:
        gold: A TSV, a `.ann` or a folder of them.
        pred: Likewise.
        entity: Score only this label, on both sides. Written in any case; the label is the one
            that gold has, and labels are compared as they are written, as the official scorer does.
        native: A text file with the name of one native document per line; all others are
            translated. Adds `by_subcorpus`.

    Returns:
        `official`, the result of the official scorer (see `scoring.official.official`);
        `overall`, `by_language` and, with `native`, `by_subcorpus`, with one line of scores per
        group (see `scoring.breakdown.Line.as_dict`); `notes`, what looks like a mistake.

    Raises:
        CorpusError: A path is missing, holds no mentions' files, or they are malformed.
        ConfigError: No mention has the label `entity`, or no document is named in `native`.
    """
    gold_files, pred_files = mention_files(gold, "gold="), mention_files(pred, "pred=")
    gold_rows, pred_rows = read_mentions(gold_files), read_mentions(pred_files)
    sides = [{row.label for row in rows} for rows in (gold_rows, pred_rows)]
    label = meant_label(entity, *sides) if entity else None
    scores = score_documents(gold_rows, pred_rows, label)
    languages = languages_of_folders(gold_files)
    report: dict[str, Any] = {
        "official": official_result(scores, label),
        "overall": Line.of("all", list(scores.values())).as_dict(),
        "by_language": _as_dicts(by_language(scores, languages)),
    }
    if native:
        report["by_subcorpus"] = _as_dicts(by_subcorpus(scores, native_names(native, scores)))
    report["notes"] = _notes(gold_rows, pred_rows)
    return report


def publish(report: dict[str, Any], output: Path | None = None) -> None:
    """Prints the official JSON to standard output and the rest to standard error.

    Args:
        report: What `evaluate` returned.
        output: A JSON file for the whole report; an existing one is replaced.

    Raises:
        OutputError: `output` cannot be written.
    """
    if output:
        with atomic_write(output, overwrite=True) as stream:
            stream.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(report["official"], indent=2), flush=True)
    print(format_report(report), file=sys.stderr)


def format_report(report: dict[str, Any]) -> str:
    """The lines of a report as one table, its notes below."""
    lines = {"all": report["overall"], **report["by_language"], **report.get("by_subcorpus", {})}
    return "\n".join([format_table(lines), *(f"note: {visible(note)}" for note in report["notes"])])


def _as_dicts(lines: Sequence[Line]) -> dict[str, dict[str, Any]]:
    return {line.group: line.as_dict() for line in lines}


def _notes(gold: Sequence[Row], predicted: Sequence[Row]) -> list[str]:
    """What would score zero for a reason that has nothing to do with the model."""
    notes = []
    gold_names, pred_names = {row.filename for row in gold}, {row.filename for row in predicted}
    if gold_names and pred_names and gold_names.isdisjoint(pred_names):
        notes.append(
            f"gold and predictions share no document: gold has {as_name(min(gold_names))}, "
            f"predictions have {as_name(min(pred_names))}; names are compared as they are written"
        )
    strangers = {row.label for row in predicted} - {row.label for row in gold}
    if gold and strangers:
        notes.append(
            f"labels that predictions have and gold never: {listing(sorted(strangers))}; "
            "labels are compared as they are written"
        )
    return notes
