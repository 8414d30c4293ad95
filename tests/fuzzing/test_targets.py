"""Fuzzing in short: what was found, mutated seeds, and half a minute guided by coverage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.fuzzing.seeds import mutated, seeds
from tests.fuzzing.source import Source
from tests.fuzzing.targets import FOUND, TARGETS

ROOT = Path(__file__).parents[2]
CASES = 60


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_and_mutations_of_them(target: str) -> None:
    rng = Random(target)
    first = seeds(target)
    for data in first:
        TARGETS[target](data)
    for _ in range(CASES):
        TARGETS[target](mutated(rng.choice(first), rng))


@pytest.mark.parametrize(
    ("target", "number"),
    [(target, number) for target, found in FOUND.items() for number in range(len(found))],
)
def test_what_was_found_stays_mended(target: str, number: int) -> None:
    TARGETS[target](FOUND[target][number])


def test_values_are_drawn_front_to_back_and_are_least_at_the_end() -> None:
    source = Source(b"\x05\x03tos\xfe")
    assert source.number(2, 9) == 7
    assert source.text(100) == "tos"
    assert source.number(0, 300) == 0xFE  # two bytes are wanted, one is left
    assert (source.number(2, 9), source.text(9), source.rest()) == (2, "", b"")


def run(code: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *code.split(" ", 1), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_half_a_minute_guided_by_coverage(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for this system or Python")
    done = run(
        "-m tests.fuzzing", "all", "--runs", "1500", "--seconds", "1", "--findings", tmp_path
    )
    assert done.returncode == 0, done.stdout
    table = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[1:]}
    assert table.keys() == {*TARGETS, "all"}
    assert all(int(cases.replace(",", "")) >= 20 for cases, *_ in table.values())
    assert all(verdict == "-" for name, (*_, verdict) in table.items() if name != "all")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_finding_is_told_and_its_input_kept(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for this system or Python")
    planted = "from tests.fuzzing import __main__ as command, targets\n"
    planted += "def broken(data): assert b'====' not in data, 'planted'\n"
    planted += "targets.TARGETS['words'] = broken\n"
    planted += "raise SystemExit(command.main(['words', 'splits', '--findings', {!r}]))"
    done = run(f"-c {planted.format(str(tmp_path))}")
    assert done.returncode == 1
    assert "AssertionError: planted" in done.stdout
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("words-")
    assert b"====" in kept.read_bytes()
