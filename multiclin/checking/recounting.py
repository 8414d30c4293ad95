r"""Offsets that were counted in another way, and what they would be in characters.

A tool that works in UTF-16 units (Java, JavaScript, Windows) or bytes, that opened a file with
newline translation, dropped its byte order mark or normalised it, writes offsets that drift from
the characters of the file (FACTS 2). Each such `Counting` is a table over the text: what that tool
would have called each boundary between two characters. Where one counting turns every mention of a
file, those that are right already too, into the words that its line gives, it explains the file; if
several do, they must agree. Nothing else is ever moved: a guess by nearness could hit another
mention of the same words.

Units, line ends and byte order mark combine: 5 x 3 x 2 tables of one pass each, 1 ms for 3,000
characters, and only for files with a wrong offset. A constant shift stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Final, Literal, NamedTuple
from unicodedata import normalize

import numpy as np
import regex
from numpy.typing import NDArray

from multiclin.checking.mentions import Fragments, Mention
from multiclin.corpus import BOM, mention_mismatch, one_line

Table = NDArray[np.int64]
_MOST_SHIFTS: Final = 200


class Counting(NamedTuple):
    """A way to count, by what differs from characters of the file.

    Attributes:
        unit: A key of `UNITS`.
        breaks: A key of `BREAKS`.
        mark: Whether a byte order mark is counted.
        shift: What is added to every offset; 0 unless all else is as it should be.
    """

    unit: str = ""
    breaks: str = ""
    mark: bool = True
    shift: int = 0

    def __str__(self) -> str:
        said = [UNITS[self.unit].about, BREAKS[self.breaks]]
        said += ["" if self.mark else "no byte order mark"]
        said += [f"every offset {self.shift:+d}" if self.shift else ""]
        return " and ".join(filter(None, said)) or "the words in another Unicode normalisation"

    @property
    def oddity(self) -> int:
        """In how many ways it differs."""
        return sum(mine != usual for mine, usual in zip(self, Counting(), strict=True))


class _Unit(NamedTuple):
    about: str
    widths: Callable[[str], NDArray[np.int64] | None]


def _codes(text: str) -> NDArray[np.int64]:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.int64)


def _utf16(text: str) -> NDArray[np.int64]:
    return 1 + (_codes(text) > 0xFFFF)


def _utf8(text: str) -> NDArray[np.int64]:
    codes = _codes(text)
    return 1 + (codes > 0x7F) + (codes > 0x7FF) + (codes > 0xFFFF).astype(np.int64)


_CLUSTER: Final = regex.compile(r"\P{M}\p{M}+|[^\x00-\x7f]")


def _normalised(form: Literal["NFC", "NFD"]) -> Callable[[str], NDArray[np.int64] | None]:
    """Widths under a normalisation; None where it joins more than a letter and its marks."""

    def widths(text: str) -> NDArray[np.int64] | None:
        found = np.ones(len(text), dtype=np.int64)
        for match in _CLUSTER.finditer(text):
            found[match.start() : match.end() - 1] = 0  # Edges fall before or behind the whole.
            found[match.end() - 1] = len(normalize(form, match.group()))
        return found if found.sum() == len(normalize(form, text)) else None

    return widths


UNITS: Final[Mapping[str, _Unit]] = {
    "": _Unit("", lambda text: np.ones(len(text), dtype=np.int64)),
    "utf-16": _Unit("UTF-16 units instead of characters", _utf16),
    "utf-8": _Unit("UTF-8 bytes instead of characters", _utf8),
    "nfc": _Unit("characters after NFC normalisation", _normalised("NFC")),
    "nfd": _Unit("characters after NFD normalisation", _normalised("NFD")),
}
BREAKS: Final[Mapping[str, str]] = {
    "": "",
    "one": "a CRLF as one character",
    "two": "a line feed as two (CRLF)",
}


def fitting(text: str, mentions: Sequence[Mention]) -> list[Counting]:
    """The countings under which the text holds every mention, the simplest first.

    Args:
        text: The text.
        mentions: All mentions of one file, of which some are wrong as they stand.

    Example:
        In `😀 tos` a mention `tos` at 3-6 is at 2-5: UTF-16 units, or every offset 1 too high.
    """
    tried: dict[bytes, bool] = {}

    def fits(counting: Counting, table: Table) -> bool:
        content = table.tobytes()
        if content not in tried:
            moved = (_moved(mention.fragments, table) for mention in mentions)
            tried[content] = _held(text, mentions, moved)
        return tried[content]

    found = [counting for counting, table in _tables(text) if fits(counting, table)]
    found += _shifts(text, mentions)
    return sorted(found, key=lambda counting: (counting.oddity, counting.shift != 0))


def recounted(text: str, mentions: Sequence[Mention], counting: Counting) -> list[Fragments] | None:
    """Where mentions stand in characters; None where the counting has no such offsets."""
    if counting.shift:
        moved = [_shifted(mention.fragments, -counting.shift, text) for mention in mentions]
    else:
        table = _table(text, counting)
        moved = [] if table is None else [_moved(mention.fragments, table) for mention in mentions]
    found = [fragments for fragments in moved if fragments]
    return found if len(found) == len(mentions) else None


def rewritten(text: str, mention: Mention, fragments: Fragments) -> str:
    """The words for the line: as they are if the text holds them there, else those of the text."""
    held = _words(text, fragments)
    if held == mention.words or mention_mismatch(text, fragments, mention.words) is None:
        return mention.words
    return held


@lru_cache(maxsize=len(UNITS))
def _widths(text: str, unit: str) -> NDArray[np.int64] | None:
    return UNITS[unit].widths(text)


def _tables(text: str) -> Iterator[tuple[Counting, Table]]:
    for unit, breaks, mark in product(UNITS, BREAKS, (True, False)):
        counting = Counting(unit, breaks, mark)
        table = _table(text, counting)
        if table is not None:
            yield counting, table


def _table(text: str, counting: Counting) -> Table | None:
    """What the counting calls each boundary of the text, shape (characters + 1,)."""
    found = _widths(text, counting.unit)
    if found is None:
        return None
    widths, codes = found.copy(), _codes(text)
    after_return = np.append(False, codes[:-1] == ord("\r"))[: len(codes)]
    feeds = codes == ord("\n")
    if counting.breaks == "one":
        widths[np.flatnonzero(feeds & after_return) - 1] = 0
    if counting.breaks == "two":
        widths[feeds & ~after_return] = 2
    if not counting.mark and text.startswith(BOM):
        widths[0] = 0
    return np.append(0, np.cumsum(widths))


def _moved(fragments: Fragments, table: Table) -> Fragments | None:
    wanted = np.array(fragments)
    # Of boundaries with one name the first: before a CRLF, before a letter with its accents.
    places = np.searchsorted(table, wanted)
    if places.max() >= len(table) or (table[places] != wanted).any():
        return None
    moved = tuple((int(start), int(end)) for start, end in places)
    return moved if all(start < end for start, end in moved) else None


def _shifted(fragments: Fragments, by: int, text: str) -> Fragments | None:
    moved = tuple((start + by, end + by) for start, end in fragments)
    return moved if min(moved)[0] >= 0 and max(moved)[1] <= len(text) else None


def _held(text: str, mentions: Sequence[Mention], moved: Iterable[Fragments | None]) -> bool:
    """Whether the text holds all words there, in whatever normalisation."""
    pairs = zip(mentions, moved, strict=True)
    return all(fragments and _same(text, mention, fragments) for mention, fragments in pairs)


def _same(text: str, mention: Mention, fragments: Fragments) -> bool:
    held, words = _words(text, fragments), one_line(mention.words)
    if held == words or normalize("NFC", held) == normalize("NFC", words):
        return True
    return mention_mismatch(text, fragments, mention.words) is None


def _words(text: str, fragments: Fragments) -> str:
    return " ".join(one_line(text[start:end]) for start, end in fragments)


def _shifts(text: str, mentions: Sequence[Mention]) -> Iterator[Counting]:
    """The constant shifts that fit; none where the longest words stand all over the text."""
    whole = [mention for mention in mentions if len(mention.fragments) == 1 and mention.words]
    if not whole:
        return
    longest = max(whole, key=lambda mention: len(mention.words))
    places = _places(one_line(text), one_line(longest.words))
    for place in places if len(places) < _MOST_SHIFTS else ():
        shift = longest.start - place
        moved = (_shifted(mention.fragments, -shift, text) for mention in mentions)
        if shift and _held(text, mentions, moved):
            yield Counting(shift=shift)


def _places(text: str, words: str) -> list[int]:
    """Where the words stand, the first of them."""
    places: list[int] = []
    place = text.find(words)
    while place >= 0 and len(places) < _MOST_SHIFTS:
        places.append(place)
        place = text.find(words, place + 1)
    return places
