"""One table in four dresses: aligned text for the console, Markdown, LaTeX, HTML.

A table is rows of cells, already formatted; numbers stand on the right. A column holds numbers if
all of its cells below the heading are numbers, or empty, or a dash; a range (`0.43 to 0.49`) is one
too, and so is a bound (`< 0.0001`).

Cells are names of strangers' files, labels and documents too: none of them becomes a command of the
terminal, markup, or another cell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Table = Sequence[Sequence[str]]
"""Rows of cells, the first one the heading; all of one length."""

_NUMBER = re.compile(r"|[-–]|(< )?[-+±]?[\d.,]+(e[-+]?\d+)?%?( (±|to) [-+]?[\d.]+)?( \(\d+\))?")

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "±": r"$\pm$",
        # At the head of a row they would be arguments of the \\ before it.
        "[": "{[}",
        "*": "{*}",
        **{char: f"\\{char}" for char in "&%$#_{}"},
    }
)

_SIGN = re.compile(r"(?<!\w)-(?=\d)")
"""A minus, not the one in an exponent."""


_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_MARKDOWN = re.compile(r"[\\`*\[\]|]|<(?=[A-Za-z/!?])|&(?=[#\w])|(?<!\w)_|_(?!\w)")


def visible(text: str) -> str:
    r"""The text with its control characters spelt out, TAB and line feed left as they are.

    They could move the cursor, colour what follows, or write it from right to left.

    Example:
        >>> print(visible("DIS\x1b[2JEASE"))
        DIS\x1b[2JEASE
    """
    return _UNSEEN.sub(lambda char: ascii(char[0])[1:-1], text)


def on_one_line(text: str) -> str:
    """As `visible`, and TABs and line feeds are spaces."""
    return visible(text).replace("\n", " ").replace("\t", " ")


def in_markdown(text: str) -> str:
    r"""The text on one line, of which nothing is markup.

    Example:
        >>> print(in_markdown("a|b <i>"))
        a\|b \<i>
    """
    return _MARKDOWN.sub(r"\\\g<0>", on_one_line(text))


def numeric_columns(table: Table) -> list[bool]:
    """For each column, whether it holds numbers; one of empty cells does not."""
    columns = zip(*table[1:], strict=True) if len(table) > 1 else [()] * len(table[0])
    return [any(column) and all(map(_NUMBER.fullmatch, column)) for column in columns]


def as_text(table: Table) -> str:
    """A table for the console.

    Example:
        >>> print(as_text([["split", "gold"], ["test", "1,519"], ["train", "546"]]))
        split   gold
        test   1,519
        train    546
    """
    table = [list(map(on_one_line, row)) for row in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    numeric = numeric_columns(table)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in table
    )


def as_markdown(table: Table) -> str:
    """A table for a README."""
    head, *body = table
    rule = ["--:" if right else ":--" for right in numeric_columns(table)]
    rows = [rule if row is rule else list(map(in_markdown, row)) for row in [head, rule, *body]]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def as_latex(table: Table) -> str:
    r"""A table for a paper, for the package booktabs; cells are text, never commands.

    Example:
        >>> print(as_latex([["system", "b - a"], ["mr_bert", "-0.02"]]))
        \begin{tabular}{lr}
        \toprule
        system & b - a \\
        \midrule
        mr\_bert & $-$0.02 \\
        \bottomrule
        \end{tabular}
    """
    table = [list(map(on_one_line, row)) for row in table]
    numeric = numeric_columns(table)
    rows = [
        " & ".join(
            _SIGN.sub("$-$", cell.translate(_LATEX)) if right else cell.translate(_LATEX)
            for cell, right in zip(row, numeric, strict=True)
        )
        + r" \\"
        for row in table
    ]
    columns = "".join("r" if right else "l" for right in numeric)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", rows[0], r"\midrule", *rows[1:]]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def as_html(table: Table, links: Mapping[str, str] | None = None) -> str:
    """A table for a page, numbers in cells of the class `number`.

    Args:
        table: The table.
        links: Where a cell with this text leads.
    """
    kinds = [' class="number"' if right else "" for right in numeric_columns(table)]
    leads = links or {}

    def shown(cell: str) -> str:
        said = escape(cell)
        return f'<a href="{escape(leads[cell])}">{said}</a>' if cell in leads else said

    lines = [
        "<tr>"
        + "".join(
            f"<{tag}{kind}>{shown(cell)}</{tag}>" for cell, kind in zip(row, kinds, strict=True)
        )
        + "</tr>"
        for row, tag in zip(table, ["th", *["td"] * (len(table) - 1)], strict=True)
    ]
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def flat_rows(facts: Mapping[str, Any], prefix: str = "") -> list[list[str]]:
    """Nested facts as rows of a dotted name and a value.

    Example:
        >>> flat_rows({"data": {"languages": ["es", "it"]}})
        [['data.languages', 'es, it']]
    """
    rows: list[list[str]] = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            rows += flat_rows(value, f"{prefix}{key}.")
        else:
            parts = value if isinstance(value, list) else ["-" if value is None else value]
            said = ", ".join(map(str, parts))
            rows.append([f"{prefix}{key}", said])
    return rows
