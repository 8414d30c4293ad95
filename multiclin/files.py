"""Reading and writing files so that no offset moves and no half-written result is ever seen.

Text is decoded from bytes as UTF-8 with no newline translation and no normalisation: offsets stay
those of the file (DESIGN section 3; newline translation shifted 1,018 annotations of one corpus of
306 documents, FACTS 2). Output goes to a temporary name beside its target, is flushed to the disk
and renamed: a reader sees the old file, or the whole new one. The price is one fsync per file.
Locks are those of POSIX systems.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, Any, BinaryIO, Literal, TextIO, overload

from multiclin.errors import CorpusError, MulticlinError, OutputError, Problem
from multiclin.faults import cannot_write, system_error

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What file systems without locks say, some network drives among them."""

IN_USE = ".in-use"
"""A file in a folder that a process has claimed, or had when it was killed."""

_UNFINISHED = ".multiclin-*.tmp"
"""The name of what is not whole yet."""

LARGEST = 100 << 20
"""Bytes of a file that is read whole, and of a line: more is no text that anybody wrote."""

LARGEST_TABLE = 512 << 20
"""Bytes of a table of mentions."""


def read_text(path: Path, largest: int = LARGEST) -> str:
    """The whole file, a byte order mark included.

    Raises:
        CorpusError: The file cannot be read, has too many bytes, or is not UTF-8.
    """
    try:
        with opened(path) as stream:
            content = stream.read(largest + 1)
    except OSError as error:
        problem = Problem(path, 0, f"cannot be read: {error.strerror}")
        raise CorpusError([problem]) from error
    if len(content) > largest:
        raise CorpusError([Problem(path, 0, f"refused: it has more than {largest:,} bytes")])
    return decode(content, path)


def read_lines(path: Path, *, byte: int = 0, first: int = 1) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their 1-based numbers, line ends included; one is in memory.

    Args:
        path: The file.
        byte: Where to begin, at the head of a line,
        first: which has this number.

    Raises:
        CorpusError: The file cannot be read, or has too long a line.
    """
    try:
        with opened(path) as stream:
            stream.seek(byte)
            number = first - 1
            while line := stream.readline(LARGEST + 1):
                number += 1
                if len(line) > LARGEST:
                    message = f"refused: a line of more than {LARGEST:,} bytes"
                    raise CorpusError([Problem(path, number, message)])
                yield number, line
    except OSError as error:
        problem = Problem(path, 0, f"cannot be read: {error.strerror}")
        raise CorpusError([problem]) from error


def opened(path: Path) -> BinaryIO:
    """An ordinary file, opened: a device may never end, and a pipe not even begin.

    Raises:
        CorpusError: It is another thing.
        OSError: It cannot be opened.
    """
    if path.exists() and not path.is_dir() and not path.is_file():
        raise CorpusError([Problem(path, 0, "cannot be read: it is a pipe or a device")])
    return path.open("rb")


def decode(content: bytes, path: Path, *, line: int = 1) -> str:
    """UTF-8 bytes as text, every code point kept.

    Args:
        content: The bytes.
        path: Where they stand, for the message.
        line: Line number of the first byte.

    Raises:
        CorpusError: The bytes are not UTF-8; names line, byte position and value.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line += content.count(b"\n", 0, error.start)
        message = (
            f"not UTF-8 at byte {error.start} (0x{content[error.start]:02x}); "
            "save the file as UTF-8 and check that its offsets still count characters"
        )
        raise CorpusError([Problem(path, line, message)]) from error


@overload
def atomic_write(
    path: Path, *, overwrite: bool = False, durable: bool = True
) -> AbstractContextManager[TextIO]: ...


@overload
def atomic_write(
    path: Path, *, binary: Literal[True], overwrite: bool = False, durable: bool = True
) -> AbstractContextManager[BinaryIO]: ...


