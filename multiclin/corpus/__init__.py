"""Files of a corpus as `Document`s and back, one format per module.

Here stands what the formats share: the report of what a reading met, and the check that a mention
written beside its offsets is the one that the text holds there. Offsets are those of the file
(DESIGN section 3), so a wrong one cannot be mended silently; the check says what was probably
counted instead. It costs time linear in the length of the mention, whatever the offsets claim.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Final, TypeVar
from unicodedata import normalize

from multiclin.errors import CorpusError
from multiclin.privacy import left_out, may_quote
from multiclin.tables import on_one_line

BOM: Final = "\ufeff"

# Every character at which some reader of lines breaks one.
_BREAKS: Final = str.maketrans(dict.fromkeys("\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029", " "))
_EXCERPT: Final = 40
_LISTED: Final = 20
_NEARBY: Final = 100
_Result = TypeVar("_Result")


@dataclass(slots=True)
class ReadReport:
    """What a reading met, for the table and the warnings. Reports add up: `a + b`.

    Attributes:
        documents: Documents read without a problem; the other counts are of these.
        mentions: Mentions kept, repeated ones included.
        discontinuous: Mentions in several fragments, whatever the policy made of them.
        duplicates: Repetitions of a mention with the same offsets and label. Kept: the official
            scorer counts each (FACTS 3).
        missing_ann: Documents of an annotated set that have no `.ann`.
        ignored_lines: Lines of a `.ann` that are no mention, by their first character.
        ignored_labels: Mentions under another label than those asked for.
    """

    documents: int = 0
    mentions: int = 0
    discontinuous: int = 0
    duplicates: int = 0
    missing_ann: int = 0
    ignored_lines: Counter[str] = field(default_factory=Counter)
    ignored_labels: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: ReadReport) -> ReadReport:
        names = [entry.name for entry in fields(self)]
        return ReadReport(*(getattr(self, name) + getattr(other, name) for name in names))

    def add(self, other: ReadReport) -> None:
        """Adds the counts of `other` in place."""
        total = self + other
        for entry in fields(self):
            setattr(self, entry.name, getattr(total, entry.name))

    def notes(self) -> list[str]:
        """What is worth a line under a table; empty where nothing unusual was met."""

        def listed(counts: Counter[str]) -> str:
            return ", ".join(
                f"{on_one_line(name)} {number:,}" for name, number in sorted(counts.items())
            )

        notes = {
            "discontinuous mentions": f"{self.discontinuous:,}" if self.discontinuous else "",
            "repeated mentions": f"{self.duplicates:,}" if self.duplicates else "",
            "documents without .ann": f"{self.missing_ann:,}" if self.missing_ann else "",
            "lines that are no mention": listed(self.ignored_lines),
            "mentions under other labels": listed(self.ignored_labels),
        }
        return [f"{name}: {value}" for name, value in notes.items() if value]


def one_line(mention: str) -> str:
    """The mention with every TAB and line break as one space; its length stays."""
    return mention.translate(_BREAKS)


def excerpt(text: str) -> str:
    """At most 40 characters, quoted, of what may be a patient's text; their number, if unwanted."""
    return as_name(text) if may_quote() else left_out(text)


def as_name(text: str) -> str:
    """At most 40 characters, quoted, of the name of a document, a label, a file or a column."""
    return repr(text[:_EXCERPT]) + ("..." if len(text) > _EXCERPT else "")


def as_range(start: object, end: object) -> str:
    """Two values where offsets must stand, for a message: what is no number may be anything."""
    said = f"{start!r}-{end!r}"[:_EXCERPT]
    return said if may_quote() or type(start) is type(end) is int else left_out(said)


def listing(names: Iterable[str]) -> str:
    """Names that a corpus has, for a message: at most 20, each at most 40 characters."""
    names = list(names)
    shown = [name[:_EXCERPT] + ("..." if len(name) > _EXCERPT else "") for name in names[:_LISTED]]
    more = [f"... ({len(names) - _LISTED} more)"] if len(names) > _LISTED else []
    return ", ".join(shown + more)


