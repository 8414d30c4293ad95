"""Files as options: `group=path/to/file.yaml`, over a toy folder of configs."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from multiclin.config import run
from multiclin.errors import ConfigError
from multiclin.option_files import OptionFiles, split_option

FILES = {
    "conf/train.yaml": (
        "defaults:\n"
        "  - _self_\n"
        "  - model: big\n"
        "  - tuned: default\n"
        "  - hpo/pruner: median\n"
        "  - override hydra/hydra_logging: none\n"
        "  - override hydra/job_logging: none\n"
        "rate: 1\n"
        "hydra:\n  run: {dir: run}\n  sweep: {dir: sweep}\n"
    ),
    "conf/model/big.yaml": "layers: 22",
    "conf/model/small.yaml": "layers: 2",
    "conf/tuned/default.yaml": "# @package _global_\nrate: 2",
    "conf/hpo/pruner/median.yaml": "name: median",
    "out/best.yaml": (
        "# @package _global_\ndefaults:\n  - override /model: small\nrate: 9\n"  # as a search
    ),
    "mine.yaml": "layers: 6",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: the toy configs in conf/, and two files outside of it."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def composed(folder: Path, *overrides: str) -> object:
    with initialize_config_dir(str(folder / "conf")):
        return OmegaConf.to_container(compose("train", list(overrides)))


def mistake(folder: Path, *overrides: str) -> list[str]:
    """The lines of the error that the command would print."""
    with pytest.raises(ConfigError) as caught:
        run(bool, "train", overrides, folder / "conf")
    return str(caught.value).splitlines()


DEFAULT = {
    "rate": 2,
    "model": {"layers": 22},
    "hpo": {"pruner": {"name": "median"}},
}


@pytest.mark.parametrize("written", ["out/best.yaml", "./out/best.yaml", "{}/out/best.yaml"])
def test_a_file_is_an_option(folder: Path, written: str) -> None:
    """Its header places it at the top, and its defaults list chooses the model."""
    found = composed(folder, f"tuned={written.format(folder)}")
    assert found == {**DEFAULT, "rate": 9, "model": {"layers": 2}}


def test_a_file_without_a_header_lands_in_its_group(folder: Path) -> None:
    assert composed(folder, "model=mine.yaml") == {**DEFAULT, "model": {"layers": 6}}


def test_the_command_line_beats_a_file(folder: Path) -> None:
    found = composed(folder, "tuned=out/best.yaml", "model=big", "rate=3")
    assert found == {**DEFAULT, "rate": 3}


def test_only_a_name_with_the_ending_is_a_file(folder: Path) -> None:
    (folder / "small.yaml").write_text("layers: 99", encoding="utf-8")
    assert composed(folder, "model=small") == {**DEFAULT, "model": {"layers": 2}}
    assert composed(folder, "model=small.yaml") == {**DEFAULT, "model": {"layers": 99}}


def test_a_group_within_a_group_takes_a_file(folder: Path) -> None:
    (folder / "pruner").mkdir()
    (folder / "pruner" / "own.yaml").write_text("name: not this one", encoding="utf-8")
    (folder / "own.yaml").write_text("name: own", encoding="utf-8")
    expected = {**DEFAULT, "hpo": {"pruner": {"name": "own"}}}
    for written in ("own.yaml", "./own.yaml", f"{folder}/own.yaml"):
        assert composed(folder, f"hpo/pruner={written}") == expected


@pytest.mark.parametrize(
    ("name", "override"),
    [
        ("my runs/best.yaml", "model=my runs/best.yaml"),  # Hydra takes spaces within a value.
        ("my runs/lr=3e-4, bs=8.yaml", 'model="my runs/lr=3e-4, bs=8.yaml"'),
        ("2026-03-01_12-00-00/best.yaml", "model=2026-03-01_12-00-00/best.yaml"),
    ],
)
def test_any_path_can_be_written(folder: Path, name: str, override: str) -> None:
    (folder / name).parent.mkdir()
    (folder / name).write_text("layers: 7", encoding="utf-8")
    assert composed(folder, override) == {**DEFAULT, "model": {"layers": 7}}


def test_a_sweep_takes_files_where_it_takes_names(folder: Path) -> None:
    rates: list[int] = []
    # The first job changes into its own folder, the second still finds its file.
    overrides = ["-m", "hydra.job.chdir=true", "tuned=default,out/best.yaml,./out/best.yaml"]
    run(lambda config: rates.append(config.rate), "train", overrides, folder / "conf")
    assert rates == [2, 9, 9]


def test_a_missing_file_in_a_sweep_is_found_before_the_first_job(folder: Path) -> None:
    ran: list[DictConfig] = []
    with pytest.raises(ConfigError, match="there is no such file"):
        run(ran.append, "train", ["-m", "tuned=default,./out/bst.yaml"], folder / "conf")
    assert ran == []


def test_a_worker_in_another_folder_finds_the_same_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launcher sends its workers the config loader, pickled."""
    with initialize_config_dir(str(folder / "conf")):
        loader = pickle.loads(pickle.dumps(GlobalHydra.instance().config_loader()))
    monkeypatch.chdir("/")
    config: DictConfig = loader.load_configuration("train", ["tuned=out/best.yaml"], RunMode.RUN)
    assert config.rate == 9


