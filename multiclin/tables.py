"""One table in three dresses: aligned text for the console, Markdown, HTML.

A table is rows of cells, already formatted; numbers stand on the right. A column holds numbers if
all of its cells below the heading are numbers, or empty, or a dash.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

Table = Sequence[Sequence[str]]
"""Rows of cells, the first one the heading; all of one length."""

_NUMBER = re.compile(r"|[-–]|[-+±]?[\d.,]+(e[-+]?\d+)?%?( ± [\d.]+)?")


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
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *body])


def as_html(table: Table) -> str:
    """A table for a page, numbers in cells of the class `number`."""
    kinds = [' class="number"' if right else "" for right in numeric_columns(table)]
    lines = [
        "<tr>"
        + "".join(
            f"<{tag}{kind}>{escape(cell)}</{tag}>" for cell, kind in zip(row, kinds, strict=True)
        )
        + "</tr>"
        for row, tag in zip(table, ["th", *["td"] * (len(table) - 1)], strict=True)
    ]
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'
