"""The configs of conf/, each composed: values resolve, targets exist and take what they get."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from yaml import safe_load

from multiclin.augmentation import Augmentation
from multiclin.config import CONF_DIR, register
from multiclin.corpus.formats import FORMATS, Parts
from multiclin.errors import ConfigError
from multiclin.mistakes import settings
from multiclin.schema import labels_by_entity
from multiclin.sweeps import Summary
from multiclin.targets import EXECUTION_WHITELIST

COMMANDS = {
    "train": ["data.root=corpus"],
    "pretrain": ["input=texts"],
    "predict": ["ckpt=model", "input=texts", "output=out"],
    "evaluate": ["gold=gold.tsv", "pred=pred.tsv"],
}
"""Each primary config with what it asks for."""

NEEDED = {
    "entity=custom": ["entity.labels=[FARMACO]"],
    "experiment=fewshot": ["weights=model", "data.replay.root=older"],
}
"""Options that ask for more, with what it is."""


def groups(command: str) -> set[str]:
    """The groups of ours that a primary config chooses from."""
    defaults = safe_load((CONF_DIR / f"{command}.yaml").read_text("utf-8"))["defaults"]
    chosen = {key for entry in defaults if isinstance(entry, dict) for key in entry}
    return {key for key in chosen if not key.startswith("override ")}


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))


CHOICES = [
    (command, f"{group}={option}")
    for command in COMMANDS
    for group in sorted(groups(command))
    for option in options(group)
]


def composed(command: str, *overrides: str) -> DictConfig:
    """The config that a command would get, Hydra's own part included."""
    register()
    with initialize_config_dir(str(CONF_DIR)):
        needed = (word for choice in overrides for word in NEEDED.get(choice, ()))
        words = [*COMMANDS[command], *overrides, *needed]
        config = compose(command, words, return_hydra_config=True)
    config.hydra.runtime.output_dir, config.hydra.job.num = "run", 0
    HydraConfig.instance().set_config(config)
    return config


