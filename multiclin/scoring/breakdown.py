"""Where a score comes from: document-macro F1, and one line per language and per subcorpus.

Document-macro F1, the task's second ranking criterion, is the mean of the strict F1 of the
documents that have at least one gold or one predicted mention. A document with neither has no F1
and is left out: the files that are scored hold rows of mentions, so they do not even name it. The
published scorer does not compute this number; this definition is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from multiclin.corpus.texts import language_of
from multiclin.scoring.official import Score
from multiclin.tables import as_text

NATIVE, TRANSLATED = "native", "translated"


@dataclass(frozen=True, slots=True)
class Line:
    """The scores of one group of documents, unrounded."""

    group: str
    documents: int
    score: Score
    document_macro_f1: float

    @classmethod
    def of(cls, group: str, scores: Sequence[Score]) -> Line:
        """Adds up the scores of the documents of a group."""
        return cls(group, len(scores), Score.total(scores), document_macro_f1(scores))

    def as_dict(self) -> dict[str, Any]:
        """The line as JSON holds it, shares rounded to 4 decimals as in the official result."""
        strict, overlap = self.score.strict, self.score.overlap
        return {
            "documents": self.documents,
            "gold": len(overlap.gold),
            "predicted": len(overlap.predicted),
            "precision": round(strict.precision, 4),
            "recall": round(strict.recall, 4),
            "f1": round(strict.f1, 4),
            "document_macro_f1": round(self.document_macro_f1, 4),
            "char_f1": round(overlap.f1, 4),
        }


def document_macro_f1(scores: Iterable[Score]) -> float:
    """Mean strict F1 of documents that have gold or predictions; 0.0 where there are none.

    Example:
        Three documents: one all right (1.0), one with predictions but no gold (0.0), one with
        neither (left out): 0.5.
    """
    scored = [score.strict.f1 for score in scores if score.overlap.gold or score.overlap.predicted]
    return fmean(scored) if scored else 0.0


def by_language(
    scores: Mapping[str, Score], languages: Mapping[str, str] | None = None
) -> list[Line]:
    """One line per language, in alphabetical order.

    Args:
        scores: Score of each document by name.
        languages: Language of documents, for names that do not tell it.
    """
    known = languages or {}
    return _lines(scores, lambda document: known.get(document) or language_of(document))


def by_subcorpus(scores: Mapping[str, Score], native: Collection[str]) -> list[Line]:
    """One line for the native documents and one for all others, the translated ones.

    Args:
        scores: Score of each document by name.
        native: Names of the documents that were written in their language.
    """
    return _lines(scores, lambda document: NATIVE if document in native else TRANSLATED)


def format_table(lines: Mapping[str, Mapping[str, Any]]) -> str:
    """A plain table with one row per group; the values are those of `Line.as_dict`."""
    columns = [field for values in lines.values() for field in values]
    rows = [["", *dict.fromkeys(columns)]]
    rows += [[group, *map(_cell, values.values())] for group, values in lines.items()]
    return as_text(rows)


def _cell(number: float) -> str:
    return f"{number:.4f}" if isinstance(number, float) else str(number)


def _lines(scores: Mapping[str, Score], group_of: Callable[[str], str]) -> list[Line]:
    groups: dict[str, list[Score]] = {}
    for document, score in scores.items():
        groups.setdefault(group_of(document), []).append(score)
    return [Line.of(group, groups[group]) for group in sorted(groups)]
