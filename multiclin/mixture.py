"""How often each window to train on comes in an epoch.

Once; or, by temperature, more often where its group (a language, and what it is annotated for) is
small; or not at all, in the last epochs that belong to some languages alone; and windows of an
older corpus are mixed in, so that it is not forgotten. An epoch keeps its number of windows
whatever is drawn, so steps and schedule stay, and its draw depends on seed and epoch alone: a run
that was cut off goes on with the same one, on any number of processes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from multiclin.errors import ConfigError
from multiclin.tables import Table

Ints = npt.NDArray[np.int64]


class Group(NamedTuple):
    """Windows that are counted together.

    Attributes:
        language: Code.
        labels: What they are annotated for, sorted.
        replayed: Whether they are of the older corpus.
    """

    language: str
    labels: tuple[str, ...]
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the windows of an epoch are drawn.

    An epoch has as many as there are windows to train on, and the replayed ones beside them. A
    group of n windows gets a share of them in proportion to n^(1 / temperature): at 1 its own, at 2
    the square root, far above all groups alike (Devlin et al. 2019; Conneau et al. 2020).

    Attributes:
        temperature: Above 0.
        focus: Languages that the last epochs have alone, so that all steps stay; empty: no such
            epochs.
        last: Share of the epochs that these are, rounded, one at least.
        epochs: How many there are in all; 0: nobody knows.
        replayed: Share of the windows of an epoch that are of the older corpus, where there is one.

    Raises:
        ConfigError: A value cannot be.
    """

    temperature: float = 1.0
    focus: tuple[str, ...] = ()
    last: float = 0.3
    epochs: int = 0
    replayed: float = 0.3

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(
                f"data.sampling.temperature={self.temperature} must be above 0; 1 takes every "
                "window once"
            )
        if not 0 < self.replayed < 1:
            raise ConfigError(f"data.replay.share={self.replayed} must be above 0 and below 1")
        if not 0 < self.last <= 1:
            raise ConfigError(f"data.sampling.focus.last={self.last} must be above 0 and at most 1")
        if self.focus and self.epochs < 1:
            raise ConfigError(
                "data.sampling.focus.last is a share of the epochs: say how many with "
                "trainer.max_epochs"
            )

    def check(self, spoken: Collection[str]) -> None:
        """Raise `ConfigError` where the last epochs would have no documents.

        Args:
            spoken: Languages that are trained on.
        """
        if missing := sorted(set(self.focus) - set(spoken)):
            raise ConfigError(
                f"data.sampling.focus.languages: no training documents in {', '.join(missing)}; "
                f"there are {', '.join(sorted(spoken)) or 'none'}"
            )

    @property
    def first_focused(self) -> int:
        """The first epoch, from 0, that belongs to some languages alone."""
        return self.epochs - max(1, round(self.last * self.epochs))


