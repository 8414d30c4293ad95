"""Two corpora as one: roles, labels, changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiclin.corpus.own import OwnCorpus
from multiclin.corpus.replay import ReplayedCorpus
from multiclin.corpus.source import Corpus
from multiclin.errors import ConfigError
from tests.toy_models import toy_set

LABELS = {"disease": "DISEASE", "symptom": "SYMPTOM"}


@pytest.fixture
def corpus(tmp_path: Path) -> ReplayedCorpus:
    """One disease document; an older corpus with a symptom document and one to test."""
    toy_set(tmp_path / "new", cases=["Con [asma]."])
    toy_set(tmp_path / "old", language="it", cases=["Con [tosse]."], entity="symptom")
    toy_set(tmp_path / "old", "test", cases=["[Tos]."], entity="symptom")
    newer, older = (Corpus(tmp_path / name, LABELS) for name in ("new", "old"))
    return ReplayedCorpus.of(newer, older)


def test_documents_of_the_older_corpus_have_roles_of_their_own(corpus: ReplayedCorpus) -> None:
    assert [(role, one.text, set(one.annotated)) for role, one in corpus.documents()] == [
        ("train", "Con asma.", {"DISEASE"}),
        ("replayed train", "Con tosse.", {"SYMPTOM"}),
        ("replayed test", "Tos.", {"SYMPTOM"}),
    ]
    assert corpus.spoken == ["es"]
    assert [one.entity for one in corpus.sets] == ["disease"]
    assert corpus.with_every_label().labels == LABELS


def test_the_digest_is_that_of_both_and_a_change_of_either_is_told(
    corpus: ReplayedCorpus, tmp_path: Path
) -> None:
    newer, older = corpus.parts
    assert corpus.digest not in {newer.digest, older.digest}
    assert corpus.changes() == ""
    path = next((tmp_path / "old").rglob("*.txt"))
    path.write_text("Con tosse!")
    assert corpus.changes() == str(path)
    again = Corpus(older.root, LABELS)
    assert ReplayedCorpus.of(corpus.newer, again).digest != corpus.digest


def test_the_overview_has_a_table_of_each(corpus: ReplayedCorpus) -> None:
    list(corpus.documents())
    tables = corpus.overview().split(f"\nreplayed: {corpus.older.root}\n")
    assert [table.count("\n") for table in tables] == [2, 3]


def test_a_corpus_with_none_of_the_labels_is_named(corpus: ReplayedCorpus, tmp_path: Path) -> None:
    labels = {"symptom": "SYMPTOM"}
    newer, older = (Corpus(tmp_path / name, labels) for name in ("new", "old"))
    with pytest.raises(ConfigError, match=r"data.root=.*new is annotated for none of SYMPTOM"):
        _ = ReplayedCorpus.of(newer, older).parts


def test_files_of_a_format_can_be_mixed_with_a_tree(corpus: ReplayedCorpus, tmp_path: Path) -> None:
    (tmp_path / "brat").mkdir()
    (tmp_path / "brat" / "a.txt").write_text("Con asma.")
    (tmp_path / "brat" / "a.ann").write_text("T1\tDISEASE 4 8\tasma\n")
    newer = OwnCorpus(tmp_path / "brat", LABELS, format="brat", language="es")
    found = ReplayedCorpus.of(newer, corpus.older)
    assert [role for role, _ in found.documents()] == ["train", "replayed train", "replayed test"]
    assert newer.with_known_labels().labels == {"disease": "DISEASE"}
