"""The official table of mentions: one tab-separated file per set of documents.

Columns `filename`, `label`, `start_span`, `end_span`, `text` (FACTS 3), offsets in code points,
half-open. The official scorer reads it with pandas' defaults, so quoting counts: a field that
begins with a `"` runs to the next one, over line ends too. Reading follows the same rules through
the csv module, without pandas, except that it keeps every field a string and calls a short or long
row, a blank offset or a quote that never closes a problem instead of guessing. Writing quotes as
pandas reads: the spans come back exactly, whatever the mention holds.

What no writer can mend: pandas reads a filename such as `NA` as missing and a column of names such
as `001` as numbers. Writing warns; reading here is not affected.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final, TextIO

from multiclin.corpus import (
    BOM,
    ReadReport,
    as_name,
    excerpt,
    listing,
    mention_mismatch,
    one_line,
    settle_bom,
)
from multiclin.document import Document, Span
from multiclin.errors import CorpusError, OutputError, Problem
from multiclin.files import LARGEST_TABLE, atomic_write, read_text

COLUMNS: Final = ("filename", "label", "start_span", "end_span", "text")

DIALECTS: Final[Mapping[str, str]] = {
    "name": "filename",
    "tag": "label",
    "off0": "start_span",
    "span_ini": "start_span",
    "strat_span": "start_span",
    "off1": "end_span",
    "span_end": "end_span",
    "span": "text",
}
"""Names that sibling corpora give to the official columns (FACTS 2)."""

# What pandas' read_csv takes for a missing value unless told otherwise.
_PANDAS_NA: Final = frozenset(
    ["", "NA", "N/A", "n/a", "<NA>", "#NA", "#N/A", "#N/A N/A", "NULL", "null", "None"]
) | frozenset(["NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"])
_PLAIN_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_MOST_DIGITS: Final = 12
_SHOWN: Final = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One mention of the table.

    Attributes:
        filename: Document, as the file writes it: officially without `.txt`.
        label: Entity label.
        start: First character.
        end: One past the last character.
        text: The mention; the official scorer ignores it.
        line: 1-based line of the file on which the row begins, 0 where it comes from none.
    """

    filename: str
    label: str
    start: int
    end: int
    text: str
    line: int = field(default=0, compare=False)


def read_rows(path: Path) -> list[Row]:
    """The rows of one file in their order, nothing stripped or de-duplicated.

    Columns may stand in any order, among others, and with spaces around their names.

    Raises:
        CorpusError: A column is missing, or all rows that are malformed or have an end that is not
            above the start.
    """
    return _read(path, {})[0]


def read_dialect(path: Path) -> tuple[list[Row], Counter[str]]:
    r"""As `read_rows`, of the tables of sibling corpora too; told by their headers.

    Columns may have the names of `DIALECTS`; a filename and a label lose the spaces around them.

    Returns:
        The rows, and the names of the other columns with the number of rows that fill them.

    Example:
        `filename<TAB>mark<TAB>label<TAB>off0<TAB>off1<TAB>span` (DisTEMIST) gives the rows of the
        official columns, and `Counter(mark=...)`.
    """
    rows, others = _read(path, DIALECTS)
    stripped = (
        Row(row.filename.strip(), row.label.strip(), row.start, row.end, row.text, row.line)
        for row in rows
    )
    return list(stripped), others


def _read(path: Path, aliases: Mapping[str, str]) -> tuple[list[Row], Counter[str]]:
    records = _records(read_text(path, LARGEST_TABLE).removeprefix(BOM), path)
    first, header = next(records, (1, []))
    names = [name.strip() for name in header]
    places = _places(names, aliases, path, first)
    others = [place for place in range(len(names)) if place not in places]
    filled: Counter[str] = Counter()
    rows: list[Row] = []
    problems: list[Problem] = []
    try:
        for line, record in records:
            try:
                if aliases and max(places) < len(record):  # A note at the end may be left out.
                    record.extend([""] * (len(names) - len(record)))
                rows.append(_row(record, places, len(names), line))
                filled.update(names[place] for place in others if record[place].strip())
            except ValueError as error:
                problems.append(Problem(path, line, str(error)))
    except CorpusError as error:
        problems += error.problems
    if problems:
        raise CorpusError(problems)
    return rows, filled


