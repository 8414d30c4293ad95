"""Which texts a model may learn from: each once, and none that it will be judged by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multiclin.corpus.unlabelled import UnlabelledTexts
from multiclin.errors import CorpusError


def put(folder: Path, **texts: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text.encode())
    return folder


def ids(texts: UnlabelledTexts) -> list[str]:
    return [document.id for _, document in texts.settled_documents()]


def tree(root: Path, language: str, split: str, entity: str, **texts: str) -> None:
    name = f"MultiClinNER-{language}-{split}-{entity}"
    named = {f"{name}-{number[1:]}": text for number, text in texts.items()}
    put(root / name / "txt", **named)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    put(tmp_path / "notes", a="Tos seca.", b="Fiebre alta.")
    put(tmp_path / "notes" / "deep", a="Dolor.", c="tos   SECA.", empty=" \n")
    return tmp_path / "notes"


def test_each_text_of_a_folder_once(notes: Path) -> None:
    texts = UnlabelledTexts((notes,))
    assert ids(texts) == ["a", "b", "deep/a"]
    assert texts.overview().splitlines()[1].split()[1:] == ["5", "1", "1", "3"]


def test_words_are_the_mentions(notes: Path) -> None:
    role, first = next(texts := UnlabelledTexts((notes,)).documents())
    assert role == "train"
    assert [first.text[span.start : span.end] for span in first.spans] == ["Tos", "seca"]
    assert {span.label for span in first.spans} == first.annotated == {"WORD"}
    assert next(texts)[1].id == "b"


def test_several_inputs_of_any_kind(notes: Path, tmp_path: Path) -> None:
    lines = [
        {"id": "j1", "text": "Asma.", "language": "es", "case": "p7"},
        {"id": "j2", "text": "Tos seca."},
    ]
    file = tmp_path / "more.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    single = put(tmp_path / "x", one="Ictus.") / "one.txt"
    texts = UnlabelledTexts((notes, file, single))
    assert ids(texts) == ["a", "b", "deep/a", "j1", "one"]
    documents = {document.id: document for _, document in texts.documents()}
    assert (documents["j1"].language, documents["j1"].case) == ("es", "p7")


def test_what_is_excluded_by_name_is_excluded_by_its_text_too(notes: Path, tmp_path: Path) -> None:
    listed = tmp_path / "ids.txt"
    listed.write_text("# of the test\n\na\n")
    texts = UnlabelledTexts((notes,), (listed,))
    assert ids(texts) == ["b", "deep/a"]
    head, row = texts.overview().splitlines()
    assert "  excluded by name  excluded by text  " in head
    assert row.split()[1:] == ["5", "1", "1", "1", "2"]


def test_the_texts_of_a_folder_are_excluded_wherever_they_stand(
    notes: Path, tmp_path: Path
) -> None:
    test = put(tmp_path / "test", other="FIEBRE alta. ")
    assert ids(UnlabelledTexts((notes,), (test,))) == ["a", "deep/a"]


def test_exclusions_that_meet_nothing_are_told(notes: Path, tmp_path: Path) -> None:
    listed, test = tmp_path / "ids.txt", put(tmp_path / "test", z="Otro.")
    listed.write_text("b\n")
    assert UnlabelledTexts((notes,), (listed, test)).survey.unmatched == [test]


def test_the_split_of_a_run_excludes_its_validation_and_test(tmp_path: Path) -> None:
    tree(tmp_path / "tree", "es", "train", "disease", n0001="Uno.", n0002="Dos.", n0003="Tres.")
    split = tmp_path / "split.json"
    name = "es/MultiClinNER-es-train-disease-000"
    split.write_text(json.dumps({"train": [f"{name}1"], "validation": [f"{name}2"], "test": []}))
    found = ids(UnlabelledTexts((tmp_path / "tree",), (split,)))
    assert [one[-4:] for one in found] == ["0001", "0003"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two cases to train on, in versions; one to test on, whose text stands elsewhere too."""
    root = tmp_path / "tree"
    tree(root, "es", "train", "disease", n0001="Tos seca.", n0002="Fiebre.")
    tree(root, "es", "train", "symptom", n0001="Tos, seca.", n0002="Fiebre.")
    tree(root, "it", "train", "disease", n0001="Tosse secca.")
    tree(root, "es", "test", "disease", n0001="Ictus.")
    put(root / "loose", copy="ICTUS.", own="Propio.")
    return root


