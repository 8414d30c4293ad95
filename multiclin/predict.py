"""Prediction: a trained model over any number of texts, in flat memory.

The model comes from its checkpoint or bundle alone. Texts are read, tokenised and cut in the
loader's workers, and written as they complete; a file that cannot be read is named at the end and
the rest is still predicted. (DESIGN sections 3 and 4.)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from multiclin.analysis.runs import read_lexicon, run_of
from multiclin.analysis.sources import Side, beside, read_side
from multiclin.batch import WindowStream
from multiclin.bundle import Model, load_model
from multiclin.callbacks import PredictionWriter
from multiclin.corpus import as_name
from multiclin.corpus.texts import Texts
from multiclin.datamodule import Loading
from multiclin.document import Document
from multiclin.encoder import Subwords
from multiclin.errors import ConfigError, CorpusError, OutOfMemoryError, Problem
from multiclin.faults import first_line, is_out_of_memory
from multiclin.files import claimed, read_text
from multiclin.module import NerModule
from multiclin.opening import model_of, spool_of
from multiclin.output import Spool
from multiclin.processes import (
    is_first_process,
    processes_ended,
    processes_watched,
    quiet_other_processes,
)
from multiclin.running import Progress, make_trainer
from multiclin.stopping import Stop, serve_on
from multiclin.windows import Tokenized

log = logging.getLogger(__name__)

CHUNK = 64
"""Texts that are read and tokenised together."""


def predict(config: DictConfig) -> None:
    """Predict as configured.

    Raises:
        MulticlinError: The model, the input or the place for output is wrong. Where only some
            files cannot be read it comes after everything else has been written.
    """
    quiet_other_processes()
    with Stop(), claimed(Path(config.output)) if is_first_process() else nullcontext():
        predict_all(config)


def predict_all(config: DictConfig) -> None:
    """The steps of a prediction, in the folder that it has to itself."""
    spool = spool_of(config)
    model = load(config)
    found = Texts(Path(config.input))
    gold = open_gold(config, found)
    texts = TokenizedTexts(found, model.subwords)
    callbacks = [PredictionWriter(model, spool), Progress()]
    workers = Loading(workers=config.workers).worker_processes
    runner = make_trainer(
        config.trainer, callbacks, [], workers=workers, precision=config.precision
    )
    stream = WindowStream(
        texts,
        model.collate,
        model.windowing,
        size=config.batch_size,
        rank=runner.global_rank,
        world=runner.world_size,
    )
    loader = DataLoader(stream, batch_size=None, num_workers=workers, worker_init_fn=serve_on)
    module = NerModule(model)
    try:
        with processes_ended(), processes_watched(runner):
            runner.predict(module, dataloaders=loader, return_predictions=False)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"a batch of {config.batch_size} windows does not fit in memory ({first_line(error)}); "
            f"say batch_size={max(1, config.batch_size // 2)}: it changes no prediction"
        ) from error
    if runner.is_global_zero:
        log.info("%d mentions in %d documents: %s", spool.mentions, spool.documents, spool.tsv)
        if config.report:
            report(config, model, spool, gold)
        if spool.problems:
            raise CorpusError(spool.problems)


def load(config: DictConfig) -> Model:
    """The model, with the decoding settings that the command line changes."""
    model = load_model(model_of(config))
    changes = {key: value for key, value in config.decoding.items() if value is not None}
    return replace(model, recipe=replace(model.recipe, **changes))


def open_gold(config: DictConfig, texts: Texts) -> Side | None:
    """The gold of the texts, read first: a mistake in it is better told before an hour of work."""
    if config.report and config.report.native:
        read_text(Path(config.report.native))
    if not config.gold:
        return None
    gold = read_side(Path(config.gold), "gold=")
    if texts.files and gold.names.isdisjoint(texts.files):
        raise ConfigError(
            f"gold={config.gold} and input={config.input} share no document: "
            f"{as_name(min(gold.names, default=''))} and {as_name(min(texts.files))}"
        )
    return gold


def report(config: DictConfig, model: Model, spool: Spool, gold: Side | None) -> None:
    """Write the pages of a prediction, scored where there is gold."""
    from multiclin.analysis.frames import frames
    from multiclin.analysis.report import summary, write_report

    if spool.documents > spool.keep:
        log.info("no report: there are more than report.documents=%d documents", spool.keep)
        return
    evaluation = beside(
        Side.of(spool.kept, spool.folder),
        gold,
        entity=model.recipe.labels[0] if len(model.recipe.labels) == 1 else None,
        native=Path(config.report.native) if config.report.native else None,
        lexicon=read_lexicon(run_of(Path(config.ckpt))),
    )
    title, tables = f"{', '.join(model.recipe.labels)}: {spool.folder.name}", frames(evaluation)
    path = write_report(spool.folder, title, [evaluation], tables=tables, texts=config.report.texts)
    if gold:
        log.info("%s", summary(evaluation, tables))
    log.info("the report: %s%s", path, "" if gold else " (gold=PATH would score it)")


class TokenizedTexts:
    """Texts for `WindowStream`, tokenised as they are asked for.

    Args:
        texts: The texts.
        subwords: The tokenizer.
    """

    def __init__(self, texts: Texts, subwords: Subwords) -> None:
        self.texts, self.subwords = texts, subwords

    def __call__(self, part: int, parts: int) -> Iterator[Tokenized]:
        """Every `parts`-th document from `part` on."""
        found = self.texts.read(part, parts)
        while chunk := list(islice(found, CHUNK)):
            documents = [one for one in chunk if isinstance(one, Document)]
            tokenized = iter(self.subwords.tokenize(documents))
            for one in chunk:
                yield next(tokenized) if isinstance(one, Document) else _unreadable(one)


def _unreadable(problem: Problem) -> Tokenized:
    nothing = np.empty(0, dtype=np.int32)
    return Tokenized(Document(str(problem.path), ""), nothing, nothing, nothing, problem=problem)
