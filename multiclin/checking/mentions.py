r"""Mentions with their lines, wrong ones too, and what is to be said about each.

The readers of `corpus` say what is wrong (so what is clean here can be trained on); they are asked
line by line, for they give a file whole or not at all. A line of brat takes 10 µs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from multiclin.checking.findings import Findings
from multiclin.checking.places import Place
from multiclin.corpus import BOM, excerpt, mention_mismatch
from multiclin.corpus.brat import parse_ann
from multiclin.corpus.tsv import Row
from multiclin.document import CROWD, crowded
from multiclin.errors import CorpusError
from multiclin.words import word_index

Fragments = tuple[tuple[int, int], ...]
"""Half-open character ranges."""

LINE: Final = re.compile(r"(T[^\t]*)\t([^\t ]+) ([^\t]*)\t(.*?)\r?", re.DOTALL)
"""Id, label, offsets and words of a line of brat."""

_OFFSET: Final = re.compile("[0-9]{1,12}")
LONGEST: Final = 150
_MOST_PAIRS: Final = 1000  # of one document and label: a hostile file could have a million each


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention as a line of a file gives it.

    Attributes:
        line: 1-based.
        label: Its label.
        fragments: Where it stands, as the line has it.
        words: What the line says stands there.
        id: brat's, empty in a table.
        wrong: What is wrong with its offsets, empty where the text holds the words there.
        discontinuous: Whether more than a line end lies between its fragments.
    """

    line: int
    label: str
    fragments: Fragments
    words: str
    id: str = ""
    wrong: str = ""
    discontinuous: bool = False

    @property
    def start(self) -> int:
        """First character."""
        return min(start for start, _ in self.fragments)

    @property
    def end(self) -> int:
        """One past the last character."""
        return max(end for _, end in self.fragments)

    @property
    def key(self) -> tuple[str, Fragments]:
        """What makes two mentions the same."""
        return self.label, self.fragments


@dataclass(slots=True)
class Source:
    """The mentions that one file gives for one document.

    Attributes:
        path: The `.ann` or the table.
        text: The text, without its byte order mark where the mentions do not count that.
        mentions: In the order of their lines.
        malformed: Line and message of what is no mention.
        others: Number of lines that are no mention by their first character.
    """

    path: Path
    text: str
    mentions: list[Mention]
    malformed: list[tuple[int, str]]
    others: Counter[str]

    @property
    def wrong(self) -> list[Mention]:
        """Those with wrong offsets."""
        return [mention for mention in self.mentions if mention.wrong]


def ann_source(content: str, text: str, path: Path) -> Source:
    """The mentions of a `.ann`."""
    return _settled(text, lambda text: _ann_source(content, text, path))


def row_source(rows: Sequence[Row], text: str, path: Path) -> Source:
    """The mentions of one document in a table."""

    def mentions(text: str) -> Iterator[Mention]:
        for row in rows:
            fragments = ((row.start, row.end),)
            wrong = mention_mismatch(text, fragments, row.text) or ""
            yield Mention(row.line, row.label, fragments, row.text, wrong=wrong)

    return _settled(text, lambda text: Source(path, text, list(mentions(text)), [], Counter()))


def _settled(text: str, read: Callable[[str], Source]) -> Source:
    """As `corpus.settle_bom`: without the mark where only then everything fits."""
    source = read(text)
    if source.wrong and text.startswith(BOM):
        without = read(text[1:])
        return source if without.wrong else without
    return source


def _ann_source(content: str, text: str, path: Path) -> Source:
    source = Source(path, text, [], [], Counter())
    for number, line in enumerate(content.removeprefix(BOM).split("\n"), 1):
        wrong, pieces = "", 0
        try:
            spans, report = parse_ann(line, text, path, discontinuous="split")
        except CorpusError as error:
            wrong = error.problems[0].message
        else:
            source.others += report.ignored_lines
            pieces = len(spans)
        match = LINE.fullmatch(line)
        fragments = _fragments(match[3]) if match else ()
        if match and fragments:
            id, label, _, words = match.groups()
            mention = Mention(number, label, fragments, words, id, wrong, pieces > 1)
            source.mentions.append(mention)
        elif wrong:
            source.malformed.append((number, wrong))
    return source


