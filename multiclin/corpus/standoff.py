"""Whole folders of texts with their mentions beside them: brat and tables.

brat: `.txt` and `.ann` side by side at any depth, or in `txt/` and `ann/`. Tables: one `.tsv` or
several, in the folder or in its `tsv/`, and the texts in `txt/` or beside them; any dialect of
`multiclin.corpus.tsv`. A table named after a split (`train.tsv`) has only the texts that it names;
any other one has them all, for a text without a mention is named nowhere. Texts stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from multiclin.corpus import as_name, settle_bom
from multiclin.corpus.brat import read_ann, write_ann, write_text
from multiclin.corpus.exchange import Losses, Reading, file_name
from multiclin.corpus.source import role_of
from multiclin.corpus.texts import case_of, files_of, find_texts, folders_of
from multiclin.corpus.tsv import (
    Row,
    group_rows,
    read_dialect,
    rows_from_documents,
    rows_without_text,
    spans_from_rows,
    stream_rows,
)
from multiclin.document import Document, Span
from multiclin.errors import CorpusError, OutputError, Problem
from multiclin.files import atomic_write, read_text

TEXTS: Final = "txt"
TABLE: Final = "mentions.tsv"

_KINDS: Final = {
    "R": "brat: relation",
    "A": "brat: attribute",
    "M": "brat: attribute",
    "E": "brat: event",
    "N": "brat: link to a terminology",
    "#": "brat: note",
    "*": "brat: equivalence",
}


def read_brat(path: Path, reading: Reading) -> Iterator[Document]:
    """The documents of a folder, by name.

    Raises:
        CorpusError: After the last good document: every problem of every file, and every `.ann`
            without a text.
    """
    if not path.is_dir():
        raise CorpusError([Problem(path, 0, "no folder of .txt and .ann files")])
    beside = path / TEXTS if (path / TEXTS).is_dir() else path
    root = reading.texts or beside
    folder = path / "ann" if (path / "ann").is_dir() else path
    anns = {
        ann.relative_to(folder).with_suffix(""): ann
        for place in folders_of(folder)
        for ann in files_of(place, ".ann")
    }
    problems: list[Problem] = []
    for name, text in find_texts(root).items():
        ann = anns.pop(text.relative_to(root).with_suffix(""), None)
        try:
            yield _brat_document(name, text, ann, reading)
        except CorpusError as error:
            problems += error.problems
    problems += [Problem(ann, 0, "no text of that name") for ann in anns.values()]
    if problems:
        raise CorpusError(problems)


def _brat_document(name: str, txt: Path, ann: Path | None, reading: Reading) -> Document:
    text, losses = read_text(txt), reading.losses
    if ann is None:
        losses.add("document: a text without .ann, so without gold", name)
        return Document(name, text, case=case_of(txt.stem))

    def spans_under(policy: str) -> tuple[Span, ...]:
        return read_ann(ann, text, discontinuous=policy)[0]

    text, (spans, report) = settle_bom(
        text, lambda text: read_ann(ann, text, discontinuous=reading.discontinuous)
    )
    if report.discontinuous:
        pieces = Counter(spans_under("cover")) - Counter(spans_under("skip"))
        for span in pieces.elements():
            losses.add(f"mention: in fragments ({reading.discontinuous})", name, span)
    for kind, number in sorted(report.ignored_lines.items()):
        losses.add(_KINDS[kind], name, times=number)
    return Document(name, text, spans, annotated=reading.annotated, case=case_of(txt.stem))


def write_brat(documents: Iterable[Document], folder: Path, losses: Losses) -> None:
    """Write `.txt` and `.ann` side by side.

    Raises:
        OutputError: A label or a name cannot be carried, or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for document in documents:
        _tell_folder(document, losses)
        write_text(document, folder)
        try:
            write_ann(document, folder)
        except OutputError as error:
            if error.__cause__ is not None:  # It is the disk that has failed.
                raise
            raise OutputError(f"{error}; --map renames labels") from error


def _tell_folder(document: Document, losses: Losses, *, is_named: bool = False) -> None:
    if "/" in file_name(document) and not is_named:
        losses.add("name: its folder, where the name without it is the only one", document.id)


