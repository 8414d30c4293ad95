"""The mentions of the training documents as runs of tokens, to put one in the place of another.

A run is told by its place in the store, so a lexicon of all languages is some numbers per mention,
and nothing of it is copied. Mentions stand together that can stand for each other: of one head, in
one language, behind the same character, since a tokenizer cuts what begins a word otherwise than
what follows a bracket. Each run is there once, however often it is annotated: the frequent ones are
met often enough. (Dai and Adel, "An analysis of simple data augmentation for NER", 2020.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from multiclin.passages import Edit, Ids, Passage, Tags, in_mention
from multiclin.store import Store
from multiclin.tagging import Scheme
from multiclin.windows import IGNORED, Window


class Kind(NamedTuple):
    """What mentions have in common that can stand for each other.

    Attributes:
        row: The row of tags, or head, that they stand on.
        language: The language of their documents.
        before: The character before them; empty at the beginning of a text.
        apart: Whether the token before them is white space only.
    """

    row: int
    language: str
    before: str
    apart: bool = False


class Mention(NamedTuple):
    """A mention on the tags of a window or document: its row, and its tokens, half-open."""

    row: int
    first: int
    end: int


def lone_mentions(tags: Tags, scheme: Scheme) -> list[Mention]:
    """The mentions that meet none of another row, in order.

    One that reaches the last labelled token is left out, for it may go on behind it. One that has
    begun before the first is none here.

    Args:
        tags: Shape (rows, tokens).
        scheme: Their scheme.
    """
    labelled = np.flatnonzero((tags != IGNORED).any(axis=0))
    meeting = in_mention(tags, scheme).sum(axis=0) > 1
    found = []
    for row, path in enumerate(tags[:, labelled]):
        if not len(path) or path[0] == IGNORED:  # No gold for this label.
            continue
        for a, b in scheme.decode(path):
            first, end = int(labelled[a]), int(labelled[b - 1]) + 1
            if b < len(path) and not meeting[first:end].any():
                found.append(Mention(row, first, end))
    return sorted(found, key=lambda mention: mention.first)


def kind_of(passage: Passage, mention: Mention) -> Kind:
    """The kind of a mention of a passage."""
    row, first, _ = mention
    apart = first > 0 and bool(passage.starts[first - 1] == passage.ends[first - 1])
    return Kind(row, passage.language, passage.before(first), apart)


class Lexicon:
    """The mentions of some documents of a store, to be drawn for others.

    Args:
        store: The tokenised corpus.
        documents: Numbers of the training documents in it.
        scheme: Its tagging scheme.

    Attributes:
        places: Of each kind the document, first token and end of every mention, shape (n, 3).
    """

    def __init__(self, store: Store, documents: Iterable[int], scheme: Scheme) -> None:
        self.store, self.scheme = store, scheme
        found: dict[Kind, dict[bytes, tuple[int, ...]]] = {}
        for number in documents:
            one = store.tokenized(number)
            assert one.tags is not None
            document = one.document
            passage = Passage(
                one.ids, one.tags, one.starts, one.ends, document.text, document.language
            )
            gold = {(span.start, span.end) for span in document.spans}
            for mention in lone_mentions(one.tags, scheme):
                _, first, end = mention
                edges = int(one.starts[first]), int(one.ends[end - 1])
                if edges in gold:  # Else one is inside a token.
                    kind, run = kind_of(passage, mention), one.ids[first:end].tobytes()
                    found.setdefault(kind, {}).setdefault(run, (number, first, end))
        self.places: dict[Kind, npt.NDArray[np.int64]] = {
            kind: np.array(list(runs.values())) for kind, runs in found.items()
        }

    def edits(
        self, passage: Passage, share: float, generator: np.random.Generator
    ) -> Iterator[Edit]:
        """A share of the mentions of a passage, each with another one of its kind.

        Those that meet a mention of another row, or have none of their kind, are left alone.
        """
        mentions = lone_mentions(passage.tags, self.scheme)
        without_gold = (passage.tags == IGNORED).all(axis=1)
        drawn = generator.random(len(mentions)) < share
        for mention in (mentions[n] for n in np.flatnonzero(drawn).tolist()):
            _, first, end = mention
            places = self.places.get(kind_of(passage, mention), ())
            if len(places) < 2:
                continue
            which = int(generator.integers(len(places)))
            ids, tags = self._run(places[which])
            if np.array_equal(ids, passage.ids[first:end]):
                ids, tags = self._run(places[(which + 1) % len(places)])
            tags[without_gold] = IGNORED
            yield Edit(first, end, ids, tags)

    def _run(self, place: npt.NDArray[np.int64]) -> tuple[Ids, Tags]:
        """Ids of a mention, and its tags: `IGNORED` for labels that its document has no gold of."""
        document, first, end = place.tolist()
        ids, tags = self.store.tokens(document, Window(first, end))
        return ids, tags.copy()
