r"""What a word is in every script, and mentions snapped to whole words.

How. `regex` supplies Unicode's letter, number, mark and word-break classes, so one rule serves all
languages, composed (NFC) or not. Runs of letters and digits are found for all characters of a text
at once, and only where a sign stands between two of them a pattern decides. A word is that of UAX
29 with tailorings, as the annex lets one make, each for a habit of clinical text: a period joins
initials only (`T.A.C`; never `escrotal.Precisa`, where a space was lost); a hyphen joins beside a
digit (`IL-6`, `5-FU`; never `HD-associated`, which corpora cut); an apostrophe joins one last
letter (`Crohn's`; never `l'ictus`); a comma joins digits; `_` joins nothing. `inner` joins more. In
the four corpora of ../shared/data 60 mentions have an edge at a hyphen between letters, and one
beside a digit, where 253 such hyphens stand inside mentions.

Snapping mends the edges that subword decoding leaves. A strategy is a function in `SNAPPINGS`:

* `none`: as decoded.
* `paper`: section 2.4 of the paper: strip what is not alphanumeric, widen to the word.
* `words`: strip what no mention ends in, widen to the word with its signs (`HER2+`, `10%`, `°C`,
  `i.v.`), keep a bracket or quotation mark whose partner is inside, take in a closing one that
  stands right behind its span (`(IRC` and `)`). One pair around everything is dropped (`(AAS)`).
  An opening partner left of the span is not taken in: corpora leave it out 12 times in 16.

Trade-off: gold itself may break a rule, and snapping then spoils an exact prediction. Of 37,459
gold mentions `paper` changes 231 (0.62 %) and `words` 101 (0.27 %), half of these cut inside a word
(a lost last letter, `M0` in `T2N0M0`). A stop before a capital behind a digit would keep 3 of them,
but gold has 178 such places within 3 characters of an edge, where a slip would then stay. `words`
costs 0.29 ms for 3,000 characters, once per text, `word_spans` 0.11 ms (`paper`: 0.06 ms).
`tests/test_words.py` holds the bounds.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import regex
from numpy.typing import NDArray

from multiclin.document import Span
from multiclin.errors import ConfigError

Snapper = Callable[[int, int], tuple[int, int] | None]
"""Edges (start, end) of one text -> snapped edges, or None where the mention is to be dropped."""

_LETTER = r"[\p{L}\p{N}]"
_INVISIBLE = r"[\p{WB=Format}\p{WB=ZWJ}\p{WB=Extend}]"
_JOIN = rf"""
    {_INVISIBLE}                                           # soft hyphen, joiners
  | (?<=\p{{N}})[.,](?=\p{{N}})                            # 38,5
  | (?<=\p{{N}})[-\u2010\u2011] | [-\u2010\u2011](?=\p{{N}})  # 5-FU, IL-6
  | ['’](?=\p{{L}}\p{{M}}*(?!{_LETTER}))                   # Crohn's
  | (?<=(?<!{_LETTER})\p{{L}}\p{{M}}*)\.(?=\p{{L}}\p{{M}}*(?!{_LETTER}))  # T.A.C
"""
_BEFORE = r"°(?=\p{L})"
_AFTER = rf"""
    \.(?<=\.\p{{L}}\p{{M}}*\.) (?: [+%‰°]++(?!{_LETTER}) )?  # the last period of T.A.C.
  | [+%‰°]++(?!{_LETTER})                                  # HER2+ 10% 30°
"""
_OPTIONAL = rf"""
    (?<=\p{{N}}\s)[%‰]                                     # 10 %
  | (?<=[\p{{L}}\p{{N}})\]]\s)\++(?!\s*{_LETTER})           # CD20 +
  | (?<=[\p{{Lu}}\p{{N}}])[-−](?!{_LETTER})                 # A-
  | (?<!{_LETTER})[-−+±<>≤≥](?=\s?\p{{N}})                  # -5, > 38
