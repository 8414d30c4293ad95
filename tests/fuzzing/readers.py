"""Targets that read files: a corpus of each format, gold and predictions, tables, lists, texts.

Whatever the bytes are, only a `MulticlinError` comes out, and what is read keeps `contracts`. A
corpus that can be read is then converted into another format and read again: what is not the same
was told. The first byte of a case chooses how it is read, and into what it is converted.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Final

from multiclin.analysis.sources import open_files
from multiclin.corpus.brat import POLICIES
from multiclin.corpus.convert import Conversion, convert
from multiclin.corpus.exchange import Loss, Reading
from multiclin.corpus.formats import FORMATS
from multiclin.corpus.own import OwnCorpus
from multiclin.corpus.source import ROLES, Corpus
from multiclin.corpus.splits import Header, load_split, read_keys
from multiclin.corpus.texts import Texts
from multiclin.corpus.tsv import Row, format_rows, read_rows
from multiclin.document import Document
from multiclin.evaluate import evaluate, publish
from tests.fuzzing.contracts import (
    attempted,
    judge_carried,
    judge_document,
    until_told,
)
from tests.fuzzing.files import folder, lay
from tests.fuzzing.source import Source

_SET: Final = "MultiClinNER-es-train-"
CORPORA: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "brat": ("brat", ("a.txt", "a.ann", "b.txt", "b.ann")),
    "tsv": ("tsv", ("mentions.tsv", "txt/a.txt", "txt/b.txt")),
    "conll": ("conll", ("mentions.conll", "txt/a.txt")),
    "jsonl": ("jsonl", ("train.jsonl", "test.jsonl")),
    "bioc_xml": ("bioc", ("part.xml",)),
    "bioc_json": ("bioc", ("part.json",)),
    "huggingface": ("huggingface", ("train.jsonl", "dataset_info.json", "names.txt")),
    "multiclinner": (
        "multiclinner",
        (
            f"{_SET}disease/txt/a.txt",
            f"{_SET}disease/ann/a.ann",
            f"{_SET}symptom/txt/a.txt",
            f"{_SET}symptom/tsv/{_SET}symptom.tsv",
        ),
    ),
}
"""Target -> format, and the files of a case in their order."""


def corpus_target(name: str) -> Callable[[bytes], None]:
    """The target of one format."""
    format_, names = CORPORA[name]

    def target(data: bytes) -> None:
        source = Source(data)
        with folder() as root:
            (root / "in").mkdir()
            judge = corpus_judge(root, format_, source)
            lay(root / "in", names, source.rest())
            judge()

    return target


def corpus_judge(root: Path, format_: str, source: Source) -> Callable[[], None]:
    """What is held against a corpus that lies in `root/in`; how it is read is drawn at once."""
    how = Reading(discontinuous=source.choice(tuple(POLICIES)), language=source.choice(("", "es")))
    new = source.choice((*FORMATS, ""))

    def judge() -> None:
        found, error = until_told(FORMATS[format_].read(root / "in", how))
        for _, one in found:
            judge_document(one)
            if format_ == "brat":
                _judge_words(one, root / "in" / f"{one.id}.ann")
        if not new:
            _judge_training(root / "in", format_, how)
        elif not error:
            _judge_conversion(root, (format_, new), how)

    return judge


def _judge_words(one: Document, ann: Path) -> None:
    """What a line says stands where it says, but for white space."""
    for line in ann.read_bytes().decode().split("\n") if ann.exists() else ():
        if line.startswith("T") and ";" not in line:
            _, place, words = line.split("\t", 2)
            start, end = map(int, place.split()[-2:])
            held = {text[start:end] for text in (one.text, f"\ufeff{one.text}")}
            assert "".join(words.split()) in {"".join(text.split()) for text in held}


def _judge_conversion(root: Path, formats: tuple[str, str], how: Reading) -> None:
    """The corpus in another format, read again, is the same but for what was told."""
    told: list[Loss] = []

    def act() -> Conversion:
        return convert(root / "in", root / "out", formats, reading=how, sink=told.append)

    done, _ = attempted(act)
    if not done:
        assert not (root / "out").exists(), "half a corpus was left"
        return
    if not done.survey.documents:
        return
    reading = replace(how, annotated=done.survey.labels)
    before = list(FORMATS[formats[0]].read(root / "in", reading))
    after, error = until_told(FORMATS[formats[1]].read(root / "out", reading))
    assert not error, f"written, and cannot be read: {error}"
    if formats[1] == "multiclinner":
        before = [(split or "train", one) for split, one in before]
    judge_carried(before, after, told)


def _judge_training(root: Path, format_: str, how: Reading) -> None:
    """The same files as `data=...` sees them: documents with a role and gold."""
    corpus, _ = attempted(lambda: _corpus(root, format_, how))
    if corpus is None:
        return
    found, _ = until_told(corpus.documents())
    for role, one in found:
        judge_document(one)
        assert role in ROLES
        assert {span.label for span in one.spans} <= one.annotated <= set(corpus.labels.values())
    corpus.overview().encode()


def _corpus(root: Path, format_: str, how: Reading) -> Corpus:
    """With all its labels, once its first reading went well."""
    corpus = Corpus(root, {"disease": "DISEASE"}, discontinuous=how.discontinuous)
    if format_ != "multiclinner":
        policy, language = how.discontinuous, how.language
        corpus = OwnCorpus(root, {}, discontinuous=policy, format=format_, language=language)
    corpus = corpus.with_every_label()
    assert corpus.digest
    assert corpus.sets
    return corpus


def table(data: bytes) -> None:
    """Rows that are read are written and read again, and pandas reads what is written as they are.

    A table that we can read, pandas reads alike, but for what it takes for missing or for numbers.
    """
    import pandas as pd

    with folder() as root:
        lay(root, ("mentions.tsv",), data)
        rows, _ = attempted(lambda: read_rows(root / "mentions.tsv"))
        if rows is None:
            return
        raw = (root / "mentions.tsv").read_bytes()
        _judge_frame(pd.read_csv(io.BytesIO(raw), sep="\t", dtype=str, keep_default_na=False), rows)
        written, _ = attempted(lambda: format_rows(rows))
        if written is not None:
            (root / "again.tsv").write_bytes(written.encode())
            again = read_rows(root / "again.tsv")
            assert {_key(row) for row in again} == {_key(row) for row in rows}
            assert len(again) == len(rows)


def _judge_frame(frame: object, rows: list[Row]) -> None:
    import pandas as pd

    assert isinstance(frame, pd.DataFrame)
    frame.columns = frame.columns.str.strip()
    for name, values in (
        ("filename", [row.filename for row in rows]),
        ("label", [row.label for row in rows]),
        ("text", [row.text for row in rows]),
    ):
        assert frame[name].tolist() == values
    for name, numbers in (
        ("start_span", [row.start for row in rows]),
        ("end_span", [row.end for row in rows]),
    ):
        assert [int(cell) for cell in frame[name]] == numbers


def _key(row: Row) -> tuple[str, str, int, int]:
    return row.filename, row.label, row.start, row.end


def score(data: bytes) -> None:
    """Gold, predictions and native names: the scores add up, and an analysis can begin."""
    source = Source(data)
    suffix = source.choice(("tsv", "ann"))
    entity = source.choice((None, "disease", "X"))
    with folder() as root:
        gold, pred, native = root / f"gold/a.{suffix}", root / f"pred/a.{suffix}", root / "native"
        lay(root, [str(path.relative_to(root)) for path in (gold, pred, native)], source.rest())
        names = native if native.exists() else None
        report, _ = attempted(lambda: evaluate(gold, pred, entity, names))
        if report is not None:
            strict, overlap = report["official"]["strict"], report["official"]["char_f1"]
            assert strict["tp"] + strict["fn"] == overlap["n_gold"]
            assert strict["tp"] + strict["fp"] == overlap["n_pred"]
            shares = [side[name] for side in (strict, overlap) for name in _SHARES]
            assert all(0 <= share <= 1 for share in shares)
            assert strict["f1"] <= overlap["f1"] + 1e-3
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                publish(report, root / "score.json")
            json.loads((root / "score.json").read_bytes())
        evaluation, _ = attempted(lambda: open_files(pred, gold, entity=entity, native=names))
        for pair in evaluation.pairs if evaluation else ():
            judge_document(pair.gold)
            judge_document(pair.predicted)
            assert pair.gold.text == pair.predicted.text


_SHARES: Final = ("precision", "recall", "f1")


def texts(data: bytes) -> None:
    """Input of a prediction: a document or a problem in the place of each file and line."""
    source = Source(data)
    with folder() as root:
        lay(root, ("in/a.txt", "in/b/a.txt", "in.jsonl"), source.rest())
        for path in (root / "in", root / "in.jsonl", root / "in/a.txt"):
            found, _ = attempted(lambda path=path: Texts(path))  # type: ignore[misc]
            if found is None:
                continue
            met = list(found.read())
            for one in met:
                if isinstance(one, Document):
                    judge_document(one)
            assert len(met) == len(found)
            names = [one.id for one in met if isinstance(one, Document)]
            assert found.is_jsonl or len(names) == len(set(names))


def lists(data: bytes) -> None:
    """The lists of documents that a user writes: validation keys, and a saved split."""
    headers = [Header("a", "es", "a"), Header("a", "it", "a"), Header("b", "", "b")]
    with folder() as root:
        lay(root, ("keys.txt", "split.json"), data)
        keys, _ = attempted(lambda: read_keys(root / "keys.txt", headers))
        assert keys is None or keys <= {header.key for header in headers}
        sides, _ = attempted(lambda: load_split(root / "split.json"))
        for name, side in (sides or {}).items():
            assert isinstance(name, str)
            assert all(isinstance(key, str) for key in side)
