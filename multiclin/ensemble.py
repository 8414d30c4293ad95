"""Several models as one: their emissions and transitions are averaged before decoding.

Members of one tokenization (the same tokenizer.json and windows) read the same batches, and their
logits are averaged token by token (`Average`). Of several tokenizations each reads the documents in
its own way (`Committee`), and `units` aligns what they say by character.

Why logits: a member's log-probabilities are its logits less a number per token, the same for all
tags. Neither a path nor a softmax sees that number, so the mean of logits is the normalised product
of the members' distributions, in decoding and in the scores of mentions, for linear heads and CRFs
alike. Where members disagree its scores are lower than theirs.

Only weights are added to memory: there is one pass over the documents, one batch at a time.
(FACTS 7: over seeds, first place in five of seven languages.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from multiclin.batch import Batch
from multiclin.bundle import Model, Reading, load_model
from multiclin.decoding import Assembler
from multiclin.heads import Tagger
from multiclin.members import check_alike, members_of
from multiclin.tagging import Floats, Transitions, scheme
from multiclin.units import Units, Voice


def load_members(ckpt: object) -> Model:
    """The model that `ckpt=` asks for: one, or several as an ensemble.

    Args:
        ckpt: A path, or several; see `members_of`.

    Raises:
        CheckpointError: There is none, it is broken, or the members find other labels.
    """
    members = members_of(ckpt)
    models = [load_model(one.path) for one in members]
    if len(models) == 1:
        return models[0]
    paths = [one.path for one in members]
    check_same_tags(paths, models)
    return Ensemble.of(models, [one.weight for one in members])


def check_same_tags(paths: Sequence[Path], models: Sequence[Model]) -> None:
    """Raise `CheckpointError` where the emissions of two models do not mean the same."""
    recipes = [asdict(one.recipe) for one in models]
    check_alike(dict(zip(paths, recipes, strict=True)))


class Average(Tagger):
    """Members of one tokenization: the weighted mean of their logits. It is not trained.

    Args:
        members: Their networks.
        weights: How much each counts.
    """

    def __init__(self, members: Iterable[Tagger], weights: Sequence[int]) -> None:
        nn.Module.__init__(self)
        self.members, self.weights = nn.ModuleList(members), tuple(weights)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """As `Tagger.forward`, of all members."""
        pairs = zip(self.members, self.weights, strict=True)
        said = [member(ids, mask) * weight for member, weight in pairs]
        return torch.stack(said).sum(dim=0) / sum(self.weights)

    def transitions(self) -> list[Transitions]:
        """Per head the weighted mean of what the members' paths pay."""
        return _mean([one.transitions() for one in self.members], self.weights)  # type: ignore[operator]


class Committee(Tagger):
    """Several tokenizations: a batch is read by those whose tokens it holds.

    Args:
        parts: An `Average` for each tokenization.
    """

    def __init__(self, parts: Iterable[Average]) -> None:
        nn.Module.__init__(self)
        self.parts = nn.ModuleList(parts)

    def emissions(self, batch: Batch) -> Tensor:
        """Of the members that read such batches."""
        return self.averages[batch.reading].emissions(batch)

    def transitions(self) -> list[Transitions]:
        """Per head the weighted mean of what the members' paths pay."""
        weights = [sum(one.weights) for one in self.averages]
        return _mean([one.transitions() for one in self.averages], weights)

    @property
    def averages(self) -> list[Average]:
        """The parts."""
        return list(self.parts)  # type: ignore[arg-type]

    @property
    def voices(self) -> list[Voice]:
        """What each tokenization brings to a unit."""
        total = sum(sum(one.weights) for one in self.averages)
        return [Voice(one.transitions(), sum(one.weights) / total) for one in self.averages]


def _mean(
    transitions: Sequence[Sequence[Transitions]], weights: Sequence[int]
) -> list[Transitions]:
    """Head by head; what the scheme forbids stays at minus infinity."""

    def mean(tables: Sequence[Floats]) -> Floats:
        return np.average(tables, axis=0, weights=weights).astype(np.float32)

    by_head = zip(*transitions, strict=True)
    return [Transitions(*map(mean, zip(*members, strict=True))) for members in by_head]


@dataclass(frozen=True, slots=True)
class Ensemble(Model):
    """Several models as one, with the decoding facts of the first.

    Attributes:
        tagger: Their networks.
        members: The models, each once.
        weights: How much each counts.
    """

    tagger: Committee
    members: tuple[Model, ...] = ()
    weights: tuple[int, ...] = ()

    @classmethod
    def of(cls, members: Sequence[Model], weights: Sequence[int]) -> Ensemble:
        """The ensemble of models that share their tags (`check_same_tags`)."""
        averages = [
            Average([members[i].tagger for i in group], [weights[i] for i in group])
            for group in by_reading(members)
        ]
        first = members[0]
        return cls(
            first.recipe,
            first.subwords,
            Committee(averages),
            members=tuple(members),
            weights=tuple(weights),
        )

    @property
    def readings(self) -> tuple[Reading, ...]:
        """One for each tokenization, in the order of the tagger's parts."""
        return tuple(self.members[group[0]].readings[0] for group in by_reading(self.members))

    def assembler(self) -> Assembler:
        """What collects the emissions of windows, and joins tokenizations."""
        mergers = [one.merger() for one in self.readings]
        if len(mergers) == 1:
            return Assembler(self.decoder(), mergers)
        units = Units(scheme(self.recipe.scheme), self.tagger.voices)
        return Assembler(self.decoder(), mergers, units.join)


def by_reading(models: Sequence[Model]) -> list[list[int]]:
    """Numbers of the models that share tokenizer and windows, group by group."""
    groups: dict[object, list[int]] = {}
    for number, model in enumerate(models):
        subwords = model.subwords
        key = (subwords.files["tokenizer.json"], subwords.pad, model.windowing)
        groups.setdefault(key, []).append(number)
    return list(groups.values())
