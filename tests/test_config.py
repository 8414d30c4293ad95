"""`multiclin.config.run` over a toy folder of configs: what a task gets, and how mistakes read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from multiclin.config import CONF_DIR, run, wandb_offline
from multiclin.errors import ConfigError, CorpusError, OutputError

TRAIN = """
defaults:
  - _self_
  - entity: disease
  - optim: adamw
  - experiment: null
  - override hydra/hydra_logging: none
  - override hydra/job_logging: none
seed: 1
data:
  root: ???
  cache: ${data.root}/cache
hydra:
  run:
    dir: run
  sweep:
    dir: sweep
"""
FILES = {
    "train.yaml": TRAIN,
    "entity/disease.yaml": "name: disease",
    "entity/symptom.yaml": "name: symptom",
    "optim/adamw.yaml": "learning_rate: 1.0e-4\nweight_decay: 0.0",
    "experiment/fast.yaml": (
        "# @package _global_\n"
        "defaults:\n  - override /entity: symptom\n"
        "optim:\n  learning_rate: 1.0e-2\n"
    ),
    "experiment/table.yaml": (
        "# @package _global_\n"
        "hydra:\n  sweeper:\n    params: {entity: 'disease,symptom', seed: '1,2'}\n"
    ),
}

Run = Callable[..., list[DictConfig]]


@pytest.fixture
def run_toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a task over the toy configs, in a folder of its own; returns the configs it got."""
    conf = tmp_path / "conf"
    for name, text in FILES.items():
        path = conf / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run_it(*overrides: str, task: Callable[[DictConfig], object] = bool) -> list[DictConfig]:
        got: list[DictConfig] = []

        def recorded(config: DictConfig) -> object:
            got.append(config)
            return task(config)

        run(recorded, "train", overrides, conf)
        return got

    return run_it


