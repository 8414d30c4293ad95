"""The files of a case, laid out in a folder of their own.

The bytes of a case are its files, one behind the other, with a line `====` between two. So a case
that was found can be read, and one can be written by hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

SEPARATOR: Final = b"\n====\n"
_MEMORY: Final = "/dev/shm"  # A disk would be asked to keep each of a million files.


@contextmanager
def folder() -> Iterator[Path]:
    """A new folder; it goes when the block ends."""
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with TemporaryDirectory(prefix="multiclin-fuzzing-", dir=place) as path:
        yield Path(path)


def lay(root: Path, names: Iterable[str], data: bytes) -> None:
    """Write the parts of the bytes under these names; those for which none is left do not exist."""
    for name, content in zip(names, data.split(SEPARATOR), strict=False):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def gathered(root: Path, names: Iterable[str]) -> bytes:
    """The bytes of a case with these files; the inverse of `lay`."""
    return SEPARATOR.join((root / name).read_bytes() for name in names)
