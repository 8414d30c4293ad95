"""Whether a message may quote the words of a document: `privacy.log_text`.

What a training, a prediction, an evaluation or a search says ends in places that nobody thinks of:
its log file, the output that a cluster keeps, a tracker, `failed.json`. Unless asked they quote no
word; a message then tells file, line, offsets and how many characters it leaves out. The tools for
looking at texts (`multiclin corpus`, `report`, `compare`) quote up to 40 characters on the console.

What another library raises may hold anything, so of most errors that are none of ours only kind and
place are kept (`message`). A crash still prints Python's traceback on standard error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from multiclin.errors import MulticlinError

_quoting: ContextVar[bool] = ContextVar("quoting", default=True)
_LEFT_OUT = " characters>"
_TOLD = (OSError, MemoryError, RuntimeError)
"""Errors of the machine, whose first line is worth keeping."""


def may_quote() -> bool:
    """Whether a message may hold words of a document."""
    return _quoting.get()


@contextmanager
def quoting(allowed: bool) -> Iterator[None]:
    """Let messages quote words of documents within the block, or not."""
    before = _quoting.set(allowed)
    try:
        yield
    except MulticlinError as error:
        if not allowed and _LEFT_OUT in str(error):
            error.args = (f"{error}\nhint: privacy.log_text=true quotes the words left out",)
        raise
    finally:
        _quoting.reset(before)


def left_out(text: str) -> str:
    """What stands in the place of a text."""
    return f"<{len(text):,}{_LEFT_OUT}"


def asked(config: Mapping[str, Any]) -> bool:
    """Whether a config asks for words in messages: its `privacy.log_text`."""
    return bool((config.get("privacy") or {}).get("log_text"))


def message(error: BaseException, *, quoted: bool) -> str:
    """What an error says, for a log, a file or a tracker.

    Args:
        error: The error.
        quoted: Whether words of a document may be in it.
    """
    if quoted or isinstance(error, MulticlinError):
        return str(error)
    if isinstance(error, _TOLD):
        return (str(error).splitlines() or [""])[0]
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    code = trace.tb_frame.f_code if trace else None
    place = f"in {Path(code.co_filename).name}, {code.co_name}; " if code else ""
    return f"{place}privacy.log_text=true tells more"
