"""Training windows changed at random: what is learned is then less the wording of the texts.

Three things are changed, each by a share of its own (`conf/augmentation`; all 0 unless asked for):

* mentions: replaced by another one of their label and language (`lexicon`);
* words: in another case, without diacritics, abbreviated, as in native notes (`spelling`);
* tokens: replaced by any other of the vocabulary, or by the unknown token; their tags stay. So did
  the winners of MultiClinNER and MultiCardioNER (FACTS 7).

Mentions and words are edits on the window as it stands in its text (`passages`); tokens are
replaced last. Context tokens are read as they stand. A window is drawn from the seed, the epoch,
the step in it and its own number alone: any worker or process makes the same one, so a run goes on
exactly, and whoever weighs a share of a step counts the labels that another process computes. One
that comes several times in an epoch is another one each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from multiclin.encoder import Subwords
from multiclin.errors import ConfigError
from multiclin.lexicon import Lexicon
from multiclin.passages import Edit, Ids, Passage, Tags, edited
from multiclin.spelling import SPELLINGS, Speller
from multiclin.store import Store
from multiclin.tagging import Scheme
from multiclin.windows import IGNORED, Placed


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How much of a window is changed.

    Attributes:
        random: Share of tokens replaced by any other of the vocabulary.
        unknown: Share of tokens replaced by the unknown token, or the mask where there is none.
        mentions: Share of mentions replaced by another one of their label and language.
        case: Share of words in capitals, in small letters, or capitalised.
        diacritics: Share of words without diacritics.
        abbreviations: Share of words cut to their first letters.

    Raises:
        ConfigError: One is no share, or those of one thing are more than all of it.
    """

    random: float = 0.0
    unknown: float = 0.0
    mentions: float = 0.0
    case: float = 0.0
    diacritics: float = 0.0
    abbreviations: float = 0.0

    def __post_init__(self) -> None:
        for name, share in asdict(self).items():
            if not 0 <= share <= 1:
                raise ConfigError(f"augmentation.{name}={share}: give a share, from 0 to 1")
        for names in (("random", "unknown"), tuple(SPELLINGS)):
            total = sum(getattr(self, name) for name in names)
            if total > 1 + 1e-9:
                terms = " + ".join(f"augmentation.{name}" for name in names)
                raise ConfigError(f"{terms} = {total:g}: together they can be 1 at most")

    @property
    def spellings(self) -> list[float]:
        """The share of each of `SPELLINGS`."""
        return [getattr(self, name) for name in SPELLINGS]

    @property
    def is_none(self) -> bool:
        """Whether nothing is changed."""
        return not any(asdict(self).values())


class Augmenter:
    """Changes the windows of a training.

    Args:
        shares: How much is changed.
        store: The tokenised corpus.
        documents: Numbers of the training documents in it, for their mentions.
        subwords: Its tokenizer.
        scheme: Its tagging scheme.
        room: Text tokens in a full window.
        seed: Of all that is drawn.

    Raises:
        ConfigError: The tokenizer has no unknown token, and is to have one.
    """

    def __init__(
        self,
        shares: Augmentation,
        store: Store,
        documents: Iterable[int],
        subwords: Subwords,
        scheme: Scheme,
        *,
        room: int,
        seed: int,
    ) -> None:
        self.shares, self.store, self.room, self.seed = shares, store, room, seed
        self.scheme = scheme
        if shares.unknown and subwords.unknown is None:
            raise ConfigError(
                f"augmentation.unknown={shares.unknown}: the tokenizer has neither an unknown nor "
                "a mask token; say augmentation.unknown=0, and augmentation.random for it"
            )
        self._unknown = subwords.unknown or 0
        self._ordinary = subwords.ordinary if shares.random else np.zeros(1, dtype=np.int32)
        mine = documents if shares.mentions else ()
        self._lexicon = Lexicon(store, mine, scheme)
        self._speller = Speller(shares.spellings, subwords, scheme)

    def __call__(
        self, ids: Ids, tags: Tags, placed: Placed, moment: tuple[int, int], number: int
    ) -> tuple[Ids, Tags]:
        """A window as it is at a moment: ids, shape (tokens,), and tags, shape (rows, tokens).

        Args:
            ids: As they stand in the text, shape (tokens,).
            tags: Shape (rows, tokens), `IGNORED` on what must not be changed.
            placed: Document and window.
            moment: Number of the epoch, and of the step in it.
            number: Of the window among all that are trained on.
        """
        # One more, since a seed that ends in zeros is the same without them.
        generator = np.random.default_rng([self.seed, *moment, number + 1])
        if self.shares.mentions or any(self.shares.spellings):
            entry = self.store.entries[placed.document]
            text = self.store.text(placed.document)
            offsets = self.store.offsets(*placed)
            passage = Passage(np.asarray(ids), np.asarray(tags), *offsets, text, entry.language)
            edits = list(self._edits(passage, generator))
            ids, tags = edited(passage, edits, self.room, self.scheme)
        return self._replaced(ids, tags, generator), tags

    def _edits(self, passage: Passage, generator: np.random.Generator) -> Iterator[Edit]:
        free = (passage.tags != IGNORED).any(axis=0)
        if self.shares.mentions:
            for edit in self._lexicon.edits(passage, self.shares.mentions, generator):
                free[edit.first : edit.end] = False
                yield edit
        if any(self.shares.spellings):
            yield from self._speller.edits(passage, free, generator)

    def _replaced(self, ids: Ids, tags: Tags, generator: np.random.Generator) -> Ids:
        """The ids, a share of those that have a label replaced."""
        random, unknown = self.shares.random, self.shares.unknown
        if not random + unknown:
            return ids
        draws = generator.random(len(ids))
        draws[(tags == IGNORED).all(axis=0)] = np.inf
        which = generator.integers(len(self._ordinary), size=len(ids))
        replaced = np.where(draws < random + unknown, self._unknown, ids)
        return np.where(draws < random, self._ordinary[which], replaced).astype(np.int32)
