"""Errors in their context: pieces of text with the marks that stand in them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from multiclin.analysis.cells import place
from multiclin.analysis.evaluation import Evaluation, Pair
from multiclin.analysis.marked import marked_text
from multiclin.document import Document, Span
from multiclin.scoring.kinds import ErrorCase

CONTEXT = 60
"""Characters on either side, up to the end of a word."""


def examples(evaluation: Evaluation, kind: str, count: int) -> str:
    """Some errors of a kind as a list, spread evenly over the documents; empty where there is none.

    Args:
        evaluation: The documents.
        kind: One of `scoring.kinds.KINDS`.
        count: How many at most.
    """
    found = [
        (pair, case)
        for pair, cases in zip(evaluation.pairs, evaluation.cases, strict=True)
        for case in cases
        if case.kind == kind
    ]
    if not found:
        return ""
    step = max(1, len(found) / count)
    shown = [found[int(number * step)] for number in range(min(count, len(found)))]
    items = "".join(_example(pair, case) for pair, case in shown)
    return (
        f"<details><summary>Examples: {kind} ({len(found):,})</summary>"
        f'<ul class="examples">{items}</ul></details>'
    )


def _example(pair: Pair, case: ErrorCase) -> str:
    spans = [*case.gold, *case.predicted]
    first, last = min(span.start for span in spans), max(span.end for span in spans)
    start, end = _around(pair, spans)
    text = pair.gold.text
    before, after = "… " * (start > 0), " …" * (end < len(text))
    name = pair.gold.id
    return (
        f"<li>{before}{marked_text(_piece(pair, start, end), start)}{after}<br>"
        f'<small><a href="{escape(place(name))}">{escape(name)}</a>, {first}-{last}</small></li>'
    )


def _around(pair: Pair, spans: Iterable[Span]) -> tuple[int, int]:
    """The piece of text that shows some mentions, and those that overlap them, in context."""
    seen = [
        other
        for document in pair
        for other in document.spans
        if any(other.overlaps(span) for span in spans)
    ]
    text = pair.gold.text
    start = max(0, min(span.start for span in seen) - CONTEXT)
    end = min(len(text), max(span.end for span in seen) + CONTEXT)
    while start > 0 and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and not text[end].isspace():
        end += 1
    return start, end


def _piece(pair: Pair, start: int, end: int) -> Pair:
    """A part of a document with the mentions that lie in it."""

    def cut(document: Document) -> Document:
        spans = tuple(
            Span(span.start - start, span.end - start, span.label, span.score)
            for span in document.spans
            if start <= span.start and span.end <= end
        )
        return Document(document.id, document.text[start:end], spans, "", document.annotated)

    return Pair(*map(cut, pair))
