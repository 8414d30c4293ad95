"""The real command line, in a subprocess where that matters, and its exit statuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from multiclin import __version__, cli
from multiclin.errors import CorpusError

ROOT = Path(__file__).parents[1]
TABLE = "filename\tlabel\tstart_span\tend_span\ttext\n"


def command(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python on these words, where `multiclin` means the installed command."""
    start = ["-m", "multiclin.cli"] if words[0] == "multiclin" else [words[0]]
    return subprocess.run(
        [sys.executable, *start, *words[1:]],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT,
        check=False,
    )


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A folder with a train.yaml whose task would need torch."""
    folder = tmp_path / "conf"
    folder.mkdir()
    runs = f"hydra: {{run: {{dir: {tmp_path / 'run'}}}}}\n"
    (folder / "train.yaml").write_text(f"seed: 1\nroot: ???\n{runs}", encoding="utf-8")
    return folder


def set_train(monkeypatch: pytest.MonkeyPatch, task: Callable[[DictConfig], object]) -> None:
    monkeypatch.setitem(cli.TASKS, "train", task)


def raising(error: BaseException) -> Callable[[DictConfig], object]:
    def task(_: DictConfig) -> object:
        raise error

    return task


def test_help_lists_the_commands() -> None:
    shown = command("multiclin", "--help")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in ("train", "predict", "evaluate", "corpus"))


def test_version() -> None:
    assert command("multiclin", "--version").stdout == f"multiclin {__version__}\n"


def test_help_needs_nothing_but_the_standard_library() -> None:
    code = (
        "import sys\nfrom multiclin.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*{'hydra', 'yaml', 'numpy', 'torch'} & set(sys.modules), '.')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.split()[-1] == "."
    assert not {"hydra", "yaml", "numpy", "torch"} & set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("words", [[], ["trian"], ["corpus"], ["corpus", "smaple", "x"]])
def test_a_command_that_is_not_there(words: list[str]) -> None:
    answer = command("multiclin", *words)
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr
    assert "usage: multiclin" in answer.stderr


def test_the_script_and_the_command_are_the_same(conf: Path) -> None:
    words = ["-cp", str(conf), "--cfg", "job", "seed=3"]
    script, installed = command("train.py", *words), command("multiclin", "train", *words)
    assert script.returncode == installed.returncode == 0
    assert script.stdout == installed.stdout
    assert "seed: 3" in script.stdout


def test_a_mistake_is_one_message_and_status_2(conf: Path) -> None:
    answer = command("train.py", "-cp", conf, "sead=3")
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.splitlines() == [
        "error: sead: the config has no such key",
        "hint: did you mean seed? a new key is added with +sead=...",
    ]


def test_a_traceback_is_added_when_asked_for(conf: Path) -> None:
    answer = command("train.py", "-cp", conf, "sead=3", HYDRA_FULL_ERROR="1")
    assert answer.returncode == 2
    assert answer.stderr.startswith("Traceback")
    assert answer.stderr.splitlines()[-2] == "error: sead: the config has no such key"


def test_a_mistake_in_a_config_does_not_wait_for_torch(conf: Path) -> None:
    code = (
        "import sys\nfrom multiclin.cli import main\n"
        f"print(main(['train', '-cp', {str(conf)!r}, 'seed=2']), 'torch' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.split() == ["2", "False"]
    assert run.stderr.startswith("error: no value for root")


def test_status_0_when_the_work_is_done(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_train(monkeypatch, bool)
    assert cli.main(["train", "-cp", str(conf), "root=x"]) == 0


@pytest.mark.parametrize("flags", [[], ["--multirun", "hydra.sweep.dir=${root}"]])
def test_a_mistake_that_the_task_finds(
    conf: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
) -> None:
    set_train(monkeypatch, raising(CorpusError("a.ann:3: not a label")))
    root = conf.parent / "sweep"
    assert cli.main(["train", "-cp", str(conf), f"root={root}", *flags]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: a.ann:3: not a label"


def test_a_bug_is_not_caught(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_train(monkeypatch, raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["train", "-cp", str(conf), "root=x"])


def lightning_interrupted(_: DictConfig) -> object:
    """Lightning shuts down inside its handler of the interrupt, then exits with 1."""
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(1)


@pytest.mark.parametrize("task", [raising(KeyboardInterrupt()), lightning_interrupted])
def test_an_interrupt_is_status_130(
    conf: Path, monkeypatch: pytest.MonkeyPatch, task: Callable[[DictConfig], object]
) -> None:
    set_train(monkeypatch, task)
    assert cli.main(["train", "-cp", str(conf), "root=x"]) == 130


def test_evaluate_prints_the_official_result(tmp_path: Path) -> None:
    gold, pred = tmp_path / "gold.tsv", tmp_path / "pred.tsv"
    gold.write_text(f"{TABLE}a\tDISEASE\t0\t3\tflu\na\tDISEASE\t8\t12\tgout\n", encoding="utf-8")
    pred.write_text(f"{TABLE}a\tDISEASE\t0\t3\tflu\n", encoding="utf-8")
    answer = command("evaluate.py", f"gold={gold}", f"pred={pred}", "entity=disease")
    assert answer.returncode == 0
    strict = json.loads(answer.stdout)["strict"]
    assert (strict["tp"], strict["fp"], strict["fn"]) == (1, 0, 1)


def test_evaluate_names_a_missing_file(tmp_path: Path) -> None:
    answer = command("evaluate.py", f"gold={tmp_path / 'no.tsv'}", f"pred={tmp_path}")
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith(f"error: {tmp_path / 'no.tsv'}: no such file")


def test_a_sample_corpus_is_made_and_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [
        "sample",
        str(tmp_path / "c"),
        "--documents",
        "4",
        "--seed",
        "1",
        "--languages",
        "es,en",
    ]
    assert cli.main(["corpus", *made]) == 0
    assert capsys.readouterr().out.startswith("12 sets, 24 texts")
    assert cli.main(["corpus", "find", str(tmp_path / "c")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["language", "split", "entity", "documents", "mentions"]
    assert [line.split()[:4] for line in lines[1:3]] == [
        ["en", "test", "disease", "1"],
        ["en", "test", "procedure", "1"],
    ]


def test_a_corpus_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["corpus", "find", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
