"""What a job gets of its machine."""

from __future__ import annotations

import signal
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from multiclin.running import make_trainer, own_device


@pytest.mark.parametrize(
    ("accelerator", "devices", "slot", "chosen"),
    [
        ("auto", 1, 3, {"accelerator": "gpu", "devices": [1]}),
        ("gpu", 1, 0, {"accelerator": "gpu", "devices": [0]}),
        ("cpu", 1, 0, {}),
        ("gpu", 2, 0, {}),  # Asked for more than one: they are the user's to share out.
        ("gpu", 1, None, {}),
    ],
)
def test_each_of_several_jobs_has_a_gpu_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
    accelerator: str,
    devices: int,
    slot: int | None,
    chosen: dict[str, Any],
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    node = OmegaConf.create({"accelerator": accelerator, "devices": devices})
    assert own_device(node, slot) == chosen


@pytest.mark.filterwarnings("ignore:hydra.utils.instantiate")
def test_a_trainer_sets_no_handlers_of_its_own() -> None:
    """Lightning's would let a SIGTERM end a run with status 0."""
    node = OmegaConf.create(
        {"_target_": "pytorch_lightning.Trainer", "accelerator": "cpu", "precision": "32-true"}
    )
    before = signal.getsignal(signal.SIGTERM)
    make_trainer(node, [], [])._signal_connector.register_signal_handlers()
    assert signal.getsignal(signal.SIGTERM) is before
