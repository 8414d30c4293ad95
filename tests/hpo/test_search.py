"""The real sweeper over jobs that only compute: which studies, which draws, which files."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from optuna import Study
from optuna.distributions import FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from multiclin.config import CONF_DIR, register, run
from multiclin.errors import (
    ConfigError,
    CorpusError,
    DivergedError,
    MulticlinError,
    OutOfMemoryError,
    WorkerError,
)
from multiclin.hpo.loop import check
from multiclin.targets import EXECUTION_WHITELIST
from tests.hpo.searches import finished, found, learn, score, search, study_of, write_conf
from tests.hpo.studies import PAPER

COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """The search of conf/, as it is but for the trainings; it lies in the working directory."""
    folder = tmp_path_factory.mktemp("paper")
    quiet = ["logger=csv", "hydra/job_logging=none", "hydra/hydra_logging=none"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(learn, "train", ["-m", "hpo=optuna", "data.root=corpus", *quiet])
        study = study_of()
        study.set_user_attr("folder", str(folder / "outputs/hpo/disease"))
        yield study


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the small config; its searches draw no report."""
    write_conf(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("multiclin.hpo.results.write_report", lambda *_: None)
    return tmp_path / "outputs/hpo"


def values(study: Study) -> list[float]:
    return [trial.value for trial in study.trials if trial.state is COMPLETE and trial.value]


def folder_of(study: Study) -> Path:
    return Path(study.user_attrs["folder"])


# The search of the paper


def test_twenty_trials_finish_and_some_are_pruned(paper: Study) -> None:
    assert [trial.number for trial in finished(paper)] == list(range(20))
    assert {trial.state for trial in paper.trials} == {COMPLETE, PRUNED}
    pruned = paper.get_trials(states=[PRUNED])
    assert all(trial.user_attrs["reason"].startswith("after ") for trial in pruned)


def test_the_space_is_the_papers(paper: Study) -> None:
    assert all(trial.distributions == PAPER for trial in paper.trials)
    assert {trial.params["trainer.max_epochs"] for trial in paper.trials} == {3, 4, 5, 6}


def test_the_papers_settings(paper: Study) -> None:
    config = composed("hpo=optuna", hydras=True)
    sampler, pruner = config.hydra.sweeper.sampler, config.hpo.pruner
    assert sampler._target_ == "optuna.samplers.TPESampler"
    assert sampler.seed == 13
    assert pruner._target_ == "optuna.pruners.MedianPruner"
    assert (config.hpo.n_trials, config.hpo.direction) == (20, "maximize")
    assert config.hpo.objective == paper.user_attrs["objective"] == "val/seqeval_f1"


def test_every_trial_has_a_folder(paper: Study) -> None:
    folders = {path.name for path in (folder_of(paper) / "trials").iterdir()}
    assert folders == {str(number) for number in range(20)}


def test_the_files_of_a_study(paper: Study) -> None:
    files = {path.name for path in folder_of(paper).iterdir() if path.is_file()}
    assert files >= {"journal.log", "best.yaml", "trials.csv", "report.html"}
    with (folder_of(paper) / "trials.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["state"] for row in rows] == [trial.state.name.lower() for trial in paper.trials]


def composed(*overrides: str, hydras: bool = False) -> DictConfig:
    register()
    with initialize_config_dir(str(CONF_DIR)):
        return compose("train", ["data.root=corpus", *overrides], return_hydra_config=hydras)


def test_the_best_trial_is_a_config(paper: Study) -> None:
    best = paper.best_trial
    config = composed(f"tuned={folder_of(paper)}/best.yaml")
    for key, value in best.params.items():
        assert OmegaConf.select(config, key) == value
    assert (config.tuned.trial, config.tuned.value) == (best.number, best.value)
    assert best.value == max(values(paper))


@pytest.mark.parametrize(
    ("option", "pruner"),
    [
        ("median", optuna.pruners.MedianPruner),
        ("percentile", optuna.pruners.PercentilePruner),
        ("hyperband", optuna.pruners.HyperbandPruner),
        ("successive_halving", optuna.pruners.SuccessiveHalvingPruner),
        ("none", optuna.pruners.NopPruner),
    ],
)
def test_every_pruner_can_be_chosen(option: str, pruner: type) -> None:
    config = composed("hpo=optuna", f"hpo/pruner={option}", hydras=True)
    made = instantiate(config.hydra.sweeper.pruner, _execution_whitelist_=EXECUTION_WHITELIST)
    assert type(made) is pruner


@pytest.mark.usefixtures("folder")
def test_any_pruner_of_optuna_can_be_named() -> None:
    target = "hpo.pruner._target_=optuna.pruners.ThresholdPruner"
    words = ["hpo/pruner=none", target, "+hpo.pruner.lower=2.0", "hpo.n_trials=2"]
    search(*words, task=learn)  # Whose objective is below 1.
    assert {trial.state for trial in study_of().trials} == {PRUNED}


@pytest.mark.usefixtures("folder")
@pytest.mark.filterwarnings("ignore:QMCSampler is experimental")
@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "gp", "qmc", "nsgaii"])
def test_samplers_that_can_be_chosen(sampler: str) -> None:
    space = [*FIXED, "trainer.max_epochs=6"] if sampler == "grid" else []
    search(f"hydra/sweeper/sampler={sampler}", "hpo.n_trials=2", *space)
    assert len(finished(study_of())) == 2


