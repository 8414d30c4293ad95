"""`multiclin corpus check` and `stats`: exit status, console, files."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from multiclin.checking.commands import add_check, add_stats
from multiclin.errors import ConfigError, CorpusError, EncoderError, OutputError
from tests.checking.test_repair import EMOJI, RIGHT, UTF16
from tests.checking.trees import ANN, TEXT, make_set
from tests.toys import metaspace


def run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    tools = parser.add_subparsers(required=True)
    add_check(tools)
    add_stats(tools)
    options = parser.parse_args([str(word) for word in words])
    return int(options.run(options) or 0)


def test_a_clean_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_set(tmp_path, "es-train-disease", a=(TEXT, ANN))
    assert run("check", tmp_path) == 0
    size = "1 sets, 1 documents, 2 mentions"
    assert capsys.readouterr().out == f"{tmp_path}: {size}: clean, 0 errors, 0 notes\n"


def test_a_dirty_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = EMOJI + " asma asma"
    ann = UTF16 + "T3\tDISEASE 27 31\tasma\nT4\tDISEASE 32 36\tasma\n"
    folder = make_set(tmp_path, "es-train-disease", a=(text, ann), b=("Con\ttos.", ""))
    assert run("check", tmp_path) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}: 1 sets, 2 documents, 4 mentions: dirty, 4 errors, 1 notes",
        "",
        "kind          level  found  files  what",
        "wrong_offset  error      3      1  offsets that hold other words",
        "outside_text  error      1      1  offsets beyond the end of a text",
        "tab           note       1      1  texts with TABs",
        "",
        f"{folder.name}: 4 wrong offsets in 1 files; all are explained by counting UTF-16 units "
        "instead of characters. --repair OUT writes a corrected copy",
        "",
        "wrong_offset: offsets that hold other words",
        f"  {folder}/ann/a.ann:1: offset 7-10 holds 'os ' but the line says 'tos' (the offsets "
        "seem to count UTF-16 units instead of characters)",
        "    -> --repair OUT recounts it: one other way to count fits the whole file",
        f"  {folder}/ann/a.ann:2: offset 14-25 holds 'iebre alta.' but the line says "
        "'fiebre alta' (the offsets seem to count UTF-16 units instead of characters)",
        "    -> --repair OUT recounts it: one other way to count fits the whole file",
        f"  {folder}/ann/a.ann:3: offset 27-31 holds 'sma ' but the line says 'asma' (the "
        "offsets seem to count UTF-16 units instead of characters)",
        "    -> --repair OUT recounts it: one other way to count fits the whole file",
        "",
        "outside_text: offsets beyond the end of a text",
        f"  {folder}/ann/a.ann:4: offset 32-36 lies beyond the text of 35 characters (the offsets "
        "seem to count UTF-16 units instead of characters)",
        "    -> --repair OUT recounts it: one other way to count fits the whole file",
        "",
        "tab: texts with TABs",
        f"  {folder}/txt/b.txt:1: U+0009 at 3",
        "    -> tidy the text only together with its offsets; training reads it as it is",
    ]


def test_the_console_shows_three_of_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_set(tmp_path, "es-train-disease", a=(TEXT, "nada\n" * 5))
    assert run("check", tmp_path) == 1
    out = capsys.readouterr().out
    assert out.count("unknown kind of line") == 3
    assert out.endswith("... and 2 more\n")


def test_files_hold_every_finding(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "in", "es-train-disease", a=(TEXT, "`nada`<b>\n" * 5 + UTF16))
    files = {name: tmp_path / f"check.{name}" for name in ("json", "md")}
    assert run("check", tmp_path / "in", "--json", files["json"], "--markdown", files["md"]) == 1
    told = json.loads(files["json"].read_text())
    assert (told["clean"], told["error"], told["note"]) == (False, 7, 0)
    assert told["counts"] == {"malformed_line": 5, "wrong_offset": 1, "outside_text": 1}
    assert told["findings"][0] == {
        "kind": "malformed_line",
        "level": "error",
        "file": f"{folder.name}/ann/a.ann",
        "line": 1,
        "what": "unknown kind of line '`nada`<b>'; a mention begins with T",
        "remedy": "write them anew or delete them",
    }
    assert told["wrong_offsets"] == [
        {
            "set": folder.name,
            "wrong": 2,
            "files": 1,
            "explained_files": 1,
            "explanation": "every offset +3",
        }
    ]
    lines = files["md"].read_text().splitlines()
    name = f"{folder.name}/ann/a.ann"
    assert lines.count("## malformed_line") == 1
    # Code, in which no backtick of a text can end it.
    assert f"- `{name}:5: unknown kind of line ''nada'<b>'; a mention begins with T`" in lines


def test_repair_tells_what_it_did_and_ends_as_the_copy_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_set(tmp_path / "in", "es-train-disease", a=(EMOJI, UTF16))
    out = tmp_path / "out"
    assert run("check", tmp_path / "in", "--repair", out) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "2 offsets recounted",
        f"every change: {out}.changes.jsonl",
        f"{out}: 1 sets, 1 documents, 2 mentions: clean, 0 errors, 0 notes",
    ]
    assert next(out.rglob("*.ann")).read_text() == RIGHT
    with pytest.raises(OutputError, match="exists already"):
        run("check", tmp_path / "in", "--repair", out)


def test_mistakes_in_the_command(tmp_path: Path) -> None:
    make_set(tmp_path, "es-train-disease", a=(TEXT, ANN))
    with pytest.raises(ConfigError, match="go with --repair"):
        run("check", tmp_path, "--drop-duplicates")
    with pytest.raises(CorpusError, match="no such folder"):
        run("check", tmp_path / "nowhere")
    with pytest.raises(EncoderError):
        run("check", tmp_path, "--encoder", tmp_path)
    with pytest.raises(SystemExit) as stop:
        run("check")
    assert stop.value.code == 2


def test_what_a_tokenizer_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "encoder").mkdir()
    metaspace().save(tmp_path / "encoder")
    text = "Pacient diabetes ψ."
    places = {"8 16": "diabetes", "0 16": "Pacient diabetes", "10 16": "abetes"}
    ann = "".join(f"T{at}\tDISEASE {at}\t{words}\n" for at, words in places.items())
    make_set(tmp_path, "es-train-disease", a=(text, ann))
    words = ("check", tmp_path, "--encoder", tmp_path / "encoder", "--window")
    assert run(*words, 3) == 0  # One subword beside the two special tokens.
    out = capsys.readouterr().out
    assert "ann/a.ann:2: 0-16 has 2 subwords of 1" in out
    assert "ann/a.ann:3: 10-16 lies inside the tokens of 'diabetes'" in out
    assert "txt/a.txt:1: 1 unknown: 'ψ'" in out
    assert run(*words, 4) == 0
    assert "beyond_window" not in capsys.readouterr().out
    with pytest.raises(ConfigError, match="--window=2"):
        run(*words, 2)


def test_stats_on_the_console(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ann = ANN + "T3\tDISEASE 11 17\tfiebre\n"
    make_set(tmp_path, "es-train-disease", a=(TEXT, ann), b=(TEXT + " Sí.", ANN))
    make_set(tmp_path, "es-test-disease", c=("Tos, asma.", "T1\tDISEASE 0 3\tTos\n"))
    assert run("stats", tmp_path) == 0
    tables = [
        [line.split() for line in part.splitlines()]
        for part in capsys.readouterr().out.split("\n\n")
    ]
    assert tables[0][1:] == [
        ["es", "test", "disease", "1", "2", "1", "1", "0"],
        ["es", "train", "disease", "2", "11", "5", "3", "-"],
    ]
    # Documents of 2, 5 and 6 words; mentions of 1, 1, 1, 1, 2 and 2 words.
    assert tables[1][1] == ["document", "disease", "es", "3", "4.3", "2", "3.5", "5", "5.5", "6"]
    assert tables[1][2] == ["mention", "disease", "es", "6", "1.3", "1", "1", "1", "1.8", "2"]
    # Of the five in training, `fiebre` is inside and the first `fiebre alta` around.
    assert tables[2][2][3:] == ["5", "60.0%", "0.0%", "20.0%", "20.0%", "0.0%"]
    assert tables[3][1:] == [
        ["disease", "es", "tos", "3", "3"],
        ["disease", "es", "fiebre", "alta", "2", "2"],
        ["disease", "es", "fiebre", "1", "1"],
    ]


@pytest.mark.parametrize("texts", [True, False])
def test_stats_as_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str], texts: bool) -> None:
    make_set(tmp_path / "in", "es-train-disease", a=(TEXT, ANN))
    folder = tmp_path / "out"
    more = () if texts else ("--no-texts",)
    assert run("stats", tmp_path / "in", "--output", folder, *more) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == str(folder / "stats.html")
    page = (folder / "stats.html").read_text().rpartition("</script>\n<h1>")[2]
    assert ("fiebre" in told, "fiebre" in page) == (texts, texts)
    assert "Standing of mentions" in page
    tables = {"documents", "lengths", "sets", "standings"} | (
        {"frequent", "mentions"} if texts else set()
    )
    assert {path.stem for path in folder.glob("*.csv")} == tables


def test_stats_of_a_corpus_without_gold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_set(tmp_path / "in", "es-background-disease", a=(TEXT, None))
    assert run("stats", tmp_path / "in", "--output", tmp_path / "out") == 0
    assert "es        background  disease          1      5         -         -       -" in (
        capsys.readouterr().out
    )