def atomic_write(
    path: Path, *, binary: bool = False, overwrite: bool = False, durable: bool = True
) -> AbstractContextManager[IO[Any]]:
    r"""Opens `path` for writing; the file appears whole when the block ends, or not at all.

    Text is written as UTF-8 with `\n` left as it is. Missing folders are made. Flushing to the disk
    takes 5 ms: whoever writes many files that need not be `durable` does it once for all.

    Example:
        >>> with atomic_write(Path("run/predictions.tsv")) as stream:
        ...     stream.write("filename\tlabel\n")

    Raises:
        OutputError: `path` exists and `overwrite` is false, or cannot be written.
    """
    return _atomic_write(path, binary=binary, overwrite=overwrite, durable=durable)


@contextmanager
def _atomic_write(path: Path, *, binary: bool, overwrite: bool, durable: bool) -> Iterator[IO[Any]]:
    temporary = path.with_name(_UNFINISHED.replace("*", token_hex(8)))
    try:
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already; name another output or allow overwriting")
        path.parent.mkdir(parents=True, exist_ok=True)
        stream: IO[Any]
        if binary:
            stream = temporary.open("xb")
        else:
            stream = temporary.open("x", encoding="utf-8", newline="")
        with stream:
            yield stream
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        temporary.replace(path)
    except Exception as error:
        if failure := _failure(path, error):
            raise failure from error
        raise
    finally:
        with suppress(OSError):  # Renamed, or never made.
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder to be filled; it takes its name when the block ends, or never appears.

    Where another process has made the same folder meanwhile, the first one stays.

    Raises:
        OutputError: `path` exists already, or cannot be written.
    """
    if path.exists():
        raise OutputError(f"{path} exists already; name another place or move it away")
    building = path.with_name(_UNFINISHED.replace("*", token_hex(8)))
    try:
        building.mkdir(parents=True)
        yield building
        try:
            building.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    except OutputError as error:  # Of a file in it, which nobody will find under that name.
        raise OutputError(str(error).replace(str(building), str(path))) from error.__cause__
    except Exception as error:
        if failure := _failure(path, error):
            raise failure from error
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def clear_unfinished(folder: Path) -> None:
    """Remove what commands that were killed have left half written, where no other is at work."""
    for path in folder.glob(_UNFINISHED):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _failure(path: Path, error: Exception) -> OutputError | None:
    """Why `path` cannot be written, where that is why: torch and others hide it behind an error."""
    if isinstance(error, MulticlinError):
        return None
    system = error if isinstance(error, OSError) else system_error(error)
    return OutputError(cannot_write(path, system)) if system else None


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """While the block runs, other processes wait at the same path: what one makes, all use.

    The lock is that of the system on `path`.lock: it ends with its process, however that ends.

    Raises:
        OutputError: The lock file cannot be written.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        stream = lock.open("a")
    except OSError as error:
        raise OutputError(cannot_write(lock, error)) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:  # There two may make the same, and one of it stays.
                raise OutputError(cannot_write(lock, error)) from error
        yield


@contextmanager
def claimed(folder: Path, share: str = "") -> Iterator[None]:
    """While the block runs no other process gets the folder; it is refused, not kept waiting.

    The lock is that of the system on a file in the folder. It ends with its process, however that
    ends: forked workers, which outlive a killed process by seconds, have no part in it.

    Args:
        folder: The folder; it is made.
        share: Of a folder that several commands fill at once, what no two may have.

    Raises:
        OutputError: Another process has the folder, or it cannot be written.
    """
    lock = folder / (f"{IN_USE}-{share}" if share else IN_USE)
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = lock.open("a+", encoding="utf-8")
    except OSError as error:
        raise OutputError(cannot_write(folder, error)) from error
    with stream:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EACCES, errno.EAGAIN}:
                stream.seek(0)
                raise OutputError(
                    f"{folder} is being written to by another command{share and ' for ' + share} "
                    f"({stream.read().strip()}); wait for it, or name another folder"
                ) from error
            if error.errno not in _NO_LOCKS:
                raise OutputError(cannot_write(lock, error)) from error
        with suppress(OSError):  # A full disk will be told of where something is lost by it.
            stream.truncate(0)
            stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            stream.flush()
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
            if is_new:
                with suppress(OSError):  # It holds something.
                    folder.rmdir()
