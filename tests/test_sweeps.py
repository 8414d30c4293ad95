"""Tables of the scores of sweeps: over folders written here, over toy sweeps, and a real one."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from multiclin.config import CONF_DIR, run
from multiclin.errors import ConfigError
from multiclin.sweep_runs import find_runs, read_run
from multiclin.sweeps import publish, summary
from multiclin.tables import as_text
from multiclin.unfinished import FAILED, Unfinished
from tests.commands import MODEL, Work, read_json, succeeded

VAL, TEST = "val/strict_f1", "test/strict_f1"


def made(
    folder: Path,
    *overrides: str,
    metrics: dict[str, float] | None = None,
    job: int | None = None,
    **config: object,
) -> Path:
    """The folder of a run with the settings of these overrides; `entity` and `model` are groups."""
    words = dict(word.split("=") for word in overrides)
    groups = {"entity": "disease", "model": "tiny", "strategy": None}
    choices = {key: words.get(key, option) for key, option in groups.items()}
    plain = {
        "entity": {"name": choices["entity"]},
        "seed": int(words.get("seed", 13)),
        "optim": {"learning_rate": float(words.get("optim.learning_rate", 1e-3))},
        "languages": ["es", "it"],
        "hpo": None,
        "run_dir": "${hydra:runtime.output_dir}",
        **config,
    }
    hydra = {"job": {"num": "???" if job is None else job}, "runtime": {"choices": choices}}
    files: dict[str, Any] = {
        "config.yaml": plain,
        "hydra.yaml": {"hydra": hydra},
        "overrides.yaml": list(overrides),
    }
    (folder / ".hydra").mkdir(parents=True)
    for name, content in files.items():
        OmegaConf.save(OmegaConf.create(content), folder / ".hydra" / name)
    if metrics is not None:
        (folder / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    return folder


def test_seeds_are_one_row_with_mean_and_deviation(tmp_path: Path) -> None:
    scores = {("disease", 13): 0.5, ("disease", 14): 0.7, ("symptom", 13): 0.4}
    runs = [
        made(tmp_path / f"{n}", f"entity={entity}", f"seed={seed}", metrics={VAL: f1, TEST: 0.25})
        for n, ((entity, seed), f1) in enumerate(scores.items())
    ]
    assert summary(runs) == [
        ["entity", "runs", VAL, TEST],
        ["disease", "2", "0.6000 ± 0.1414", "0.2500 ± 0.0000"],  # 0.1 * sqrt(2)
        ["symptom", "1", "0.4000", "0.2500"],
    ]


@pytest.mark.parametrize("key", ["seed", "fold", "data.validation.seed"])
def test_repetitions_are_no_column(tmp_path: Path, key: str) -> None:
    runs = [made(tmp_path / f"{n}", f"{key}={n}", metrics={VAL: n / 4}) for n in (1, 2, 3)]
    assert summary(runs) == [["runs", VAL], ["3", "0.5000 ± 0.2500"]]


def test_columns_are_what_was_asked_for_and_differs(tmp_path: Path) -> None:
    """A run that was not asked has the value of its config; what nobody asked for is no column."""
    runs = [
        made(tmp_path / "a", "model=small", "entity=disease", metrics={}, languages="es"),
        made(tmp_path / "b", "optim.learning_rate=5e-4", "ckpt_path=last", metrics={}),
    ]
    assert summary(runs) == [
        ["model", "learning_rate", "runs"],
        ["small", "0.001", "0"],
        ["tiny", "0.0005", "0"],
    ]


def test_values_are_written_as_on_the_command_line(tmp_path: Path) -> None:
    run = read_run(made(tmp_path / "a", "+new=1", lazy="${nowhere}", new=True))
    found = [run.setting(key) for key in ("languages", "strategy", "new", "lazy", "a.b")]
    assert found == ["es,it", "-", "true", "${nowhere}", "-"]
    assert run.given == ["new"]


def test_a_run_without_scores_is_counted_out(tmp_path: Path) -> None:
    runs = [
        made(tmp_path / "a", "seed=1", "entity=disease", metrics={VAL: 0.5}),
        made(tmp_path / "b", "seed=2", "entity=disease"),
        made(tmp_path / "c", "seed=1", "entity=symptom"),
    ]
    assert summary(runs)[1:] == [["disease", "1", "0.5000"], ["symptom", "0", "-"]]


def test_runs_that_were_added_stand_among_the_others(tmp_path: Path) -> None:
    cells = ["tiny disease", "small disease", "tiny symptom", "small symptom"]
    runs = [
        made(tmp_path / cell, f"model={cell.split()[0]}", f"entity={cell.split()[1]}")
        for cell in cells
    ]
    assert [row[:2] for row in summary(runs)[1:]] == [
        ["tiny", "disease"],
        ["tiny", "symptom"],
        ["small", "disease"],
        ["small", "symptom"],
    ]


def test_headings_that_would_be_alike_are_written_out(tmp_path: Path) -> None:
    runs = [made(tmp_path / x, f"a.rate={x}", f"b.rate={x}", a={"rate": x}) for x in ("x", "y")]
    assert summary(runs)[0] == ["rate", "runs"]
    runs = [
        made(tmp_path / f"2{x}", f"a.rate={x}", f"b.rate={x}", a={"rate": x}, b={"rate": x})
        for x in ("x", "y")
    ]
    assert summary(runs)[0] == ["a.rate", "b.rate", "runs"]


def test_runs_are_found_in_the_order_of_their_jobs_without_trials(tmp_path: Path) -> None:
    made(tmp_path / "a", job=10)
    made(tmp_path / "deep" / "b", job=9)
    made(tmp_path / "trial", job=0, hpo={"trial": 0})
    made(tmp_path / "prediction", job=0).joinpath(".hydra/config.yaml").write_text("ckpt: x\n")
    assert [run.folder.name for run in find_runs(tmp_path)] == ["b", "a"]


def test_a_job_tells_the_command_that_trains_it(tmp_path: Path) -> None:
    folder = tmp_path / "my run"
    job = Unfinished(folder, ["seed=1", "run_name=${seed}"], "stopped")
    words = f"python train.py seed=1 'run_name=${{seed}}' 'hydra.run.dir={folder}'"
    assert job.again == words
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    assert job.again == f"{words} ckpt_path=last"
    assert job._replace(words=[*job.words, "ckpt_path=auto"]).again == job.again


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path} is not the folder of a run"):
        summary([tmp_path])
    folder = made(tmp_path / "a")
    (folder / "metrics.json").write_text("{", "utf-8")
    with pytest.raises(ConfigError, match="cannot read its config or its scores"):
        read_run(folder)


# Sweeps of a toy task

TRAIN = """
defaults:
  - _self_
  - entity: disease
  - override hydra/job_logging: plain
  - override hydra/hydra_logging: plain