"""
_FLAGS = regex.VERSION1 | regex.VERBOSE

_BRACKETS = {")": "(", "]": "[", "}": "{"}
_QUOTES = {mark: family for family in ('"“”„«»', "'‘’‚‹›") for mark in family}
_MARKS = regex.compile(f"[{regex.escape(''.join([*_BRACKETS, *_BRACKETS.values(), *_QUOTES]))}\n]")
_JOIN_PATTERN = regex.compile(_JOIN, _FLAGS)
_INVISIBLES_PATTERN = regex.compile(f"{_INVISIBLE}+", _FLAGS)
_BEFORE_PATTERN = regex.compile(_BEFORE, _FLAGS)
_AFTER_PATTERN = regex.compile(_AFTER, _FLAGS)
_OPTIONAL_PATTERN = regex.compile(_OPTIONAL, _FLAGS)

_JOIN_KIND, _MARK, _LETTER_KIND = 2, 3, 4
_KINDS = {
    _LETTER_KIND: regex.compile(_LETTER),
    _MARK: regex.compile(r"\p{M}"),
    _JOIN_KIND: regex.compile(rf"[{_INVISIBLE}.,'’\-\u2010\u2011]", regex.VERSION1),
    1: regex.compile(".", regex.DOTALL),
}
_KIND: NDArray[np.uint8] = np.zeros(0x110000, dtype=np.uint8)
"""Of each code point, what it is to a word; 0 where it has never been met."""


def word_spans(text: str, inner: str = "") -> NDArray[np.int32]:
    """Find the words of a text.

    Args:
        text: Any text, normalised or not.
        inner: Characters that, single and between two letters or digits, hold one word together
            beyond the rule of the module: with `-'` both `post-operatorio` and `l'ictus` are one.

    Returns:
        Half-open character offsets in order, shape (words, 2). `HER2+ en l'ictus` gives
        `[[0, 4], [6, 8], [9, 10], [11, 16]]`.
    """
    kinds = _kinds(text)
    edges = np.flatnonzero(np.diff(kinds >= _MARK, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]  # of letters, digits and their marks
    letters = np.append(np.flatnonzero(kinds == _LETTER_KIND), len(text))
    starts = letters[np.searchsorted(letters, starts)]  # A word begins with no mark.
    starts, ends = starts[starts < ends], ends[starts < ends]
    apart = np.ones(len(starts) + 1, dtype=np.bool_)
    may_join = kinds[ends[:-1]] == _JOIN_KIND
    if inner:
        may_join |= np.isin(np.array([text[at] for at in ends[:-1].tolist()]), list(inner))
    for at in np.flatnonzero(may_join).tolist():
        apart[at + 1] = not _joins(text, int(ends[at]), int(starts[at + 1]), inner)
    return np.stack([starts[apart[:-1]], ends[apart[1:]]], axis=1).astype(np.int32)


def _kinds(text: str) -> NDArray[np.uint8]:
    """What each character is to a word, shape (characters,)."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    kinds: NDArray[np.uint8] = _KIND[codes]
    if not kinds.all():
        for code in set(codes[kinds == 0].tolist()):
            _KIND[code] = next(kind for kind, one in _KINDS.items() if one.match(chr(code)))
        kinds = _KIND[codes]
    return kinds


def _joins(text: str, start: int, end: int, inner: str) -> bool:
    """Whether what stands between two runs of letters and digits makes them one word."""
    if end - start > 1:
        return bool(_INVISIBLES_PATTERN.fullmatch(text, start, end))
    return text[start] in inner or bool(_JOIN_PATTERN.match(text, start))


def word_index(text: str, inner: str = "") -> NDArray[np.int32]:
    """Give each character the number of its word, or -1 between words; shape (characters,)."""
    return _index(word_spans(text, inner), len(text))


def _index(spans: NDArray[np.int32], length: int) -> NDArray[np.int32]:
    numbers = np.full(2 * len(spans) + 1, -1, dtype=np.int32)  # gap, word, gap, ..., word, gap
    numbers[1::2] = np.arange(len(spans))
    return np.repeat(numbers, np.diff(spans.ravel(), prepend=0, append=length))


def _partners(text: str) -> dict[int, int]:
    """Pair the brackets of the text and the quotation marks of each line, both ways.

    A quotation mark between two letters or digits is an apostrophe; one after a gap opens, one
    behind a character closes, one between two gaps does what is due.
    """
    pairs: list[tuple[int, int]] = []
    open_brackets: list[int] = []
    open_quotes: dict[str, int] = {}
    for match in _MARKS.finditer(text):
        here, mark = match.start(), match.group()
        if mark in _QUOTES:
            before, after = text[max(0, here - 1) : here], text[here + 1 : here + 2]
            family = _QUOTES[mark]
            gap = not before or before.isspace() or before in "([{"
            if before.isalnum() and after.isalnum():
                continue
            if family in open_quotes and (not gap or not after.strip()):
                pairs.append((open_quotes.pop(family), here))
            elif gap:
                open_quotes[family] = here
        elif mark == "\n":
            open_quotes.clear()
        elif mark not in _BRACKETS:
            open_brackets.append(here)
        elif open_brackets and text[open_brackets[-1]] == _BRACKETS[mark]:
            pairs.append((open_brackets.pop(), here))
    return {a: b for pair in pairs for a, b in (pair, pair[::-1])}


def _as_decoded(text: str, inner: str = "") -> Snapper:
    return lambda start, end: (start, end)


def _paper(text: str, inner: str = "") -> Snapper:
    def snapped(start: int, end: int) -> tuple[int, int] | None:
        while start < end and not text[start].isalnum():
            start += 1
        while start < end and not text[end - 1].isalnum():
            end -= 1
        if start == end:
            return None
        while start > 0 and text[start - 1].isalnum():
            start -= 1
        while end < len(text) and text[end].isalnum():
            end += 1
        return start, end

    return snapped


