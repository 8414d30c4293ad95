"""Numbers as the cells of a page; nan is a dash."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any
from urllib.parse import quote


def number(count: float) -> str:
    """A count with its thousands."""
    return "-" if isnan(count) else f"{int(count):,}"


def share(value: float) -> str:
    """A share to the four decimals of the official scorer."""
    return "-" if isnan(value) else f"{value:.4f}"


def bounds(row: Mapping[Any, Any], key: str) -> str:
    """The interval of a score, to three decimals."""
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    return "-" if isnan(low) else f"{low:.3f} to {high:.3f}"


def cell(value: str | float) -> str:
    """A word as it is, a count or a share as the functions above."""
    if isinstance(value, str):
        return value
    return share(value) if 0 < value <= 1 or isnan(value) else number(value)


def place(document: str) -> str:
    """Where the page of the documents shows one."""
    return f"documents.html#{quote(document)}"
