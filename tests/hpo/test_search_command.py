"""A search through the real command, with real trainings of a tiny model.

One search of twenty trials serves most tests; one that is killed ten times must find the same.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import random
import signal
import subprocess
import time

import pytest
import torch
from omegaconf import OmegaConf

from multiclin.cli import main
from multiclin.module import NerModule
from tests.commands import MODEL, Done, Work, read_json, succeeded

pytestmark = pytest.mark.slow

SEARCH = [
    *("-m", "hpo=optuna", "entity=disease", *MODEL, "trainer=cpu", "logger=csv"),
    "optim.learning_rate=tag(log,interval(1e-3,3e-2))",
]
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return Work(tmp_path_factory.mktemp("search"))


def words(work: Work, study: str, *more: str) -> list[str]:
    return [*SEARCH, f"data.root={work.corpus}", f"hpo.study={study}", *more]


def trials(work: Work, study: str) -> Rows:
    with (work.folder / "outputs/hpo" / study / "trials.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def finished(rows: Rows) -> Rows:
    return [row for row in rows if row["state"] in {"complete", "pruned"}]


def parameters(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(value for key, value in row.items() if "." in key)


def findings(rows: Rows) -> list[tuple[str, ...]]:
    """Parameters, state and value of each finished trial, in an order without numbers."""
    return sorted((*parameters(row), row["state"], row["value"]) for row in finished(rows))


@pytest.fixture(scope="module")
def console(work: Work) -> Done:
    return succeeded(work.run("train.py", *words(work, "whole")))


@pytest.fixture(scope="module")
def whole(work: Work, console: Done) -> Rows:
    return trials(work, "whole")


def test_a_search_has_twenty_finished_trials_some_of_them_pruned(whole: Rows) -> None:
    assert [row["number"] for row in whole] == [str(number) for number in range(20)]
    assert len(finished(whole)) == 20
    assert any(row["state"] == "pruned" for row in whole)


def test_the_best_value_is_the_same_wherever_it_stands(
    work: Work, whole: Rows, console: Done
) -> None:
    folder = work.folder / "outputs/hpo/whole"
    best = max(
        (row for row in whole if row["state"] == "complete"), key=lambda r: float(r["value"])
    )
    tuned = OmegaConf.load(folder / "best.yaml")
    assert tuned.tuned.value == float(best["value"])
    assert tuned.tuned.trial == int(best["number"])
    assert tuned.optim.learning_rate == float(best["optim.learning_rate"])
    metrics = read_json(folder / f"trials/{best['number']}/metrics.json")
    assert metrics["val/seqeval_f1"] == float(best["value"])
    assert f"best {float(best['value']):.4f} (trial {best['number']})" in console.stderr


def test_no_trial_is_scored_on_the_test_set(work: Work, whole: Rows) -> None:
    paths = list((work.folder / "outputs/hpo/whole/trials").glob("*/metrics.json"))
    assert paths
    for path in paths:
        assert not any(key.startswith("test/") for key in read_json(path))


def test_a_pruned_trial_ran_fewer_epochs_than_it_was_to(whole: Rows) -> None:
    for row in whole:
        planned = int(row["trainer.max_epochs"])
        if row["state"] == "pruned":
            assert float(row["epochs"]) < planned
        else:
            assert float(row["epochs"]) == planned


def test_only_the_best_trial_keeps_its_weights(work: Work, whole: Rows) -> None:
    best = OmegaConf.load(work.folder / "outputs/hpo/whole/best.yaml").tuned.trial
    folders = (work.folder / "outputs/hpo/whole/trials").iterdir()
    kept = {folder.name for folder in folders if any(folder.rglob("*.safetensors"))}
    assert kept == {str(best)}


def test_a_finished_search_that_runs_again_trains_nothing(work: Work, whole: Rows) -> None:
    again = succeeded(work.run("train.py", *words(work, "whole")))
    assert "20 of 20 trials finished" in again.stderr
    assert trials(work, "whole") == whole


def test_a_training_takes_the_best_values(work: Work, whole: Rows) -> None:
    best = work.folder / "outputs/hpo/whole/best.yaml"
    done = work.run(*work.training("tuned", "entity=disease", f"tuned={best}", "logger=csv"))
    assert done.returncode == 0, done.stderr
    config = OmegaConf.load(work.folder / "tuned/.hydra/config.yaml")
    values = OmegaConf.load(best)
    assert config.trainer.max_epochs == values.trainer.max_epochs
    assert config.data.batch_size == values.data.batch_size
    about = read_json(work.folder / "tuned/model/multiclin.json")
    assert about["about"]["training"]["tuned"]["trial"] == values.tuned.trial


def test_pruning_saves_steps_and_changes_nothing_else(work: Work) -> None:
    """With random draws two searches try the same parameters, whatever is pruned."""
    drawn = ["hydra/sweeper/sampler=random", "hpo.n_trials=9"]
    commands = [
        ["train.py", *words(work, study, *drawn, f"hpo/pruner={pruner}")]
        for study, pruner in (("pruned", "median"), ("unpruned", "none"))
    ]
    for done in work.run_all(commands):
        succeeded(done)
    pruned, unpruned = trials(work, "pruned"), trials(work, "unpruned")
    assert [parameters(row) for row in pruned] == [parameters(row) for row in unpruned]
    assert all(row["state"] == "complete" for row in unpruned)
    for row, other in zip(pruned, unpruned, strict=True):
        if row["state"] == "complete":
            assert (row["value"], row["steps"]) == (other["value"], other["steps"])
        else:
            assert int(row["steps"]) < int(other["steps"])
    assert any(row["state"] == "pruned" for row in pruned)


def test_a_search_killed_ten_times_finds_what_it_would_have_found(work: Work, whole: Rows) -> None:
    moments = random.Random(1)
    begun = work.folder / "outputs/hpo/killed/trials"
    deaths = 0
    while deaths < 10:
        enough = len(list(begun.glob("*"))) + 2
        with work.start("train.py", *words(work, "killed")) as process:
            # Every other time a trial has ended first: parameters over which five processes died,
            # as they all may on a slow machine, are left out for good.
            while deaths % 2 and process.poll() is None and len(list(begun.glob("*"))) < enough:
                time.sleep(0.01)
            try:
                process.communicate(timeout=moments.uniform(0, 4 if deaths % 2 else 12))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        deaths += process.returncode == -signal.SIGKILL
        assert process.returncode in (0, -signal.SIGKILL)
        if process.returncode == 0:
            break  # A fast machine has finished before.
    assert deaths > 3
    succeeded(work.run("train.py", *words(work, "killed")))
    found = trials(work, "killed")
    assert len({row["number"] for row in found}) == len(found)
    assert findings(found) == findings(whole)
    assert any(row["retry_of"] for row in found)
    tuned = OmegaConf.load(work.folder / "outputs/hpo/killed/best.yaml").tuned
    assert tuned.value == max(float(r["value"]) for r in found if r["state"] == "complete")


def test_ctrl_c_stops_and_the_same_command_goes_on(work: Work) -> None:
    command = words(work, "stopped", "hpo.n_trials=2")
    with work.start("train.py", *command) as process:
        folder = work.folder / "outputs/hpo/stopped/trials/0"
        while not (folder / "csv").exists() and process.poll() is None:
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "the same command goes on with study stopped" in err
    succeeded(work.run("train.py", *command))
    assert next(row["retry_of"] for row in finished(trials(work, "stopped"))) == "0"


def test_two_processes_share_a_study(work: Work) -> None:
    for done in work.run_all([["train.py", *words(work, "shared", "hpo.n_trials=8")]] * 2):
        succeeded(done)
    succeeded(work.run("train.py", *words(work, "shared", "hpo.n_trials=8")))
    found = trials(work, "shared")
    assert len(finished(found)) == 8
    assert len({row["number"] for row in found}) == len(found)


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_other_launchers_prune_too(work: Work, launcher: str) -> None:
    plugin = f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher"
    if importlib.util.find_spec(plugin) is None:
        pytest.skip(f"{plugin} is not installed")
    eager = ["hpo.pruner.n_startup_trials=1", "hydra/sweeper/sampler=random"]
    several = [f"hydra/launcher={launcher}", "hpo.n_jobs=2", "hpo.n_trials=7"]
    succeeded(work.run("train.py", *words(work, launcher, *eager, *several)))
    found = trials(work, launcher)
    assert len(finished(found)) == len(found) == 7
    assert any(row["state"] == "pruned" for row in found)


def test_ddp_trials_start_no_second_search_and_may_fail(work: Work) -> None:
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "hpo.n_trials=3"]
    wild = ["optim.learning_rate=choice(1e-3,1e9)", "hydra/sweeper/sampler=random"]
    free = ["trainer.gradient_clip_val=null", "trainer.max_epochs=1", "hpo.max_failure_rate=1"]
    succeeded(work.run("train.py", *words(work, "ddp", *two, *wild, *free)))
    found = trials(work, "ddp")
    # Lightning's watch over the processes of the failed one has had time to bite.
    assert len(finished(found)) == 3
    assert any(row["state"] == "fail" and "the loss is no number" in row["reason"] for row in found)


def test_every_trial_is_a_run_of_wandb_beside_one_of_the_study(work: Work) -> None:
    command = [word for word in words(work, "tracked", "hpo.n_trials=2") if word != "logger=csv"]
    succeeded(work.run("train.py", *command, "trainer.max_epochs=1"))
    folder = work.folder / "outputs/hpo/tracked"
    runs = sorted(path.relative_to(folder).parts[0] for path in folder.rglob("run-*.wandb"))
    assert runs == ["trials", "trials", "wandb"]


def test_a_batch_that_does_not_fit_is_halved_and_their_product_kept(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = NerModule.training_step

    def full(self: NerModule, batch: object, number: int) -> torch.Tensor:
        if len(batch) > 4:  # type: ignore[arg-type]
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return step(self, batch, number)  # type: ignore[arg-type]

    monkeypatch.setattr(NerModule, "training_step", full)
    monkeypatch.chdir(work.folder)
    sizes = ["data.batch_size=choice(16)", "trainer.accumulate_grad_batches=choice(2)"]
    more = ["hpo.n_trials=1", "trainer.max_epochs=2", *sizes]
    assert main(["train", *words(work, "halved", *more)]) == 0
    (row,) = trials(work, "halved")
    assert row["state"] == "complete"
    assert row["memory"] == "batch 16 -> 4, 4 times accumulated"
    bundle = work.folder / "outputs/hpo/halved/trials/0/model"
    about = read_json(bundle / "multiclin.json")["about"]["training"]
    assert (about["batch_size"], about["accumulation"]) == (4, 8)


def test_a_loss_that_is_no_number_fails_the_trial_and_not_the_search(work: Work) -> None:
    rates = ["optim.learning_rate=choice(1e-3,1e9)", "hydra/sweeper/sampler=random"]
    more = ["trainer.gradient_clip_val=null", "trainer.max_epochs=1", "hpo.max_failure_rate=1"]
    succeeded(work.run("train.py", *words(work, "wild", *rates, *more, "hpo.n_trials=3")))
    found = trials(work, "wild")
    assert len(finished(found)) == 3
    reasons = [row["reason"] for row in found if row["state"] == "fail"]
    assert reasons
    assert all("the loss is no number" in reason for reason in reasons)


def test_a_search_without_multirun_names_the_right_command(work: Work) -> None:
    done = work.run("train.py", "hpo=optuna", "entity=disease")
    assert done.returncode == 2
    assert "train.py -m hpo=optuna entity=disease" in done.stderr
