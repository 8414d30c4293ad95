"""Rows of `datasets` <-> documents: tokens and spans, JSON lines and Parquet."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from multiclin.corpus.exchange import Losses, Reading
from multiclin.corpus.huggingface import read_huggingface, rows_of, write_huggingface
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, CorpusError

DOCUMENT = Document("c", " Sin diabetes.\nFin", (Span(5, 13, "X"),), "es")


def read(path: Path, *rows: Any) -> tuple[list[Document], Losses]:  # noqa: ANN401
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reading = Reading()
    return list(read_huggingface(path, reading)), reading.losses


def test_tokens_without_a_text_are_joined_by_spaces(tmp_path: Path) -> None:
    row = {"id": 7, "tokens": ["Sin", "tos"], "ner_tags": ["O", "B-X"], "pos": ["P", "N"]}
    (one,), losses = read(tmp_path / "a.jsonl", row)
    assert one == Document("7", "Sin tos", (Span(4, 7, "X"),))
    assert losses.counts == {"column 'pos'": 1, "text: rebuilt, a space between two tokens": 1}


def test_tokens_stand_in_the_text_where_there_is_one(tmp_path: Path) -> None:
    row = {"text": "Sin\n tos.", "tokens": ["Sin", "tos", "."], "tags": ["O", "I-X", "O"]}
    (one,), losses = read(tmp_path / "a.json", row)
    assert one == Document("a-000001", "Sin\n tos.", (Span(5, 8, "X"),))
    assert not losses.counts


def test_documents_may_have_numbers(tmp_path: Path) -> None:
    rows = [{"document": n, "text": "x ", "tokens": ["x"], "tags": ["O"]} for n in (0, 0, 1)]
    none = {"text": "x", "tokens": ["x"], "tags": ["O"]}
    found, _ = read(tmp_path / "a.jsonl", none, *rows)
    assert [(one.id, one.text) for one in found] == [("a-000001", "x"), ("0", "x x "), ("1", "x ")]


def test_numbers_take_their_names_from_beside(tmp_path: Path) -> None:
    row = {"id": "a", "tokens": ["Sin", "tos"], "ner_tags": [0, 1]}
    with pytest.raises(CorpusError, match=r"write their names, .* into .*names\.txt"):
        read(tmp_path / "a.jsonl", row)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "names.txt").write_text("O\nB-X\n")
    assert read(tmp_path / "one" / "a.jsonl", row)[0][0].spans == (Span(4, 7, "X"),)
    (tmp_path / "two").mkdir()
    feature = {"feature": {"names": ["O", "B-Y"], "_type": "ClassLabel"}, "_type": "List"}
    described = {"features": {"ner_tags": feature}}
    (tmp_path / "two" / "dataset_info.json").write_text(json.dumps(described))
    read(tmp_path / "two" / "a.jsonl", row)
    (one,) = read_huggingface(tmp_path / "two", Reading())
    assert one.spans == (Span(4, 7, "Y"),)


@pytest.mark.parametrize("column", ["spans", "entities"])
def test_rows_of_spans_may_nest(tmp_path: Path, column: str) -> None:
    spans = [{"start": 0, "end": 10, "label": "X"}, {"start": 6, "end": 10, "label": "X", "id": 3}]
    (one,), losses = read(tmp_path / "a.jsonl", {"text": "dolor leve", column: spans})
    assert one.spans == (Span(0, 10, "X"), Span(6, 10, "X"))
    assert losses.counts == {f"{column}: 'id'": 1}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"tokens": ["a"], "ner_tags": ["O", "O"]}, "1 tokens and 2 ner_tags"),
        ({"tokens": ["a"], "ner_tags": ["person"]}, "'person' is no tag"),
        ({"tokens": ["a"], "ner_tags": [None]}, "is neither a name nor a number"),
        ({"tokens": ["a"]}, "it has no 'ner_tags'"),
        ({"tokens": ["b"], "ner_tags": ["O"], "text": "a"}, "token 'b' where the text has 'a'"),
        ({"text": "a", "spans": [{"start": 0, "end": 2, "label": "X"}]}, "offset 0-2 is no range"),
        ({"text": "a"}, "it has no 'spans'"),
        ({"text": ["a"], "spans": []}, "text must be a string, found a JSON list"),
        ({"text": "a", "spans": [{"start": 0, "end": 1, "label": ""}]}, "a label is empty"),
        ({"text": "a", "spans": [], "id": {"a": 1}}, "its name must be a string"),
        ({"text": "a", "spans": [], "language": ["es"]}, "language must be a string"),
        ({"tokens": ["\ud800"], "tags": ["O"]}, "its text holds half a surrogate pair"),
        ([], "expected an object on each line"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: Any, says: str) -> None:  # noqa: ANN401
    with pytest.raises(CorpusError) as caught:
        read(tmp_path / "a.jsonl", {"id": "good", "tokens": [], "tags": []}, row)
    (problem,) = caught.value.problems
    assert problem.line == 2
    assert says in problem.message


def test_names_nested_without_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text("[" * 100_000)
    with pytest.raises(CorpusError, match="not such a row"):
        read(tmp_path / "a.jsonl", {"tokens": ["a"], "ner_tags": [0]})


def test_rows_are_sentences_whose_texts_make_up_the_document() -> None:
    assert list(rows_of(DOCUMENT, Losses())) == [
        {
            "id": "c:0",
            "document": "c",
            "language": "es",
            "text": " Sin diabetes.\n",
            "tokens": ["Sin", "diabetes", "."],
            "ner_tags": ["O", "B-X", "O"],
        },
        {
            "id": "c:1",
            "document": "c",
            "language": "es",
            "text": "Fin",
            "tokens": ["Fin"],
            "ner_tags": ["O"],
        },
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path, documents = tmp_path / f"a{suffix}", [DOCUMENT, Document("empty", "")]
    write_huggingface(documents, path, Losses())
    reading = Reading()
    assert list(read_huggingface(path, reading)) == documents
    assert not reading.losses.counts


def test_the_library_and_we_read_each_other(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("pyarrow")
    ours, theirs = tmp_path / "ours.parquet", tmp_path / "theirs.parquet"
    write_huggingface([DOCUMENT], ours, Losses())
    assert datasets.Dataset.from_parquet(str(ours), cache_dir=str(tmp_path)).to_list() == list(
        rows_of(DOCUMENT, Losses())
    )
    tags = datasets.Sequence(datasets.ClassLabel(names=["O", "B-X", "I-X"]))
    words = datasets.Sequence(datasets.Value("string"))
    features = datasets.Features(
        {"id": datasets.Value("string"), "tokens": words, "ner_tags": tags}
    )
    rows = {"id": ["0"], "tokens": [["Sin", "tos"]], "ner_tags": [[0, 1]]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(theirs))
    assert list(read_huggingface(theirs, Reading())) == [
        Document("0", "Sin tos", (Span(4, 7, "X"),))
    ]


def test_a_broken_parquet_file_and_a_missing_library_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1")
    if "pyarrow" in sys.modules or pytest.importorskip("pyarrow"):
        with pytest.raises(CorpusError, match="not a Parquet file"):
            list(read_huggingface(path, Reading()))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match=r"pip install 'multiclin\[parquet\]'"):
        list(read_huggingface(path, Reading()))
