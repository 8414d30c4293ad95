"""A trained model as a thing that stands alone: in memory, as a directory, inside a checkpoint.

`Model` joins what prediction needs: the network, its subwords and the few facts that decide how
text becomes windows and emissions become mentions (`Recipe`). A bundle is that as a directory in
Hugging Face layout plus `multiclin.json`: safetensors and JSON only, no pickle, no hub, no side
file. A Lightning checkpoint carries the same facts and the tokenizer's files, so it too can be
opened by itself; it is read with `weights_only=True`. (DESIGN sections 4 and 5.)

Either may be a stranger's. Nothing in it is run (`encoder`), and what its config would build is
held against the weights that are there before memory is given to it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from multiclin import flat
from multiclin.adapting import merged
from multiclin.analysis.runs import BUNDLE, find_model
from multiclin.batch import Collate
from multiclin.decoding import Assembler, Decoder, Merger
from multiclin.encoder import Subwords, build_encoder, check_window, load_encoder, quiet
from multiclin.errors import CheckpointError, ConfigError, OutputError
from multiclin.files import atomic_folder, read_text
from multiclin.heads import HEADS, Tagger, make_head
from multiclin.tagging import FLATTENING, SCHEMES, Tagging, scheme
from multiclin.windows import Windowing
from multiclin.words import SNAPPINGS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FORMAT = 1
KEY = "multiclin"
"""Where a checkpoint keeps what a bundle keeps in `multiclin.json`, config.json and tokenizer."""
PRETRAINING = "pretraining"
"""The `kind` of what it keeps where it is not that of a bundle."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The facts that decide how text becomes windows and emissions become mentions.

    Attributes:
        labels: Labels, one head each, or `layers` of them.
        scheme: Name of the tagging scheme.
        head: Name of the head.
        window: Longest window in subwords, special tokens included.
        overlap: Subwords that neighbouring windows share.
        overlaps: Which of overlapping gold mentions are trained on.
        whole_words: Whether all subwords of a word share their mention.
        snapping: Name of the snapping rule.
        inner: Characters that hold a word together beyond the rule of `words`.
        min_score: Mentions of a lower score are left out.
        layers: Heads of each label, for mentions inside others.
        bias: Of each label what a mention scores beside its tags, as a natural logarithm; above 0
            more are found. Empty: none.
        context: Subwords on both sides of a window that are only read.
    """

    labels: tuple[str, ...]
    scheme: str = "bio"
    head: str = "linear"
    window: int = 512
    overlap: int = 128
    overlaps: str = "longest"
    whole_words: bool = True
    snapping: str = "words"
    inner: str = ""
    min_score: float = 0.0
    layers: int = 1
    bias: tuple[float, ...] = ()
    context: int = 0

    def __post_init__(self) -> None:
        known: dict[str, tuple[str, Collection[str]]] = {
            "head.name": (self.head, HEADS),
            "tagging.scheme": (self.scheme, SCHEMES),
            "tagging.overlaps": (self.overlaps, FLATTENING),
            "decoding.snapping": (self.snapping, SNAPPINGS),
        }
        for key, (value, names) in known.items():
            if value not in names:
                raise ConfigError(f"{key}={value} is unknown; choose from {', '.join(names)}")
        if self.layers < 1:
            raise ConfigError(f"tagging.layers={self.layers}: a label has one layer or more")

    @property
    def tags(self) -> list[str]:
        """Names of the classifier's outputs: the tags of each head in turn.

        One label gives the usual `O, B-X, I-X`; with several, each label has its own `O`. Tags of
        further layers end in the layer's number: `O-X-2, B-X-2, I-X-2`.
        """
        if len(self.tagging.heads) == 1:
            return scheme(self.scheme).names(self.labels[0])
        return [
            f"{tag}-{label}{f'-{layer}' if layer > 1 else ''}"
            for label in self.labels
            for layer in range(1, self.layers + 1)
            for tag in scheme(self.scheme).tags
        ]

    @property
    def tagging(self) -> Tagging:
        """How mentions become tags."""
        return Tagging(self.labels, scheme(self.scheme), self.overlaps, self.layers)


class Reading(NamedTuple):
    """How a network reads texts.

    Attributes:
        subwords: Its tokenizer.
        windowing: How documents are cut.
        collate: What makes batches.
    """

    subwords: Subwords
    windowing: Windowing
    collate: Collate

    def merger(self) -> Merger:
        """What puts the emissions of windows together; one per pass over documents."""
        return Merger(self.windowing, len(self.subwords.prefix))


@dataclass(frozen=True, slots=True)
class Model:
    """A network with all that prediction needs.

    Attributes:
        recipe: How it reads and writes.
        subwords: Its tokenizer.
        tagger: The network.
        about: Where it comes from: data, versions, scores. Primitive values only.
    """

    recipe: Recipe
    subwords: Subwords
    tagger: Tagger
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def windowing(self) -> Windowing:
        """How documents are cut."""
        recipe = self.recipe
        return Windowing(recipe.window, recipe.overlap, self.subwords.specials, recipe.context)

    @property
    def collate(self) -> Collate:
        """What makes batches."""
        return Collate(self.subwords)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """How its networks read texts: one has one way, an ensemble may have several."""
        return (Reading(self.subwords, self.windowing, self.collate),)

    def decoder(self) -> Decoder:
        """What makes mentions of emissions."""
        recipe, tagging = self.recipe, self.recipe.tagging
        bias = dict(zip(recipe.labels, recipe.bias, strict=True)) if recipe.bias else {}
        heads = zip(tagging.heads, self.tagger.transitions(), strict=True)
        return Decoder(
            tagging.heads,
            tagging.scheme,
            tuple(one.favouring(bias.get(label, 0.0), tagging.scheme) for label, one in heads),
            recipe.whole_words,
            recipe.snapping,
            recipe.inner,
            recipe.min_score,
        )

    def assembler(self) -> Assembler:
        """What collects the emissions of windows; one per pass over documents."""
        return Assembler(self.decoder(), [one.merger() for one in self.readings])

    def facts(self) -> dict[str, Any]:
        """Everything but the weights, as primitives: what a checkpoint carries."""
        config = json.loads(self.tagger.encoder.config.to_json_string(use_diff=False))
        config.pop("_name_or_path", None)  # a folder of the machine that trained
        recipe = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self.recipe).items()
        }
        return {
            "format": FORMAT,
            "recipe": recipe,
            "about": self.about,
            "config": config,
            "tokenizer": self.subwords.files,
        }


def new_model(
    recipe: Recipe,
    subwords: Subwords,
    *,
    encoder: str | None = None,
    config: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Model:
    """A model to be trained.

    Args:
        recipe: How it reads and writes.
        subwords: Its tokenizer.
        encoder: Hub id or directory of a pretrained encoder, or None for
        config: the fields of a new one.
        overrides: Fields of a pretrained encoder's config to change.

    Raises:
        ConfigError: The windows are longer than the encoder can read.
    """
    if encoder is not None:
        network = load_encoder(encoder, recipe.tags, overrides or {})
    else:
        network = build_encoder({**(config or {}), **(overrides or {})}, recipe.tags)
    check_window(recipe.window, network.config)
    return Model(recipe, subwords, _tagger(recipe, network))


def _tagger(recipe: Recipe, network: PreTrainedModel) -> Tagger:
    flat.prepare(network)
    heads = [make_head(recipe.head, scheme(recipe.scheme)) for _ in recipe.tagging.heads]
    return Tagger(network, heads)


def save_bundle(model: Model, folder: Path, card: str) -> None:
    """Write a bundle; it appears whole or not at all.

    Args:
        model: The model.
        folder: Where to; must not exist yet.
        card: Text of the model card, `README.md`.

    Raises:
        OutputError: The folder exists or cannot be written.
    """
    if folder.exists():
        raise OutputError(f"{folder} exists already; choose another place for the bundle")
    with atomic_folder(folder) as building:
        with quiet():
            model.tagger.encoder.save_pretrained(building)
        model.subwords.save(building)
        if weights := model.tagger.heads.state_dict():
            save_file(weights, building / "heads.safetensors")
        facts = model.facts()
        kept = {key: facts[key] for key in ("format", "recipe", "about")}
        said = json.dumps(kept, indent=2, ensure_ascii=False)
        (building / BUNDLE).write_text(said + "\n", "utf-8")
        (building / "README.md").write_text(card, "utf-8")


def load_model(path: str | Path) -> Model:
    """A model from a bundle, a Lightning checkpoint, or the folder of a training run.

    Raises:
        CheckpointError: There is none, or it is broken.
    """
    found = find_model(path)
    return _from_checkpoint(found) if found.is_file() else _from_bundle(found)


def _from_bundle(folder: Path) -> Model:
    with _explained(f"ckpt={folder} is a broken bundle"):
        facts = json.loads(read_text(folder / BUNDLE))
        config = json.loads(read_text(folder / "config.json"))
        weights = load_file(_regular(folder / "model.safetensors"))
        subwords = Subwords.load(folder)
        model = _from_facts({**facts, "config": config}, subwords, folder, weights)
        model.tagger.encoder.load_state_dict(weights)
        if (folder / "heads.safetensors").is_file():
            model.tagger.heads.load_state_dict(load_file(folder / "heads.safetensors"))
    return model


def _regular(path: Path) -> Path:
    """The path, unless it is no file: to open a pipe would wait for ever."""
    if not path.is_file():
        raise ValueError(f"{path.name} is no file")
    return path


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a Lightning checkpoint of ours holds, its tensors mapped from the file.

    Raises:
        CheckpointError: It is broken, or somebody else's.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        # torch's own words would advise to run the code that it has found inside.
        raise CheckpointError(
            f"ckpt={path} is not a readable checkpoint: it is cut short or of another program "
            f"({type(error).__name__}); copy it again, or give another"
        ) from error
    if not isinstance(checkpoint, dict) or KEY not in checkpoint:
        raise CheckpointError(f"ckpt={path} was not written by multiclin")
    return checkpoint


def _from_checkpoint(path: Path) -> Model:
    checkpoint = read_checkpoint(path)
    if checkpoint[KEY].get("kind") == PRETRAINING:
        raise CheckpointError(
            f"{path} is of a pretraining and finds no mentions; train with the encoder that it "
            "left: python train.py model.encoder=outputs/pretrain/.../encoder"
        )
    with _explained(f"ckpt={path} is a broken checkpoint"):
        facts, weights = checkpoint[KEY], checkpoint["state_dict"]
        if lora := facts.get("about", {}).get("lora"):
            weights = merged(weights, lora["alpha"])
        model = _from_facts(facts, Subwords(facts["tokenizer"]), path, weights)
        model.tagger.load_state_dict(
            {name.removeprefix("tagger."): one for name, one in weights.items()}
        )
    return model


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Whatever a damaged file makes a library raise is a CheckpointError."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{what}: {type(error).__name__}: {reason}") from error


def _from_facts(
    facts: Mapping[str, Any], subwords: Subwords, path: Path, weights: Mapping[str, Tensor]
) -> Model:
    if facts.get("format") != FORMAT:
        raise CheckpointError(
            f"ckpt={path} has format {facts.get('format')}, this version reads {FORMAT}; "
            "use the version of multiclin that wrote it"
        )
    said: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in facts["recipe"].items()
    }
    recipe = Recipe(**said)
    _check_size(facts["config"], weights)
    network = build_encoder(facts["config"], random=False)
    return Model(recipe, subwords, _tagger(recipe, network), dict(facts["about"]))


def _check_size(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` where a config would build more than there are weights for."""
    for key, value in config.items():
        if "layer" in key and isinstance(value, int) and value > len(weights):
            raise ValueError(f"config.json: {key}={value}, and there are {len(weights)} weights")
    with torch.device("meta"):  # Sizes without memory.
        wanted = sum(one.numel() for one in build_encoder(config, random=False).parameters())
    there = sum(one.numel() for one in weights.values())
    if wanted > there:
        raise ValueError(f"config.json is of {wanted:,} numbers, and the weights are {there:,}")