seed: 13
ckpt_path: null
fold: null
hpo: null
hydra:
  job: {name: train, chdir: false}
  run: {dir: single}
  sweep: {dir: sweep, subdir: "${hydra.job.num}${suffix:-fold,${fold}}"}
  callbacks:
    summary: {_target_: multiclin.sweeps.Summary}
"""


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A toy `conf/`; the working directory is the folder above it."""
    folder = tmp_path / "conf"
    shutil.copytree(CONF_DIR / "hydra", folder / "hydra")
    (folder / "entity").mkdir()
    (folder / "train.yaml").write_text(TRAIN, "utf-8")
    for name in ("disease", "symptom"):
        (folder / "entity" / f"{name}.yaml").write_text(f"name: {name}\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py"])
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # Of other tests, to closed streams.
    return folder


def task(config: DictConfig) -> None:
    """Score, or fail where the seed is 0."""
    if config.seed == 0:
        raise ConfigError("no seed 0")
    metrics = Path(HydraConfig.get().runtime.output_dir) / "metrics.json"
    metrics.write_text(json.dumps({VAL: 1 / config.seed}), "utf-8")


def console(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines below those of Hydra."""
    return [line for line in capsys.readouterr().err.splitlines() if line[0] not in "L\t"]


def test_a_sweep_ends_with_its_scores(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(task, "train", ["-m", "entity=disease,symptom", "seed=2,4"], conf)
    table = [
        "entity   runs    val/strict_f1",
        "disease     2  0.3750 ± 0.1768",  # (1/2 + 1/4) / 2; 1/4 / sqrt(2)
        "symptom     2  0.3750 ± 0.1768",
    ]
    assert console(capsys) == ["scores of all runs in sweep (summary.md)", *table]
    assert as_text(summary(sorted(Path("sweep").glob("?")))).splitlines() == table
    written = Path("sweep/summary.md").read_text("utf-8")
    assert "| disease | 2 | 0.3750 ± 0.1768 |\n" in written
    assert "    python train.py -m entity=disease,symptom seed=2,4\n" in written


def test_a_job_that_fails_is_told_of_and_listed(
    conf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="no seed 0"):
        run(task, "train", ["-m", "seed=0,2"], conf)
    lines = console(capsys)
    assert lines[0] == "error: no seed 0"
    assert lines[-4:] == [
        "runs  val/strict_f1",
        "   1         0.5000",
        "not finished (sweep/summary.md has the command of each)",
        "sweep/0: no seed 0",
    ]
    written = Path("sweep/summary.md").read_text("utf-8")
    listed = "- sweep/0: no seed 0\n\n      python train.py seed=0 hydra.run.dir=sweep/0\n"
    assert listed in written


def test_over_fractions_a_curve_is_drawn(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def trained(config: DictConfig) -> None:
        task(config)
        folder = Path(HydraConfig.get().runtime.output_dir)
        train = [f"es/{n}" for n in range(round(100 * config.data.fraction))]
        (folder / "split.json").write_text(json.dumps({"train": train}), "utf-8")

    with (conf / "train.yaml").open("a", encoding="utf-8") as stream:
        stream.write("data: {fraction: 1.0}\n")
    run(trained, "train", ["-m", "data.fraction=0.25,1", "seed=2,4"], conf)
    assert console(capsys)[-3:] == [
        "    0.25     2  0.3750 ± 0.1768",
        "       1     2  0.3750 ± 0.1768",
        "the learning curve: sweep/learning_curve.html",
    ]
    page = Path("sweep/learning_curve.html").read_text("utf-8")
    assert "+0.0000 from 25 to 100 documents (4 times as many)." in page
    run(trained, "train", ["-m", "data.fraction=1", "seed=2", "hydra.sweep.dir=other"], conf)
    assert not Path("other/learning_curve.html").exists()


def test_jobs_that_never_began_are_listed(conf: Path) -> None:
    def stopped(config: DictConfig) -> None:
        if config.seed == 3:
            raise KeyboardInterrupt
        task(config)

    with pytest.raises(KeyboardInterrupt):
        run(stopped, "train", ["-m", "seed=2,3,4", "entity=symptom,disease"], conf)
    said = Path("sweep/summary.md").read_text("utf-8").splitlines()
    assert [line for line in said if line.startswith("- ")] == [
        "- sweep/2: stopped",
        "- sweep/3: never began",
        "- sweep/4: never began",
        "- sweep/5: never began",
    ]
    assert "      python train.py seed=4 entity=disease hydra.run.dir=sweep/5" in said


def test_a_job_that_is_gone_on_with_is_the_same_one(conf: Path) -> None:
    run(task, "train", ["-m", "seed=2,4"], conf)

    def finished(_: DictConfig) -> None:
        """There is nothing to do: the folders stay as they are."""

    words = ["-m", "seed=2,4", "ckpt_path=auto", "hydra.output_subdir=null"]
    run(finished, "train", words, conf)
    assert "Not finished" not in Path("sweep/summary.md").read_text("utf-8")


def test_a_job_that_left_no_config_is_listed(conf: Path) -> None:
    """Ours write `.hydra/` themselves, and not before they know where they may."""
    with pytest.raises(ConfigError):
        run(task, "train", ["-m", "seed=0", "hydra.output_subdir=null"], conf)
    assert "- sweep/0: no seed 0\n" in Path("sweep/summary.md").read_text("utf-8")


def test_a_job_that_works_out_later_has_not_failed(conf: Path) -> None:
    with pytest.raises(ConfigError):
        run(task, "train", ["-m", "seed=0,2"], conf)
    run(task, "train", ["-m", "seed=4,2"], conf)  # Into the same folders.
    assert "Not finished" not in Path("sweep/summary.md").read_text("utf-8")
    assert not list(Path("sweep").rglob(FAILED))
    with pytest.raises(ConfigError):
        run(task, "train", ["-m", "seed=2,0"], conf)  # Refused where a finished run stands.
    assert not list(Path("sweep").rglob(FAILED))


def test_the_jobs_of_a_config_that_sweeps_are_known(conf: Path) -> None:
    def interrupted(_: DictConfig) -> None:
        raise KeyboardInterrupt

    train = conf / "train.yaml"
    train.write_text(train.read_text() + "  sweeper: {params: {entity: 'disease,symptom'}}\n")
    with pytest.raises(KeyboardInterrupt):
        run(interrupted, "train", ["-m", "seed=2"], conf)
    said = Path("sweep/summary.md").read_text("utf-8")
    assert "- sweep/0: stopped\n" in said
    assert "      python train.py entity=symptom seed=2 hydra.run.dir=sweep/1\n" in said
    assert said.count("- sweep/") == 2


def test_a_run_that_ended_without_a_word_is_listed(tmp_path: Path) -> None:
    made(tmp_path / "a", "seed=1")
    hydra = {"overrides": {"task": ["seed=1"]}, "sweep": {"dir": str(tmp_path)}, "sweeper": {}}
    publish(OmegaConf.create({"hydra": hydra}), "python train.py -m seed=1")
    said = (tmp_path / "summary.md").read_text("utf-8")
    assert f"- {tmp_path / 'a'}: no reason known: killed, or still running\n" in said


def test_a_sweep_over_folds_says_how_to_pool_them(conf: Path) -> None:
    run(task, "train", ["-m", "fold=0,1", "seed=2"], conf)
    assert "    multiclin report sweep\n" in Path("sweep/summary.md").read_text("utf-8")
    for number, words in enumerate(
        (["seed=2,3"], ["fold=0"], ["fold=0,1", "entity=disease,symptom"])
    ):
        run(task, "train", ["-m", "seed=2", *words, f"hydra.sweep.dir=other{number}"], conf)
        assert "multiclin report" not in Path(f"other{number}/summary.md").read_text("utf-8")


def test_a_bug_of_a_job_is_named_at_once(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def buggy(_: DictConfig) -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        run(buggy, "train", ["-m", "seed=1"], conf)
    told = "failed: ZeroDivisionError: in test_sweeps.py, buggy; privacy.log_text=true tells more"
    assert console(capsys)[0] == told


@pytest.mark.parametrize("words", [["seed=2"], ["-m", "seed=2", "hpo={trial: 0}"]])
def test_a_single_run_and_a_search_end_without_a_table(
    conf: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(task, "train", words, conf)
    assert console(capsys) == []
    assert not list(conf.parent.rglob("summary.md"))


def test_a_table_that_cannot_be_made_is_no_failure(
    conf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(Path("sweep/broken")).joinpath("metrics.json").write_text("{", "utf-8")
    run(task, "train", ["-m", "seed=2"], conf)
    (line,) = console(capsys)
    assert line.startswith("no table of the scores: sweep/broken: cannot read")


def test_workers_of_a_launcher_do_the_same(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "fold=0,1", "seed=2"]
    run(task, "train", words, conf)
    assert console(capsys)[-1] == "   2  0.5000 ± 0.0000"
    assert {path.name for path in Path("sweep").glob("*-fold*")} == {"0-fold0", "1-fold1"}


# The real command


@pytest.mark.slow
def test_table_2_is_trained_by_one_command(tmp_path: Path) -> None:
    work = Work(tmp_path)
    words = [f"data.root={work.corpus}", "trainer=cpu", "trainer.max_epochs=1", "logger=csv"]
    console = succeeded(work.run("train.py", "-m", "experiment=table2", *MODEL, *words))
    runs = find_runs(tmp_path / "outputs" / "table2")
    strategies = ["es_multilingual", "biomed_spanish", "biomed_multilingual"]
    cells = [(one, two) for one in strategies for two in ("disease", "procedure", "symptom")]
    assert [(run.setting("strategy"), run.setting("entity")) for run in runs] == cells
    assert {(run.setting("model"), run.setting("trainer.max_epochs")) for run in runs} == {
        ("tiny", "1")
    }
    table = summary([run.folder for run in runs])
    assert table[0] == ["strategy", "entity", "runs", VAL, TEST, "val/seqeval_f1"]
    assert len(table) == 1 + 9
    assert console.stderr.splitlines()[-10:] == as_text(table).splitlines()
    split = read_json(tmp_path / "outputs/table2/biomed_spanish-disease-13/split.json")
    assert all(key.startswith("es/") for key in split["train"])