@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("tuned=out/bst.yaml", " in {folder}"),
        ("tuned=./default.yaml", " in {folder}"),  # not the one of conf/tuned
        ("hpo/pruner=own.yaml", " in {folder}"),
        ("hydra/launcher=out/own.yaml", " in {folder}"),
        ("tuned=/nowhere/best.yaml", ""),
    ],
)
def test_a_missing_file_is_a_mistake(folder: Path, override: str, where: str) -> None:
    what, hint = mistake(folder, override)
    assert what == f"{override}: there is no such file{where.format(folder=folder)}"
    assert hint.startswith("hint: a name that ends in .yaml is a file; the options of ")


def test_a_path_through_the_parent_folder_is_given_in_full(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    assert mistake(folder, "tuned=../out/best.yaml") == [
        "../out/best.yaml: Hydra takes no .. in the path of an option",
        f"hint: give the path in full: {folder}/out/best.yaml",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rate: [1", "{path} is broken: while parsing a flow sequence"),
        ("- 1", "{path} is a list of values"),
        ("3", "cannot read {path}: Invalid loaded object type: int"),
        ("# @package a b\nrate: 1", "cannot read {path}: Too many components"),
    ],
)
def test_a_file_that_is_no_config_is_a_mistake(folder: Path, text: str, reason: str) -> None:
    path = folder / "odd.yaml"
    path.write_text(text, encoding="utf-8")
    what, hint = mistake(folder, "tuned=odd.yaml")
    assert what.startswith(f"tuned=odd.yaml: {reason.format(path=path)}")
    assert hint.startswith("hint: a file for a group holds settings")


def test_help_lists_no_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(bool, "train", ["--help"], folder / "conf")
    shown = capsys.readouterr().out
    assert "model: big, small\n" in shown
    assert "mine" not in shown
    assert "out" not in shown


@pytest.mark.parametrize("name", ["mine.yaml", "mine", "model/mine", "model/big", "model", "out"])
def test_other_names_are_left_to_the_other_sources(folder: Path, name: str) -> None:
    source = OptionFiles("multiclin", f"option://{folder}")
    assert not source.exists(name)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("tuned/best.yaml", ("tuned", "best.yaml")),
        ("tuned/out//best.yaml", ("tuned", "out//best.yaml")),  # from tuned=$OUT/best.yaml
        ("tuned//home/best.yaml", ("tuned", "/home/best.yaml")),
        ("hpo/pruner/own.yaml", ("hpo/pruner", "own.yaml")),
        ("hpo/pruner/./own.yaml", ("hpo/pruner", "./own.yaml")),
        ("hpo/pruners/own.yaml", ("hpo", "pruners/own.yaml")),
    ],
)
def test_the_group_is_the_longest_one_known(
    folder: Path, path: str, parts: tuple[str, str]
) -> None:
    with initialize_config_dir(str(folder / "conf")):
        assert split_option(path) == parts


def test_train_takes_the_file_of_a_search(tmp_path: Path) -> None:
    best = tmp_path / "outputs" / "best.yaml"
    best.parent.mkdir()
    best.write_text("# @package _global_\noptim:\n  learning_rate: 7.0e-05\n", encoding="utf-8")
    script = Path(__file__).parents[1] / "train.py"
    command = [sys.executable, str(script), "tuned=outputs/best.yaml", "--cfg", "job"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "learning_rate: 7.0e-05" in shown.stdout
    command[2] = "tuned=outputs/bst.yaml"
    failed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: tuned=outputs/bst.yaml: there is no such file")
