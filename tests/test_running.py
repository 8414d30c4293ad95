"""What a job gets of its machine."""

from __future__ import annotations

import signal
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from multiclin.module import NerModule
from multiclin.running import best_precision, described, make_trainer, own_device
from tests.toy_models import toy_model


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


@pytest.mark.parametrize(
    ("able", "unit", "precision"),
    [
        ({"avx512_bf16": True, "amx_bf16": True}, "AMX", "bf16-mixed"),
        ({"avx512_bf16": True, "amx_bf16": False}, "AVX512-BF16", "bf16-mixed"),
        # bf16 would be emulated: slower than fp32.
        ({"avx512_f": True, "avx512_bf16": False}, "no bf16 unit", "32-true"),
        ({"avx2": True}, "no bf16 unit", "32-true"),
    ],
)
def test_a_cpu_computes_in_bf16_where_it_has_a_unit_for_it(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], unit: str, precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert best_precision("cpu") == precision
    assert described(torch.device("cpu"), 1) == f"cpu (2 threads, {unit})"
    assert described(torch.device("cpu"), 3) == f"3 x cpu ({unit})"


def test_a_gpu_is_named_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H200")
    assert described(torch.device("cuda", 0), 4) == "4 x NVIDIA H200"


@pytest.mark.filterwarnings("ignore:hydra.utils.instantiate")
def test_a_run_says_what_it_runs_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    target = "pytorch_lightning.Trainer"
    node = OmegaConf.create({"_target_": target, "accelerator": "cpu", "precision": "auto"})
    caplog.set_level("INFO", "multiclin.running")
    make_trainer(node, [], [])
    make_trainer(node, [], [], workers=4)
    assert caplog.messages == [
        "on cpu (1 thread, no bf16 unit), 32-true, no loader workers",
        "on cpu (1 thread, no bf16 unit), 32-true, 4 loader workers",
    ]


@pytest.mark.filterwarnings("ignore:hydra.utils.instantiate")
def test_a_trainer_sets_no_handlers_of_its_own() -> None:
    """Lightning's would let a SIGTERM end a run with status 0."""
    node = OmegaConf.create(
        {"_target_": "pytorch_lightning.Trainer", "accelerator": "cpu", "precision": "32-true"}
    )
    before = signal.getsignal(signal.SIGTERM)
    make_trainer(node, [], [])._signal_connector.register_signal_handlers()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.filterwarnings("ignore:hydra.utils.instantiate")
@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16-true", torch.bfloat16), ("16-true", torch.float16)]
)
def test_half_precision_casts_weights_and_leaves_the_angles_of_positions(
    precision: str, dtype: torch.dtype
) -> None:
    node = OmegaConf.create(
        {"_target_": "pytorch_lightning.Trainer", "accelerator": "cpu", "precision": "auto"}
    )
    runner = make_trainer(node, [], [], precision=precision)
    assert runner.precision == precision
    module = NerModule(toy_model())
    before = {name: one.clone() for name, one in module.named_buffers()}
    runner.precision_plugin.convert_module(module)
    assert {one.dtype for one in module.parameters()} == {dtype}
    assert before
    assert all(one.equal(before[name]) for name, one in module.named_buffers())
    assert runner.precision_plugin.convert_input(batch := object()) is batch
