"""Texts to be predicted: found at any depth, each under one name, the bad ones named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from multiclin.corpus.texts import Texts, case_of, find_texts, language_of
from multiclin.document import Document
from multiclin.errors import CorpusError, Problem


def put(root: Path, *names: str) -> None:
    """Files of these names, each with its name as text."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_case_of_keeps_splits_apart() -> None:
    assert case_of("MultiClinNER-en-train-disease-0001") == "train-0001"
    assert case_of("MultiClinNER-es-train-symptom-0001") == "train-0001"
    assert case_of("MultiClinNER-es-test-symptom-0001") == "test-0001"
    assert case_of("S0004-06142005000500011-1") == "S0004-06142005000500011-1"
    assert case_of("dev/MultiClinNER-es-train-symptom-0001") == "train-0001"
    assert case_of("dev/a") == case_of("test/a") == "a"


def test_texts_are_found_at_any_depth(tmp_path: Path) -> None:
    put(tmp_path, "b/z.txt", "b.txt", "a/deep/x.txt", "a/._x.txt", "a/x.ann", "__MACOSX/y.txt")
    assert list(find_texts(tmp_path)) == ["x", "b", "z"]
    assert find_texts(tmp_path / "b.txt") == {"b": tmp_path / "b.txt"}


def test_texts_with_one_name_take_their_path_as_id(tmp_path: Path) -> None:
    put(tmp_path, "x.txt", "a/x.txt", "b/x.txt", "b/y.v2.txt")
    assert {
        id: path.relative_to(tmp_path).as_posix() for id, path in find_texts(tmp_path).items()
    } == {
        "x": "x.txt",
        "a/x": "a/x.txt",
        "b/x": "b/x.txt",
        "y.v2": "b/y.v2.txt",
    }


def test_a_path_that_is_known_as_a_name_stays_one(tmp_path: Path) -> None:
    put(tmp_path, "a/x.txt", "b/y.txt")
    assert list(find_texts(tmp_path, ["a/x", "y"])) == ["a/x", "y"]


@pytest.mark.parametrize(
    ("name", "says"),
    [("", r"no \.txt file here or in any folder below"), ("missing", "no such file or folder")],
)
def test_a_folder_without_texts_is_an_error(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(CorpusError, match=says):
        Texts(tmp_path / name)


def test_texts_are_read_with_every_code_point_and_know_their_case(tmp_path: Path) -> None:
    (tmp_path / "MultiClinNER-es-test-disease-0007.txt").write_bytes("uno\r\ndós".encode())
    assert list(Texts(tmp_path).read()) == [
        Document("MultiClinNER-es-test-disease-0007", "uno\r\ndós", case="test-0007")
    ]


def test_parts_share_the_texts_out(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", "b.txt", "c.txt", "d.txt", "e.txt")
    texts = Texts(tmp_path)
    ids = [[one.id for one in texts.read(part, 2) if isinstance(one, Document)] for part in (0, 1)]
    assert ids == [["a", "c", "e"], ["b", "d"]]


def test_an_unreadable_text_is_named_in_its_place(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", "b.txt", "c.txt")
    (tmp_path / "b.txt").write_bytes(b"\xff")
    a, b, c = Texts(tmp_path).read()
    assert (a, c) == (Document("a", "a.txt"), Document("c", "c.txt"))
    assert isinstance(b, Problem)
    assert str(b).startswith(f"{tmp_path}/b.txt:1: not UTF-8 at byte 0")


def test_a_name_that_no_table_can_carry_is_a_problem_of_that_text(tmp_path: Path) -> None:
    put(tmp_path, "a\tb.txt", "c.txt")
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"x")
    found = list(Texts(tmp_path).read())
    assert [one.message for one in found if isinstance(one, Problem)] == [
        "a table cannot carry the TAB or line break in 'a\\tb'",
        "the name 'caf\\udce9' is not UTF-8; rename it",
    ]
    assert [one.id for one in found if isinstance(one, Document)] == ["c"]


def test_lines_are_shared_out_and_bad_ones_told_once(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    good = [f'{{"id": "{id}", "text": ""}}' for id in ("a", "b", "x\\ny", "c")]
    path.write_text("\n".join([*good[:2], "no JSON", *good[2:]]))
    first, second = (list(Texts(path).read(part, 2)) for part in (0, 1))
    assert [one.id if isinstance(one, Document) else one.line for one in first] == ["a", 0, 3]
    assert second == [Document("b", ""), Document("c", "")]


def test_the_language_is_at_the_head_of_the_name() -> None:
    assert language_of("MultiClinNER-cz-test-disease-0001") == "cz"
    assert language_of("es-S0004-06142005000700014-1") == "es"
    assert language_of("caso_clinico_12") == "unknown"
