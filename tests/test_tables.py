"""Tables as text, Markdown, LaTeX and HTML."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.tables import as_html, as_latex, as_markdown, as_text, numeric_columns

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
        "| validation | X\\<Y | 0.5 |",
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
        (["-0.01 to +0.02", "< 0.0001"], True),
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


def test_a_table_for_latex() -> None:
    assert as_latex(TABLE).splitlines() == [
        r"\begin{tabular}{llr}",
        r"\toprule",
        r"split & label & F1 \\",
        r"\midrule",
        r"validation & X\textless{}Y & 0.5 \\",
        r"test & Z & - \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_latex_has_minus_signs_where_numbers_are_negative() -> None:
    rows = as_latex([["a-1", "b", "c"], ["x -1", "-0.1 to -0.2", "1e-05"], ["", "-", "0.1 ± 0.2"]])
    assert r"x -1 & $-$0.1 to $-$0.2 & 1e-05 \\" in rows
    assert r" & - & 0.1 $\pm$ 0.2 \\" in rows


@pytest.mark.parametrize(
    ("char", "written"),
    [
        *((char, f"\\{char}") for char in "&%$#_{}"),
        ("\\", r"\textbackslash{}"),
        ("~", r"\textasciitilde{}"),
        ("^", r"\textasciicircum{}"),
        ("<", r"\textless{}"),
        (">", r"\textgreater{}"),
        ("[", "{[}"),
        ("*", "{*}"),
    ],
)
def test_no_cell_is_a_command_of_latex(char: str, written: str) -> None:
    assert f"{written}b & 1 " in as_latex([["h", "n"], [f"{char}b", "1"]])
    assert f"{written} & n " in as_latex([[char, "n"], ["a", "1"]])


@given(st.lists(st.lists(st.text(r"\&%$#_{}~^<>[]*ab1 -"), min_size=3, max_size=3), min_size=1))
def test_latex_stays_balanced_whatever_the_cells(table: list[list[str]]) -> None:
    lines = as_latex(table).splitlines()
    assert len(lines) == len(table) + 5
    for line in (lines[2], *lines[4:-2]):
        bare = re.sub(r"\\[&%$#_{}]", "", line.removesuffix(r" \\"))
        assert bare.count("&") == 2
        assert bare.count("{") == bare.count("}")
        assert bare.count("$") % 2 == 0
        assert set(re.findall(r"\\\w*", bare)) <= {
            r"\textbackslash",
            r"\textasciitilde",
            r"\textasciicircum",
            r"\textless",
            r"\textgreater",
        }
