"""Entity versions of a case that have the very same text, trained on as one document.

A MultiClinNER tree has a document per entity, each with a name of its own and annotated for that
entity alone. Where the texts are the same (`multiclin corpus consolidate` makes them so), all heads
learn from one reading, and an epoch is as many times shorter. Only training is changed: documents
that are validated or tested on keep their names, for predictions go by the names of gold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from multiclin.document import Document
from multiclin.store import Entry, Store
from multiclin.windows import Tokenized, Window


def versions_of(store: Store, numbers: Iterable[int]) -> dict[int, list[int]]:
    """Documents of one text and case, by the first of them; each with its other versions.

    Args:
        store: The tokenised corpus.
        numbers: Documents, by number. One that repeats a label of an earlier version stays alone.

    Returns:
        Of every document that stands for its text the others, which may be none.
    """
    by_text: dict[tuple[str, ...], int] = {}
    labels: dict[int, frozenset[str]] = {}
    versions: dict[int, list[int]] = {}
    for number in numbers:
        entry = store.entries[number]
        text = blake2b(store.text(number).encode(), digest_size=16).hexdigest()
        first = by_text.setdefault((entry.split, entry.language, entry.case, text), number)
        if first != number and not labels[first] & entry.annotated:
            versions[first].append(number)
            labels[first] |= entry.annotated
        else:
            versions[number], labels[number] = [], entry.annotated
    return versions


class JoinedStore(Store):
    """A store some of whose documents have the gold of their other versions too.

    Args:
        folder: Of the store.
        versions: Of such a document the others, by number; annotated for other labels.
    """

    def __init__(self, folder: Path, versions: Mapping[int, Sequence[int]]) -> None:
        super().__init__(folder)
        self.versions = versions

    def __reduce__(self) -> tuple[type[Store], tuple[Any, ...]]:
        return JoinedStore, (self.folder, self.versions)

    @cached_property
    def entries(self) -> list[Entry]:
        """As of the store; a joined document is annotated for what its versions are."""
        alone = super().entries
        entries = list(alone)
        for number, others in self.versions.items():
            labels = (alone[one].annotated for one in (number, *others))
            entries[number] = alone[number]._replace(annotated=frozenset().union(*labels))
        return entries

    def tokens(self, document: int, window: Window) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Ids and tags of one window; each head's from the version that has gold for it."""
        ids, tags = super().tokens(document, window)
        for other in self.versions.get(document, ()):
            # `IGNORED` is less than any tag, and no label is annotated twice.
            tags = np.maximum(tags, super().tokens(other, window)[1])
        return ids, tags

    def tokenized(self, number: int) -> Tokenized:
        """A whole document with all its gold."""
        one = super().tokenized(number)
        return replace(one, tags=self.tokens(number, Window(0, len(one)))[1])

    def document(self, number: int) -> Document:
        """A document with all its gold mentions."""
        one = super().document(number)
        others = [super(JoinedStore, self).document(n) for n in self.versions.get(number, ())]
        spans = (*one.spans, *(span for other in others for span in other.spans))
        return replace(one, spans=spans, annotated=self.entries[number].annotated)
