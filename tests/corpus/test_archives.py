"""Hostile and broken archives: one message, nothing outside the folder."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import warnings
from contextlib import suppress
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile, ZipInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.corpus.archives import LIMITS, Limits, open_archive, unpack
from multiclin.errors import CorpusError, MulticlinError, OutputError


def zipped(path: Path, *members: tuple[str | ZipInfo, bytes], method: int = ZIP_DEFLATED) -> Path:
    with warnings.catch_warnings(), ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # Of a name given twice.
        for name, content in members:
            archive.writestr(name, content)
    return path


def extract(path: Path, folder: Path, limits: Limits = LIMITS) -> int:
    folder.mkdir(exist_ok=True)
    with open_archive(path, limits) as archive:
        members = [member for member in archive.infolist() if member.filename[-1:] != "/"]
        return unpack(archive, members, folder, limits=limits)


def files_below(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(found)


def of_kind(name: str, kind: int) -> ZipInfo:
    member = ZipInfo(name)
    member.create_system = 3
    member.external_attr = (kind | 0o777) << 16
    return member


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_members_are_unpacked_as_they_are(tmp_path: Path, method: int) -> None:
    content = "ictus\r\n\u00e9".encode()
    path = zipped(tmp_path / "a.zip", ("a/b/c.txt", content), ("d.txt", b""), method=method)
    assert extract(path, tmp_path / "out") == 9
    assert files_below(tmp_path / "out") == ["a/b/c.txt", "d.txt"]
    assert (tmp_path / "out/a/b/c.txt").read_bytes() == content


def test_only_what_is_asked_for_is_checked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("../evil", b"x"), ("good", b"x"))
    with open_archive(path) as archive:
        unpack(archive, [archive.getinfo("good")], tmp_path)
    assert files_below(tmp_path) == ["a.zip", "good"]


def test_no_member_becomes_a_program(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", (of_kind("run.sh", stat.S_IFREG | stat.S_ISUID), b"#!"))
    extract(path, tmp_path / "out")
    assert not (tmp_path / "out/run.sh").stat().st_mode & 0o4111


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "a/..",
        "/etc/evil",
        "//host/evil",
        "C:/evil",
        "c:evil",
        "..\\evil",
        "a\\b",
        "./a",
        "a//b",
        "a\nb",
        "a\x1b[31mb",
        "a\x7f",
        "n" * 201,
        "\u00e9" * 101,
        "/".join("d" * 17),
    ],
)
def test_unsafe_names_are_refused(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "a.zip", ("good", b"x"), (name, b"x"))
    with pytest.raises(CorpusError, match="refused for member"):
        extract(path, tmp_path / "out")
    assert files_below(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("name", [b"good.txt\0exe", b"\0ood.txtXexe"])
def test_names_with_a_hidden_end_are_refused(tmp_path: Path, name: bytes) -> None:
    path = zipped(tmp_path / "a.zip", ("good.txtXexe", b"x"))
    path.write_bytes(path.read_bytes().replace(b"good.txtXexe", name))
    with pytest.raises(CorpusError, match=r"refused for member '(good\.txt)?\\x00"):
        extract(path, tmp_path / "out")


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR]
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    path = zipped(tmp_path / "a.zip", (of_kind("txt", kind), b"/etc"), ("txt/passwd", b"x"))
    with pytest.raises(CorpusError, match="a link, device or folder"):
        extract(path, tmp_path / "out")
    assert files_below(tmp_path) == ["a.zip"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.txt", "a.txt"),
        ("a.txt", "A.TXT"),
        ("\u00e9", "e\u0301"),
        ("a", "a/b"),
        ("a/b", "A"),
        ("stra\u00dfe", "STRASSE"),
    ],
)
def test_names_that_some_disk_takes_for_one_are_refused(
    tmp_path: Path, first: str, second: str
) -> None:
    path = zipped(tmp_path / "a.zip", (first, b"1"), (second, b"2"))
    with pytest.raises(CorpusError, match="the same name as another member"):
        extract(path, tmp_path / "out")
    assert files_below(tmp_path) == ["a.zip"]


def test_a_bomb_ends_at_the_ratio(tmp_path: Path) -> None:
    # 3 MB of zeros are 3 kB deflated: a thousand to one.
    path = zipped(tmp_path / "a.zip", ("zeros", bytes(3_000_000)))
    with pytest.raises(CorpusError, match=r"'zeros' has more than [\d,]+ bytes"):
        extract(path, tmp_path / "out", Limits(small=1000))
    assert (tmp_path / "out/zeros").stat().st_size < 60 * path.stat().st_size
    assert extract(path, tmp_path / "again") == 3_000_000  # Small enough for any ratio.


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    # The list at the end names the one member forty times: 2.2 MB from 0.5 kB and its names.
    whole = zipped(tmp_path / "one.zip", ("a00", b"sin fiebre " * 5_000)).read_bytes()
    start, end = whole.index(b"PK\x01\x02"), whole.index(b"PK\x05\x06")
    listed = [whole[start:end].replace(b"a00", b"a%02d" % number) for number in range(40)]
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 40, 40, 40 * (end - start), start, 0)
    path = tmp_path / "a.zip"
    path.write_bytes(whole[:start] + b"".join(listed) + tail)
    with pytest.raises(CorpusError, match="broken one at member 'a01': File name in directory"):
        extract(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(single=9), "'b' has more than 9 bytes"),
        (Limits(total=14), "'b' has more than 9 bytes"),
        (Limits(members=1), "more than 1 members"),
    ],
)
def test_bounds(tmp_path: Path, limits: Limits, message: str) -> None:
    path = zipped(tmp_path / "a.zip", ("a", b"12345"), ("b", b"1234567890"))
    with pytest.raises(CorpusError, match=message):
        extract(path, tmp_path / "out", limits)


@pytest.mark.parametrize("claimed", [0, 5, 4_000_000_000])
def test_a_size_that_is_a_lie(tmp_path: Path, claimed: int) -> None:
    content = zipped(tmp_path / "a.zip", ("a", b"sin fiebre " * 10)).read_bytes()
    start = content.index(b"PK\x01\x02") + 24
    path = tmp_path / "b.zip"
    path.write_bytes(content[:start] + struct.pack("<L", claimed) + content[start + 4 :])
    if claimed > 110:  # The content is whole, and what is written is what was counted.
        assert extract(path, tmp_path / "out") == 110
    else:
        with pytest.raises(CorpusError, match=r"broken one at member 'a'"):
            extract(path, tmp_path / "out")


def test_encrypted_members(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("a", b"x"))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(CorpusError, match="refused for member 'a': encrypted; unpack it by hand"):
        extract(path, tmp_path / "out")


@pytest.mark.parametrize("method", [ZIP_BZIP2, ZIP_LZMA])
def test_other_methods(tmp_path: Path, method: int) -> None:
    path = zipped(tmp_path / "a.zip", ("a", b"x"), method=method)
    with pytest.raises(CorpusError, match=f"compression method {method}"):
        extract(path, tmp_path / "out")


def test_many_problems_are_counted_not_listed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", *((f"../{number}", b"") for number in range(100)))
    with pytest.raises(CorpusError) as caught:
        extract(path, tmp_path / "out")
    assert len(str(caught.value).splitlines()) == CorpusError.SHOWN


@pytest.mark.parametrize("content", [b"", b"PK", b"<html>", b"PK\x05\x06" + bytes(10)])
def test_files_that_are_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=r"a\.zip: is no zip archive or a broken one.*again"):
        extract(path, tmp_path / "out")


def test_a_tar_is_no_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    with pytest.raises(CorpusError, match="is no zip archive"):
        extract(path, tmp_path / "out")


def test_missing_archives(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.zip"):
        with pytest.raises(CorpusError, match="no such file"):
            extract(path, tmp_path / "out")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("a/b", b"x"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot write"):
        extract(path, tmp_path / "out")


@given(st.data())
def test_damage_is_an_error_of_ours_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    path = zipped(folder / "a.zip", ("a/b.txt", b"sin fiebre " * 30), ("c.txt", b"ictus"))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    inside = folder / "deep" / "out"
    inside.parent.mkdir()
    with suppress(MulticlinError):
        extract(path, inside)
    outside = [name for name in files_below(folder) if not name.startswith("deep/out/")]
    assert outside == ["a.zip"]


# Python writes no name that begins with NUL, and one that ends in / is a folder.
@given(st.text(min_size=1, max_size=30).filter(lambda name: name[0] != "\0" and name[-1] != "/"))
def test_any_name_is_inside_or_refused(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("names")
    try:
        zipped(folder / "a.zip", (name, b"x"))
    except UnicodeEncodeError:  # Lone surrogates do not fit in an archive.
        return
    try:
        assert extract(folder / "a.zip", folder / "out") == 1
    except CorpusError:
        assert files_below(folder) == ["a.zip"]
    else:
        assert len(files_below(folder / "out")) == 1
