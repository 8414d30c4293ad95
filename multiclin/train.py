"""One training run: corpus -> split -> subwords -> store -> model -> fit -> scores -> bundle.

`train` reads as the list of its steps. A run leaves everything in its folder (DESIGN section 4):
checkpoints, bundle, metrics, predictions, split and report. Nothing is written over an older run.

As a trial of a search (`hpo.trial` is set) the same run also reports to its study, and does not
look at the test set.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from multiclin import __version__
from multiclin.adapting import merge
from multiclin.analysis.evaluation import lexicon_of
from multiclin.analysis.runs import save, save_lexicon
from multiclin.assembly import make_module, open_data
from multiclin.bundle import save_bundle
from multiclin.ceiling import Ceiling
from multiclin.continuing import check_corpus, stop_explained
from multiclin.corpus.splits import describe_overlaps, save_split
from multiclin.datamodule import NerDataModule
from multiclin.files import read_text
from multiclin.fitting import as_said, fitted, fitting_trainer, take_best
from multiclin.forgetting import TESTS, before_and_after, tested, tested_before
from multiclin.module import NerModule, Scored
from multiclin.opening import open_corpus
from multiclin.output import write_json, write_predictions
from multiclin.processes import processes_watched
from multiclin.report import ceiling_table, model_card, score_table
from multiclin.running import own_device
from multiclin.schema import TUNED
from multiclin.steps import Step
from multiclin.stopping import Stop
from multiclin.tables import as_text
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
    return fitted(config, fit_and_score)


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
    own = own_device(config.trainer, config.hpo.slot) if config.hpo is not None else {}
    more = [search] if search else []
    return fitting_trainer(config, stop, validated=validated, more=more, **own)


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
    merge_low_rank(module)
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
        shown = as_said(folder)
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


def merge_low_rank(module: NerModule) -> None:
    """Put LoRA's updates into the matrices that they belong to."""
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
