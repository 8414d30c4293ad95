"""Targets of scores and splits, held against slow statements of what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from multiclin.corpus.splits import Header, folds, overlapping_texts, split_cases
from multiclin.document import Span
from multiclin.scoring.counts import strict_counts
from multiclin.scoring.kinds import KINDS, error_cases, fixed
from multiclin.scoring.official import score_mentions
from tests.fuzzing.contracts import attempted
from tests.fuzzing.source import Source


def scores(data: bytes) -> None:
    """Counts and overlaps are those of all pairs; every error is in one case, and costs add up."""
    source = Source(data)
    gold = source.spans(40, labels=("X", "Y"))
    predicted = source.spans(40, labels=("X", "Y"))
    score = score_mentions(gold, predicted)
    strict = score.strict
    distinct = set(predicted)
    assert (strict.tp, strict.fp) == (len(distinct & set(gold)), len(distinct - set(gold)))
    assert strict.tp + strict.fn == len(gold)
    assert np.allclose(score.overlap.gold, [_best(one, predicted) for one in gold])
    best = [_best(one, gold) for one in dict.fromkeys(predicted)]
    assert np.allclose(sorted(score.overlap.predicted), sorted(best))
    cases = error_cases(gold, predicted)
    assert all(case.kind in KINDS for case in cases)
    assert sum(len(case.gold) for case in cases) == strict.fn
    assert sum(len(case.predicted) for case in cases) == strict.fp
    wrong = Counter(span for case in cases for span in case.predicted)
    assert wrong == Counter(distinct - set(gold))
    assert fixed(strict, cases).fp == fixed(strict, cases).fn == 0
    assert strict_counts(gold, gold).fn == len(gold) - len(set(gold))


def _best(one: Span, others: Iterable[Span]) -> float:
    shares = [0.0]
    for other in others:
        if one.label == other.label and one.overlaps(other):
            shared = min(one.end, other.end) - max(one.start, other.start)
            shares.append(2 * shared / (one.end - one.start + other.end - other.start))
    return max(shares)


def splits(data: bytes) -> None:
    """Every document is on one side, no case on two, and folds validate on each once."""
    source = Source(data)
    share, seed, keep = source.number(0, 99) / 100, source.number(0, 5), source.flag()
    languages = source.choice((("es",), ("es", "it"), None))
    headers = [
        Header(f"{source.choice('abcdef')}", source.choice(("es", "it", "")), source.choice("klmn"))
        for _ in range(source.number(0, 20))
    ]
    made, _ = attempted(
        lambda: split_cases(
            headers, share=share, seed=seed, languages=languages, keep_translations=keep
        )
    )
    if made:
        assert Counter([*made.train, *made.validation, *made.unused]) == Counter(headers)
        sides = [{one.case for one in side} for side in (made.train, made.validation)]
        assert keep or not sides[0] & sides[1]
        assert not (keep and made.unused)
    k = source.number(0, 5)
    dealt, _ = attempted(lambda: folds(headers, k, seed=seed, languages=languages))
    if dealt:
        asked = {one for one in headers if languages is None or one.language in languages}
        times = Counter(one for fold in dealt for one in set(fold.validation))
        assert times == Counter(asked)
    named = {side: [(one.id, one.case) for one in headers[n::2]] for n, side in enumerate("ab")}
    shared = {text for _, text in named["a"]} & {text for _, text in named["b"]}
    assert len(overlapping_texts(named)) == len(shared)