def read_tables(path: Path, reading: Reading) -> Iterator[Document]:
    """The documents of a table, or of all tables in a folder, by name.

    Raises:
        CorpusError: There is no table or no text; or after the last good document: every row that
            does not fit its text, or has none.
    """
    files = [path] if path.is_file() else files_of(path, ".tsv") + files_of(path / "tsv", ".tsv")
    if not files:
        raise CorpusError([Problem(path, 0, "no .tsv file here or in tsv/")])
    problems: list[Problem] = []
    tables: list[tuple[Path, dict[str, list[Row]]]] = []
    for file in files:
        try:
            rows, others = read_dialect(file)
        except CorpusError as error:
            problems += error.problems
            continue
        tables.append((file, group_rows(rows)))
        for column, number in others.items():
            reading.losses.add(f"column {as_name(column)}", file.name, times=number)
    named = {name for _, grouped in tables for name in grouped}
    texts = find_texts(reading.texts or _beside(path), named)
    if path.is_file() and role_of(path.stem):
        _tell_unnamed(path, texts, reading.losses)
        texts = {name: text for name, text in texts.items() if name in named}
    problems += _told_twice(tables)
    for name, text in texts.items():
        try:
            yield _table_document(name, text, tables, reading)
        except CorpusError as error:
            problems += error.problems
    for file, grouped in tables:
        lonely = {name: rows for name, rows in grouped.items() if name not in texts}
        problems += rows_without_text(lonely, file)
    if problems:
        raise CorpusError(problems)


def _beside(path: Path) -> Path:
    """Where the texts of a table, or of a folder of them, lie."""
    if path.is_dir():
        places = [path / TEXTS, path]
    else:
        places = [path.parent / TEXTS, path.parent.parent / TEXTS, path.parent]
    return next((place for place in places if place.is_dir()), places[-1])


def _tell_unnamed(path: Path, texts: Mapping[str, Path], losses: Losses) -> None:
    """The texts that no table beside this one names: of no split. The first table tells them."""
    tables = [file for file in files_of(path.parent, ".tsv") if role_of(file.stem)]
    if path != tables[0]:
        return
    named = {name for table in tables for name in group_rows(read_dialect(table)[0])}
    for name in texts:
        if name not in named:
            losses.add("document: a text that no table of a split names", name)


def _told_twice(tables: Sequence[tuple[Path, Mapping[str, Sequence[Row]]]]) -> list[Problem]:
    """Mentions of one label and one document in two tables, which are versions of one gold."""
    problems: list[Problem] = []
    sources: dict[tuple[str, str], Path] = {}
    for file, grouped in tables:
        for name, rows in grouped.items():
            for label in sorted({row.label for row in rows}):
                source = sources.setdefault((name, label), file)
                if source != file:
                    message = f"{label} of {as_name(name)} is in {source} too; keep one table"
                    problems.append(Problem(file, rows[0].line, message))
    return problems


def _table_document(
    name: str,
    txt: Path,
    tables: Sequence[tuple[Path, Mapping[str, Sequence[Row]]]],
    reading: Reading,
) -> Document:
    def mentions(text: str) -> tuple[Span, ...]:
        return tuple(
            span
            for file, grouped in tables
            for span in spans_from_rows(grouped.get(name, ()), text, file)[0]
        )

    text, spans = settle_bom(read_text(txt), mentions)
    return Document(name, text, spans, annotated=reading.annotated, case=case_of(txt.stem))


def write_tables(documents: Iterable[Document], folder: Path, losses: Losses) -> None:
    """Write `mentions.tsv`, the official table, and the texts in `txt/`.

    Raises:
        OutputError: A label or a name cannot be carried, or a file cannot be written.
    """

    def written() -> Iterator[Document]:
        for document in documents:
            _tell_folder(document, losses, is_named=bool(document.spans))
            for label in sorted({span.label for span in document.spans}):
                if label != label.strip():
                    raise OutputError(f"white space at an edge of the label {as_name(label)}")
            write_text(document, folder / TEXTS)
            yield document

    (folder / TEXTS).mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / TABLE) as stream:
        stream_rows(rows_from_documents(written()), stream)