def _places(names: Sequence[str], aliases: Mapping[str, str], path: Path, line: int) -> list[int]:
    """Where the official columns stand; the official name of one goes before the others."""
    found: dict[str, int] = {}
    for place, name in enumerate(names):
        column = aliases.get(name, name)
        if column not in found or (name == column and names[found[column]] != column):
            found[column] = place
    if missing := [column for column in COLUMNS if column not in found]:
        listed = listing(map(excerpt, names)) or "none"
        message = f"no column {', '.join(missing)}; the columns found are {listed}"
        raise CorpusError([Problem(path, line, message)])
    return [found[column] for column in COLUMNS]


def _records(content: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of every record that is not blank, by pandas' rules of quoting."""
    exhausted = False

    def lines() -> Iterator[str]:
        nonlocal exhausted
        yield from io.StringIO(content, newline="")
        exhausted = True

    reader = csv.reader(lines(), delimiter="\t")
    line = 1
    hint = 'a field that begins with a " ends at the next one: double or drop the quotes'
    try:
        for record in reader:
            if exhausted:  # The reader asked for more: the last record lies inside a quote.
                raise CorpusError([Problem(path, line, f"the quote never closes; {hint}")])
            if len(record) > 1 or (record and record[0].strip()):
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise CorpusError([Problem(path, line, f"{error}; {hint}")]) from error


def _row(record: list[str], places: Sequence[int], width: int, line: int) -> Row:
    if len(record) != width:
        raise ValueError(f"{len(record)} fields where the header has {width}")
    filename, label, start, end, text = (record[place] for place in places)
    row = Row(filename, label, _offset(start), _offset(end), text, line)
    if row.end <= row.start:
        raise ValueError(f"offset {start}-{end} is empty: the end must be above the start")
    return row


def _offset(number: str) -> int:
    number = number.strip()
    if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
        raise ValueError(f"{excerpt(number)} is no offset: expected an integer of 0 or more")
    return int(number)


def stream_rows(rows: Iterable[Row], stream: TextIO) -> None:
    """Writes header and rows as they come; memory holds one row.

    TABs and line breaks of a mention become a space each.

    Args:
        rows: Rows in the order of the file; those of one filename together.
        stream: Opened without newline translation.

    Raises:
        OutputError: A filename or label holds a TAB or a line break.
    """
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in _watched(rows):
        for name in (row.filename, row.label):
            if one_line(name) != name:
                raise OutputError(f"a table cannot carry the TAB or line break in {as_name(name)}")
        writer.writerow((row.filename, row.label, row.start, row.end, one_line(row.text)))


def format_rows(rows: Iterable[Row]) -> str:
    """The whole file, sorted by filename, start and end; otherwise as `stream_rows`."""
    stream = io.StringIO(newline="")
    stream_rows(_in_order(rows), stream)
    return stream.getvalue()


def write_rows(rows: Iterable[Row], path: Path, *, overwrite: bool = False) -> None:
    """Writes `format_rows` to a file that appears whole or not at all.

    Raises:
        OutputError: The file exists already or cannot be written, or as `stream_rows`.
    """
    with atomic_write(path, overwrite=overwrite) as stream:
        stream_rows(_in_order(rows), stream)


def _in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.filename, row.start, row.end, row.label, row.text))


