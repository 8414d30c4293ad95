"""The kinds of things that are found in a corpus, and the list of what was found.

An error makes the corpus dirty: training would refuse a file, the gold is not what the text says,
or a score would flatter. A note is a property of real corpora (nested mentions, CRLF, ...): models
meet it, and the list tells how often, but nothing has to be mended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

from multiclin.corpus import one_line
from multiclin.tables import visible


class Kind(NamedTuple):
    """What findings have in common.

    Attributes:
        level: `error` makes the corpus dirty, `note` does not.
        about: What such a finding is, in the plural.
        remedy: What to do about it.
    """

    level: Literal["error", "note"]
    about: str
    remedy: str


def _error(about: str, remedy: str) -> Kind:
    return Kind("error", about, remedy)


def _note(about: str, remedy: str = "nothing has to be done") -> Kind:
    return Kind("note", about, remedy)


_TIDY: Final = "tidy the text only together with its offsets; training reads it as it is"
_FLAT: Final = "one layer of tags holds the longest of them; `ceiling` in a run's report counts it"

KINDS: Final[Mapping[str, Kind]] = {
    "unreadable": _error("files that cannot be read", "look at their rights and their disk"),
    "not_utf8": _error("files that are not UTF-8", "save them as UTF-8, then check again"),
    "bad_name": _error("files whose name no table can carry", "rename them"),
    "malformed_line": _error("lines that are no mention", "write them anew or delete them"),
    "wrong_offset": _error("offsets that hold other words", "correct offset or words by hand"),
    "outside_text": _error("offsets beyond the end of a text", "correct the offset by hand"),
    "unknown_label": _error(
        "mentions under another label than their set's",
        "training leaves them out: rename the label (corpus convert --map OLD=NEW) or delete them",
    ),
    "missing_ann": _error(
        "texts without .ann in an annotated set",
        "add it; if it has no mentions, --repair OUT --add-empty-ann writes an empty one",
    ),
    "missing_text": _error("mentions without a text", "add the text or delete the mentions"),
    "empty_text": _error("texts with nothing in them", "delete them with their annotations"),
    "duplicate_id": _error("ids that stand for two things", "give each one its own"),
    "repeated_set": _error("sets that lie in two folders", "keep one of them"),
    "disagreement": _error(".ann and table of one set that disagree", "keep the right one of them"),
    "same_text": _error(
        "texts on two sides of training and test", "delete one: a score over it would flatter"
    ),
    "near_duplicate": _error(
        "almost the same text on two sides of training and test",
        "read both; delete one, or raise --near if they are different cases",
    ),
    "crowd": _error("more mentions at one place than are read", "delete those that repeat others"),
    "duplicate_mention": _note(
        "mentions given twice",
        "the official scorer counts each; --repair OUT --drop-duplicates keeps the first",
    ),
    "nested_mention": _note("mentions inside another one of their label", _FLAT),
    "overlapping_mention": _note("mentions partly over another one of their label", _FLAT),
    "discontinuous_mention": _note(
        "mentions in fragments", "data.discontinuous says what becomes of them: cover, split, skip"
    ),
    "cut_word": _note("mentions with an edge inside a word", "whole-word decoding cannot hit them"),
    "blank_edge": _note("mentions that begin or end with white space", "move the edge to the word"),
    "one_character": _note("mentions of one character", "look whether they are meant"),
    "long_mention": _note("mentions of more than 150 characters", "look whether they are meant"),
    "other_line": _note("brat lines that are no mention (relations, notes, ...)", "ignored"),
    "repeated_text": _note("texts that stand twice in one set", "the second teaches nothing new"),
    "crlf": _note("texts with CRLF line ends", _TIDY),
    "byte_order_mark": _note("texts that begin with a byte order mark", _TIDY),
    "tab": _note("texts with TABs", _TIDY),
    "no_break_space": _note("texts with no-break spaces", _TIDY),
    "zero_width": _note("texts with characters without width", _TIDY),
    "private_use": _note("texts with private-use characters", "their glyph is lost: " + _TIDY),
    "control_character": _note("texts with control characters", _TIDY),
    "replacement": _note("texts with U+FFFD", "a character was lost in an earlier conversion"),
    "not_nfc": _note("texts that are not in Unicode's form NFC", _TIDY),
    "beyond_window": _note("mentions longer than a window", "raise the window"),
    "inside_token": _note("mentions with an edge inside a token", "no tags of this encoder fit"),
    "unknown_token": _note("texts with characters that the tokenizer does not know", _TIDY),
}
"""Kinds by name, in the order in which they are told: errors first."""


def printable(text: str) -> str:
    """On one line and in UTF-8, whatever a stranger called a file."""
    return visible(one_line(text)).encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: A name in `KINDS`.
        path: The file or folder.
        line: 1-based line, or 0 where it is about the whole file.
        what: What is there; quotes at most short excerpts.
        remedy: What to do, where there is better advice than that of the kind.
    """

    kind: str
    path: Path
    line: int
    what: str
    remedy: str = ""

    @property
    def advice(self) -> str:
        """What to do about it."""
        return self.remedy or KINDS[self.kind].remedy


@dataclass(slots=True)
class Findings:
    """Everything that was found, by kind, in the order in which it was met."""

    by_kind: dict[str, list[Finding]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def add(self, kind: str, path: Path, line: int, what: str, remedy: str = "") -> None:
        """Note one; names of files in `what` may hold anything."""
        self.by_kind[kind].append(Finding(kind, path, line, printable(what), remedy))

    def __iter__(self) -> Iterator[Finding]:
        return (finding for found in self.by_kind.values() for finding in found)

    def counts(self) -> dict[str, int]:
        """How many there are of each kind that was met."""
        return {kind: len(found) for kind, found in self.by_kind.items() if found}

    def levels(self) -> Counter[str]:
        """How many errors and notes there are."""
        levels: Counter[str] = Counter(error=0, note=0)
        for kind, number in self.counts().items():
            levels[KINDS[kind].level] += number
        return levels
