"""Small evaluations, written as texts with their mentions between ⟦ and ⟧, or drawn at random."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from multiclin.analysis.evaluation import Evaluation, Pair
from multiclin.corpus.tsv import Row
from multiclin.document import Document, Span
from multiclin.scoring.official import Score, score_documents
from tests.toys import document


def pair(
    id: str,
    gold: str,
    predicted: str,
    *,
    language: str = "es",
    case: str = "",
    scores: Sequence[float | None] = (),
) -> Pair:
    """A text marked twice, with mentions of the label D; `scores` are those of the predictions."""
    wanted, found = document(id, gold, "D", language), document(id, predicted, "D", language)
    assert wanted.text == found.text
    if scores:
        spans = zip(found.spans, scores, strict=True)
        found = found.with_spans(tuple(replace(span, score=score) for span, score in spans))
    return Pair(*(replace(one, case=case or id) for one in (wanted, found)))


def bare(
    id: str, gold: Sequence[Span], predicted: Sequence[Span], labels: str = "DS", length: int = 60
) -> Pair:
    """A text without a word, annotated for labels of one letter each."""
    one = Document(id, "." * length, tuple(gold), "es", frozenset(labels))
    return Pair(one, one.with_spans(tuple(predicted)))


def evaluation(*pairs: Pair, **known: Any) -> Evaluation:  # noqa: ANN401
    return Evaluation("toy", sorted(pairs, key=lambda one: one.gold.id), **known)


def official_scores(evaluation: Evaluation, label: str | None = None) -> dict[str, Score]:
    """Score of each document with mentions, out of the rows that the official scorer reads."""
    gold, predicted = zip(*evaluation.pairs, strict=True) if evaluation.pairs else ((), ())
    return score_documents(_rows(gold), _rows(predicted), label)


def _rows(documents: Iterable[Document]) -> list[Row]:
    return [
        Row(one.id, span.label, span.start, span.end, "") for one in documents for span in one.spans
    ]


def row(table: pd.DataFrame, **wanted: object) -> dict[Any, Any]:
    """The only row with these values."""
    for name, value in wanted.items():
        table = table[table[name] == value]
    [found] = table.to_dict("records")
    return found


def random_evaluation(seed: int) -> Evaluation:
    """Up to five documents of up to three cases, with everything that a corpus may hold.

    Mentions of two labels in a few characters: nested, crossing and repeated ones, some with a
    score, in texts with a byte order mark, CRLF and emoji; documents without a character.
    """
    rng = random.Random(seed)
    pairs = []
    for number in range(rng.randrange(6)):
        text = "".join(rng.choices("ab, \r\n\ufeff😀", k=rng.choice([0, 12, 24])))
        gold, predicted = _random_spans(rng, len(text)), _random_spans(rng, len(text))
        gold += rng.sample(gold, len(gold) // 3)
        predicted += rng.sample(gold, len(gold) // 2)
        case, language = rng.choice(["x", "y", ""]), rng.choice(["es", "it", ""])
        one = Document(str(number), text, tuple(gold), language, frozenset("DS"), case)
        pairs.append(Pair(one, one.with_spans(tuple(predicted))))
    lexicon = rng.choice([None, {"D": {"a": 1, "b": 12}}])
    return evaluation(*pairs, lexicon=lexicon, native=rng.choice([None, {"0", "3"}]))


def _random_spans(rng: random.Random, length: int) -> list[Span]:
    starts = [rng.randrange(length) for _ in range(rng.randrange(8) if length else 0)]
    return [
        Span(start, min(start + rng.randint(1, 8), length), rng.choice("DDS"), rng.choice(_SCORES))
        for start in starts
    ]


_SCORES = (None, 0.0, 0.4, 0.9)
