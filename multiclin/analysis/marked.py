"""One document with its mentions marked, for a notebook: `Marked(pair)` at the end of a cell.

Right, missing (only in gold) and wrong (only predicted) differ in line and colour, and a word
behind the mention names what is not right: that is seen without colours too, and where a site
strips styles (GitHub). The HTML loads nothing and has its styles in itself. It shows a document at
a time; for a whole corpus there is `documents.html` (`documents`).

How. The text is cut wherever a mention begins or ends, and each piece stands in the marks of all
mentions over it: so mentions that cross need no more than nested ones. A mention lies one level
above the shorter ones that it overlaps, and its line runs that much lower, unbroken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import NamedTuple

from multiclin.analysis.documents import SIDES
from multiclin.analysis.evaluation import Pair
from multiclin.document import Span
from multiclin.figures import BLUE, GREEN, ORANGE

_LINES = {
    "right": ("solid", GREEN),
    "wrong": ("solid", BLUE),
    "missing": ("dashed", ORANGE),
    "found": ("solid", BLUE),
}
_BOX = "max-width:48rem;line-height:2.2;white-space:pre-wrap;overflow-wrap:anywhere"


@dataclass(frozen=True, repr=False)
class Marked:
    """A document that a notebook shows with its mentions.

    Attributes:
        pair: Its gold and its predictions, one of `Evaluation.pairs`.
    """

    pair: Pair

    def _repr_html_(self) -> str:
        return marked_html(self.pair)

    def __repr__(self) -> str:
        counts = ", ".join(_counts(marks(self.pair)).values())
        return f"{self.pair.gold.id}: {counts or 'no mentions'}"


class Mark(NamedTuple):
    """One mention of a document as it is shown.

    Attributes:
        span: The mention.
        side: One of `documents.SIDES`.
        level: 1, or above the levels of all shorter mentions that it overlaps.
    """

    span: Span
    side: str
    level: int


def marks(pair: Pair) -> list[Mark]:
    """The mentions of a document, longer ones first.

    Right and missing ones are as many as gold has, right and wrong ones as many as were predicted:
    a repetition in gold is missing, as the official scorer counts it.

    Example:
        Gold `dolor leve` and `tos`, predicted `dolor` and `tos`: `dolor leve` is missing (level 2),
        `dolor` wrong (level 1), `tos` right (level 1).
    """
    gold = Counter(pair.gold.spans)
    surest_last = sorted(pair.predicted.spans, key=lambda span: span.score or 0.0)
    predicted = {span: span for span in surest_last}
    sided = [(span, "missing") for span in (gold - Counter(predicted.keys())).elements()]
    for span in predicted.values():
        judged = "right" if span in gold else "wrong"
        sided.append((span, judged if pair.gold.annotated else "found"))
    found: list[Mark] = []
    for span, side in sorted(sided, key=lambda one: (one[0].end - one[0].start, one[0])):
        levels = (mark.level for mark in found if mark.span.overlaps(span))
        found.append(Mark(span, side, 1 + max(levels, default=0)))
    return found[::-1]


def marked_html(pair: Pair) -> str:
    """The text of a document with its mentions marked, below its name and their numbers.

    Returns:
        One element that needs no style sheet, no script and no network. Nothing of the document
        becomes HTML: all of it is escaped.
    """
    return f'<div style="{_BOX}">{_heading(pair, marks(pair))}{marked_text(pair)}</div>'


def marked_text(pair: Pair, first: int = 0) -> str:
    """The text of a document, or of a piece of one, with its mentions marked, as HTML.

    Args:
        pair: The document or piece.
        first: Where in its document the piece begins, for the offsets that are told.
    """
    text, found = pair.gold.text, marks(pair)
    several = len({mark.span.label for mark in found}) > 1
    edges = {edge for mark in found for edge in (mark.span.start, mark.span.end)}
    parts = []
    for start, end in pairwise(sorted(edges | {0, len(text)})):
        over = [mark for mark in found if mark.span.start < end and start < mark.span.end]
        parts.append(_within(over, _escaped(text[start:end]), first))
        ending = [mark for mark in over if mark.span.end == end]
        tags = "".join(_tag(mark, several) for mark in reversed(ending))
        # What goes on behind the tag is drawn below it too.
        parts.append(_within([mark for mark in over if mark.span.end > end], tags, first))
    return "".join(parts)


def _heading(pair: Pair, found: Iterable[Mark]) -> str:
    """Name and language of a document, and the numbers of its mentions as a legend."""
    names = [f"<b>{escape(pair.gold.id)}</b>", escape(pair.gold.language)]
    counts = [
        f'<mark style="{_style(side, 1)}" title="{escape(SIDES[side])}">{count}</mark>'
        for side, count in _counts(found).items()
    ]
    return f"<div>{' &nbsp; '.join(filter(None, [*names, *counts]))}</div>"


def _counts(found: Iterable[Mark]) -> dict[str, str]:
    """`13 right` and so on, by side."""
    numbers = Counter(mark.side for mark in found)
    return {side: f"{numbers[side]:,} {side}" for side in SIDES if numbers[side]}


def _within(over: Iterable[Mark], html: str, first: int) -> str:
    """HTML inside the marks of some mentions, the first of them outermost."""
    if not html:
        return ""
    opened = "".join(
        f'<mark style="{_style(mark.side, mark.level)}" title="{escape(_about(mark, first))}">'
        for mark in over
    )
    return opened + html + "</mark>" * opened.count("<mark ")


def _style(side: str, level: int) -> str:
    line, color = _LINES[side]
    below = 4 * level - 3
    return (
        f"color:inherit;background:{color}2e;border-bottom:2px {line} {color};padding:0 0 {below}px"
    )


def _about(mark: Mark, first: int) -> str:
    span = mark.span
    score = "" if span.score is None else f", score {span.score:.2f}"
    offsets = f"{first + span.start}-{first + span.end}"
    return f"{span.label} {offsets}, {SIDES[mark.side]}{score}"


def _tag(mark: Mark, several: bool) -> str:
    """What a mention is, unless it is right, and its label where there are several."""
    said = [mark.span.label] * several + [mark.side] * (mark.side in {"wrong", "missing"})
    color = _LINES[mark.side][1]
    return f'<sup style="color:{color};padding:0 2px">{escape(" ".join(said))}</sup>' * bool(said)


def _escaped(text: str) -> str:
    return escape(text).replace("\r\n", "\n").replace("\n", "<br>")
