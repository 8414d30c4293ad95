"""A trial from the inside, with a Trainer that only says where it stands."""

from __future__ import annotations

import math
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState
from pytorch_lightning.trainer.states import TrainerFn

from multiclin.errors import ConfigError
from multiclin.hpo import pruning as pruning_module
from multiclin.hpo.pruning import Pruning, WithdrawnError, epochs_done, open_trial
from multiclin.hpo.storage import open_storage

# In a job, `config.run` says what a config may start.
pytestmark = pytest.mark.filterwarnings("ignore:hydra.utils.instantiate")

OBJECTIVE = "val/seqeval_f1"
NOP = "optuna.pruners.NopPruner"
WORST = {"_target_": "optuna.pruners.ThresholdPruner", "lower": 0.4}
"""Prunes whatever is below 0.4, from the first report on."""


def at(
    seen: int = 100,
    batches: int = 100,
    interval: float = 1.0,
    epoch: int = 0,
    *,
    score: float | None = 0.5,
    steps_left: int = 50,
) -> Any:  # noqa: ANN401 - stands for a Trainer
    """A Trainer at a validation, after `seen` of the epoch's batches."""
    current = SimpleNamespace(ready=seen)
    return SimpleNamespace(
        num_training_batches=batches,
        # As Lightning counts them.
        val_check_batch=max(1, int(batches * interval))
        if isinstance(interval, float)
        else interval,
        val_check_interval=interval,
        current_epoch=epoch,
        fit_loop=SimpleNamespace(
            epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(current=current))
        ),
        callback_metrics={} if score is None else {OBJECTIVE: score},
        global_step=50,
        estimated_stepping_batches=50 + steps_left,
        sanity_checking=False,
        state=SimpleNamespace(fn=TrainerFn.FITTING),
        strategy=SimpleNamespace(broadcast=lambda said: said),
        should_stop=False,
        loggers=[],
    )


def settings(folder: Path, pruner: object = None) -> DictConfig:
    """The settings `hpo.*` of the job of trial 0."""
    journal = str(folder / "journal.log")
    pruner = pruner or {"_target_": NOP}
    hpo = {"study": "s", "storage": journal, "trial": 0, "pruner": pruner, "objective": OBJECTIVE}
    return OmegaConf.create(hpo)


def study_in(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="s", storage=open_storage(str(folder / "journal.log")))


def trial_in(folder: Path) -> FrozenTrial:
    """The trial as others see it."""
    return study_in(folder).trials[0]


@pytest.fixture(autouse=True)
def study(tmp_path: Path) -> optuna.Study:
    """A study that runs one trial, of batch size 16."""
    storage = open_storage(str(tmp_path / "journal.log"))
    study = optuna.create_study(study_name="s", storage=storage, direction="maximize")
    study.ask().suggest_categorical("data.batch_size", [16])
    return study


def pruning_in(folder: Path, pruner: object = None) -> Pruning:
    pruning = Pruning.of(settings(folder, pruner))
    assert pruning is not None
    return pruning


def validated(pruning: Pruning, trainer: Any) -> None:  # noqa: ANN401
    module: Any = None
    pruning.on_validation_end(trainer, module)


# Where a validation stands


def shares(batches: int, interval: float, epoch: int = 0) -> list[float]:
    """The positions of the validations of an epoch."""
    between = at(batches=batches, interval=interval).val_check_batch
    stops = range(between, batches + 1, between)
    return [epochs_done(at(seen, batches, interval, epoch)) for seen in stops]


