"""Many documents through the real command: shared out, cut off, and in flat memory."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import Work, succeeded
from tests.scale import measure, write_texts

pytestmark = pytest.mark.slow

FORMATS = "formats=[tsv,jsonl,brat]"
KILLED = """
import os, signal, sys
from multiclin.cli import main
from multiclin.spool import Spool

finish = Spool.finish

def finish_two(self, portion=0):
    if portion == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    finish(self, portion)

Spool.finish = finish_two
main(["predict", *sys.argv[1:]])
"""
"""Predicts, and dies where the third portion is to be written."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """A folder with a tiny model in `run` and 300 texts in `texts`."""
    made = Work(tmp_path_factory.mktemp("scale"))
    succeeded(made.run(*made.training("run", "entity=disease", "logger=csv")))
    write_texts(made.folder / "texts", 300, made.corpus)
    return made


def prediction(work: Work, name: str, *words: str) -> list[str]:
    texts = work.folder / "texts"
    return work.prediction(work.folder / "run", texts, name, "report=null", FORMATS, *words)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def expected(work: Work) -> dict[str, bytes]:
    """What one command that nothing disturbs writes."""
    succeeded(work.run(*prediction(work, "whole")))
    found = files(work.folder / "whole")
    assert len(found) == 602
    assert found["predictions.tsv"].count(b"\n") > 100
    return found


def test_a_prediction_that_is_killed_goes_on(work: Work, expected: dict[str, bytes]) -> None:
    words, folder = prediction(work, "killed"), work.folder / "killed"
    died = subprocess.run(
        [sys.executable, "-c", KILLED, *words[1:]],
        env=work.environment,
        cwd=work.folder,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    other = work.run(*words, "precision=bf16-mixed")
    assert other.returncode == 2
    assert "precision=32-true (now bf16-mixed)" in other.stderr
    done = succeeded(work.run(*words))
    assert "going on after 256 of 300 documents" in done.stderr
    assert files(folder) == expected


def test_shards_at_once_write_what_one_command_does(work: Work, expected: dict[str, bytes]) -> None:
    done = work.run_all(prediction(work, "shared", f"shard={number}/3") for number in (2, 0, 1))
    said = [succeeded(one).stderr for one in done]
    assert sum("the last one writes the predictions" in one for one in said) == 2
    assert sum(bool(re.search(r"\d+ mentions in 300 documents", one)) for one in said) == 1
    assert files(work.folder / "shared") == expected


def test_memory_does_not_grow_with_the_documents(work: Work) -> None:
    few = measure(work, work.folder / "run", work.folder / "texts")
    many = measure(work, work.folder / "run", write_texts(work.folder / "6k", 6000, work.corpus))
    assert many.mib < 1.1 * few.mib
