"""One training run: corpus -> split -> subwords -> store -> model -> fit -> scores -> bundle.

`train` reads as the list of its steps. A run leaves everything in its folder (DESIGN section 4):
checkpoints, bundle, metrics, predictions, split and report. Nothing is written over an older run.

As a trial of a search (`hpo.trial` is set) the same run also reports to its study, and does not
look at the test set.
"""

from __future__ import annotations

import gc
import logging
import platform
import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from multiclin import __version__
from multiclin.adapting import merge
from multiclin.analysis.evaluation import lexicon_of
from multiclin.analysis.runs import save, save_lexicon
from multiclin.assembly import make_module, open_data
from multiclin.bundle import save_bundle
from multiclin.ceiling import Ceiling
from multiclin.continuing import (
    check_corpus,
    check_folder,
    find_checkpoint,
    keep_config,
    run_folder,
    stop_explained,
)
from multiclin.corpus.splits import describe_overlaps, save_split
from multiclin.datamodule import Loading, NerDataModule
from multiclin.faults import is_out_of_memory
from multiclin.files import claimed, read_text
from multiclin.forgetting import TESTS, before_and_after, tested, tested_before
from multiclin.module import NerModule, Scored
from multiclin.opening import open_corpus
from multiclin.output import write_json, write_predictions
from multiclin.processes import (
    is_first_process,
    processes_ended,
    processes_watched,
    quiet_other_processes,
)
from multiclin.repeating import nothing_to_do
from multiclin.report import ceiling_table, model_card, score_table
from multiclin.running import (
    make_trainer,
    own_device,
)
from multiclin.saving import Saving
from multiclin.schema import TUNED
from multiclin.steps import Step, shrink
from multiclin.stopping import Stop
from multiclin.tables import as_text
from multiclin.tracking import make_loggers
from multiclin.tuning import tune, tuned, tuning_table

if TYPE_CHECKING:
    from multiclin.hpo.pruning import Pruning

log = logging.getLogger(__name__)


def train(config: DictConfig) -> float | None:
    """Train one model as configured.

    Returns:
        The monitored score of the best checkpoint, which is what a search maximises; None where
        nothing was validated, or had to be done (`ckpt_path=auto`).

    Raises:
        MulticlinError: The corpus, a setting, a checkpoint or a place for output is wrong.
    """
    quiet_other_processes()
    if nothing_to_do(config):
        return None
    goes_on = config.ckpt_path == "auto" or config.hpo is not None  # by the same command
    while True:
        with processes_ended(), Stop(goes_on) as stop:
            try:
                return train_once(config, stop)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                log.warning("%s", shrink(config, error))
                # Of this try.
                shutil.rmtree(Path(config.run_dir) / "checkpoints", ignore_errors=True)
        # Outside the handler: the exception held on to all that was in memory.
        gc.collect()
        torch.cuda.empty_cache()


def train_once(config: DictConfig, stop: Stop) -> float | None:
    """Train with the batch as it is configured, unless a signal asks it to stop."""
    resumed = find_checkpoint(config)
    folder = run_folder(config, resumed)
    with claimed(folder) if is_first_process() else nullcontext():
        check_folder(config, folder)
        keep_config(config, folder)
        config.run_dir = str(folder)
        config.ckpt_path = str(resumed) if resumed else None
        return fit_and_score(config, stop)


def fit_and_score(config: DictConfig, stop: Stop) -> float | None:
    """The steps of a training, in the folder that it has to itself."""
    pl.seed_everything(config.seed, workers=True, verbose=False)
    search = trial_of(config)
    if config.report and config.report.native:
        read_text(Path(config.report.native))  # Told now if it is not there.
    corpus = open_corpus(config)
    check_corpus(config, corpus.digest)
    data = open_data(config, corpus)
    if search:
        search.begin(corpus.digest, config.data.batch_size)
    module = make_module(config, data)
    ceilings = data.ceilings()
    log.info("documents\n%s", data.overview())
    log.info(
        "mentions that cannot be found, by reason, and the best scores left\n%s",
        ceiling_table(ceilings),
    )
    if leaks := data.leaks():
        log.warning("%d texts stand in two splits:\n%s", len(leaks), describe_overlaps(leaks))
    if not data.mixture.is_plain:
        log.info("windows of an epoch\n%s", as_text(data.mixture.table()))
    save_split(Path(config.run_dir) / "split.json", data.headers())
    trainer = trainer_of(config, search, stop, validated=bool(data.split["validation"]))
    told = search.told(trainer) if search else nullcontext()
    with stop_explained(config, stop), told, processes_watched(trainer):
        known = ceiling_figures(ceilings)
        if not search:
            known |= tested_before(trainer, module, data)
        trainer.fit(module, datamodule=data, ckpt_path=config.ckpt_path, weights_only=True)
        if search:
            search.check()
        value = finish(config, trainer, module, data, known)
        if search:
            search.complete(value)
        return value
    return None  # Of a pruned trial, the processes that are not the first.


def trial_of(config: DictConfig) -> Pruning | None:
    """What reports to the study of a search; None where this run is no trial."""
    if config.hpo is None:
        return None
    from multiclin.hpo.pruning import Pruning  # Optuna, which other runs do not need.

    return Pruning.of(config.hpo)


def trainer_of(
    config: DictConfig, search: Pruning | None, stop: Stop, *, validated: bool
) -> pl.Trainer:
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
    for saving in (one for one in callbacks if isinstance(one, Saving)):
        saving.stop = stop
    loggers = make_loggers(node for node in (config.logger or {}).values() if node is not None)
    workers = Loading(workers=config.data.workers).worker_processes
    trainer = make_trainer(config.trainer, callbacks, loggers, workers=workers, **changes)
    step = Step.of(config, trainer.world_size)
    trainer.accumulate_grad_batches = step.accumulated
    log.info("%s", step)
    for logger in trainer.loggers:
        logger.log_hyperparams(shown(config))
    return trainer


