"""The report of a pretraining: its losses, what it read, what it was told. No word of any text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from multiclin.analysis.runs import history
from multiclin.figures import BLUE, ORANGE, STYLE, Figure, Section, as_section, dressed, script
from multiclin.files import read_text
from multiclin.pages import write_page
from multiclin.tables import as_html, flat_rows
from multiclin.yaml_files import read_yaml

CURVES = {
    "loss, nats per masked token": {"train/loss": BLUE, "val/loss": ORANGE},
    "share of masked tokens found": {"val/accuracy": ORANGE},
}
"""What is drawn: figures with the keys of their lines."""


def report_pretraining(run: Path, overview: str) -> Path:
    """Write `report.html` into the folder of a run; an older one is replaced.

    Args:
        run: The folder, with its config and the files of a CSV logger.
        overview: Table of the texts.

    Returns:
        The report.

    Raises:
        OutputError: It cannot be written.
    """
    lines = history(run)
    figures = [one for name, keys in CURVES.items() if (one := _curves(lines, name, keys))]
    about = "By optimizer steps." if figures else "Nothing was logged: a CSV logger draws them."
    settings = flat_rows(read_yaml(run / ".hydra" / "config.yaml"))
    sections = [
        Section("Losses", about, figures, "several"),
        Section("Texts", "What was read.", body=f"<pre>{escape(overview)}</pre>"),
        Section("Scores", "Of the best checkpoint.", body=as_html(_scores(run))),
        Section("Settings", "", body=as_html([["setting", "value"], *settings])),
    ]
    path = run / "report.html"
    body = "".join(map(as_section, sections))
    write_page(path, f"Pretraining: {run.name}", body, style=STYLE, script=script())
    return path


def _curves(lines: Sequence[dict[str, float]], title: str, keys: dict[str, str]) -> Figure | None:
    import plotly.graph_objects as go  # type: ignore[import-untyped]

    drawn = []
    for key, color in keys.items():
        points = [(line["step"], line[key]) for line in lines if key in line]
        if points:
            steps, values = zip(*points, strict=True)
            drawn.append(
                go.Scatter(x=steps, y=values, mode="lines", name=key, line={"color": color})
            )
    if not drawn:
        return None
    figure = dressed(go.Figure(drawn), height=320)
    return figure.update_layout(xaxis={"title": "step"}, yaxis={"title": title}, showlegend=True)


def _scores(run: Path) -> list[list[str]]:
    scores: dict[str, float] = json.loads(read_text(run / "metrics.json"))
    return [["score", "value"], *([name, f"{value:,.6g}"] for name, value in scores.items())]
