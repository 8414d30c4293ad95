"""Targets of what a prediction writes: every format holds all that was predicted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from multiclin.corpus import one_line
from multiclin.corpus.jsonl import read_documents
from multiclin.corpus.tsv import read_rows
from multiclin.document import Document, Span
from multiclin.output import FORMATS, Output
from multiclin.spool import Spool
from tests.fuzzing.contracts import attempted
from tests.fuzzing.files import folder
from tests.fuzzing.source import Source

_NAMES: Final = ("a", "b", "dev/a", "a.txt", '"a', "NA", "001", " a", "é", "../a", "a\0b", "=1+1")


def predictions(data: bytes) -> None:
    """The files of a prediction, read again: the same mentions, scores and texts."""
    source = Source(data)
    documents = [_predicted(source, number) for number in range(source.number(0, 3))]
    documents = list({one.id: one for one in documents}.values())
    formats = tuple(name for name in FORMATS if source.flag())
    with folder() as root:
        spool = Spool(root / "out")
        spool.begin({})
        spool.open()
        for one in documents:
            spool.add(one)
        spool.finish()
        spool.close()
        spool.end()
        _, error = attempted(lambda: Output(root / "out", formats).publish(spool))
        assert not list(root.rglob(".multiclin-*")), "a temporary file was left"
        # Whoever mends what was wrong need not predict again.
        assert spool.has_ended == (error is not None)
        if error is None:
            assert not list(root.rglob(".*")), "a part was left"
            _judge(root / "out", sorted(documents, key=lambda one: one.id.encode()), formats)


def _predicted(source: Source, number: int) -> Document:
    """A document under a name that a text can have (`corpus.texts`), with scores."""
    name = source.choice((*_NAMES, ""))
    one = source.document(name or f"{one_line(source.text(8))}{number}", 60)
    scored = (replace(span, score=source.number(0, 100) / 100) for span in one.spans)
    return one.with_spans(tuple(scored))


def _judge(out: Path, documents: list[Document], formats: tuple[str, ...]) -> None:
    rows = read_rows(out / "predictions.tsv")
    found = [(row.filename, Span(row.start, row.end, row.label)) for row in rows]
    assert found == [(one.id, span) for one in documents for span in one.spans]
    if "jsonl" in formats:
        again = list(read_documents(out / "predictions.jsonl"))
        assert again == documents
        assert [_scores(one.spans) for one in again] == [_scores(one.spans) for one in documents]
    if "brat" in formats:
        for one in documents:
            assert (out / "ann" / f"{one.id}.txt").read_bytes() == one.text.encode()


def _scores(spans: tuple[Span, ...]) -> list[float | None]:
    return [span.score for span in spans]
