"""The download against a server on this machine that breaks, lies, hangs and redirects."""

from __future__ import annotations

import argparse
import fcntl
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Event, Thread
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote
from zipfile import ZIP_STORED, ZipFile

import pytest

from multiclin.corpus import download as module
from multiclin.corpus.download import add_command, download
from multiclin.corpus.parts import Parts
from multiclin.corpus.release import find_sets
from multiclin.corpus.sample import generate
from multiclin.corpus.zenodo import Release, Zenodo
from multiclin.errors import ConfigError, CorpusError, MulticlinError, OutputError

NAME = "MultiClin+NER_v1.3.zip"
PAGE = f"/records/3/files/{NAME}?download=1"
ROOT = "MultiClinAI-v1.3"
ES = Parts(["es"], ["train"], ["disease"])
PART = f"{ROOT}/MultiClinNER/MultiClinNER-es/MultiClinNER-es-train/MultiClinNER-es-train-disease"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like a release: twelve sets of four cases, stored; other things; about 700 kB."""
    folder = tmp_path_factory.mktemp("release")
    generate(folder / "tree", documents=4, seed=1, languages=["es", "it"], test_share=0.25)
    with ZipFile(folder / NAME, "w", ZIP_STORED) as opened:
        for path in sorted((folder / "tree").rglob("*")):
            name = path.relative_to(folder / "tree").as_posix()
            if "-it-test" in name:  # As later releases name their test sets.
                name = re.sub(r"(it-test-\w+)(?=/|$)", r"\1_batch1", name)
            opened.write(path, f"{ROOT}/{name}")
        opened.writestr(f"{ROOT}/MultiClinCORPUS/blob.bin", Random(1).randbytes(600_000))
        opened.writestr(f"__MACOSX/{PART}/txt/._a.txt", b"")
    return folder / NAME


class Server:
    """Zenodo with one record, 3, and its behaviours for the next requests of the archive.

    Attributes:
        asked: Every request: its path, and its Range or "".
        sent: Bytes of the archive sent.
        next: What the coming requests of the archive meet: a status, or a name of `send`.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.files: Any = [
            {"key": NAME, "size": len(content), "checksum": f"md5:{md5(content).hexdigest()}"}
        ]
        self.asked: list[tuple[str, str]] = []
        self.sent = 0
        self.next: list[str | int] = []
        self.closing = Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.zenodo = Zenodo(self.url, timeout=0.2, waits=(0, 0))
        Thread(target=self.http.serve_forever, args=[0.01], daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()

    @property
    def ranges(self) -> list[str]:
        """The ranges in which the archive was asked for."""
        return [asked for path, asked in self.asked if path.startswith("/records/")]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = re.sub(r"^http://[^/]*", "", unquote(request.path))  # A proxy is told the host.
        wanted = request.headers.get("Range", "")
        self.asked.append((path, wanted))
        if path == "/api/records/3":
            self.reply(request, 200, json.dumps({"id": 3, "files": self.files}).encode())
        elif path == PAGE:
            self.send(request, wanted, self.next.pop(0) if self.next else "")
        elif path == "/elsewhere":
            self.send(request, wanted, "")
        else:
            self.reply(request, 404)

    def send(self, request: BaseHTTPRequestHandler, wanted: str, how: str | int) -> None:
        start = int(re.findall(r"\d+", wanted)[0]) if wanted else 0
        body, total = self.content, len(self.content)
        if isinstance(how, int):
            self.reply(request, how)
        elif how == "redirect":
            self.reply(request, 302, headers={"Location": f"{self.url}/elsewhere"})
        elif how == "hang":
            self.closing.wait(5)
        elif how == "damaged":
            self.reply(request, 200, body[:-1] + b"?")
        elif how == "longer":
            self.reply(request, 200, body + b"?")
        elif how == "endless":  # And says no length.
            self.reply(request, 200, body + b"?", length=None)
        elif wanted and how != "ignore":
            shift = 1 if how == "shifted" else 0
            place = f"bytes {start - shift}-{total - 1}/{total}"
            self.reply(request, 206, body[start - shift :], headers={"Content-Range": place})
        else:
            self.reply(request, 200, body[: total // 2] if how == "break" else body, length=total)

    def reply(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        body: bytes = b"",
        length: int | None = -1,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        if length is not None:
            request.send_header("Content-Length", str(len(body) if length < 0 else length))
        request.end_headers()
        request.wfile.write(body)
        if not request.path.startswith("/api"):
            self.sent += len(body)


@pytest.fixture
def server(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "RELEASES", {"1.3": Release(3, NAME)})
    server = Server(archive.read_bytes())
    yield server
    server.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def parts_in(folder: Path) -> list[str]:
    return [f"{one.language} {one.split} {one.entity}" for one in find_sets(folder)]


def test_only_the_parts_asked_for_are_unpacked(server: Server, tmp_path: Path) -> None:
    dest = tmp_path / "new" / "corpus"
    wanted = Parts(["es"], ["train"], ["disease", "symptom"])
    sets = download(dest, wanted, zenodo=server.zenodo)
    assert parts_in(dest) == ["es train disease", "es train symptom"]
    assert [one.folder for one in sets] == [dest / PART, dest / PART.replace("disease", "symptom")]
    assert len(list((dest / PART / "txt").iterdir())) == 3
    assert names(dest) == [ROOT]  # No archive, no temporary folder.
    assert server.asked == [("/api/records/3", ""), (PAGE, "")]


def test_all_parts_are_those_of_the_sets(server: Server, tmp_path: Path) -> None:
    assert len(download(tmp_path, Parts(), zenodo=server.zenodo)) == 12
    assert names(tmp_path / ROOT) == ["MultiClinNER"]


def test_test_takes_its_batches(server: Server, tmp_path: Path) -> None:
    download(tmp_path, Parts(splits=["test"], entities=["disease"]), zenodo=server.zenodo)
    assert parts_in(tmp_path) == ["es test disease", "it test_batch1 disease"]


def test_the_files_are_those_of_the_archive(server: Server, archive: Path, tmp_path: Path) -> None:
    download(tmp_path, ES, zenodo=server.zenodo)
    with ZipFile(archive) as opened:
        wanted = {
            name: opened.read(name)
            for name in opened.namelist()
            if name.startswith(PART) and not name.endswith("/")
        }
    assert len(wanted) == 7  # Three texts, their .ann, one table.
    assert {name: (tmp_path / name).read_bytes() for name in wanted} == wanted


def test_what_broke_off_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    server.next = ["break"]
    download(tmp_path, ES, zenodo=server.zenodo)
    total, half = len(server.content), len(server.content) // 2
    here = half // 65_536 * 65_536  # Whole chunks are kept.
    assert server.ranges == ["", f"bytes={here}-"]
    assert server.sent == half + total - here
    assert parts_in(tmp_path) == ["es train disease"]


def test_the_next_command_goes_on(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.next = ["break", 503, 503, 503]
    with pytest.raises(MulticlinError, match=r"server says 503, 3 times .*\.part holds what has"):
        download(tmp_path, ES, zenodo=server.zenodo)
    (part,) = tmp_path.glob(f"{NAME}.*.part")
    here = part.stat().st_size
    assert here > 0
    assert names(tmp_path) == [part.name]
    server.asked.clear()
    capsys.readouterr()
    download(tmp_path, ES, zenodo=server.zenodo)
    assert server.ranges == [f"bytes={here}-"]
    assert f"going on at {here / 1e3:.1f} kB\n" in capsys.readouterr().err
    assert names(tmp_path) == [ROOT]


@pytest.mark.parametrize("how", ["ignore", "shifted"])
def test_a_server_that_gives_no_or_another_range(server: Server, tmp_path: Path, how: str) -> None:
    server.next = ["break", how]
    download(tmp_path, ES, zenodo=server.zenodo)
    assert parts_in(tmp_path) == ["es train disease"]
    assert len(server.ranges) == (2 if how == "ignore" else 3)


def test_a_whole_part_is_not_asked_for_again(server: Server, archive: Path, tmp_path: Path) -> None:
    digest = md5(server.content).hexdigest()
    shutil.copy(archive, tmp_path / f"{NAME}.{digest[:8]}.part")
    download(tmp_path, ES, zenodo=server.zenodo)
    assert server.ranges == []


def test_a_part_of_an_archive_that_has_changed_is_dropped(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.0123abcd.part").write_bytes(b"PK")
    (tmp_path / f"{NAME}.mine.part").write_bytes(b"PK")
    download(tmp_path, ES, zenodo=server.zenodo)
    assert server.ranges == [""]
    assert names(tmp_path) == [f"{NAME}.mine.part", ROOT]


def test_a_wrong_checksum(server: Server, tmp_path: Path) -> None:
    server.next = ["damaged"]
    with pytest.raises(MulticlinError, match=r"has not the checksum .* has been removed; run"):
        download(tmp_path, ES, zenodo=server.zenodo)
    assert names(tmp_path) == []


@pytest.mark.parametrize("how", ["longer", "endless"])
def test_more_than_the_record_says(server: Server, tmp_path: Path, how: str) -> None:
    server.next = [how]
    with pytest.raises(MulticlinError, match=r"the server (has [\d,]+ bytes, the|sends more than)"):
        download(tmp_path, ES, zenodo=server.zenodo)
    assert not (tmp_path / ROOT).exists()


def test_errors_of_the_server_pass(server: Server, tmp_path: Path) -> None:
    server.next = [500, 429]
    download(tmp_path, ES, zenodo=server.zenodo)
    assert len(server.ranges) == 3


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(server: Server, tmp_path: Path, status: int) -> None:
    server.next = [status]
    message = rf"the server says {status}\. Behind a proxy, .*--archive FILE"
    with pytest.raises(MulticlinError, match=message):
        download(tmp_path, ES, zenodo=server.zenodo)
    assert len(server.ranges) == 1
    assert names(tmp_path) == []


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    server.next = ["break", "redirect"]
    download(tmp_path, ES, zenodo=server.zenodo)
    assert [path for path, _ in server.asked[1:]] == [PAGE, PAGE, "/elsewhere"]
    assert server.ranges[-1].startswith("bytes=")
    assert server.asked[-1][1] == server.ranges[-1]


def test_a_server_that_hangs(server: Server, tmp_path: Path) -> None:
    server.next = ["hang", "hang", "hang"]
    with pytest.raises(MulticlinError, match=r"no answer in 0\.2 s, 3 times"):
        download(tmp_path, ES, zenodo=server.zenodo)


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(MulticlinError, match=r"no connection.*https_proxy.*--archive FILE"):
        download(tmp_path, ES, zenodo=Zenodo("http://127.0.0.1:9", waits=(0,)))


def test_an_address_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(MulticlinError, match="Invalid URL"):
        download(tmp_path, ES, zenodo=Zenodo("zenodo", waits=(60,)))


def test_a_proxy(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    download(tmp_path, ES, zenodo=Zenodo("http://zenodo.invalid"))
    assert server.asked == [("/api/records/3", ""), (PAGE, "")]


@pytest.mark.parametrize(
    "files",
    [
        None,
        [],
        [{"key": NAME}],
        [{"key": NAME, "size": "x", "checksum": "md5:" + 32 * "0"}],
        [{"key": NAME, "size": 5, "checksum": "crc:123"}],
        [{"key": NAME, "size": -5, "checksum": "md5:" + 32 * "0"}],
        [{"key": "other.zip", "size": 5, "checksum": "md5:" + 32 * "0"}],
        2 * [{"key": NAME, "size": 5, "checksum": "md5:" + 32 * "0"}],
    ],
)
def test_a_record_that_is_not_as_expected(server: Server, tmp_path: Path, files: object) -> None:
    server.files = files
    with pytest.raises(MulticlinError, match=r"not the answer that|expected MultiClin.*, found"):
        download(tmp_path, ES, zenodo=server.zenodo)
    assert server.ranges == []


def test_an_answer_that_is_too_deep(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "dumps", lambda _: "[" * 100_000)
    with pytest.raises(MulticlinError, match="not the answer that Zenodo gives for a record"):
        download(tmp_path, ES, zenodo=server.zenodo)


@pytest.mark.parametrize("name", ["../a.zip", "/a.zip", "a\\b.zip", ".a.zip", "a\0.zip", ".zip"])
def test_a_record_cannot_name_another_folder(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(module, "RELEASES", {"1.3": Release(3)})
    server.files[0]["key"] = name
    with pytest.raises(MulticlinError, match=r"expected one \.zip with a checksum"):
        download(tmp_path, ES, zenodo=server.zenodo)


def test_a_record_of_another_size(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RELEASES", {"1.3": Release(3, NAME, 1000)})
    with pytest.raises(
        MulticlinError, match=r"expected .* \(1,000 bytes\) .* found .* \([67]\d\d,"
    ):
        download(tmp_path, ES, zenodo=server.zenodo)


def test_a_known_checksum_needs_no_answer_of_the_record(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, digest = len(server.content), md5(server.content).hexdigest()
    monkeypatch.setattr(module, "RELEASES", {"1.3": Release(3, NAME, size, f"md5:{digest}")})
    download(tmp_path, ES, zenodo=server.zenodo)
    assert server.asked == [(PAGE, "")]


def space(monkeypatch: pytest.MonkeyPatch, *free: int) -> None:
    left = iter(free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, next(left)))


def test_too_little_space_for_the_archive(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space(monkeypatch, 300_000)
    message = r"the archive needs [67]\d\d\.\d kB but only 300\.0 kB are free .* --dest DIR"
    with pytest.raises(OutputError, match=message):
        download(tmp_path, ES, zenodo=server.zenodo)
    assert server.ranges == []


def test_too_little_space_for_the_sets(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space(monkeypatch, 10_000_000, 20_000)
    # Seven files of one block of 4,096 bytes each.
    with pytest.raises(OutputError, match=r"the unpacked corpus needs 28\.7 kB but only 20\.0 kB"):
        download(tmp_path, ES, zenodo=server.zenodo)
    assert names(tmp_path) == [NAME]  # It need not come again.


def test_what_is_there_is_not_replaced_unasked(server: Server, tmp_path: Path) -> None:
    download(tmp_path, ES, zenodo=server.zenodo)
    text = next((tmp_path / PART / "txt").iterdir())
    text.write_bytes(b"mine")
    server.asked.clear()
    with pytest.raises(OutputError, match=r"has 1 of these sets already \(es train disease\)"):
        download(tmp_path, Parts(["es"]), zenodo=server.zenodo)
    assert server.asked == []
    assert text.read_bytes() == b"mine"
    download(tmp_path, Parts(["es"]), zenodo=server.zenodo, overwrite=True)
    assert text.read_bytes() != b"mine"
    assert len(parts_in(tmp_path)) == 6
    assert names(tmp_path) == [ROOT]


def test_other_parts_are_added(server: Server, tmp_path: Path) -> None:
    download(tmp_path, ES, zenodo=server.zenodo)
    before = (tmp_path / PART).stat().st_mtime_ns
    download(tmp_path, Parts(["it", "es"], ["train"], ["symptom"]), zenodo=server.zenodo)
    assert parts_in(tmp_path) == ["es train disease", "es train symptom", "it train symptom"]
    assert (tmp_path / PART).stat().st_mtime_ns == before


def test_a_set_that_lies_elsewhere_is_the_same_set(server: Server, tmp_path: Path) -> None:
    other = tmp_path / "old" / Path(PART).name / "txt"
    other.mkdir(parents=True)
    with pytest.raises(OutputError, match="already"):
        download(tmp_path, ES, zenodo=server.zenodo)
    download(tmp_path, ES, zenodo=server.zenodo, overwrite=True)
    assert [one.folder for one in find_sets(tmp_path)] == [tmp_path / PART]


def test_a_swap_that_fails_leaves_what_was(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(tmp_path, ES, zenodo=server.zenodo)

    def fail(*_: object) -> None:
        raise OSError("disk error")

    monkeypatch.setattr(module, "_merge", fail)
    with pytest.raises(OutputError, match="disk error"):
        download(tmp_path, ES, zenodo=server.zenodo, overwrite=True)
    assert parts_in(tmp_path) == ["es train disease"]
    assert names(tmp_path) == [NAME, ROOT]


def test_a_kept_archive_serves_the_next_time(server: Server, tmp_path: Path) -> None:
    download(tmp_path, ES, zenodo=server.zenodo, keep=True)
    assert names(tmp_path) == [NAME, ROOT]
    download(tmp_path, Parts(["it"]), zenodo=server.zenodo)
    assert server.ranges == [""]
    assert names(tmp_path) == [NAME, ROOT]


def test_another_file_of_that_name_is_left(server: Server, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"exists but is not the archive of https://doi\.org/"):
        download(tmp_path, ES, zenodo=server.zenodo)
    assert (tmp_path / NAME).read_bytes() == b"mine"


def test_one_download_at_a_time(server: Server, tmp_path: Path) -> None:
    part = tmp_path / f"{NAME}.{md5(server.content).hexdigest()[:8]}.part"
    with part.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="another process is downloading it"):
            download(tmp_path, ES, zenodo=server.zenodo)


def test_a_folder_that_is_a_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot write"):
        download(tmp_path / "file", ES, zenodo=server.zenodo)


NOWHERE = Zenodo("http://127.0.0.1:9", waits=())


def test_an_archive_that_is_here(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = archive.read_bytes()
    download(tmp_path, ES, archive=archive, zenodo=NOWHERE)
    assert parts_in(tmp_path) == ["es train disease"]
    assert archive.read_bytes() == before
    warning = f"warning: {archive} has md5:{md5(before).hexdigest()}, which is not known here"
    assert warning in capsys.readouterr().err


def test_a_known_archive_needs_no_warning(
    archive: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digest = f"md5:{md5(archive.read_bytes()).hexdigest()}"
    monkeypatch.setattr(module, "RELEASES", {"1.3": Release(3, NAME, 1, digest)})
    download(tmp_path, ES, archive=archive, zenodo=NOWHERE)
    assert "warning" not in capsys.readouterr().err


def test_an_archive_that_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"none\.zip: cannot be read: No such file"):
        download(tmp_path, ES, archive=tmp_path / "none.zip", zenodo=NOWHERE)


def stored(path: Path, *members: tuple[str, bytes]) -> Path:
    with ZipFile(path, "w") as opened:
        for name, content in members:
            opened.writestr(name, content)
    return path


def test_a_broken_member_leaves_nothing(archive: Path, tmp_path: Path) -> None:
    with ZipFile(archive) as opened:
        last = [name for name in opened.namelist() if name.startswith(f"{PART}/txt/")][-1]
        text = opened.read(last)
    path, dest = tmp_path / "a.zip", tmp_path / "dest"
    path.write_bytes(archive.read_bytes().replace(text, text[:-1] + b"?"))
    with pytest.raises(CorpusError, match=r"a\.zip: is no zip archive or a broken one at member"):
        download(dest, ES, archive=path, zenodo=NOWHERE)
    assert names(dest) == []


@pytest.mark.parametrize(
    "name", [f"../{PART}/txt/a.txt", f"/{PART}/txt/a.txt", f"{PART}/txt/../../a.txt"]
)
def test_a_hostile_member_leaves_nothing(tmp_path: Path, name: str) -> None:
    path = stored(tmp_path / "a.zip", (f"{PART}/txt/b.txt", b"x"), (name, b"x"))
    with pytest.raises(CorpusError, match=r"refused for member|holds the set es train disease tw"):
        download(tmp_path / "dest", ES, archive=path, zenodo=NOWHERE)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.zip"]


def test_a_member_without_a_name_is_none_of_ours(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.zip", (f"{PART}/txt/a.txt", b"x"), ("none", b"x"))
    path.write_bytes(path.read_bytes().replace(b"none", b"\0one"))
    download(tmp_path, ES, archive=path, zenodo=NOWHERE)
    assert parts_in(tmp_path) == ["es train disease"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ((), "holds no set; expected MultiClinNER-"),
        ((f"{PART}/ann/a.ann",), "holds no set"),
        ((f"a/{PART}/txt/a.txt", f"b/{PART}/txt/a.txt"), "the set es train disease twice"),
    ],
)
def test_archives_of_something_else(tmp_path: Path, members: tuple[str, ...], message: str) -> None:
    path = stored(tmp_path / "a.zip", *((name, b"x") for name in members))
    with pytest.raises(CorpusError, match=message):
        download(tmp_path / "dest", ES, archive=path, zenodo=NOWHERE)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (Parts(["xx"]), "language 'xx' is not in .*; it has es, it$"),
        (Parts(splits=["trian"]), "split 'trian' is not in .*; it has test, test_batch1, train$"),
        (Parts(entities=["drug"]), "entity 'drug' is not in .*; it has disease, procedure, symp"),
        (Parts(["es"], ["test_batch1"]), "no set .* language es, split test_batch1$"),
    ],
)
def test_parts_that_are_not_there(
    archive: Path, tmp_path: Path, parts: Parts, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        download(tmp_path, parts, archive=archive, zenodo=NOWHERE)


def test_a_language_that_no_release_has_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="language 'fr' is not in any release; it has cz, en, es"):
        download(tmp_path, Parts(["fr"]), zenodo=NOWHERE)


def test_an_unknown_version_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"version 2\.0 is unknown; choose from 1\.1, 1\.2, 1\.3"):
        download(tmp_path, ES, version="2.0", zenodo=NOWHERE)


Command = Callable[..., None]


@pytest.fixture
def command() -> Command:
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers())

    def run(*words: str | Path) -> None:
        options = parser.parse_args(["download", *map(str, words)])
        options.run(options)

    return run


def test_the_command_says_what_is_there_and_what_is_next(
    server: Server,
    tmp_path: Path,
    command: Command,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MULTICLIN_ZENODO", f"{server.url}/")
    dest = tmp_path / "my corpus"
    command("--version", "v1.3", "--dest", dest, "--languages", "ES, it", "--split", "train")
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].split() == ["language", "split", "entity", "documents", "mentions"]
    assert lines[1].split()[:4] == ["es", "train", "disease", "3"]
    assert lines[-3].split()[:2] == ["all", "18"]
    assert lines[-2] == f"Next: multiclin corpus check '{dest}'"
    assert lines[-1] == f"then: multiclin train entity=disease data.root='{dest}'"
    assert said.err.splitlines()[0].startswith(f"{NAME}, 7")
    assert said.err.splitlines()[1].startswith("unpacking 42 files, ")


def test_the_command_for_texts_alone(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = PART.replace("train", "test")
    path = stored(tmp_path / "a.zip", (f"{texts}/txt/a.txt", b"x"))
    command("--archive", path, "--dest", tmp_path / "dest", "--entities", "all")
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"then: multiclin predict ckpt=PATH input={tmp_path / 'dest'} output=DIR"


def test_problems_of_the_corpus_are_counted(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ("ann/a.ann", b"T1\tDISEASE 0 99\tictus\n")
    members = [(f"{PART}/{name}", content) for name, content in (("txt/a.txt", b"ictus"), wrong)]
    command("--archive", stored(tmp_path / "a.zip", *members), "--dest", tmp_path / "dest")
    assert "problems met reading them: 1;" in capsys.readouterr().out


def test_a_progress_bar(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download(tmp_path, ES, zenodo=server.zenodo, bar=True)
    assert "100%" in capsys.readouterr().err


def test_nothing_heavy_is_imported_before_a_download() -> None:
    code = (
        "import sys, multiclin.corpus.download\n"
        "print(*{'pooch', 'requests', 'tqdm', 'numpy', 'yaml'} & set(sys.modules), '.')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == ".\n"
