"""Prediction: a trained model, or several as one, over any number of texts, in flat memory.

A model comes from its checkpoint or bundle alone. Texts are read, tokenised and cut in the
loader's workers, portion by portion, and kept as they complete (`spool`); a file that cannot be
read is named at the end and the rest is still predicted. A prediction that was cut off goes on when
the same command is given again, and several commands can share one out (`shard=0/8`): the result is
byte for byte the same. (DESIGN sections 3 and 4.)
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from multiclin.analysis.runs import read_lexicon, run_of
from multiclin.analysis.sources import Side, beside, read_side
from multiclin.bundle import Model
from multiclin.callbacks import PredictionWriter
from multiclin.corpus import as_name
from multiclin.corpus.texts import Texts
from multiclin.ensemble import load_members
from multiclin.errors import ConfigError, CorpusError, OutOfMemoryError
from multiclin.faults import first_line, is_out_of_memory
from multiclin.files import claimed, read_text
from multiclin.fingerprint import fingerprint
from multiclin.loading import Loading
from multiclin.members import members_of
from multiclin.module import NerModule
from multiclin.opening import output_of
from multiclin.output import Output
from multiclin.pace import Pace
from multiclin.portions import PortionStream
from multiclin.processes import (
    is_first_process,
    processes_ended,
    processes_watched,
    quiet_other_processes,
)
from multiclin.running import make_trainer
from multiclin.schema import bias_of
from multiclin.shards import Shard
from multiclin.spool import Spool
from multiclin.stopping import Stop, serve_on

log = logging.getLogger(__name__)


def predict(config: DictConfig) -> None:
    """Predict as configured.

    Raises:
        MulticlinError: The model, the input or the place for output is wrong. Where only some
            files cannot be read it comes after everything else has been written.
    """
    quiet_other_processes()
    shard, folder = Shard.parse(config.shard), Path(config.output)
    claim = claimed(folder, shard.name if shard.of > 1 else "")
    with Stop(goes_on=True), claim if is_first_process() else nullcontext():
        predict_all(config, shard)


def predict_all(config: DictConfig, shard: Shard) -> None:
    """The steps of a prediction, in the folder that it has to itself or shares with others."""
    output = output_of(config)
    texts = Texts(Path(config.input))
    model = load(config)
    gold = open_gold(config, texts)
    runner = make_trainer(
        config.trainer,
        [],
        [],
        workers=Loading(workers=config.workers).worker_processes,
        precision=config.precision,
        enable_progress_bar=False,
    )
    spool = Spool(output.folder, shard)
    spool.begin(fingerprint(model, texts, str(runner.precision)), config.overwrite)
    if not spool.has_ended:
        run(config, runner, model, texts, spool)
    if runner.is_global_zero:
        finish(config, model, output, spool, gold)


def run(config: DictConfig, runner: pl.Trainer, model: Model, texts: Texts, spool: Spool) -> None:
    """Predict what is left of this shard."""
    done = spool.finished()
    left = spool.shard.left(texts.portions, done)
    pace = Pace(sum(map(texts.size, [*done, *left])), sum(map(texts.size, done)))
    if done:
        log.info("going on after %s", pace.counted)
    stream = PortionStream(
        texts,
        left,
        model,
        size=config.batch_size,
        rank=runner.global_rank,
        world=runner.world_size,
    )
    workers = Loading(workers=config.workers).worker_processes
    loader = DataLoader(stream, batch_size=None, num_workers=workers, worker_init_fn=serve_on)
    runner.callbacks.append(PredictionWriter(model, spool, pace))  # type: ignore[attr-defined]
    try:
        with processes_ended(), processes_watched(runner):
            if left:
                runner.predict(NerModule(model), dataloaders=loader, return_predictions=False)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"a batch of {config.batch_size} windows does not fit in memory ({first_line(error)}); "
            f"say batch_size={max(1, config.batch_size // 2)}: it changes no prediction"
        ) from error


def finish(
    config: DictConfig, model: Model, output: Output, spool: Spool, gold: Side | None
) -> None:
    """Publish, where this shard completes the set.

    Raises:
        CorpusError: Documents could not be read; everything else has been written.
    """
    spool.end()
    problems = spool.problems()
    try:
        missing = output.publish(spool)
    except Exception:
        log.info("all is predicted: the same command only writes it, in other formats= too")
        raise
    if spool.shard in missing:
        log.info("another shard has published the predictions: %s", output.tsv)
    elif missing:
        shown = ", ".join(f"shard={one}" for one in missing[:3]) + (", ..." if missing[3:] else "")
        log.info(
            "shard=%s is done; %d of %d are not (%s), and the last one writes the predictions",
            *(spool.shard, len(missing), spool.shard.of, shown),
        )
    else:
        problems = output.problems
        log.info("%d mentions in %d documents: %s", output.mentions, output.documents, output.tsv)
        if config.report:
            report(config, model, output, gold)
    if problems:
        raise CorpusError(problems)


def load(config: DictConfig) -> Model:
    """The model or ensemble, with the decoding settings that the command line changes."""
    model = load_members(config.ckpt)
    changes = {key: value for key, value in config.decoding.items() if value is not None}
    if "bias" in changes:
        changes["bias"] = bias_of(changes["bias"], model.recipe.labels)
    return replace(model, recipe=replace(model.recipe, **changes))


def open_gold(config: DictConfig, texts: Texts) -> Side | None:
    """The gold of the texts, read first: a mistake in it is better told before an hour of work."""
    if config.report and config.report.native:
        read_text(Path(config.report.native))
    if not config.gold:
        return None
    gold = read_side(Path(config.gold), "gold=")
    if not texts.is_jsonl and gold.names.isdisjoint(texts.names()):
        raise ConfigError(
            f"gold={config.gold} and input={config.input} share no document: "
            f"{as_name(min(gold.names, default=''))} and {as_name(min(texts.names()))}"
        )
    return gold


def report(config: DictConfig, model: Model, output: Output, gold: Side | None) -> None:
    """Write the pages of a prediction, scored where there is gold."""
    from multiclin.analysis.frames import frames
    from multiclin.analysis.report import summary, write_report

    if output.documents > output.keep:
        log.info("no report: there are more than report.documents=%d documents", output.keep)
        return
    evaluation = beside(
        Side.of(output.kept, output.folder),
        gold,
        entity=model.recipe.labels[0] if len(model.recipe.labels) == 1 else None,
        native=Path(config.report.native) if config.report.native else None,
        lexicon=read_lexicon(run_of(members_of(config.ckpt)[0].path)),
    )
    title, tables = f"{', '.join(model.recipe.labels)}: {output.folder.name}", frames(evaluation)
    path = write_report(
        output.folder, title, [evaluation], tables=tables, texts=config.report.texts
    )
    if gold:
        log.info("%s", summary(evaluation, tables))
    log.info("the report: %s%s", path, "" if gold else " (gold=PATH would score it)")