@pytest.mark.parametrize(
    ("batches", "interval", "positions"),
    [
        (100, 1.0, [1.0]),
        (1, 1.0, [1.0]),
        (100, 0.25, [0.25, 0.5, 0.75, 1.0]),
        (103, 0.25, [0.25, 0.5, 0.75, 1.0]),  # After 25, 50, 75 and 100 of 103 batches.
        (102, 0.5, [0.5, 1.0]),
        (100, 0.3, [0.3, 0.6, 0.9]),
        (100, 25, [0.25, 0.5, 0.75, 1.0]),
        (80, 30, [0.375, 0.75]),
        (10, 0.25, [0.2, 0.4, 0.6, 0.8, 1.0]),  # Every 2.5 batches cannot be: every 2 they are.
    ],
)
def test_positions_within_an_epoch(batches: int, interval: float, positions: list[float]) -> None:
    assert shares(batches, interval) == pytest.approx(positions)
    assert shares(batches, interval, epoch=2) == pytest.approx([2 + one for one in positions])


@given(st.integers(1, 400), st.sampled_from([1.0, 0.5, 0.25, 0.2, 0.1, 0.05]))
def test_no_position_comes_twice_and_none_lies_in_the_next_epoch(
    batches: int, interval: float
) -> None:
    positions = [0.0, *shares(batches, interval)]
    assert all(before < after for before, after in pairwise(positions))
    assert positions[-1] <= 1.0 + 1e-9


# Reports


def test_reports_stand_at_percent_of_an_epoch(tmp_path: Path) -> None:
    pruning = pruning_in(tmp_path)
    for epoch, seen, score in [(0, 25, 0.1), (0, 50, 0.2), (0, 100, 0.3), (1, 75, 0.4)]:
        validated(pruning, at(seen, interval=0.25, epoch=epoch, score=score))
    assert trial_in(tmp_path).intermediate_values == {25: 0.1, 50: 0.2, 100: 0.3, 175: 0.4}


def test_a_trial_that_the_pruner_gives_up_is_stopped(tmp_path: Path) -> None:
    pruning, trainer = pruning_in(tmp_path, WORST), at(score=0.3, epoch=1)
    validated(pruning, trainer)
    assert trainer.should_stop
    with pytest.raises(optuna.TrialPruned, match=r"^after 2 epochs at val/seqeval_f1 0\.3000$"):
        pruning.check()


def test_a_trial_that_does_well_goes_on(tmp_path: Path) -> None:
    pruning, trainer = pruning_in(tmp_path, WORST), at(score=0.5)
    validated(pruning, trainer)
    assert not trainer.should_stop
    pruning.check()


def test_the_last_report_never_prunes(tmp_path: Path) -> None:
    pruning, trainer = pruning_in(tmp_path, WORST), at(score=0.3, steps_left=0)
    validated(pruning, trainer)
    assert not trainer.should_stop
    pruning.check()
    assert trial_in(tmp_path).intermediate_values == {100: 0.3}


@pytest.mark.parametrize("when", ["before the training", "of the best checkpoint"])
def test_other_validations_are_not_reported(tmp_path: Path, when: str) -> None:
    trainer = at()
    if when == "before the training":
        trainer.sanity_checking = True
    else:
        trainer.state.fn = TrainerFn.VALIDATING
    validated(pruning_in(tmp_path), trainer)
    assert trial_in(tmp_path).intermediate_values == {}


@pytest.mark.parametrize("score", [None, math.nan, math.inf])
def test_an_objective_that_is_no_number_is_a_mistake(tmp_path: Path, score: float | None) -> None:
    trainer = at(score=score)
    trainer.callback_metrics |= {"val/strict_f1": 0.5, "val/loss": 0.1}
    with pytest.raises(ConfigError) as caught:
        validated(pruning_in(tmp_path), trainer)
    message = str(caught.value)
    assert message.startswith(f"hpo.objective={OBJECTIVE} is ")
    assert "val/loss, " in message
    assert "val/strict_f1" in message


def test_a_process_that_is_not_the_first_does_as_the_first_says() -> None:
    trainer = at()
    trainer.strategy.broadcast = lambda _: "after 1 epochs"
    pruning = Pruning(None, OBJECTIVE)
    validated(pruning, trainer)
    assert (trainer.should_stop, pruning.pruned) == (True, "after 1 epochs")


# The trial of a job


def test_a_run_that_is_no_trial_reports_to_nobody() -> None:
    assert Pruning.of(OmegaConf.create({"trial": None})) is None


