"""One training run: corpus -> split -> subwords -> store -> model -> fit -> scores -> bundle.

`train` reads as the list of its steps. A run leaves everything in its folder (DESIGN section 4):
checkpoints, bundle, metrics, predictions, split and report. Nothing is written over an older run.

As a trial of a search (`hpo.trial` is set) the same run also reports to its study, and does not
look at the test set.
"""

from __future__ import annotations

import gc
import logging
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from multiclin import __version__
from multiclin.bundle import (
    Model,
    Recipe,
    load_model,
    new_model,
    read_checkpoint,
    save_bundle,
)
from multiclin.ceiling import Ceiling
from multiclin.corpus.source import Corpus
from multiclin.corpus.splits import describe_overlaps, save_split
from multiclin.datamodule import Loading, NerDataModule, Splitting, vocabulary
from multiclin.encoder import Subwords, scratch_config
from multiclin.errors import CheckpointError, ConfigError, OutputError
from multiclin.hpo.pruning import Pruning
from multiclin.hpo.storage import without_password
from multiclin.module import NerModule, Scored
from multiclin.output import write_json, write_predictions
from multiclin.report import ceiling_table, model_card, score_table, write_report
from multiclin.running import (
    close_loggers,
    make_loggers,
    make_trainer,
    own_device,
    processes_ended,
    quiet_other_processes,
)

log = logging.getLogger(__name__)


def train(config: DictConfig) -> float | None:
    """Train one model as configured.

    Returns:
        The monitored score of the best checkpoint, which is what a search maximises; None where
        nothing was validated.

    Raises:
        MulticlinError: The corpus, a setting, a checkpoint or a place for output is wrong.
    """
    quiet_other_processes()
    while True:
        with processes_ended():
            try:
                return train_once(config)
            except torch.OutOfMemoryError as error:
                shrink(config, error)
        # Outside the handler: the exception held on to all that was in memory.
        gc.collect()
        torch.cuda.empty_cache()


def train_once(config: DictConfig) -> float | None:
    """Train with the batch as it is configured."""
    resumed = find_checkpoint(config)
    config.run_dir = str(run_folder(config, resumed))
    pl.seed_everything(config.seed, workers=True, verbose=False)
    search = Pruning.of(config.hpo)
    corpus = open_corpus(config)
    data = open_data(config, corpus)
    if search:
        search.begin(corpus.digest, config.data.batch_size)
    module = make_module(config, data.model)
    ceilings = data.ceilings()
    log.info("documents\n%s", data.overview())
    log.info(
        "mentions that cannot be found, by reason, and the best scores left\n%s",
        ceiling_table(ceilings),
    )
    if leaks := data.leaks():
        log.warning("%d texts stand in two splits:\n%s", len(leaks), describe_overlaps(leaks))
    save_split(Path(config.run_dir) / "split.json", data.headers())
    trainer = trainer_of(config, search, validated=bool(data.split["validation"]))
    with stop_explained(config), search.told(trainer) if search else nullcontext():
        start = str(resumed) if resumed else None
        trainer.fit(module, datamodule=data, ckpt_path=start, weights_only=True)
        if search:
            search.check()
        value = finish(config, trainer, module, data, ceilings)
        if search:
            search.complete(value)
        return value
    return None  # Of a pruned trial, the processes that are not the first.


