"""Several tokenizations of one text as one sequence: the emissions of an ensemble, by character.

A unit is the smallest range of characters whose edges no token crosses, of any tokenization: the
join of the partitions. "tora|cico" and "tor|acico" make one unit, "dolor| tora|cico" and
"dolor| toracico" two. Units are in one mention or in none, so a tag of a unit says which tags its
tokens have: `O` all `O`; a tag that opens, the scheme's first tag and then those that go on. The
unit's emission is the score of that path, transitions inside it included; where the path enters or
leaves with another tag than the unit's (`B` over two tokens leaves with `I`), the step between the
units is mended (`Merged.besides`). So the score of a path of units is the mean, over the members,
of what the tokens' paths score, and the best one is found exactly.

What is lost are edges of mentions inside a unit, which are edges inside a word in practice. The
best path of a member alone is found again if it respects the units. A member without a token in a
unit (its tokenizer takes the sign away) has no say there.

Emissions may be logits: a path takes one tag of every token, so what is added to all tags of a
token is added to all paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from multiclin.decoding import Merged
from multiclin.tagging import OUTSIDE, Floats, Ints, Scheme, Transitions
from multiclin.windows import Tokenized

Doubles = npt.NDArray[np.float64]


class Voice(NamedTuple):
    """What one tokenization brings.

    Attributes:
        transitions: Of each head.
        weight: Its share, of all voices 1.
    """

    transitions: Sequence[Transitions]
    weight: float


@dataclass(frozen=True, slots=True)
class Units:
    """Makes one sequence of what several tokenizations say of a document.

    Attributes:
        scheme: The tagging scheme.
        voices: The tokenizations.
    """

    scheme: Scheme
    voices: Sequence[Voice]

    def join(self, merged: Sequence[Merged]) -> Merged:
        """The document in units, its emissions the weighted mean.

        Args:
            merged: The document as each voice has it, in their order.
        """
        starts, ends = unit_ranges([one.tokenized for one in merged])
        first = merged[0].tokenized
        document = Tokenized(
            first.document, np.zeros_like(starts), starts, ends, problem=first.problem
        )
        held = [_held(one.tokenized, starts) for one in merged]
        tags = len(self.scheme)
        emissions = np.zeros((len(starts), merged[0].emissions.shape[1]))
        for voice, one, tokens in zip(self.voices, merged, held, strict=True):
            scores = one.emissions[tokens.rows].astype(np.float64)
            for number, transitions in enumerate(voice.transitions):
                part = slice(number * tags, (number + 1) * tags)
                found = self._emissions(scores[:, part], transitions, tokens)
                emissions[tokens.units, part] += voice.weight * found
        return Merged(document, emissions.astype(np.float32), self._besides(held, len(starts)))

    def _emissions(self, scores: Doubles, transitions: Transitions, tokens: _Held) -> Doubles:
        """Of the units that hold tokens, the score of each tag's path, shape (units, tags).

        Args:
            scores: Emissions of the visible tokens, shape (tokens, tags).
            transitions: What a path pays.
            tokens: Which unit holds which.
        """
        first, middle, last = paths(self.scheme)
        length, inside = tokens.counts[:, None], transitions.inside
        at, end = tokens.firsts, tokens.firsts + tokens.counts - 1
        total = np.add.reduceat(scores[:, middle], at) if len(at) else scores[:0]
        total += scores[at][:, first] - scores[at][:, middle]
        total += scores[end][:, last] - scores[end][:, middle]
        total += np.where(
            length == 2,
            inside[first, last],
            inside[first, middle] + (length - 3) * inside[middle, middle] + inside[middle, last],
        )
        return np.where(length == 1, scores[at], total)

    def _besides(self, held: Sequence[_Held], units: int) -> Floats | None:
        """What steps between units pay besides the mean transitions: `Merged.besides`."""
        first, _, last = paths(self.scheme)
        tags, allowed = np.arange(len(self.scheme)), self.scheme.transitions
        tables = [
            [np.where(allowed, one.between, 0.0) for one in voice.transitions]
            for voice in self.voices
        ]
        if not np.any(tables):
            return None
        besides = np.zeros((units, len(tables[0]), len(tags), len(tags)))
        for voice, its, tokens in zip(self.voices, tables, held, strict=True):
            several = np.zeros((units, 1), dtype=np.bool_)
            several[tokens.units] = tokens.counts[:, None] > 1
            enters, leaves = np.where(several, first, tags), np.where(several, last, tags)
            for number, table in enumerate(its):
                paid = table[leaves[:-1, :, None], enters[1:, None, :]]
                besides[1:, number] += voice.weight * np.where(allowed, paid - table, 0.0)
        return besides.astype(np.float32)


def paths(scheme: Scheme) -> tuple[Ints, Ints, Ints]:
    """For each tag of a unit the tags of its first, middle and last token, if it has several.

    Example:
        BIO: `O O O`, `B I I`, `I I I`. BIOES: `S` is `B I E`, `B` is `B I I`, `E` is `I I E`.
    """

    def tag(letter: str) -> int:
        return scheme.number(letter)

    inner = np.where(scheme.outside, tag(OUTSIDE), tag(scheme.inner))
    return (
        np.where(scheme.opening, tag(scheme.first), inner),
        inner,
        np.where(scheme.closing, tag(scheme.last), inner),
    )


def unit_ranges(
    tokenizations: Sequence[Tokenized],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """First characters of the units of a document, and one past their last ones."""
    seen = [one.starts < one.ends for one in tokenizations]
    starts = np.concatenate([one.starts[v] for one, v in zip(tokenizations, seen, strict=True)])
    ends = np.concatenate([one.ends[v] for one, v in zip(tokenizations, seen, strict=True)])
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    opens = np.ones(len(starts), dtype=np.bool_)
    opens[1:] = starts[1:] >= reach[:-1]
    closes = np.roll(opens, -1)
    return starts[opens], reach[closes]


class _Held(NamedTuple):
    """The visible tokens of a tokenization, unit by unit.

    Attributes:
        rows: Numbers of the visible tokens, shape (tokens,).
        units: The units that hold some, ascending, shape (units,).
        firsts: Of each its first token, counted among the visible ones.
        counts: Of each how many it holds.
    """

    rows: Ints
    units: Ints
    firsts: Ints
    counts: Ints


def _held(one: Tokenized, starts: npt.NDArray[np.int32]) -> _Held:
    rows = np.flatnonzero(one.starts < one.ends)
    unit = np.searchsorted(starts, one.starts[rows], side="right") - 1
    return _Held(rows, *np.unique(unit, return_index=True, return_counts=True))
