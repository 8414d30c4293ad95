"""What an optimizer step is: its windows, on any number of processes, in any memory."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from multiclin.errors import ConfigError, OutOfMemoryError
from multiclin.steps import Step, shrink


def config_of(size: int, accumulated: int = 1, effective: int | None = None) -> DictConfig:
    return OmegaConf.create(
        {
            "data": {
                "batch_size": size,
                "effective_batch_size": effective,
                "evaluation_batch_size": 16,
            },
            "trainer": {"accumulate_grad_batches": accumulated},
            "ckpt_path": None,
        }
    )


@pytest.mark.parametrize(
    ("settings", "processes", "expected"),
    [
        ((8, 1, None), 1, (8, 8, 1)),
        ((8, 1, None), 2, (8, 4, 1)),
        ((8, 1, None), 3, (8, 3, 1)),  # 3, 3 and 2
        ((8, 4, None), 1, (32, 8, 4)),
        ((8, 4, None), 4, (32, 8, 1)),  # What was accumulated is computed at once.
        ((8, 4, None), 3, (32, 6, 2)),
        ((8, 1, 32), 1, (32, 8, 4)),
        ((8, 1, 32), 2, (32, 8, 2)),
        ((8, 4, 32), 2, (32, 8, 2)),  # Said twice, and the same.
        ((8, 1, 20), 1, (20, 7, 3)),
        ((8, 1, 4), 1, (4, 4, 1)),
    ],
)
def test_a_step_counted_by_hand(
    settings: tuple[int, int, int | None], processes: int, expected: tuple[int, int, int]
) -> None:
    step = Step.of(config_of(*settings), processes)
    assert (step.windows, step.batch, step.accumulated) == expected


@given(windows=st.integers(1, 200), at_once=st.integers(1, 40), processes=st.integers(1, 16))
def test_no_process_computes_more_at_once_than_it_may(
    windows: int, at_once: int, processes: int
) -> None:
    step = Step(windows, at_once, processes)
    assert step.batch <= at_once
    assert step.batch * step.accumulated * processes >= windows
    assert (step.accumulated - 1) * at_once * processes < windows  # Nor does it in vain wait.


def test_settings_that_contradict_each_other() -> None:
    message = (
        r"data\.effective_batch_size=32 in batches of data\.batch_size=8 is accumulated 4 times, "
        r"not trainer\.accumulate_grad_batches=2\nhint: .* data\.effective_batch_size=16"
    )
    with pytest.raises(ConfigError, match=message):
        Step.of(config_of(8, 2, 32))


def test_more_processes_than_windows() -> None:
    with pytest.raises(ConfigError, match="step of 4 windows cannot be shared by 5 processes"):
        Step.of(config_of(4), 5)
    assert Step.of(config_of(4), 4).batch == 1


@pytest.mark.parametrize(("size", "accumulated", "effective"), [(0, 1, None), (8, 0, 8), (8, 1, 0)])
def test_nothing_is_no_size(size: int, accumulated: int, effective: int | None) -> None:
    with pytest.raises(ConfigError, match=r"=0: give a whole number of 1 or more"):
        Step.of(config_of(size, accumulated, effective))


FULL = torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize(
    ("before", "size", "accumulated"),
    [(config_of(6, 2), 3, 4), (config_of(5), 3, 2), (config_of(64, 1, 12), 6, 2)],
)
def test_a_smaller_batch_is_accumulated_to_the_same_step(
    before: DictConfig, size: int, accumulated: int
) -> None:
    windows = Step.of(before).windows
    said = shrink(before, FULL)
    assert said.endswith(f"beginning anew with {size}, accumulated {accumulated} times")
    assert (before.data.batch_size, before.trainer.accumulate_grad_batches) == (size, accumulated)
    assert Step.of(before).windows == windows


def test_the_one_window_that_does_not_fit_is_named() -> None:
    with pytest.raises(OutOfMemoryError) as caught:
        shrink(config_of(1, 8), FULL)
    assert str(caught.value).splitlines() == [
        "a batch of 1 windows does not fit in memory (CUDA out of memory)",
        "hint: a smaller window.size or a smaller encoder needs less",
    ]


def test_several_processes_cannot_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OutOfMemoryError) as caught:
        shrink(config_of(4, 3), FULL)
    first, hint = str(caught.value).splitlines()
    assert first == "a batch of 3 windows does not fit in memory (CUDA out of memory)"
    assert "data.batch_size=2 data.effective_batch_size=12 trainer.accumulate" in hint


def test_a_run_that_goes_on_keeps_its_batches() -> None:
    config = config_of(8)
    config.ckpt_path = "last.ckpt"
    with pytest.raises(OutOfMemoryError) as caught:
        shrink(config, FULL)
    assert "data.batch_size" not in str(caught.value)
