"""Configs of strangers: what a command takes from a file, a run's folder or a study."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from multiclin import yaml_files
from multiclin.analysis.folders import find_runs, read_study
from multiclin.config import run
from multiclin.errors import ConfigError, CorpusError
from multiclin.sweep_runs import read_run
from multiclin.targets import EXECUTION_WHITELIST
from multiclin.yaml_files import read_yaml

BILLION = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Nine lines for 9 ** 9 values."""


def test_what_a_config_may_start_are_classes_by_their_whole_names() -> None:
    assert not [name for name in EXECUTION_WHITELIST if "*" in name]
    for name in EXECUTION_WHITELIST:
        if name.startswith("pytorch_lightning.strategies.DeepSpeed"):
            continue  # Needs its library to be looked at.
        found = instantiate(
            {"_target_": name, "_partial_": True}, _execution_whitelist_=EXECUTION_WHITELIST
        ).func
        assert isinstance(found, type) or name == "multiclin.optimization.linear_schedule"


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small application, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "s3cret")
    folder = tmp_path / "conf"
    files = {
        "train.yaml": "defaults: [_self_, tuned: none, override hydra/job_logging: none]\n"
        "rate: 0\nrun_dir: here\nlogger: {wandb: {project: x}}\nprivacy: {log_text: false}\n"
        "hydra: {output_subdir: null, run: {dir: run}, sweep: {dir: sweep}}\n",
        "tuned/none.yaml": "# @package _global_\nrate: 1\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


GLOBAL = "# @package _global_\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GLOBAL + "rate: ${oc.env:SECRET}", "calls '${oc.env:SECRET}' for rate"),
        (GLOBAL + "rate: ${oc.decode:'${oc.env:SECRET}'}", "calls "),
        (GLOBAL + "rate: ${oc.${run_dir}:SECRET}", "calls "),
        (GLOBAL + "rate: ${${run_dir}:SECRET}", "calls "),
        (GLOBAL + "rate: ${ oc.env :SECRET}", "calls "),
        (GLOBAL + "a: [{b: '\\\\${oc.env:SECRET}'}]", "calls "),
        (GLOBAL + "hydra: {job: {env_copy: [SECRET]}}", "sets hydra.job.env_copy"),
        (GLOBAL + "hydra: {job: {env_set: {LD_PRELOAD: evil.so}}}", "sets hydra.job.env_set"),
        (GLOBAL + "hydra.job.env_set: {LD_PRELOAD: evil.so}", "sets hydra.job.env_set"),
        (GLOBAL + "hydra: {launcher: {setup: [evil]}}", "sets hydra.launcher.setup"),
        (GLOBAL + "hydra: {callbacks: {x: {_target_: y}}}", "sets hydra.callbacks.x._target_"),
        (GLOBAL + "hydra: {sweeper: {_target_: y}}", "sets hydra.sweeper._target_"),
        (GLOBAL + "hydra: {job_logging: {root: 1}}", "sets hydra.job_logging.root"),
        (GLOBAL + "logger: {wandb: {settings: {base_url: evil}}}", "sets logger.wandb.settings"),
        (GLOBAL + "logger: {x: {_target_: y}}", "sets logger.x._target_"),
        (GLOBAL + "privacy: {log_text: true}", "sets privacy.log_text"),
        (GLOBAL + "defaults: [override /tuned: /tmp/other.yaml]", "chooses another file"),
        (GLOBAL + "defaults: [/tmp/other.yaml]", "chooses another file"),
        ("# @package hydra.launcher\nsetup: [evil]", "sets hydra.launcher.setup"),
        ("# @package _global_.hydra.job\nenv_set: {A: b}", "wants to be in the package"),
        (GLOBAL + BILLION, "unfolds to more than 100,000 values"),
        (GLOBAL + "a: &a [*a]", "unfolds to more than 100,000 values"),
        (GLOBAL + "a: " + "[" * 5000, "is refused: its values are nested too deeply"),
        (GLOBAL + "a: !!python/object/apply:os.system [touch owned]", "is broken: could not det"),
    ],
)
def test_a_file_as_an_option_holds_settings_alone(conf: Path, text: str, said: str) -> None:
    (conf.parent / "best.yaml").write_text(text + "\n")
    with pytest.raises(ConfigError) as refusal:
        run(print, "train", ["tuned=best.yaml"], conf)
    assert "tuned=best.yaml: " in str(refusal.value)
    assert said in str(refusal.value)
    assert "s3cret" not in str(refusal.value)
    assert not (conf.parent / "owned").exists()


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        (GLOBAL + "rate: ${run_dir}/x", "here/x"),
        (GLOBAL + "rate: '\\${oc.env:SECRET}'", "${oc.env:SECRET}"),  # As a search writes it.
        (GLOBAL + "rate: 5\nhydra: {sweeper: {params: {rate: '1,2'}}, sweep: {dir: x}}", 5),
    ],
)
def test_settings_are_taken(conf: Path, text: str, rate: object) -> None:
    (conf.parent / "best.yaml").write_text(text + "\n")
    seen = []
    overrides = ["tuned=best.yaml", *(["rate=5"] if rate == 5 else [])]
    run(lambda config: seen.append(config.rate), "train", overrides, conf)
    assert seen == [rate]


