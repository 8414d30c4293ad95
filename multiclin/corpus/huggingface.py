"""Token classification data as Hugging Face's `datasets` has it, in plain files: JSONL or Parquet.

Two kinds of row are read, told by their columns:

* tokens: `tokens`, `ner_tags` (or `tags`, `labels`), and `id`. Tags are strings in any scheme of
  `multiclin.corpus.tagged`, or numbers: their names are then in the metadata of the Parquet file,
  or beside it in `dataset_info.json`, or in `names.txt`, one per line. Rows that follow each other
  with one `document` are its sentences; without that column each row is a document. The text is
  that of the column `text`, else it is rebuilt with a space between two tokens.
* spans: `text`, and `spans` (or `entities`) with `start`, `end` and `label`, in code points.

Written are rows of tokens, one per sentence, for the training scripts that cut a row at 512 tokens:
`{"id": "case-7:0", "document": "case-7", "language": "es", "text": "Sin diabetes. ", "tokens":
["Sin", "diabetes", "."], "ner_tags": ["O", "B-DISEASE", "O"]}`. The texts of a document's rows make
up its text, so only what tags cannot hold is lost. For rows of spans convert to jsonl: its columns
are these. Parquet needs pyarrow, which is imported when a file is met.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final

from multiclin.corpus import (
    as_name,
    as_range,
    checked_name,
    checked_text,
    excerpt,
    mention_mismatch,
)
from multiclin.corpus.exchange import Losses, Reading
from multiclin.corpus.tagged import (
    Token,
    aligned,
    check_tag,
    rebuilt,
    spans_of,
    tagged_sentences,
)
from multiclin.corpus.texts import case_of, files_of
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, CorpusError, Problem
from multiclin.files import atomic_write, decode, opened, read_lines, read_text

SUFFIXES: Final = (".jsonl", ".json", ".parquet")

_TAGS: Final = ("ner_tags", "tags", "labels")
_SPANS: Final = ("spans", "entities")
_FACTS: Final = frozenset(["id", "document", "language", "text"])

_Row = dict[str, Any]
_NumberedRow = tuple[int, _Row]


def read_huggingface(path: Path, reading: Reading) -> Iterator[Document]:
    """The documents of one file, or of all in a folder.

    Raises:
        CorpusError: After the last good document: every row that is wrong.
        ConfigError: A Parquet file, and no pyarrow.
    """
    files = [path] if path.is_file() else [f for s in SUFFIXES for f in files_of(path, s)]
    files = [file for file in files if file.name != "dataset_info.json"]
    problems: list[Problem] = []
    if not files:
        problems.append(Problem(path, 0, f"no data here ({', '.join(SUFFIXES)})"))
    for file in files:
        rows = _parquet_rows(file) if file.suffix == ".parquet" else _json_rows(file, problems)
        for _, group in groupby(enumerate_rows(rows), lambda one: one[1]):
            together = [row for row, _ in group]
            try:
                yield _document(together, file, reading)
            except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
                said = f"it has no {error}" if isinstance(error, KeyError) else str(error)
                problems.append(Problem(file, together[0][0], f"not such a row: {said}"))
    if problems:
        raise CorpusError(problems)


def enumerate_rows(rows: Iterable[_NumberedRow]) -> Iterator[tuple[_NumberedRow, object]]:
    """Each row with what it shares with the others of its document: a name, or its number."""
    for number, row in rows:
        told = row.get("document")
        yield (number, row), number if told in (None, "") else ["document", told]


def _json_rows(path: Path, problems: list[Problem]) -> Iterator[_NumberedRow]:
    try:
        for number, line in read_lines(path):
            try:
                content = decode(line, path, line=number).strip().removeprefix("\ufeff")
                row = json.loads(content) if content else None
            except CorpusError as error:
                problems += error.problems
            except (ValueError, RecursionError) as error:
                problems.append(Problem(path, number, f"not a line of JSON: {error}"))
            else:
                if isinstance(row, dict):
                    yield number, row
                elif content:
                    problems.append(Problem(path, number, "expected an object on each line"))
    except CorpusError as error:
        problems += error.problems


def _parquet_rows(path: Path) -> Iterator[_NumberedRow]:
    parquet, arrow_error = _pyarrow(path)
    number = 0
    try:
        with opened(path) as stream, parquet.ParquetFile(stream) as file:
            for batch in file.iter_batches(batch_size=64):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (arrow_error, OSError, ValueError) as error:  # ValueError: a text is not UTF-8.
        raise CorpusError([Problem(path, 0, f"not a Parquet file: {error}")]) from error


def _pyarrow(path: Path) -> tuple[Any, type[Exception]]:
    """The module `pyarrow.parquet`, and its error."""
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigError(
            f"{path}: Parquet needs pyarrow, which is not installed; pip install "
            "'multiclin[parquet]', or convert the file to JSON lines"
        ) from error
    return parquet, import_module("pyarrow").ArrowException


def _document(rows: Sequence[_NumberedRow], path: Path, reading: Reading) -> Document:
    number, first = rows[0]
    told = [first[key] for key in ("document", "id") if first.get(key) not in (None, "")]
    name = checked_name(told[0], "its name") if told else f"{path.stem}-{number:06d}"
    read, columns = (_of_tokens, _TAGS) if "tokens" in first else (_of_spans, _SPANS)
    used = next((column for column in columns if column in first), columns[0])
    text, spans = read([row for _, row in rows], used, name, path, reading.losses)
    known = _FACTS | {used} | ({"tokens"} if "tokens" in first else set())
    for column in sorted(set().union(*(row.keys() for _, row in rows)) - known):
        reading.losses.add(f"column {as_name(column)}", name, times=len(rows))
    language = checked_text(first.get("language") or "", "language")
    return Document(name, text, spans, language, reading.annotated, case_of(name))


def _of_tokens(
    rows: Sequence[_Row], column: str, name: str, path: Path, losses: Losses
) -> tuple[str, tuple[Span, ...]]:
    sentences: list[list[Token]] = []
    is_known = all(isinstance(row.get("text"), str) for row in rows)
    text = "".join(row["text"] for row in rows) if is_known else ""
    if not is_known:
        text = rebuilt(row["tokens"] for row in rows)
        losses.add("text: rebuilt, a space between two tokens", name)
    checked_text(text, "its text")
    at = 0
    for row in rows:
        tags = [_tag(tag, column, path) for tag in row[column]]
        places = list(aligned(row["tokens"], text, at))
        if len(tags) != len(places):
            raise ValueError(f"{len(places)} tokens and {len(tags)} {column}")
        sentences.append([Token(*place, tag) for place, tag in zip(places, tags, strict=True)])
        at = at + len(row["text"]) if is_known else (places[-1][1] if places else at)
    return text, spans_of(sentences)


def _tag(tag: object, column: str, path: Path) -> str:
    if isinstance(tag, str):
        return check_tag(tag)
    if type(tag) is not int:
        raise ValueError(f"a tag of {column} is neither a name nor a number")
    names = _names(path, column)
    if not names:
        raise ValueError(
            f"{column} holds numbers, and nothing says what they mean; write their names, one per "
            f"line from number 0 on, into {path.parent / 'names.txt'}"
        )
    if not 0 <= tag < len(names):
        raise ValueError(f"tag {excerpt(str(tag))} of {column}, which has {len(names)} names")
    return check_tag(names[tag])


@cache
def _names(path: Path, column: str) -> tuple[str, ...]:
    """Names of the numbers of a column of tags; none where nothing tells them."""
    listed = path.parent / "names.txt"
    if listed.is_file():
        return tuple(read_text(listed).split())
    described = path.parent / "dataset_info.json"
    features: Any = {}
    if path.suffix == ".parquet":
        parquet, _ = _pyarrow(path)
        said = parquet.read_schema(path).metadata or {}
        features = json.loads(said.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    elif described.is_file():
        features = json.loads(read_text(described)).get("features", {})
    feature: Any = features.get(column) or {}
    while "names" not in feature and isinstance(feature.get("feature"), dict):
        feature = feature["feature"]
    return tuple(feature.get("names", ()))


def _of_spans(
    rows: Sequence[_Row], column: str, name: str, _: Path, losses: Losses
) -> tuple[str, tuple[Span, ...]]:
    (row,) = rows
    text = checked_text(row["text"], "text")
    spans = []
    for one in row[column] or []:
        start, end = one["start"], one["end"]
        if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
            raise ValueError(f"offset {as_range(start, end)} is no range of its text")
        said = mention_mismatch(text, [(start, end)], str(one.get("text") or text[start:end]))
        if said:
            raise ValueError(said)
        spans.append(Span(start, end, checked_name(one["label"], "a label")))
        for key in sorted(one.keys() - {"start", "end", "label", "text"}):
            losses.add(f"{column}: {as_name(key)}", name, spans[-1])
    return text, tuple(spans)


def write_huggingface(documents: Iterable[Document], path: Path, losses: Losses) -> None:
    """Write one file, Parquet or JSON lines by its suffix.

    Raises:
        OutputError: The file exists already or cannot be written, or a label cannot be carried.
        ConfigError: A Parquet file, and no pyarrow.
    """
    rows = (row for document in documents for row in rows_of(document, losses))
    _WRITERS.get(path.suffix, _write_json)(rows, path)


def rows_of(document: Document, losses: Losses) -> Iterator[_Row]:
    """The rows of a document; their texts make up its text."""
    sentences = tagged_sentences(document, losses) or [[]]
    starts = [0, *(sentence[0].start for sentence in sentences[1:]), len(document.text)]
    for number, (sentence, (start, end)) in enumerate(
        zip(sentences, pairwise(starts), strict=True)
    ):
        yield {
            "id": f"{document.id}:{number}",
            "document": document.id,
            "language": document.language,
            "text": document.text[start:end],
            "tokens": [document.text[token.start : token.end] for token in sentence],
            "ner_tags": [token.tag for token in sentence],
        }


def _write_json(rows: Iterator[_Row], path: Path) -> None:
    with atomic_write(path) as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_parquet(rows: Iterator[_Row], path: Path) -> None:
    parquet, _ = _pyarrow(path)
    pyarrow = import_module("pyarrow")
    texts = pyarrow.list_(pyarrow.string())
    columns = dict.fromkeys(("id", "document", "language", "text"), pyarrow.string())
    schema = pyarrow.schema({**columns, "tokens": texts, "ner_tags": texts})
    with atomic_write(path, binary=True) as stream, parquet.ParquetWriter(stream, schema) as file:
        for _, group in groupby(enumerate(rows), lambda one: one[0] // 1000):
            batch = [row for _, row in group]
            file.write_batch(pyarrow.RecordBatch.from_pylist(batch, schema=schema))


_WRITERS: Final[Mapping[str, Callable[[Iterator[_Row], Path], None]]] = {".parquet": _write_parquet}
