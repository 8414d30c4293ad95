"""Predicted documents become files: sorted, whole, from any number of processes."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.corpus.brat import read_document
from multiclin.corpus.jsonl import read_documents
from multiclin.corpus.tsv import read_rows
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, OutputError, Problem
from multiclin.output import FORMATS, Spool, write_json, write_predictions
from tests.toy_models import marked

ROOT = Path(__file__).parents[1]
HEADER = "filename\tlabel\tstart_span\tend_span\ttext\n"


def publish(spool: Spool, *ranks: Iterable[Document | Problem]) -> Spool:
    """Every process adds its documents, the first one publishes."""
    for rank, found in enumerate(ranks):
        spool.open(rank)
        for one in found:
            spool.add_problem(one) if isinstance(one, Problem) else spool.add(one)
        spool.close()
    spool.publish(len(ranks))
    return spool


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_documents_of_all_processes_come_out_sorted(tmp_path: Path) -> None:
    a, b, c = marked("sin [tos] ni [asma]", "a"), marked("[tos]", "b"), marked("nada", "c")
    spool = publish(Spool(tmp_path), [c, a], [b])
    assert (tmp_path / "predictions.tsv").read_text() == (
        HEADER + "a\tX\t4\t7\ttos\na\tX\t11\t15\tasma\nb\tX\t0\t3\ttos\n"
    )
    assert (spool.documents, spool.mentions) == (3, 3)
    assert files(tmp_path) == ["predictions.tsv"]


@given(names=st.lists(st.text("aZ0-/.é\U0001d11e", min_size=1), unique=True), cut=st.integers(0, 9))
def test_names_are_sorted_by_code_points_whatever_the_process(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    documents = [marked("[tos]", f"d{name}") for name in names]
    publish(Spool(folder), documents[:cut], documents[cut:])
    found = [row.filename for row in read_rows(folder / "predictions.tsv")]
    assert found == sorted(f"d{name}" for name in names)


def test_no_documents_give_an_empty_table(tmp_path: Path) -> None:
    publish(Spool(tmp_path, FORMATS), [], [])
    assert (tmp_path / "predictions.tsv").read_text() == HEADER
    assert (tmp_path / "predictions.jsonl").read_text() == ""


def test_json_lines_keep_texts_and_scores(tmp_path: Path) -> None:
    one = Document("b", "Sin\r\ntos", (Span(5, 8, "X", 0.25),), "es", frozenset({"X"}), "case-1")
    publish(Spool(tmp_path, ("tsv", "jsonl")), [one, marked("nada", "a")])
    first, second = read_documents(tmp_path / "predictions.jsonl")
    assert (first, second) == (marked("nada", "a"), one)
    assert second.spans[0].score == 0.25


def test_brat_files_are_read_back(tmp_path: Path) -> None:
    one = marked('sin\r\n[tos\n"fea"]', "ward/a")
    publish(Spool(tmp_path, ("brat",)), [one])
    stem = tmp_path / "ann" / "ward" / "a"
    txt, ann = stem.with_suffix(".txt"), stem.with_suffix(".ann")
    assert read_document(txt, ann, id="ward/a", language="es", annotated=one.annotated) == Document(
        "ward/a", one.text, one.spans, "es", one.annotated
    )


def test_problems_of_all_processes_are_kept(tmp_path: Path) -> None:
    bad = [Problem(Path("b.txt"), 3, "not UTF-8"), Problem(Path("a.txt"), 0, "cannot be read")]
    spool = publish(Spool(tmp_path), [bad[0], marked("[tos]")], [bad[1]])
    assert spool.problems == bad
    assert spool.documents == 1


def test_a_problem_of_a_path_that_is_not_utf8_can_be_kept(tmp_path: Path) -> None:
    spool = publish(Spool(tmp_path), [Problem(Path("caf\udce9.txt"), 0, "not UTF-8")])
    assert [str(one) for one in spool.problems] == [r"caf\udce9.txt: not UTF-8"]


@pytest.mark.parametrize(
    ("standing", "formats"),
    [("predictions.tsv", ("brat",)), ("predictions.jsonl", ("jsonl",)), ("ann", ("brat",))],
)
def test_results_that_stand_are_not_overwritten(
    tmp_path: Path, standing: str, formats: Sequence[str]
) -> None:
    (tmp_path / standing).mkdir()
    with pytest.raises(OutputError, match=rf"{standing} exists already; choose another output="):
        Spool(tmp_path, formats)


def test_results_are_overwritten_when_told(tmp_path: Path) -> None:
    publish(Spool(tmp_path, FORMATS), [marked("[tos]", "a")])
    publish(Spool(tmp_path, FORMATS, overwrite=True), [marked("sin [tos]", "a")])
    assert (tmp_path / "predictions.tsv").read_text() == HEADER + "a\tX\t4\t7\ttos\n"
    assert (tmp_path / "ann" / "a.txt").read_text() == "sin tos"
    assert len((tmp_path / "predictions.jsonl").read_text().splitlines()) == 1


def test_parts_of_a_run_that_died_are_neither_published_nor_left(tmp_path: Path) -> None:
    for rank in range(3):
        dead = Spool(tmp_path)
        dead.open(rank)
        dead.add(marked("[tos]", f"old{rank}"))
        dead.close()
    publish(Spool(tmp_path), [marked("[asma]", "new")])
    assert [row.filename for row in read_rows(tmp_path / "predictions.tsv")] == ["new"]
    assert files(tmp_path) == ["predictions.tsv"]


def test_a_run_that_fails_leaves_no_texts(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ("brat",))
    with pytest.raises(OutputError, match="leads out of the folder"):
        publish(spool, [marked("[tos]", "../x")])
    assert not [name for name in files(tmp_path) if name.endswith(".part")]
    assert [row.filename for row in read_rows(spool.tsv)] == ["../x"]


def test_an_unknown_format_is_named_with_the_others(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="formats=xml is unknown; choose from tsv, brat, jsonl"):
        Spool(tmp_path, ("tsv", "xml"))


def test_a_warning_of_file_names_comes_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        publish(Spool(tmp_path), [marked("[tos] [asma]", f"{number:04d}") for number in range(9)])
    (record,) = caplog.records
    assert "9 of 9 filenames" in record.getMessage()
    assert "('0000', '0001', '0002')" in record.getMessage()


def test_documents_in_memory_are_written_sorted(tmp_path: Path) -> None:
    write_predictions([marked("[tos]", "b"), marked("[tos]", "a")], tmp_path / "new" / "a.tsv")
    rows = read_rows(tmp_path / "new" / "a.tsv")
    assert [row.filename for row in rows] == ["a", "b"]


def test_json_is_written_for_people(tmp_path: Path) -> None:
    write_json({"f1": 0.5, "name": "niño"}, tmp_path / "a.json")
    assert (tmp_path / "a.json").read_text() == '{\n  "f1": 0.5,\n  "name": "niño"\n}\n'


PEAK = """
import resource, sys
from pathlib import Path
from multiclin.document import Document, Span
from multiclin.output import Spool
spool = Spool(Path(sys.argv[1]), ("tsv", "jsonl"))
spool.open(0)
for number in range(int(sys.argv[2])):
    spans = tuple(Span(at, at + 3, "X") for at in range(0, 80, 4))
    spool.add(Document(f"d{number:06d}", "tos " * 20, spans))
spool.close()
spool.publish()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


def test_memory_does_not_grow_with_the_documents(tmp_path: Path) -> None:
    def peak(documents: int) -> int:
        command = [sys.executable, "-c", PEAK, str(tmp_path / str(documents)), str(documents)]
        run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        return int(run.stdout)

    # MiB; the rows of 4,000 documents would take 20 more.
    assert peak(4000) <= peak(10) + 6
