"""CoNLL files <-> documents: columns, documents, offsets, texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiclin.corpus.conll import read_conll, write_conll
from multiclin.corpus.exchange import Losses, Reading
from multiclin.document import Document, Span
from multiclin.errors import CorpusError

TWO = "Sin O\ndiabetes B-X\nleve I-X\n\nCon O\ntos B-Y\n"
FOUR = "Sin\tc1\t0_3\tO\ndiabetes\tc1\t6_14\tB-X\n\ntos\tc2\t2_5\tB-Y\n"


def read(path: Path, content: str, texts: Path | None = None) -> tuple[list[Document], Losses]:
    path.write_bytes(content.encode())
    reading = Reading(texts)
    return list(read_conll(path, reading)), reading.losses


def problems(path: Path, content: str, texts: Path | None = None) -> list[tuple[int, str]]:
    with pytest.raises(CorpusError) as caught:
        read(path, content, texts)
    return [(one.line, one.message) for one in caught.value.problems]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.conll"


def text_beside(file: Path, name: str, text: str) -> None:
    (file.parent / "txt").mkdir(exist_ok=True)
    (file.parent / "txt" / f"{name}.txt").write_bytes(text.encode())


def test_two_columns_without_a_text_are_one_document_of_single_spaces(file: Path) -> None:
    (one,), losses = read(file, TWO)
    spans = (Span(4, 17, "X"), Span(22, 25, "Y"))
    assert one == Document("a", "Sin diabetes leve\nCon tos", spans)
    assert losses.counts == {"text: rebuilt, a space between two tokens": 1}


def test_two_columns_take_their_offsets_from_the_text(file: Path) -> None:
    text_beside(file, "a", "Sin\r\n diabetes  leve\nCon tos")
    (one,), losses = read(file, TWO)
    assert [(span.start, span.end) for span in one.spans] == [(6, 20), (25, 28)]
    assert not losses.counts


def test_four_columns_have_documents_and_offsets(file: Path) -> None:
    found, losses = read(file, FOUR)
    assert found == [
        Document("c1", "Sin   diabetes", (Span(6, 14, "X"),)),
        Document("c2", "  tos", (Span(2, 5, "Y"),)),
    ]
    assert losses.counts == {"text: rebuilt, its white space is spaces": 2}


def test_texts_may_lie_elsewhere(file: Path) -> None:
    folder = file.parent / "texts"
    folder.mkdir()
    (folder / "c1.txt").write_text("Sin\n\n\ndiabetes.")
    (one, _), losses = read(file, FOUR, folder)
    assert one.text == "Sin\n\n\ndiabetes."
    assert losses.counts == {"text: rebuilt, its white space is spaces": 1}


def test_columns_of_conll_2003_are_told(file: Path) -> None:
    start = "-DOCSTART- -X- -X- O\n\n"
    content = f"{start}Sin IN B-PP O\ntos NN B-NP I-X\n\n{start}a DT I O\n"
    (one, two), losses = read(file, content)
    assert (one.id, one.text, one.spans) == ("a-0001", "Sin tos", (Span(4, 7, "X"),))
    assert (two.id, two.text) == ("a-0002", "a")
    assert losses.counts["columns between token and tag"] == 3


def test_a_document_may_be_named_where_it_starts(file: Path) -> None:
    found, _ = read(file, "-DOCSTART- (c7)\n\ntos O\n-DOCSTART-\tc8\t0_2\tO\n")
    assert [(one.id, one.text) for one in found] == [("c7", "tos"), ("c8", "  ")]


def test_a_comment_is_no_token_and_a_hash_is_one(file: Path) -> None:
    (one,), _ = read(file, "# sent_id = 1\n#\tB-X\n1\tI-X\n")
    assert (one.text, one.spans) == ("# 1", (Span(0, 3, "X"),))


def test_wrong_lines_come_together_after_the_good_documents(file: Path) -> None:
    content = "-DOCSTART- a\n\nSin Q-X\ntos\n\n-DOCSTART- b\n\ntos O\n"
    assert problems(file, content) == [
        (3, "'Q-X' is no tag: expected O, B-LABEL, I-LABEL, ..."),
        (4, "expected a token and a tag, found 'tos'"),
    ]
    documents = read_conll(file, Reading())
    assert next(documents).id == "b"


def test_a_token_that_is_not_in_the_text_is_a_problem_of_its_line(file: Path) -> None:
    text_beside(file, "a", "Sin diabetes grave\nCon tos")
    ((line, message),) = problems(file, TWO)
    assert (line, message) == (3, "token 'leve' where the text has 'grav' at 13")
    text_beside(file, "c1", "Sin   diabetus")
    ((line, message),) = problems(file, FOUR)
    assert (line, message) == (2, "offset 6-14 holds 'diabetus' but the line says 'diabetes'")


def test_offsets_that_are_no_token_or_would_fill_the_memory_are_refused(file: Path) -> None:
    ((line, message),) = problems(file, "tos\tc\t0_4\tO\n")
    assert (line, message) == (1, "offset 0-4 is not as long as its token 'tos'")
    ((line, message),) = problems(file, "tos\tc\t999999999996_999999999999\tO\n")
    assert line == 1
    assert "give the texts: --texts DIR" in message


def test_files_of_a_folder_are_read_and_others_left_alone(tmp_path: Path) -> None:
    for name in ("b.conll", "a.bio", "README.txt"):
        (tmp_path / name).write_text("tos O\n")
    assert [one.id for one in read_conll(tmp_path, Reading())] == ["b", "a"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CorpusError, match="no CoNLL file here"):
        list(read_conll(empty, Reading()))


def test_what_is_written_has_four_columns_and_its_texts(tmp_path: Path) -> None:
    documents = [
        Document("c 7", "Sin diabetes.\r\nFin", (Span(4, 12, "X"),)),
        Document("c8", ""),
    ]
    write_conll(documents, tmp_path, Losses())
    assert (tmp_path / "mentions.conll").read_text() == (
        "-DOCSTART-\tc 7\t0_18\tO\n\nSin\tc 7\t0_3\tO\ndiabetes\tc 7\t4_12\tB-X\n"
        ".\tc 7\t12_13\tO\n\nFin\tc 7\t15_18\tO\n\n-DOCSTART-\tc8\t0_0\tO\n\n"
    )
    assert list(read_conll(tmp_path, Reading())) == documents
