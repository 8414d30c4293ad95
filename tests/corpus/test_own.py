"""A corpus of one's own as training sees it: roles, labels, languages, gold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from multiclin.corpus.convert import Renaming, convert
from multiclin.corpus.own import OwnCorpus
from multiclin.corpus.tsv import read_rows
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, CorpusError
from tests.commands import MODEL, Work, read_json, succeeded

ANN = "T1\tFARMACO 5 8\tAAS\nT2\tENFERMEDAD 14 17\ttos\n"
TEXT = "Toma AAS para tos"
FARMACO, ENFERMEDAD = Span(5, 8, "FARMACO"), Span(14, 17, "ENFERMEDAD")


def lay(folder: Path, *names: str, ann: str = ANN) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.txt").write_text(TEXT)
        (folder / f"{name}.ann").write_text(ann)


def lines(path: Path, *entries: dict[str, object]) -> None:
    rows = [{"text": TEXT, "spans": [], **entry} for entry in entries]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(corpus: OwnCorpus) -> list[tuple[str, str]]:
    return [(role, one.id) for role, one in corpus.documents()]


def drugs(root: Path, format: str = "brat", languages: str | Sequence[str] = "all") -> OwnCorpus:
    return OwnCorpus(root, {"drug": "FARMACO"}, languages, format=format)


def test_folders_named_after_splits_have_their_roles(tmp_path: Path) -> None:
    for split in ("test", "train", "dev", "background"):
        lay(tmp_path / split, "b", "a")
    corpus = drugs(tmp_path)
    assert read(corpus) == [
        *[("train", "a"), ("train", "b"), ("validation", "a"), ("validation", "b")],
        *[("test", "a"), ("test", "b")],
    ]
    assert [(one.split, one.language) for one in corpus.sets] == [
        *[("train", "unknown"), ("dev", "unknown"), ("test", "unknown")]
    ]


def test_a_folder_without_splits_is_trained_on(tmp_path: Path) -> None:
    lay(tmp_path, "a")
    corpus = OwnCorpus(tmp_path, {"drug": "FARMACO"}, language="cs")
    expected = Document("a", TEXT, (FARMACO,), "cz", frozenset(["FARMACO"]))
    assert list(corpus.documents()) == [("train", expected)]
    assert corpus.overview().splitlines() == [
        "language  split  entity   documents  mentions",
        "cz        all    FARMACO          1         1",
        "all                               1         1",
        "mentions under other labels: ENFERMEDAD 1",
    ]


def test_all_labels_are_those_of_the_corpus(tmp_path: Path) -> None:
    lay(tmp_path, "a")
    corpus = OwnCorpus(tmp_path, {}).with_every_label()
    assert corpus.labels == {"ENFERMEDAD": "ENFERMEDAD", "FARMACO": "FARMACO"}
    ((_, one),) = corpus.documents()
    assert (one.spans, one.annotated) == ((FARMACO, ENFERMEDAD), frozenset(corpus.labels))


def test_a_label_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    lay(tmp_path, "a", "b")
    with pytest.raises(ConfigError, match="the label DISEASE; found: ENFERMEDAD 2, FARMACO 2"):
        _ = OwnCorpus(tmp_path, {"disease": "DISEASE"}).sets


def test_a_text_without_gold_is_left_out_and_told(tmp_path: Path) -> None:
    lay(tmp_path, "a", "b")
    (tmp_path / "b.ann").unlink()
    lay(tmp_path, "c", ann="")
    corpus = drugs(tmp_path)
    assert read(corpus) == [("train", "a"), ("train", "c")]
    said = "document: a text without .ann, so without gold          1      1  b"
    assert corpus.overview().splitlines()[-1] == said


def test_a_corpus_may_say_what_its_documents_are_annotated_for(tmp_path: Path) -> None:
    spans = [{"start": 5, "end": 8, "label": "FARMACO"}]
    path = tmp_path / "a.jsonl"
    lines(path, {"id": "a", "spans": spans}, {"id": "b"})
    assert read(drugs(path, "jsonl")) == [("train", "a"), ("train", "b")]  # None says: all are.
    lines(path, {"id": "a", "spans": spans, "annotated": ["FARMACO"]}, {"id": "b"})
    assert read(drugs(path, "jsonl")) == [("train", "a")]


def test_languages_are_chosen_where_documents_tell_them(tmp_path: Path) -> None:
    spans = [{"start": 5, "end": 8, "label": "FARMACO"}]
    path = tmp_path / "train.jsonl"
    lines(path, {"id": "a", "language": "es"}, {"id": "b", "language": "cs", "spans": spans})
    assert drugs(tmp_path, "jsonl").spoken == ["cz", "es"]
    chosen = drugs(tmp_path, "jsonl", ["cs"])
    assert (chosen.spoken, read(chosen)) == (["cz"], [("train", "b")])
    with pytest.raises(ConfigError, match="languages=it: the corpus has no it, only cz, es"):
        _ = drugs(tmp_path, "jsonl", "it").sets


def test_texts_may_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(
        "filename\tmark\tlabel\toff0\toff1\tspan\na\tT1\tFARMACO\t5\t8\tAAS\n"
    )
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(TEXT)
    corpus = OwnCorpus(
        tmp_path / "a.tsv", {"drug": "FARMACO"}, format="tsv", texts=tmp_path / "texts"
    )
    assert read(corpus) == [("train", "a")]


def test_the_digest_is_that_of_all_that_decides_the_documents(tmp_path: Path) -> None:
    lay(tmp_path / "one", "a")
    lay(tmp_path / "two", "a")
    first = drugs(tmp_path / "one").digest
    assert drugs(tmp_path / "two").digest == first  # Wherever it lies.
    assert OwnCorpus(tmp_path / "one", {}, language="es").digest != first
    assert drugs(tmp_path / "one", languages="es").digest != first
    (tmp_path / "two" / "a.ann").write_text(ANN.replace("5 8", "5 7").replace("AAS", "AA"))
    assert drugs(tmp_path / "two").digest != first
    lay(tmp_path / "one" / "more", "b")
    assert drugs(tmp_path / "one").digest != first
    (tmp_path / "one" / "more" / "notes.md").write_text("x")
    assert drugs(tmp_path / "one").digest == drugs(tmp_path / "one").digest


def test_nothing_to_train_on_is_a_mistake(tmp_path: Path) -> None:
    lay(tmp_path / "test", "a")
    with pytest.raises(CorpusError, match="nothing to train on; its splits: test"):
        _ = drugs(tmp_path).sets
    with pytest.raises(ConfigError, match=r"data\.format=brad is none of .*; the nearest is brat"):
        _ = drugs(tmp_path, "brad").sets


def test_problems_are_those_of_all_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        lay(tmp_path / split, "a", ann="T1\tFARMACO 5 8\tAA\n")
    with pytest.raises(CorpusError) as caught:
        _ = drugs(tmp_path).sets
    assert [problem.path.parent.name for problem in caught.value.problems] == ["test", "train"]


@pytest.mark.slow
def test_a_model_is_trained_on_brat_with_labels_of_its_own(tmp_path: Path) -> None:
    work = Work(tmp_path)
    own = tmp_path / "own"
    for split in ("train", "test"):
        renaming = Renaming({"SYMPTOM": "SINTOMA"})
        convert(work.set(split, "symptom"), own / split, ("brat", "brat"), renaming=renaming)
    words = [f"data.root={own}", f"hydra.run.dir={tmp_path / 'run'}", "trainer.max_epochs=1"]
    told = ["data=brat", "data.language=es", "entity=all", "trainer=cpu", "logger=csv"]
    done = succeeded(work.run("train.py", *MODEL, *words, *told, "optim.learning_rate=1e-2"))
    assert "labels of the corpus: SINTOMA" in done.stderr
    facts = read_json(tmp_path / "run" / "model" / "multiclin.json")
    assert facts["recipe"]["labels"] == ["SINTOMA"]
    assert facts["about"]["data"]["languages"] == ["es"]
    found = read_rows(tmp_path / "run" / "predictions" / "test.tsv")
    assert {row.label for row in found} <= {"SINTOMA"}
    gold = (tmp_path / "run" / "gold" / "test.jsonl").read_text().splitlines()
    assert len(gold) == len(list((own / "test").glob("*.ann"))) == 5
