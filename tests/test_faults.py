"""A fault of the machine is known, behind whatever error a library hides it."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from multiclin.errors import MulticlinError, OutOfMemoryError, OutputError, WorkerError
from multiclin.faults import explain, explained

FULL = "cannot write the output: No space left on device; free some space there, or name another"


def system(number: int, *path: str) -> OSError:
    return OSError(number, os.strerror(number), *path)


def hidden(cause: OSError) -> Exception:
    """A full disk as torch.save tells of it."""
    try:
        try:
            raise cause
        finally:
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")
    except RuntimeError as error:
        return error


DEAD = "DataLoader worker (pid {}"
FAULTS: list[tuple[Exception, type[MulticlinError], str]] = [
    (system(errno.ENOSPC), OutputError, FULL),
    (hidden(system(errno.ENOSPC)), OutputError, FULL),
    (SafetensorError("IoError: No space left (os error 28)"), OutputError, FULL),
    (system(errno.EDQUOT, "a.tsv"), OutputError, "cannot write a.tsv: Disk quota exceeded; free"),
    (system(errno.EROFS, "a"), OutputError, "cannot write a: Read-only file system; name a place"),
    (
        RuntimeError(DEAD.format("7) is killed by signal: Killed. ")),
        WorkerError,
        "(it is killed by",
    ),
    (
        RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"),
        WorkerError,
        "(it exited",
    ),
    (torch.OutOfMemoryError("CUDA: 2 GiB\nmore"), OutOfMemoryError, "memory (CUDA: 2 GiB): take a"),
    (
        RuntimeError("[x] DefaultCPUAllocator: can't"),
        OutOfMemoryError,
        "([x] DefaultCPUAllocator: can",
    ),
    (MemoryError(), OutOfMemoryError, "(no more was given)"),
    (system(errno.ENOMEM), OutOfMemoryError, "Cannot allocate memory"),
]


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    FAULTS,
    ids=[f"{kind.__name__}-{said[:40]}" for _, kind, said in FAULTS],
)
def test_a_fault_says_what_where_and_what_to_do(
    error: Exception, kind: type[MulticlinError], said: str
) -> None:
    with pytest.raises(kind) as caught, explained():
        raise error
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


def test_a_database_that_cannot_grow_is_a_full_disk(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "part") as base:
        base.execute("PRAGMA max_page_count = 2")
        base.execute("CREATE TABLE a (x TEXT)")
        with pytest.raises(sqlite3.OperationalError) as caught:
            base.execute("CREATE TABLE b (x TEXT)")
    assert str(explain(caught.value, "out")).startswith("cannot write out: No space left on device")


@pytest.mark.parametrize(
    "bug",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        KeyError("x"),
        system(errno.ENOENT, "a"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
    ],
)
def test_a_bug_keeps_its_own_words(bug: Exception) -> None:
    with pytest.raises(type(bug)) as caught, explained():
        raise bug
    assert caught.value is bug


def test_a_folder_that_was_removed_is_named(tmp_path: Path) -> None:
    run = tmp_path / "run"
    missing = system(errno.ENOENT, str(run / "csv" / "metrics.csv"))
    assert str(explain(missing, run)) == f"cannot write {run}: the folder has been removed"
    assert explain(system(errno.ENOENT, "elsewhere"), run) is None
    run.mkdir()
    assert explain(missing, run) is None  # A bug: it should not have been looked for.


def test_an_error_that_says_enough_is_left_alone() -> None:
    mine = OutputError("a.tsv exists already")
    mine.__cause__ = system(errno.ENOSPC)
    with pytest.raises(OutputError) as caught, explained():
        raise mine
    assert caught.value is mine