def test_a_trial_that_was_ended_elsewhere_is_not_begun(tmp_path: Path) -> None:
    study_in(tmp_path).tell(0, state=TrialState.FAIL)
    with pytest.raises(WithdrawnError, match=r"^trial 0 of s is fail already"):
        open_trial(settings(tmp_path))


def test_a_trial_that_was_ended_elsewhere_stops_at_its_next_report(tmp_path: Path) -> None:
    pruning = pruning_in(tmp_path)
    study_in(tmp_path).tell(0, state=TrialState.FAIL)
    with (
        pytest.raises(WithdrawnError, match="trial 0 was ended by another process"),
        pruning.told(at()),  # What it notes in the end is no error of its own.
    ):
        validated(pruning, at())


# What a trial trains on


def test_the_first_trial_notes_the_corpus(tmp_path: Path) -> None:
    pruning = pruning_in(tmp_path)
    pruning.begin("9f2c", batch_size=16)
    pruning.begin("9f2c", batch_size=16)
    assert study_in(tmp_path).user_attrs["corpus"] == "9f2c"
    assert "memory" not in trial_in(tmp_path).user_attrs


def test_another_corpus_is_refused(tmp_path: Path) -> None:
    pruning_in(tmp_path).begin("9f2c", batch_size=16)
    with pytest.raises(ConfigError, match=r"corpus: 9f2c -> 77aa\nhint: .* hpo\.study=NAME"):
        pruning_in(tmp_path).begin("77aa", batch_size=16)


def test_a_batch_that_did_not_fit_is_noted(tmp_path: Path) -> None:
    pruning_in(tmp_path).begin("9f2c", batch_size=4)
    assert trial_in(tmp_path).user_attrs["memory"] == "batch 16 -> 4, 4 times accumulated"


# How a trial ended


def ended(pruning: Pruning, with_error: BaseException | None = None) -> None:
    with pruning.told(at()):
        if with_error is not None:
            raise with_error
        pruning.complete(0.75)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, "complete"),
        (optuna.TrialPruned(), "pruned"),
        (RuntimeError("no memory"), "failed: RuntimeError"),
        (KeyboardInterrupt(), "failed: KeyboardInterrupt"),
    ],
)
def test_the_trackers_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException | None, state: str
) -> None:
    said: dict[str, object] = {}
    monkeypatch.setattr(pruning_module, "summarise", lambda _, **figures: said.update(figures))
    with suppress(optuna.TrialPruned, RuntimeError, KeyboardInterrupt):
        ended(pruning_in(tmp_path), error)
    assert said == {"state": state, "objective": 0.5}


def test_a_complete_trial_leaves_its_value(tmp_path: Path) -> None:
    ended(pruning_in(tmp_path))
    about = trial_in(tmp_path).user_attrs
    assert about["outcome"] == {"state": "COMPLETE", "value": 0.75}
    assert about["steps"] == 50
    assert 0 <= about["seconds"] < 60


def test_a_pruned_trial_leaves_that_it_was(tmp_path: Path) -> None:
    with pytest.raises(optuna.TrialPruned):
        ended(pruning_in(tmp_path), optuna.TrialPruned("after 2 epochs"))
    about = trial_in(tmp_path).user_attrs
    assert about["outcome"] == {"state": "PRUNED", "value": None}
    assert about["steps"] == 50


def test_a_failed_trial_leaves_no_outcome(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no memory"):
        ended(pruning_in(tmp_path), RuntimeError("no memory"))
    about = trial_in(tmp_path).user_attrs
    assert "outcome" not in about
    assert about["steps"] == 50


def test_a_pruned_trial_ends_quietly_in_the_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: dict[str, object] = {}
    monkeypatch.setattr(pruning_module, "summarise", lambda _, **figures: said.update(figures))
    study_in(tmp_path)
    ended(Pruning(None, OBJECTIVE), optuna.TrialPruned("after 2 epochs"))
    assert said["state"] == "pruned"
    assert trial_in(tmp_path).user_attrs == {}