# Which studies


@pytest.mark.usefixtures("folder")
def test_each_entity_has_a_study_of_its_own() -> None:
    search("entity=disease,procedure,symptom", "hpo.n_trials=2")
    studies = [study_of(name) for name in ("disease", "procedure", "symptom")]
    assert found(studies[0]) == found(studies[1]) == found(studies[2])
    assert len(found(studies[0])) == 2
    for study in studies:
        assert Path("outputs/hpo", study.study_name, "best.yaml").is_file()
        assert study.user_attrs["settings"]["entity.name"] == study.study_name


def test_a_study_is_named_by_its_choices(folder: Path) -> None:
    seen = []

    def task(config: DictConfig) -> float:
        seen.append((config.hpo.study, config.entity.name, config.model.name))
        return score(config)

    search("entity=symptom,disease", "model=small,large", "hpo.n_trials=1", task=task)
    assert seen == [
        ("symptom-small", "symptom", "small"),
        ("symptom-large", "symptom", "large"),
        ("disease-small", "disease", "small"),
        ("disease-large", "disease", "large"),
    ]
    assert sorted(path.name for path in folder.iterdir()) == sorted(name for name, *_ in seen)


@pytest.mark.usefixtures("folder")
def test_a_group_among_the_parameters_is_a_dimension() -> None:
    seen = set()

    def task(config: DictConfig) -> float:
        seen.add(config.model.name)
        return {"small": 0.1, "large": 0.2}[config.model.name]

    search("+hydra.sweeper.params.model='choice(small,large)'", "hpo.n_trials=5", task=task)
    assert seen == {"small", "large"}
    assert study_of().best_params["model"] == "large"
    best = OmegaConf.load("outputs/hpo/disease/best.yaml")
    assert best.defaults == [{"override /model": "large"}]


@pytest.mark.usefixtures("folder")
def test_the_command_line_goes_before_the_space_of_the_file() -> None:
    search("optim.learning_rate=interval(1e-4,2e-4)", "data.batch_size=8", "hpo.n_trials=1")
    (trial,) = study_of().trials
    assert trial.distributions["optim.learning_rate"] == FloatDistribution(1e-4, 2e-4)
    assert "data.batch_size" not in trial.params
    assert len(trial.params) == 5
    assert study_of().user_attrs["settings"]["data.batch_size"] == 8


@pytest.mark.usefixtures("folder")
def test_two_studies_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two studies of this command are called small-large"):
        search("hpo.study=small-large", "model=small,large")


# Which trials


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "sampler",
    [
        [],
        ["hydra.sweeper.sampler.n_startup_trials=2", "hydra.sweeper.sampler.multivariate=true"],
    ],
)
def test_a_search_that_goes_on_finds_what_it_would_have_found(sampler: list[str]) -> None:
    search("hpo.study=whole", "hpo.n_trials=6", *sampler)
    search("hpo.study=parts", "hpo.n_trials=4", *sampler)
    search("hpo.study=parts", "hpo.n_trials=6", *sampler)
    whole, parts = study_of("whole"), study_of("parts")
    assert [trial.number for trial in parts.trials] == [0, 1, 2, 3, 4, 5]
    assert found(parts) == found(whole)
    assert len({trial.params["optim.learning_rate"] for trial in whole.trials}) == 6


