"""What is to be said about the characters of a text.

One finding per text and kind, with the number of places and the line of the first: a text with a
thousand TABs is one thing to look at. Most texts are let through by one search.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from unicodedata import is_normalized, name

import regex

from multiclin.checking.findings import Findings
from multiclin.corpus import BOM
from multiclin.errors import CorpusError
from multiclin.files import read_text

_CLASSES: Final = {
    "crlf": r"\r\n",
    "tab": r"\t",
    "no_break_space": r"[\u00a0\u2007\u202f]",
    "zero_width": r"[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]",
    "private_use": r"\p{Co}",
    "replacement": r"\ufffd",
    "control_character": r"(?:\r(?!\n)|[\p{Cc}--[\r\n\t]]|[\u2028\u2029])",
}
_ANY: Final = regex.compile(
    "|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _CLASSES.items()), regex.VERSION1
)


class _Met(NamedTuple):
    number: int
    first: int


def read(path: Path, findings: Findings) -> str | None:
    """The text of a file as it is; None where it has none, and then a finding."""
    try:
        return read_text(path)
    except CorpusError as error:
        is_bytes = isinstance(error.__cause__, UnicodeDecodeError)
        for problem in error.problems:
            kind = "not_utf8" if is_bytes else "unreadable"
            findings.add(kind, problem.path, problem.line, problem.message)
        return None


def judge_text(text: str, path: Path, findings: Findings) -> None:
    """Everything to be said about a text by itself.

    Args:
        text: The text as the file has it.
        path: The file.
        findings: Takes it.
    """
    body = text.removeprefix(BOM)
    if not body.strip():
        findings.add("empty_text", path, 0, f"{len(text):,} characters, none to be read")
    if body != text:
        findings.add("byte_order_mark", path, 1, "U+FEFF at its start")
    offset = len(text) - len(body)
    for kind, met in _met(body):
        first = offset + met.first
        what = f"{_called(text[first])} at {first}"
        more = f", and {met.number - 1:,} more" if met.number > 1 else ""
        findings.add(kind, path, line_of(text, first), what + more)
    if not is_normalized("NFC", text):
        findings.add("not_nfc", path, 0, "letters and their accents are characters of their own")


def line_of(text: str, position: int) -> int:
    """The 1-based line of a character."""
    return text.count("\n", 0, position) + 1


def _met(text: str) -> Iterator[tuple[str, _Met]]:
    """How often each class of characters is there, and where first."""
    met: dict[str, _Met] = {}
    for match in _ANY.finditer(text):
        kind = str(match.lastgroup)
        number, first = met.get(kind, _Met(0, match.start()))
        met[kind] = _Met(number + 1, first)
    yield from met.items()


def _called(char: str) -> str:
    code = f"U+{ord(char):04X}"
    return f"{code} {name(char)}" if name(char, "") else code
