"""What the tests of this folder hide in files."""

from __future__ import annotations

import os
from pathlib import Path

MARKUP = "<img src=x onerror=owned=1></script><script>owned=1</script>\"'`|\\"
"""Becomes code wherever a page forgets to escape."""

ESCAPE = "\x1b[2J\x1b]0;owned\x07\u202egnol"
"""Clears a terminal, names its window, and writes from right to left."""


class Bomb:
    """A pickle of it makes a file when it is opened without care."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.mark}",)
