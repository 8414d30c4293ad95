"""A corpus as training sees it: the sets that it uses, their roles, its languages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from multiclin.corpus.source import Corpus, evaluation_languages, role_of
from multiclin.document import Span
from multiclin.errors import ConfigError, CorpusError
from tests.toy_models import toy_set

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
