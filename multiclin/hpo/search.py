"""Which studies a command line asks for, and in which space each of them draws.

A choice of groups that is no parameter of the search (`entity=disease,procedure`) is one study per
combination; every other sweep (`optim.learning_rate=interval(1e-5,1e-4)`) is a dimension, as in the
parent, and goes before the dimension of the same name in `hydra.sweeper.params`.

Source: the paper, section 3 (the search); FACTS 6 (what hydra-optuna-sweeper leaves out).
"""

from __future__ import annotations

import functools
import itertools
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from hydra_plugins.hydra_optuna_sweeper._impl import (
    OptunaSweeperImpl,
    create_params_from_overrides,
)
from omegaconf import DictConfig
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from multiclin.analysis.folders import REPEATS
from multiclin.errors import ConfigError
from multiclin.hpo.loop import StudyLoop
from multiclin.mistakes import mistake

SAMPLERS = ("hydra_plugins.hydra_optuna_sweeper.*", "optuna.samplers.*")
PRUNERS = ("optuna.pruners.*",)


@contextmanager
def warnings_only(*names: str) -> Iterator[None]:
    """While the block runs, these loggers say warnings and errors only."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class Search(OptunaSweeperImpl):
    """The parent's sweeper with studies and a loop of its own.

    Args:
        sampling: Config node of the sampler, to make one for each draw.
        pruner: Config node of the pruner.
        arguments: Those of the parent.
    """

    def __init__(
        self,
        sampling: DictConfig,
        pruner: DictConfig | None,
        **arguments: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**arguments)
        self.sampling, self.pruner = sampling, pruner
        self.space: Mapping[str, BaseDistribution] = {}

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what the launchers of the studies need; Hydra calls this."""
        self.config, self.context, self.task = config, hydra_context, task_function

    def sweep(self, arguments: list[str]) -> None:
        """Run one study after the other.

        Args:
            arguments: The overrides of the command line, without Hydra's own.
        """
        if self.config is None or self.config.get("hpo") is None:
            raise mistake("hydra/sweeper=multiclin, and no search is set up", "add hpo=optuna")
        loops = self.studies(arguments)
        names = [loop.name for loop in loops]
        for name in names:
            if names.count(name) > 1:
                raise mistake(
                    f"two studies of this command are called {name}",
                    "hpo.study='${entity.name}-NAME' tells them apart",
                )
        with warnings_only("hydra", "hydra_plugins", "alembic", "optuna"):
            for loop in loops:
                loop.run()

    def studies(self, arguments: Sequence[str]) -> list[StudyLoop]:
        """One study per combination of the groups that are swept."""
        lines = [*self._parse_sweeper_params_config(), *arguments]
        parser = OverridesParser.create(self.context.config_loader)
        overrides = parser.parse_overrides(lines)
        swept = [one for one in overrides if self._chooses_studies(one)]
        space, fixed, _ = create_params_from_overrides(
            [str(one.input_line) for one in overrides if one not in swept]
        )
        self.space = {key: values for key, values in space.items() if key not in fixed}
        if repeated := sorted(self.space.keys() & REPEATS):
            raise ConfigError(
                f"{', '.join(repeated)} would be a parameter of the search, and the luckiest value "
                "would win; give one, and train the best again with hpo.confirm"
            )
        settled = [str(one.input_line) for one in overrides if not one.is_sweep_override()]
        choices = [
            [f"{one.get_key_element()}={choice}" for choice in one.sweep_string_iterator()]
            for one in swept
        ]
        return [StudyLoop(self, settled, chosen) for chosen in itertools.product(*choices)]

    def is_group(self, key: str) -> bool:
        """Whether a key is that of a config group."""
        return bool(self.context.config_loader.get_group_options(key))

    def _chooses_studies(self, override: Override) -> bool:
        key = override.get_key_element()
        return bool(
            override.is_choice_sweep()
            and key not in (self.params or {})
            and self.is_group(override.key_or_group)
        )

    def make_sampler(self, draw: int) -> BaseSampler:
        """The sampler of one draw: the same for the same number, whoever asks."""
        if isinstance(self.sampler, functools.partial):  # The grid, which needs its points.
            grid: BaseSampler = self.sampler(self._grid())
            return grid
        seed = self.sampling.get("seed")
        changed = {} if seed is None else {"seed": seed + draw}
        made: BaseSampler = instantiate(self.sampling, **changed, _execution_whitelist_=SAMPLERS)
        return made

    def make_pruner(self) -> BasePruner | None:
        """The pruner; None is Optuna's default."""
        made: BasePruner | None = instantiate(self.pruner, _execution_whitelist_=PRUNERS)
        return made

    @property
    def wanted(self) -> int:
        """Finished trials that a study shall have; a grid has an end of its own."""
        if isinstance(self.sampler, functools.partial):
            return min(self.n_trials, math.prod(len(points) for points in self._grid().values()))
        return self.n_trials

    def parameters(self, trial: optuna.Trial) -> list[str]:
        """Draw the parameters of a trial, as overrides."""
        (overrides,) = self._configure_trials([trial], dict(self.space), {}, [])
        return list(overrides)

    def _grid(self) -> dict[str, Any]:
        return {key: self._to_grid_sampler_choices(one) for key, one in self.space.items()}
