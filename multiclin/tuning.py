"""The bias of a mention, tuned on validation: precision against recall, label by label.

The best path finds a mention where its tags are likelier than those of its absence. That is not
where strict F1 is highest: a mention with a wrong edge costs a false positive and a false negative,
its absence the latter only. `Transitions.favouring` adds a bias to each mention, a threshold on its
log-odds; here the one is chosen that scores best on documents that the model was not trained on.
What one tries is a whole decoding, so the monitored score is the one that is raised.

The best of many is lucky in part: of three neighbouring values the middle one is taken where their
mean is highest. The score of the same documents afterwards is optimistic all the same; that of the
test is not. (Lipton et al. 2014, on thresholds for F1.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from multiclin.bundle import Model
from multiclin.document import Document, Span
from multiclin.scoring.counts import Counts, strict_counts
from multiclin.tables import as_text
from multiclin.tagging import Floats
from multiclin.windows import Tokenized

GRID = tuple(step / 4 for step in range(-14, 15))
"""Biases that are tried, natural logarithms."""


class Emitted(NamedTuple):
    """A gold document and what the network says of it.

    Attributes:
        tokenized: The document.
        emissions: Shape (tokens, tags of all heads).
    """

    tokenized: Tokenized
    emissions: Floats


class Tuned(NamedTuple):
    """The bias of a label.

    Attributes:
        label: The label.
        bias: Its bias.
        before: Strict counts without it.
        after: Strict counts with it.
    """

    label: str
    bias: float
    before: Counts
    after: Counts


def tune(model: Model, emitted: Sequence[Emitted], beta: float = 1.0) -> list[Tuned]:
    """The best bias of each label by F-beta.

    Args:
        model: The model; a bias that it has is left out.
        emitted: Validation documents.
        beta: How many times recall counts as much as precision.
    """
    tried = {bias: _counts(model, emitted, bias) for bias in GRID}
    found = []
    for label in model.recipe.labels:
        scores = {bias: f_beta(counts[label], beta) for bias, counts in tried.items()}
        bias = _best(scores)
        found.append(Tuned(label, bias, tried[0.0][label], tried[bias][label]))
    return found


def tuned(model: Model, biases: Sequence[Tuned]) -> Model:
    """The model with these biases."""
    return replace(model, recipe=replace(model.recipe, bias=tuple(one.bias for one in biases)))


def tuning_table(biases: Sequence[Tuned]) -> str:
    """What each bias does, as a table for the console."""
    rows = [["label", "bias", "P", "R", "F1", "P before", "R before", "F1 before"]]
    for label, bias, before, after in biases:
        shares = (s for c in (after, before) for s in (c.precision, c.recall, c.f1))
        rows.append([label, f"{bias:+.2f}", *(f"{share:.4f}" for share in shares)])
    return as_text(rows)


def f_beta(counts: Counts, beta: float) -> float:
    """F-measure in which recall counts `beta` times as much as precision; 0.0 without a hit."""
    if not counts.tp:
        return 0.0
    weight = beta * beta
    wrong = counts.fp + weight * counts.fn
    return (1 + weight) * counts.tp / ((1 + weight) * counts.tp + wrong)


def _counts(model: Model, emitted: Sequence[Emitted], bias: float) -> dict[str, Counts]:
    """Strict counts by label where every label has this bias."""
    labels = model.recipe.labels
    recipe = replace(model.recipe, bias=(bias,) * len(labels))
    documents = [one.tokenized for one in emitted]
    predicted = (
        replace(model, recipe=recipe)
        .decoder()
        .decode(documents, [one.emissions for one in emitted])
    )
    counts = dict.fromkeys(labels, Counts())
    for one, found in zip(documents, predicted, strict=True):
        for label in one.document.annotated.intersection(labels):
            counts[label] += strict_counts(_of(label, one.document), _of(label, found))
    return counts


def _of(label: str, document: Document) -> list[Span]:
    return [span for span in document.spans if span.label == label]


def _best(scores: dict[float, float]) -> float:
    """The middle of three neighbours whose mean is highest, the nearest to 0 of equal ones."""
    sums = {
        bias: scores[before] + scores[bias] + scores[after]
        for before, bias, after in zip(GRID, GRID[1:], GRID[2:], strict=False)
    }
    return max(sums, key=lambda bias: (round(sums[bias], 9), -abs(bias)))
