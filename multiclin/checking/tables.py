"""A table of mentions with its good rows, whatever is wrong with the others.

`corpus.tsv` says what is wrong, or gives all rows; where it finds a bad one, the records are cut
once more here, by the same rules, to keep the good ones. A repair rewrites cells of these records.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from multiclin.checking.findings import Findings
from multiclin.checking.texts import read
from multiclin.corpus import BOM
from multiclin.corpus.tsv import COLUMNS, Row, group_rows, read_rows
from multiclin.errors import CorpusError

Record = tuple[int, list[str]]
"""The line on which it begins, and its cells."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of mentions.

    Attributes:
        path: The file.
        is_sound: Whether it has the columns of one, so that a text without rows has no mention.
        grouped: Its good rows by document.
    """

    path: Path
    is_sound: bool
    grouped: Mapping[str, Sequence[Row]] = field(default_factory=dict)


def read_table(path: Path, findings: Findings) -> Table:
    """The good rows of a table; what is wrong with the others goes to the findings."""
    content = read(path, findings)
    if content is None:
        return Table(path, False)
    try:
        return Table(path, True, group_rows(read_rows(path)))
    except CorpusError as error:
        for problem in error.problems:
            findings.add("malformed_line", path, problem.line, problem.message)
        bad = {problem.line for problem in error.problems}
    records = cut(content)
    _, header = next(records, (1, []))
    places = columns(header)
    rows = [_row(cells, places, line) for line, cells in records if places and line not in bad]
    return Table(path, bool(places), group_rows(rows))


def cut(content: str) -> Iterator[Record]:
    """The records, the header first; blank lines are none."""
    reader = csv.reader(io.StringIO(content.removeprefix(BOM), newline=""), delimiter="\t")
    line = 1
    with suppress(csv.Error):  # A field of 131,073 characters: told already, nothing follows it.
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield line, cells
            line = reader.line_num + 1


def columns(header: Sequence[str]) -> list[int]:
    """Where the official columns stand; empty where one is missing."""
    names = [name.strip() for name in header]
    return [names.index(name) for name in COLUMNS] if set(COLUMNS) <= set(names) else []


def _row(cells: Sequence[str], places: Sequence[int], line: int) -> Row:
    filename, label, start, end, text = (cells[place] for place in places)
    return Row(filename, label, int(start), int(end), text, line)
