"""Corpora and predictions of strangers: sizes, places and names made to do harm."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path

import pytest

from multiclin.analysis.sources import open_files, read_side
from multiclin.checking.check import check
from multiclin.corpus import mention_mismatch, tsv
from multiclin.corpus.brat import parse_ann, write_ann, write_text
from multiclin.corpus.convert import convert
from multiclin.corpus.exchange import Reading
from multiclin.corpus.formats import FORMATS
from multiclin.corpus.mentions import mention_files, read_mentions
from multiclin.corpus.texts import LONGEST, Texts, find_texts
from multiclin.corpus.tsv import read_rows
from multiclin.document import CROWD, Document, Span, crowded
from multiclin.errors import CorpusError, MulticlinError, OutputError, Problem
from multiclin.files import LARGEST, read_lines, read_text
from multiclin.output import Output
from multiclin.spool import Spool

LINE = "T1\tDISEASE 0 5\tdolor\n"


def corpus(folder: Path, ann: str | Iterable[str], text: str = "dolor leve") -> Path:
    """A text and its mentions."""
    folder.mkdir()
    (folder / "a.txt").write_text(text)
    with (folder / "a.ann").open("w") as stream:
        stream.writelines([ann] if isinstance(ann, str) else ann)
    return folder


def sparse(path: Path, size: int) -> Path:
    """A file of zeros that takes no place on the disk."""
    path.touch()
    os.truncate(path, size)
    return path


def problems(path: Path, kind: str) -> str:
    """What reading a whole corpus says, one line each."""
    with pytest.raises(CorpusError) as refusal:
        for _ in FORMATS[kind].read(path, Reading()):
            pass
    return str(refusal.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.ann", "brat"),
        ("a.txt", "brat"),
        ("a.jsonl", "jsonl"),
        ("a.jsonl", "huggingface"),
        ("a.conll", "conll"),
        ("a.json", "bioc"),
    ],
)
def test_a_line_of_gigabytes_is_refused_before_it_is_read(
    tmp_path: Path, name: str, kind: str
) -> None:
    corpus(tmp_path / "c", LINE)
    sparse(tmp_path / "c" / name, 5_000_000_000)
    began = time.monotonic()
    assert "104,857,600 bytes" in problems(tmp_path / "c", kind)
    assert time.monotonic() - began < 20


def test_a_table_has_a_larger_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = sparse(tmp_path / "gold.tsv", LARGEST + 1)
    with pytest.raises(CorpusError, match="field larger than field limit"):
        read_rows(table)
    monkeypatch.setattr(tsv, "LARGEST_TABLE", LARGEST)
    with pytest.raises(CorpusError, match="it has more than 104,857,600 bytes"):
        read_rows(table)


def test_bounds_are_met_exactly(tmp_path: Path) -> None:
    path = sparse(tmp_path / "a", LARGEST)
    assert sum(len(line) for _, line in read_lines(path)) == LARGEST
    sparse(path, LARGEST + 1)
    with pytest.raises(CorpusError, match="a line of more than"):
        list(read_lines(path))
    path.write_text("aé\n")
    assert read_text(path, 4) == "aé\n"
    with pytest.raises(CorpusError, match="it has more than 3 bytes"):
        read_text(path, 3)


def test_a_mention_of_millions_of_characters_takes_linear_time(tmp_path: Path) -> None:
    began = time.monotonic()
    said = mention_mismatch("dolor leve", [(0, 5)], "a " * 30_000_000)
    assert said is not None
    assert len(said) < 200
    assert time.monotonic() - began < 5
    folder = corpus(tmp_path / "c", chain([LINE.rstrip()], repeat("a " * 1000, 10_000)))
    assert check(folder).findings.counts()["wrong_offset"] == 1
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("mentions", "label"),
    [
        ([("X", 0, 5)] * CROWD, ""),
        ([("X", 0, 5)] * (CROWD + 1), "X"),
        ([("X", n, n + 1) for n in range(1000)], ""),  # side by side
        ([("X", n, 1000) for n in range(CROWD + 1)], "X"),  # one in another
        ([(label, 0, 5) for label in "XY" for _ in range(CROWD)], ""),
    ],
)
def test_a_crowd_is_mentions_of_one_label_at_one_place(
    mentions: list[tuple[str, int, int]], label: str
) -> None:
    assert crowded(mentions) == label


def test_a_hundred_thousand_mentions_of_one_word_are_refused(tmp_path: Path) -> None:
    """Scores compare mentions that overlap, each with each."""
    folder = corpus(tmp_path / "c", repeat(LINE, 100_000))
    began = time.monotonic()
    said = "over 100 mentions of 'DISEASE' share a character"
    with pytest.raises(CorpusError, match=said):
        read_mentions(mention_files(folder))
    assert "more than 100 mentions of 'DISEASE' share a character" in problems(folder, "brat")
    assert time.monotonic() - began < 30


def test_a_check_tells_of_a_crowd(tmp_path: Path) -> None:
    found = check(corpus(tmp_path / "c", LINE * (CROWD + 1)))
    assert found.findings.counts()["crowd"] == 1
    assert not found.is_clean


def test_a_text_too_long_to_predict_is_a_problem_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("tos")
    (tmp_path / "b.txt").write_text("x" * (LONGEST + 1))
    one, other = Texts(tmp_path).read()
    assert isinstance(one, Document)
    assert isinstance(other, Problem)
    assert "no document has over 10,000,000 characters" in other.message


def test_offsets_beyond_all_texts_make_no_text(tmp_path: Path) -> None:
    table = tmp_path / "pred.tsv"
    table.write_text("filename\tlabel\tstart_span\tend_span\ttext\na\tX\t0\t999999999999\tdolor\n")
    with pytest.raises(MulticlinError, match="no text has a character 999999999999"):
        open_files(table)


@pytest.mark.parametrize("suffix", [".txt", ".ann"])
@pytest.mark.parametrize("what", ["pipe", "device"])
def test_pipes_and_devices_are_not_read(tmp_path: Path, suffix: str, what: str) -> None:
    folder = corpus(tmp_path / "c", LINE)
    path = folder / f"a{suffix}"
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert "it is a pipe or a device" in problems(folder, "brat")
    assert check(folder).findings.counts()["unreadable"] == 1


def test_a_pipe_among_xml_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.xml")
    assert "it is a pipe or a device" in problems(tmp_path, "bioc")


def test_folders_that_lead_back_to_themselves_are_walked_once(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "c", LINE)
    (folder / "again").symlink_to(folder)
    (folder / "deep").mkdir()
    (folder / "deep" / "up").symlink_to(tmp_path)
    assert list(find_texts(folder)) == ["a"]
    [[_, document]] = FORMATS["brat"].read(folder, Reading())
    assert document.spans == (Span(0, 5, "DISEASE"),)


def test_a_path_of_a_thousand_folders_is_walked(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    try:  # Deeper than a path may be long: only step by step.
        for _ in range(60):
            os.mkdir("d" * 60, dir_fd=here)
            inner = os.open("d" * 60, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
    finally:
        os.close(here)
    (tmp_path / "a.txt").write_text("tos")
    assert list(find_texts(tmp_path)) == ["a"]


ENTITIES = {
    "a file of ours": '<!ENTITY x SYSTEM "file://{secret}">',
    "a parameter": '<!ENTITY % x SYSTEM "file://{secret}"> %x;',
    "the network": '<!ENTITY x SYSTEM "http://127.0.0.1:9/x">',
}


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=ENTITIES)
def test_xml_reads_no_other_file(tmp_path: Path, entity: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    path = tmp_path / "a.xml"
    path.write_text(
        f"<!DOCTYPE collection [{entity.format(secret=secret)}]><collection><document><id>1</id>"
        "<passage><offset>0</offset><text>&x;</text></passage></document></collection>"
    )
    assert "s3cret" not in problems(path, "bioc")


NAMES = ["../../owned", "ABSOLUTE/owned", "a/../../owned", "..", "a\0b"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("write", [write_ann, write_text])
def test_no_document_is_written_outside_of_its_folder(
    tmp_path: Path, name: str, write: Callable[[Document, Path], Path]
) -> None:
    folder, name = tmp_path / "in" / "ann", name.replace("ABSOLUTE", str(tmp_path))
    folder.mkdir(parents=True)
    if name == "..":
        write(Document(name, "tos"), folder)  # `...ann` is a file like any other.
    else:
        with pytest.raises(OutputError, match="leads out of the folder"):
            write(Document(name, "tos"), folder)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["ann"]


@pytest.mark.parametrize("name", ["../../owned", "ABSOLUTE/owned", "a/../../owned"])
@pytest.mark.parametrize("kind", ["brat", "tsv", "conll", "bioc", "multiclinner"])
def test_a_conversion_writes_into_its_folder_alone(tmp_path: Path, name: str, kind: str) -> None:
    source, place = tmp_path / "source.jsonl", tmp_path / "a" / "b"
    name = name.replace("ABSOLUTE", str(tmp_path))
    spans = [{"start": 0, "end": 3, "label": "../../owned"}]
    entry = {"id": name, "text": "tos", "language": "es", "spans": spans}
    source.write_text(json.dumps(entry) + "\n")
    with suppress(MulticlinError):
        convert(source, place / "out", ("jsonl", kind))
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - {source}
    assert all(path.is_relative_to(place) for path in written)


def test_a_prediction_is_written_into_its_folder_alone(tmp_path: Path) -> None:
    out = tmp_path / "x" / "out"
    spool = Spool(out)
    spool.open()
    spool.add(Document("../../../owned", "tos", (Span(0, 3, "X"),)))
    spool.finish()
    spool.close()
    spool.end()
    with pytest.raises(OutputError, match="leads out of the folder"):
        Output(out, ("tsv", "brat")).publish(spool)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert [path for path in out.iterdir() if not path.name.startswith(".predictions")] == []


def test_formulas_of_spreadsheets_stay_what_they_are(tmp_path: Path) -> None:
    """An official table is read by pandas, exactly; a spreadsheet is not what it is for."""
    table = tmp_path / "predictions.tsv"
    table.write_text(
        "filename\tlabel\tstart_span\tend_span\ttext\n=cmd|' /C calc'!A0\t@SUM(1)\t0\t3\t=1+1\n"
    )
    [name] = read_side(table).spans
    assert name == "=cmd|' /C calc'!A0"
    assert parse_ann("T1\tX 0 3\t=1+1\n", "=1+1", Path("a.ann"), labels=["Y"])[0] == ()