def _with_signs(text: str, words: NDArray[np.int32]) -> NDArray[np.int32]:
    """The words with the signs that belong to them: `T.A.C.`, `HER2+`, `°C`."""
    units = words.copy()
    for edge, pattern in enumerate((_BEFORE_PATTERN, _AFTER_PATTERN)):
        for match in pattern.finditer(text):
            outer, inner = match.span() if edge == 0 else match.span()[::-1]
            number = int(np.searchsorted(words[:, edge], inner))
            if number < len(words) and words[number, edge] == inner:
                units[number, edge] = outer
    return units


def _whole_words(text: str, inner: str = "") -> Snapper:
    spans = _with_signs(text, word_spans(text, inner))
    units, unit = spans.tolist(), _index(spans, len(text))
    optional = {at for m in _OPTIONAL_PATTERN.finditer(text) for at in range(*m.span())}
    partner = _partners(text)

    def stays(at: int, start: int, end: int) -> bool:
        return bool(unit[at] >= 0 or at in optional or start <= partner.get(at, -1) < end)

    def snapped(start: int, end: int) -> tuple[int, int] | None:
        if unit[start:end].max() < 0:
            return None
        while True:
            if not stays(start, start, end):
                start += 1
            elif not stays(end - 1, start, end):
                end -= 1
            elif partner.get(start) == end - 1:
                start, end = start + 1, end - 1
            else:
                break
        if unit[start] >= 0:
            start = units[unit[start]][0]
        if unit[end - 1] >= 0:
            end = units[unit[end - 1]][1]
        while start <= partner.get(end, -1) < end:
            end += 1
        return start, end

    return snapped


SNAPPINGS: Mapping[str, Callable[[str, str], Snapper]] = MappingProxyType(
    {"none": _as_decoded, "paper": _paper, "words": _whole_words}
)
"""Strategy -> a function of a text and `inner` (see `word_spans`) that returns its `Snapper`."""


class _Piece(NamedTuple):
    """A snapped mention and the mentions it came from."""

    span: Span
    origins: tuple[Span, ...]

    def clashes(self, other: _Piece) -> bool:
        """Whether snapping alone made the two overlap."""
        return self.span.overlaps(other.span) and not any(
            mine.overlaps(theirs) for mine in self.origins for theirs in other.origins
        )

    def joined(self, other: _Piece, snapper: Snapper) -> _Piece:
        """One piece that covers both; snapped anew, for a bracket may have found its partner."""
        start = min(self.span.start, other.span.start)
        end = max(self.span.end, other.span.end)
        edges = snapper(start, end) or (start, end)
        score = _surer(self.span, other.span).score
        return _Piece(Span(*edges, self.span.label, score), self.origins + other.origins)


def snap(
    text: str, spans: Sequence[Span], strategy: str = "words", inner: str = ""
) -> tuple[Span, ...]:
    """Move the edges of mentions to words.

    `[insuficiencia re]nal` becomes `[insuficiencia renal]`, `dolor [(EVA) ]` becomes
    `dolor ([EVA])`. Mentions without a letter or digit go. Where two mentions of
    one label, apart before, come to overlap, they met inside a word: a decoder broke one mention
    there, so they become one that covers both, with the higher score. Snapping twice changes
    nothing more.

    Args:
        text: The text of the spans.
        spans: Mentions in any order; they may nest and overlap, and then still may afterwards.
        strategy: A name in `SNAPPINGS`.
        inner: Characters that hold a word together beyond the rule, for `words`.

    Returns:
        The mentions sorted, no (start, end, label) twice, label and score kept.

    Raises:
        ConfigError: The strategy has no such name.
    """
    if strategy not in SNAPPINGS:
        near = difflib.get_close_matches(strategy, SNAPPINGS, n=1, cutoff=0.0)[0]
        names = ", ".join(SNAPPINGS)
        raise ConfigError(f"snapping={strategy!r} is none of {names}; did you mean {near!r}?")
    if not spans:
        return ()
    snapper = SNAPPINGS[strategy](text, inner)
    by_label: dict[str, list[_Piece]] = {}
    for span in spans:
        if edges := snapper(span.start, span.end):
            piece = _Piece(Span(*edges, span.label, span.score), (span,))
            by_label.setdefault(span.label, []).append(piece)
    best: dict[Span, Span] = {}
    for pieces in by_label.values():
        for piece in _merged(pieces, snapper):
            best[piece.span] = _surer(best.get(piece.span, piece.span), piece.span)
    return tuple(sorted(best.values()))


def _surer(one: Span, other: Span) -> Span:
    return max(one, other, key=lambda span: -1.0 if span.score is None else span.score)


def _merged(pieces: Sequence[_Piece], snapper: Snapper) -> list[_Piece]:
    """Join the pieces of one label that clash until none do."""
    done: list[_Piece] = []
    open_pieces: list[_Piece] = []  # all that may still meet the next piece
    for piece in sorted(pieces, key=lambda piece: piece.span):
        joined = piece
        if all(other.span.end <= piece.span.start for other in open_pieces):
            done += open_pieces
            open_pieces = []
        while clashing := [other for other in open_pieces if joined.clashes(other)]:
            open_pieces.remove(clashing[0])
            joined = clashing[0].joined(joined, snapper)
        open_pieces.append(joined)
    return done + open_pieces
