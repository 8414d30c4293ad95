"""What the figures of a report show of their tables."""

from __future__ import annotations

import pandas as pd

from multiclin.analysis import figures
from multiclin.analysis.frames import frames
from tests.analysis.toys import evaluation, pair


def test_groups_show_f1_and_those_of_gold_alone_their_recall() -> None:
    found = evaluation(pair("a", "⟦tos⟧ y ⟦asma⟧", "⟦tos⟧ y asma"))
    strata = frames(found)["strata"]
    shown = {
        dimension: figures.group_scores(strata, dimension, 0.5)
        for dimension in ("language", "nested or adjacent")
    }
    # One of two found, nothing wrong: recall 1/2, F1 2/3.
    titles = {name: figure.layout.xaxis.title.text for name, figure in shown.items()}
    assert titles == {"language": "strict F1", "nested or adjacent": "recall"}
    assert list(shown["language"].data[0].x) == [2 / 3]
    assert list(shown["nested or adjacent"].data[0].x) == [0.5]


def test_learning_curves_call_scores_as_the_tables_do() -> None:
    history = pd.DataFrame(
        {"epoch": [1, 2], "train/loss": [2.0, 1.0], "val/overlap_f1": [0.5, 0.6], "other": [1, 2]}
    )
    drawn = figures.learning(history)
    assert [[line.name for line in one.data] for one in drawn] == [
        ["training loss"],
        ["character F1"],
    ]
