"""A corpus as training sees it: documents in a fixed order, each with the part that it plays.

The sets on disk are named by the release (`train`, `dev`, `test_batch1`, `background`); training
knows three roles. Patterns map the one to the other, so a new release is a line of config. Reading
is a stream; nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import cached_property
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import Protocol

from multiclin.corpus import ReadReport
from multiclin.corpus.brat import POLICIES
from multiclin.corpus.release import (
    LAYOUT,
    CorpusSet,
    digest,
    find_sets,
    normalise_language,
    overview,
    read_sets,
    select,
)
from multiclin.document import Document
from multiclin.errors import ConfigError, CorpusError, Problem

ROLES: Mapping[str, Sequence[str]] = {
    "train": ("train*",),
    "validation": ("dev*", "val*"),
    "test": ("test*",),
}
"""Role in training -> patterns of the split names that a release may use."""


SHOWN = 3
"""Changed files that a message names."""


class Source(Protocol):
    """Documents in an order that their files decide alone."""

    @property
    def digest(self) -> str:
        """A hash over all that is used of them."""

    def documents(self) -> Iterator[tuple[str, Document]]:
        """Role and document."""

    def settled_documents(self) -> Iterator[tuple[str, Document]]:
        """The same; raises `CorpusError` at the end where the files have changed meanwhile."""

    def overview(self) -> str:
        """A table of what was read."""


@dataclass(frozen=True)
class Corpus:
    """The annotated sets of a tree that a training uses.

    Attributes:
        root: The tree.
        labels: Label by entity, for example `{"disease": "DISEASE"}`; see `with_every_label`.
        languages: Codes, or `all`.
        discontinuous: What becomes of mentions in fragments: `cover`, `split` or `skip`.
        reports: What reading met, per set; filled as the documents come.
    """

    root: Path
    labels: Mapping[str, str]
    languages: str | Sequence[str] = "all"
    discontinuous: str = "cover"
    reports: dict[CorpusSet, ReadReport] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if self.discontinuous not in POLICIES:
            raise ConfigError(
                f"data.discontinuous={self.discontinuous} is unknown; choose from "
                f"{', '.join(POLICIES)}"
            )

    @cached_property
    def sets(self) -> list[CorpusSet]:
        """The sets with gold that have a role, of these entities and languages.

        Raises:
            CorpusError: The tree has no annotated training set.
            ConfigError: A language or entity is not there.
        """
        known = [one for one in find_sets(self.root) if one.has_gold and role_of(one.split)]
        entities = list(self.labels)
        chosen = select(known, languages=self.languages, entities=entities) if known else []
        if not any(role_of(one.split) == "train" for one in chosen):
            raise CorpusError(
                f"data.root={self.root}: no annotated training set of {', '.join(entities)} in it; "
                f"its training sets are the folders named {LAYOUT.partition('/')[0]}, split train"
            )
        return chosen

    @cached_property
    def digest(self) -> str:
        """A hash over every file of the sets."""
        _ = self.stamps  # First, so that a change while files are read is met by `changes`.
        return digest(self.sets)

    @cached_property
    def stamps(self) -> dict[Path, int]:
        """Of every file a number that a change of its content changes too, without reading it."""
        return {path: _stamp(path) for path in self.files()}

    def files(self) -> Iterator[Path]:
        """Every file that the digest is of."""
        for one in self.sets:
            yield from (path for path in one.folder.rglob("*") if path.is_file())

    def changes(self) -> str:
        """Files that are others than when the digest was taken; empty where none is.

        Contents decide, but they are read only where size or times differ: asking again costs
        33 ms per 1,000 files. Where the corpus cannot be read any more, that is the change.
        """
        now = replace(self, reports={})
        try:
            if now.stamps == self.stamps or now.digest == self.digest:
                return ""
        except CorpusError as error:
            return str(error)
        paths = sorted({str(path) for path, _ in now.stamps.items() ^ self.stamps.items()})
        more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
        return ", ".join(paths[:SHOWN]) + more

    def settled_documents(self) -> Iterator[tuple[str, Document]]:
        """The documents, for what is kept under the name of the digest.

        Raises:
            CorpusError: As `documents`; or, at the end, the files have changed meanwhile.
        """
        yield from self.documents()
        if changes := self.changes():
            raise CorpusError(
                f"data.root={self.root} has changed while it was read: {changes}; give the command "
                "again when nobody writes there"
            )

    @property
    def spoken(self) -> list[str]:
        """Languages of the sets."""
        return sorted({one.language for one in self.sets})

    def documents(self) -> Iterator[tuple[str, Document]]:
        """Role and document, in an order that only the files decide.

        Documents of one name and one text in the sets of several entities are one document.

        Raises:
            CorpusError: After the last good document: every problem of all sets.
        """
        order, problems = list(ROLES), list[Problem]()
        in_order = sorted(self.sets, key=lambda one: (order.index(role_of(one.split)), one))
        for (_, split), sets in groupby(in_order, lambda one: (one.language, one.split)):
            read = [self._versions(one, problems) for one in sets]
            for _, versions in groupby(merge(*read, key=_file_name), _file_name):
                for document in _joined(versions):
                    yield role_of(split), document
        if problems:
            raise CorpusError(problems)

    def _versions(self, one: CorpusSet, problems: list[Problem]) -> Iterator[Document]:
        """The documents of a set in the order of their names; its problems are added."""
        read = read_sets(
            [one],
            labels=self.labels,
            discontinuous=self.discontinuous,
            reports=self.reports,
        )
        try:
            yield from (document for _, document in read)
        except CorpusError as error:
            problems += error.problems

    def overview(self) -> str:
        """A table of what was read."""
        return overview(self.reports)

    def with_every_label(self) -> Corpus:
        """The same corpus with all entities that it has; their labels are their names in capitals.

        Raises:
            CorpusError: The tree has no annotated set.
        """
        known = {one.entity for one in find_sets(self.root) if one.has_gold and role_of(one.split)}
        return replace(self, labels={entity: entity.upper() for entity in sorted(known)})

    def with_known_labels(self) -> Corpus:
        """The same corpus with those of its labels that it is annotated for, perhaps none.

        Raises:
            CorpusError: The tree has no annotated set.
        """
        known = self.with_every_label().labels
        return replace(self, labels={one: self.labels[one] for one in self.labels if one in known})


def _file_name(document: Document) -> str:
    return f"{document.id}.txt"  # As files are sorted: "a-1" before "a".


def _joined(versions: Iterable[Document]) -> list[Document]:
    """Versions of a document of different entities: those of one text become one."""
    found: list[Document] = []
    for version in versions:
        for number, other in enumerate(found):
            if other.text == version.text and not other.annotated & version.annotated:
                found[number] = replace(
                    other,
                    spans=tuple(sorted((*other.spans, *version.spans))),
                    annotated=other.annotated | version.annotated,
                )
                break
        else:
            found.append(version)
    return found


def _stamp(path: Path) -> int:
    """A number of size and times. A file that is gone has one too: its reader says more."""
    try:
        found = path.stat()
    except OSError:
        return 0
    return hash((found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino))


def role_of(split: str) -> str:
    """The role of a split by its name, empty where it has none (background texts)."""
    names = (role for role, wanted in ROLES.items() if any(fnmatch(split, p) for p in wanted))
    return next(names, "")


def evaluation_languages(
    asked: str | Sequence[str] | None,
    spoken: Sequence[str],
    key: str = "data.validation.evaluate_on",
) -> list[str]:
    """Languages to validate and test on.

    Args:
        asked: Codes or `all`; None: Spanish where the corpus has it, as in the paper, else all.
        spoken: Languages of the corpus.
        key: The setting that asks.

    Raises:
        ConfigError: The corpus lacks one.
    """
    if asked is None:
        return ["es"] if "es" in spoken else list(spoken)
    codes = [asked] if isinstance(asked, str) else list(asked)
    if codes == ["all"]:
        return list(spoken)
    codes = [normalise_language(code) for code in codes]
    missing = [code for code in codes if code not in spoken]
    if missing:
        raise ConfigError(
            f"{key}={','.join(codes)}: the corpus has no "
            f"{', '.join(missing)} among the languages in use ({', '.join(spoken)})"
        )
    return codes
