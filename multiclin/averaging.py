"""Averages of the weights over a training's steps, which are validated and saved in their place.

The weights of single steps jump around a good place; their mean lies nearer to it. Two means:
exponential, which forgets old steps (EMA; its decay is warmed up, since early weights would stay in
the average of a short training), and that of all steps of the last part (Polyak and Juditsky 1992;
SWA, Izmailov et al. 2018, arXiv 1803.05407, at every step and with the schedule as it is).

What is validated, `best.ckpt`, the bundle and the weights in `last.ckpt` are the averages; training
goes on from its own weights, which `last.ckpt` keeps beside them. So a prediction costs nothing and
a run that was cut off ends bit for bit as ever. Price: one pass over the weights per step, and
memory for them once more.

Lightning 2.6 has a callback for it, which does not fit: a checkpoint of weights only, such as
`best.ckpt`, gets the weights of the last step under the score of the average; in one that a signal
asks for in mid-validation the two are exchanged; and a validation after the training is one of the
last average, whatever weights were loaded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from multiclin.errors import ConfigError


class Averaging(pl.Callback, ABC):
    """Keeps an average of the weights that are trained.

    Attributes:
        count: Steps in the average.
    """

    def __init__(self) -> None:
        self.count = 0
        self._steps = 1  # of the training
        self._stepped = 0  # optimizer steps done when the last batch ended
        self._resumed: dict[str, Tensor] = {}
        self._trained: dict[str, Tensor] = {}  # the weights in the module, as they are now
        # The average; in a validation the weights that go on, while the average is in the module.
        self._other: dict[str, Tensor] = {}
        self._is_exchanged = False

    @abstractmethod
    def share(self, step: int, steps: int) -> float:
        """The share of the newest weights in the average; 0: they do not enter.

        Args:
            step: Number of the optimizer step, from 1.
            steps: Steps of the training.
        """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin, or go on: a checkpoint's weights are the average, and its own come back."""
        self._steps = max(1, int(trainer.estimated_stepping_batches))
        self._stepped = trainer.global_step
        weights = pl_module.named_parameters()
        self._trained = {name: one.detach() for name, one in weights if one.requires_grad}
        self._other = {name: one.clone() for name, one in self._trained.items()}
        for name, one in self._resumed.items():
            self._trained[name].copy_(one)
        self._resumed = {}

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Take the weights of a step in."""
        if trainer.global_step == self._stepped:
            return
        self._stepped = trainer.global_step
        if share := self.share(self._stepped, self._steps):
            for name, one in self._trained.items():
                self._other[name].lerp_(one, share if self.count else 1.0)
            self.count += 1

    def on_validation_epoch_start(self, *_: object) -> None:
        """Validate the average."""
        if self.count and self._other:
            self._exchange()

    def on_validation_epoch_end(self, *_: object) -> None:
        """Go on from the weights of the last step."""
        if self._is_exchanged:
            self._exchange()

    def on_train_end(self, *_: object) -> None:
        """Leave the average in the module, and have no more to do with it."""
        if self.count:
            self._exchange()
        self._trained, self._other, self._is_exchanged = {}, {}, False

    def put_into(self, state: dict[str, Tensor]) -> None:
        """Put the average into weights that are about to be saved, by name."""
        if self.count and not self._is_exchanged:
            state.update(self._other)

    def state_dict(self) -> dict[str, Any]:
        """What a run that goes on has to know beside the average."""
        return {
            "count": self.count,
            "weights": self._other if self._is_exchanged else self._trained,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        self.count, self._resumed = state_dict["count"], state_dict["weights"]

    def _exchange(self) -> None:
        for name, one in self._trained.items():
            kept = one.clone()
            one.copy_(self._other[name])
            self._other[name].copy_(kept)
        self._is_exchanged = not self._is_exchanged


class ExponentialAverage(Averaging):
    """An average in which the weights of a step fade by a factor with each later one.

    Args:
        decay: The factor. Step t takes (1 + t) / (10 + t) at most: 0.18 at the first, 0.99 at 890.

    Raises:
        ConfigError: It is not between 0 and 1.
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        if not 0 < decay < 1:
            raise ConfigError(f"callbacks.averaging.decay={decay}: say more than 0, less than 1")
        self.decay = decay

    def share(self, step: int, steps: int) -> float:
        """What the older weights leave."""
        return 1 - min(self.decay, (1 + step) / (10 + step))


class TailAverage(Averaging):
    """The mean of the weights of all steps of a training's last part.

    Until then the weights of the last step are validated and saved.

    Args:
        start: The share of the training's steps before that part.

    Raises:
        ConfigError: It is not between 0 and 1.
    """

    def __init__(self, start: float = 0.5) -> None:
        super().__init__()
        if not 0 <= start < 1:
            raise ConfigError(f"callbacks.averaging.start={start}: say 0 or more, less than 1")
        self.start = start

    def share(self, step: int, steps: int) -> float:
        """One of the steps since the start."""
        since = step - int(self.start * steps)
        return 1 / since if since > 0 else 0.0
