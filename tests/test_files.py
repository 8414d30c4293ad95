"""Files appear whole or not at all, and are read byte for byte."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from multiclin.errors import CorpusError, OutputError
from multiclin.files import alone, atomic_folder, atomic_write, claimed, read_text


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


def test_the_disk_is_named_behind_a_librarys_error(tmp_path: Path) -> None:
    behind = RuntimeError("unexpected pos 64 vs 0")  # What torch.save raises.
    behind.__context__ = OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(OutputError, match=r"cannot write .*/a\.ckpt: No space left on device; free"),
        atomic_write(tmp_path / "a.ckpt", binary=True),
    ):
        raise behind
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_a_folder_that_is_being_made_has_its_later_name(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match=rf"^cannot write {folder}/a/b: File exists"),
        atomic_folder(folder) as building,
    ):
        fill(building)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def fill(folder: Path) -> None:
    (folder / "a").touch()
    with atomic_write(folder / "a" / "b"):
        pass


CLAIM = """
import os, sys, time
from pathlib import Path
from multiclin.files import claimed
with claimed(Path(sys.argv[1]), sys.argv[2]):
    {}
    input()
"""


def claim(folder: Path, then: str, share: str = "") -> subprocess.Popen[str]:
    words = [sys.executable, "-c", CLAIM.format(then), str(folder), share]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_a_folder_has_one_command_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with claim(folder, "print('mine', flush=True)") as first:
        assert first.stdout
        assert first.stdout.readline() == "mine\n"
        with pytest.raises(OutputError) as caught, claimed(folder):
            pass
        assert f"{folder} is being written to by another command (process {first.pid} on" in str(
            caught.value
        )
        first.kill()  # It removes nothing.
    assert (folder / ".in-use").exists()
    with claimed(folder):
        (folder / "result").touch()
    assert [path.name for path in folder.iterdir()] == ["result"]


def test_each_share_of_a_folder_has_one_command_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with claim(folder, "print('mine', flush=True)", "1of2") as first:
        assert first.stdout
        assert first.stdout.readline() == "mine\n"
        with claimed(folder, "0of2"):
            pass
        with (
            pytest.raises(OutputError, match="is being written to by another command for 1of2"),
            claimed(folder, "1of2"),
        ):
            pass
        first.kill()
    with claimed(folder, "1of2"):
        pass
    assert list(folder.iterdir()) == []


def test_what_a_killed_command_has_forked_does_not_hold_its_folder(tmp_path: Path) -> None:
    then = "child = os.fork(); child or time.sleep(60); print(child, flush=True)"
    with claim(tmp_path, then) as first:
        assert first.stdout
        child = int(first.stdout.readline())
        first.kill()
        first.wait()
        with claimed(tmp_path):
            os.kill(child, signal.SIGKILL)


def test_a_folder_that_was_only_claimed_does_not_stay(tmp_path: Path) -> None:
    with claimed(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("take", [alone, claimed])
def test_a_drive_without_locks_will_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    take: Callable[[Path], AbstractContextManager[None]],
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(fcntl, "lockf", refuse)
    entered = []
    with take(tmp_path / "run"):
        entered.append("run")
    assert entered == ["run"]
