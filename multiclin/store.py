"""A tokenised corpus on disk: flat arrays that are memory-mapped.

Tokenization happens once per corpus, tokenizer and setting; epochs, trials, folds and ranks then
stream slices of the same pages. All documents stand one after the other in a handful of flat
arrays (tokens, text bytes, spans); an index of one row per document says where each begins. Windows
are not stored: they are slices, so the window setting is free to change. Resident memory is the
index (some hundred bytes per document) plus whatever pages the system keeps.

A store is written beside its place and renamed into it, so a half-written one is never read. Its
name is a digest of everything that made it: file contents, tokenizer, scheme, labels, rules.
(DESIGN section 3; the flat layout is that of language-model pretraining corpora.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from multiclin.document import Document, Span
from multiclin.encoder import Subwords
from multiclin.files import atomic_folder
from multiclin.tagging import Tagging
from multiclin.windows import IGNORED, Tokenized, Window

FORMAT = 2
"""Raised whenever the layout or the meaning of a stored number changes."""

ARRAYS: dict[str, np.dtype[Any]] = {
    "ids": np.dtype(np.int32),
    "starts": np.dtype(np.int32),
    "ends": np.dtype(np.int32),
    "tags": np.dtype(np.int8),  # (tokens, heads)
    "text": np.dtype(np.uint8),  # UTF-8
    "spans": np.dtype(np.int32),  # (spans, 3): start, end, number of the label
    "index": np.dtype(np.int64),  # (documents + 1, 3): first token, text byte, span
}

BATCH = 64
"""Documents tokenised at a time: enough to keep every core busy, few enough for flat memory."""


class Entry(NamedTuple):
    """What is known of a stored document without touching its text."""

    id: str
    language: str
    case: str
    split: str
    annotated: frozenset[str]


def entry_of(split: str, document: Document) -> Entry:
    """The entry of a document."""
    return Entry(document.id, document.language, document.case, split, document.annotated)


def store_name(parts: Mapping[str, object]) -> str:
    """Folder name of a store: a digest of everything that its content depends on."""
    said = json.dumps({"format": FORMAT, **parts}, sort_keys=True, ensure_ascii=False)
    return blake2b(said.encode(), digest_size=12).hexdigest()


def tag_document(tokenized: Tokenized, tagging: Tagging) -> npt.NDArray[np.int8]:
    """Tag numbers per head, shape (heads, tokens); `IGNORED` on white space and without gold."""
    document = tokenized.document
    visible = np.flatnonzero(tokenized.starts < tokenized.ends)
    starts, ends = tokenized.starts[visible], tokenized.ends[visible]
    tags = np.full((len(tagging.labels), tagging.layers, len(tokenized)), IGNORED, dtype=np.int8)
    for row, label in enumerate(tagging.labels):
        if label in document.annotated:
            tags[row][:, visible] = tagging.tags(starts, ends, document.spans, label)
    return tags.reshape(len(tagging.heads), len(tokenized))


class Store:
    """An opened store; cheap to pickle, so worker processes open it for themselves.

    Args:
        folder: A folder that `build` has made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about: dict[str, Any] = json.loads((folder / "about.json").read_text("utf-8"))
        self.labels: tuple[str, ...] = tuple(self.about["labels"])
        self._arrays: dict[str, npt.NDArray[Any]] = {}

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return Store, (self.folder,)

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def entries(self) -> list[Entry]:
        """One row per document, in the order of the store."""
        with (self.folder / "documents.jsonl").open(encoding="utf-8") as lines:
            rows = (json.loads(line) for line in lines)
            return [Entry(row[0], row[1], row[2], row[3], frozenset(row[4])) for row in rows]

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens per document."""
        return np.diff(self._array("index")[:, 0])

    def tokens(self, document: int, window: Window) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Ids, shape (length,), and tags, shape (heads, length), of one window."""
        at = self._array("index")[document, 0]
        part = slice(at + window.first, at + window.end)
        return self._array("ids")[part], self._array("tags")[part].T

    def offsets(
        self, document: int, window: Window
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """First character of each token of one window, and one past its last, shape (length,)."""
        at = self._array("index")[document, 0]
        part = slice(at + window.first, at + window.end)
        return np.asarray(self._array("starts")[part]), np.asarray(self._array("ends")[part])

    def tokenized(self, number: int) -> Tokenized:
        """A whole document with text, gold spans, tokens and tags."""
        first, end = self._array("index")[number : number + 2, 0].tolist()
        ids, starts, ends, tags = (
            np.array(self._array(name)[first:end]) for name in ("ids", "starts", "ends", "tags")
        )
        return Tokenized(self.document(number), ids, starts, ends, tags.T)

    def document(self, number: int) -> Document:
        """A document with text and gold spans."""
        entry = self.entries[number]
        first, end = self._array("index")[number : number + 2, 2].tolist()
        spans = tuple(
            Span(start, end, self.labels[label])
            for start, end, label in self._array("spans")[first:end].tolist()
        )
        text = self.text(number)
        return Document(entry.id, text, spans, entry.language, entry.annotated, entry.case)

    def text(self, number: int) -> str:
        """The text of a document."""
        return self._decoded(*self._array("index")[number : number + 2, 1].tolist())

    def _decoded(self, first: int, end: int) -> str:
        return self._array("text")[first:end].tobytes().decode()

    def _array(self, name: str) -> npt.NDArray[Any]:
        if name not in self._arrays:
            path, kind = self.folder / f"{name}.bin", ARRAYS[name]
            width = {"tags": self.about["heads"], "spans": 3, "index": 3}.get(name)
            flat: npt.NDArray[Any] = np.empty(0, kind)
            if path.stat().st_size:
                flat = np.memmap(path, dtype=kind, mode="r")
            self._arrays[name] = flat.reshape(-1, width) if width else flat
        return self._arrays[name]

    @classmethod
    def build(
        cls,
        folder: Path,
        documents: Iterable[tuple[str, Document]],
        subwords: Subwords,
        tagging: Tagging,
    ) -> Store:
        """Write a store, and open it. The folder appears whole or not at all.

        Args:
            folder: Its place; the name should come from `store_name`.
            documents: Split name and document.
            subwords: The tokenizer.
            tagging: How mentions become tags.
        """
        with atomic_folder(folder) as building:
            _Writer(building, tagging).write(documents, subwords)
        return cls(folder)


class _Writer:
    """Appends documents to the flat arrays of a folder."""

    def __init__(self, folder: Path, tagging: Tagging) -> None:
        self.folder, self.tagging = folder, tagging
        self.counts = dict.fromkeys(("tokens", "text", "spans"), 0)

    def write(self, documents: Iterable[tuple[str, Document]], subwords: Subwords) -> None:
        files: dict[str, IO[bytes]] = {}
        try:
            for name in ARRAYS:
                files[name] = (self.folder / f"{name}.bin").open("wb")
            with (self.folder / "documents.jsonl").open("w", encoding="utf-8") as entries:
                for batch in _batches(documents, BATCH):
                    tokenized = subwords.tokenize([document for _, document in batch])
                    for (split, _), one in zip(batch, tokenized, strict=True):
                        self._append(one, files)
                        entry = entry_of(split, one.document)
                        row = [*entry[:4], sorted(entry.annotated)]
                        entries.write(json.dumps(row) + "\n")
            self._index(files["index"])
        finally:
            for file in files.values():
                file.close()
        labels, scheme = list(self.tagging.labels), self.tagging.scheme.name
        heads = len(self.tagging.heads)
        about = {"labels": labels, "heads": heads, "scheme": scheme, **self.counts}
        (self.folder / "about.json").write_text(json.dumps(about), "utf-8")

    def _append(self, one: Tokenized, files: Mapping[str, IO[bytes]]) -> None:
        self._index(files["index"])
        labels = self.tagging.labels
        text = one.document.text.encode()
        spans = [
            (span.start, span.end, labels.index(span.label))
            for span in one.document.spans
            if span.label in labels
        ]
        tags = tag_document(one, self.tagging)
        for name, values in (("ids", one.ids), ("starts", one.starts), ("ends", one.ends)):
            files[name].write(values.tobytes())
        files["tags"].write(np.ascontiguousarray(tags.T).tobytes())
        files["text"].write(text)
        files["spans"].write(np.array(spans, dtype=np.int32).tobytes())
        self.counts["tokens"] += len(one)
        self.counts["text"] += len(text)
        self.counts["spans"] += len(spans)

    def _index(self, file: IO[bytes]) -> None:
        row = [self.counts[name] for name in ("tokens", "text", "spans")]
        file.write(np.array(row, dtype=np.int64).tobytes())


def _batches(
    items: Iterable[tuple[str, Document]], size: int
) -> Iterator[list[tuple[str, Document]]]:
    stream = iter(items)
    while batch := list(islice(stream, size)):
        yield batch
