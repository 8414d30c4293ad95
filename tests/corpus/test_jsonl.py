"""JSON lines <-> documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.corpus.jsonl import (
    format_document,
    parse_document,
    read_documents,
    write_documents,
)
from multiclin.document import Document, Span
from multiclin.errors import CorpusError

FULL = Document("a", "Sin\r\ntos 😷", (Span(5, 8, "X", 0.25),), "es", frozenset({"Y", "X"}), "case")


def test_a_document_is_one_line_that_holds_all_of_it(tmp_path: Path) -> None:
    write_documents([FULL, Document("b", "")], tmp_path / "a.jsonl")
    first, second = (tmp_path / "a.jsonl").read_text().splitlines()
    assert json.loads(first) == {
        "id": "a",
        "text": "Sin\r\ntos 😷",
        "language": "es",
        "annotated": ["X", "Y"],
        "spans": [{"start": 5, "end": 8, "label": "X", "text": "tos", "score": 0.25}],
        "case": "case",
    }
    assert json.loads(second)["spans"] == []
    read = list(read_documents(tmp_path / "a.jsonl"))
    assert read == [FULL, Document("b", "")]
    assert read[0].spans[0].score == 0.25


def test_unknown_keys_and_missing_ones_are_accepted() -> None:
    line = '{"id": "a", "text": "tos", "language": null, "meta": {}, "spans": [{"start": 0, '
    line += '"end": 3, "label": "X", "cui": "C1"}]}'
    assert parse_document(line) == Document("a", "tos", (Span(0, 3, "X"),))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"id": "a", "text": "tos"', "not JSON: "),
        ("[" * 100_000, "nested too deeply"),
        ('["a"]', "expected an object, found a JSON list"),
        ('{"text": "tos"}', "'id' must be a string, found nothing"),
        ('{"id": "", "text": "tos"}', "'id' is empty"),
        ('{"id": 1, "text": "tos"}', "'id' must be a string, found a JSON int"),
        ('{"id": "a"}', "'text' must be a string, found nothing"),
        ('{"id": "a", "text": "\\ud83d"}', "half a surrogate pair at character 0"),
        ('{"id": "a", "text": "tos", "annotated": "X"}', "'annotated' must be a list of labels"),
        (
            '{"id": "a", "text": "tos", "annotated": ["X", "\\udc00"]}',
            "'annotated' holds half a surrogate pair at character 0",
        ),
        ('{"id": "a", "text": "tos", "spans": {"a": 1}}', "'spans' must be a list"),
        ('{"id": "a", "text": "tos", "spans": [[0, 3]]}', "a span must be an object"),
    ],
)
def test_a_bad_line_says_what_is_wrong(line: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_document(line)


@pytest.mark.parametrize(
    ("span", "says"),
    [
        ({"start": 0, "label": "X"}, "offset 0-None is not a range"),
        ({"start": True, "end": 3, "label": "X"}, "offset True-3 is not a range"),
        ({"start": 2, "end": 2, "label": "X"}, "offset 2-2 is not a range"),
        ({"start": -1, "end": 2, "label": "X"}, "offset -1-2 is not a range"),
        ({"start": 0, "end": 4, "label": "X"}, "offset 0-4 lies beyond the text of 3 characters"),
        ({"start": 0, "end": 3}, "'label' must be a string"),
        ({"start": 0, "end": 3, "label": ""}, "'label' is empty"),
        ({"start": 0, "end": 3, "label": "X\ud800"}, "'label' holds half a surrogate pair"),
        ({"start": 0, "end": 3, "label": "X", "text": "fie"}, "holds 'tos' but the line says"),
        ({"start": 0, "end": 3, "label": "X", "score": 1.5}, "the score of 0-3 must be"),
        ({"start": 0, "end": 3, "label": "X", "score": float("nan")}, "the score of 0-3 must be"),
        ({"start": 0, "end": 3, "label": "X", "score": "high"}, "the score of 0-3 must be"),
    ],
)
def test_a_bad_span_says_what_is_wrong(span: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_document(json.dumps({"id": "a", "text": "tos", "spans": [span]}))


def test_what_a_line_says_is_quoted_in_part(tmp_path: Path) -> None:
    words = "palabras de un paciente " * 100
    lines = [
        {"id": words, "text": "x"},
        {"id": words, "text": "x"},
        {"id": "b", "text": "x", "spans": [{"start": words, "end": 2, "label": "X"}]},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(CorpusError) as caught:
        list(read_documents(path))
    assert [len(problem.message) < 100 for problem in caught.value.problems] == [True, True]


def test_bad_lines_come_together_after_the_good_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"id": "a", "text": "x"}\r\n\n{"id": "b"}\n\xff\n{"id": "a", "text": "y"}\n'
        b'{"id": "c", "text": "\xe2\x80\xa8"}'  # a line separator is no line end
    )
    good: list[Document] = []
    with pytest.raises(CorpusError) as caught:
        good.extend(read_documents(path))
    assert [document.id for document in good] == ["a", "c"]
    assert [(problem.line, problem.message[:20]) for problem in caught.value.problems] == [
        (3, "'text' must be a str"),
        (4, "not UTF-8 at byte 0 "),
        (5, "a second document wi"),
    ]


def test_a_missing_file_is_a_problem_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"none\.jsonl: cannot be read: No such file"):
        list(read_documents(tmp_path / "none.jsonl"))


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.sets(st.sampled_from(["X", "Y"])),
    st.none() | st.floats(0, 1),
)
def test_what_is_written_is_read(text: str, annotated: set[str], score: float | None) -> None:
    spans = (Span(0, len(text), "X", score), Span(len(text) - 1, len(text), "Y"))
    document = Document("a", text, spans, "cz", frozenset(annotated))
    read = parse_document(format_document(document))
    assert read == document
    assert [span.score for span in read.spans] == [span.score for span in document.spans]
