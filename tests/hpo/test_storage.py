"""Where a study is kept: a journal that is mended, a database that answers or says why not."""

from __future__ import annotations

import os
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage, RDBStorage
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from multiclin.errors import ConfigError
from multiclin.hpo import storage
from multiclin.hpo.storage import mend, open_storage, without_password


def journal_of(folder: Path, trials: int) -> Path:
    """A journal with a study `s` of so many complete trials."""
    path = folder / "journal.log"
    study = optuna.create_study(study_name="s", storage=open_storage(str(path)))
    for number in range(trials):
        study.tell(study.ask(), float(number))
    return path


def test_a_path_is_a_journal_whose_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.log"
    opened = open_storage(str(path))
    assert isinstance(opened, JournalStorage)
    optuna.create_study(study_name="s", storage=opened)
    assert path.is_file()


def test_a_url_is_a_database(tmp_path: Path) -> None:
    opened = open_storage(f"sqlite:///{tmp_path}/trials.db")
    assert isinstance(opened, RDBStorage)
    assert (tmp_path / "trials.db").is_file()


@pytest.mark.parametrize(
    ("place", "shown", "reason"),
    [
        (
            "postgresql+psycopg://eva:s3cret@127.0.0.1:1/trials",
            "hpo.storage=postgresql+psycopg://eva:***@127.0.0.1:1/trials: OperationalError",
            "refused",
        ),
        (
            "mysql+nodriver://eva:s3cret@127.0.0.1:1/trials",
            "hpo.storage=mysql+nodriver://eva:***@127.0.0.1:1/trials",
            "nodriver",
        ),
        ("oddbase://eva:s3cret@host/trials", "hpo.storage=oddbase://eva:***@host/trials", ""),
        ("sqlite:////nowhere/at/all/trials.db", "hpo.storage=sqlite:////nowhere", "unable to open"),
    ],
)
def test_a_database_that_cannot_be_had_is_a_mistake(place: str, shown: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_storage(place)
    what, hint = str(caught.value).splitlines()
    assert what.startswith(shown)
    assert reason in what
    assert "s3cret" not in str(caught.value)
    assert hint.startswith("hint: a path is a journal file; PostgreSQL: pip install")


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("CREATE", {}, Exception("table studies already exists")),
        ProgrammingError("CREATE", {}, Exception('relation "studies" already exists')),
        IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed: version_info")),
    ],
)
def test_tables_that_another_process_makes_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    calls: list[str] = []

    def slow_to_appear(place: str, **_: object) -> str:
        calls.append(place)
        if len(calls) < 3:
            raise error
        return "opened"

    monkeypatch.setattr(storage, "RDBStorage", slow_to_appear)
    monkeypatch.setattr("time.sleep", lambda _: None)
    opened: object = open_storage("sqlite:///trials.db")
    assert (opened, len(calls)) == ("opened", 3)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        (
            "python train.py hpo.storage=mysql://u:p@h/d seed=1",
            "python train.py hpo.storage=mysql://u:***@h/d seed=1",
        ),
        ("a://u:p@h b://v:q@i", "a://u:***@h b://v:***@i"),
        ("postgresql://host:5432/d", "postgresql://host:5432/d"),  # A port, no password.
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("sqlite:///trials.db", "sqlite:///trials.db"),
        ("outputs/hpo/disease/journal.log", "outputs/hpo/disease/journal.log"),
    ],
)
def test_the_password_of_a_url_is_hidden(text: str, shown: str) -> None:
    assert without_password(text) == shown


@pytest.mark.parametrize("half", ['{"op_code": 5, "tri', "{", '{"op_code": 4}'])
def test_half_a_record_at_the_end_of_a_journal_is_cut_off(tmp_path: Path, half: str) -> None:
    path = journal_of(tmp_path, trials=2)
    whole = path.read_bytes()
    path.write_bytes(whole + half.encode())
    mend(path)
    assert path.read_bytes() == whole
    study = optuna.load_study(study_name="s", storage=open_storage(str(path)))
    study.tell(study.ask(), 2.0)
    again = optuna.load_study(study_name="s", storage=open_storage(str(path)))
    assert [trial.value for trial in again.trials] == [0.0, 1.0, 2.0]


def test_a_whole_journal_is_left_alone(tmp_path: Path) -> None:
    path = journal_of(tmp_path, trials=2)
    whole, written = path.read_bytes(), path.stat().st_mtime_ns
    mend(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (whole, written)


@pytest.mark.parametrize("content", [None, b"", b"half of the first"])
def test_a_journal_without_a_record_is_empty(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "journal.log"
    if content is not None:
        path.write_bytes(content)
    study = optuna.create_study(study_name="s", storage=open_storage(str(path)))
    assert study.trials == []


def test_the_lock_of_a_journal_leads_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna asks a lock, a link, for the age of what it leads to, to see that its owner died."""
    monkeypatch.chdir(tmp_path)
    led_to: list[bool] = []
    symlink = os.symlink

    def observed(target: str, link: str) -> None:
        symlink(target, link)
        led_to.append(Path(link).resolve() == tmp_path / "shared/journal.log")

    monkeypatch.setattr(os, "symlink", observed)
    optuna.create_study(study_name="s", storage=open_storage("shared/journal.log"))
    assert led_to
    assert all(led_to)
