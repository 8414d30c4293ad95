"""Plotly figures in a page of ours: their look, the script and the style that they need.

Colours are chosen to stand on a light and on a dark page; text takes its colour from the page's
CSS. plotly.js stands in the page once (4.5 MB): the price of figures that answer the mouse offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

Figure = Any
"""A plotly.graph_objects.Figure; plotly has no types."""

BLUE, GREY, ORANGE, RED, GREEN = "#3b82f6", "#909090", "#e08a1e", "#dc4c3f", "#2fa36b"

STYLE = """
.wide > .plotly { min-width: 44rem }
.several { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr));
  gap: 0 1.5rem }
.several > * { min-width: 0 }
.js-plotly-plot text { fill: var(--ink) !important }
.js-plotly-plot .annotation .bg { fill: var(--paper) !important; fill-opacity: .8 !important }
.js-plotly-plot .hovertext path { fill: var(--card) !important; stroke: var(--soft) !important }
@media print { .plotly { break-inside: avoid } .wide { overflow: visible } }
"""
"""CSS of a page with figures."""

_BEHAVIOUR = {"responsive": True, "displaylogo": False, "displayModeBar": False}


class Section(NamedTuple):
    """A part of a page.

    Attributes:
        title: Its heading.
        about: How to read it, or why there is nothing to see.
        figures: Plotly figures.
        frame: `wide` where they must not be narrow, `several` where they stand side by side.
        body: HTML between the sentence and the figures.
        after: HTML below the figures.
    """

    title: str
    about: str
    figures: Sequence[Figure] = ()
    frame: str = ""
    body: str = ""
    after: str = ""


def script() -> str:
    """plotly.js."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

    return str(get_plotlyjs())


def as_section(section: Section) -> str:
    """The HTML of a section."""
    name = section.title.lower().replace(" ", "-")
    figures = "".join(
        f'<div class="plotly">{_as_html(figure, f"{name}-{place}")}</div>'
        for place, figure in enumerate(section.figures)
    )
    return (
        f'<section id="{name}"><h2>{escape(section.title)}</h2><p>{escape(section.about)}</p>'
        f'{section.body}<div class="{section.frame}">{figures}</div>{section.after}</section>'
    )


def _as_html(figure: Figure, name: str) -> str:
    html: str = figure.to_html(
        full_html=False, include_plotlyjs=False, div_id=name, config=_BEHAVIOUR
    )
    return html


def dressed(figure: Figure, height: int = 360) -> Figure:
    """The look of every figure: see-through, its legend above, no title of its own."""
    grid = {"gridcolor": "rgba(128,128,128,.25)", "zeroline": False, "automargin": True}
    return figure.update_layout(
        template={},
        title=None,
        height=height,
        width=None,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#767676"},
        margin={"l": 64, "r": 16, "t": 32, "b": 48},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        hoverlabel={"align": "left"},
    ).update_layout(xaxis=grid, yaxis=grid)


def whole_axis(first: int, last: int) -> dict[str, Any]:
    """An axis of whole numbers with at most about ten ticks, all of them whole."""
    margin = max(0.5, 0.03 * (last - first))
    steps = -(-(last - first + 1) // 10)
    return {"range": [first - margin, last + margin], "dtick": steps, "tick0": first}
