"""Texts without gold, to be predicted: which files, and what their documents are called.

One rule for names: a document has the name of its file without suffix, or, where two folders hold
the same name, its path below the root. What cannot be read is a `Problem` in the place of its
document, and so is a name that no table can carry (a TAB, a line break, bytes that are not UTF-8),
for it would spoil the output of all the others at the end.

Texts stream, in portions of neighbours: what a portion is depends on the input alone, so any
process can read it at any time. Memory holds the names of files, of a JSONL file two numbers per
portion.
"""

from __future__ import annotations

import hashlib
import os
import re
from array import array
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from multiclin.corpus import as_name, one_line
from multiclin.corpus.jsonl import is_blank, read_line
from multiclin.document import Document
from multiclin.errors import CorpusError, Problem
from multiclin.files import read_lines, read_text

UNKNOWN: Final = "unknown"
LONGEST: Final = 10_000_000
"""Characters that a text to be predicted may have: 2 GiB of memory for its tokens."""

PORTION: Final = 128
"""Neighbouring documents that are read, tokenised, predicted and written together."""

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
    alike = _alike(places)
    return {place if place in named else _id(place, alike): text for place, text in places.items()}


def text_places(path: Path) -> dict[str, Path]:
    """Every `.txt` at or below `path` by its path from there without suffix, sorted.

    Raises:
        CorpusError: There is none.
    """
    return {place: _file(path, place) for place in _places(path)}


def _places(path: Path) -> list[str]:
    """The keys of `text_places`: plain strings, of which a hundred thousand take 10 MB."""
    if path.is_file():
        return [path.stem]
    check_place(path)
    places: list[str] = []
    for folder in folders_of(path):
        above = "" if folder == path else f"{folder.relative_to(path).as_posix()}/"
        # `folders_of` says why a folder cannot be read.
        with suppress(OSError), os.scandir(folder) as entries:
            names = (one.name for one in entries if one.name.endswith(".txt"))
            places += (above + name.removesuffix(".txt") for name in names if _is_visible(name))
    if not places:
        raise CorpusError([Problem(path, 0, "no .txt file here or in any folder below")])
    return sorted(places)


def _file(path: Path, place: str) -> Path:
    """The file that has a place at or below `path`."""
    return path if path.is_file() else path / f"{place}.txt"


def _alike(places: Iterable[str]) -> set[str]:
    """File names that more than one folder holds."""
    counts = Counter(place.rpartition("/")[2] for place in places)
    return {name for name, count in counts.items() if count > 1}


def _id(place: str, alike: Container[str]) -> str:
    name = place.rpartition("/")[2]
    return place if name in alike else name


def check_place(path: Path) -> None:
    """Raise `CorpusError` where there is no such file or folder."""
    if not path.exists():
        raise CorpusError([Problem(path, 0, "no such file or folder")])


class Texts:
    """The texts at a path, to be read in portions.

    Args:
        path: A folder of .txt at any depth, a file of text, or a .jsonl of documents.

    Attributes:
        digest: Of the names of the files, or of the content of a .jsonl.

    Raises:
        CorpusError: There is no such path, or no text in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_jsonl = path.is_file() and path.suffix == ".jsonl"
        self._digest = hashlib.sha256()
        if self.is_jsonl:
            self._starts = self._count_lines()
        else:
            self._places = _places(path)
            self._alike = _alike(self._places)
            self._count = len(self._places)
            for place in self._places:
                self._digest.update(os.fsencode(place) + b"\0")
        self.digest = self._digest.hexdigest()[:16]

    def __len__(self) -> int:
        """Documents, bad ones included."""
        return self._count

    @property
    def portions(self) -> int:
        """The number of portions."""
        return -(-self._count // PORTION)

    def size(self, portion: int) -> int:
        """Documents of a portion: `PORTION`, or what is left for the last one."""
        return min(PORTION, self._count - portion * PORTION)

    def names(self) -> Iterator[str]:
        """The ids of files; those of a .jsonl are not known before it is read."""
        return (_id(place, self._alike) for place in ([] if self.is_jsonl else self._places))

    def read(self) -> Iterator[Document | Problem]:
        """Every document, in order; in place of a bad one, what is wrong."""
        for portion in range(self.portions):
            yield from (one for _, one in self.portion(portion))

    def portion(self, number: int) -> Iterator[tuple[int, Document | Problem]]:
        """The documents of a portion, each with its number or line, which is its alone."""
        first = number * PORTION
        if self.is_jsonl:
            yield from self._lines(number)
            return
        for at, place in enumerate(self._places[first : first + PORTION], first):
            yield at, read_file(_id(place, self._alike), _file(self.path, place))

    def _count_lines(self) -> array[int]:
        """Where each portion begins, byte and line in turn; counts the documents."""
        starts, byte = array("Q"), 0
        self._count = 0
        for number, line in read_lines(self.path):
            if not is_blank(number, line):
                if self._count % PORTION == 0:
                    starts.extend((byte, number))
                self._count += 1
            byte += len(line)
            self._digest.update(line)
        return starts

    def _lines(self, portion: int) -> Iterator[tuple[int, Document | Problem]]:
        byte, first = self._starts[2 * portion : 2 * portion + 2]
        lines = read_lines(self.path, byte=byte, first=first)
        documents = (one for one in lines if not is_blank(*one))
        for number, line in islice(documents, PORTION):
            try:
                document = read_line(self.path, number, line)
            except CorpusError as error:
                yield number, error.problems[0]
            else:
                yield number, _wrong_name(document.id, self.path) or document


def read_file(id: str, file: Path) -> Document | Problem:
    """The text of a file as a document, or what is wrong with it."""
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
