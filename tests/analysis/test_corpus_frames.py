from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from multiclin.analysis.corpus_frames import (
    corpus_frames,
    document_lengths,
    mention_lengths,
    mention_numbers,
)
from multiclin.analysis.frames import write_csv
from multiclin.corpus.brat import format_ann
from multiclin.corpus.release import find_sets
from multiclin.errors import CorpusError
from tests.analysis.toys import row
from tests.toys import document


def write_set(
    root: Path, name: str, *texts: str, entity: str = "disease", gold: bool = True
) -> None:
    """A set of texts with their mentions between ⟦ and ⟧; `name` is language and split."""
    folder = root / f"MultiClinNER-{name}-{entity}"
    for kind in ("txt", "ann") if gold else ("txt",):
        (folder / kind).mkdir(parents=True)
    for number, text in enumerate(texts):
        one = document(f"{folder.name}-{number}", text, entity.upper())
        (folder / "txt" / f"{one.id}.txt").write_bytes(one.text.encode())
        if gold:
            (folder / "ann" / f"{one.id}.ann").write_bytes(format_ann(one).encode())


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, pd.DataFrame]:
    """Two Spanish training documents, one test document, and one Italian without gold."""
    write_set(tmp_path, "es-train", "Con ⟦tos⟧ y ⟦Tos⟧.", "Dos ⟦tos⟧ y ⟦dolor leve⟧.")
    write_set(tmp_path, "es-test", "⟦Dolor\nleve⟧, ⟦asma⟧ y ⟦asma⟧ hoy.")
    write_set(tmp_path, "it-background", "Senza tosse.", gold=False)
    return corpus_frames(find_sets(tmp_path))


def test_sizes_of_sets(tables: dict[str, pd.DataFrame]) -> None:
    sets = tables["sets"]
    assert sets[["language", "split", "entity"]].to_numpy().tolist() == [
        ["es", "test", "disease"],
        ["es", "train", "disease"],
        ["it", "background", "disease"],
    ]
    # Words: Con tos y Tos, Dos tos y dolor leve; Dolor leve asma y asma hoy; Senza tosse.
    assert sets[["documents", "words"]].to_numpy().tolist() == [[1, 6], [2, 9], [1, 2]]


def test_mentions_of_sets(tables: dict[str, pd.DataFrame]) -> None:
    columns = ["mentions", "distinct", "unseen"]
    test, train, background = tables["sets"][columns].astype(object).to_numpy().tolist()
    assert test == [3, 2, 2]  # `dolor leve` is in training, whatever its case and line break.
    assert train == [4, 2, pd.NA]
    assert background == [pd.NA, pd.NA, pd.NA]


def test_a_set_with_gold_but_no_mention_has_zero(tmp_path: Path) -> None:
    write_set(tmp_path, "es-train", "⟦tos⟧")
    write_set(tmp_path, "es-test", "nada")
    line = row(corpus_frames(find_sets(tmp_path))["sets"], split="test")
    assert (line["mentions"], line["distinct"], line["unseen"]) == (0, 0, 0)


def test_unseen_looks_at_all_languages_of_the_entity_and_at_no_other_entity(tmp_path: Path) -> None:
    write_set(tmp_path, "it-train", "⟦asma⟧")
    write_set(tmp_path, "es-train", "⟦tos⟧", entity="symptom")
    write_set(tmp_path, "es-test", "⟦asma⟧ y ⟦tos⟧")
    assert row(corpus_frames(find_sets(tmp_path))["sets"], split="test")["unseen"] == 1


def test_without_training_sets_nothing_is_unseen(tmp_path: Path) -> None:
    write_set(tmp_path, "es-test", "⟦asma⟧")
    assert pd.isna(row(corpus_frames(find_sets(tmp_path))["sets"])["unseen"])


def test_lengths_in_words(tables: dict[str, pd.DataFrame]) -> None:
    lengths = tables["lengths"]
    columns = ["count", "mean", "min", "q1", "median", "q3", "max"]
    documents = row(lengths, of="document", language="es")
    assert [documents[name] for name in columns] == [3, 5, 4, 4.5, 5, 5.5, 6]
    mentions = row(lengths, of="mention", language="es")
    # 1 1 1 2 of training, 2 1 1 of test.
    assert [mentions[name] for name in columns] == [7, pytest.approx(9 / 7), 1, 1, 1, 1.5, 2]
    assert len(lengths) == 3  # Italian has documents and no mentions.


def test_the_most_frequent_mentions(tables: dict[str, pd.DataFrame]) -> None:
    columns = ["entity", "language", "mention", "count", "documents"]
    assert tables["frequent"][columns].to_numpy().tolist() == [
        ["disease", "es", "tos", 3, 2],
        ["disease", "es", "asma", 2, 1],
        ["disease", "es", "dolor leve", 2, 2],
    ]


def test_every_document_and_mention(tables: dict[str, pd.DataFrame]) -> None:
    one = row(tables["documents"], language="es", split="test")
    assert (one["characters"], one["words"], one["mentions"]) == (28, 6, 3)
    assert pd.isna(row(tables["documents"], language="it")["mentions"])
    first = tables["mentions"].query("split == 'test'").to_dict("records")[0]
    assert (first["start"], first["end"], first["mention"], first["words"]) == (
        0,
        10,
        "Dolor leve",
        2,
    )


def test_a_problem_of_the_corpus_is_raised(tmp_path: Path) -> None:
    write_set(tmp_path, "es-train", "⟦tos⟧")
    next(tmp_path.rglob("*.ann")).write_text("T1\tDISEASE 0 99\ttos\n", "utf-8")
    with pytest.raises(CorpusError, match="beyond the text"):
        corpus_frames(find_sets(tmp_path))


def test_no_sets_give_tables_without_rows(tables: dict[str, pd.DataFrame]) -> None:
    empty = corpus_frames([])
    assert {name: list(table.columns) for name, table in empty.items()} == {
        name: list(table.columns) for name, table in tables.items()
    }
    assert not any(len(table) for table in empty.values())
    drawn = (
        mention_numbers(empty["sets"]),
        document_lengths(empty["lengths"]),
        mention_lengths(empty["mentions"]),
    )
    assert [len(figure.data) for figure in drawn] == [0, 0, 0]


def test_words_of_documents_are_left_out_of_csv_on_demand(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    write_csv(tables, tmp_path / "csv", texts=False)
    files = {path.stem for path in (tmp_path / "csv").iterdir()}
    assert files == {"sets", "lengths", "documents"}


def test_figures_hold_the_numbers(tables: dict[str, pd.DataFrame]) -> None:
    [numbers] = mention_numbers(tables["sets"]).data
    assert dict(zip(numbers.x, numbers.y, strict=True)) == {"es": 7, "it": 0}
    [boxes] = document_lengths(tables["lengths"]).data
    assert (list(boxes.x), list(boxes.median)) == (["es", "it"], [5, 2])
    [shares] = mention_lengths(tables["mentions"]).data
    assert dict(zip(shares.x, shares.y, strict=True)) == pytest.approx({"1": 5 / 7, "2": 2 / 7})


def test_long_mentions_are_drawn_together(tmp_path: Path) -> None:
    write_set(tmp_path, "es-train", f"⟦{'a ' * 7}a⟧, ⟦{'b ' * 20}b⟧, ⟦{'c ' * 6}c⟧ y ⟦d⟧")
    [shares] = mention_lengths(corpus_frames(find_sets(tmp_path))["mentions"]).data
    assert dict(zip(shares.x, shares.y, strict=True)) == {"1": 0.25, "7": 0.25, "8 or more": 0.5}
