"""The parts of a release that are asked for, among the members of its archive."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from zipfile import ZipInfo

from multiclin.corpus.release import (
    LAYOUT,
    SET_NAME,
    CorpusSet,
    normalise_language,
)
from multiclin.errors import ConfigError, CorpusError, Problem


@dataclass(frozen=True, slots=True)
class Parts:
    """Which sets are wanted; an empty axis takes all, and `test` takes `test_batch1`, too."""

    languages: Sequence[str] = ()
    splits: Sequence[str] = ()
    entities: Sequence[str] = ()

    def take(self, one: CorpusSet) -> bool:
        """Whether a set is wanted."""
        return all(
            not wanted or any(_is_part(getattr(one, axis), value) for value in wanted)
            for axis, wanted in self._axes()
        )

    def check(self, known: Mapping[str, Collection[str]], where: object) -> None:
        """Raises ConfigError for a value that is none of the known ones of its axis."""
        for axis, wanted in self._axes():
            for value in wanted if axis in known else ():
                if not any(_is_part(one, value) for one in known[axis]):
                    listed = ", ".join(sorted(known[axis]))
                    raise ConfigError(f"{axis} {value!r} is not in {where}; it has {listed}")

    def __str__(self) -> str:
        return ", ".join(f"{axis} {' or '.join(wanted)}" for axis, wanted in self._axes() if wanted)

    def _axes(self) -> list[tuple[str, Sequence[str]]]:
        return [("language", self.languages), ("split", self.splits), ("entity", self.entities)]


def _is_part(name: str, value: str) -> bool:
    return name == value or name.startswith(f"{value}_batch")


def sets_of(members: Iterable[ZipInfo], archive: Path) -> dict[CorpusSet, list[ZipInfo]]:
    """The sets in an archive, with the files of each.

    Raises:
        CorpusError: There is none, or two folders hold the same.
    """
    files: dict[str, list[ZipInfo]] = {}
    for member in members:
        above, _, name = member.filename.rpartition("/")
        if name and (folder := _set_folder(above)):
            files.setdefault(folder, []).append(member)
    sets: dict[CorpusSet, list[ZipInfo]] = {}
    for folder, inside in files.items():
        if any(member.filename.startswith(f"{folder}/txt/") for member in inside):
            sets[_set_at(Path(folder))] = inside
    keys = Counter(map(set_key, sets))
    if not sets or len(keys) < len(sets):
        twice = " ".join(next((key for key, count in keys.items() if count > 1), ()))
        wrong = f"holds the set {twice} twice" if twice else f"holds no set; expected {LAYOUT}"
        raise CorpusError([Problem(archive, 0, wrong)])
    return sets


@lru_cache(maxsize=4096)
def _set_folder(folder: str) -> str:
    """The deepest folder on this path that has the name of a set, empty where none has."""
    parts = folder.split("/")
    if any(part == "__MACOSX" or re.match(r"\.[^.]", part) for part in parts):
        return ""
    depths = [depth for depth, part in enumerate(parts, 1) if SET_NAME.fullmatch(part)]
    return "/".join(parts[: depths[-1]]) if depths else ""


def _set_at(folder: Path) -> CorpusSet:
    match = SET_NAME.fullmatch(folder.name)
    assert match, folder
    language, split, entity, batch = match.groups(default="")
    return CorpusSet(normalise_language(language), split + batch, entity, folder, "")


def set_key(one: CorpusSet) -> tuple[str, str, str]:
    """What tells a set apart, wherever it lies."""
    return one.language, one.split, one.entity
