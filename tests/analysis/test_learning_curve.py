"""The curve over the number of documents: means, spreads, and what the last step brought."""

from __future__ import annotations

from pathlib import Path

from multiclin.analysis.learning_curve import Part, Point, curve, lines, write_curve

F1 = "test/strict_f1"
POINTS = [
    Point(F1, "tiny", 1.0, 40, 0.6),
    Point(F1, "tiny", 0.5, 20, 0.4),
    Point(F1, "tiny", 0.5, 20, 0.5),
    Point(F1, "<b>", 0.5, 20, 0.3),
]


def test_runs_of_a_part_are_one_point_of_the_line() -> None:
    drawn = lines(POINTS)
    assert drawn == {
        "tiny": [Part(0.5, 20, (0.4, 0.5)), Part(1.0, 40, (0.6,))],
        "<b>": [Part(0.5, 20, (0.3,))],
    }
    assert [round(part.spread, 4) for part in drawn["tiny"]] == [0.0707, 0.0]
    figure = curve(drawn, F1)
    runs, means, *_ = figure.data
    assert (list(runs.x), list(runs.y)) == ([20, 20, 40], [0.4, 0.5, 0.6])
    assert (list(means.x), list(means.y)) == ([20, 40], [0.45, 0.6])
    assert figure.layout.xaxis.ticktext == ("20<br>0.5", "40<br>1")


def test_the_page_says_what_the_last_step_brought(tmp_path: Path) -> None:
    write_curve(POINTS, tmp_path / "curve.html", "<table></table>", "python train.py -m 'a<b'")
    page = (tmp_path / "curve.html").read_text("utf-8")
    assert "tiny: +0.1500 from 20 to 40 documents (2 times as many)." in page
    assert "python train.py -m &#x27;a&lt;b&#x27;" in page
    assert "<b>" not in page.partition("<h1>")[2]
