"""A window of a training with its text, and changes of its tokens, put in together.

A change is an `Edit`: tokens, and what comes in their place. Edits are found on the window as it
stands in its text, whose offsets hold until all are in. A window that has then grown beyond its
room loses its tail, cut at white space and never in a mention. Were growing edits left out instead,
full windows, which most are, would see short mentions and hardly a word in capitals; and most of a
tail is seen all the same, for the next window begins before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from multiclin.tagging import Bools, Ints, Scheme
from multiclin.windows import IGNORED

Ids = npt.NDArray[np.int32]
Tags = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """A window with all that tells what may be changed in it.

    Attributes:
        ids: Shape (tokens,).
        tags: Shape (rows, tokens), `IGNORED` on what must not be changed.
        starts: First character of each token in the document, shape (tokens,).
        ends: One past the last one; `starts == ends` where a token is white space only.
        text: The document's text.
        language: Its language.
    """

    ids: Ids
    tags: Tags
    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    text: str
    language: str = ""

    def before(self, token: int) -> str:
        """The character before a token; empty at the beginning of the text."""
        start = int(self.starts[token])
        return self.text[max(0, start - 1) : start]


class Edit(NamedTuple):
    """Tokens of a passage, half-open, and what comes in their place.

    Attributes:
        first: The first token.
        end: One past the last one.
        ids: Shape (new tokens,).
        tags: Shape (rows, new tokens).
    """

    first: int
    end: int
    ids: Ids
    tags: Tags


def in_mention(tags: Tags, scheme: Scheme) -> Bools:
    """Whether each token is in a mention, shape of the tags."""
    inside: Bools = ~scheme.outside[tags] & (tags != IGNORED)
    return inside


def edited(passage: Passage, edits: Sequence[Edit], room: int, scheme: Scheme) -> tuple[Ids, Tags]:
    """Ids and tags of a passage with the edits in it; what has no room is cut off.

    Where it cannot be cut anywhere the passage is left as it is.

    Args:
        passage: As it stands in its text, no longer than the room.
        edits: In any order; they do not overlap.
        room: The most tokens that there may be.
        scheme: Of the tags.
    """
    if not edits:
        return passage.ids, passage.tags
    edits = sorted(edits, key=lambda edit: edit.first)
    stop = _stop(passage, edits, room, scheme)
    if not stop:
        return passage.ids, passage.tags
    ids, tags, at = [], [], 0
    for edit in edits:
        if edit.end > stop:
            break
        ids += [passage.ids[at : edit.first], edit.ids]
        tags += [passage.tags[:, at : edit.first], edit.tags]
        at = edit.end
    ids.append(passage.ids[at:stop])
    tags.append(passage.tags[:, at:stop])
    return np.concatenate(ids), np.concatenate(tags, axis=1)


def _stop(passage: Passage, edits: Sequence[Edit], room: int, scheme: Scheme) -> int:
    """How many tokens of the passage there is room for; 0 where no cut is allowed."""
    tokens = len(passage.ids)
    grown = np.zeros(tokens + 1, dtype=np.int64)  # by what ends before each token
    for edit in edits:
        grown[edit.end] += len(edit.ids) - (edit.end - edit.first)
    places: Ints = np.arange(tokens + 1) + grown.cumsum()
    if places[tokens] <= room:
        return tokens
    starts, ends, tags = passage.starts, passage.ends, passage.tags
    allowed: Bools = places[:tokens] <= room
    allowed[1:] &= (starts[1:] > ends[:-1]) & (starts[1:] < ends[1:])
    allowed &= ~(scheme.continuing[tags] & (tags != IGNORED)).any(axis=0)
    for edit in edits:
        allowed[edit.first + 1 : edit.end] = False
    allowed[0] = True
    return int(np.flatnonzero(allowed)[-1])
