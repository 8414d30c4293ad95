"""The errors that a user can cause, and what they should read when they do.

One root, so that every command can turn any of them into one message and exit status 2. Each
message says what was wrong, where (file and line, or config key and value) and what to do. Bugs
of ours stay ordinary exceptions with a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class MulticlinError(Exception):
    """Root of all errors that the user of a command can mend."""


class ConfigError(MulticlinError):
    """A setting has a value that cannot work."""


class CheckpointError(MulticlinError):
    """A checkpoint or bundle is missing, broken or of another kind."""


class EncoderError(MulticlinError):
    """An encoder or tokenizer cannot be loaded or cannot serve token classification."""


class DivergedError(MulticlinError):
    """A training has left the numbers: its loss is infinite or not a number."""


class LostProcessError(MulticlinError):
    """One of the processes that work together has ended before its time."""


class OutOfMemoryError(MulticlinError):
    """A batch does not fit in memory, and a smaller one could not be tried."""


class WorkerError(MulticlinError):
    """A process that makes batches has died."""


class OutputError(MulticlinError):
    """A result cannot be written, or would overwrite an existing one."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in one file.

    Attributes:
        path: The file or folder.
        line: 1-based line number, or 0 where the problem is the whole file.
        message: What is wrong and how to mend it. It quotes at most a short excerpt of the text.
    """

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else f"{self.path}"
        return f"{where}: {self.message}"


class CorpusError(MulticlinError):
    """Files of a corpus are wrong. Holds every problem that was found, not only the first.

    Args:
        problems: The problems, or one plain message.
    """

    SHOWN = 20

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        self.problems: list[Problem] = [] if isinstance(problems, str) else sorted(problems)
        if isinstance(problems, str):
            super().__init__(problems)
            return
        shown = [str(problem) for problem in self.problems[: self.SHOWN]]
        more = len(self.problems) - len(shown)
        if more > 0:
            shown.append(f"... and {more} more problems of this kind")
        super().__init__("\n".join(shown))
