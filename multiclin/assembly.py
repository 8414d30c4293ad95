"""What a training config describes, made: the tokenised corpus, the model, the module."""

from __future__ import annotations

import logging
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from multiclin.bundle import Model, Recipe, load_model, new_model
from multiclin.corpus.source import Corpus
from multiclin.datamodule import Loading, NerDataModule
from multiclin.encoder import Subwords, scratch_config
from multiclin.module import NerModule
from multiclin.opening import sampling_of, splitting_of
from multiclin.schema import TUNED, bias_of
from multiclin.splitting import Splitting
from multiclin.steps import Step
from multiclin.vocabulary import vocabulary

log = logging.getLogger(__name__)


def open_data(config: DictConfig, corpus: Corpus) -> NerDataModule:
    """The model, untrained, and the tokenised corpus, split."""
    loading = Loading(
        Step.of(config).windows,
        config.data.evaluation_batch_size,
        config.seed,
        config.data.workers,
        config.data.validation.fraction,
        sampling_of(config),
    )
    cache = Path(config.data.cache)
    splitting = splitting_of(config)
    model = make_model(config, corpus, splitting, cache)
    data = NerDataModule(corpus, model, splitting, loading, cache)
    data.prepare_data()
    data.setup()
    return data


def make_model(config: DictConfig, corpus: Corpus, splitting: Splitting, cache: Path) -> Model:
    """A model to train: from an encoder, from scratch, or from the weights of an older one."""
    labels = tuple(corpus.labels.values())
    recipe = Recipe(
        labels,
        config.tagging.scheme,
        config.head.name,
        config.window.size,
        config.window.overlap,
        config.tagging.overlaps,
        config.decoding.whole_words,
        config.decoding.snapping,
        config.decoding.inner,
        config.decoding.min_score,
        config.tagging.layers,
        () if config.decoding.bias == TUNED else bias_of(config.decoding.bias, labels),
    )
    fields = OmegaConf.to_container(config.model.config, resolve=True)
    if config.weights is not None:
        return started_from(load_model(config.weights), recipe)
    if config.model.encoder is not None:
        subwords = Subwords.of_encoder(config.model.encoder)
        return new_model(recipe, subwords, encoder=config.model.encoder, overrides=fields)  # type: ignore[arg-type]
    subwords = vocabulary(corpus, splitting, config.model.vocabulary, cache)
    return new_model(recipe, subwords, config=scratch_config(fields, subwords))  # type: ignore[arg-type]


def started_from(older: Model, recipe: Recipe) -> Model:
    """A model that begins with the weights of another one; a classifier over other tags is new."""
    model = new_model(recipe, older.subwords, config=older.facts()["config"])
    state = model.tagger.state_dict()
    others = recipe.tags != older.recipe.tags
    kept = {
        name: weight
        for name, weight in older.tagger.state_dict().items()
        if name in state
        and weight.shape == state[name].shape
        and not (others and len(weight) == len(older.recipe.tags))
    }
    model.tagger.load_state_dict(kept, strict=False)
    if fresh := sorted(state.keys() - kept.keys()):
        log.info("weights that begin anew, for the tags are others: %s", ", ".join(fresh))
    return model


def make_module(config: DictConfig, model: Model) -> NerModule:
    """The LightningModule with optimizer and schedule."""
    optim = config.optim
    return NerModule(
        model, instantiate(optim.optimizer), instantiate(optim.schedule), optim.weight_decay
    )
