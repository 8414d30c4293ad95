"""Which tokens a language model has to guess, and what stands in their place meanwhile.

One rule for all ways of masking: tokens are grouped into units (each by itself, or those of a word
together), the units of a window are taken in a random order as the beginnings of spans, each of a
random length, and spans are masked until a share of the tokens is. A length of one unit gives
masked tokens (Devlin et al. 2019) or whole words; geometric lengths of words give SpanBERT's spans
(Joshi et al. 2020, section 3.1: a span ends after each word with probability .2, 10 words at most;
3.8 on average).
The span that would exceed the share is masked with the probability that makes the share exact on
average, so a window of three tokens is worth something too.

What is drawn together is replaced together: by the mask token, by random tokens, or not at all,
usually 80/10/10. White space and special tokens are never masked, nor counted. The share of .3 is
that of ModernBERT (Warner et al. 2024), twice BERT's.

Everything is vectorised numpy: 0.1 ms for a window of 512 tokens. Nothing remembers anything: the
generator decides, so the masks of a window are the same wherever they are drawn (`masks_of`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from multiclin.errors import ConfigError
from multiclin.tagging import scheme
from multiclin.windows import IGNORED

Ints = npt.NDArray[np.int64]
Generator = np.random.Generator

WORDS = scheme("bio")
"""How a store tells words: the first token of one has the tag of a mention's first token, ..."""

FIGURES = ("val/loss", "val/perplexity", "val/accuracy")
"""What a validation gives: nats per masked token, e to that, and the share that is found."""

NOWHERE = -1
"""The unit of a token that is never masked."""


class Masked(NamedTuple):
    """A window as a language model gets it.

    Attributes:
        ids: What it reads, shape (tokens,).
        labels: What it has to find: the id that stood there, `IGNORED` where nothing is masked,
            shape (tokens,).
    """

    ids: Ints
    labels: Ints


@dataclass(frozen=True, slots=True)
class Masking:
    """How tokens are masked.

    Attributes:
        whole_words: Whether the subwords of a word are masked together.
        share: Of the tokens of a window, on average.
        mask: Share of the masked tokens that become the mask token.
        random: Share that become a random token; the rest stays as it is, and is to be found too.
        stop: Probability that a span ends after each of its units; 1: spans of one unit.
        longest: Units of the longest span.

    Raises:
        ConfigError: A share is none.
    """

    whole_words: bool
    share: float = 0.3
    mask: float = 0.8
    random: float = 0.1
    stop: float = 1.0
    longest: int = 1

    def __post_init__(self) -> None:
        for name in ("share", "stop"):
            if not 0 < getattr(self, name) <= 1:
                value = getattr(self, name)
                raise ConfigError(f"masking.{name}={value} must be above 0 and at most 1")
        if min(self.mask, self.random) < 0 or self.mask + self.random > 1:
            raise ConfigError(
                f"masking.mask={self.mask} and masking.random={self.random} are shares of the "
                "masked tokens: together at most 1, each at least 0"
            )
        if self.longest < 1:
            raise ConfigError(f"masking.longest={self.longest}: give a whole number of 1 or more")

    def units(self, tags: npt.NDArray[np.integer]) -> Ints:
        r"""Group the tokens of a window.

        Args:
            tags: Of words as mentions (`WORDS`), `IGNORED` where nothing is to be masked, shape
                (tokens,).

        Returns:
            The number of each token's unit, from 0 on, `NOWHERE` where it has none, shape
            (tokens,). A word that the window cuts is a unit with what is left of it.

        Example:
            `el | dolor | torá ##cico | , | \n | y`: whole words 0 1 2 2 3 -1 4.
        """
        masked = tags != IGNORED
        apart = ~WORDS.continuing[tags] if self.whole_words else masked
        apart = apart | ~np.append(False, masked)[:-1]  # Behind a token that stays nothing goes on.
        return np.where(masked, np.cumsum(masked & apart) - 1, NOWHERE)

    def spans(self, units: Ints, generator: Generator) -> Ints:
        """Draw what is masked.

        Args:
            units: As `units` gives them.
            generator: Decides.

        Returns:
            The number of each token's span, `NOWHERE` where it is not masked, shape (tokens,).
        """
        sizes = np.bincount(units[units != NOWHERE])  # (U,): tokens of each unit
        count = len(sizes)
        starts = generator.permutation(count)
        # Geometric lengths up to the longest: the geometric law has no memory, so the rest of a
        # longer one follows it too.
        lengths = (generator.geometric(self.stop, count) - 1) % self.longest + 1
        ends = np.minimum(starts + lengths, count)
        # The first span in the order of drawing that each unit lies in.
        first = np.full(count + 1, count)
        for step in range(self.longest):
            at = np.where(starts + step < ends, starts + step, count)
            np.minimum.at(first, at, np.arange(count))
        first = first[:count]
        total = np.cumsum(np.bincount(first, weights=sizes, minlength=count))  # (U,), by spans
        wanted = self.share * sizes.sum()
        kept = int(np.searchsorted(total, wanted, side="right"))
        if kept < count:
            before = total[kept - 1] if kept else 0.0
            kept += int(generator.random() * (total[kept] - before) < wanted - before)
        chosen = np.append(np.where(first < kept, first, NOWHERE), NOWHERE)
        found: Ints = chosen[units]  # `NOWHERE` is the last one.
        return found


class Masker:
    """Masks windows over a vocabulary.

    Args:
        masking: How.
        mask_id: Id of the mask token.
        ordinary: Ids of all tokens but the special ones, which are neither masked nor drawn.
    """

    def __init__(self, masking: Masking, mask_id: int, ordinary: Ints) -> None:
        self.masking, self.mask_id, self.ordinary = masking, mask_id, ordinary
        self._last = int(ordinary.max()) + 1
        self._is_ordinary = np.zeros(self._last + 1, dtype=np.bool_)
        self._is_ordinary[ordinary] = True

    def __call__(
        self,
        ids: npt.NDArray[np.integer],
        tags: npt.NDArray[np.integer],
        generator: Generator,
    ) -> Masked:
        """Mask a window.

        Args:
            ids: Vocabulary ids without the special tokens around them, shape (tokens,).
            tags: Of words as mentions, `IGNORED` on white space, shape (tokens,).
            generator: Decides.
        """
        ids = ids.astype(np.int64)
        # A text may itself hold `<mask>`, and `<unk>` teaches nothing.
        tags = np.where(self._is_ordinary[np.minimum(ids, self._last)], tags, IGNORED)
        spans = self.masking.spans(self.masking.units(tags), generator)
        masked = spans != NOWHERE
        fates = generator.random(len(ids) + 1)[spans]  # One for each span.
        drawn = self.ordinary[generator.integers(len(self.ordinary), size=len(ids))]
        becomes_mask = masked & (fates < self.masking.mask)
        becomes_random = masked & ~becomes_mask
        becomes_random &= fates < self.masking.mask + self.masking.random
        read = np.where(becomes_mask, self.mask_id, np.where(becomes_random, drawn, ids))
        return Masked(read, np.where(masked, ids, IGNORED))


def masks_of(seed: int, epoch: int, window: int) -> Generator:
    """What decides the masks of a window.

    Args:
        seed: Of the run.
        epoch: From 0 on; validation has always that of 0.
        window: Its number.
    """
    return np.random.default_rng([seed, epoch, window])