@pytest.mark.usefixtures("folder")
def test_a_finished_search_trains_nothing_more() -> None:
    search("hpo.n_trials=1")
    search("hpo.n_trials=1", task=lambda _: pytest.fail("a trial too many"))
    assert len(study_of().trials) == 1


@pytest.mark.usefixtures("folder")
def test_ctrl_c_ends_the_search_and_nothing_is_lost() -> None:
    words = ["hpo.n_trials=5", "hydra.sweeper.sampler.n_startup_trials=2"]
    search("hpo.study=whole", *words)

    def stopped(config: DictConfig) -> float:
        if config.hpo.trial == 3:
            raise KeyboardInterrupt
        return score(config)

    with pytest.raises(KeyboardInterrupt):
        search("hpo.study=parts", *words, task=stopped)
    *_, cut, again = study_of("parts").trials
    states = [trial.state for trial in study_of("parts").trials]
    assert states == [COMPLETE, COMPLETE, COMPLETE, FAIL, TrialState.WAITING]
    assert again.system_attrs["fixed_params"] == cut.params
    search("hpo.study=parts", *words)
    assert found(study_of("parts")) == found(study_of("whole"))


@pytest.mark.usefixtures("folder")
def test_another_space_or_setting_is_refused() -> None:
    search("hpo.n_trials=1")
    with pytest.raises(ConfigError) as caught:
        search("hpo.n_trials=2", "seed=14", "optim.weight_decay=interval(0.0,0.5)")
    what, *lines, hint = str(caught.value).splitlines()
    assert what == "study disease was begun with other settings:"
    assert "  seed: 13 -> 14" in lines
    (space,) = (line for line in lines if "search of optim.weight_decay" in line)
    assert "high=0.3" in space.partition(" -> ")[0]
    assert "high=0.5" in space.partition(" -> ")[2]
    assert hint.endswith("hpo.study=NAME")
    assert len(lines) == 2


@pytest.mark.usefixtures("folder")
def test_what_no_value_depends_on_may_change() -> None:
    search("hpo.n_trials=1")
    search("hpo.n_trials=2", "data.root=moved", "run_group=mine", "hpo.keep=all", "hpo/pruner=none")
    assert len(finished(study_of())) == 2


FIXED = [
    *("optim.learning_rate=1e-4", "optim.weight_decay=0.1", "optim.warmup_ratio=0.1"),
    "trainer.accumulate_grad_batches=1",
]


@pytest.mark.usefixtures("folder")
def test_a_grid_is_searched_to_its_end() -> None:
    grid = ["hydra/sweeper/sampler=grid", "data.batch_size=choice(4,8)", *FIXED]
    search(*grid, "trainer.max_epochs=range(3,5)", "hpo.n_trials=3")
    search(*grid, "trainer.max_epochs=range(3,5)")
    assert len(study_of().trials) == 4
    points = {tuple(sorted(trial.params.items())) for trial in study_of().trials}
    assert points == {
        (("data.batch_size", size), ("trainer.max_epochs", epochs))
        for size in (4, 8)
        for epochs in (3, 4)
    }


@pytest.mark.usefixtures("folder")
def test_a_grid_that_was_stopped_is_searched_to_its_end() -> None:
    grid = ["hydra/sweeper/sampler=grid", "data.batch_size=choice(4,8,16)", *FIXED]
    grid += ["trainer.max_epochs=6"]

    def stopped(config: DictConfig) -> float:
        if config.hpo.trial == 1:
            raise KeyboardInterrupt
        return score(config)

    with pytest.raises(KeyboardInterrupt):
        search(*grid, task=stopped)
    search(*grid)
    sizes = [trial.params["data.batch_size"] for trial in finished(study_of())]
    assert sorted(sizes) == [4, 8, 16]


@pytest.mark.usefixtures("folder")
def test_the_objective_may_be_a_loss() -> None:
    modes = set()

    def task(config: DictConfig) -> float:
        modes.add((config.callbacks.checkpoint.monitor, config.callbacks.checkpoint.mode))
        return score(config)

    search("hpo.direction=minimize", "hpo.objective=val/loss", "hpo.n_trials=3", task=task)
    assert modes == {("val/loss", "min")}
    best = OmegaConf.load("outputs/hpo/disease/best.yaml")
    assert best.tuned.value == min(values(study_of()))


# Trials that fail