def checked_text(value: object, name: str) -> str:
    """A value of JSON where a text must stand.

    Raises:
        ValueError: It is none, or holds half a surrogate pair: JSON can spell it, no file hold it.
    """
    if not isinstance(value, str):
        found = "nothing" if value is None else f"a JSON {type(value).__name__}"
        raise ValueError(f"{name} must be a string, found {found}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        message = f"{name} holds half a surrogate pair at character {error.start}"
        raise ValueError(message) from error
    return value


def checked_name(value: object, name: str) -> str:
    """A value of JSON where a name must stand; a whole number is one.

    Raises:
        ValueError: It is none, or is empty, or holds half a surrogate pair.
    """
    text = checked_text(str(value) if type(value) is int else value, name)
    if not text:
        raise ValueError(f"{name} is empty")
    return text


def mention_mismatch(text: str, fragments: Sequence[tuple[int, int]], mention: str) -> str | None:
    r"""What is wrong where the text does not hold the mention at its offsets, else None.

    White space is compared as brat writes it: any white space equals a space, and a CRLF equals
    one space or two. Fragments of a discontinuous mention are joined by a space.

    Args:
        text: The whole text.
        fragments: Half-open character ranges.
        mention: The words as the annotation file has them.

    Example:
        >>> mention_mismatch("dolor\r\nleve", [(0, 11)], "dolor leve") is None
        True
        >>> mention_mismatch("sin diabetes", [(3, 11)], "diabetes")
        "offset 3-11 holds ' diabete' but the line says 'diabetes' (which stands at 4-12)"
    """
    # A CRLF may be one space, so the text is at most twice as long: longer ranges need no look.
    length = sum(end - start for start, end in fragments) + len(fragments) - 1
    outside = max(end for _, end in fragments) > len(text)
    if len(mention) <= length <= 2 * len(mention) and not outside:
        found = " ".join(text[start:end] for start, end in fragments)
        if found == mention:
            return None
        if _blank(mention) in (_blank(found), _blank(_short_breaks(found))):
            return None
    offsets = ";".join(f"{start}-{end}" for start, end in fragments[:3])
    reason = _reason(text, *fragments[0], mention) if len(fragments) == 1 else ""
    if outside:
        return f"offset {offsets} lies beyond the text of {len(text)} characters{reason}"
    shown = " ".join(text[start : min(end, start + _EXCERPT + 1)] for start, end in fragments[:3])
    return f"offset {offsets} holds {excerpt(shown)} but the line says {excerpt(mention)}{reason}"


def settle_bom(text: str, read: Callable[[str], _Result]) -> tuple[str, _Result]:
    """The text and what `read` makes of it, with a byte order mark as the annotators counted it.

    The mark is a code point like any other (brat counts it) unless the mentions fit only without
    it: then it is taken off the text, so that every offset is still the one in the file. A text
    without gold keeps its mark.

    Raises:
        CorpusError: As `read` does with the mark in place.
    """
    try:
        return text, read(text)
    except CorpusError:
        if not text.startswith(BOM):
            raise
        with suppress(CorpusError):
            return text[1:], read(text[1:])
        raise  # Wrong either way: what is wrong with the whole text is the message to give.


def _blank(text: str) -> str:
    return re.sub(r"\s", " ", text)


def _short_breaks(text: str) -> str:
    return text.replace("\r\n", "\n")


# Other ways in which tools count: name, units per offset, text as a sequence of those units.
_COUNTINGS: Final[tuple[tuple[str, int, Callable[[str], str | bytes]], ...]] = (
    (
        "UTF-16 units instead of characters",
        2,
        lambda text: text.encode("utf-16-le", "surrogatepass"),
    ),
    ("UTF-8 bytes instead of characters", 1, lambda text: text.encode("utf-8", "surrogatepass")),
    ("a CRLF as one character", 1, lambda text: _blank(_short_breaks(text))),
    ("the text after NFC normalisation", 1, lambda text: normalize("NFC", text)),
    ("the text after NFD normalisation", 1, lambda text: normalize("NFD", text)),
)


@lru_cache(maxsize=1)
def _recounted(text: str) -> tuple[str | bytes, ...]:
    """The text under each counting, once per file however many of its mentions are wrong."""
    return tuple(convert(text) for _, _, convert in _COUNTINGS)


def _reason(text: str, start: int, end: int, mention: str) -> str:
    """Why the offsets may be wrong, as the tail of a message; looks little beyond them."""
    if end - start <= 4 * len(mention) and end <= len(text):
        found = text[start:end]
        if normalize("NFC", found) == normalize("NFC", mention):
            return " (the same letters in another Unicode normalisation: one file was rewritten)"
    # No counting makes so much of so little; a line of a gigabyte is not to be converted.
    countings = _COUNTINGS if len(mention) <= 4 * (end - start) else ()
    for (name, unit, convert), view in zip(countings, _recounted(text), strict=False):
        wanted = convert(mention)
        same_length = len(wanted) == unit * (end - start)
        if same_length and view[unit * start : unit * end] == wanted:
            return f" (the offsets seem to count {name})"
    near = max(0, start - _NEARBY)
    place = text.find(mention, near, start + len(mention) + _NEARBY) if mention else -1
    return f" (which stands at {place}-{place + len(mention)})" if place >= 0 else ""
