"""An archive of the corpus from Zenodo, whole and checked, however often the connection breaks.

Zenodo is asked for name, size and checksum of a record's archive. It comes through pooch (proxies
of the environment, a progress bar) into a `.part` whose name holds the checksum: a download that
broke off goes on from there by HTTP Range, in the same command and in the next, and an archive that
has changed begins anew. Files come from /records/, because /api/ serves no ranges (zenodo issue
2593). Records, names and sizes: FACTS 2.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from io import BytesIO
from pathlib import Path
from typing import IO, Final, Protocol
from urllib.parse import quote

from multiclin.errors import CorpusError, MulticlinError, OutputError, Problem
from multiclin.faults import cannot_write

CONCEPT: Final = "https://doi.org/10.5281/zenodo.18508037"
"""Where a browser finds the newest version."""

_CHUNK: Final = 1 << 16
_ANSWER: Final = 10_000_000  # Bytes that an answer about a record may have.
_BLOCK: Final = 4096  # A file takes its space on a disk in steps of this.
_PASSING: Final = (408, 425, 429)  # Refusals that may be another answer the next time.
_CHECKSUM: Final = re.compile(r"(md5|sha256|sha512):[0-9a-f]{32,128}")
_ZIP: Final = re.compile(r"[\w+-][\w+. -]{0,200}\.zip")
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+)")


class DownloadError(MulticlinError):
    """An archive cannot be had from where it lies, or is not what was announced."""


@dataclass(frozen=True, slots=True)
class Release:
    """The archive of one version; Zenodo is asked for what is empty.

    Attributes:
        record: Number of the record.
        name: File name.
        size: Bytes.
        checksum: As Zenodo writes it, `md5:` and hexadecimal digits.
    """

    record: int
    name: str = ""
    size: int = 0
    checksum: str = ""

    @property
    def doi(self) -> str:
        """Where a browser finds it."""
        return f"https://doi.org/10.5281/zenodo.{self.record}"


RELEASES: Final[Mapping[str, Release]] = {
    "1.1": Release(18772832),
    "1.2": Release(19098018),
    "1.3": Release(
        19334278, "MultiClinAI-training+NER_test_bg+CORPUS_test_bg_v1.3_260330.zip", 3_108_231_547
    ),
}
LATEST: Final = "1.3"
PUBLISHED: Final = {
    "language": ("cz", "en", "es", "it", "nl", "ro", "sv"),
    "entity": ("disease", "procedure", "symptom"),
}
"""What every release holds (FACTS 1), to tell a typing error before gigabytes are fetched."""
SERVER: Final = "MULTICLIN_ZENODO"
"""Environment variable: address of a server that answers like Zenodo, for example a mirror."""


@dataclass(frozen=True, slots=True)
class Zenodo:
    """Where the records are, and how patient to be with it.

    Attributes:
        base: Address of the server.
        timeout: Seconds without a byte after which a connection counts as broken.
        waits: Seconds before the next attempt after one, two, ... that brought nothing new.
    """

    base: str = "https://zenodo.org"
    timeout: float = 30
    waits: Sequence[float] = (1, 5, 20)

    def locate(self, release: Release) -> Release:
        """The release with all that Zenodo knows of its archive.

        Raises:
            DownloadError: Zenodo cannot be reached, or its record is not the one expected.
        """
        if release.name and release.size and release.checksum:
            return release
        url = f"{self.base}/api/records/{release.record}"
        answer = BytesIO()
        _receive(url, answer, self)
        try:
            files = [
                Release(release.record, str(one["key"]), int(one["size"]), str(one["checksum"]))
                for one in json.loads(answer.getvalue())["files"]
            ]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DownloadError(f"{url}: not the answer that Zenodo gives for a record") from error
        good = [
            one
            for one in files
            if _ZIP.fullmatch(one.name) and _CHECKSUM.fullmatch(one.checksum) and one.size > 0
            if release.name in ("", one.name) and release.size in (0, one.size)
        ]
        if len(good) != 1:
            listed = ", ".join(f"{one.name[:100]} ({one.size:,} bytes)" for one in files[:5])
            wanted = f"{release.name} ({release.size:,} bytes)" if release.name else "one .zip"
            raise DownloadError(
                f"{url}: expected {wanted} with a checksum, found {listed or 'no file'}. "
                f"See {release.doi}; what you get there with a browser, name it: --archive FILE"
            )
        return good[0]

    def fetch(self, release: Release, folder: Path, *, bar: bool = False) -> Path:
        """The archive in `folder`, downloaded as far as it is not there yet, and verified.

        Args:
            release: From `locate`.
            folder: Is made if need be. A broken-off download stays there as a `.part`.
            bar: Whether to draw a progress bar.

        Raises:
            DownloadError: It cannot be had, or its checksum is wrong.
            OutputError: No space, no permission, or another process is downloading it.
        """
        target = folder / release.name
        if target.exists():
            if checksum_of(target, release.checksum) != release.checksum:
                raise OutputError(
                    f"{target} exists but is not the archive of {release.doi} (its checksum "
                    "differs); move it away, or take it as it is: --archive FILE"
                )
            return target
        part = folder / f"{release.name}.{release.checksum.partition(':')[2][:8]}.part"
        url = f"{self.base}/records/{release.record}/files/{quote(release.name)}?download=1"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for old in set(folder.glob(f"{escape(release.name)}.????????.part")) - {part}:
                old.unlink()  # Of an archive that the record no longer has.
            with _open_part(part) as stream:
                here = stream.seek(0, os.SEEK_END)
                require_space(folder, release.size - here, "the archive")
                if here:
                    tell(f"going on at {said_size(here)}")
                _receive(url, stream, self, size=release.size, bar=bar)
                stream.flush()
                os.fsync(stream.fileno())
                if checksum_of(part, release.checksum) != release.checksum:
                    part.unlink()
                    raise DownloadError(
                        f"{url}: what came has not the checksum of the record, {release.checksum}, "
                        "and has been removed; run the command again"
                    )
                return part.rename(target)
        except OSError as error:
            raise OutputError(cannot_write(part, error)) from error


ZENODO: Final = Zenodo()


class _Response(Protocol):
    """What is used of a response of requests, which comes without types."""

    status_code: int
    headers: Mapping[str, str]


class _Incoming:
    """A file that grows from where the server says that its bytes begin."""

    def __init__(self, stream: IO[bytes], size: int, url: str) -> None:
        self.stream = stream
        self.size = size
        self.url = url

    def begin(self, response: _Response, *_: object, **__: object) -> None:
        """Takes the place that the bytes after this header belong to."""
        if response.status_code == 206:
            found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            place = self.stream.seek(0, os.SEEK_END)
            if not found or [int(number) for number in found.groups()] != [place, self.size]:
                self.stream.truncate(0)
                raise ConnectionError("the server sent another range than was asked for")
        elif response.status_code == 200:
            length = response.headers.get("Content-Length", "")
            if self.size and length.isdecimal() and int(length) != self.size:
                raise DownloadError(
                    f"{self.url}: the server has {int(length):,} bytes, the record "
                    f"says {self.size:,}; try again later"
                )
            self.stream.seek(0)
            self.stream.truncate()

    def write(self, chunk: bytes) -> None:
        """Appends what comes, up to what was announced."""
        most = self.size or _ANSWER
        if self.stream.tell() + len(chunk) > most:
            raise DownloadError(f"{self.url}: the server sends more than {most:,} bytes")
        try:
            self.stream.write(chunk)
        except OSError as error:
            raise OutputError(cannot_write(self.stream.name, error)) from error

    def flush(self) -> None:
        """Not after every chunk, as pooch asks."""


def _receive(
    url: str, stream: IO[bytes], zenodo: Zenodo, *, size: int = 0, bar: bool = False
) -> None:
    """Fills the stream up to `size`, or anew where that is 0, as long as attempts bring more."""
    from pooch import HTTPDownloader  # type: ignore[import-untyped]

    incoming = _Incoming(stream, size, url)
    failures = 0
    while not size or stream.seek(0, os.SEEK_END) < size:
        before = stream.tell() if size else 0
        wanted = {"Range": f"bytes={before}-"} if before else {}
        get = HTTPDownloader(
            progressbar=bar,
            chunk_size=_CHUNK,
            timeout=zenodo.timeout,
            headers={"Accept-Encoding": "identity", **wanted},
            hooks={"response": incoming.begin},
        )
        try:
            get(url, incoming, None)
            if stream.tell() >= size:
                return
            reason = "the connection broke off"
        except OSError as error:  # So are all errors of requests.
            reason, is_final = _reason(error, zenodo.timeout)
            if is_final:
                raise DownloadError(f"{url}: {reason}. {_OTHERWISE}") from error
        failures = 0 if size and stream.tell() > before else failures + 1
        if failures > len(zenodo.waits):
            reason = f"{reason}, {failures} times without a new byte"
            if size and stream.tell():
                reason += (
                    f". {stream.name} holds what has come: the same command goes on from there"
                )
            raise DownloadError(f"{url}: {reason}. {_OTHERWISE}")
        tell(f"{reason}; trying again")
        time.sleep(zenodo.waits[max(failures - 1, 0)])


_OTHERWISE: Final = (
    "Behind a proxy, set https_proxy; or get the archive with a browser and name it: --archive FILE"
)
_REASONS: Final = {
    "ConnectTimeout": "no answer in {timeout:g} s",
    "ReadTimeout": "no answer in {timeout:g} s",
    "ConnectionError": "no connection, or it broke off",
    "ChunkedEncodingError": "the connection broke off",
    "ProxyError": "the proxy does not answer",
    "SSLError": "the certificate of the server cannot be verified",
}


def _reason(error: OSError, timeout: float) -> tuple[str, bool]:
    """What went wrong in few words, and whether it would go wrong again."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if status:
        return f"the server says {status}", status < 500 and status not in _PASSING
    known = _REASONS.get(type(error).__name__, str(error)[:200])
    return known.format(timeout=timeout), isinstance(error, ValueError)