def mistake(run_toy: Run, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        run_toy(*overrides)
    return str(caught.value)


def test_a_task_gets_the_composed_config(run_toy: Run) -> None:
    (config,) = run_toy("data.root=here", "experiment=fast", "seed=7")
    assert OmegaConf.to_container(config, resolve=True) == {
        "seed": 7,
        "data": {"root": "here", "cache": "here/cache"},
        "entity": {"name": "symptom"},
        "optim": {"learning_rate": 0.01, "weight_decay": 0.0},
    }


def test_the_command_line_beats_an_experiment(run_toy: Run) -> None:
    (config,) = run_toy("data.root=here", "optim.learning_rate=3e-3", "experiment=fast")
    assert config.optim.learning_rate == 3e-3


def test_a_job_is_named_after_its_command(run_toy: Run, tmp_path: Path) -> None:
    run_toy("data.root=here", "hydra/job_logging=default")
    assert (tmp_path / "run" / "train.log").is_file()


def test_multirun_runs_one_job_per_combination(run_toy: Run) -> None:
    configs = run_toy("--multirun", "data.root=here", "entity=disease,symptom", "seed=1,2")
    found = [(config.entity.name, config.seed) for config in configs]
    assert found == [("disease", 1), ("disease", 2), ("symptom", 1), ("symptom", 2)]


def test_an_experiment_can_be_a_sweep(run_toy: Run) -> None:
    configs = run_toy("-m", "data.root=here", "experiment=table", "seed=3,4")
    found = [(config.entity.name, config.seed) for config in configs]
    assert found == [("disease", 3), ("disease", 4), ("symptom", 3), ("symptom", 4)]


def test_a_sweep_in_a_single_run_is_a_mistake(
    run_toy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["data.root=here", "experiment=table", "seed=3"]
    monkeypatch.setattr(sys, "argv", ["multiclin", "train", *words])
    assert mistake(run_toy, *words).splitlines() == [
        "this config sweeps over entity, and a single run has one value of each",
        "hint: add -m: multiclin train -m data.root=here experiment=table seed=3; "
        "or give entity=... for one run",
    ]


def test_one_job_of_a_sweep_can_run_alone(run_toy: Run) -> None:
    """As the further processes of a DDP job do."""
    (config,) = run_toy("data.root=here", "experiment=table", "seed=3", "entity=symptom")
    assert (config.entity.name, config.seed) == ("symptom", 3)


@pytest.mark.parametrize(("fold", "name"), [(0, "run-fold0"), (None, "run")])
def test_a_suffix_is_there_where_its_value_is(fold: int | None, name: str) -> None:
    config = OmegaConf.create({"fold": fold, "name": "run${suffix:-fold,${fold}}"})
    assert config.name == name


def test_a_task_sees_the_users_own_command_line(
    run_toy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning repeats it, with the environment, for each further process of a DDP job."""
    monkeypatch.setattr(sys, "argv", ["multiclin", "train", "data.root=here"])
    seen: list[object] = []
    run_toy(
        "data.root=here", task=lambda _: seen.extend([sys.argv, os.environ.get("HYDRA_FULL_ERROR")])
    )
    assert seen == [["multiclin", "train", "data.root=here"], None]
    assert sys.argv == ["multiclin", "train", "data.root=here"]
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_an_unknown_option_names_the_nearest_and_all(run_toy: Run) -> None:
    assert mistake(run_toy, "entity=diseas").splitlines() == [
        "entity=diseas: there is no diseas in the group entity",
        "hint: did you mean entity=disease? there is: disease, symptom",
    ]


def test_an_unknown_option_in_a_sweep_is_found_before_the_first_job(run_toy: Run) -> None:
    ran: list[DictConfig] = []
    with pytest.raises(ConfigError, match="did you mean entity=symptom"):
        run_toy("-m", "data.root=here", "entity=disease,symptm", task=ran.append)
    assert ran == []


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("optim.learnin_rate=1", "optim.learning_rate"),  # a slip
        ("learning_rate=1", "optim.learning_rate"),  # the right key elsewhere
        ("optm.weight_decay=1", "optim.weight_decay"),  # a slip in the group
        ("entiti=disease", "entity"),  # a group
        ("hydra.job.chdri=true", "hydra.job.chdir"),  # Hydra's own
    ],
)
def test_an_unknown_key_names_the_nearest(run_toy: Run, override: str, meant: str) -> None:
    key = override.partition("=")[0]
    what, hint = mistake(run_toy, override).splitlines()
    assert what == f"{key}: the config has no such key"
    assert hint == f"hint: did you mean {meant}? a new key is added with +{key}=..."


def test_missing_values_are_named_all_at_once(run_toy: Run) -> None:
    message = mistake(run_toy, "+output=???")
    assert (
        message
        == "no value for data.root, output\nhint: add to the command: data.root=... output=..."
    )


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["seed=[1"], "cannot read seed=[1: no viable alternative"),
        (["seed"], "cannot read seed: missing EQUAL"),
        (["seed=1,2"], "3. To sweep over it, add --multirun"),
        (["hydra.job.chdir=perhaps"], "hydra.job.chdir: Value 'perhaps' is not a valid bool"),
        (["data.root=${nowhere}"], "data.root: Interpolation key 'nowhere' not found"),
        (["hydra.run.dir=${nowhere}"], "hydra.run.dir: Interpolation key 'nowhere' not found"),
        (["--config-name", "trian"], "hint: did you mean train?"),
        (["--config-dir", "nowhere"], "nowhere' not found"),
        (["--multirun", "--cfg", "job"], "Only one of --run, --multirun"),
        (["~data.cash"], "'data.cash' does not exist"),
    ],
)
def test_other_mistakes_are_config_errors_with_a_hint(
    run_toy: Run, overrides: list[str], words: str
) -> None:
    message = mistake(run_toy, *overrides)
    assert words in message
    assert message.splitlines()[-1].startswith("hint: ")


def test_a_broken_file_is_a_mistake(run_toy: Run, tmp_path: Path) -> None:
    (tmp_path / "conf" / "entity" / "broken.yaml").write_text("name: [", encoding="utf-8")
    assert "broken.yaml" in mistake(run_toy, "entity=broken")


def test_an_output_folder_that_cannot_be_made_is_a_mistake(run_toy: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write file/run: Not a directory; a file stands"):
        run_toy("data.root=here", "hydra.run.dir=file/run")


def test_a_mistake_found_by_the_task_is_passed_on(
    run_toy: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    def task(_: DictConfig) -> None:
        raise CorpusError("a.ann:3: no such label")

    with pytest.raises(CorpusError, match=r"a\.ann:3"):
        run_toy("data.root=here", task=task)
    assert capsys.readouterr().err == ""  # Hydra adds nothing of its own.


def test_a_refused_command_leaves_no_folder(run_toy: Run, tmp_path: Path) -> None:
    def refuse(config: DictConfig) -> None:
        raise CorpusError("bad")

    def refuse_late(config: DictConfig) -> None:
        Path("run/kept.txt").touch()
        raise CorpusError("bad")

    with pytest.raises(CorpusError):
        run_toy("data.root=x", task=refuse)
    assert not (tmp_path / "run").exists()
    with pytest.raises(CorpusError):
        run_toy("data.root=x", "hydra.run.dir=.", task=refuse)
    assert tmp_path.is_dir()
    with pytest.raises(CorpusError):
        run_toy("data.root=x", task=refuse_late)
    assert (tmp_path / "run" / ".hydra" / "config.yaml").is_file()
    (tmp_path / "run" / "kept.txt").unlink()
    (tmp_path / "run" / "train.log").write_text("said\n")
    with pytest.raises(CorpusError):
        run_toy("data.root=x", task=refuse)
    assert (tmp_path / "run" / "train.log").is_file()


def test_a_bug_stays_what_it_is(run_toy: Run) -> None:
    def task(_: DictConfig) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        run_toy("data.root=here", task=task)


def build_widget(config: DictConfig) -> None:
    instantiate(config.widget)


def test_an_argument_that_a_target_does_not_take_is_a_mistake(run_toy: Run) -> None:
    widget = "+widget={_target_: multiclin.saving.Saving, folder: x, colour: red}"
    with pytest.raises(ConfigError, match=r"^widget: .* unexpected keyword argument 'colour'"):
        run_toy("data.root=here", widget, task=build_widget)


def test_a_target_that_finds_a_mistake_says_it_itself(run_toy: Run) -> None:
    widget = "+widget={_target_: multiclin.saving.Saving, folder: x, every_minutes: 0}"
    with pytest.raises(ConfigError, match=r"^callbacks\.last\.every_minutes=0"):
        run_toy("data.root=here", widget, task=build_widget)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.print",
        "torch.hub.load",
        "multiclin.corpus.sample.rmtree",  # in our namespace, but not ours
        "multiclin.cli.main",  # ours, but no part of a training
        "pytorch_lightning.callbacks.ModelCheckpoint.load_state_dict",
        # Reads pickles; the families of names that stood here once held it.
        "lightning_fabric.plugins.io.torch_io.TorchCheckpointIO.load_checkpoint",
    ],
)
def test_a_config_starts_nothing_outside_the_whitelist(run_toy: Run, target: str) -> None:
    with pytest.raises(ConfigError, match="hint: a config may start only"):
        run_toy("data.root=here", f"+widget={{_target_: {target}}}", task=build_widget)


@pytest.mark.parametrize("flags", [["--help"], ["--cfg", "job"], ["--info", "searchpath"]])
def test_asking_is_no_mistake(
    run_toy: Run, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert run_toy(*flags) == []
    except SystemExit as stop:
        assert stop.code == 0  # noqa: PT017 - --help exits, the others return
    assert capsys.readouterr().out


def test_configs_lie_in_the_checkout() -> None:
    assert (CONF_DIR / "train.yaml").samefile(Path(__file__).parents[1] / "conf" / "train.yaml")


@pytest.mark.parametrize(
    ("environment", "netrc", "offline"),
    [
        ({}, "", True),
        ({"WANDB_API_KEY": "k"}, "", False),
        ({"WANDB_API_KEY": "k", "WANDB_MODE": "offline"}, "", True),
        ({"WANDB_MODE": "online"}, "", False),
        ({}, "machine api.wandb.ai login user password k", False),
        ({}, "machine api.forge.coreweave.com login user password k", False),
        ({}, "machine example.org login user password k", True),
        (
            {"WANDB_BASE_URL": "https://wandb.clinic.example"},
            "machine wandb.clinic.example login user password k",
            False,
        ),
    ],
)
def test_wandb_is_offline_unless_a_key_is_configured(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    netrc: str,
    offline: bool,
) -> None:
    (tmp_path / "netrc").write_text(netrc + "\n", encoding="utf-8")
    for name in ("API_KEY", "MODE", "BASE_URL", "IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wandb_offline() is offline
