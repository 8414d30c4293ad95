"""A command with `ckpt_path=auto` and the run that it finds in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from multiclin.errors import ConfigError
from multiclin.repeating import nothing_to_do
from multiclin.steps import shrink


def repeated(run: Path, **settings: object) -> DictConfig:
    """The config of a command with `ckpt_path=auto`; its run is there already."""
    config = OmegaConf.create(
        {
            "run_dir": str(run),
            "ckpt_path": "auto",
            "data": {"batch_size": 8, "effective_batch_size": None, "evaluation_batch_size": 16},
            "trainer": {"accumulate_grad_batches": 1, "max_epochs": 6},
        }
    )
    if not (run / ".hydra").exists():
        (run / ".hydra").mkdir(parents=True)
        OmegaConf.save(config, run / ".hydra" / "config.yaml")
    for key, value in settings.items():
        OmegaConf.update(config, key.replace("__", "."), value)
    return config


def test_a_finished_run_has_nothing_to_do(tmp_path: Path) -> None:
    config = repeated(tmp_path)
    assert not nothing_to_do(config)
    (tmp_path / "model").mkdir()
    assert nothing_to_do(config)
    config.ckpt_path = "last"
    assert not nothing_to_do(config)


@pytest.mark.parametrize("folder", ["model", "checkpoints"])
def test_a_run_with_other_settings_is_not_taken_for_this_one(tmp_path: Path, folder: str) -> None:
    repeated(tmp_path)
    (tmp_path / folder).mkdir()
    with pytest.raises(ConfigError) as caught:
        nothing_to_do(repeated(tmp_path, trainer__max_epochs=9, seed=14))
    assert str(caught.value) == (
        f"{tmp_path} holds a run with other settings: trainer.max_epochs was 6 and is 9, "
        "seed was - and is 14; choose another folder for these"
    )


@pytest.mark.parametrize(
    "setting", [{"data__workers": 4}, {"callbacks__last__every_minutes": 5}, {"logger": "wandb"}]
)
def test_settings_that_change_no_score_may_change(tmp_path: Path, setting: dict[str, Any]) -> None:
    repeated(tmp_path)
    (tmp_path / "model").mkdir()
    assert nothing_to_do(repeated(tmp_path, **setting))


def test_a_batch_that_was_halved_stays_halved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It did not fit in memory, and the position counts batches."""
    caplog.set_level("INFO")
    halved = repeated(tmp_path)
    halved.ckpt_path = None  # As a run has it that begins.
    shrink(halved, RuntimeError("out of memory"))
    halved.ckpt_path = "auto"
    OmegaConf.save(halved, tmp_path / ".hydra" / "config.yaml")
    config = repeated(tmp_path)
    assert not nothing_to_do(config)
    assert config == halved
    assert caplog.messages == [
        "an optimizer step is 8 windows: 4 a batch, processes: 1, batches accumulated: 2: "
        "as this run found to fit in memory"
    ]


def test_a_batch_of_another_step_is_another_run(tmp_path: Path) -> None:
    repeated(tmp_path)
    with pytest.raises(ConfigError, match=r"data\.batch_size was 8 and is 16;"):
        nothing_to_do(repeated(tmp_path, data__batch_size=16))
