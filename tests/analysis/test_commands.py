"""`multiclin report`, `compare` and `table` as a user gives them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from multiclin.analysis.runs import save
from multiclin.cli import main
from multiclin.corpus.tsv import rows_from_documents, write_rows
from multiclin.document import Document, Span
from multiclin.output import write_json

TEXT = "Sin fiebre alta. Tos seca."
GOLD = (Span(4, 15, "SYMPTOM"), Span(17, 25, "SYMPTOM"))
ROOT = Path(__file__).parents[2]


def document(number: int, *spans: Span) -> Document:
    return Document(f"es-{number}", TEXT, spans, "es", frozenset({"SYMPTOM"}))


def make_run(folder: Path, found: int, **config: object) -> Path:
    """A finished run over 20 test documents of two mentions each, in which so many were found."""
    pairs = [(document(n, *GOLD), document(n, *GOLD[: found - 2 * n])) for n in range(20)]
    save(folder, "test", pairs)
    write_json({"val/strict_f1": found / 40, "test/strict_f1": 0.5}, folder / "metrics.json")
    plain = {
        "entity": {"name": "symptom", "labels": {"symptom": "SYMPTOM"}},
        "seed": 13,
        "hpo": None,
    }
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(plain | config))
    return folder


def told(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main(list(map(str, words))) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main(list(map(str, words))) == 2
    return capsys.readouterr().err


def test_report_writes_the_pages_beside_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run", 30)
    out = told(capsys, "report", run, "--csv", tmp_path / "csv")
    # 30 of 40 found, nothing wrong: P 1, R .75.
    assert "SYMPTOM         20    40  1.0000  0.7500     0.8571" in out
    assert out.splitlines()[-1] == str(run / "report.html")
    assert (run / "documents.html").is_file()
    assert (tmp_path / "csv" / "errors.csv").read_text().startswith("kind,cases,")
    assert (tmp_path / "csv" / "mentions.csv").is_file()


def test_report_without_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", 30)
    told(capsys, "report", run, "--no-texts", "--csv", tmp_path / "csv")
    assert not (run / "documents.html").exists()
    assert not (tmp_path / "csv" / "mentions.csv").exists()


def test_a_report_of_one_label_lies_beside_that_of_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run", 30)
    out = told(capsys, "report", run, "--entity", "symptom")
    assert out.splitlines()[-1] == str(run / "report-SYMPTOM" / "report.html")
    assert not (run / "report.html").exists()


def test_report_of_any_predictions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold, found = tmp_path / "gold.tsv", tmp_path / "found" / "predictions.tsv"
    write_rows(rows_from_documents([document(1, *GOLD)]), gold)
    write_rows(rows_from_documents([document(1, GOLD[0], Span(17, 20, "SYMPTOM"))]), found)
    out = told(capsys, "report", found, "--gold", gold, "--entity", "symptom")
    assert "wrong boundaries 1" in out
    assert (found.parent / "predictions-report" / "report.html").is_file()


def test_one_output_takes_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [make_run(tmp_path / name, 30) for name in "ab"]
    assert "one run at a time" in refused(capsys, "report", *runs, "--output", tmp_path / "c")


def test_compare_says_whether_a_difference_is_significant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [make_run(tmp_path / "a", 30), make_run(tmp_path / "b", 36)]
    out = told(capsys, "compare", *runs, "--names", "small,large", "--output", tmp_path / "c")
    assert "all    small  large" in out
    # Both find the first 30; the larger one 6 more; 4 are found by neither.
    agreement = next(line for line in out.splitlines() if line.startswith("small  large"))
    assert agreement.split()[2:6] == ["30", "0", "6", "4"]
    assert (tmp_path / "c" / "comparison.md").read_text().startswith("| system |")
    assert (tmp_path / "c" / "comparison.tex").read_text().startswith("\\begin{tabular}")
    assert len((tmp_path / "c" / "disagreements.csv").read_text().splitlines()) == 7
    told(capsys, "compare", *runs, "--output", tmp_path / "c", "--no-texts")
    assert not (tmp_path / "c" / "disagreements.csv").exists()


def test_names_are_one_per_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [make_run(tmp_path / "a", 30), make_run(tmp_path / "b", 36)]
    assert "give 2 names" in refused(capsys, "compare", *runs, "--names", "a,b,c")


def test_table_2_stands_beside_the_papers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "a", 30, strategy="biomed_spanish")
    make_run(tmp_path / "b", 32, strategy="biomed_spanish", seed=14)
    assert main(["table", "2", str(tmp_path), "--format", "markdown"]) == 0
    streams = capsys.readouterr()
    # .75 and .80: mean .775, deviation .0354.
    assert "0.7750 ± 0.0354 (2) | 0.6863 |" in streams.out
    assert "note: " in streams.err


def test_what_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    commands: list[list[str | Path]] = [
        ["report", tmp_path / "nowhere"],
        ["report", tmp_path / "empty"],
        ["compare", tmp_path / "empty", tmp_path / "nowhere"],
        ["table", "1", tmp_path / "empty"],
    ]
    for words in commands:
        message = refused(capsys, *words)
        assert message.startswith("error: ")
        assert str(tmp_path) in message


@pytest.mark.parametrize("words", [["--help"], ["report", "--help"], ["compare", "--help"]])
def test_help_needs_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom multiclin.cli import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "print('heavy:', *sorted({'pandas', 'plotly', 'torch', 'numpy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "heavy:"


def test_a_reader_that_has_gone_is_no_traceback(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "a", 30), make_run(tmp_path / "b", 36)]
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "multiclin.cli", "compare", *map(str, runs)]
    done = subprocess.run(
        words, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
