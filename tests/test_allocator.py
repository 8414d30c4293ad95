"""What freed memory costs to take again, counted in pages that the system has to clear."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")

CODE = """
import resource
from multiclin.allocator import keep_memory

kept = keep_memory()
bytes([120]) * (64 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    bytes([120]) * (64 << 20)
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 4 * (64 << 20) // os.sysconf("SC_PAGE_SIZE")


def kept_and_pages(**environment: str) -> tuple[bool, int]:
    tuned = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(tuned)}
    run = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        check=True,
        env={**plain, **environment},
    )
    kept, pages = map(int, run.stdout.split())
    return bool(kept), pages


def test_freed_memory_is_taken_again_without_the_system() -> None:
    kept, pages = kept_and_pages()
    assert kept
    assert pages < PAGES / 100


@pytest.mark.parametrize(
    "tuned", [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.perturb=0"}]
)
def test_an_allocator_that_the_user_has_tuned_is_left_alone(tuned: dict[str, str]) -> None:
    kept, pages = kept_and_pages(**tuned)
    assert not kept
    assert pages > PAGES / 2
