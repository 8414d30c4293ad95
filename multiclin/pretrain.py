"""Pretraining: texts -> what may be learned from -> subwords -> masked windows -> fit -> encoder.

Masked language modelling on unlabelled texts, begun with the weights of an encoder (domain-adaptive
pretraining: Gururangan et al. 2020) or from scratch. A run leaves in its folder checkpoints,
losses, the split, a report, and `encoder/`, which `train.py model.encoder=` takes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from multiclin import __version__
from multiclin.adapting import checkpoint_layers
from multiclin.continuing import check_corpus, stop_explained
from multiclin.corpus.splits import save_split
from multiclin.corpus.unlabelled import UnlabelledTexts
from multiclin.encoder import (
    Subwords,
    build_language_model,
    load_language_model,
    scratch_config,
)
from multiclin.fitting import as_said, fitted, fitting_trainer, take_best
from multiclin.language_model import LanguageModel
from multiclin.loading import Loading
from multiclin.opening import masking_of, splitting_of_texts, unlabelled_of, windowing_of
from multiclin.output import write_json
from multiclin.pretraining import PretrainingModule
from multiclin.pretraining_data import PretrainingData
from multiclin.processes import processes_watched
from multiclin.steps import Step
from multiclin.stopping import Stop
from multiclin.vocabulary import vocabulary

log = logging.getLogger(__name__)


def pretrain(config: DictConfig) -> None:
    """Pretrain as configured.

    Raises:
        MulticlinError: The texts, a setting, an encoder or a place for output is wrong.
    """
    fitted(config, learn)


def learn(config: DictConfig, stop: Stop) -> None:
    """The steps of a pretraining, in the folder that it has to itself."""
    pl.seed_everything(config.seed, workers=True, verbose=False)
    texts = unlabelled_of(config)
    log.info("texts\n%s", texts.overview())
    for path in texts.survey.unmatched:
        log.warning("exclude=%s: nothing of it is among the texts", path)
    check_corpus(config, texts.digest, PretrainingData.__name__, "input")
    data = open_texts(config, texts)
    optim = config.optim
    module = PretrainingModule(
        data.model, instantiate(optim.optimizer), instantiate(optim.schedule), optim.weight_decay
    )
    tokens = data.tokens()
    log.info(
        "%s to learn from, %s to validate on",
        *(_said(len(data.split[side]), tokens[side]) for side in ("train", "validation")),
    )
    save_split(Path(config.run_dir) / "split.json", data.headers())
    trainer = fitting_trainer(config, stop, validated=bool(data.split["validation"]))
    with stop_explained(config, stop), processes_watched(trainer):
        trainer.fit(module, datamodule=data, ckpt_path=config.ckpt_path, weights_only=True)
        finish(config, trainer, module, data)


def open_texts(config: DictConfig, texts: UnlabelledTexts) -> PretrainingData:
    """The language model, and the texts, tokenised and split."""
    loading = Loading(
        Step.of(config).windows,
        config.data.evaluation_batch_size,
        config.seed,
        config.data.workers,
    )
    model = make_language_model(config, texts)
    cache = Path(config.data.cache)
    data = PretrainingData(texts, model, splitting_of_texts(config), loading, cache)
    data.prepare_data()
    data.setup()
    return data


def make_language_model(config: DictConfig, texts: UnlabelledTexts) -> LanguageModel:
    """A language model to pretrain: an encoder, or one from scratch with subwords of its own."""
    fields: dict[str, Any] = OmegaConf.to_container(config.model.config, resolve=True)  # type: ignore[assignment]
    if config.model.encoder is None:
        size, cache = config.model.vocabulary, Path(config.data.cache)
        subwords = vocabulary(texts, splitting_of_texts(config), size, cache)
        network = build_language_model(scratch_config(fields, subwords))
    else:
        subwords = Subwords.of_encoder(config.model.encoder)
        network, fresh = load_language_model(config.model.encoder, fields)
        if fresh:
            log.warning(
                "model.encoder=%s has not all weights of the head that finds masked tokens; these "
                "begin anew: %s",
                config.model.encoder,
                ", ".join(fresh),
            )
    windowing = windowing_of(config, subwords.specials)
    model = LanguageModel.of(subwords, network, windowing, masking_of(config))
    if config.model.gradient_checkpointing:
        checkpoint_layers(network)
    return model


def finish(
    config: DictConfig, trainer: pl.Trainer, module: PretrainingModule, data: PretrainingData
) -> None:
    """Measure the best checkpoint, and write all that a run leaves."""
    folder = Path(config.run_dir)
    found = {
        name: float(value)
        for name, value in trainer.callback_metrics.items()
        if name.startswith("train/")
    }
    take_best(trainer, module)
    if data.split["validation"]:
        found |= trainer.validate(module, dataloaders=data.val_dataloader(), verbose=False)[0]
    if not trainer.is_global_zero:
        return
    metrics: dict[str, Any] = {name: round(value, 6) for name, value in found.items()}
    tokens = data.tokens()
    for side in ("train", "validation"):
        metrics |= {f"texts/{side}": len(data.split[side]), f"tokens/{side}": tokens[side]}
    write_json(metrics, folder / "metrics.json")
    if config.report:
        from multiclin.analysis.pretraining import report_pretraining  # pandas, plotly

        report_pretraining(folder, data.source.overview())
    (folder / "checkpoints" / "previous.ckpt").unlink(missing_ok=True)
    data.model.save(folder / "encoder", provenance(config, data, metrics))  # It is finished.
    log.info("scores of the best checkpoint: %s", described(metrics))
    said = as_said(folder)
    left = [*(["report.html"] if config.report else []), "metrics.json", "encoder/"]
    log.info("the run lies in %s (%s)", said, ", ".join(left))
    log.info("to use it: python train.py model.encoder=%s/encoder", said)


def provenance(
    config: DictConfig, data: PretrainingData, metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """What the encoder says of where it comes from."""
    return {
        "encoder": config.model.encoder or f"{config.model.name}, from scratch",
        "texts": data.source.digest,
        "masking": OmegaConf.to_container(config.masking),
        "training": {
            "seed": config.seed,
            "epochs": config.trainer.max_epochs,
            "effective_batch_size": Step.of(config).windows,
            "learning_rate": config.optim.learning_rate,
        },
        "scores": dict(metrics),
        "versions": {"multiclin": __version__},
    }


def described(metrics: Mapping[str, Any]) -> str:
    """The figures of the validation on one line."""
    figures = {name: value for name, value in metrics.items() if name.startswith("val/")}
    return "  ".join(f"{name} {value:.4f}" for name, value in figures.items()) or "none"


def _said(texts: int, tokens: int) -> str:
    return f"{texts:,} texts of {tokens:,} subwords"
