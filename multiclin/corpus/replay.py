"""A corpus, and an older one that its training goes back to, so that what was learned there stays.

Both are read into one store. Documents of the older one have roles of their own (`replayed train`),
so no rule for the newer one meets them: neither its split nor its scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Final

from multiclin.corpus.release import CorpusSet
from multiclin.corpus.source import Corpus
from multiclin.document import Document
from multiclin.errors import ConfigError

REPLAYED: Final = "replayed "
"""Stands before the role of a document of the older corpus."""


@dataclass(frozen=True)
class ReplayedCorpus(Corpus):
    """Two corpora. What is said of it, and not of its documents, is said of the newer one.

    Attributes:
        newer: The corpus that is trained on.
        older: The one that was.
    """

    newer: Corpus = field(kw_only=True)
    older: Corpus = field(kw_only=True)

    @classmethod
    def of(cls, newer: Corpus, older: Corpus) -> ReplayedCorpus:
        """Two corpora with one set of labels; each may lack some, but not all."""
        facts = (newer.root, newer.labels, newer.languages, newer.discontinuous)
        return cls(*facts, newer=newer, older=older)

    @cached_property
    def parts(self) -> tuple[Corpus, Corpus]:
        """Both, each with those labels that it has.

        Raises:
            ConfigError: One has none.
        """
        newer, older = self.newer.with_known_labels(), self.older.with_known_labels()
        for key, one in (("data.root", newer), ("data.replay.root", older)):
            if not one.labels:
                labels = ", ".join(self.labels.values())
                raise ConfigError(f"{key}={one.root} is annotated for none of {labels}")
        return newer, older

    @cached_property
    def sets(self) -> list[CorpusSet]:
        """The sets of the newer one."""
        return self.parts[0].sets

    @cached_property
    def digest(self) -> str:
        """A hash over both."""
        both = " ".join(one.digest for one in self.parts)
        return blake2b(both.encode(), digest_size=16).hexdigest()

    def files(self) -> Iterator[Path]:
        """Every file of both."""
        return (path for one in self.parts for path in one.files())

    def changes(self) -> str:
        """As of each."""
        return ", ".join(filter(None, (one.changes() for one in self.parts)))

    @property
    def spoken(self) -> list[str]:
        """Languages of the newer one."""
        return self.parts[0].spoken

    def documents(self) -> Iterator[tuple[str, Document]]:
        """Role and document: those of the newer one, then those of the older one."""
        newer, older = self.parts
        yield from newer.documents()
        yield from ((f"{REPLAYED}{role}", document) for role, document in older.documents())

    def overview(self) -> str:
        """A table of each."""
        newer, older = self.parts
        return f"{newer.overview()}\nreplayed: {older.root}\n{older.overview()}"

    def with_every_label(self) -> ReplayedCorpus:
        """The same with all labels of both."""
        labels = {
            **self.older.with_every_label().labels,
            **self.newer.with_every_label().labels,
        }
        newer, older = (replace(one, labels=labels) for one in (self.newer, self.older))
        return ReplayedCorpus.of(newer, older)