class Mixture:
    """How often each window comes in an epoch.

    The windows of a group come equally often, but for those that are drawn once more than the
    others, anew in each epoch: of 100 windows with 250 draws each comes twice or three times.

    Args:
        groups: Of each window its group.
        sampling: How they are drawn.
        seed: Of the draws.

    Raises:
        ConfigError: The languages of the last epochs have no window.
    """

    def __init__(self, groups: Sequence[Group], sampling: Sampling, seed: int) -> None:
        self.sampling, self.seed = sampling, seed
        numbers: dict[Group, list[int]] = {}
        for number, group in enumerate(groups):
            numbers.setdefault(group, []).append(number)
        self.windows: dict[Group, Ints] = {
            group: np.array(numbers[group], dtype=np.int64)
            for group in sorted(numbers, key=lambda group: (group.replayed, group))
        }
        sampling.check({group.language for group in numbers if not group.replayed})
        self._new = sum(not group.replayed for group in groups)
        share = sampling.replayed if self._new < len(groups) else 0.0
        self._old = round(self._new * share / (1 - share))

    def __len__(self) -> int:
        """Windows of an epoch."""
        return self._new + self._old

    @property
    def is_plain(self) -> bool:
        """Whether every window comes once in every epoch."""
        replays = any(group.replayed for group in self.windows)
        return self.sampling.temperature == 1 and not self.sampling.focus and not replays

    def expected(self, epoch: int) -> dict[Group, float]:
        """Windows of each group in an epoch, in the mean of many draws."""
        sampling = self.sampling
        new = [group for group in self.windows if not group.replayed]
        if sampling.focus and epoch >= sampling.first_focused:
            new = [group for group in new if group.language in sampling.focus]
        old = [group for group in self.windows if group.replayed]
        return {**self._flattened(new, self._new), **self._flattened(old, self._old)}

    def _flattened(self, groups: Sequence[Group], total: int) -> dict[Group, float]:
        """A number of windows, shared by groups."""
        sizes = np.array([len(self.windows[group]) for group in groups], dtype=np.float64)
        shares = sizes ** (1 / self.sampling.temperature)
        return dict(zip(groups, (total * shares / shares.sum()).tolist(), strict=True))

    def drawn(self, epoch: int) -> Ints:
        """The windows of an epoch, by number, in no order that matters."""
        generator = np.random.default_rng([self.seed, epoch, 1])
        expected = self.expected(epoch)
        quotas = whole_parts(list(expected.values()), generator.random())
        parts = [np.empty(0, dtype=np.int64)]
        for group, quota in zip(expected, quotas, strict=True):
            times, more = divmod(quota, len(self.windows[group]))
            parts.append(np.repeat(self.windows[group], times))
            parts.append(generator.permutation(self.windows[group])[:more])
        return np.concatenate(parts)

    def table(self) -> Table:
        """How many windows there are of each group, and how many an epoch has."""
        columns = {"an epoch has": self.expected(0)}
        if self.sampling.focus:
            first, end = self.sampling.first_focused, self.sampling.epochs
            parts = {(0, first): 0, (first, end): first}
            columns = {_said(*part): self.expected(one) for part, one in parts.items() if part[1]}
        rows = [["language", "labels", "windows", *columns]]
        for group, windows in self.windows.items():
            labels = group.labels
            said = "+".join(labels) if len(labels) < 4 else f"{len(labels)} labels"
            language = f"{group.language or '?'}{', replayed' if group.replayed else ''}"
            counts = [one.get(group, 0.0) for one in columns.values()]
            shown = [f"{one:,.1f}".removesuffix(".0") for one in (len(windows), *counts)]
            rows.append([language, said, *shown])
        return rows

    def __str__(self) -> str:
        """What decides which windows an epoch has, for a checkpoint."""
        if self.is_plain:
            return "every window once"
        one = self.sampling
        focus = f", {'+'.join(one.focus)} from epoch {one.first_focused + 1}" if one.focus else ""
        replayed = f", {self._old} replayed" if self._old else ""
        return f"temperature {one.temperature:g}{focus}{replayed}"


def _said(first: int, end: int) -> str:
    """Some epochs, half-open, as one calls them from 1."""
    return f"epochs {first + 1} to {end}" if end - first > 1 else f"epoch {end}"


def whole_parts(parts: Sequence[float], offset: float) -> list[int]:
    """Numbers, each rounded up or down, so that their sum stays.

    With an offset drawn evenly from [0, 1) each is in the mean what it was: how many whole numbers
    lie between the sum before it and the sum behind it (systematic sampling, Madow 1949).

    Args:
        parts: Numbers with a whole sum.
        offset: At least 0, below 1.

    Example:
        >>> whole_parts([1.5, 1.5, 2.0], 0.25), whole_parts([1.5, 1.5, 2.0], 0.75)
        ([1, 2, 2], [2, 1, 2])
    """
    sums = np.round(np.cumsum([0.0, *parts]), 6)  # What should be whole is.
    whole = np.floor(sums)  # Apart, as an offset just below 1 would be rounded up by a large sum.
    return list(map(int, np.diff(whole + (sums - whole + offset >= 1))))
