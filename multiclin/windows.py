"""Text -> subwords with character offsets -> windows, and what each window is worth for a token.

A text is tokenised once, whole; windows are slices of that sequence. So no token differs between
windows, nothing is truncated, and no overflow code of a tokenizer is trusted (FACTS 4).

A token near the edge of a window has seen half of its context. Where windows overlap, its emissions
are averaged with weights that fall linearly to the window's edges (`edge_weights`), which is the
"most central window" rule without its jump. The paper: 512 subwords, overlap 128 (section 2.3).

With `context` tokens the outermost ones of a window are read for their neighbours' sake alone:
neither trained on nor decoded from. What is left is its core; every token is in one, since windows
share at least two contexts. (The winner of MultiClinNER, FACTS 7.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from multiclin.document import Document
from multiclin.errors import ConfigError, Problem

IGNORED = -1
"""Tag number of a token that carries no label: white space, or a label without gold."""


@dataclass(frozen=True, slots=True, eq=False)
class Tokenized:
    """A document as subwords.

    Attributes:
        document: The document.
        ids: Vocabulary ids without special tokens, shape (tokens,).
        starts: First character of each token, white space trimmed, ascending, shape (tokens,).
        ends: One past the last character. `starts == ends` where a token is white space only.
        tags: Tag numbers per head, shape (heads, tokens), `IGNORED` where there is no label; None
            where the document was not tagged.
        problem: Why the document's file could not be read; the text is empty then.
    """

    document: Document
    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    tags: npt.NDArray[np.int8] | None = None
    problem: Problem | None = None

    def __len__(self) -> int:
        return len(self.ids)


class Window(NamedTuple):
    """A half-open range of a document's tokens."""

    first: int
    end: int

    def core(self, tokens: int, context: int) -> Window:
        """Its tokens without those that it reads as context only, of a document of `tokens`.

        Example:
            context 2, 12 tokens: (0, 8) has (0, 6), (4, 12) has (6, 12).
        """
        first = self.first + context if self.first > 0 else 0
        end = self.end - context if self.end < tokens else tokens
        return Window(first, end)


class Placed(NamedTuple):
    """A window and its document.

    Attributes:
        document: The document's number in the stream, in training in the store.
        window: Its tokens.
    """

    document: int
    window: Window


@dataclass(frozen=True, slots=True)
class Windowing:
    """How sequences are cut.

    Attributes:
        size: Longest window in subwords, special tokens included.
        overlap: Subwords that two neighbouring windows share.
        specials: Special tokens that the tokenizer puts around a window.
        context: Subwords on each side that are only read, except at the edges of the document.
    """

    size: int = 512
    overlap: int = 128
    specials: int = 2
    context: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.room:
            raise ConfigError(
                f"window.overlap={self.overlap} must be at least 0 and smaller than the "
                f"{self.room} text tokens of a window (window.size={self.size} minus "
                f"{self.specials} special tokens); lower window.overlap or raise window.size"
            )
        check_context(self.context, self.overlap)

    @property
    def room(self) -> int:
        """Text tokens in a full window."""
        return self.size - self.specials

    def cut(self, tokens: int) -> list[Window]:
        """Windows over a sequence: every token in at least one, neighbours share `overlap`.

        Example:
            room 6, overlap 2, 11 tokens: (0, 6), (4, 10), (8, 11).
        """
        if not tokens:
            return []
        step = self.room - self.overlap
        last = max(0, -(-(tokens - self.room) // step))
        return [Window(i * step, min(i * step + self.room, tokens)) for i in range(last + 1)]


def check_context(context: int, overlap: int) -> None:
    """Raise `ConfigError` where a token would be in the core of no window."""
    if not 0 <= 2 * context <= overlap:
        raise ConfigError(
            f"window.context={context} must be at least 0 and at most half of window.overlap="
            f"{overlap}, for each token is to be in a window that does more than read it; "
            f"say window.context={max(0, overlap) // 2} or window.overlap={2 * max(0, context)}"
        )


def edge_weights(window: Window, tokens: int, context: int = 0) -> npt.NDArray[np.float32]:
    """Weight of a window's emissions for each of its tokens, shape (end - first,).

    One plus the distance to the nearer edge of the window's core, nothing outside of it; an edge of
    the document is no edge.

    Example:
        window (0, 4) of 6 tokens: 4 3 2 1. The whole document in one window: all equal.
        window (0, 6) of 9 tokens with a context of 2: 4 3 2 1 0 0.
    """
    length = window.end - window.first
    near = np.full(length, length, dtype=np.float32)
    if window.first > 0:
        near = np.minimum(near, np.arange(1, length + 1) - context)
    if window.end < tokens:
        near = np.minimum(near, np.arange(length, 0, -1) - context)
    return np.maximum(near, 0).astype(np.float32)


def split_mentions(windows: list[Window], ranges: list[tuple[int, int]]) -> int:
    """How many of the mentions (token ranges, an empty one is none) no window holds whole.

    What a window reads as context is in it: the model sees such a mention in one piece.
    """
    return sum(
        first < end and not any(window.first <= first and end <= window.end for window in windows)
        for first, end in ranges
    )


_SPACES = [c for c in range(0x3001) if chr(c).isspace()] + [0x200B, 0x2060, 0xFEFF]
_IS_SPACE = np.zeros(0x110001, dtype=np.bool_)
_IS_SPACE[_SPACES] = True


def trim_offsets(
    text: str, starts: npt.NDArray[np.int32], ends: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Take white space (zero-width too) off both ends of each token's characters.

    SentencePiece and byte-level tokenizers count the leading space as part of a token.

    Args:
        text: The document's text.
        starts: First characters, shape (tokens,).
        ends: One past the last ones.

    Returns:
        New arrays; where nothing is left, start == end.
    """
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    blank = np.append(_IS_SPACE[codes], True)
    starts, ends = starts.copy(), ends.copy()
    while (lead := (starts < ends) & blank[starts]).any():
        starts[lead] += 1
    while (tail := (starts < ends) & blank[ends - 1]).any():
        ends[tail] -= 1
    return starts, ends
