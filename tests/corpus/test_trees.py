"""A MultiClinNER tree as one corpus, and a corpus as a tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiclin.corpus.brat import write_ann, write_text
from multiclin.corpus.exchange import Losses, Reading, Survey
from multiclin.corpus.trees import Trees, entities_of
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, CorpusError, OutputError


def lay(root: Path, split: str, entity: str, *documents: Document, language: str = "es") -> None:
    folder = root / f"MultiClinNER-{language}-{split}-{entity}"
    for one in documents:
        write_text(one, folder / "txt")
        write_ann(one, folder / "ann")


def written(root: Path, *documents: Document, split: str = "") -> list[str]:
    stream = [(split, one) for one in documents]
    losses = Losses()
    Trees().write(stream, root, Survey.of(stream), losses)
    return sorted(losses.counts)


X, Y = Span(0, 3, "X"), Span(0, 3, "SINTOMA")


def test_entities_of_one_text_are_put_together(tmp_path: Path) -> None:
    lay(tmp_path, "train", "x", Document("a", "tos", (X,)), Document("b", "tos"))
    lay(tmp_path, "train", "symptom", Document("a", "tos", (Y,)))
    found = list(Trees().read(tmp_path, Reading()))
    assert found == [
        ("train", Document("a", "tos", (X, Y), "es", frozenset(["X", "SINTOMA"]))),
        ("train", Document("b", "tos", (), "es", frozenset(["X"]))),
    ]


def test_versions_that_differ_are_documents_of_their_own(tmp_path: Path) -> None:
    lay(tmp_path, "train", "x", Document("a", "tos", (X,)))
    lay(tmp_path, "train", "y", Document("a", "tos "))
    lay(tmp_path, "test", "y", Document("a", "tos"))
    found = [(split, one.id, one.case) for split, one in Trees().read(tmp_path, Reading())]
    assert found == [("test", "a", "a"), ("train", "x/a", "a"), ("train", "y/a", "a")]


def test_a_split_and_a_language_are_chosen(tmp_path: Path) -> None:
    for language in ("es", "it"):
        for split in ("train", "test"):
            name = f"{language}-{split}"
            lay(tmp_path, split, "x", Document(name, "tos"), language=language)
    found = Trees().read(tmp_path, Reading(language="it", split="test"))
    assert [one.id for _, one in found] == ["it-test"]
    with pytest.raises(ConfigError, match="split 'dev' is not among the sets found: test, train"):
        list(Trees().read(tmp_path, Reading(split="dev")))


def test_problems_of_all_sets_come_together(tmp_path: Path) -> None:
    for entity in ("x", "y"):
        lay(tmp_path, "train", entity, Document("a", "tos", (X,)), Document("b", "tos", (X,)))
        (tmp_path / f"MultiClinNER-es-train-{entity}" / "txt" / "a.txt").write_text("tas")
    with pytest.raises(CorpusError) as caught:
        list(Trees().read(tmp_path, Reading()))
    assert [problem.path.name for problem in caught.value.problems] == ["a.ann", "a.ann"]


def test_a_document_goes_to_the_set_of_each_label(tmp_path: Path) -> None:
    one = Document("a", "tos", (X, Y), "es")
    two = Document("b", "Fin", (), "cs")
    assert written(tmp_path / "out", one, two, split="dev") == []
    found = sorted(
        path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.rglob("*.txt")
    )
    top = "MultiClinNER/MultiClinNER-{0}/MultiClinNER-{0}-dev/MultiClinNER-{0}-dev-{1}/txt/{2}.txt"
    places = [("cz", "sintoma", "b"), ("cz", "x", "b"), ("es", "sintoma", "a"), ("es", "x", "a")]
    assert found == [top.format(*place) for place in places]
    gold = frozenset(["X", "SINTOMA"])
    assert [one for _, one in Trees().read(tmp_path / "out", Reading())] == [
        Document("b", "Fin", (), "cz", frozenset(["X", "SINTOMA"])),
        Document("a", "tos", (X, Y), "es", gold),
    ]


def test_what_a_tree_cannot_hold_is_told(tmp_path: Path) -> None:
    one = Document("x/a", "tos", (X, Y, Span(0, 1, "X", 0.5)), "es", frozenset(["X"]))
    two = Document("b", "tos", (), "es")
    assert written(tmp_path / "out", one, two) == [
        "document: without gold, so of no entity",
        "mention: its score",
        "mention: of a label without gold here",
        "name: / in it is now _",
    ]
    ((split, found),) = Trees().read(tmp_path / "out", Reading())
    assert (split, found.id, found.spans) == ("train", "x_a", (Span(0, 1, "X"), X))


def test_a_tree_needs_languages_and_labels_that_can_be_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--language es"):
        written(tmp_path / "out", Document("a", "tos", (X,)))
    assert not (tmp_path / "out").exists()
    with pytest.raises(OutputError, match="holds annotated texts, and none of these is"):
        written(tmp_path / "out", Document("a", "tos", (), "es"))
    assert not (tmp_path / "out").exists()
    assert entities_of(["Drug-Dose", "X"]) == {"Drug-Dose": "drug_dose", "X": "x"}
    with pytest.raises(OutputError, match=r"both be the entity x; .* --map x=X or --map x=-"):
        entities_of(["x", "X"])