def _fragments(offsets: str) -> Fragments:
    """The ranges that brat's offsets tell; none where they are malformed."""
    ends = [fragment.split() for fragment in offsets.split(";")]
    if any(len(pair) != 2 or not all(map(_OFFSET.fullmatch, pair)) for pair in ends):
        return ()
    ranges = tuple((int(start), int(end)) for start, end in ends)
    return ranges if all(start < end for start, end in ranges) else ()


def judge(source: Source, place: Place, findings: Findings, remedy: str = "") -> None:
    """Everything to be said about the mentions of a document.

    Args:
        source: The mentions.
        place: Where the document lies.
        findings: Takes it.
        remedy: What mends the wrong offsets of this file, where something does.
    """
    path, text = source.path, source.text
    for line, message in source.malformed:
        findings.add("malformed_line", path, line, message)
    for sign, number in sorted(source.others.items()):
        findings.add("other_line", path, 0, f"{number:,} lines that begin with {sign}")
    for mention in source.mentions:
        if mention.wrong:
            kind = "outside_text" if mention.end > len(text) else "wrong_offset"
            findings.add(kind, path, mention.line, mention.wrong, remedy)
        if place.label and mention.label != place.label:
            what = f"label {excerpt(mention.label)} in a set of {place.label}"
            findings.add("unknown_label", path, mention.line, what)
    _judge_ids(source, findings)
    good = [mention for mention in source.mentions if not mention.wrong]
    _judge_shapes(good, source, findings)
    _judge_pairs(good, source, findings)


def _judge_ids(source: Source, findings: Findings) -> None:
    first: dict[str, int] = {}
    for mention in source.mentions:
        line = first.setdefault(mention.id, mention.line) if mention.id else mention.line
        if line != mention.line:
            what = f"id {excerpt(mention.id)} has line {line} already"
            remedy = "number the lines anew: brat and others keep one of them"
            findings.add("duplicate_id", source.path, mention.line, what, remedy)


def _judge_shapes(mentions: Sequence[Mention], source: Source, findings: Findings) -> None:
    text = source.text
    words = word_index(text) if mentions else None

    def inside_word(edge: int) -> bool:
        return words is not None and 0 < edge < len(text) and words[edge - 1] == words[edge] >= 0

    for mention in mentions:
        start, end = mention.start, mention.end
        held = text[start:end]
        shapes = {
            "discontinuous_mention": mention.discontinuous,
            "cut_word": any(inside_word(edge) for ends in mention.fragments for edge in ends),
            "blank_edge": held != held.strip(),
            "one_character": end - start == 1,
            "long_mention": end - start > LONGEST,
        }
        for kind, met in shapes.items():
            if met:
                findings.add(kind, source.path, mention.line, _place(mention, text))


def _judge_pairs(mentions: Sequence[Mention], source: Source, findings: Findings) -> None:
    if label := crowded((one.label, one.start, one.end) for one in mentions):
        what = f"over {CROWD} mentions of {excerpt(label)} share a character"
        findings.add("crowd", source.path, 0, what)
    first: dict[tuple[str, Fragments], Mention] = {}
    by_label: dict[str, list[Mention]] = {}
    for mention in mentions:
        if mention is not first.setdefault(mention.key, mention):
            what = f"{_place(mention, source.text)} stands in line {first[mention.key].line}"
            findings.add("duplicate_mention", source.path, mention.line, what)
        else:
            by_label.setdefault(mention.label, []).append(mention)
    for alike in by_label.values():
        for kind, one, other in islice(_crossing(alike), _MOST_PAIRS):
            what = f"{_place(one, source.text)} and {other.start}-{other.end} (line {other.line})"
            findings.add(kind, source.path, one.line, what)


def _crossing(mentions: Iterable[Mention]) -> Iterator[tuple[str, Mention, Mention]]:
    """Pairs of mentions that share characters: the kind, the inner or later one, the other."""
    open_: list[Mention] = []  # all that may still meet the next one
    for mention in sorted(mentions, key=lambda one: (one.start, -one.end)):
        open_ = [earlier for earlier in open_ if earlier.end > mention.start]
        for earlier in open_:
            inside = mention.end <= earlier.end
            yield "nested_mention" if inside else "overlapping_mention", mention, earlier
        open_.append(mention)


def _place(mention: Mention, text: str) -> str:
    return f"{mention.start}-{mention.end} {excerpt(text[mention.start : mention.end])}"
