"""best.yaml, read by OmegaConf and composed by Hydra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from optuna import Study
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from multiclin.hpo.summary import Confirmed
from multiclin.hpo.tuned import write_best
from tests.hpo.studies import COMMAND, study_of, trial

COMPLETE = TrialState.COMPLETE
PARAMS: dict[str, Any] = {
    "optim.learning_rate": 1e-5,
    "optim.weight_decay": 2 / 7,
    "data.batch_size": 16,
    "model": "mrbert_es",
    "languages": "[es,it]",
}
EVERY_CALL = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)


def written(study: Study, path: Path, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
    """What OmegaConf reads, interpolations resolved."""
    write_best(study, path, **arguments)
    config = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def test_the_best_trial_and_where_it_came_from(tmp_path: Path) -> None:
    study = study_of(trial(COMPLETE, 0.7, PARAMS), trial(COMPLETE, 0.6), trial(TrialState.PRUNED))
    assert written(study, tmp_path / "best.yaml", groups=["model"]) == {
        "defaults": [{"override /model": "mrbert_es"}],
        "tuned": {
            "study": "disease",
            "trial": 0,
            "objective": "val/seqeval_f1",
            "value": 0.7,
            "command": COMMAND,
            "trials": 3,
        },
        "optim": {"learning_rate": 1e-5, "weight_decay": 2 / 7},
        "data": {"batch_size": 16},
        "languages": ["es", "it"],  # As the trial read it from its override.
    }


def test_the_comments_are_for_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "best.yaml"
    write_best(study_of(trial(COMPLETE, 0.7), trial(TrialState.FAIL)), path)
    assert path.read_text("utf-8").splitlines()[:5] == [
        "# @package _global_",
        "# Study disease: trial 0 is the best. 1 finished: 1 complete, 0 pruned; 1 failed.",
        "# val/seqeval_f1 = 0.7",
        f"# Found by: {COMMAND}",
        f"# Train with it: python train.py entity=disease tuned={path}",
    ]


def test_a_confirmed_trial_has_its_mean(tmp_path: Path) -> None:
    study = study_of(trial(COMPLETE, 0.8), trial(COMPLETE, 0.7))
    confirmed = [Confirmed(1, {13: 0.5, 14: 0.5})]
    tuned = written(study, tmp_path / "best.yaml", confirmed=confirmed)["tuned"]
    assert (tuned["trial"], tuned["value"]) == (1, 0.7)
    assert tuned["confirmed"] == {"mean": 0.5, "deviation": 0.0, "seeds": [13, 14]}


def test_one_seed_has_no_deviation(tmp_path: Path) -> None:
    study = study_of(trial(COMPLETE, 0.8))
    config = written(study, tmp_path / "best.yaml", confirmed=[Confirmed(0, {13: 0.5})])
    assert config["tuned"]["confirmed"]["deviation"] is None


def test_a_parameter_that_the_search_added_is_written_without_its_sign(tmp_path: Path) -> None:
    study = study_of(trial(COMPLETE, 0.8, {"+model.config.attention_dropout": 0.25}))
    config = written(study, tmp_path / "best.yaml")
    assert config["model"] == {"config": {"attention_dropout": 0.25}}


@EVERY_CALL
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_read_back_exactly(tmp_path: Path, value: float) -> None:
    made = optuna.create_trial(
        value=value,
        params={"optim.learning_rate": value},
        distributions={"optim.learning_rate": FloatDistribution(value, value)},
    )
    config = written(study_of(made), tmp_path / "best.yaml")
    read = [config["optim"]["learning_rate"], config["tuned"]["value"]]
    assert [repr(one) for one in read] == [repr(value)] * 2  # Type and sign of zero as well.


@EVERY_CALL
@given(command=st.text(st.sampled_from("${}\\:#'\"\n \tax1e-?é[],")))
def test_every_command_is_read_back_exactly(tmp_path: Path, command: str) -> None:
    study = study_of(trial(COMPLETE, 0.5))
    study.set_user_attr("command", command)
    config = written(study, tmp_path / "best.yaml")
    assert config["tuned"]["command"] == command


@pytest.mark.parametrize("command", ["a='${b.c}'", "a=\\${b}", "null", "1e-5", "# no comment"])
def test_a_command_is_no_interpolation_and_no_number(tmp_path: Path, command: str) -> None:
    study = study_of(trial(COMPLETE, 0.5))
    study.set_user_attr("command", command)
    assert written(study, tmp_path / "best.yaml")["tuned"]["command"] == command


def test_hydra_composes_it_over_the_defaults(tmp_path: Path) -> None:
    for name, text in {
        "train.yaml": "defaults: [_self_, model: mrbert_biomed, optim: adamw, tuned: default]\n"
        "data: {batch_size: 4, workers: 2}\nlanguages: all\n",
        "model/mrbert_biomed.yaml": "name: biomed\n",
        "model/mrbert_es.yaml": "name: es\n",
        "optim/adamw.yaml": "learning_rate: 0.1\nwarmup_ratio: 0.5\n",
        "tuned/default.yaml": "# @package _global_\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    study = study_of(trial(COMPLETE, 0.7, PARAMS))
    write_best(study, tmp_path / "tuned" / "best.yaml", groups=["model"])
    with initialize_config_dir(str(tmp_path)):
        config = compose("train", ["tuned=best"])
    read = OmegaConf.to_container(config, resolve=True)
    assert isinstance(read, dict)
    assert read.pop("tuned")["value"] == 0.7
    assert read == {
        "model": {"name": "es"},
        "optim": {"learning_rate": 1e-5, "warmup_ratio": 0.5, "weight_decay": 2 / 7},
        "data": {"batch_size": 16, "workers": 2},
        "languages": ["es", "it"],
    }
