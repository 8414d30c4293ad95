"""What a training config describes, made: the tokenised corpus, the model, the module."""

from __future__ import annotations

import logging
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from multiclin.adapting import LowRank, add_low_rank, checkpoint_layers, freeze
from multiclin.bundle import Model, Recipe, load_model, new_model
from multiclin.corpus.source import Corpus
from multiclin.datamodule import NerDataModule
from multiclin.encoder import Subwords, scratch_config
from multiclin.errors import ConfigError
from multiclin.heads import LinearHead, Tagger
from multiclin.loading import Loading
from multiclin.losses import LossSettings
from multiclin.module import NerModule
from multiclin.opening import augmentation_of, sampling_of, splitting_of
from multiclin.optimization import Rates
from multiclin.regularization import Regularization, has_dropout
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
        augmentation_of(config),
    )
    cache = Path(config.data.cache)
    splitting = splitting_of(config)
    model = adapt(config, make_model(config, corpus, splitting, cache))
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
        context=config.window.context,
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


def adapt(config: DictConfig, model: Model) -> Model:
    """The model, of which only what the config says is trained; and it itself."""
    network, chosen = model.tagger.encoder, config.model
    if chosen.lora is not None:
        lora = OmegaConf.to_container(chosen.lora)
        add_low_rank(network, LowRank(**lora))  # type: ignore[arg-type]
        model.about["lora"] = lora  # What checkpoints are merged by.
    if chosen.freeze is not None:
        freeze(network, chosen.freeze)
    if chosen.gradient_checkpointing:
        checkpoint_layers(network)
    return model


def make_module(config: DictConfig, data: NerDataModule) -> NerModule:
    """The LightningModule with losses, optimizer and schedule."""
    optim, model = config.optim, data.model
    choose_losses(config, data)
    return NerModule(
        model,
        instantiate(optim.optimizer),
        instantiate(optim.schedule),
        optim.weight_decay,
        rates=rates_of(config),
        regularization=regularization_of(config, model.tagger),
    )


def choose_losses(config: DictConfig, data: NerDataModule) -> None:
    """Give linear heads the loss that the config trains them on."""
    settings = LossSettings(**OmegaConf.to_container(config.loss))  # type: ignore[arg-type]
    if settings.is_plain:
        return
    labels, heads = data.model.recipe.tagging.heads, data.model.tagger.heads
    for label, head, counts in zip(labels, heads, data.tag_counts(), strict=True):
        assert isinstance(head, LinearHead)
        head.criterion = settings.of_head(head.scheme, counts)
        if head.criterion.weights is not None:
            pairs = zip(head.scheme.tags, head.criterion.weights.tolist(), strict=True)
            said = ", ".join(f"{tag} {weight:.3g}" for tag, weight in pairs)
            log.info("class weights of %s: %s", label, said)


def rates_of(config: DictConfig) -> Rates | None:
    """The learning rates of the parts of a model; None where all are one."""
    optim = config.optim
    rates = Rates(
        optim.learning_rate, optim.head_learning_rate, optim.crf_learning_rate, optim.layer_decay
    )
    return None if rates == Rates(optim.learning_rate) else rates


def regularization_of(config: DictConfig, tagger: Tagger) -> Regularization:
    """What is added to the loss.

    Raises:
        ConfigError: Two passes would be the same, for there is no dropout.
    """
    chosen = Regularization(**OmegaConf.to_container(config.regularization))  # type: ignore[arg-type]
    if chosen.r_drop and not has_dropout(tagger.encoder):
        fields = [key for key in vars(tagger.encoder.config) if "dropout" in key]
        remedy = f"say model.config={{NAME: 0.1}} for one or more of {', '.join(fields)}"
        if config.weights is not None:
            remedy = f"weights={config.weights} keeps its own config: begin with another model"
        raise ConfigError(
            f"regularization.r_drop={chosen.r_drop}: this encoder has no dropout, so its two "
            f"passes would be the same; {remedy}"
        )
    return chosen