@pytest.mark.usefixtures("folder")
def test_a_failed_trial_is_recorded_and_the_search_goes_on() -> None:
    failing = {
        0: OutOfMemoryError("a batch of 1 windows does not fit in memory\nhint: less"),
        1: DivergedError("the loss is nan"),
        2: WorkerError("a process that makes batches has died"),
    }

    def task(config: DictConfig) -> float:
        if error := failing.get(config.hpo.trial):
            raise error
        return math.nan if config.hpo.trial == 3 else score(config)

    search("hpo.n_trials=4", "hpo.max_failure_rate=1.0", task=task)
    assert len(finished(study_of())) == 4
    failed = study_of().get_trials(states=[FAIL])
    assert [trial.user_attrs["reason"] for trial in failed] == [
        "OutOfMemoryError: a batch of 1 windows does not fit in memory",
        "DivergedError: the loss is nan",
        "WorkerError: a process that makes batches has died",
        "the objective is nan",
    ]


@pytest.mark.usefixtures("folder")
def test_a_search_stops_when_too_many_fail() -> None:
    def task(config: DictConfig) -> float:
        if config.hpo.trial:
            raise RuntimeError(f"no memory for {config.hpo.trial}")
        return score(config)

    with pytest.raises(RuntimeError, match="no memory for 2"):
        search("hpo.n_trials=4", task=task)  # A quarter of four may fail.
    assert [trial.state for trial in study_of().trials] == [COMPLETE, FAIL, FAIL]


@pytest.mark.usefixtures("folder")
def test_a_job_whose_worker_died_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    launch, deaths = BasicLauncher.launch, iter([RuntimeError("the worker was killed")])

    def dying(self: BasicLauncher, overrides: list[list[str]], number: int) -> Sequence[JobReturn]:
        for death in deaths:
            raise death
        return launch(self, overrides, number)

    monkeypatch.setattr(BasicLauncher, "launch", dying)
    search("hpo.n_trials=2", "hpo.max_failure_rate=1.0")
    first = study_of().trials[0]
    again = finished(study_of())[0]
    assert first.user_attrs["reason"] == "RuntimeError: the worker was killed"
    assert (again.user_attrs["retry_of"], again.params) == (0, first.params)


@pytest.mark.usefixtures("folder")
def test_a_mistake_that_every_trial_would_make_ends_the_search() -> None:
    def task(_: DictConfig) -> float:
        raise CorpusError("corpus/a.ann:3: no such label")

    with pytest.raises(CorpusError, match=r"a\.ann:3"):
        search("hpo.max_failure_rate=1.0", task=task)
    (trial,) = study_of().trials
    assert trial.user_attrs["reason"] == "CorpusError: corpus/a.ann:3: no such label"


# What stays


def write_weights(config: DictConfig) -> float:
    for name in ("checkpoints", "model", "predictions"):
        path = Path(config.run_dir, name)
        path.mkdir(parents=True)
        (path / "file").touch()
    return score(config)


@pytest.mark.parametrize("keep", ["best", "all", "none"])
def test_weights_that_stay(folder: Path, keep: str) -> None:
    search("hpo.n_trials=3", f"hpo.keep={keep}", task=write_weights)
    best = study_of().best_trial.number
    kept = {"best": {best}, "all": {0, 1, 2}, "none": set()}[keep]
    for number in range(3):
        run_dir = folder / "disease/trials" / str(number)
        assert (run_dir / "predictions").is_dir()
        for weights in ("checkpoints", "model"):
            assert (run_dir / weights).is_dir() == (number in kept)


def test_the_weights_that_stay_are_those_of_best_yaml(folder: Path) -> None:
    """Confirming turns the order round."""

    def task(config: DictConfig) -> float:
        if config.hpo.trial is not None:
            return write_weights(config)
        return -score(config)

    search("hpo.n_trials=4", "hpo.confirm=3", "hpo.seeds=[1]", task=task)
    best = OmegaConf.load(folder / "disease/best.yaml").tuned.trial
    assert best != study_of().best_trial.number
    assert [path.parent.name for path in folder.rglob("model")] == [str(best)]


@pytest.mark.usefixtures("folder")
def test_a_confirming_run_that_fails_is_named_and_tried_again() -> None:
    failing = {1}

    def task(config: DictConfig) -> float:
        if config.seed in failing:
            raise RuntimeError("no space on the disk")
        return score(config)

    words = ["hpo.n_trials=1", "hpo.confirm=1", "hpo.seeds=[1,2]"]
    with pytest.raises(MulticlinError, match=r"no score of confirm/0-1\nhint: .* tries them again"):
        search(*words, task=task)
    failing.clear()
    search(*words, task=task)
    confirmed = OmegaConf.load("outputs/hpo/disease/best.yaml").tuned.confirmed
    assert sorted(confirmed.seeds) == [1, 2]