def targets(node: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node with a `_target_`, with its place."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from targets(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from targets(value, f"{path}[{number}]")


@cache
def resolved(command: str, *overrides: str) -> dict[str, Any]:
    """Our part of the config with every interpolation resolved and no value missing."""
    config = composed(command, *overrides)
    ours = OmegaConf.create({key: config._get_node(key) for key in config if key != "hydra"})
    plain = OmegaConf.to_container(ours, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def test_every_group_belongs_to_a_command() -> None:
    used = set().union(*(groups(command) for command in COMMANDS))
    found = {path.parent.relative_to(CONF_DIR).as_posix() for path in CONF_DIR.glob("*/*.yaml")}
    assert found == used


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_composes_as_it_stands(command: str) -> None:
    assert resolved(command)


@pytest.mark.parametrize(("command", "choice"), CHOICES)
def test_every_option_composes_and_resolves(command: str, choice: str) -> None:
    assert resolved(command, choice)


@pytest.mark.parametrize(("command", "choice"), CHOICES)
def test_every_target_is_admitted_and_takes_its_arguments(command: str, choice: str) -> None:
    found = {place: check(place, node) for place, node in targets(resolved(command, choice))}
    assert all(map(callable, found.values()))
    assert found or command == "evaluate"  # Whose options start nothing.


def check(place: str, node: dict[str, Any]) -> Callable[..., object]:
    """What Hydra would start; raise unless it may, and its constructor takes the arguments."""
    alone = {"_target_": node["_target_"], "_partial_": True}
    found: Callable[..., object]
    found = instantiate(alone, _execution_whitelist_=EXECUTION_WHITELIST).func
    arguments = {key: value for key, value in node.items() if not key.startswith("_")}
    try:
        inspect.signature(found).bind_partial(**arguments)
    except TypeError as error:
        raise TypeError(f"{place}: {error}") from error
    return found


def test_the_targets_of_a_training_are_those_that_are_checked() -> None:
    found = dict(targets(resolved("train")))
    assert {"trainer", "optim.optimizer", "callbacks.checkpoint", "logger.wandb"} <= found.keys()


@pytest.mark.parametrize(
    ("node", "error"),
    [
        ({"_target_": "os.system"}, InstantiationException),
        ({"_target_": "torch.optim.AdamWW"}, InstantiationException),
        ({"_target_": "torch.optim.AdamW", "learning_rate": 1}, TypeError),
    ],
)
def test_the_check_of_targets_has_teeth(node: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        check("here", node)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_itself_comes_before_its_groups(command: str) -> None:
    """Otherwise its values would silently overwrite those of an experiment."""
    defaults = safe_load((CONF_DIR / f"{command}.yaml").read_text("utf-8"))["defaults"]
    before = defaults[: defaults.index("_self_")]
    assert all(isinstance(entry, str) for entry in before)  # A schema may stand there.


@pytest.mark.parametrize("choice", [f"callbacks={option}" for option in options("callbacks")])
def test_names_of_checkpoints_hold_no_equals_sign(choice: str) -> None:
    """`ckpt=.../epoch=3.ckpt` would not be an override."""
    for node in resolved("train", choice)["callbacks"].values():
        if node["_target_"].endswith("ModelCheckpoint"):
            assert node["auto_insert_metric_name"] is False
            assert re.fullmatch(r"[\w-]+", node["filename"])
            assert "=" not in node["dirpath"]


GLOBAL = ("tuned", "strategy", "experiment")
SWEPT = "hydra.sweeper.params."  # Whose keys are those of other settings.


@pytest.mark.parametrize("choice", [c for _, c in CHOICES if c.startswith(GLOBAL)])
def test_a_config_of_the_whole_adds_no_setting(choice: str) -> None:
    """It lies at the root of the config, where a slip in a key would change nothing."""
    text = (CONF_DIR / f"{choice.replace('=', '/')}.yaml").read_text("utf-8")
    assert text.startswith("# @package _global_\n")
    before, after = composed("train"), composed("train", choice)
    own = {key: value for key, value in (safe_load(text) or {}).items() if key != "defaults"}
    for key, _ in settings(OmegaConf.create(own)):
        there = OmegaConf.select(before, key.removeprefix(SWEPT), default=after)
        assert there is not after, key


TABLE_1 = {
    "disease": (4.9e-4, 10, 8),
    "procedure": (3.4e-4, 7, 4),
    "symptom": (2.4e-4, 9, 4),
}
"""The paper's Table 1: learning rate, epochs, batch size."""

TABLE_2 = {
    "es_multilingual": ("BSC-LT/MrBERT-es", "all"),
    "biomed_spanish": ("BSC-LT/MrBERT-biomed", "es"),
    "biomed_multilingual": ("BSC-LT/MrBERT-biomed", "all"),
}
"""The paper's Table 2: encoder and languages of its three strategies."""


def paper_facts(config: DictConfig | dict[str, Any]) -> tuple[Any, ...]:
    """What the paper's section 2 fixes for every run: windows, tags, head, post-processing."""
    window, decoding = config["window"], config["decoding"]
    scheme, head = config["tagging"]["scheme"], config["head"]["name"]
    return window["size"], window["overlap"], scheme, head, decoding["snapping"]


def tuned(config: DictConfig | dict[str, Any]) -> tuple[float, int, int]:
    optim, trainer, data = config["optim"], config["trainer"], config["data"]
    return optim["learning_rate"], trainer["max_epochs"], data["batch_size"]


@pytest.mark.parametrize("entity", TABLE_1)
def test_the_submitted_systems_are_those_of_table_1(entity: str) -> None:
    config = resolved("train", f"experiment=paper_{entity}")
    assert tuned(config) == TABLE_1[entity]
    assert config["optim"]["optimizer"]["lr"] == TABLE_1[entity][0]
    assert paper_facts(config) == (512, 128, "bio", "linear", "paper")
    assert config["entity"]["labels"] == {entity: entity.upper()}
    assert config["model"]["encoder"] == "BSC-LT/MrBERT-biomed"
    assert (config["languages"], config["strategy"]) == ("all", "biomed_multilingual")


def cell(strategy: str, entity: str, *overrides: str) -> DictConfig:
    """The config of one of the nine jobs of `-m experiment=table2`."""
    words = [f"strategy={strategy}", f"entity={entity}", "experiment=table2", *overrides]
    return composed("train", *words)


@pytest.mark.parametrize("entity", TABLE_1)
@pytest.mark.parametrize("strategy", TABLE_2)
def test_the_cells_are_those_of_table_2(strategy: str, entity: str) -> None:
    config = cell(strategy, entity)
    assert (config.model.encoder, config.languages) == TABLE_2[strategy]
    assert (config.strategy, config.entity.name) == (strategy, entity)
    assert tuned(config) == TABLE_1[entity]
    assert paper_facts(config) == (512, 128, "bio", "linear", "paper")


def test_table_2_sweeps_over_its_cells() -> None:
    params = composed("train", "experiment=table2").hydra.sweeper.params
    assert params == {"strategy": ",".join(TABLE_2), "entity": ",".join(TABLE_1)}


def test_the_command_line_beats_table_2() -> None:
    words = ["model=tiny", "optim.learning_rate=2e-3", "trainer.max_epochs=2", "data=sample"]
    for strategy, (_, languages) in TABLE_2.items():
        config = cell(strategy, "symptom", *words)
        assert tuned(config) == (2e-3, 2, 4)
        assert (config.model.name, config.model.encoder) == ("tiny", None)
        assert config.languages == languages
    assert tuned(cell("biomed_spanish", "disease", "tuned=default")) == (5e-5, 6, 8)


def test_each_run_of_table_2_has_a_folder_of_its_own() -> None:
    es, biomed = ("es_multilingual", "disease"), ("biomed_spanish", "symptom")
    cells = [cell(*es), cell(*biomed), cell(*es, "seed=14"), cell(*es, "seed=14", "fold=0")]
    assert {one.hydra.sweep.dir for one in cells} == {"outputs/table2"}
    assert [one.hydra.sweep.subdir for one in cells] == [
        "es_multilingual-disease-13",
        "biomed_spanish-symptom-13",
        "es_multilingual-disease-14",
        "es_multilingual-disease-14-fold0",
    ]


def test_a_search_of_table_2_is_refused() -> None:
    """Its nine cells would be drawn as if they were one more parameter."""
    with pytest.raises(ConfigCompositionException, match="sweeper"):
        composed("train", "hpo=optuna", "experiment=table2")


def test_the_name_of_a_run_tells_its_fold() -> None:
    assert resolved("train")["run_name"] == "disease-mrbert_biomed-13"
    assert resolved("train", "fold=0")["run_name"] == "disease-mrbert_biomed-13-fold0"


def test_by_default_no_recipe_is_on() -> None:
    """What a training does without being told is the paper's."""
    config = resolved("train")
    assert config["loss"] == {"gamma": 0.0, "smoothing": 0.0, "weights": None}
    assert config["regularization"] == {"r_drop": 0.0, "fgm": 0.0}
    optim, model = config["optim"], config["model"]
    assert [optim[f"{part}_learning_rate"] for part in ("head", "crf")] == [None, None]
    assert optim["layer_decay"] == 1.0
    assert (model["freeze"], model["gradient_checkpointing"], model["lora"]) == (None, False, None)
    assert "averaging" not in config["callbacks"]


def test_lora_belongs_to_the_model() -> None:
    expected = {"r": 8, "alpha": 16.0, "targets": "all-linear", "dropout": 0.0}
    assert resolved("train", "lora=all_linear")["model"]["lora"] == expected
    words = "model.lora={r: 8, alpha: 16, targets: all-linear, dropout: 0}"
    assert resolved("train", words)["model"]["lora"] == expected


def test_options_of_callbacks_combine() -> None:
    default = resolved("train")["callbacks"].keys()
    found = resolved("train", "callbacks=[early_stopping,ema]")["callbacks"].keys()
    assert found - default == {"early_stopping", "averaging"}


def test_no_augmentation_changes_nothing_and_the_others_something() -> None:
    shares = {
        option: Augmentation(**resolved("train", f"augmentation={option}")["augmentation"])
        for option in options("augmentation")
    }
    assert [option for option, one in shares.items() if one.is_none] == ["none"]
    assert all(asdict(shares["all"]).values())
    assert resolved("train")["augmentation"] == asdict(Augmentation())


def test_callbacks_of_hydra_are_admitted() -> None:
    callbacks = composed("train").hydra.callbacks
    assert [type(make(node)) for node in callbacks.values()] == [Summary]


def make(node: DictConfig) -> object:
    return instantiate(node, _execution_whitelist_=EXECUTION_WHITELIST)


def test_every_experiment_is_known_here() -> None:
    papers = {f"paper_{entity}" for entity in TABLE_1}
    assert set(options("experiment")) == {*papers, "table2", "quickstart", "fewshot"}
    assert set(options("strategy")) == set(TABLE_2)


def test_the_command_line_beats_an_experiment() -> None:
    config = resolved("train", "experiment=paper_disease", "optim.learning_rate=1e-5")
    assert tuned(config) == (1e-5, 10, 8)


def test_the_quickstart_needs_no_network() -> None:
    config = resolved("train", "experiment=quickstart")
    assert config["model"]["encoder"] is None
    assert config["data"]["sample"] is not None
    assert set(config["logger"]) == {"csv"}


@pytest.mark.parametrize("name", ["brat", "tsv", "jsonl"])
def test_a_corpus_of_ones_own_is_configured_as_a_tree_is(name: str) -> None:
    own, tree = resolved("train", f"data={name}")["data"], resolved("train")["data"]
    assert own == {**tree, "format": name}
    assert isinstance(FORMATS[name], Parts)


def test_labels_are_named_or_left_to_the_corpus() -> None:
    assert resolved("train", "entity=all")["entity"] == {"name": "all", "labels": {}}
    words = ["entity=custom", "entity.name=drug"]
    assert resolved("train", *words)["entity"] == {"name": "drug", "labels": ["FARMACO"]}


def test_labels_are_a_list_or_a_mapping() -> None:
    assert labels_by_entity(OmegaConf.create(["FARMACO"])) == {"farmaco": "FARMACO"}
    assert labels_by_entity(["Drug", "DRUG"]) == {"Drug": "Drug", "DRUG": "DRUG"}
    assert labels_by_entity(OmegaConf.create({"drug": "FARMACO"})) == {"drug": "FARMACO"}
    assert labels_by_entity({}) == {}
    for wrong in ("FARMACO", [1], {"drug": None}):
        with pytest.raises(ConfigError, match="give a list of labels"):
            labels_by_entity(wrong)
