"""Every mention of an evaluation as one row: the table that all other tables are counted from.

A row is a gold mention (each repetition, as the official scorer counts them) or a distinct
predicted one. So gold rows that are right are the true positives, gold rows that are not the false
negatives, predicted rows that are not the false positives, whatever the rows are grouped by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from multiclin.analysis.evaluation import Evaluation, Lexicon, Pair, folded
from multiclin.corpus.texts import UNKNOWN, language_of
from multiclin.document import Span
from multiclin.scoring.breakdown import NATIVE, TRANSLATED
from multiclin.scoring.kinds import ErrorCase
from multiclin.scoring.official import score_mentions
from multiclin.words import word_spans

COLUMNS = {
    "side": "str",
    "document": "int64",
    "label": "str",
    "start": "int64",
    "end": "int64",
    "mention": "str",
    "words": "int64",
    "score": "float64",
    "right": "bool",
    "overlap": "float64",
    "kind": "str",
    "standing": "str",
    "seen": "float64",
}
"""Columns of `mention_table`.

`side` is `gold` or `predicted`; `document` the place in `Evaluation.pairs`; `score` nan where there
is none; `overlap` its best character overlap with the other side; `kind` that of the error, empty
where the mention is right or there is no gold; `standing` its place among the mentions of its label
and side (`STANDINGS`); `seen` how often the training has it, nan where that is not known.
"""

STANDINGS = ("alone", "adjacent", "inside a longer one", "around a shorter one", "partly over one")
"""Of a mention to the others of its label; where several hold, the last of them counts."""

ADJACENT = 3
"""Most characters, none a letter or digit, between adjacent mentions: `, ` or ` / `.

In the four corpora of ../shared/data 2,894 of 2,903 neighbours with no letter between them are so
near. In a text made of blanks (`sources`), only a short gap tells of neighbours at all."""


def mention_table(evaluation: Evaluation) -> pd.DataFrame:
    """All mentions, gold before predicted in each document; columns as in `COLUMNS`."""
    rows: list[tuple[Any, ...]] = []
    for place, (pair, cases) in enumerate(zip(evaluation.pairs, evaluation.cases, strict=True)):
        lexicon = evaluation.lexicons.get(pair.gold.id, evaluation.lexicon)
        rows += _rows(place, pair, cases, lexicon)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype(COLUMNS)


def document_table(evaluation: Evaluation) -> pd.DataFrame:
    """All documents in the order of the pairs, with what does not depend on the predictions."""
    native = evaluation.native
    rows = [
        {
            "document": gold.id,
            "case": gold.case,
            "language": gold.language or language_of(gold.id),
            "subcorpus": UNKNOWN if native is None else NATIVE if gold.id in native else TRANSLATED,
            "labels": "+".join(sorted(gold.annotated)),
            "words": len(word_spans(gold.text)),
        }
        for gold, _ in evaluation.pairs
    ]
    return pd.DataFrame(
        rows, columns=["document", "case", "language", "subcorpus", "labels", "words"]
    )


def _rows(
    place: int, pair: Pair, cases: Sequence[ErrorCase], lexicon: Lexicon | None
) -> Iterator[tuple[Any, ...]]:
    text, gold = pair.gold.text, sorted(pair.gold.spans)
    surest_first = sorted(pair.predicted.spans, key=lambda span: -(span.score or 0.0))
    predicted = sorted(dict.fromkeys(surest_first))
    both = set(gold) & set(predicted)
    kinds = {
        (side, span): case.kind
        for case in cases
        for side, spans in (("gold", case.gold), ("predicted", case.predicted))
        for span in spans
        if case.kind != "repeated"
    }
    overlap = score_mentions(gold, predicted).overlap
    met: Counter[Span] = Counter()
    for side, spans, shares in (
        ("gold", gold, overlap.gold),
        ("predicted", predicted, overlap.predicted),
    ):
        standings = _standings(text, spans)
        for span, share in zip(spans, shares, strict=True):
            met[span] += side == "gold"
            again = side == "gold" and met[span] > 1
            right = span in both and not again
            kind = "" if right else "repeated" if again else kinds.get((side, span), "")
            mention = text[span.start : span.end]
            yield (
                side,
                place,
                span.label,
                span.start,
                span.end,
                mention,
                len(word_spans(mention)),
                span.score,
                right,
                share,
                kind,
                standings[span],
                _seen(lexicon, span.label, mention),
            )


def _seen(lexicon: Lexicon | None, label: str, mention: str) -> float:
    if lexicon is None:
        return float("nan")
    return lexicon.get(label, {}).get(folded(mention), 0)


def _standings(text: str, spans: Sequence[Span]) -> dict[Span, str]:
    """How each mention stands to the others of its label, one of `STANDINGS`.

    Args:
        text: Of the document.
        spans: Sorted; repetitions count once.
    """
    standings: dict[Span, str] = {}
    by_label: dict[str, list[Span]] = {}
    for span in dict.fromkeys(spans):
        by_label.setdefault(span.label, []).append(span)
    for alike in by_label.values():
        found = [0] * len(alike)

        def raise_to(place: int, standing: str, found: list[int] = found) -> None:
            found[place] = max(found[place], STANDINGS.index(standing))

        for here, span in enumerate(alike):
            for there in range(here + 1, len(alike)):
                other = alike[there]
                if other.start >= span.end:
                    between = text[span.end : other.start]
                    if len(between) <= ADJACENT and not any(map(str.isalnum, between)):
                        raise_to(here, "adjacent")
                        raise_to(there, "adjacent")
                    break
                if other.end <= span.end:
                    raise_to(here, "around a shorter one")
                    raise_to(there, "inside a longer one")
                elif other.start == span.start:
                    raise_to(here, "inside a longer one")
                    raise_to(there, "around a shorter one")
                else:
                    raise_to(here, "partly over one")
                    raise_to(there, "partly over one")
        standings |= {span: STANDINGS[place] for span, place in zip(alike, found, strict=True)}
    return standings
