"""Targets of `corpus check` and its repair."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from unicodedata import normalize

from multiclin.checking.check import Checked, check
from multiclin.checking.mentions import Mention
from multiclin.checking.recounting import Counting, fitting, recounted
from multiclin.checking.repair import CHANGES, Asked, changes_path, repair
from multiclin.checking.telling import as_console, write_json, write_markdown
from multiclin.corpus.release import find_sets, read_sets
from tests.fuzzing.contracts import LONGEST_MESSAGE, attempted, until_told
from tests.fuzzing.files import folder, lay
from tests.fuzzing.source import Source

_TRAIN: Final = "MultiClinNER-es-train-disease"
_TEST: Final = "MultiClinNER-es-test-disease"
TREE: Final = (
    f"{_TRAIN}/txt/a.txt",
    f"{_TRAIN}/ann/a.ann",
    f"{_TRAIN}/txt/b.txt",
    f"{_TRAIN}/ann/b.ann",
    f"{_TEST}/txt/a.txt",
    f"{_TEST}/tsv/{_TEST}.tsv",
)
"""The files of a case, in their order."""
_OFFSETS: Final = ("wrong_offset", "outside_text")


def check_and_repair(data: bytes) -> None:
    """A check tells all that a reader will refuse; a repair mends a copy, or says what it leaves.

    The original stays as it was.
    """
    source = Source(data)
    asked = Asked(drop_duplicates=source.flag(), add_empty_ann=source.flag())
    with folder() as root:
        lay(root / "in", TREE, source.rest())
        before = _contents(root / "in")
        checked, _ = attempted(lambda: check(root / "in"))
        if checked is None:
            return
        _judge_telling(checked, root)
        sets, _ = attempted(lambda: find_sets(root / "in"))
        _, error = until_told(read_sets(sets or []))
        assert not (checked.is_clean and error), f"clean, but: {error}"
        counts = repair(checked, root / "out", asked)
        assert counts.keys() <= CHANGES.keys()
        assert _contents(root / "in") == before
        _judge_copy(checked, root, counts)


def _contents(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def _judge_telling(checked: Checked, root: Path) -> None:
    as_console(checked).encode()
    write_json(checked, root / "found.json")
    write_markdown(checked, root / "found.md")
    json.loads((root / "found.json").read_bytes())
    assert all(len(one.what) <= LONGEST_MESSAGE for one in checked.findings)


def _judge_copy(checked: Checked, root: Path, counts: Counter[str]) -> None:
    """What is wrong with the offsets of the copy stands in the list of changes as left."""
    lines = changes_path(root / "out").read_text("utf-8").splitlines()
    changes = [json.loads(line) for line in lines]
    assert Counter(one["change"] for one in changes) == counts
    again = check(root / "out")
    left = Counter(one["file"] for one in changes if one["change"] == "left")
    whole = {one["file"] for one in changes if one["change"] == "left" and not one["line"]}
    wrong = Counter(
        one.path.relative_to(root / "out").as_posix()
        for kind in _OFFSETS
        for one in again.findings.by_kind[kind]
    )
    for file, number in wrong.items():
        assert file in whole or number <= left[file], f"{file}: {number} wrong, {left[file]} told"
    kinds = again.findings.counts().keys() - checked.findings.counts().keys()
    assert not kinds & {"malformed_line", "not_utf8", "unreadable", "missing_text"}, kinds


_COUNTS: Final[Mapping[str, Callable[[str], int]]] = {
    "": len,
    "utf-16": lambda text: len(text.encode("utf-16-le")) // 2,
    "utf-8": lambda text: len(text.encode()),
    "nfc": lambda text: len(normalize("NFC", text)),
    "nfd": lambda text: len(normalize("NFD", text)),
}


def recounting(data: bytes) -> None:
    """Offsets of another way to count come back to those of the file, the words being the same.

    Whatever fits, the words that a line tells stand where it puts them.
    """
    source = Source(data)
    unit, one_break = source.choice(tuple(_COUNTS)), source.flag()
    text = source.text(60)
    spans = source.spans(len(text))

    def counted(place: int) -> int:
        head = text[:place].replace("\r\n", "\n") if one_break else text[:place]
        return _COUNTS[unit](head)

    if any(text[edge : edge + 1] == "\n" for one in spans for edge in (one.start, one.end)):
        one_break = False  # Such an edge may part a CRLF.
    mentions = [
        Mention(1, one.label, ((counted(one.start), counted(one.end)),), text[one.start : one.end])
        for one in spans
        if counted(one.start) < counted(one.end)
    ]
    right = [((one.start, one.end),) for one in spans if counted(one.start) < counted(one.end)]
    countings = fitting(text, mentions)
    asked = Counting(unit, "one" if one_break else "")
    assert unit in ("nfc", "nfd") or asked in countings or not mentions
    for counting in countings:
        found = recounted(text, mentions, counting)
        assert found is not None
        assert counting != asked or unit in ("nfc", "nfd") or found == right
        for mention, ((start, end),) in zip(mentions, found, strict=True):
            assert 0 <= start < end <= len(text)
            assert _alike(text[start:end]) == _alike(mention.words)


def _alike(words: str) -> str:
    return "".join(normalize("NFC", words).split())
