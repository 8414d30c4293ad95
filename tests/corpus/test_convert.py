"""`multiclin corpus convert`: the command, its table of losses, its mistakes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from multiclin.corpus.convert import Renaming, convert
from multiclin.corpus.convert_command import NAMES, add_command, label_map
from multiclin.corpus.exchange import Reading
from multiclin.corpus.formats import FORMATS
from multiclin.document import Document
from multiclin.errors import ConfigError, CorpusError, OutputError

TEXT = "Sin diabetes. Toma AAS."


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A brat folder: a disease in a longer one, a drug, a text without a .ann."""
    folder = tmp_path / "brat"
    folder.mkdir()
    (folder / "a.txt").write_text(TEXT)
    (folder / "a.ann").write_text(
        "T1\tENFERMEDAD 4 12\tdiabetes\nT2\tENFERMEDAD 0 12\tSin diabetes\nT3\tFARMACO 19 22\tAAS\n"
    )
    (folder / "b.txt").write_text("Fin")
    return folder


def run(*words: str | Path) -> None:
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers())
    options = parser.parse_args(["convert", *map(str, words)])
    options.run(options)


def read(root: Path, name: str) -> list[Document]:
    return [one for _, one in FORMATS[name].read(root, Reading())]


def test_the_command_says_what_was_written_and_what_was_lost(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, losses = tmp_path / "conll", tmp_path / "losses.tsv"
    words = ["--from", "brat", "--to", "conll", "--map", "ENFERMEDAD=DISEASE,FARMACO=-"]
    run(source, out, *words, "--losses", losses)
    said = capsys.readouterr()
    assert said.out == f"read: 2 documents, 2 mentions (DISEASE 2); written: {out}\n"
    assert said.err.splitlines() == [
        "not carried over                                documents  times  where",
        "mention: label left out by --map FARMACO=-              1      1  a 19-22",
        "mention: overlaps one that is no shorter                1      1  a 4-12",
        "document: a text without .ann, so without gold          1      1  b",
        "annotated labels: read back as all                      1      1  b",
    ]
    assert losses.read_text().splitlines() == [
        "reason\tfilename\tlabel\tstart_span\tend_span\ttimes",
        "mention: label left out by --map FARMACO=-\ta\tFARMACO\t19\t22\t1",
        "mention: overlaps one that is no shorter\ta\tDISEASE\t4\t12\t1",
        "document: a text without .ann, so without gold\tb\t\t\t\t1",
        "annotated labels: read back as all\tb\t\t\t\t1",
    ]


def test_the_command_says_where_nothing_was_lost(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "b.txt").unlink()
    run(source, tmp_path / "a.jsonl", "--from", "brat", "--to", "jsonl")
    said = capsys.readouterr()
    assert said.out == (
        "read: 1 document, 3 mentions (ENFERMEDAD 2, FARMACO 1); "
        f"written: {tmp_path / 'a.jsonl'}; nothing was lost\n"
    )
    assert said.err == ""


def test_what_is_gold_is_said_where_it_can_be(source: Path, tmp_path: Path) -> None:
    """A text without .ann must not come back as one without mentions."""
    convert(source, tmp_path / "a.jsonl", ("brat", "jsonl"), reading=Reading(language="es"))
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    found = [(line["id"], line["annotated"], line["language"]) for line in lines]
    assert found == [("a", ["ENFERMEDAD", "FARMACO"], "es"), ("b", [], "es")]
    done = convert(tmp_path / "a.jsonl", tmp_path / "tree", ("jsonl", "multiclinner"))
    assert done.losses.counts == {"document: without gold, so of no entity": 1}


def test_a_label_may_take_the_mentions_of_another(source: Path, tmp_path: Path) -> None:
    renaming = Renaming({"ENFERMEDAD": "FARMACO", "FARMACO": "ENFERMEDAD"})
    done = convert(source, tmp_path / "out", ("brat", "bioc"), renaming=renaming)
    assert done.survey.mentions == {"FARMACO": 2, "ENFERMEDAD": 1}
    (one, _) = read(tmp_path / "out", "bioc")
    assert [(span.start, span.label) for span in one.spans] == [
        (0, "FARMACO"),
        (4, "FARMACO"),
        (19, "ENFERMEDAD"),
    ]


@pytest.mark.parametrize("old", FORMATS)
@pytest.mark.parametrize("new", FORMATS)
def test_every_format_becomes_every_other(source: Path, tmp_path: Path, old: str, new: str) -> None:
    """No mention of a flat corpus is lost on any of the ways."""
    (source / "b.txt").unlink()
    renaming, reading = Renaming({"ENFERMEDAD": "-"}), Reading(language="es", split="train")
    convert(source, tmp_path / "1", ("brat", old), reading=reading, renaming=renaming)
    convert(tmp_path / "1", tmp_path / "2", (old, new), reading=reading)
    ((split, one),) = FORMATS[new].read(tmp_path / "2", reading)
    assert (split, one.id, one.text) == ("train", "a", TEXT)
    assert [(span.start, span.end, span.label) for span in one.spans] == [(19, 22, "FARMACO")]


def test_what_stands_at_the_target_stays(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="out exists already; name another place"):
        run(source, tmp_path / "out", "--from", "brat", "--to", "jsonl")
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_is_left_of_a_corpus_that_is_wrong(source: Path, tmp_path: Path) -> None:
    (source / "c.txt").write_text("tas")
    (source / "c.ann").write_text("T1\tX 0 3\ttos\n")
    words = ["--losses", str(tmp_path / "losses.tsv"), "--from", "brat", "--to"]
    for name in FORMATS:
        with pytest.raises(CorpusError, match=r"c\.ann:1: offset 0-3 holds 'tas'"):
            run(source, tmp_path / "out", *words, name, "--language", "es")
    assert [path.name for path in tmp_path.iterdir()] == ["brat"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--from", "brat", "--to", "jsnl"], "--to=jsnl is none of .*; the nearest is jsonl"),
        (["--from", "bat", "--to", "jsonl"], "--from=bat is none of .*; the nearest is brat"),
        (
            ["--from", "brat", "--to", "jsonl", "--map", "ENFERMEDADES=DISEASE"],
            "has ENFERMEDAD, FARMACO; the nearest is ENFERMEDAD",
        ),
        (["--from", "brat", "--to", "multiclinner"], "--language es"),
    ],
)
def test_mistakes_are_named(source: Path, tmp_path: Path, words: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        run(source, tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["A", "A=", "=B", "A=B,A=C"])
def test_a_map_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not OLD=NEW"):
        label_map(text)


def test_a_map_may_have_spaces() -> None:
    assert label_map(" A = B , C=-,") == {"A": "B", "C": "-"}


@pytest.mark.data
def test_every_mention_of_a_real_corpus_comes_back_or_is_told(
    shared_data: Path, tmp_path: Path
) -> None:
    """Romanian, flat in its source: 1,846 mentions, two entities over one text."""
    root = shared_data / "SIMONERO"
    for name in FORMATS:
        done = convert(root, tmp_path / name, ("multiclinner", name))
        assert done.survey.mentions == {"DISEASE": 1519, "PROCEDURE": 327}
        lost = {key: n for key, n in done.losses.counts.items() if key.startswith("mention")}
        kept = sum(len(one.spans) for one in read(tmp_path / name, name))
        assert kept + sum(lost.values()) == 1846, (name, lost)


def test_the_command_names_every_format() -> None:
    assert tuple(FORMATS) == NAMES
