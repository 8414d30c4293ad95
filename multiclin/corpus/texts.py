"""Texts without gold, to be predicted: which files, and what their documents are called.

One rule for names: a document has the name of its file without suffix, or, where two folders hold
the same name, its path below the root. What cannot be read is a `Problem` in the place of its
document, and so is a name that no table can carry (a TAB, a line break, bytes that are not UTF-8),
for it would spoil the output of all the others at the end. Texts stream: memory holds their paths.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Container, Iterator
from itertools import islice, starmap
from pathlib import Path
from typing import Final

from multiclin.corpus import as_name, one_line
from multiclin.corpus.jsonl import read_documents
from multiclin.document import Document
from multiclin.errors import CorpusError, Problem
from multiclin.files import read_text

UNKNOWN: Final = "unknown"
LONGEST: Final = 10_000_000
"""Characters that a text to be predicted may have: 2 GiB of memory for its tokens."""

_LANGUAGE: Final = re.compile(r"(?:MultiClinNER-)?([a-z]{2})-")
_DOCUMENT: Final = re.compile(r"MultiClinNER-[^-]+-(.+)-[^-]+-(\d+)")


def folders_of(root: Path) -> Iterator[Path]:
    """`root` and every folder below it, links followed once, hidden and `__MACOSX` left out.

    Raises:
        CorpusError: A folder cannot be read.
    """
    seen: set[Path] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        place = folder.resolve()
        if place in seen:
            continue
        seen.add(place)
        yield folder
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir())
        except OSError as error:
            problem = Problem(folder, 0, f"cannot be read: {error.strerror}")
            raise CorpusError([problem]) from error
        waiting += [folder / name for name in reversed(names) if _is_visible(name)]


def files_of(folder: Path, suffix: str) -> list[Path]:
    """The visible files of a folder with that suffix, sorted; none where there is no folder."""
    return sorted(path for path in folder.glob(f"*{suffix}") if _is_visible(path.name))


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def case_of(id: str) -> str:
    """The case that a document id names: split and number, one in all languages and entities.

    Folders in the id do not count.

    Example:
        >>> case_of("MultiClinNER-en-train-disease-0001")
        'train-0001'
        >>> case_of("S0004-06142005000500011-1")
        'S0004-06142005000500011-1'
    """
    name = id.rpartition("/")[2] or id
    match = _DOCUMENT.fullmatch(name)
    return "-".join(match.groups()) if match else name


def language_of(document: str) -> str:
    """The language code at the head of a document's name, else `unknown`.

    Example:
        `MultiClinNER-cz-test-disease-0001` -> `cz`; `es-S0004-06142005000700014-1` -> `es`.
    """
    match = _LANGUAGE.match(document)
    return match.group(1) if match else UNKNOWN


def find_texts(path: Path, named: Container[str] = ()) -> dict[str, Path]:
    """Every `.txt` at or below `path` by the id of its document; a file gives itself.

    Args:
        path: A folder or a file.
        named: Ids that something else gives documents: those that are paths stay.

    Example:
        `x.txt`, `a/x.txt` and `a/y.txt` have the ids `x`, `a/x` and `y`; if `a/y` is named, `a/y`.

    Raises:
        CorpusError: There is none.
    """
    places = text_places(path)
    alike = Counter(text.stem for text in places.values())
    return {
        place if place in named or alike[text.stem] > 1 else text.stem: text
        for place, text in places.items()
    }


def text_places(path: Path) -> dict[str, Path]:
    """Every `.txt` at or below `path` by its path from there without suffix, sorted.

    Raises:
        CorpusError: There is none.
    """
    if path.is_file():
        return {path.stem: path}
    check_place(path)
    found = [text for folder in folders_of(path) for text in files_of(folder, ".txt")]
    if not found:
        raise CorpusError([Problem(path, 0, "no .txt file here or in any folder below")])
    places = {text.relative_to(path).with_suffix("").as_posix(): text for text in found}
    return dict(sorted(places.items()))


def check_place(path: Path) -> None:
    """Raise `CorpusError` where there is no such file or folder."""
    if not path.exists():
        raise CorpusError([Problem(path, 0, "no such file or folder")])


class Texts:
    """The texts at a path, to be read in parts.

    Args:
        path: A folder of .txt at any depth, a file of text, or a .jsonl of documents.

    Raises:
        CorpusError: There is no such path, or no text in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_jsonl = path.is_file() and path.suffix == ".jsonl"
        self.files = {} if self.is_jsonl else find_texts(path)

    def read(self, part: int = 0, parts: int = 1) -> Iterator[Document | Problem]:
        """Every `parts`-th document from `part` on; in place of a bad one, what is wrong."""
        if self.is_jsonl:
            return self._lines(part, parts)
        return starmap(_read, islice(self.files.items(), part, None, parts))

    def _lines(self, part: int, parts: int) -> Iterator[Document | Problem]:
        try:
            for document in islice(read_documents(self.path), part, None, parts):
                yield _wrong_name(document.id, self.path) or document
        except CorpusError as error:
            # Every part reads the whole file and meets every bad line: one of them tells.
            yield from error.problems if part == 0 else ()


def _read(id: str, file: Path) -> Document | Problem:
    try:
        text = read_text(file)
        if len(text) > LONGEST:
            return Problem(file, 0, f"no document has over {LONGEST:,} characters; cut it in parts")
        return _wrong_name(id, file) or Document(id, text, case=case_of(file.stem))
    except CorpusError as error:
        return error.problems[0]


def _wrong_name(id: str, path: Path) -> Problem | None:
    """Why a table of mentions cannot carry this id; None where it can."""
    if one_line(id) != id:
        return Problem(path, 0, f"a table cannot carry the TAB or line break in {as_name(id)}")
    try:
        id.encode()
    except UnicodeEncodeError:
        return Problem(path, 0, f"the name {as_name(id)} is not UTF-8; rename it")
    return None
