"""A corpus as training sees it: the sets that it uses, their roles, its languages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from multiclin.corpus.brat import format_ann
from multiclin.corpus.own import OwnCorpus
from multiclin.corpus.source import Corpus, evaluation_languages, role_of
from multiclin.document import Span
from multiclin.errors import ConfigError, CorpusError
from tests.toy_models import marked, toy_set

LABELS = {"disease": "DISEASE"}


@pytest.mark.parametrize(
    ("split", "role"),
    [
        ("train", "train"),
        ("train_batch2", "train"),
        ("dev", "validation"),
        ("validation", "validation"),
        ("test", "test"),
        ("test_batch1", "test"),
        ("background", ""),
    ],
)
def test_the_name_of_a_split_says_its_role(split: str, role: str) -> None:
    assert role_of(split) == role


def test_documents_come_by_role_language_and_name(tmp_path: Path) -> None:
    for split, language in (("test", "it"), ("train", "it"), ("train", "es"), ("dev", "es")):
        toy_set(tmp_path, split, language, cases=["Sin [tos].", "Con tos."])
    corpus = Corpus(tmp_path, LABELS)
    found = [(role, one.id) for role, one in corpus.documents()]
    assert found == [
        ("train", "MultiClinNER-es-train-disease-0001"),
        ("train", "MultiClinNER-es-train-disease-0002"),
        ("train", "MultiClinNER-it-train-disease-0001"),
        ("train", "MultiClinNER-it-train-disease-0002"),
        ("validation", "MultiClinNER-es-dev-disease-0001"),
        ("validation", "MultiClinNER-es-dev-disease-0002"),
        ("test", "MultiClinNER-it-test-disease-0001"),
        ("test", "MultiClinNER-it-test-disease-0002"),
    ]
    assert corpus.spoken == ["es", "it"]
    assert corpus.overview().splitlines()[-1].split() == ["all", "8", "4"]


def test_versions_of_one_text_are_one_document(tmp_path: Path) -> None:
    cases = {"disease": ["[tos] seca", "asma"], "symptom": ["tos [seca]", "Asma"]}
    for entity, texts in cases.items():
        folder = tmp_path / f"MultiClinNER-es-train-{entity}"
        for kind in ("txt", "ann"):
            (folder / kind).mkdir(parents=True)
        for name, text in zip(("a", "a-1"), texts, strict=True):
            one = marked(text, name, entity.upper())
            (folder / "txt" / f"{name}.txt").write_text(one.text)
            (folder / "ann" / f"{name}.ann").write_text(format_ann(one))
    corpus = Corpus(tmp_path, {"disease": "DISEASE", "symptom": "SYMPTOM"})
    found = [(one.id, one.text, one.spans, set(one.annotated)) for _, one in corpus.documents()]
    assert found == [
        ("a-1", "asma", (), {"DISEASE"}),
        ("a-1", "Asma", (), {"SYMPTOM"}),
        ("a", "tos seca", (Span(0, 3, "DISEASE"), Span(4, 8, "SYMPTOM")), {"DISEASE", "SYMPTOM"}),
    ]


def test_sets_without_gold_or_role_are_left_out(tmp_path: Path) -> None:
    for split in ("train", "test", "background"):
        toy_set(tmp_path, split, cases=["Sin [tos]."])
    for path in (tmp_path / "MultiClinNER-es-test-disease" / "ann").iterdir():
        path.unlink()
    assert [one.split for one in Corpus(tmp_path, LABELS).sets] == ["train"]


def test_a_label_is_what_the_config_says(tmp_path: Path) -> None:
    toy_set(tmp_path, cases=["Sin [tos]."])
    ((_, one),) = Corpus(tmp_path, LABELS).documents()
    assert (one.spans, [*one.annotated]) == ((Span(4, 7, "DISEASE"),), ["DISEASE"])
    ((_, other),) = Corpus(tmp_path, {"disease": "ENFERMEDAD"}).documents()
    assert (other.spans, [*other.annotated]) == ((), ["ENFERMEDAD"])


def test_a_language_that_is_not_there_is_named(tmp_path: Path) -> None:
    toy_set(tmp_path, language="cz")
    assert [one.language for one in Corpus(tmp_path, LABELS, "cs").sets] == ["cz"]
    with pytest.raises(ConfigError, match="language 'sv' is not among the sets found: cz"):
        _ = Corpus(tmp_path, LABELS, "sv").sets


@pytest.mark.parametrize("split", ["test", "background"])
def test_a_tree_without_training_sets_is_refused(tmp_path: Path, split: str) -> None:
    toy_set(tmp_path, split)
    with pytest.raises(CorpusError, match=r"data\.root=.*: no annotated training set of disease"):
        _ = Corpus(tmp_path, LABELS).sets


def test_problems_of_all_sets_come_together(tmp_path: Path) -> None:
    for language in ("es", "it"):
        toy_set(tmp_path, language=language, cases=["Sin [tos].", "Con tos."])
        folder = tmp_path / f"MultiClinNER-{language}-train-disease" / "ann"
        path = folder / f"{folder.parent.name}-0001.ann"
        path.write_text("T1\tDISEASE 4 99\ttos\n")
    documents = Corpus(tmp_path, LABELS).documents()
    assert [next(documents)[1].language for _ in range(2)] == ["es", "it"]
    with pytest.raises(CorpusError) as caught:
        next(documents)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("asked", "spoken", "found"),
    [
        (None, ["es", "it"], ["es"]),
        (None, ["it", "sv"], ["it", "sv"]),
        ("all", ["es", "it"], ["es", "it"]),
        ("it", ["es", "it"], ["it"]),
        (["cs", "IT"], ["cz", "es", "it"], ["cz", "it"]),
    ],
)
def test_evaluation_is_in_spanish_unless_told(
    asked: str | Sequence[str] | None, spoken: list[str], found: list[str]
) -> None:
    assert evaluation_languages(asked, spoken) == found


def test_an_evaluation_language_must_be_in_use() -> None:
    message = r"data\.validation\.evaluate_on=it,sv: the corpus has no sv among"
    with pytest.raises(ConfigError, match=message):
        evaluation_languages(["it", "sv"], ["es", "it"])


# A corpus that changes


@pytest.fixture
def watched(tmp_path: Path) -> Corpus:
    """Two texts, read and looked at."""
    toy_set(tmp_path, cases=["Sin [tos].", "Con tos."])
    corpus = Corpus(tmp_path, LABELS)
    assert corpus.digest
    return corpus


def texts(corpus: Corpus) -> list[Path]:
    return sorted(corpus.root.rglob("*.txt"))


def test_a_corpus_that_stays_has_no_changes(watched: Corpus) -> None:
    assert watched.changes() == ""


def test_a_file_written_anew_with_its_old_content_is_no_change(watched: Corpus) -> None:
    first = texts(watched)[0]
    first.write_bytes(first.read_bytes())
    assert watched.changes() == ""


def test_files_that_are_others_are_named(watched: Corpus) -> None:
    first, second = texts(watched)
    first.write_text("Con tos.", "utf-8")
    assert watched.changes() == str(first)
    second.unlink()
    assert watched.changes() == f"{first}, {second}"
    for name in "abc":
        first.with_name(f"{name}.txt").touch()
    assert watched.changes().endswith(" and 2 more")


def test_a_change_of_the_same_length_and_time_is_met(watched: Corpus) -> None:
    first = texts(watched)[0]
    times = first.stat()
    first.write_bytes(first.read_bytes().replace(b"t", b"T"))
    os.utime(first, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert watched.changes() == str(first)


def test_a_corpus_that_is_gone_has_changed(watched: Corpus) -> None:
    watched.root.rename(watched.root.with_name("elsewhere"))
    assert "no such folder" in watched.changes()


def test_what_is_kept_of_a_corpus_is_of_one_state_of_it(watched: Corpus) -> None:
    documents = watched.settled_documents()
    next(documents)
    texts(watched)[0].write_text("Con tos.", "utf-8")
    with pytest.raises(CorpusError, match=r"has changed while it was read: .*0001\.txt; give"):
        list(documents)


def test_a_corpus_in_another_format_is_watched_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Sin tos.", "utf-8")
    (tmp_path / "a.ann").write_text("T1\tX 4 7\ttos\n", "utf-8")
    corpus = OwnCorpus(tmp_path, {}, language="es")
    assert corpus.digest
    assert corpus.changes() == ""
    (tmp_path / "a.ann").write_text("T1\tX 0 7\tSin tos\n", "utf-8")
    assert corpus.changes() == str(tmp_path / "a.ann")