def shown(config: DictConfig) -> dict[str, Any]:
    """The config as trackers get it: resolved, without the password of a database."""
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    if plain["hpo"] and plain["hpo"]["storage"]:
        from multiclin.hpo.storage import without_password

        plain["hpo"]["storage"] = without_password(plain["hpo"]["storage"])
    return plain


def finish(
    config: DictConfig,
    trainer: pl.Trainer,
    module: NerModule,
    data: NerDataModule,
    known: Mapping[str, float],
) -> float | None:
    """Score the best checkpoint, and write all that a run leaves; some figures are known."""
    folder = Path(config.run_dir)
    take_best(trainer, module)
    metrics: dict[str, Any] = dict(known)
    if config.decoding.bias == TUNED and data.split["validation"]:
        tune_bias(trainer, module, data)
    scored: dict[str, list[Scored]] = {}
    if data.split["validation"]:
        loader = data.documents_loader("validation")
        [found] = trainer.validate(module, dataloaders=loader, verbose=False)
        metrics |= {name: round(value, 6) for name, value in found.items()}
        scored["validation"] = module.scored
    # What is chosen among trials must not be seen by the choice.
    for split in TESTS if config.hpo is None else ():
        if data.parts.get(split):
            metrics |= tested(trainer, module, data, split)
            scored[split] = module.scored
    if trainer.is_global_zero:
        for split, documents in scored.items():
            path = folder / "predictions" / f"{split}.tsv"
            write_predictions([one.predicted for one in documents], path)
        write_json(metrics, folder / "metrics.json")
        if changes := data.corpus.changes():
            log.warning(
                "data.root=%s has changed since the run began: %s; weights and scores are those of "
                "the corpus as it was then, whose digest model/multiclin.json has",
                *(config.data.root, changes),
            )
        about = provenance(config, data, metrics)
        about["data"]["changed"] = bool(changes)
        module.model.about.update(about)
        keep(folder, data, scored)
        (folder / "checkpoints" / "previous.ckpt").unlink(missing_ok=True)
        save_bundle(module.model, folder / "model", model_card(module.model))  # It is finished.
        if config.report is not None:
            from multiclin.analysis.report import report_run  # pandas: not before it is needed.

            native = Path(config.report.native) if config.report.native else None
            report_run(folder, native=native, texts=config.report.texts)
        log.info("scores\n%s", score_table(scored))
        if data.replayed["test"]:
            log.info("before and after the training\n%s", before_and_after(metrics))
        shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
        log.info("the run lies in %s (report.html, metrics.json, predictions/, model/)", shown)
        log.info("to use it: python predict.py ckpt=%s input=DIR output=DIR", shown)
    monitor = getattr(trainer.checkpoint_callback, "monitor", None)
    return metrics.get(monitor) if monitor else None


def ceiling_figures(ceilings: Mapping[str, Mapping[str, Ceiling]]) -> dict[str, float]:
    """The best that can be reached, by names such as `ceiling/test/es/f1`."""
    return {
        f"ceiling/{split}/{language}/{name}": value
        for split, languages in ceilings.items()
        for language, ceiling in languages.items()
        for name, value in ceiling.figures().items()
    }


def tune_bias(trainer: pl.Trainer, module: NerModule, data: NerDataModule) -> None:
    """Give the model the bias of each label that scores best on the validation documents."""
    module.emitted = []
    trainer.validate(module, dataloaders=data.documents_loader("validation"), verbose=False)
    biases = tune(module.model, module.emitted)
    module.emitted = None
    module.model = tuned(module.model, biases)
    log.info("biases, tuned on validation, whose scores they flatter\n%s", tuning_table(biases))


def keep(folder: Path, data: NerDataModule, scored: Mapping[str, Sequence[Scored]]) -> None:
    """Keep what analyses need: gold and predictions, and the mentions of the training documents."""
    for split, documents in scored.items():
        save(folder, split, ((one.gold, one.predicted) for one in documents))
    save_lexicon(folder, lexicon_of(map(data.store.document, data.split["train"])))


def take_best(trainer: pl.Trainer, module: NerModule) -> None:
    """Put the weights of the best checkpoint into the module, LoRA's updates into its matrices."""
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    if best:
        state = torch.load(best, map_location="cpu", weights_only=True, mmap=True)
        module.load_state_dict(state["state_dict"])
    if lora := module.model.about.get("lora"):
        merge(module.tagger.encoder, lora["alpha"])


def provenance(
    config: DictConfig, data: NerDataModule, metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """What the bundle says of where it comes from."""
    step = Step.of(config)  # As on one process: how many there were changes no result.
    packages = ("torch", "transformers", "tokenizers", "pytorch-lightning")
    return {
        "entity": config.entity.name,
        "encoder": config.model.encoder or f"{config.model.name}, from scratch",
        "data": {
            "digest": data.corpus.digest,
            "languages": data.corpus.spoken,
            "documents": {split: len(numbers) for split, numbers in data.parts.items()},
        },
        "training": {
            "seed": config.seed,
            "epochs": config.trainer.max_epochs,
            "batch_size": step.batch,
            "accumulation": step.accumulated,
            "effective_batch_size": step.windows,
            "learning_rate": config.optim.learning_rate,
            "weight_decay": config.optim.weight_decay,
            "warmup_ratio": config.optim.warmup_ratio,
            "fold": config.fold,
            "strategy": config.strategy,
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
