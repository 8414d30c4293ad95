"""An optimizer step: how many windows it is, whoever computes them.

A step is `data.batch_size x trainer.accumulate_grad_batches` windows, the two settings that the
paper searches on one device (section 2.3), or `data.effective_batch_size` where that is given. More
devices make it faster and change nothing else: processes share its windows, each in batches of
`data.batch_size` at most, and accumulate only what does not fit at once. Its gradient is that of
the mean over the labelled tokens of the whole step, however they are shared out (`sampling.Share`).

    8 windows, batches of 8     1 process: 8            2: 4 each       3: 3, 3 and 2
    32 windows, batches of 8    1 process: 8, 4 times   2: 8, twice     4: 8 each
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from omegaconf import DictConfig

from multiclin.errors import ConfigError, OutOfMemoryError
from multiclin.faults import first_line


@dataclass(frozen=True, slots=True)
class Step:
    """How the windows of an optimizer step are shared out.

    Attributes:
        windows: Of one step, over all processes.
        at_once: Windows that a process may compute at once.
        processes: How many there are.
    """

    windows: int
    at_once: int
    processes: int = 1

    @classmethod
    def of(cls, config: DictConfig, processes: int = 1) -> Step:
        """The step of a training config.

        Raises:
            ConfigError: The settings contradict each other, or leave a process without a window.
        """
        settings = {
            "data.batch_size": config.data.batch_size,
            "trainer.accumulate_grad_batches": config.trainer.accumulate_grad_batches,
            "data.effective_batch_size": config.data.effective_batch_size,
        }
        for name, value in settings.items():
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ConfigError(f"{name}={value}: give a whole number of 1 or more")
        at_once, accumulated, windows = settings.values()
        step = cls(windows or at_once * accumulated, at_once)
        if accumulated not in {1, step.accumulated}:
            raise ConfigError(
                f"data.effective_batch_size={windows} in batches of data.batch_size={at_once} is "
                f"accumulated {step.accumulated} times, not trainer.accumulate_grad_batches="
                f"{accumulated}\nhint: leave out one of the three; with the other two it is "
                f"data.effective_batch_size={at_once * accumulated}"
            )
        if processes > step.windows:
            raise ConfigError(
                f"an optimizer step of {step.windows} windows cannot be shared by {processes} "
                f"processes\nhint: at most {step.windows} (trainer.devices=), or a larger step: "
                "data.batch_size, trainer.accumulate_grad_batches, data.effective_batch_size"
            )
        return cls(step.windows, at_once, processes)

    @property
    def accumulated(self) -> int:
        """Batches of each process."""
        return math.ceil(self.windows / (self.at_once * self.processes))

    @property
    def batch(self) -> int:
        """Windows in the largest batch."""
        return math.ceil(self.windows / (self.accumulated * self.processes))

    def __str__(self) -> str:
        return (
            f"an optimizer step is {self.windows} windows: {self.batch} a batch, "
            f"processes: {self.processes}, batches accumulated: {self.accumulated}"
        )


def shrink(config: DictConfig, error: RuntimeError) -> str:
    """Halve the batch, so that the same optimizer step needs less memory.

    Returns:
        What was done, in words.

    Raises:
        OutOfMemoryError: The batch cannot be halved, or the run cannot begin anew.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    step = Step.of(config, processes)
    half = Step(step.windows, math.ceil(step.batch / 2))
    text = f"a batch of {step.batch} windows does not fit in memory ({first_line(error)})"
    can_begin_anew = step.batch > 1 and config.ckpt_path is None
    if not can_begin_anew or processes > 1:
        same = (
            f"data.batch_size={half.at_once} data.effective_batch_size={half.windows} "
            "trainer.accumulate_grad_batches=1 is the same step in less memory; "
        )
        raise OutOfMemoryError(
            f"{text}\nhint: {same if can_begin_anew else ''}a smaller window.size or a smaller "
            "encoder needs less"
        ) from error
    config.data.batch_size = half.at_once
    config.data.evaluation_batch_size = max(1, config.data.evaluation_batch_size // 2)
    config.data.effective_batch_size = half.windows
    config.trainer.accumulate_grad_batches = half.accumulated
    return f"{text}: beginning anew with {half.batch}, accumulated {half.accumulated} times"
