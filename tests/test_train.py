"""What a training says of itself, without a training."""

from __future__ import annotations

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from multiclin.errors import OutOfMemoryError
from multiclin.train import shown, shrink


def test_trackers_do_not_see_the_password_of_a_database() -> None:
    storage = "postgresql+psycopg://eva:s3cret@host/studies"
    config = OmegaConf.create({"seed": 13, "hpo": {"storage": storage}})
    assert shown(config) == {
        "seed": 13,
        "hpo": {"storage": "postgresql+psycopg://eva:***@host/studies"},
    }


def config_of(size: int) -> DictConfig:
    return OmegaConf.create(
        {
            "data": {"batch_size": size, "evaluation_batch_size": 16},
            "trainer": {"accumulate_grad_batches": 2},
            "ckpt_path": None,
            "run_dir": "nowhere",
        }
    )


def test_a_smaller_batch_is_accumulated_to_the_same_step() -> None:
    config = config_of(6)
    shrink(config, torch.OutOfMemoryError("CUDA out of memory"))
    assert (config.data.batch_size, config.trainer.accumulate_grad_batches) == (3, 4)


@pytest.mark.parametrize(("size", "processes"), [(1, "1"), (3, "1"), (4, "2")])
def test_a_batch_that_cannot_be_halved_is_named(
    monkeypatch: pytest.MonkeyPatch, size: int, processes: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", processes)
    with pytest.raises(OutOfMemoryError) as caught:
        shrink(config_of(size), torch.OutOfMemoryError("CUDA out of memory"))
    first, hint = str(caught.value).splitlines()
    assert first == f"a batch of {size} windows does not fit in memory (CUDA out of memory)"
    assert ("data.batch_size=2 trainer.accumulate_grad_batches=4" in hint) == (size == 4)
