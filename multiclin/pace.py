"""How far a prediction is: documents done of all, documents per second, time that is left.

A bar where somebody watches; where nobody does, as in the log of a cluster's job, a line of the log
every half minute. The rate is that of the whole run, which on a hundred thousand documents is
steady, and starts with the first batch: loading a model is no part of it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm

log = logging.getLogger(__name__)


class Pace:
    """Counts documents and shows how it goes.

    Args:
        total: Documents of this command.
        done: Those of them that an earlier run has predicted.
        every: Seconds between two lines of the log.
        bar: Whether to draw a bar instead; None: if standard output is a terminal.
        clock: Seconds.
    """

    def __init__(
        self,
        total: int,
        done: int = 0,
        *,
        every: float = 30,
        bar: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.done, self.every, self.clock = total, done, every, clock
        self._first, self._began = done, clock()
        self._said = self._began
        self._draws = sys.stdout.isatty() if bar is None else bar
        self._shows = False
        self._bar: Tqdm | None = None

    def start(self, shows: bool = True) -> None:
        """Count time from here, and show it where this is the process that does."""
        self._began = self._said = self.clock()
        self._shows = shows
        if shows and self._draws:
            self._bar = self._drawn()

    def advance(self, documents: int) -> None:
        """So many more are done."""
        self.done = min(self.total, self.done + documents)
        if self._bar:
            self._bar.update(self.done - self._bar.n)
        elif self._shows and self.clock() - self._said >= self.every:
            self._said = self.clock()
            log.info(str(self))

    def close(self) -> None:
        """Clear the bar: what it showed is in the log."""
        if self._bar:
            self._bar.close()

    @property
    def counted(self) -> str:
        """How many are done: `12,800 of 100,000 documents`."""
        return f"{self.done:,} of {self.total:,} documents"

    def __str__(self) -> str:
        """As a line: `12,800 of 100,000 documents (13 %), 214 per second, 6 min 47 s left`."""
        said = f"{self.counted} ({100 * self.done / max(1, self.total):.0f} %)"
        seconds, done = self.clock() - self._began, self.done - self._first
        if not done or seconds <= 0:
            return said
        rate = done / seconds
        left = duration((self.total - self.done) / rate)
        return f"{said}, {rate:,.{0 if rate >= 10 else 1}f} per second, {left} left"

    def _drawn(self) -> Tqdm:
        return Tqdm(
            total=self.total,
            initial=self.done,
            unit=" documents",
            dynamic_ncols=True,
            leave=False,
            file=sys.stdout,
        )


def duration(seconds: float) -> str:
    """Seconds as people say them.

    Example:
        >>> duration(407), duration(7384), duration(12)
        ('6 min 47 s', '2 h 3 min', '12 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
