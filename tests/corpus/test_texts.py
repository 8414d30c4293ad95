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


def test_portions_are_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiclin.corpus.texts.PORTION", 2)
    put(tmp_path / "in", "a.txt", "b.txt", "c.txt", "d.txt", "e.txt")
    folder = Texts(tmp_path / "in")
    lines = "\n \n".join(f'{{"id": "{name}", "text": ""}}' for name in "abcde")
    (tmp_path / "in.jsonl").write_text("\ufeff\n" + lines)
    file = Texts(tmp_path / "in.jsonl")
    for texts in (folder, file):
        found = [
            [one.id for _, one in texts.portion(number) if isinstance(one, Document)]
            for number in reversed(range(texts.portions))
        ]
        assert found == [["e"], ["c", "d"], ["a", "b"]]
        assert [texts.size(number) for number in range(3)] == [2, 2, 1]
        assert len(texts) == 5
    assert [number for number, _ in folder.portion(1)] == [2, 3]
    assert [line for line, _ in file.portion(1)] == [6, 8]


def test_a_digest_tells_inputs_apart(tmp_path: Path) -> None:
    put(tmp_path / "one", "a.txt", "b.txt")
    put(tmp_path / "two", "a.txt", "b.txt")
    put(tmp_path / "three", "a.txt", "c.txt")
    one, two, three = (Texts(tmp_path / name).digest for name in ("one", "two", "three"))
    assert one == two != three
    (tmp_path / "x.jsonl").write_text('{"id": "a", "text": ""}')
    before = Texts(tmp_path / "x.jsonl").digest
    (tmp_path / "x.jsonl").write_text('{"id": "b", "text": ""}')
    assert Texts(tmp_path / "x.jsonl").digest != before


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


def test_a_bad_line_is_a_problem_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    good = [f'{{"id": "{id}", "text": ""}}' for id in ("a", "b", "x\\ny", "c")]
    path.write_text("\n".join([*good[:2], "no JSON", *good[2:]]))
    found = [one.id if isinstance(one, Document) else one.line for one in Texts(path).read()]
    assert found == ["a", "b", 3, 0, "c"]


def test_the_language_is_at_the_head_of_the_name() -> None:
    assert language_of("MultiClinNER-cz-test-disease-0001") == "cz"
    assert language_of("es-S0004-06142005000700014-1") == "es"
    assert language_of("caso_clinico_12") == "unknown"
