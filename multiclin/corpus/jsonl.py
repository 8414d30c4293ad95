"""Documents as JSON lines: one object per line, the form in which scores survive.

    {"id": "a1", "text": "Sin diabetes.", "language": "es", "annotated": ["DISEASE"],
     "spans": [{"start": 4, "end": 12, "label": "DISEASE", "text": "diabetes", "score": 0.98}]}

Only `id` and `text` are required; unknown keys are accepted and dropped; `case` stands where it is
not the id. Offsets are code points, half-open. Reading and writing stream: memory holds one line
(and the ids, to find repeated ones).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from multiclin.corpus import as_name, as_range, checked_text, mention_mismatch
from multiclin.document import Document, Span
from multiclin.errors import CorpusError, Problem
from multiclin.files import atomic_write, decode, read_lines

_BOM_BYTES = "\ufeff".encode()


def read_documents(path: Path) -> Iterator[Document]:
    """The documents of one file, in their order.

    Raises:
        CorpusError: After the last good document: every line that is no document, with its number.
    """
    problems: list[Problem] = []
    seen: set[str] = set()
    try:
        for number, line in read_lines(path):
            if is_blank(number, line):
                continue
            try:
                document = read_line(path, number, line)
            except CorpusError as error:
                problems += error.problems
                continue
            if document.id in seen:
                problems.append(repeated(path, number, document.id))
                continue
            seen.add(document.id)
            yield document
    except CorpusError as error:
        problems += error.problems
    if problems:
        raise CorpusError(problems)


def is_blank(number: int, line: bytes) -> bool:
    """Whether a line, counted from 1, holds nothing."""
    return not (line.removeprefix(_BOM_BYTES) if number == 1 else line).strip()


def read_line(path: Path, number: int, line: bytes) -> Document:
    """The document of a line, counted from 1.

    Raises:
        CorpusError: It is no document.
    """
    content = line.removeprefix(_BOM_BYTES) if number == 1 else line
    try:
        return parse_document(decode(content, path, line=number))
    except ValueError as error:
        raise CorpusError([Problem(path, number, str(error))]) from error


def repeated(path: Path, line: int, id: str) -> Problem:
    """What is wrong with a line whose id an earlier one has."""
    return Problem(path, line, f"a second document with the id {as_name(id)}")


def parse_document(line: str) -> Document:
    """One document from its line.

    Raises:
        ValueError: The line is not JSON, or a value is missing, of the wrong type or does not fit
            the text.
    """
    try:
        entry = json.loads(line)
    except RecursionError as error:
        raise ValueError("not JSON that can be read: nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from error
    if not isinstance(entry, dict):
        raise ValueError(f"expected an object, found {_kind(entry)}")
    text = _string(entry, "text")
    annotated = entry.get("annotated") or []
    if not isinstance(annotated, list) or not all(isinstance(name, str) for name in annotated):
        raise ValueError("'annotated' must be a list of labels")
    for name in annotated:
        checked_text(name, "'annotated'")
    spans = entry.get("spans") or []
    if not isinstance(spans, list):
        raise ValueError(f"'spans' must be a list, found {_kind(spans)}")
    return Document(
        _string(entry, "id"),
        text,
        tuple(_span(span, text) for span in spans),
        _string(entry, "language", ""),
        frozenset(annotated),
        _string(entry, "case", ""),
    )


def _string(entry: dict[str, Any], key: str, default: str | None = None) -> str:
    value = checked_text(default if entry.get(key) is None else entry[key], repr(key))
    if not value and key in ("id", "label"):
        raise ValueError(f"{key!r} is empty")
    return value


def _span(entry: object, text: str) -> Span:
    if not isinstance(entry, dict):
        raise ValueError(f"a span must be an object, found {_kind(entry)}")
    start, end, score = entry.get("start"), entry.get("end"), entry.get("score")
    if type(start) is not int or type(end) is not int or not 0 <= start < end:
        raise ValueError(f"offset {as_range(start, end)} is not a range of characters")
    if end > len(text):
        raise ValueError(f"offset {start}-{end} lies beyond the text of {len(text)} characters")
    if "text" in entry:
        mismatch = mention_mismatch(text, [(start, end)], _string(entry, "text"))
        if mismatch:
            raise ValueError(mismatch)
    if score is not None and (type(score) not in (int, float) or not 0 <= score <= 1):
        raise ValueError(f"the score of {start}-{end} must be a number from 0 to 1")
    return Span(start, end, _string(entry, "label"), score)


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a JSON {type(value).__name__}"


def format_document(document: Document) -> str:
    """The line of one document, without a line end."""
    spans = [
        {"start": span.start, "end": span.end, "label": span.label}
        | {"text": document.text[span.start : span.end]}
        | ({} if span.score is None else {"score": span.score})
        for span in document.spans
    ]
    entry = {
        "id": document.id,
        "text": document.text,
        "language": document.language,
        "annotated": sorted(document.annotated),
        "spans": spans,
    }
    if document.case != document.id:
        entry["case"] = document.case
    return json.dumps(entry, ensure_ascii=False)


def write_documents(documents: Iterable[Document], path: Path, *, overwrite: bool = False) -> None:
    """Writes the documents as they come; the file appears when all are written.

    Raises:
        OutputError: The file exists already or cannot be written.
    """
    with atomic_write(path, overwrite=overwrite) as stream:
        for document in documents:
            stream.write(format_document(document) + "\n")
