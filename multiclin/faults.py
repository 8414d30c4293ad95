"""What a fault of the machine reads like: a full disk, a folder that is read-only, no memory.

Libraries tell of them in words of their own, often with the cause behind another error: of a full
disk torch says `unexpected pos 64 vs 0`. `explain` looks at an error and at those behind it, and
says what, where and what to do. It knows them by number, name and wording, so that nothing heavy is
imported here; the price is that a new wording of theirs is shown with its traceback, like a bug,
until it stands here. tests/faults/ tries each of them through the real commands.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multiclin.errors import MulticlinError, OutOfMemoryError, OutputError, WorkerError

_SPACE = "free some space there, or name another place"
_PLACE = "name a place where this user may write"

REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "the system limits the size of files here (ulimit -f)",
    errno.EROFS: _PLACE,
    errno.EACCES: _PLACE,
    errno.EPERM: _PLACE,
    errno.EIO: "the disk, or the network to it, fails: see the system's log",
    errno.ESTALE: "the network drive was mounted anew: give the command again",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "allow more open files (fs.file-max)",
}
"""What to do where the system refuses. These numbers are never a bug of ours."""

_IN_THE_WAY = dict.fromkeys((errno.EEXIST, errno.ENOTDIR), "a file stands where a folder is to be")

_SQLITE = {3: errno.EACCES, 8: errno.EROFS, 10: errno.EIO, 13: errno.ENOSPC, 14: errno.EACCES}
"""SQLite's result codes that are errors of the system."""

_RUST = re.compile(r"\(os error (\d+)\)")  # As safetensors and tokenizers write them.
_WORKER = re.compile(r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) (.*?)\.? *(?:\n|$)")
_ALLOCATOR = "DefaultCPUAllocator"  # Of torch, whose OutOfMemoryError is that of a GPU.


def explain(error: BaseException, where: object = "the output") -> MulticlinError | None:
    """Say what of the machine has failed, and what to do.

    Args:
        error: What was raised.
        where: What was written to, where the error does not say it. A file that is missing in it
            is a fault too if it is a folder that is gone.

    Returns:
        The error to raise instead; None where this is no fault known here.
    """
    if system := system_error(error):
        return OutputError(cannot_write(system.filename or where, system))
    for one in behind(error):
        if _is_gone(one, where):
            return OutputError(f"cannot write {where}: the folder has been removed")
        if isinstance(one, RuntimeError) and (died := _WORKER.search(str(one))):
            return WorkerError(
                f"a process that makes batches has died (it {died[1]}), most often for want of "
                "memory, or of shared memory (df /dev/shm): data.workers=0, in a prediction "
                "workers=0, makes them without"
            )
        if is_out_of_memory(one):
            return OutOfMemoryError(
                f"not enough memory ({first_line(one) or 'no more was given'}): take a smaller "
                "batch, window or model, or a machine with more"
            )
    return None


def cannot_write(path: object, error: OSError) -> str:
    """What, where and what to do, of a file or folder that cannot be written."""
    if isinstance(path, bytes):
        path = path.decode(errors="backslashreplace")
    remedy = (REMEDIES | _IN_THE_WAY).get(error.errno or 0)
    return f"cannot write {path}: {error.strerror or error}" + (f"; {remedy}" if remedy else "")


def system_error(error: BaseException) -> OSError | None:
    """The error of the system behind an error, if it is one of `REMEDIES`."""
    for one in behind(error):
        number, path = 0, None
        if isinstance(one, OSError):
            number, path = one.errno or 0, one.filename
        elif isinstance(one, sqlite3.OperationalError):
            number = _SQLITE.get(getattr(one, "sqlite_errorcode", 0) & 0xFF, 0)
        elif said := _RUST.search(str(one)):
            number = int(said[1])
        if number in REMEDIES:
            return OSError(number, os.strerror(number), path)
    return None


def _is_gone(error: BaseException, where: object) -> bool:
    """Whether a file is missing for its folder has been removed."""
    if not isinstance(error, FileNotFoundError) or not isinstance(where, Path) or where.exists():
        return False
    return where in Path(str(error.filename)).parents


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was refused, on a GPU or by the system."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):  # No process can be forked.
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and _ALLOCATOR in str(error)


def first_line(error: BaseException) -> str:
    """The beginning of what a library says, which may go on for pages."""
    return (str(error).splitlines() or [""])[0][:200]


def behind(error: BaseException) -> Iterator[BaseException]:
    """An error, its cause, the cause of that, and so on."""
    one: BaseException | None = error
    seen: set[int] = set()
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


@contextmanager
def explained(where: object = "the output") -> Iterator[None]:
    """Raise a fault of the machine as the error that `explain` makes of it."""
    try:
        yield
    except MulticlinError:
        raise
    except Exception as error:
        if found := explain(error, where):
            raise found from error
        raise
