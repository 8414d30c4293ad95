"""Values made from bytes, front to back; where the bytes run out, the smallest value.

So every input makes a case, a shorter input makes a simpler one, and a byte that changes changes
one value: what a mutating fuzzer needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from multiclin.document import Document, Span

_Value = TypeVar("_Value")

# What breaks readers of text: white space and line ends of every kind, marks, wide and odd letters.
HARD: Final = (
    "\r\n\t\v\f\0\x1c\x85\xa0\u2028\u2029\u2007\u200b\u200d\u2060\ufeff\xad"
    "\u0301\u0327\u0303ñéÉüčşßŁİıǅﬁ①²½Ⅷ٣한\u1100漢字אπ😀👩🏽𝄞𝔸\U000e0001"
    "\ue000\ufffd\uffff¿¡–—−-‘’“”«»…·•°‰±≤µ+%/\\\"'()[]{}<>&;:,.!?#*_=@|~^$`"
)
_CHARACTERS: Final = [chr(code) for code in range(128)] + [HARD[n % len(HARD)] for n in range(128)]
LABELS: Final = ("X", "Y", "DISEASE", "A-B")


class Source:
    """Draws from bytes.

    Args:
        data: The bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included: of one byte where that is enough."""
        size = 1 if high - low < 256 else 2 if high - low < 1 << 16 else 8
        part = self._take(size)
        return low + int.from_bytes(part, "big") % (high - low + 1)

    def choice(self, values: Sequence[_Value]) -> _Value:
        """One of the values."""
        return values[self.number(0, len(values) - 1)]

    def flag(self) -> bool:
        """Yes or no."""
        return bool(self.number(0, 1))

    def text(self, longest: int) -> str:
        """Characters: bytes below 128 are ASCII, the others are the `HARD` ones."""
        return "".join(_CHARACTERS[byte] for byte in self._take(self.number(0, longest)))

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self._take(len(self._data))

    def spans(self, length: int, most: int = 8, labels: Sequence[str] = LABELS) -> tuple[Span, ...]:
        """Mentions anywhere in a text: nested, repeated, overlapping."""
        number = self.number(0, most) if length else 0
        return tuple(self._span(length, labels) for _ in range(number))

    def document(self, name: str = "a", longest: int = 120) -> Document:
        """A document with gold for all labels."""
        text = self.text(longest)
        return Document(name, text, self.spans(len(text)), "es", frozenset(LABELS))

    def _span(self, length: int, labels: Sequence[str]) -> Span:
        start = self.number(0, length - 1)
        end = start + 1 + self.number(0, min(length - start - 1, 255))
        return Span(start, end, self.choice(labels))

    def _take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        self._at += len(part)
        return part
