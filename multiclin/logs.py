"""Lines of a log, in which no name of a stranger's file or label can command the terminal."""

from __future__ import annotations

import logging

from multiclin.tables import visible


class Visible(logging.Formatter):
    """A formatter that spells control characters out."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record."""
        return visible(super().format(record))
