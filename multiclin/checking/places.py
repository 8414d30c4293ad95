"""Where documents lie: the sets of a MultiClinNER tree, or plain folders of brat files.

Unlike `corpus.release.find_sets`, which refuses a tree in which one set lies twice, all folders are
given; the caller says what is wrong with them. A plain folder has `.txt` and `.ann` side by side,
or in `txt/` and `ann/`; it has no label of its own, and plays the part in training that the name of
a folder above it tells (`train`, `dev`, `test`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from multiclin.corpus.release import LAYOUT, CorpusSet, find_sets
from multiclin.corpus.source import role_of
from multiclin.corpus.texts import files_of, folders_of
from multiclin.errors import CorpusError, Problem

_PARTS: Final = ("txt", "ann", "tsv")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of documents.

    Attributes:
        folder: The set, or the plain folder.
        texts: Where its `.txt` are.
        anns: Where its `.ann` are.
        has_ann: Whether there are any.
        tables: Its `.tsv`; of named sets only, for a plain folder may hold any table.
        language: Code, empty where unknown.
        split: Name of the split, empty where unknown.
        entity: Name of the entity, empty where it may hold any label.
    """

    folder: Path
    texts: Path
    anns: Path
    has_ann: bool
    tables: tuple[Path, ...] = ()
    language: str = ""
    split: str = ""
    entity: str = ""

    @property
    def label(self) -> str:
        """The label of its mentions, empty where any will do."""
        return self.entity.upper()

    @property
    def role(self) -> str:
        """The part that it plays in training, empty where it has none."""
        return role_of(self.split)

    @property
    def name(self) -> str:
        """What to call it."""
        return self.folder.absolute().name

    @property
    def is_named(self) -> bool:
        """Whether the folder's name tells language, split and entity."""
        return bool(self.entity)


def find_places(root: Path) -> list[Place]:
    """All folders of documents at or below `root`, by language, then by path.

    Raises:
        CorpusError: There is none, or a folder cannot be read.
    """
    if not root.is_dir():
        raise CorpusError([Problem(root, 0, f"no such folder; expected {LAYOUT}")])
    found = [place for folder in folders_of(root) for place in _places_at(folder, root)]
    if not found:
        message = f"no .txt in it; expected {LAYOUT}, or a folder with .txt and .ann"
        raise CorpusError([Problem(root, 0, message)])
    return sorted(found, key=lambda place: (place.language, place.folder))


def _places_at(folder: Path, root: Path) -> Iterator[Place]:
    """The set that this folder is, or the plain texts that lie in it."""
    if (folder / "txt").is_dir() and not files_of(folder, ".txt"):
        one = _named(folder)
        anns = folder / "ann"
        has_ann = bool(files_of(anns, ".ann"))
        if one:
            tables = tuple(files_of(folder / "tsv", ".tsv"))
            known = (one.language, one.split, one.entity)
            yield Place(folder, folder / "txt", anns, has_ann, tables, *known)
        elif files_of(folder / "txt", ".txt"):
            yield Place(folder, folder / "txt", anns, has_ann, split=_told_split(folder, root))
    elif (folder.name not in _PARTS or folder == root) and files_of(folder, ".txt"):
        has_ann = bool(files_of(folder, ".ann"))
        yield Place(folder, folder, folder, has_ann, split=_told_split(folder, root))


def _named(folder: Path) -> CorpusSet | None:
    """The set that the name of the folder tells."""
    try:
        return next((one for one in find_sets(folder) if one.folder == folder), None)
    except CorpusError:  # None at or below it, or one of them twice.
        return None


def _told_split(folder: Path, root: Path) -> str:
    """The innermost folder name from `root` down that is that of a split."""
    names = [root.absolute().name, *folder.relative_to(root).parts]
    return next((name for name in reversed(names) if role_of(name)), "")
