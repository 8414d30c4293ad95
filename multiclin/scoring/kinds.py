"""Error kinds: every false positive and every false negative is put in exactly one error case.

A case is what a reader sees as one mistake: a mention with a wrong edge (one false negative and one
false positive), three mentions read as one (three and one), a mention not seen at all. Summed over
the cases of a document, the false negatives and false positives are those of `strict_counts`, so
what the kinds cost adds up to what the official score lacks (FACTS section 3).

Mentions are settled in a fixed order, each once: exactly right, repeated in gold, right but for the
label, several against one, one against one, beside something else, alone. Pairs of one against one
are taken greedily by Dice overlap: a best matching over the whole document would differ only where
mentions nest or chain, and could not be checked by eye.

The overlapping pairs come from a plane sweep: O(n log n + k) for n mentions and k pairs of one
label that share a character. Mentions nest a few deep, so k is a small multiple of n on real files;
it is quadratic only where all mentions of a document overlap each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from multiclin.document import Span
from multiclin.scoring.counts import Counts

ABOUT: Mapping[str, str] = {
    "label": "The right place under another label.",
    "short left": "The prediction begins too late.",
    "short right": "The prediction ends too early.",
    "short both": "The prediction begins too late and ends too early.",
    "long left": "The prediction begins too early.",
    "long right": "The prediction ends too late.",
    "long both": "The prediction begins too early and ends too late.",
    "shifted": "Both edges are moved the same way: too much on one side, too little on the other.",
    "merged": "One prediction lies over several gold mentions.",
    "split": "Several predictions lie in one gold mention.",
    "missed": "No prediction of this label touches the gold mention.",
    "spurious": "The prediction touches no gold mention of this label.",
    "nested": "It overlaps only mentions that are accounted for otherwise, "
    "such as the outer one of two nested mentions.",
    "repeated": "Gold has this very mention more than once; no system can find it again.",
}
"""Each kind in a sentence for a reader, in the order in which a page lists them."""

KINDS: tuple[str, ...] = tuple(ABOUT)

# Sign of the characters too many at the left and at the right edge.
_BY_EDGES = {
    (-1, 0): "short left",
    (0, -1): "short right",
    (-1, -1): "short both",
    (1, 0): "long left",
    (0, 1): "long right",
    (1, 1): "long both",
    (1, -1): "shifted",
    (-1, 1): "shifted",
}

BOUNDARY: frozenset[str] = frozenset(_BY_EDGES.values())
"""Kinds of one prediction for one gold mention of its label, with an edge in the wrong place."""


class ErrorCase(NamedTuple):
    """One mistake in one document.

    Attributes:
        kind: One of `KINDS`.
        gold: Its false negatives, sorted.
        predicted: Its false positives, sorted, with their scores.
    """

    kind: str
    gold: tuple[Span, ...]
    predicted: tuple[Span, ...]


def error_cases(gold: Iterable[Span], predicted: Iterable[Span]) -> list[ErrorCase]:
    """Explains the errors of one document, sorted by where they begin.

    1. Exactly right mentions drop out; every repetition in gold is "repeated".
    2. Equal offsets, other label: "label", one to one.
    3. From here on within a label. A prediction over two gold mentions that are disjoint is
       "merged", a gold mention over two predictions that are disjoint is "split".
    4. All others that overlap, one to one, best Dice first: a boundary kind.
    5. What is left joins the merged prediction or split gold mention that it overlaps best. A
       "merged" case so has one prediction and any number of gold mentions, none where others
       account for them all; "split" likewise. Otherwise a mention is "nested" where it overlaps
       any mention of the other side at all, and else "missed" or "spurious".

    Args:
        gold: Gold mentions of the document; each repetition counts.
        predicted: Predicted mentions of the same document; of repetitions the surest one is kept.

    Example:
        Gold 0-20, 5-9, 30-34 and 36-40; predicted 0-18 and 30-40, all of one label. Three cases:
        "short right" (0-20 as 0-18), "nested" (5-9), "merged" (30-34 and 36-40 as 30-40). Together
        four false negatives and two false positives, as `strict_counts` has it.
    """
    wanted, repetitions = _distinct(gold)
    found, _ = _distinct(predicted)
    lost = [span for span in wanted if span not in found]
    wrong = [span for span in found if span not in wanted]

    cases = [ErrorCase("label", (g,), (p,)) for g, p in _swaps(lost, wrong)]
    lost, wrong = _unsettled(lost, cases), _unsettled(wrong, cases)
    cases += _overlap_cases(lost, wrong)
    lost, wrong = _unsettled(lost, cases), _unsettled(wrong, cases)

    beside_found = {g for g, _ in _meetings(lost, found)}
    beside_gold = {p for _, p in _meetings(wanted, wrong)}
    cases += [ErrorCase("nested" if g in beside_found else "missed", (g,), ()) for g in lost]
    cases += [ErrorCase("nested" if p in beside_gold else "spurious", (), (p,)) for p in wrong]
    cases += [ErrorCase("repeated", (g,), ()) for g in repetitions]
    return sorted(cases, key=lambda case: (min(case.gold + case.predicted), case))


def fixed(counts: Counts, cases: Iterable[ErrorCase]) -> Counts:
    """The counts had exactly these cases been right, the oracle of an error analysis.

    Their false negatives become true positives and their false positives vanish.

    Args:
        counts: Strict counts of some documents.
        cases: Some of the error cases of the same documents.

    Example:
        One boundary error of many is put right, and F1 rises from 0.6 to 0.7:

        >>> case = ErrorCase("long right", (Span(0, 4, "D"),), (Span(0, 6, "D"),))
        >>> fixed(Counts(tp=6, fp=3, fn=5), [case])
        Counts(tp=7, fp=2, fn=4)
    """
    fp = fn = 0
    for case in cases:
        fp += len(case.predicted)
        fn += len(case.gold)
    return Counts(tp=counts.tp + fn, fp=counts.fp - fp, fn=counts.fn - fn)


def _distinct(spans: Iterable[Span]) -> tuple[dict[Span, None], list[Span]]:
    """The distinct spans in order, of equal ones the surest, and all further repetitions."""
    surest_first = sorted(
        spans, key=lambda span: (span.start, span.end, span.label, -(span.score or 0.0))
    )
    repetitions = [span for before, span in pairwise(surest_first) if span == before]
    return dict.fromkeys(surest_first), repetitions


def _unsettled(spans: Iterable[Span], cases: Iterable[ErrorCase]) -> list[Span]:
    """Those that are in none of the cases. A false negative never equals a false positive."""
    settled = {span for case in cases for span in case.gold + case.predicted}
    return [span for span in spans if span not in settled]


def _swaps(lost: Iterable[Span], wrong: Iterable[Span]) -> Iterator[tuple[Span, Span]]:
    """Pairs of equal offsets, one to one, both sides in the order of their labels."""
    at: defaultdict[tuple[int, int], list[Span]] = defaultdict(list)
    for span in wrong:
        at[span.start, span.end].append(span)
    for span in lost:
        if rivals := at[span.start, span.end]:
            yield span, rivals.pop(0)


def _overlap_cases(lost: Iterable[Span], wrong: Iterable[Span]) -> list[ErrorCase]:
    """Rules 3 to 5 for mentions that overlap one of the other side; leaves out all others."""
    pairs = sorted(_meetings(lost, wrong), key=lambda pair: (-_dice(*pair), *pair))
    split = _over_several(pairs)
    merged = _over_several((p, g) for g, p in pairs)

    boundary: list[ErrorCase] = []
    settled = split | merged
    for g, p in pairs:
        if g not in settled and p not in settled:
            boundary.append(ErrorCase(_boundary_kind(g, p), (g,), (p,)))
            settled |= {g, p}

    joined: defaultdict[Span, list[Span]] = defaultdict(list)
    for g, p in pairs:
        for whole, part, wholes in ((g, p, split), (p, g, merged)):
            if whole in wholes and part not in settled:
                joined[whole].append(part)
                settled.add(part)
    return [
        *boundary,
        *(ErrorCase("split", (g,), tuple(sorted(joined[g]))) for g in split),
        *(ErrorCase("merged", tuple(sorted(joined[p])), (p,)) for p in merged),
    ]


def _meetings(gold: Iterable[Span], predicted: Iterable[Span]) -> Iterator[tuple[Span, Span]]:
    """Pairs (gold, predicted) of one label that share a character, by a plane sweep.

    Mentions arrive by label and start. Each meets the mentions of the other side that are still
    open; those that have ended, or are of the label before, are met once more and then dropped.
    """
    arrivals = [(span, True) for span in gold] + [(span, False) for span in predicted]
    arrivals.sort(key=lambda arrival: (arrival[0].label, arrival[0].start))
    opened: dict[bool, list[Span]] = {True: [], False: []}
    for span, is_gold in arrivals:
        met = [o for o in opened[not is_gold] if o.end > span.start and o.label == span.label]
        yield from ((span, other) if is_gold else (other, span) for other in met)
        opened[not is_gold] = met
        opened[is_gold].append(span)


def _over_several(pairs: Iterable[tuple[Span, Span]]) -> set[Span]:
    """Which spans on the left of the pairs are paired with two that are disjoint."""
    first_end: dict[Span, int] = {}
    last_start: dict[Span, int] = {}
    for span, other in pairs:
        first_end[span] = min(other.end, first_end.get(span, other.end))
        last_start[span] = max(other.start, last_start.get(span, other.start))
    return {span for span in first_end if first_end[span] <= last_start[span]}


def _dice(g: Span, p: Span) -> float:
    """Characters shared by two overlapping spans, over the mean of their lengths."""
    shared = min(g.end, p.end) - max(g.start, p.start)
    return 2 * shared / (g.end - g.start + p.end - p.start)


def _boundary_kind(g: Span, p: Span) -> str:
    left, right = g.start - p.start, p.end - g.end  # characters too many
    return _BY_EDGES[(left > 0) - (left < 0), (right > 0) - (right < 0)]