def test_the_best_are_confirmed_with_other_seeds(folder: Path) -> None:
    words = ["hpo.n_trials=3", "hpo.confirm=2", "hpo.seeds=[1,2]"]
    again: list[tuple[str, int, float]] = []

    def task(config: DictConfig) -> float:
        if config.hpo.trial is not None:
            return score(config)
        again.append((config.hpo.run, config.seed, config.optim.learning_rate))
        return 0.5 + int(config.seed) / 10

    search(*words, task=task)
    ranked = sorted(study_of().trials, key=lambda trial: -(trial.value or 0))
    assert again == [
        (f"confirm/{trial.number}-{seed}", seed, trial.params["optim.learning_rate"])
        for trial in ranked[:2]
        for seed in (1, 2)
    ]
    assert {path.name for path in (folder / "disease/confirm").iterdir()} == {
        run.removeprefix("confirm/") for run, *_ in again
    }
    confirmed = OmegaConf.load(folder / "disease/best.yaml").tuned.confirmed
    assert confirmed.mean == pytest.approx(0.65)
    assert confirmed.seeds == [1, 2]
    again.clear()
    search(*words, task=task)
    assert again == []


# Guards


def test_a_search_without_multirun_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["hpo=optuna", "hpo.study=a b"]
    monkeypatch.setattr("sys.argv", ["train.py", *words])
    with pytest.raises(ConfigError) as caught:
        run(score, "train", words, Path("conf").absolute())
    assert str(caught.value).endswith("add -m: python train.py -m hpo=optuna 'hpo.study=a b'")
    assert not folder.exists()


def test_a_test_metric_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="a search must not see what it is judged by later"):
        search("hpo.objective=test/strict_f1")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("objective", "test/strict_f1"),
        ("objective", "loss"),
        ("direction", "up"),
        ("keep", "some"),
        ("n_trials", 0),
        ("n_jobs", 0),
        ("confirm", -1),
    ],
)
def test_settings_that_cannot_work_are_named(key: str, value: object) -> None:
    config = composed("hpo=optuna", hydras=True)
    check(config)
    config.hpo[key] = value
    with pytest.raises(ConfigError, match=f"hpo.{key}={value}"):
        check(config)


@pytest.mark.usefixtures("folder")
def test_the_keys_of_the_parent_keep_their_meaning() -> None:
    keys = {"study_name": "mine", "n_trials": 2, "direction": "minimize", "storage": "here.log"}
    search(*(f"hydra.sweeper.{key}={value}" for key, value in keys.items()))
    study = study_of("mine", "here.log")
    assert len(finished(study)) == 2
    assert study.direction is StudyDirection.MINIMIZE


def test_a_pruner_that_trials_would_not_know_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="choose it with hpo/pruner="):
        search("hydra.sweeper.pruner=null")
    assert not folder.exists()


def test_a_failure_rate_that_is_no_share_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"^hpo.max_failure_rate=2\.0"):
        search("hpo.max_failure_rate=2")
    assert not folder.exists()


def test_a_sweeper_without_a_search_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="hint: add hpo=optuna"):
        run(score, "train", ["-m", "hydra/sweeper=multiclin"], Path("conf").absolute())
    assert not folder.exists()


@pytest.mark.usefixtures("folder")
def test_a_search_leaves_the_loggers_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    names = ("hydra", "hydra_plugins", "alembic", "optuna")
    for name in names:
        caplog.set_level(logging.INFO, logger=name)
    search("hpo.n_trials=1")
    assert {logging.getLogger(name).level for name in names} == {logging.INFO}


@pytest.mark.usefixtures("folder")
def test_the_command_is_kept_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["-m", "hpo=optuna", "hpo.n_trials=1"]
    for study, name, kept in (
        ("script", ["train.py"], "python train.py"),
        ("installed", ["/bin/multiclin", "train"], "/bin/multiclin train"),
    ):
        given = [*words, f"hpo.study={study}"]
        monkeypatch.setattr("sys.argv", [*name, *given])
        run(score, "train", given, Path("conf").absolute())
        assert study_of(study).user_attrs["command"] == f"{kept} {' '.join(given)}"
