"""The result of the shared task's scorer (nlp4bia-bsc/MultiClinAIEval), number for number.

Held against that scorer's rules: labels and file names are compared as they are written, the
entity filter keeps rows whose label equals it, documents are those named on either side, so that a
prediction in a document without gold is a false positive, and F1 comes from the unrounded
precision and recall before all are rounded to 4 decimals. Where a strict score is undefined the
official JSON has the integer `0`; here it is `0.0`, which is the same number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from multiclin.scoring.counts import Counts, Mention, strict_counts
from multiclin.scoring.overlap import Overlap, character_overlap


class FiledMention(Mention, Protocol):
    """A mention and the document that it stands in. `corpus.tsv.Row` is one."""

    @property
    def filename(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Score:
    """Both measures of one document, or of many added up."""

    strict: Counts
    overlap: Overlap

    @classmethod
    def total(cls, scores: Iterable[Score]) -> Score:
        """The score of many documents taken together (micro)."""
        parts = list(scores)
        return cls(
            strict=sum((part.strict for part in parts), Counts()),
            overlap=Overlap.total(part.overlap for part in parts),
        )


def score_mentions(gold: Iterable[Mention], predicted: Iterable[Mention]) -> Score:
    """Scores one document by both measures."""
    gold, predicted = list(gold), list(predicted)
    return Score(strict_counts(gold, predicted), character_overlap(gold, predicted))


def score_documents(
    gold: Iterable[FiledMention], predicted: Iterable[FiledMention], entity: str | None = None
) -> dict[str, Score]:
    """Scores every document that has a gold or a predicted mention, by document name.

    Args:
        gold: Rows of any number of documents, in any order.
        predicted: Rows likewise.
        entity: Keep only rows of exactly this label, on both sides. None keeps all; labels must
            match in any case.
    """
    gold_by_document = _by_document(gold, entity)
    predicted_by_document = _by_document(predicted, entity)
    return {
        name: score_mentions(gold_by_document.get(name, ()), predicted_by_document.get(name, ()))
        for name in sorted(gold_by_document.keys() | predicted_by_document.keys())
    }


def official(
    gold: Iterable[FiledMention], predicted: Iterable[FiledMention], entity: str | None = None
) -> dict[str, Any]:
    """The official result of predicted rows against gold rows.

    Args:
        gold: Gold rows; repeated rows count.
        predicted: Predicted rows; repeated rows are dropped.
        entity: Keep only rows of exactly this label, on both sides.

    Returns:
        `entity`, `strict` (`precision`, `recall`, `f1`, `tp`, `fp`, `fn`) and `char_f1`
        (`precision`, `recall`, `f1`, `n_gold`, `n_pred`), shares rounded to 4 decimals.
    """
    return official_result(score_documents(gold, predicted, entity), entity)


def official_result(scores: Mapping[str, Score], entity: str | None = None) -> dict[str, Any]:
    """The official result of documents that are already scored; see `official`."""
    score = Score.total(scores.values())
    strict, overlap = score.strict, score.overlap
    return {
        "entity": entity,
        "strict": _rounded(strict) | {"tp": strict.tp, "fp": strict.fp, "fn": strict.fn},
        "char_f1": _rounded(overlap)
        | {"n_gold": len(overlap.gold), "n_pred": len(overlap.predicted)},
    }


def _rounded(measure: Counts | Overlap) -> dict[str, float]:
    return {
        "precision": round(measure.precision, 4),
        "recall": round(measure.recall, 4),
        "f1": round(measure.f1, 4),
    }


def _by_document(rows: Iterable[FiledMention], entity: str | None) -> dict[str, list[FiledMention]]:
    documents: dict[str, list[FiledMention]] = {}
    for row in rows:
        if entity is None or row.label == entity:
            documents.setdefault(row.filename, []).append(row)
    return documents