def stranger(folder: Path, **config: object) -> Path:
    """The folder of a finished run, with settings of a stranger's choice."""
    plain = {
        "entity": {"name": "disease", "labels": {"disease": "DISEASE"}},
        "rate": "${oc.env:SECRET}",
        "trainer": {"_target_": "os.system", "_args_": [f"touch {folder}/owned"]},
        **config,
    }
    hydra = {"job": {"num": 0}, "runtime": {"choices": {"tuned": "${oc.env:SECRET}"}}}
    (folder / ".hydra").mkdir(parents=True)
    for name, part in (("config", plain), ("hydra", {"hydra": hydra}), ("overrides", ["rate=1"])):
        OmegaConf.save(OmegaConf.create(part), folder / ".hydra" / f"{name}.yaml")
    (folder / "metrics.json").write_text(json.dumps({"val/strict_f1": 0.5}))
    return folder


def test_a_config_in_a_folder_of_runs_is_read_and_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s3cret")
    folder = stranger(tmp_path / "run")
    found = read_run(folder)
    assert (found.setting("rate"), found.setting("tuned")) == ("${oc.env:SECRET}",) * 2
    [one] = find_runs([tmp_path], {})  # type: ignore[arg-type]
    assert one.settings()["rate"] == "${oc.env:SECRET}"
    assert not (folder / "owned").exists()


@pytest.mark.parametrize("bomb", [BILLION, "a: &a [*a]", "a: " + "[" * 5000, "a: !!python/name:os"])
def test_a_bomb_among_runs_and_studies_is_refused(tmp_path: Path, bomb: str) -> None:
    folder = stranger(tmp_path / "run")
    (folder / ".hydra" / "config.yaml").write_text(bomb)
    (folder / "best.yaml").write_text(bomb)
    for read in (read_run, read_study, lambda path: find_runs([path], {})):  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"config\.yaml|best\.yaml"):
            read(folder)


def test_a_yaml_may_be_as_large_as_its_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_files, "MOST", 5)
    path = tmp_path / "list.yaml"
    path.write_text("[&a [x], *a]\n")  # Five: the list, and twice a list of one.
    assert read_yaml(path) == [["x"], ["x"]]
    path.write_text("[&a [x], *a, x]\n")
    with pytest.raises(ConfigError, match="unfolds to more than"):
        read_yaml(path)
    path.write_text("# " + "x" * yaml_files.LARGEST)
    with pytest.raises(CorpusError, match="more than 1,048,576 bytes"):
        read_yaml(path)
