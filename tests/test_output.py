"""Predicted documents become files: sorted, whole, from any number of processes."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.corpus.brat import read_document
from multiclin.corpus.jsonl import read_documents
from multiclin.corpus.tsv import read_rows
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, OutputError, Problem
from multiclin.output import FORMATS, Output, write_json, write_predictions
from multiclin.spool import Spool
from tests.toy_models import marked

ROOT = Path(__file__).parents[1]
HEADER = "filename\tlabel\tstart_span\tend_span\ttext\n"


def publish(output: Output, *ranks: Iterable[Document | Problem]) -> Output:
    """Every process adds its documents, numbered in their order, and the output publishes them."""
    spool = Spool(output.folder)
    spool.begin({})
    numbers = count()
    for rank, found in enumerate(ranks):
        spool.open(rank)
        for one in found:
            if isinstance(one, Problem):
                spool.add_problem(one, portion=rank)
            else:
                spool.add(one, portion=rank, number=next(numbers))
        spool.finish(rank)
        spool.close()
    spool.end()
    assert output.publish(spool) == []
    return output


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_documents_of_all_processes_come_out_sorted(tmp_path: Path) -> None:
    a, b, c = marked("sin [tos] ni [asma]", "a"), marked("[tos]", "b"), marked("nada", "c")
    output = publish(Output(tmp_path), [c, a], [b])
    assert (tmp_path / "predictions.tsv").read_text() == (
        HEADER + "a\tX\t4\t7\ttos\na\tX\t11\t15\tasma\nb\tX\t0\t3\ttos\n"
    )
    assert (output.documents, output.mentions) == (3, 3)
    assert files(tmp_path) == ["predictions.tsv"]


@given(names=st.lists(st.text("aZ0-/.é\U0001d11e", min_size=1), unique=True), cut=st.integers(0, 9))
def test_names_are_sorted_by_code_points_whatever_the_process(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    documents = [marked("[tos]", f"d{name}") for name in names]
    publish(Output(folder), documents[:cut], documents[cut:])
    found = [row.filename for row in read_rows(folder / "predictions.tsv")]
    assert found == sorted(f"d{name}" for name in names)


def test_no_documents_give_an_empty_table(tmp_path: Path) -> None:
    publish(Output(tmp_path, FORMATS), [], [])
    assert (tmp_path / "predictions.tsv").read_text() == HEADER
    assert (tmp_path / "predictions.jsonl").read_text() == ""


def test_json_lines_keep_texts_and_scores(tmp_path: Path) -> None:
    one = Document("b", "Sin\r\ntos", (Span(5, 8, "X", 0.25),), "es", frozenset({"X"}), "case-1")
    publish(Output(tmp_path, ("tsv", "jsonl")), [one, marked("nada", "a")])
    first, second = read_documents(tmp_path / "predictions.jsonl")
    assert (first, second) == (marked("nada", "a"), one)
    assert second.spans[0].score == 0.25


def test_brat_files_are_read_back(tmp_path: Path) -> None:
    one = marked('sin\r\n[tos\n"fea"]', "ward/a")
    publish(Output(tmp_path, ("brat",)), [one])
    stem = tmp_path / "ann" / "ward" / "a"
    txt, ann = stem.with_suffix(".txt"), stem.with_suffix(".ann")
    assert read_document(txt, ann, id="ward/a", language="es", annotated=one.annotated) == Document(
        "ward/a", one.text, one.spans, "es", one.annotated
    )


def test_problems_of_all_processes_are_kept(tmp_path: Path) -> None:
    bad = [Problem(Path("b.txt"), 3, "not UTF-8"), Problem(Path("a.txt"), 0, "cannot be read")]
    output = publish(Output(tmp_path), [bad[0], marked("[tos]")], [bad[1]])
    assert output.problems == bad
    assert output.documents == 1


def test_a_problem_of_a_path_that_is_not_utf8_can_be_kept(tmp_path: Path) -> None:
    output = publish(Output(tmp_path), [Problem(Path("caf\udce9.txt"), 0, "not UTF-8")])
    assert [str(one) for one in output.problems] == [r"caf\udce9.txt: not UTF-8"]


@pytest.mark.parametrize(
    ("standing", "formats"),
    [("predictions.tsv", ("brat",)), ("predictions.jsonl", ("jsonl",)), ("ann", ("brat",))],
)
def test_results_that_stand_are_not_overwritten(
    tmp_path: Path, standing: str, formats: Sequence[str]
) -> None:
    (tmp_path / standing).mkdir()
    with pytest.raises(OutputError, match=rf"{standing} exists already; choose another output="):
        Output(tmp_path, formats)


def test_results_are_overwritten_when_told(tmp_path: Path) -> None:
    publish(Output(tmp_path, FORMATS), [marked("[tos]", "a")])
    publish(Output(tmp_path, FORMATS, overwrite=True), [marked("sin [tos]", "a")])
    assert (tmp_path / "predictions.tsv").read_text() == HEADER + "a\tX\t4\t7\ttos\n"
    assert (tmp_path / "ann" / "a.txt").read_text() == "sin tos"
    assert len((tmp_path / "predictions.jsonl").read_text().splitlines()) == 1


def test_a_publication_that_fails_writes_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(OutputError, match=rf"leads out of the folder {tmp_path}/ann$"):
        publish(Output(tmp_path, FORMATS), [marked("[tos]", "../x")])
    assert {name for name in files(tmp_path) if not name.startswith(".predictions")} == set()
    (tmp_path / ".multiclin-0.tmp").mkdir()  # As a kill -9 in between would leave it.
    (tmp_path / ".multiclin-1.tmp").touch()
    assert Output(tmp_path, ("tsv", "jsonl")).publish(spool) == []
    assert files(tmp_path) == ["predictions.jsonl", "predictions.tsv"]


def test_of_documents_with_one_id_the_first_is_kept(tmp_path: Path) -> None:
    """In a JSONL file; the number is that of the line."""
    lines = [marked("[tos]", "a"), marked("[asma]", "b"), marked("sin [tos]", "a")]
    for order in (lines, lines[::-1]):
        spool = Spool(tmp_path)
        spool.begin({})
        spool.open()
        for one in order:
            spool.add(one, number=1 + lines.index(one))
        spool.finish()
        spool.close()
        spool.end()
        output = Output(tmp_path, ("tsv", "jsonl"), overwrite=True, source=Path("in.jsonl"))
        output.publish(spool)
        assert (tmp_path / "predictions.tsv").read_text() == (
            HEADER + "a\tX\t0\t3\ttos\nb\tX\t0\t4\tasma\n"
        )
        assert len((tmp_path / "predictions.jsonl").read_text().splitlines()) == 2
        assert output.documents == 2
        assert list(map(str, output.problems)) == ["in.jsonl:3: a second document with the id 'a'"]


@pytest.mark.parametrize(("keep", "kept"), [(1, 0), (2, 2)])
def test_few_documents_are_kept_for_a_report(tmp_path: Path, keep: int, kept: int) -> None:
    output = Output(tmp_path, keep=keep)
    publish(output, [marked("[tos]", "a"), marked("[asma]", "b")])
    assert len(output.kept) == kept


def test_an_unknown_format_is_named_with_the_others(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="formats=xml is unknown; choose from tsv, brat, jsonl"):
        Output(tmp_path, ("tsv", "xml"))


def test_a_warning_of_file_names_comes_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        publish(Output(tmp_path), [marked("[tos] [asma]", f"{number:04d}") for number in range(9)])
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
from multiclin.output import Output
from multiclin.spool import Spool
spool = Spool(Path(sys.argv[1]))
spool.begin({})
spool.open()
for number in range(int(sys.argv[2])):
    spans = tuple(Span(at, at + 3, "X") for at in range(0, 80, 4))
    spool.add(Document(f"d{number:06d}", "tos " * 20, spans), portion=number)
    spool.finish(number)
spool.close()
spool.end()
Output(Path(sys.argv[1]), ("tsv", "jsonl")).publish(spool)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


def test_memory_does_not_grow_with_the_documents(tmp_path: Path) -> None:
    def peak(documents: int) -> int:
        command = [sys.executable, "-c", PEAK, str(tmp_path / str(documents)), str(documents)]
        run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        return int(run.stdout)

    # MiB; the rows of 4,000 documents would take 20 more.
    assert peak(4000) <= peak(10) + 6
