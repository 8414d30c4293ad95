"""Files appear whole or not at all, and are read byte for byte."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from multiclin.errors import CorpusError, OutputError
from multiclin.files import alone, atomic_write, read_text


def test_text_is_written_without_newline_translation(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "new" / "a.txt") as stream:
        stream.write("á\r\nb\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "á\r\nb\n".encode()


def test_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.bin", binary=True) as stream:
        stream.write(b"\xff\r\n")
    assert (tmp_path / "a.bin").read_bytes() == b"\xff\r\n"


def test_an_existing_file_is_replaced_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OutputError, match=r"a\.txt exists already"), atomic_write(path):
        pass
    assert path.read_text() == "old"
    with atomic_write(path, overwrite=True) as stream:
        stream.write("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    def write_half() -> None:
        with atomic_write(path, overwrite=True) as stream:
            stream.write("half")
            raise error

    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error):
        write_half()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_path_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"), atomic_write(tmp_path / "file" / "a"):
        pass
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder"
    with pytest.raises(OutputError, match="cannot write"), atomic_write(path, overwrite=True):
        pass
    with pytest.raises(OutputError, match="cannot write"), atomic_write(tmp_path / ("a" * 300)):
        pass
    assert {file.name for file in tmp_path.iterdir()} == {"file", "folder"}


def test_text_is_read_with_every_code_point(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffa\r\nb\x85e\u0301".encode())
    assert read_text(tmp_path / "a.txt") == "\ufeffa\r\nb\x85e\u0301"


def test_what_cannot_be_read_is_a_corpus_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\nb\nc\xe1")
    with pytest.raises(CorpusError, match=r"a\.txt:3: not UTF-8 at byte 5 \(0xe1\)"):
        read_text(tmp_path / "a.txt")
    with pytest.raises(CorpusError, match=r"b\.txt: cannot be read: No such file"):
        read_text(tmp_path / "b.txt")


def test_who_comes_second_waits_for_the_first(tmp_path: Path) -> None:
    said = []

    def second() -> None:
        with alone(tmp_path / "store"):
            said.append("second")

    with alone(tmp_path / "store"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.05)
        said.append("first")
    thread.join()
    assert said == ["first", "second"]
