"""The best score that can still be reached: what scheme, tokenizer and word rules cannot represent.

Every gold document is sent through the real decoder with perfect emissions. What does not come
back is lost to one reason, in this order: `overlap` (a layer of tags holds one of several
overlapping mentions), `duplicate` (the scorer counts a repeated gold row as a miss), `tokenizer`
(an edge falls inside a token, or two mentions share one), `words` (whole-word decoding or snapping
moves an edge).
Windows lose nothing, since emissions are merged before decoding; mentions that no window holds
whole are counted all the same, for the model never sees them in one piece. (FACTS 2, 4; DESIGN 3.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np

from multiclin.decoding import Decoder
from multiclin.document import Span
from multiclin.scoring.counts import Counts, strict_counts
from multiclin.tagging import Floats, Tagging, token_ranges
from multiclin.windows import Tokenized, Windowing, split_mentions

REASONS = ("overlap", "duplicate", "tokenizer", "words")

TOGETHER = 64
"""Documents decoded in step: 4 ms each for some 560 subwords, where one by one takes 11."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Counts over some documents; they add.

    Attributes:
        gold: Gold mentions.
        lost: Mentions lost, by reason.
        split: Mentions that stand whole in no window (not lost by that).
        raw: Strict counts of perfect emissions decoded token by token, before snapping.
        snapped: The same as predictions are really made.
    """

    gold: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    split: int = 0
    raw: Counts = field(default_factory=Counts)
    snapped: Counts = field(default_factory=Counts)

    def __add__(self, other: Ceiling) -> Ceiling:
        return Ceiling(
            self.gold + other.gold,
            self.lost + other.lost,
            self.split + other.split,
            self.raw + other.raw,
            self.snapped + other.snapped,
        )

    def counts(self) -> dict[str, Any]:
        """As JSON holds it; `of` is the reverse."""
        raw, snapped = asdict(self.raw), asdict(self.snapped)
        lost = dict(self.lost)
        return {
            "gold": self.gold,
            "lost": lost,
            "split": self.split,
            "raw": raw,
            "snapped": snapped,
        }

    @classmethod
    def of(cls, counts: Mapping[str, Any]) -> Ceiling:
        """A ceiling of its `counts`."""
        return cls(
            counts["gold"],
            Counter(counts["lost"]),
            counts["split"],
            Counts(**counts["raw"]),
            Counts(**counts["snapped"]),
        )

    def figures(self) -> dict[str, float]:
        """Flat figures for `metrics.json`."""
        return {
            "gold": self.gold,
            **{f"lost_{reason}": self.lost[reason] for reason in REASONS},
            "split_by_windows": self.split,
            "f1_before_snapping": round(self.raw.f1, 4),
            "recall": round(self.snapped.recall, 4),
            "f1": round(self.snapped.f1, 4),
        }


def document_ceilings(
    documents: Sequence[Tokenized], tagging: Tagging, decoder: Decoder, windowing: Windowing
) -> list[Ceiling]:
    """The ceiling of each gold document over the labels that it is annotated for."""
    perfect = [_perfect_emissions(tokenized, tagging) for tokenized in documents]
    bare = replace(decoder, whole_words=False, snapping="none")
    raw, snapped = bare.decode(documents, perfect), decoder.decode(documents, perfect)
    return [
        _ceiling(tokenized, tagging, windowing, raw=before.spans, snapped=after.spans)
        for tokenized, before, after in zip(documents, raw, snapped, strict=True)
    ]


def _ceiling(
    tokenized: Tokenized,
    tagging: Tagging,
    windowing: Windowing,
    *,
    raw: Sequence[Span],
    snapped: Sequence[Span],
) -> Ceiling:
    document = tokenized.document
    labels = [label for label in tagging.labels if label in document.annotated]
    gold = [span for span in document.spans if span.label in labels]
    lost: Counter[str] = Counter()
    for label in labels:
        mine = [span for span in gold if span.label == label]
        lost += _reasons(mine, set(raw), set(snapped), tagging)
    split = split_mentions(
        windowing.cut(len(tokenized)), token_ranges(tokenized.starts, tokenized.ends, gold)
    )
    return Ceiling(len(gold), lost, split, strict_counts(gold, raw), strict_counts(gold, snapped))


def corpus_ceiling(
    documents: Iterable[Tokenized], tagging: Tagging, decoder: Decoder, windowing: Windowing
) -> dict[str, Ceiling]:
    """Ceilings by language."""
    found: dict[str, Ceiling] = {}
    stream = iter(documents)
    while together := list(islice(stream, TOGETHER)):
        ceilings = document_ceilings(together, tagging, decoder, windowing)
        for tokenized, one in zip(together, ceilings, strict=True):
            language = tokenized.document.language or "?"
            found[language] = found.get(language, Ceiling()) + one
    return found


def _perfect_emissions(tokenized: Tokenized, tagging: Tagging) -> Floats:
    """Emissions of a model that knows the tags, shape (tokens, tags of all heads)."""
    tags = tokenized.tags
    if tags is None:
        raise ValueError("the ceiling needs tagged documents")
    parts = []
    for row in tags:
        part = np.zeros((len(row), len(tagging.scheme)), dtype=np.float32)
        part[np.arange(len(row)), np.maximum(row, 0)] = 10.0
        parts.append(part)
    return np.concatenate(parts, axis=1)


def _reasons(
    gold: list[Span], raw: set[Span], snapped: set[Span], tagging: Tagging
) -> Counter[str]:
    """One reason for each gold mention of a label that does not come back."""
    distinct = sorted(set(gold))
    dropped = set(tagging.layered(distinct)[1])
    lost: Counter[str] = Counter(duplicate=len(gold) - len(distinct))
    for span in distinct:
        if span in snapped:
            continue
        if span in dropped:
            lost["overlap"] += 1
        else:
            lost["words" if span in raw else "tokenizer"] += 1
    return lost
