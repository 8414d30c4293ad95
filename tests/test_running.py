"""What a job gets of its machine, and what becomes of its other processes."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from multiclin.running import children_ended, own_device


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


def test_an_error_ends_the_other_processes_and_their_watch() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    launcher = SimpleNamespace(procs=[child])
    watched = launcher.procs
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(launcher=launcher))
    with pytest.raises(RuntimeError, match="no memory"), children_ended(trainer):
        raise RuntimeError("no memory")
    assert watched == []
    assert child.returncode is not None


def test_one_process_alone_has_no_others() -> None:
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(launcher=None))
    with pytest.raises(RuntimeError, match="no memory"), children_ended(trainer):
        raise RuntimeError("no memory")
