"""Where a study is kept: a journal file that several machines may share, or a database.

Optuna writes both. Added here: half a record that a power cut left in a journal is cut off, two
processes may make the tables of a database at once, and no message shows a password.
"""

from __future__ import annotations

import logging
import os
import re
import time
from pathlib import Path

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, ProgrammingError

from multiclin.errors import ConfigError

log = logging.getLogger(__name__)

JOURNAL = "journal.log"
ATTEMPTS = 5
"""Times that the tables of a database are looked for while another process makes them."""


def open_storage(place: str) -> BaseStorage:
    """The storage of a study.

    Args:
        place: A database URL (`sqlite:///trials.db`, `postgresql+psycopg://...`), or the path of a
            journal file, which may lie on a disk that several machines share.

    Raises:
        ConfigError: The database cannot be reached, or its driver is missing.
    """
    if "://" not in place:
        # Optuna's lock is a link to this path: a relative one would lead nowhere, and wait forever.
        path = Path(place).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        mend(path)
        return JournalStorage(JournalFileBackend(str(path)))
    for attempt in range(ATTEMPTS):
        try:
            # A connection that a server has closed meanwhile is opened again.
            return RDBStorage(place, engine_kwargs={"pool_pre_ping": True})
        except (IntegrityError, ProgrammingError, OperationalError) as error:
            # Two processes made the tables at the same time: the other one was faster.
            raced = isinstance(error, IntegrityError) or "already exists" in str(error)
            if attempt + 1 < ATTEMPTS and raced:
                time.sleep(0.2 * (attempt + 1))
                continue
            raise _unreachable(place, error) from error
        except (ImportError, ArgumentError) as error:
            raise _unreachable(place, error) from error
    raise AssertionError("the last attempt returns or raises")


def _unreachable(place: str, error: Exception) -> ConfigError:
    reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return ConfigError(
        f"hpo.storage={without_password(place)}: {without_password(reason)}\n"
        "hint: a path is a journal file; PostgreSQL: pip install 'multiclin[postgres]' and "
        "postgresql+psycopg://user:password@host/database"
    )


def without_password(text: str) -> str:
    """The text with the password of every URL in it hidden."""
    return re.sub(r"(://[^:/@\s]+):[^@\s]+@", r"\1:***@", text)


def mend(journal: Path) -> None:
    """Cut off half a line at the end of a journal: a power cut can leave one.

    The next record would be written behind it, and Optuna could read neither.
    """
    if not journal.exists() or journal.stat().st_size == 0:
        return
    with journal.open("rb+") as stream:
        stream.seek(-1, os.SEEK_END)
        if stream.read(1) == b"\n":
            return
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()  # Or it is half a line because somebody is writing.
    try:
        whole = journal.read_bytes()
        kept = whole.rfind(b"\n") + 1
        if kept < len(whole):
            os.truncate(journal, kept)
            log.warning("%s: half a record at its end is cut off", journal)
    finally:
        lock.release()