def test_a_case_counts_once_in_a_language(corpus: Path) -> None:
    texts = UnlabelledTexts((corpus,), (), ("test*",))
    found = {document.id: document for _, document in texts.documents()}
    assert list(found) == [
        "MultiClinNER-es-train-disease-0001",
        "MultiClinNER-es-train-disease-0002",
        "MultiClinNER-it-train-disease-0001",
        "own",
    ]
    assert {one.case for one in found.values()} == {"train-0001", "train-0002", "own"}
    assert [one.language for one in found.values()] == ["es", "es", "it", "unknown"]


def test_the_texts_of_test_sets_are_left_out_and_counted(corpus: Path) -> None:
    head, row = UnlabelledTexts((corpus,), (), ("test*",)).overview().splitlines()
    names = [
        "texts",
        "of left-out splits",
        "excluded by text",
        "repeated",
        "other versions",
        "used",
    ]
    assert [one.strip() for one in head.split("  ") if one.strip()][1:] == names
    assert row.split()[1:] == ["8", "1", "1", "1", "1", "4"]


def test_they_are_used_where_that_is_asked_for(corpus: Path) -> None:
    assert "MultiClinNER-es-test-disease-0001" in ids(UnlabelledTexts((corpus,)))


def test_another_version_of_an_excluded_case_is_excluded(corpus: Path, tmp_path: Path) -> None:
    listed = tmp_path / "ids.txt"
    listed.write_text("MultiClinNER-es-train-disease-0001")
    found = ids(UnlabelledTexts((corpus,), (listed,), ("test*",)))
    assert found == ["MultiClinNER-es-train-disease-0002", "own"]


def test_a_set_may_be_named_from_inside(corpus: Path) -> None:
    inside = corpus / "MultiClinNER-es-test-disease" / "txt"
    with pytest.raises(CorpusError, match=r"no text is left to learn from\n.*of left-out splits"):
        ids(UnlabelledTexts((inside,), (), ("test*",)))


def test_the_digest_is_of_what_is_used(notes: Path) -> None:
    before = UnlabelledTexts((notes,)).digest
    put(notes, zz="Tos seca.")
    assert UnlabelledTexts((notes,)).digest == before
    put(notes, zz="Tos seca ya.")
    assert UnlabelledTexts((notes,)).digest != before


def test_texts_that_change_while_they_are_read_are_refused(notes: Path) -> None:
    texts = UnlabelledTexts((notes,))
    assert len(texts.digest) == 32
    put(notes, b="Otra cosa.")
    with pytest.raises(CorpusError, match="have changed while they were read"):
        ids(texts)


def test_every_file_that_cannot_be_read_is_named(notes: Path) -> None:
    for name in ("bad", "worse"):
        (notes / f"{name}.txt").write_bytes(b"\xff")
    with pytest.raises(CorpusError) as caught:
        ids(UnlabelledTexts((notes,)))
    assert len(caught.value.problems) == 2


def test_folders_without_texts_are_told_without_reading(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no \.txt file here"):
        UnlabelledTexts((tmp_path,)).check()
    with pytest.raises(CorpusError, match="no such file or folder"):
        UnlabelledTexts((tmp_path / "no",)).check()
    put(tmp_path, a="Tos.")
    with pytest.raises(CorpusError, match="no such file or folder"):
        UnlabelledTexts((tmp_path,), (tmp_path / "no",)).check()
