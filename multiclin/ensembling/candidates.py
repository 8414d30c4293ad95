"""Models on gold documents, each computed once; then any ensemble of them is a decoding away.

What a network says of a document does not depend on the others, so its emissions are written to a
file once, and mapped into memory; the network itself is let go. An ensemble of some of them is
averaged, joined, decoded and scored as `predict.py ckpt=[...]` and the official scorer would, which
takes milliseconds a document.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from multiclin.bundle import Model, load_model
from multiclin.decoding import Merged, decoded
from multiclin.document import Document
from multiclin.ensemble import Ensemble, by_reading
from multiclin.heads import Tagger
from multiclin.recognition import Recognizer
from multiclin.scoring.counts import Counts, strict_counts
from multiclin.tagging import Floats, Transitions
from multiclin.windows import Tokenized

TOGETHER = 64
"""Documents that are decoded in step."""


class Silenced(Tagger):
    """What decoding needs of a network that has spoken.

    Args:
        transitions: Of each head what a path pays.
    """

    def __init__(self, transitions: Sequence[Transitions]) -> None:
        nn.Module.__init__(self)
        self._transitions = list(transitions)

    def transitions(self) -> list[Transitions]:
        """As of the network."""
        return self._transitions


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model, and what it has said.

    Attributes:
        model: The model, its network silenced.
        tokenized: The documents in its tokenization.
        emissions: Of each, shape (tokens, tags of all heads).
    """

    model: Model
    tokenized: Sequence[Tokenized]
    emissions: Sequence[Floats]

    @classmethod
    def heard(cls, path: Path, documents: Sequence[Document], file: Path) -> Candidate:
        """The model at `path`, on these documents; the emissions go into the file."""
        model = load_model(path)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        tokenized: list[Tokenized] = []
        with file.open("wb") as stream:
            for one in Recognizer(model, device=device).completed(documents):
                tokenized.append(one.tokenized)
                stream.write(one.emissions.astype(np.float32).tobytes())
        emissions = np.memmap(file, np.float32, "r").reshape(-1, len(model.recipe.tags))
        ends = np.cumsum([len(one) for one in tokenized])
        silenced = replace(model, tagger=Silenced(model.tagger.transitions()))
        return cls(silenced, tokenized, np.split(emissions, ends[:-1]))


@dataclass
class Pool:
    """Candidates on the same documents, and the score of any ensemble of them.

    Attributes:
        documents: With their gold mentions.
        candidates: The models.
    """

    documents: Sequence[Document]
    candidates: Sequence[Candidate]
    _known: dict[object, float] = field(default_factory=dict)

    def f1(self, chosen: Sequence[int]) -> float:
        """Strict F1 of an ensemble.

        Args:
            chosen: Numbers of its members, the first of which says how it is decoded; one that
                stands there twice counts double. Nobody finds nothing.
        """
        if not chosen:
            return 0.0
        weights = Counter(chosen)
        key = (chosen[0], frozenset(weights.items()))
        if key not in self._known:
            self._known[key] = self._counts(weights).f1
        return self._known[key]

    def _counts(self, weights: Counter[int]) -> Counts:
        members = [self.candidates[number] for number in weights]
        models, shares = [one.model for one in members], list(weights.values())
        assembler, groups = Ensemble.of(models, shares).assembler(), by_reading(models)

        def merged(number: int) -> Merged:
            """A document, as the assembler would have it of their batches."""
            said = [
                np.average(
                    [members[i].emissions[number] for i in group],
                    axis=0,
                    weights=[shares[i] for i in group],
                )
                for group in groups
            ]
            tokenized = [members[group[0]].tokenized[number] for group in groups]
            means = (one.astype(np.float32) for one in said)
            return assembler.join(list(map(Merged, tokenized, means)))

        counts = Counts()
        for at in range(0, len(self.documents), TOGETHER):
            gold = self.documents[at : at + TOGETHER]
            found = decoded(assembler.decoder, list(map(merged, range(at, at + len(gold)))))
            counts = sum(map(self._score, gold, found), counts)
        return counts

    def _score(self, gold: Document, found: Document) -> Counts:
        labels = gold.annotated.intersection(self.candidates[0].model.recipe.labels)
        return strict_counts(
            *([s for s in one.spans if s.label in labels] for one in (gold, found))
        )