def shrink(config: DictConfig, error: torch.OutOfMemoryError) -> None:
    """Halve the batch and accumulate twice as many: the same optimizer step in less memory.

    Raises:
        ConfigError: The batch cannot be halved, or the run cannot begin anew.
    """
    size, accumulated = config.data.batch_size, config.trainer.accumulate_grad_batches
    text = f"a batch of {size} windows does not fit in memory ({str(error).splitlines()[0]})"
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    if size % 2 or not alone or config.ckpt_path is not None:
        raise ConfigError(
            f"{text}\nhint: data.batch_size={max(1, size // 2)} "
            f"trainer.accumulate_grad_batches={2 * accumulated} is the same step in less memory; "
            "so is a smaller window.size or a smaller encoder"
        ) from error
    config.data.batch_size = size // 2
    config.data.evaluation_batch_size = max(1, config.data.evaluation_batch_size // 2)
    config.trainer.accumulate_grad_batches = 2 * accumulated
    shutil.rmtree(Path(config.run_dir) / "checkpoints", ignore_errors=True)  # Of this try.
    log.warning(
        "%s: beginning anew with %d, accumulated %d times", text, size // 2, 2 * accumulated
    )


def find_checkpoint(config: DictConfig) -> Path | None:
    """The checkpoint to go on from; None for a fresh start."""
    if config.ckpt_path is None:
        return None
    path = newest_checkpoint(config) if config.ckpt_path == "last" else Path(config.ckpt_path)
    if not path.is_file():
        raise CheckpointError(f"ckpt_path={path} is not there; give a .ckpt file, or last")
    if "optimizer_states" not in read_checkpoint(path):
        raise CheckpointError(
            f"ckpt_path={path} holds the weights only; go on from the last.ckpt beside it, or "
            f"begin a new run from them with weights={path}"
        )
    return path


def newest_checkpoint(config: DictConfig) -> Path:
    """The `last.ckpt` of this run's folder, else of the newest run of the entity."""
    here = Path(config.run_dir)
    found = [here / "checkpoints" / "last.ckpt"]
    if here.parent.name == config.entity.name:  # not a folder of the user's own choice
        found += sorted(here.parent.glob("*/checkpoints/last.ckpt"), reverse=True)
    for path in found:
        if path.is_file():
            return path
    raise CheckpointError(
        f"ckpt_path=last: no run in {here.parent} has a checkpoints/last.ckpt; start without it"
    )


def run_folder(config: DictConfig, resumed: Path | None) -> Path:
    """Where this run's files go: its own folder, or that of the run that it continues."""
    folder = Path(config.run_dir)
    if resumed and resumed.parent.name == "checkpoints":
        folder = resumed.parent.parent
    if (folder / "model").exists():
        raise OutputError(
            f"{folder} holds a finished run; start a new one (with weights={folder}/model to go "
            "on from its weights)"
        )
    if not resumed and (folder / "checkpoints").exists():
        raise OutputError(
            f"{folder} holds an unfinished run; continue it with hydra.run.dir={folder} "
            "ckpt_path=last, or choose another hydra.run.dir"
        )
    return folder


def open_corpus(config: DictConfig) -> Corpus:
    """The corpus of the config; a sample corpus is generated at first use."""
    root = Path(config.data.root)
    if config.data.sample is not None and not root.exists():
        from multiclin.corpus.sample import generate

        log.info("generating the sample corpus in %s", root)
        generate(root, **OmegaConf.to_container(config.data.sample))  # type: ignore[arg-type]
    languages = _plain(config.languages) or "all"
    labels = dict(config.entity.labels)
    corpus = Corpus(root, labels, languages, config.data.discontinuous)
    log.info("%d annotated sets in %s", len(corpus.sets), root)
    return corpus


def open_data(config: DictConfig, corpus: Corpus) -> NerDataModule:
    """The model, untrained, and the tokenised corpus, split."""
    cache = Path(config.data.cache)
    chosen = config.data.validation
    splitting = Splitting(
        chosen.share,
        chosen.seed,
        _plain(chosen.evaluate_on),
        Path(chosen.ids) if chosen.ids else None,
        chosen.keep_translations,
    )
    model = make_model(config, corpus, splitting, cache)
    loading = Loading(
        config.data.batch_size, config.data.evaluation_batch_size, config.seed, config.data.workers
    )
    data = NerDataModule(corpus, model, splitting, loading, cache)
    data.prepare_data()
    data.setup()
    return data


def make_model(config: DictConfig, corpus: Corpus, splitting: Splitting, cache: Path) -> Model:
    """A model to train: from an encoder, from scratch, or from the weights of an older one."""
    recipe = Recipe(
        tuple(config.entity.labels.values()),
        config.tagging.scheme,
        config.head.name,
        config.window.size,
        config.window.overlap,
        config.tagging.overlaps,
        config.decoding.whole_words,
        config.decoding.snapping,
        config.decoding.inner,
        config.decoding.min_score,
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


def trainer_of(config: DictConfig, search: Pruning | None, *, validated: bool) -> pl.Trainer:
    """The Trainer with its callbacks and loggers, which know the whole config."""
    changes: dict[str, Any] = {}
    if config.hpo is not None:
        changes |= own_device(config.trainer, config.hpo.slot)
    nodes = {role: node for role, node in config.callbacks.items() if node is not None}
    if not validated:
        log.info("no validation documents: best.ckpt is that of the last epoch")
        nodes.pop("early_stopping", None)
        if "checkpoint" in nodes:
            nodes["checkpoint"].monitor = None
        changes["limit_val_batches"] = 0  # else an F1 of 0 would be logged
    callbacks = [instantiate(node) for node in nodes.values()]
    if search:
        callbacks.append(search)
    loggers = make_loggers(node for node in (config.logger or {}).values() if node is not None)
    trainer = make_trainer(config.trainer, callbacks, loggers, **changes)
    size, accumulated = config.data.batch_size, trainer.accumulate_grad_batches
    log.info(
        "an optimizer step is %d windows: %d a batch, processes: %d, batches accumulated: %d",
        size * trainer.world_size * accumulated,
        size,
        trainer.world_size,
        accumulated,
    )
    for logger in trainer.loggers:
        logger.log_hyperparams(shown(config))
    return trainer


def shown(config: DictConfig) -> dict[str, Any]:
    """The config as trackers get it: resolved, without the password of a database."""
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    if plain["hpo"] and plain["hpo"]["storage"]:
        plain["hpo"]["storage"] = without_password(plain["hpo"]["storage"])
    return plain


@contextmanager
def stop_explained(config: DictConfig) -> Iterator[None]:
    """On Ctrl-C say how to go on (Lightning saves, then exits); in the end close the loggers."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if config.hpo is None:  # A search says itself how to go on.
            go_on = f"hydra.run.dir='{config.run_dir}' ckpt_path=last"
            log.warning("stopped; go on with the same command and %s", go_on)
        raise
    finally:
        close_loggers()


def finish(
    config: DictConfig,
    trainer: pl.Trainer,
    module: NerModule,
    data: NerDataModule,
    ceilings: Mapping[str, Mapping[str, Ceiling]],
) -> float | None:
    """Score the best checkpoint, and write all that a run leaves."""
    folder = Path(config.run_dir)
    take_best(trainer, module)
    metrics: dict[str, Any] = {
        f"ceiling/{split}/{language}/{name}": value
        for split, languages in ceilings.items()
        for language, ceiling in languages.items()
        for name, value in ceiling.figures().items()
    }
    scored: dict[str, list[Scored]] = {}
    runs = {"validation": trainer.validate, "test": trainer.test}
    if config.hpo is not None:
        del runs["test"]  # What is chosen among trials must not be seen by the choice.
    for split, evaluate in runs.items():
        if data.split[split]:
            found = evaluate(module, dataloaders=data.documents_loader(split), verbose=False)
            metrics |= {name: round(value, 6) for name, value in found[0].items()}
            scored[split] = module.scored
    if trainer.is_global_zero:
        for split, documents in scored.items():
            path = folder / "predictions" / f"{split}.tsv"
            write_predictions([one.predicted for one in documents], path)
        write_json(metrics, folder / "metrics.json")
        about = provenance(config, data, metrics)
        module.model.about.update(about)
        save_bundle(module.model, folder / "model", model_card(module.model))
        write_report(folder / "report.html", config.entity.name, scored, ceilings, about)
        log.info("scores\n%s", score_table(scored))
        log.info("the run lies in %s (report.html, metrics.json, predictions/, model/)", folder)
        log.info("to use it: python predict.py ckpt=%s input=DIR output=DIR", folder)
    monitor = getattr(trainer.checkpoint_callback, "monitor", None)
    return metrics.get(monitor) if monitor else None


def take_best(trainer: pl.Trainer, module: NerModule) -> None:
    """Put the weights of the best checkpoint into the module."""
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    if best:
        state = torch.load(best, map_location="cpu", weights_only=True, mmap=True)
        module.load_state_dict(state["state_dict"])


def provenance(
    config: DictConfig, data: NerDataModule, metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """What the bundle says of where it comes from."""
    packages = ("torch", "transformers", "tokenizers", "pytorch-lightning")
    return {
        "entity": config.entity.name,
        "encoder": config.model.encoder or f"{config.model.name}, from scratch",
        "data": {
            "digest": data.corpus.digest,
            "languages": data.corpus.spoken,
            "documents": {split: len(numbers) for split, numbers in data.split.items()},
        },
        "training": {
            "seed": config.seed,
            "epochs": config.trainer.max_epochs,
            "batch_size": config.data.batch_size,
            "accumulation": config.trainer.accumulate_grad_batches,
            "learning_rate": config.optim.learning_rate,
            "weight_decay": config.optim.weight_decay,
            "warmup_ratio": config.optim.warmup_ratio,
            "tuned": OmegaConf.to_container(config.tuned) if config.tuned else None,
        },
        "scores": {
            name: value for name, value in metrics.items() if not name.startswith("ceiling/")
        },
        "versions": {
            "multiclin": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
    }


def _plain(value: Any) -> str | Sequence[str] | None:  # noqa: ANN401 - a config's value
    if OmegaConf.is_config(value):
        return list(value)
    return value  # type: ignore[no-any-return]
