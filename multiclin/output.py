"""Predicted documents -> files, in flat memory and in the order of their names.

Documents complete in the order of the windows, not of the names, on several processes and machines.
The parts that these leave (`spool`) are read as one sorted stream once all are there, and the files
are written beside their places and renamed together: a run that dies leaves no half result, and
`predictions.tsv` stands where all of it does. The price is that every text is written once more.
Publishing 10,000 documents of 3,000 characters and 20 mentions peaks at 23 MiB and takes 2.5 s,
100,000 at 26 MiB and 27 s on one core.
Formats: the official TSV always; brat and JSONL on request. (DESIGN section 4.)
"""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from multiclin.corpus.brat import write_ann, write_text
from multiclin.corpus.jsonl import parse_document, repeated
from multiclin.corpus.tsv import rows_from_documents, stream_rows, write_rows
from multiclin.document import Document
from multiclin.errors import ConfigError, OutputError, Problem
from multiclin.files import atomic_folder, atomic_write, clear_unfinished
from multiclin.shards import Shard
from multiclin.spool import Spool, read_problems, read_rows

FORMATS = ("tsv", "brat", "jsonl")

PAGES = ("report.html", "documents.html")
"""Of a prediction, written by `analysis.report`."""

_COUNT = "SELECT count(*) FROM document"
_DOCUMENTS = "SELECT id, number, content FROM document ORDER BY id, number"


@dataclass
class Output:
    """The files of a prediction.

    Attributes:
        folder: Where they go.
        formats: Any of `FORMATS`.
        overwrite: Whether results that stand there may be replaced.
        keep: How many documents may stay in memory, for a report.
        source: The file of the documents, to tell of ids that it repeats.
        kept: The published documents, if there are at most `keep`; else none.
        documents: Documents published.
        mentions: Their mentions.
        problems: Documents that could not be read.
    """

    folder: Path
    formats: Sequence[str] = ("tsv",)
    overwrite: bool = False
    keep: int = 0
    source: Path = Path()
    kept: list[Document] = field(default_factory=list)
    documents: int = 0
    mentions: int = 0
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in self.formats:
            if name not in FORMATS:
                raise ConfigError(f"formats={name} is unknown; choose from {', '.join(FORMATS)}")
        standing = [path for path in self._targets() if path.exists()]
        if standing and not self.overwrite:
            raise OutputError(
                f"{standing[0]} exists already; choose another output= or say overwrite=true"
            )

    def publish(self, spool: Spool) -> list[Shard]:
        """Write the files, if this is the shard that completes the set; the parts go.

        Returns:
            The shards that are missing, none where the files are written. This one is among them
            where another has published it.

        Raises:
            OutputError: A file cannot be written. None is then, and the parts stay.
        """
        with spool.alone():
            if missing := spool.missing():
                return missing
            clear_unfinished(self.folder)
            parts = spool.parts()
            self.problems += read_problems(parts)
            with ExitStack() as stack:
                # Left last: where the table stands, all does.
                table = stack.enter_context(atomic_write(self.tsv, overwrite=True))
                stream_rows(rows_from_documents(self._counted(parts)), table)
                if "jsonl" in self.formats:
                    lines = stack.enter_context(atomic_write(self._jsonl, overwrite=True))
                    lines.writelines(content + "\n" for _, _, content in _sorted_rows(parts))
                if "brat" in self.formats:
                    self._write_brat(parts, stack)
            if self.overwrite:  # The pages of older predictions would lie about these.
                for page in PAGES:
                    (self.folder / page).unlink(missing_ok=True)
            spool.discard()
        return []

    @property
    def tsv(self) -> Path:
        """The file of the five official columns."""
        return self.folder / "predictions.tsv"

    @property
    def _jsonl(self) -> Path:
        return self.folder / "predictions.jsonl"

    def _write_brat(self, parts: Sequence[Path], stack: ExitStack) -> None:
        folder = self.folder / "ann"
        if not folder.exists():
            folder = stack.enter_context(atomic_folder(folder))
        for document in _sorted_documents(parts):
            write_ann(document, folder, overwrite=self.overwrite, durable=False)
            write_text(document, folder, overwrite=self.overwrite, durable=False)
        os.sync()

    def _counted(self, parts: Sequence[Path]) -> Iterator[Document]:
        there = sum(count for part in parts for (count,) in read_rows(part, _COUNT))
        repetitions: list[tuple[str, int]] = []
        for document in _sorted_documents(parts, repetitions):
            self.documents += 1
            self.mentions += len(document.spans)
            if there <= self.keep:
                self.kept.append(document)
            yield document
        self.problems += [repeated(self.source, line, id) for id, line in repetitions]

    def _targets(self) -> list[Path]:
        named = {"tsv": self.tsv, "brat": self.folder / "ann", "jsonl": self._jsonl}
        pages = [self.folder / name for name in (PAGES if self.keep else ())]
        return [*(named[one] for one in {"tsv": 0} | dict.fromkeys(self.formats)), *pages]


def _sorted_rows(
    parts: Sequence[Path], repetitions: list[tuple[str, int]] | None = None
) -> Iterator[tuple[str, int, str]]:
    """Id, number and content of every document; of those with one id the first by number.

    Args:
        parts: Ended parts.
        repetitions: Takes id and number of the others.
    """
    before = None
    for row in heapq.merge(*(read_rows(part, _DOCUMENTS) for part in parts)):
        id, number, content = row
        if id != before:
            yield id, number, content
        elif repetitions is not None:
            repetitions.append((id, number))
        before = id


def _sorted_documents(
    parts: Sequence[Path], repetitions: list[tuple[str, int]] | None = None
) -> Iterator[Document]:
    return (parse_document(content) for _, _, content in _sorted_rows(parts, repetitions))


def write_predictions(documents: Sequence[Document], path: Path) -> None:
    """The official TSV of documents in memory, in place of an older one."""
    write_rows(rows_from_documents(documents), path, overwrite=True)


def write_json(content: object, path: Path, *, overwrite: bool = True) -> None:
    """Indented JSON, whole or not at all."""
    with atomic_write(path, overwrite=overwrite) as stream:
        json.dump(content, stream, indent=2, ensure_ascii=False)
        stream.write("\n")
