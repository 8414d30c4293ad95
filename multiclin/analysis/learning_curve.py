"""`learning_curve.html`: what more documents bring, from runs on parts of a corpus.

A point is a run; runs of one part differ in their seed, which chooses the part too, so their spread
is that of both. Where the line still rises at its end, more documents of this kind are worth
annotating; on an axis that doubles, what the next doubling brings is seldom more than the last did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

import plotly.graph_objects as go  # type: ignore[import-untyped]

from multiclin.figures import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    STYLE,
    Figure,
    Section,
    as_section,
    dressed,
    script,
)
from multiclin.pages import write_page

COLORS = (BLUE, ORANGE, GREEN, RED, GREY)


class Point(NamedTuple):
    """A score of a run.

    Attributes:
        score: Its name, such as `test/strict_f1`.
        line: What tells this run from others, apart from its part and its seed.
        fraction: Its part of the training documents, above 0, at most 1.
        documents: Their number.
        value: The score.
    """

    score: str
    line: str
    fraction: float
    documents: int
    value: float


class Part(NamedTuple):
    """The runs of one line on one part of the documents.

    Attributes:
        fraction: The part.
        documents: Their mean number.
        values: Their scores.
    """

    fraction: float
    documents: float
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Their mean."""
        return fmean(self.values)

    @property
    def spread(self) -> float:
        """Their standard deviation (n - 1); 0 of one."""
        return stdev(self.values) if len(self.values) > 1 else 0.0


def lines(points: Sequence[Point]) -> dict[str, list[Part]]:
    """The points of one score by line, from few to many documents."""
    runs: dict[str, dict[float, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        runs[point.line][point.fraction].append(point)
    return {
        line: [
            Part(part, fmean(p.documents for p in of_part), tuple(p.value for p in of_part))
            for part, of_part in sorted(parts.items())
        ]
        for line, parts in runs.items()
    }


def write_curve(points: Sequence[Point], path: Path, table: str, made_by: str) -> None:
    """Write the page; an older one is replaced.

    Args:
        points: All scores of all runs.
        path: The file.
        table: HTML of the scores as numbers.
        made_by: The last command.

    Raises:
        OutputError: It cannot be written.
    """
    sections = []
    for name in dict.fromkeys(point.score for point in points):
        drawn = lines([point for point in points if point.score == name])
        about = " ".join(_rise(line, parts) for line, parts in drawn.items())
        sections.append(Section(name, about, [curve(drawn, name)]))
    body = f"<p><code>{escape(made_by)}</code></p>{table}{''.join(map(as_section, sections))}"
    write_page(path, "Learning curve", body, style=STYLE, script=script())


def _rise(line: str, parts: Sequence[Part]) -> str:
    """What the last step brought, in words."""
    if len(parts) < 2:
        return ""
    before, last = parts[-2:]
    more = last.documents / before.documents
    gain = last.mean - before.mean
    return (
        f"{line}{': ' if line else ''}{gain:+.4f} from {before.documents:,.0f} to "
        f"{last.documents:,.0f} documents ({more:.2g} times as many)."
    )


def curve(drawn: dict[str, list[Part]], name: str) -> Figure:
    """A score over the number of documents: each run a point, means with their spread a line."""
    figure = go.Figure()
    for number, (line, parts) in enumerate(drawn.items()):
        color = COLORS[number % len(COLORS)]
        figure.add_scatter(
            x=[part.documents for part in parts for _ in part.values],
            y=[value for part in parts for value in part.values],
            mode="markers",
            marker={"color": color, "size": 5, "opacity": 0.5},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=[part.documents for part in parts],
            y=[part.mean for part in parts],
            mode="lines+markers",
            name=line or name,
            line={"color": color},
            marker={"color": color, "size": 8},
            error_y={"type": "data", "array": [part.spread for part in parts], "color": color},
            customdata=[[f"{part.fraction:.3g}", part.spread, len(part.values)] for part in parts],
            hovertemplate="%{x:,.0f} documents (%{customdata[0]} of all): %{y:.4f} ± "
            "%{customdata[1]:.4f}, runs: %{customdata[2]}<extra></extra>",
        )
    ticks = {part.documents: part.fraction for parts in drawn.values() for part in parts}
    dressed(figure, height=400).update_layout(
        xaxis={
            "type": "log",
            "title": "documents to train on, and their share of all",
            "tickvals": list(ticks),
            "ticktext": [f"{docs:,.0f}<br>{part:.3g}" for docs, part in ticks.items()],
        },
        yaxis={"title": name, "rangemode": "tozero"},
        showlegend=len(drawn) > 1,
    )
    return figure
