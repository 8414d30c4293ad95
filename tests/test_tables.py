"""Tables as text, Markdown and HTML."""

from __future__ import annotations

import pytest

from multiclin.tables import as_html, as_markdown, as_text, numeric_columns

TABLE = [["split", "label", "F1"], ["validation", "X<Y", "0.5"], ["test", "Z", "-"]]


def test_numbers_stand_on_the_right() -> None:
    assert as_text(TABLE).splitlines() == [
        "split       label   F1",
        "validation  X<Y    0.5",
        "test        Z        -",
    ]
    assert as_markdown(TABLE).splitlines() == [
        "| split | label | F1 |",
        "| :-- | :-- | --: |",
        "| validation | X<Y | 0.5 |",
        "| test | Z | - |",
    ]
    rows = as_html(TABLE)
    assert '<tr><th>split</th><th>label</th><th class="number">F1</th></tr>' in rows
    assert '<tr><td>validation</td><td>X&lt;Y</td><td class="number">0.5</td></tr>' in rows


@pytest.mark.parametrize(
    ("cells", "numeric"),
    [
        (["1,519", "0.4612"], True),
        (["0.47 ± 0.03", ""], True),
        (["1e-05", "-3", "+0.2", "12%"], True),
        (["", ""], False),
        (["3", "es"], False),
        (["[4, 8]"], False),
        ([], False),
    ],
)
def test_what_a_column_of_numbers_is(cells: list[str], numeric: bool) -> None:
    assert numeric_columns([["heading"], *([cell] for cell in cells)]) == [numeric]


def test_lines_have_no_blanks_at_their_end() -> None:
    assert as_text([["a", "b"], ["1", ""], ["2", "long"]]) == "a  b\n1\n2  long"
