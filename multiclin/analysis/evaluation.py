"""What an analysis looks at: the same documents with gold and with predicted mentions.

Everything else is derived from it, so a run that is analysed at its end, its folder opened a year
later, and a table of some other system beside a gold corpus all give the same numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from multiclin.document import Document
from multiclin.scoring.kinds import ErrorCase, error_cases

Lexicon = Mapping[str, Mapping[str, int]]
"""Label -> folded mention (`folded`) -> how often it stands in the training documents."""


class Pair(NamedTuple):
    """One document twice: the same id and text, gold mentions and predicted ones.

    `predicted.spans` holds mentions of `gold.annotated` only. Without gold, `gold.annotated` is
    empty and `predicted.spans` is everything that was found.
    """

    gold: Document
    predicted: Document


@dataclass(frozen=True)
class Evaluation:
    """What one system found in some documents.

    Attributes:
        name: What tables and pages call the system.
        pairs: The documents, sorted by id, each id once.
        split: `test`, `validation`, `5 folds`, or empty where unknown.
        lexicon: Mentions of the training documents; None where unknown.
        lexicons: The same by id, of documents whose model had training documents of its own.
        native: Ids of documents written in their language; None where unknown. All others count
            as translated.
        metrics: `metrics.json` of the run, for the ceiling.
        history: What the run logged: one mapping per line with `epoch`, `step` and figures.
        about: Where the model comes from, as its bundle says.
    """

    name: str
    pairs: Sequence[Pair]
    split: str = ""
    lexicon: Lexicon | None = None
    lexicons: Mapping[str, Lexicon] = field(default_factory=dict, kw_only=True)
    native: Collection[str] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def labels(self) -> list[str]:
        """Labels that some document is annotated for, sorted."""
        return sorted(frozenset().union(*(pair.gold.annotated for pair in self.pairs)))

    @cached_property
    def cases(self) -> list[list[ErrorCase]]:
        """Per document its errors, see `scoring.kinds`; none where there is no gold."""
        return [
            error_cases(gold.spans, predicted.spans) if gold.annotated else []
            for gold, predicted in self.pairs
        ]


def of_label(evaluation: Evaluation, label: str) -> Evaluation:
    """Only the documents annotated for a label, with only its mentions.

    Of several labels, the metrics are those of all together: they are left out.
    """

    def kept(document: Document) -> Document:
        spans = tuple(span for span in document.spans if span.label == label)
        return replace(document, spans=spans, annotated=frozenset({label}))

    pairs = [pair for pair in evaluation.pairs if label in pair.gold.annotated]
    metrics = evaluation.metrics if evaluation.labels == [label] else {}
    return replace(evaluation, pairs=[Pair(*map(kept, pair)) for pair in pairs], metrics=metrics)


def folded(mention: str) -> str:
    """A mention as the lexicon knows it: case and white space do not count."""
    return " ".join(mention.casefold().split())


def lexicon_of(documents: Iterable[Document]) -> dict[str, dict[str, int]]:
    """How often each mention stands in these documents, by label."""
    found: dict[str, Counter[str]] = {}
    for document in documents:
        for span in document.spans:
            mention = folded(document.text[span.start : span.end])
            found.setdefault(span.label, Counter())[mention] += 1
    return {label: dict(counts) for label, counts in found.items()}
