"""Studies as a search leaves them behind, without a search."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta
from typing import Any, Literal

import optuna
from optuna import Study
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

COMMAND = "python train.py -m hpo=optuna entity=disease"
START = datetime(2026, 11, 20, 9, 0)
PAPER: dict[str, optuna.distributions.BaseDistribution] = {  # FACTS 1; both ends belong to it.
    "optim.learning_rate": FloatDistribution(1e-5, 5e-4, log=True),
    "optim.weight_decay": FloatDistribution(0.0, 0.3),
    "optim.warmup_ratio": FloatDistribution(0.0, 0.2),
    "data.batch_size": CategoricalDistribution([4, 8, 16, 32]),
    "trainer.max_epochs": IntDistribution(3, 6),
    "trainer.accumulate_grad_batches": CategoricalDistribution([1, 2, 4]),
}
SPACE = PAPER | {
    "model": CategoricalDistribution(["mrbert_es", "mrbert_biomed"]),
    "languages": CategoricalDistribution(["es", "[es,it]"]),
    "+model.config.attention_dropout": FloatDistribution(0.0, 1.0),
    "optim.ratio": FloatDistribution(0.0, 1.0),
    "head.ratio": FloatDistribution(0.0, 1.0),
}


def trial(
    state: TrialState,
    value: float | None = None,
    params: dict[str, Any] | None = None,
    epochs: dict[float, float] | None = None,
    **about: object,
) -> FrozenTrial:
    """One trial; `epochs` is the objective after so many epochs, `about` its user attributes."""
    params = params or {}
    made = optuna.create_trial(
        state=state,
        value=value,
        params=params,
        distributions={name: SPACE[name] for name in params},
        intermediate_values={round(100 * epoch): seen for epoch, seen in (epochs or {}).items()},
        user_attrs=about,
    )
    made.datetime_start = None if state is TrialState.WAITING else START
    made.datetime_complete = START + timedelta(minutes=5) if state.is_finished() else None
    return made


def study_of(
    *trials: FrozenTrial,
    direction: Literal["maximize", "minimize"] = "maximize",
    max_epochs: int | None = None,
) -> Study:
    """A study in memory with these trials."""
    study = optuna.create_study(study_name="disease", direction=direction)
    study.set_user_attr("objective", "val/seqeval_f1")
    study.set_user_attr("command", COMMAND)
    study.set_user_attr("settings", {"entity.name": "disease", "trainer.max_epochs": max_epochs})
    study.add_trials(trials)
    return study


def paper_study(count: int = 20, seed: int = 13) -> Study:
    """Trials in the space of the paper: in each 20, 12 complete, 7 pruned, 1 failed."""
    chance = random.Random(seed)
    trials = []
    clock = START
    for number in range(count):
        params: dict[str, Any] = {
            "optim.learning_rate": math.exp(chance.uniform(math.log(1e-5), math.log(5e-4))),
            "optim.weight_decay": chance.uniform(0.0, 0.3),
            "optim.warmup_ratio": chance.uniform(0.0, 0.2),
            "data.batch_size": chance.choice([4, 8, 16, 32]),
            "trainer.max_epochs": chance.randint(3, 6),
            "trainer.accumulate_grad_batches": chance.choice([1, 2, 4]),
        }
        level = 0.76 - 0.04 * (math.log10(params["optim.learning_rate"]) + 3.6) ** 2
        level += chance.gauss(0, 0.005)
        state = TrialState.COMPLETE
        if number % 20 == 11:
            state = TrialState.FAIL
        elif number % 20 in (5, 7, 10, 13, 14, 16, 18):
            state, level = TrialState.PRUNED, level - 0.08
        last = 2 if state is TrialState.PRUNED else params["trainer.max_epochs"]
        epochs = {}
        for half in range(1, 2 * last + 1):
            epochs[half / 2] = level * (1 - math.exp(-1.5 * half / 2)) + chance.gauss(0, 0.004)
        about: dict[str, object] = {"steps": 120 * last, "seconds": 61.5 * last}
        if state is TrialState.FAIL:
            epochs = {}
            about = {"reason": "CUDA out of memory at batch size 1"}
        value = epochs[last] if state is TrialState.COMPLETE else None
        made = trial(state, value, params, epochs, **about)
        made.datetime_start = clock
        made.datetime_complete = clock = clock + timedelta(seconds=70 * last)
        trials.append(made)
    return study_of(*trials)
