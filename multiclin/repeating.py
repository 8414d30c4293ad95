"""`ckpt_path=auto`: a command that is repeated begins its run, goes on with it, or leaves it alone.

So do the jobs of a scheduler that queues them again, and the jobs of a sweep that was cut off. What
is repeated must be the same: a folder whose run had other settings is refused, for its scores would
be taken for those of this command.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from multiclin.analysis.folders import aside
from multiclin.continuing import is_sweep, result_of
from multiclin.errors import ConfigError
from multiclin.steps import Step
from multiclin.tables import flat_rows

log = logging.getLogger(__name__)

BATCH = (
    *("data.batch_size", "data.effective_batch_size", "data.evaluation_batch_size"),
    "trainer.accumulate_grad_batches",
)
"""Settings that change where a batch does not fit in memory (`steps.shrink`)."""


def nothing_to_do(config: DictConfig) -> bool:
    """Whether `ckpt_path=auto` finds its run finished: a job may be queued once too often.

    Raises:
        ConfigError: With `auto`, the run's folder would be another one each time, or holds a run
            with other settings.
    """
    if config.ckpt_path != "auto":
        return False
    check_folder_stays(config)
    settle(config)
    if result_of(Path(config.run_dir)) is None:
        return False
    log.info("%s holds the finished run: nothing to do", config.run_dir)
    return True


def check_folder_stays(config: DictConfig) -> None:
    """Raise `ConfigError` where `ckpt_path=auto` would look into another folder each time."""
    if config.ckpt_path == "auto" and HydraConfig.initialized():
        hydra: Any = OmegaConf.to_container(HydraConfig.get(), resolve=False)
        part = "sweep" if is_sweep() else "run"
        if "${now:" in hydra[part]["dir"]:
            raise ConfigError(
                f"ckpt_path=auto goes on in the folder of the run: say which, hydra.{part}.dir=DIR"
            )


def settle(config: DictConfig) -> None:
    """See that the run in this folder has the same settings; a batch that was halved stays halved.

    Raises:
        ConfigError: It has others.
    """
    path = Path(config.run_dir) / ".hydra" / "config.yaml"
    if not path.is_file():
        return
    before = OmegaConf.load(path)
    assert isinstance(before, DictConfig)
    step, now = Step.of(before), Step.of(config)
    if step.windows == now.windows and step.batch < now.batch:
        log.info("%s: as this run found to fit in memory", step)
        for key in BATCH:
            OmegaConf.update(config, key, OmegaConf.select(before, key))
    if others := differences(before, config):
        raise ConfigError(
            f"{config.run_dir} holds a run with other settings: {', '.join(others)}; "
            "choose another folder for these"
        )


def differences(before: DictConfig, config: DictConfig) -> list[str]:
    """The settings that differ and may change a score, with both values, as they are written."""
    then, now = (
        dict(flat_rows(yaml.safe_load(OmegaConf.to_yaml(one)))) for one in (before, config)
    )
    return [
        f"{key} was {then.get(key, '-')} and is {now.get(key, '-')}"
        for key in {**then, **now}
        if then.get(key) != now.get(key) and not aside(key)
    ]
