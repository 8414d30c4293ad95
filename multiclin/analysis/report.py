"""`report.html`: how good predictions are, how sure that is, where they fail, what to do next.

One file, offline. Every number in it is out of `frames`. Beside it lies `documents.html` with the
texts. With `texts=False` neither a text nor a word of one is shown, and only the report is written:
then it holds figures alone and can leave the hospital.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from multiclin.analysis.advice import causes
from multiclin.analysis.cells import bounds, number, share
from multiclin.analysis.documents import write_documents
from multiclin.analysis.error_sections import causes_section, errors_section
from multiclin.analysis.evaluation import Evaluation
from multiclin.analysis.frames import frames
from multiclin.analysis.runs import open_run
from multiclin.analysis.sections import (
    about_section,
    ceiling_section,
    confidence_section,
    found_sections,
    groups_section,
    hardest_section,
    learning_section,
    scores_section,
)
from multiclin.analysis.sources import other_splits
from multiclin.figures import STYLE, Section, as_section, script
from multiclin.pages import write_page
from multiclin.tables import as_text

Frames = Mapping[str, pd.DataFrame]

_STYLE = """
.headline { font-size: 1.25rem; color: var(--ink); margin: 1rem 0 }
.headline b { font-size: 2rem }
details { margin: .5rem 0 } summary { cursor: pointer; color: var(--soft) }
ol.causes li { margin: .75rem 0 } ol.causes p { margin: .1rem 0 }
.examples { list-style: none; padding: 0 } .examples li { margin: .5rem 0; overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.5rem; margin: .5rem 0 }
dd { margin: 0; min-width: 0 } dt { color: var(--soft) }
.wide + .wide { margin-top: 1rem }
.examples small { color: var(--soft) }
.columns { display: grid; gap: 0 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)) }
.columns > * { min-width: 0 }
nav a { margin-right: 1rem; white-space: nowrap } a { color: #3b82f6 }
@media print { nav { display: none } body { max-width: none }
  details::details-content { content-visibility: visible } }
"""


def report_run(
    run: Path, folder: Path | None = None, *, native: Path | None = None, texts: bool = True
) -> Path:
    """Write the pages of a training run, from what it keeps in its folder.

    Args:
        run: Its folder.
        folder: Where the pages go; by default to the run.
        native: A file of the ids of native documents, one per line.
        texts: Whether words of the documents may be shown.

    Returns:
        The report.

    Raises:
        CorpusError: The folder is not that of a run that kept an evaluation.
        OutputError: A page cannot be written.
    """
    main = open_run(run, native=native)
    title = f"{main.about.get('entity', 'multiclin')}: {run.name}"
    return write_report(folder or run, title, [main, *other_splits(run, main)], texts=texts)


def write_report(
    folder: Path,
    title: str,
    evaluations: Sequence[Evaluation],
    *,
    tables: Frames | None = None,
    texts: bool = True,
) -> Path:
    """Write `report.html` and, with texts, `documents.html`; older ones are replaced.

    Args:
        folder: Where they go.
        title: Of the pages.
        evaluations: The one that the report is about first; of the others the scores are shown.
        tables: `frames` of the first one, where they are there already.
        texts: Whether words of the documents may be shown.

    Returns:
        The report.

    Raises:
        OutputError: A page cannot be written.
    """
    main = evaluations[0]
    tables = frames(main) if tables is None else tables
    found = _scored(evaluations, tables, texts) if main.labels else found_sections(tables, texts)
    sections = [section for section in found if section is not None]
    link = '<a href="documents.html">documents</a>' if texts else ""
    links = " ".join(f'<a href="#{_name(one)}">{one.title.lower()}</a>' for one in sections)
    body = f"<nav>{links} {link}</nav>" + "".join(map(as_section, sections))
    path = folder / "report.html"
    write_page(path, title, body, style=STYLE + _STYLE, script=script())
    documents = folder / "documents.html"
    if texts:
        write_documents(documents, title, main)
    else:
        documents.unlink(missing_ok=True)  # An older one would leave with the report.
    return path


def _scored(evaluations: Sequence[Evaluation], tables: Frames, texts: bool) -> list[Section | None]:
    main = evaluations[0]
    return [
        scores_section(evaluations, tables),
        causes_section(main, tables, texts),
        errors_section(main, tables, texts),
        groups_section(tables),
        confidence_section(evaluations, tables),
        ceiling_section(tables),
        learning_section(tables),
        hardest_section(tables, texts),
        about_section(main),
    ]


def summary(main: Evaluation, tables: Frames) -> str:
    """The scores and the main causes of error, for the console."""
    if not main.labels:
        return f"{number(len(tables['mentions']))} mentions; without gold nothing is scored"
    rows = [["label", "documents", "gold", "P", "R", "strict F1", "95 %", "character F1"]]
    for row in tables["scores"].to_dict("records"):
        counts = [number(row[key]) for key in ("documents", "gold")]
        shares = [share(row[key]) for key in ("precision", "recall", "f1")]
        rows.append([row["label"], *counts, *shares, bounds(row, "f1"), share(row["char_f1"])])
    told = [
        f"{row['cause']} {number(row['cases'])} (F1 +{row['gain']:.4f} without)"
        for row in causes(main, tables).head(3).to_dict("records")
    ]
    errors = f"\nmain errors: {', '.join(told)}" if told else ""
    return as_text(rows) + errors


def _name(section: Section) -> str:
    return section.title.lower().replace(" ", "-")
