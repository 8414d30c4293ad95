"""Words written as in native notes: in another case, without diacritics, abbreviated.

A changed word is tokenised alone, behind the character that it follows in its text, and the result
is kept: a corpus has some ten thousands of words and shows each a hundred times. Trade-off: where
the tokenizer cuts the word as it was otherwise than in its text, nobody can say what it would make
of the changed one there, and the word is left alone.

Its mention, if it is in one, stays its mention. The period of an abbreviation belongs to a mention
that goes on behind it; at the end of one it is outside, as annotators have it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from multiclin.encoder import Subwords
from multiclin.passages import Edit, Passage, Tags, in_mention
from multiclin.tagging import Bools, Scheme
from multiclin.windows import IGNORED
from multiclin.words import word_spans

KEPT = 1 << 16
"""Words whose subwords are kept, some 30 MB; a full memory begins anew."""


def recased(word: str, draw: float) -> str:
    """In capitals, in small letters, or capitalised: of those that differ, one by the draw."""
    others = sorted({word.upper(), word.lower(), word.capitalize()} - {word})
    return others[int(draw * len(others))] if others else word


def without_diacritics(word: str, draw: float) -> str:
    """`lesión` to `lesion`, `över` to `over`; letters of their own such as `ł` stay."""
    if word.isascii():
        return word
    letters = (c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", "".join(letters))


def abbreviated(word: str, draw: float) -> str:
    """The first 3, 4 or 5 letters and a period, where that leaves two or more out.

    Example:
        `insuficiencia` to `ins.`, `insu.` or `insuf.`; `tos` and `IL-6` stay.
    """
    letters = 3 + int(3 * draw)
    return f"{word[:letters]}." if word.isalpha() and len(word) >= letters + 2 else word


SPELLINGS: Mapping[str, Callable[[str, float], str]] = MappingProxyType(
    {"case": recased, "diacritics": without_diacritics, "abbreviations": abbreviated}
)
"""Name -> a function of a word and a draw in [0, 1) that gives another spelling, or the same."""


class Pieces(NamedTuple):
    """The subwords of a word.

    Attributes:
        blank: Vocabulary ids of the tokens of white space directly before it.
        ids: Those of its own.
        starts: The first character of each in the word.
    """

    blank: list[int]
    ids: list[int]
    starts: list[int]


class Place(NamedTuple):
    """A word in a passage: its characters and its tokens, both half-open."""

    start: int
    end: int
    first: int
    stop: int


def stretch(scheme: Scheme, length: int, *, begins: bool, ends: bool) -> npt.NDArray[np.int8]:
    """Tags of tokens of a mention, which begins and ends with them or around them.

    Example:
        BIOES, 2 tokens that begin and do not end: `B I`.
    """
    before, behind = int(not begins), int(not ends)
    whole = before + length + behind
    return scheme.encode(whole, [(0, whole)])[before : before + length]


class Speller:
    """Writes words in another way.

    Args:
        shares: Of the words, that of each of `SPELLINGS`.
        subwords: The tokenizer.
        scheme: The tagging scheme.
    """

    def __init__(self, shares: Sequence[float], subwords: Subwords, scheme: Scheme) -> None:
        self.subwords, self.scheme = subwords, scheme
        self._bounds = np.cumsum(shares)
        self._kept: dict[tuple[str, str], Pieces | None] = {}

    def edits(
        self, passage: Passage, free: Bools, generator: np.random.Generator
    ) -> Iterator[Edit]:
        """A share of the words of a passage, each in another spelling.

        Args:
            passage: The passage.
            free: Tokens that may be changed, shape (tokens,).
            generator: What draws.
        """
        spellings = list(SPELLINGS.values())
        for place, kind, draw in self._drawn(passage, free, generator):
            written = spellings[kind](passage.text[place.start : place.end], draw)
            if edit := self._edit(passage, place, written):
                yield edit

    def _edit(self, passage: Passage, place: Place, written: str) -> Edit | None:
        """A word in another spelling; None where it must stay as it is."""
        start, end, first, stop = place
        word, before = passage.text[start:end], passage.text[max(0, start - 1) : start]
        if written == word or written[-1] == passage.text[end : end + 1] == ".":
            return None
        then, now = self.pieces(before, word), self.pieces(before, written)
        if then is None or now is None or then.ids != passage.ids[first:stop].tolist():
            return None
        tags: Tags | None = np.repeat(passage.tags[:, first : first + 1], len(now.ids), axis=1)
        if in_mention(passage.tags[:, first:stop], self.scheme).any():
            tags = self._tags(passage, place, now, written)
        if tags is None:
            return None
        if then.blank == now.blank:
            return Edit(first, stop, np.array(now.ids, np.int32), tags)
        # ` MAS` may be a token of white space and others, where ` más` is one token.
        begin = max(0, first - len(then.blank))
        blank = passage.starts[begin:first] == passage.ends[begin:first]
        if passage.ids[begin:first].tolist() != then.blank or not blank.all():
            return None
        unlabelled = np.full((len(tags), len(now.blank)), IGNORED, dtype=np.int8)
        ids = np.array(now.blank + now.ids, np.int32)
        return Edit(begin, stop, ids, np.concatenate([unlabelled, tags], axis=1))

    def _drawn(
        self, passage: Passage, free: Bools, generator: np.random.Generator
    ) -> Iterator[tuple[Place, int, float]]:
        """Words of free tokens, with the number of a spelling and a draw for it."""
        within = np.flatnonzero(free)
        if not len(within):
            return
        first, last = int(passage.starts[within[0]]), int(passage.ends[within[-1]])
        words = word_spans(passage.text[first:last]) + first
        draws = generator.random((len(words), 2))
        kinds = np.searchsorted(self._bounds, draws[:, 0], side="right")
        chosen = kinds < len(self._bounds)
        # A word that touches an edge may go on behind it.
        chosen &= (words[:, 0] > first) | (first == 0)
        chosen &= (words[:, 1] < last) | (last == len(passage.text))
        words, kinds, draws = words[chosen], kinds[chosen], draws[chosen]
        firsts = np.searchsorted(passage.ends, words[:, 0], side="right")
        stops = np.searchsorted(passage.starts, words[:, 1], side="left")
        freed = np.append(0, free.cumsum())
        whole = (firsts < stops) & (freed[stops] - freed[firsts] == stops - firsts)
        places = np.column_stack([words, firsts, stops])[whole].tolist()
        rest = zip(kinds[whole].tolist(), draws[whole, 1].tolist(), strict=True)
        yield from ((Place(*place), *one) for place, one in zip(places, rest, strict=True))

    def _tags(self, passage: Passage, place: Place, now: Pieces, written: str) -> Tags | None:
        """Tags of a word in a mention in its new spelling; None where it must stay as it is.

        That is where the mention begins or ends inside it, and where nobody can say whether the
        period of an abbreviation is in it.
        """
        first, stop = place.first, place.stop
        tags, scheme, length = passage.tags, self.scheme, len(now.ids)
        letters = len(written.removesuffix("."))
        inner = sum(start < letters for start in now.starts)
        made = np.full((len(tags), length), IGNORED, dtype=np.int8)
        for row, path in enumerate(tags[:, first:stop]):
            if path[0] == IGNORED:  # No gold for this label.
                continue
            if not scheme.inside_word[path[:-1], path[1:]].all():
                return None
            made[row] = scheme.encode(length, [])
            if scheme.outside[path[0]]:
                continue
            following = tags[row, stop:][tags[row, stop:] != IGNORED]
            if inner < length and not len(following):
                return None
            goes_on = inner < length and scheme.continuing[following[0]]
            reach = length if goes_on else inner
            begins, ends = scheme.opening[path[0]], scheme.closing[path[-1]]
            made[row, :reach] = stretch(scheme, reach, begins=begins, ends=ends)
        return made

    def pieces(self, before: str, word: str) -> Pieces | None:
        """The subwords of a word; None where they do not begin and end with it.

        Args:
            before: The character before it, empty at the beginning of a text.
            word: The word.
        """
        key = before, word
        if key not in self._kept:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[key] = self._cut(before, word)
        return self._kept[key]

    def _cut(self, before: str, word: str) -> Pieces | None:
        # A letter in front: some tokenizers begin a text in a way of their own.
        lead = f"a{before}" if before else ""
        ids, starts, ends = self.subwords.cut(lead + word)
        mine = ends > len(lead)
        if not mine.any() or starts[mine][0] != len(lead) or ends[mine][-1] != len(lead + word):
            return None
        at = int(mine.argmax())
        gap = at - int(np.append(True, starts[:at] < ends[:at])[::-1].argmax())
        return Pieces(ids[gap:at].tolist(), ids[at:].tolist(), (starts[at:] - len(lead)).tolist())
