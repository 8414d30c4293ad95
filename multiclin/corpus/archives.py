"""Unpacking zip archives of strangers: what is asked for, below one folder.

Every member that is to be unpacked is checked by name and kind before the first byte is written,
and bytes are counted as they come: the sizes that an archive states are claims. Members of a bomb
may share their bytes, each at a modest ratio, so the ratio is that of all that is unpacked to what
the archive has on disk. What is not asked for is never touched, and so not checked. Only stored
and deflated members are read: other methods do not give their output in bounded pieces.

The price of `zipfile` is memory for every member listed, asked for or not: 0.9 kB each, measured.
"""

from __future__ import annotations

import mmap
import re
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final
from unicodedata import normalize
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, LargeZipFile, ZipFile, ZipInfo

from multiclin.corpus import as_name
from multiclin.errors import CorpusError, OutputError, Problem
from multiclin.faults import cannot_write

_CHUNK: Final = 1 << 18
_ENCRYPTED: Final = 0x1  # Among the flags of a member.
_LISTED: Final = b"PK\x01\x02"  # Stands before each member in the list at the end.
_METHODS: Final = (ZIP_STORED, ZIP_DEFLATED)
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# What zipfile raises, one way or another, where bytes are no good archive.
_BROKEN: Final = (
    *(BadZipFile, LargeZipFile, NotImplementedError, RuntimeError, EOFError),
    *(ValueError, IndexError, OverflowError, struct.error, zlib.error),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may hold; by default several times what the corpus needs.

    Attributes:
        members: Members listed, asked for or not.
        total: Bytes unpacked, all together.
        single: Bytes of one member.
        ratio: Bytes unpacked per byte of the archive; text has 3 to 5.
        small: Bytes that may be unpacked whatever the ratio.
        name: Bytes of one part of a path.
        depth: Parts of a path.
    """

    members: int = 3_000_000
    total: int = 100_000_000_000
    single: int = 1_000_000_000
    ratio: int = 50
    small: int = 10_000_000
    name: int = 200
    depth: int = 16


LIMITS: Final = Limits()


@contextmanager
def open_archive(path: Path, limits: Limits = LIMITS) -> Iterator[ZipFile]:
    """The archive, for reading.

    Raises:
        CorpusError: There is no such file, it is no zip archive, or it has too many members.
    """
    if not path.is_file():
        raise CorpusError([Problem(path, 0, "no such file; name the .zip of a release")])
    with _reading(path):
        if _listed(path, limits.members) > limits.members:
            raise _refused(path, f"more than {limits.members:,} members")
        archive = ZipFile(path)
    with archive:
        yield archive


def unpack(
    archive: ZipFile,
    members: Sequence[ZipInfo],
    folder: Path,
    *,
    limits: Limits = LIMITS,
) -> int:
    """Writes these members below `folder`, under the names that they have in the archive.

    Where one fails, those before it stay: give a folder of their own, to be dropped then.

    Args:
        archive: From `open_archive`.
        members: Files of it; folders come with them.
        folder: Is there, and empty.
        limits: Bounds.

    Returns:
        Bytes written.

    Raises:
        CorpusError: A member is unsafe, broken, or larger than allowed. The unsafe ones are met
            before anything is written.
        OutputError: A file cannot be written.
    """
    path = Path(str(archive.filename))
    if problems := list(islice(_unsafe(members, path, limits), CorpusError.SHOWN)):
        raise CorpusError(problems)
    allowed = min(limits.total, max(limits.small, limits.ratio * path.stat().st_size))
    total = 0
    for member in members:
        total += _write(archive, member, folder, min(limits.single, allowed - total))
    return total


def _write(archive: ZipFile, member: ZipInfo, folder: Path, allowed: int) -> int:
    """Unpacks one member and counts its bytes; more of them than `allowed` end it."""
    target = folder / member.filename
    size = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as stream:
            for chunk in _chunks(archive, member):
                size += len(chunk)
                if size > allowed:
                    message = f"member {as_name(member.filename)} has more than {allowed:,} bytes"
                    raise _refused(Path(str(archive.filename)), message)
                stream.write(chunk)
    except OSError as error:
        raise OutputError(cannot_write(target, error)) from error
    return size


def _chunks(archive: ZipFile, member: ZipInfo) -> Iterator[bytes]:
    with _reading(Path(str(archive.filename)), member), archive.open(member) as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


@contextmanager
def _reading(path: Path, member: ZipInfo | None = None) -> Iterator[None]:
    """Turns whatever zipfile raises into a message."""
    try:
        yield
    except _BROKEN as error:
        place = f" at member {as_name(member.filename)}" if member else ""
        why = f"is no zip archive or a broken one{place}: {str(error)[:100]}; download it again"
        raise CorpusError([Problem(path, 0, why)]) from error
    except OSError as error:
        raise CorpusError([Problem(path, 0, f"cannot be read: {error.strerror}")]) from error


def _listed(path: Path, most: int) -> int:
    """How many members the archive may list, found without listing them; stops above `most`."""
    count = 0
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
        place = view.find(_LISTED)
        while place >= 0 and count <= most:
            count += 1
            place = view.find(_LISTED, place + len(_LISTED))
    return count


def _unsafe(members: Iterable[ZipInfo], path: Path, limits: Limits) -> Iterator[Problem]:
    files: set[str] = set()
    folders: set[str] = set()
    for member in members:
        parts = member.filename.split("/")
        # Two names that one file system or another takes for the same.
        alike = [normalize("NFC", part).casefold() for part in parts]
        above = {"/".join(alike[:depth]) for depth in range(1, len(alike))}
        name = "/".join(alike)
        message = _kind_problem(member) or _name_problem(member.orig_filename, parts, limits)
        if name in files or name in folders or above & files:
            message = message or "the same name as another member"
        files.add(name)
        folders |= above
        if message:
            yield Problem(path, 0, f"refused for member {as_name(member.orig_filename)}: {message}")


def _kind_problem(member: ZipInfo) -> str:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "a link, device or folder in the place of a file"
    if member.flag_bits & _ENCRYPTED:
        return "encrypted; unpack it by hand"
    if member.compress_type not in _METHODS:
        return f"compression method {member.compress_type}; unpack it by hand"
    return ""


def _name_problem(name: str, parts: Sequence[str], limits: Limits) -> str:
    if name.startswith("/") or _DRIVE.match(name) or "\\" in name:
        return "an absolute path, a drive or a backslash in its name"
    if ".." in parts or "." in parts or "" in parts:
        return "a path that could leave its folder"
    if _CONTROL.search(name):
        return "control characters in its name"
    if len(parts) > limits.depth or max(len(part.encode()) for part in parts) > limits.name:
        return f"a path of over {limits.depth} parts, or of parts over {limits.name} bytes"
    return ""


def _refused(path: Path, message: str) -> CorpusError:
    return CorpusError([Problem(path, 0, f"refused: {message}")])