def _watched(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, and then a warning of filenames that pandas' defaults would not give back."""
    counts: Counter[str] = Counter()
    examples: dict[str, list[str]] = defaultdict(list)
    for name, group in groupby(rows, key=attrgetter("filename")):
        kind = _read_as(name)
        counts[kind] += 1
        if counts[kind] <= _SHOWN:
            examples[kind].append(name)
        yield from group
    # One name that is text makes text of the whole column.
    changed = ["missing"] if counts["text"] else ["missing", "another number"]
    if number := sum(counts[kind] for kind in changed):
        shown = sorted(name for kind in changed for name in examples[kind])[:_SHOWN]
        _log.warning(
            "pandas, and with it the official scorer, reads %d of %d filenames as missing or as "
            "another number (%s): rename these documents, with a letter in front, in gold too",
            number,
            counts.total(),
            ", ".join(map(as_name, shown)),
        )


def _read_as(name: str) -> str:
    """What pandas makes of a filename: `missing`, `text`, `number` or `another number`."""
    if name in _PANDAS_NA:
        return "missing"
    if not _is_number(name):
        return "text"
    return "number" if _PLAIN_NUMBER.fullmatch(name) else "another number"


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return "_" not in name


def group_rows(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by document, without the suffix `.txt` that some corpora leave on the filename."""
    grouped: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row.filename.removesuffix(".txt")].append(row)
    return dict(grouped)


def spans_from_rows(
    rows: Iterable[Row], text: str, path: Path, *, labels: Collection[str] | None = None
) -> tuple[tuple[Span, ...], ReadReport]:
    """The mentions of one document, checked against its text as those of a `.ann`.

    Args:
        rows: Rows of this document.
        text: Its text.
        path: The table, for messages.
        labels: Labels to keep; None keeps all. Others are counted and not looked at further.

    Returns:
        The mentions, sorted, and the counts (`documents` is 0).

    Raises:
        CorpusError: Every row whose mention the text does not hold at its offsets.
    """
    spans: list[Span] = []
    report = ReadReport()
    problems: list[Problem] = []
    for row in rows:
        if labels is not None and row.label not in labels:
            report.ignored_labels[row.label] += 1
            continue
        place = [(row.start, row.end)]
        mismatch = mention_mismatch(text, place, row.text)
        # Spaces around a value are a habit of some tables, not part of the mention.
        if mismatch and mention_mismatch(text, place, row.text.strip(" ")):
            problems.append(Problem(path, row.line, mismatch))
        else:
            spans.append(Span(row.start, row.end, row.label))
    if problems:
        raise CorpusError(problems)
    report.mentions = len(spans)
    report.duplicates = len(spans) - len(set(spans))
    return tuple(sorted(spans)), report


def documents_from_rows(
    rows: Iterable[Row], texts: Mapping[str, str], path: Path
) -> Iterator[Document]:
    """One document per text, in the order of `texts`, with its rows as mentions.

    Args:
        rows: Rows of the table; a suffix `.txt` of a filename is dropped.
        texts: Text by document id.
        path: The table, for messages.

    Raises:
        CorpusError: After the last good document: every row that does not fit its text or has none.
    """
    grouped = group_rows(rows)
    problems: list[Problem] = []
    for name, text in texts.items():
        found = grouped.pop(name, [])
        try:
            settled, (spans, _) = settle_bom(text, partial(spans_from_rows, found, path=path))
        except CorpusError as error:
            problems += error.problems
        else:
            yield Document(name, settled, spans)
    problems += rows_without_text(grouped, path)
    if problems:
        raise CorpusError(problems)


def rows_without_text(grouped: Mapping[str, Sequence[Row]], path: Path) -> list[Problem]:
    """One problem for each document that has rows but no text, at its first row."""
    return [
        Problem(path, rows[0].line, f"no text for {as_name(name)}")
        for name, rows in grouped.items()
    ]


def rows_from_documents(documents: Iterable[Document]) -> Iterator[Row]:
    """One row per mention, in the order of the documents."""
    for document in documents:
        for span in document.spans:
            mention = document.text[span.start : span.end]
            yield Row(document.id, span.label, span.start, span.end, mention)
