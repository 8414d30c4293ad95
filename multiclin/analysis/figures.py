"""The figures of a report, each from one of the tables of `frames`."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go  # type: ignore[import-untyped]

from multiclin.figures import BLUE, GREY, ORANGE, RED, Figure, dressed, whole_axis

LOSSES = {"train/loss": ("training loss", GREY), "val/loss": ("validation loss", RED)}
SCORES = {
    "val/strict_f1": ("strict F1", BLUE),
    "val/seqeval_f1": ("seqeval F1", ORANGE),
    "val/overlap_f1": ("character F1", GREY),
}
"""What a run logs, as a legend calls it."""

DASH = {"color": GREY, "dash": "dash", "width": 1}


def group_scores(strata: pd.DataFrame, dimension: str, overall: float) -> Figure:
    """Scores of the groups of one dimension with their intervals, and the score over all.

    Shows F1, or recall where the groups have no precision.
    """
    table = strata[strata["dimension"] == dimension].iloc[::-1]
    measure = "f1" if table["f1"].notna().any() else "recall"
    value, low, high = (table[f"{measure}{end}"] for end in ("", "_low", "_high"))
    points = go.Scatter(
        x=value,
        y=table["group"],
        mode="markers",
        marker={"color": BLUE, "size": 9},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": high - value,
            "arrayminus": value - low,
            "color": BLUE,
        },
        customdata=table[["gold", "documents"]],
        hovertemplate="%{y}: %{x:.4f}<br>%{customdata[0]:,} gold mentions in "
        "%{customdata[1]:,} documents<extra></extra>",
    )
    figure = dressed(go.Figure(points), height=110 + 30 * len(table))
    figure.add_vline(x=overall, line=DASH)
    name = "strict F1" if measure == "f1" else "recall"
    figure.update_layout(
        xaxis={"title": name, "range": [0, 1]},
        yaxis={"type": "category", "ticksuffix": " "},
        margin={"t": 8},
    )
    return figure


def error_gains(errors: pd.DataFrame) -> Figure:
    """What strict F1 would gain, were all errors of a kind right."""
    table = errors[errors["cases"] > 0].iloc[::-1]
    bars = go.Bar(
        x=table["gain"],
        y=table["kind"],
        orientation="h",
        marker_color=BLUE,
        customdata=table[["cases", "f1_fixed"]],
        hovertemplate="%{y}: %{customdata[0]:,} cases<br>F1 %{customdata[1]:.4f} without them"
        "<extra></extra>",
    )
    figure = dressed(go.Figure(bars), height=90 + 26 * len(table))
    figure.update_layout(xaxis_title="F1 gained were they right", margin={"t": 8}, bargap=0.35)
    return figure


def reliability(table: pd.DataFrame) -> Figure:
    """Share of right mentions over their score, and how many mentions there are of each score."""
    middle = (table["low"] + table["high"]) / 2
    points = go.Scatter(
        x=table["score"],
        y=table["right"],
        mode="markers",
        name="share right",
        marker={"color": BLUE, "size": 8},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": table["right_high"] - table["right"],
            "arrayminus": table["right"] - table["right_low"],
        },
        customdata=table["mentions"],
        hovertemplate="mean score %{x:.2f}: %{y:.2f} right of %{customdata:,}<extra></extra>",
    )
    ideal = go.Scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="calibrated", line=DASH, hoverinfo="skip"
    )
    share = table["mentions"] / max(1, table["mentions"].sum())
    bars = go.Bar(
        x=middle,
        y=share,
        width=table["high"] - table["low"],
        name="share of mentions",
        marker_color="rgba(128,128,128,.3)",
        hovertemplate="%{y:.0%} of the mentions<extra></extra>",
    )
    figure = dressed(go.Figure([bars, ideal, points]))
    figure.update_layout(xaxis={"title": "score", "range": [0, 1]}, yaxis={"range": [0, 1]})
    return figure


def precision_recall(table: pd.DataFrame) -> Figure:
    """Precision over recall, as the least score rises."""
    best = table.loc[[table["f1"].idxmax()]]
    line = go.Scatter(
        x=table["recall"],
        y=table["precision"],
        mode="lines",
        name="all thresholds",
        line={"color": BLUE},
        customdata=table[["threshold", "f1"]],
        hovertemplate="score from %{customdata[0]:.2f}: P %{y:.3f}, R %{x:.3f}, "
        "F1 %{customdata[1]:.4f}<extra></extra>",
    )
    point = go.Scatter(
        x=best["recall"],
        y=best["precision"],
        mode="markers",
        name=f"best F1 here: from {best['threshold'].iloc[0]:.3f}",
        marker={"color": ORANGE, "size": 10},
        hoverinfo="skip",
    )
    figure = dressed(go.Figure([line, point]))
    figure.update_layout(
        xaxis={"title": "recall", "range": [0, 1]}, yaxis={"title": "precision", "range": [0, 1.01]}
    )
    return figure


def thresholds(table: pd.DataFrame) -> Figure:
    """Precision, recall and F1 over the least score."""
    colors = {"precision": ORANGE, "recall": GREY, "f1": BLUE}
    lines = [
        go.Scatter(
            x=table["threshold"],
            y=table[name],
            mode="lines",
            name=name.replace("f1", "F1"),
            line={"color": color},
            hovertemplate=f"{name} %{{y:.4f}} from %{{x:.2f}}<extra></extra>",
        )
        for name, color in colors.items()
    ]
    figure = dressed(go.Figure(lines))
    figure.update_layout(
        xaxis={"title": "decoding.min_score", "range": [0, 1]}, yaxis={"range": [0, 1]}
    )
    return figure


def learning(history: pd.DataFrame) -> list[Figure]:
    """Losses, and scores on validation, per epoch; a figure each."""
    figures = []
    for curves in (LOSSES, SCORES):
        lines = [
            go.Scatter(
                x=history["epoch"],
                y=history[key],
                mode="lines+markers",
                name=name,
                line={"color": color},
                hovertemplate=f"{name}, epoch %{{x}}: %{{y:.4f}}<extra></extra>",
            )
            for key, (name, color) in curves.items()
            if key in history and history[key].notna().any()
        ]
        if lines:
            figure = dressed(go.Figure(lines), height=320)
            axis = whole_axis(int(history["epoch"].min()), int(history["epoch"].max()))
            figures.append(figure.update_layout(xaxis={"title": "epoch", **axis}, showlegend=True))
    return figures


def score_histogram(mentions: pd.DataFrame) -> Figure:
    """How many predicted mentions there are of each score."""
    scores = mentions.loc[mentions["side"] == "predicted", "score"]
    bars = go.Histogram(x=scores, xbins={"start": 0, "end": 1, "size": 0.05}, marker_color=BLUE)
    figure = dressed(go.Figure(bars), height=280)
    figure.update_layout(xaxis={"title": "score", "range": [0, 1]}, margin={"t": 8}, bargap=0.1)
    return figure
