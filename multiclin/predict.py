"""Prediction: a trained model over any number of texts, in flat memory.

The model comes from its checkpoint or bundle alone. Texts are read, tokenised and cut in the
loader's workers, and written as they complete; a file that cannot be read is named at the end and
the rest is still predicted. (DESIGN sections 3 and 4.)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from multiclin.batch import WindowStream
from multiclin.bundle import Model, load_model
from multiclin.callbacks import PredictionWriter
from multiclin.corpus.jsonl import read_documents
from multiclin.corpus.release import case_of, find_texts
from multiclin.datamodule import Loading
from multiclin.document import Document
from multiclin.encoder import Subwords
from multiclin.errors import ConfigError, CorpusError, Problem
from multiclin.files import read_text
from multiclin.module import NerModule
from multiclin.output import Spool
from multiclin.running import make_trainer
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
    spool = Spool(Path(config.output), tuple(config.formats), config.overwrite)
    model = load(config)
    texts = Texts(Path(config.input), model.subwords)
    runner = make_trainer(config.trainer, [PredictionWriter(model, spool)], [])
    stream = WindowStream(
        texts,
        model.collate,
        model.windowing,
        size=config.batch_size,
        rank=runner.global_rank,
        world=runner.world_size,
    )
    workers = Loading(workers=config.workers).worker_processes
    loader = DataLoader(stream, batch_size=None, num_workers=workers)
    module = NerModule(model)
    runner.predict(module, dataloaders=loader, return_predictions=False)
    if runner.is_global_zero:
        log.info("%d mentions in %d documents: %s", spool.mentions, spool.documents, spool.tsv)
        if spool.problems:
            raise CorpusError(spool.problems)


def load(config: DictConfig) -> Model:
    """The model, with the decoding settings that the command line changes."""
    if not isinstance(config.ckpt, str):
        raise ConfigError(f"ckpt={config.ckpt}: give one checkpoint or bundle")
    model = load_model(config.ckpt)
    changes = {key: value for key, value in config.decoding.items() if value is not None}
    return replace(model, recipe=replace(model.recipe, **changes))


class Texts:
    """The texts at a path for `WindowStream`, tokenised as they are asked for.

    Args:
        path: A folder of .txt, a .txt, or a .jsonl.
        subwords: The tokenizer.

    Raises:
        CorpusError: There is no such path, or no text in it.
    """

    def __init__(self, path: Path, subwords: Subwords) -> None:
        self.path, self.subwords = path, subwords
        if not path.exists():
            raise CorpusError([Problem(path, 0, "input does not exist")])
        self.files = [] if self._is_jsonl else list(find_texts(path))
        stems = [file.stem for file in self.files]
        self.ambiguous = {stem for stem in stems if stems.count(stem) > 1}

    @property
    def _is_jsonl(self) -> bool:
        return self.path.suffix == ".jsonl"

    def __call__(self, part: int, parts: int) -> Iterator[Tokenized]:
        """Every `parts`-th document from `part` on."""
        found: Iterator[Document | Problem] = map(self._read, self.files[part::parts])
        if self._is_jsonl:
            found = islice(read_documents(self.path), part, None, parts)
        while chunk := list(islice(found, CHUNK)):
            documents = [one for one in chunk if isinstance(one, Document)]
            tokenized = iter(self.subwords.tokenize(documents))
            for one in chunk:
                yield next(tokenized) if isinstance(one, Document) else _unreadable(one)

    def _read(self, file: Path) -> Document | Problem:
        try:
            text = read_text(file)
        except CorpusError as error:
            return error.problems[0]
        name = file.stem
        if name in self.ambiguous:
            name = file.relative_to(self.path).with_suffix("").as_posix()
        return Document(name, text, case=case_of(file.stem))


def _unreadable(problem: Problem) -> Tokenized:
    nothing = np.empty(0, dtype=np.int32)
    return Tokenized(Document(str(problem.path), ""), nothing, nothing, nothing, problem=problem)
