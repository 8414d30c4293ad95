"""The Optuna sweeper with pruning, resume and one study per choice of groups, as a Hydra plugin.

Hydra imports this module at the start of every command, so it needs neither Optuna nor torch; the
search itself is `multiclin.hpo.search`. The keys are those of the parent plus `pruner`; `conf/hpo/`
fills them from `hpo.*`. (DESIGN section 5; FACTS 6 lists what the parent cannot do.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra_plugins.hydra_optuna_sweeper.config import OptunaSweeperConf
from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper
from omegaconf import DictConfig

from multiclin.mistakes import mistake


class PruningOptunaSweeper(OptunaSweeper):
    """hydra-optuna-sweeper's sweeper whose trials can be pruned.

    Args:
        pruner: Config node of an Optuna pruner.
        arguments: Those of the parent.
    """

    def __init__(self, pruner: DictConfig | None = None, **arguments: Any) -> None:  # noqa: ANN401
        from multiclin.hpo.search import Search

        if not 0 <= arguments["max_failure_rate"] <= 1:  # The parent only asserts it.
            given = arguments["max_failure_rate"]
            raise mistake(f"hpo.max_failure_rate={given}", "it is a share, from 0 to 1")
        super().__init__(**arguments)  # Makes the sampler, or says what is wrong with it.
        made = {**arguments, "sampler": self.sweeper.sampler}
        self.sweeper = Search(sampling=arguments["sampler"], pruner=pruner, **made)


@dataclass
class PruningOptunaSweeperConf(OptunaSweeperConf):
    """The parent's keys and one more."""

    _target_: str = "multiclin.hpo.sweeper.PruningOptunaSweeper"
    pruner: Any = None


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="multiclin",
    node=PruningOptunaSweeperConf,
    provider="multiclin",
)