def checksum_of(path: Path, like: str = "md5:") -> str:
    """The checksum of a file, by the algorithm of another."""
    algorithm = like.partition(":")[0]
    try:
        with path.open("rb") as stream:
            # Where a system forbids md5 for signatures, it still serves against broken transfers.
            digest = hashlib.file_digest(
                stream, lambda: hashlib.new(algorithm, usedforsecurity=False)
            )
    except OSError as error:
        raise CorpusError([Problem(path, 0, f"cannot be read: {error.strerror}")]) from error
    return f"{algorithm}:{digest.hexdigest()}"


@contextmanager
def _open_part(path: Path) -> Iterator[IO[bytes]]:
    """The file to be filled, for one process alone; it does not stay if it stays empty."""
    with path.open("ab+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"{path}: another process is downloading it; wait for it") from error
        try:
            yield stream
        finally:
            if not stream.seek(0, os.SEEK_END):
                path.unlink(missing_ok=True)


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise `OutputError` where the disk of a folder has fewer bytes left than are needed."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{folder}: {what} needs {said_size(needed)} but only {said_size(free)} are free on "
            "that disk; make room, or name another folder: --dest DIR"
        )


def said_size(count: int) -> str:
    """Bytes for a reader."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count / 1e3:,.1f} kB"


def tell(message: str) -> None:
    """A line for whoever watches; standard output is for the table of what came."""
    print(message, file=sys.stderr, flush=True)
