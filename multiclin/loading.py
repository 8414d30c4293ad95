"""A tokenised corpus as Lightning loads it: a store, a split of its documents, shuffled windows.

`prepare_data` reads and tokenises the texts once into the cache (one process, any number of runs);
`setup` opens it and splits it. Texts are never kept in memory: training streams slices of
memory-mapped arrays. What a window carries beside its subwords is the affair of subclasses: tags
(`datamodule`) or masks (`pretraining_data`).
"""

from __future__ import annotations

import logging
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from multiclin.augmentation import Augmentation
from multiclin.batch import Collate, TrainingWindows
from multiclin.corpus.source import Source
from multiclin.corpus.splits import Header
from multiclin.encoder import Subwords
from multiclin.errors import CheckpointError, ConfigError
from multiclin.files import alone, atomic_write
from multiclin.mixture import Mixture, Sampling
from multiclin.sampling import LengthGroupedBatches
from multiclin.splitting import Splitting, share_out
from multiclin.stopping import serve_on
from multiclin.store import Store, store_name
from multiclin.tagging import Tagging

log = logging.getLogger(__name__)

OVERVIEW = "overview.txt"
"""File in a store: the table of what it was made from."""


@dataclass(frozen=True, slots=True)
class Loading:
    """How batches are made.

    Attributes:
        step_size: Windows per optimizer step, over all processes and accumulated batches.
        evaluation_batch_size: Windows per batch in validation, test and prediction.
        seed: Seed of the shuffling.
        workers: Worker processes of a loader; None chooses (none on a CPU, up to 4 with a GPU).
        validated: Share of the validation documents that validations while training look at.
        sampling: How the windows of an epoch are drawn.
        augmentation: What is changed in the windows of a training.

    Raises:
        ConfigError: The share is none.
    """

    step_size: int = 8
    evaluation_batch_size: int = 16
    seed: int = 13
    workers: int | None = None
    validated: float = 1.0
    sampling: Sampling = field(default_factory=Sampling)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if not 0 < self.validated <= 1:
            raise ConfigError(
                f"data.validation.fraction={self.validated} must be above 0 and at most 1"
            )

    @property
    def worker_processes(self) -> int:
        """The number of workers that is meant."""
        if self.workers is not None:
            return self.workers
        # Slicing a memory map costs microseconds: on a CPU a worker only takes a core away.
        return min(4, len(os.sched_getaffinity(0))) if torch.cuda.is_available() else 0


class StoredWindows(pl.LightningDataModule, ABC):
    """Streams the windows of a corpus to train on.

    Args:
        corpus: The documents.
        subwords: The tokenizer.
        tagging: How mentions become tags.
        splitting: How documents are shared out.
        loading: How batches are made.
        cache: Folder of the stores.
        padded: Whether windows of unlike length in a batch cost padding.
    """

    def __init__(
        self,
        corpus: Source,
        subwords: Subwords,
        tagging: Tagging,
        *,
        splitting: Splitting,
        loading: Loading,
        cache: Path,
        padded: bool,
    ) -> None:
        super().__init__()
        self.source, self.subwords, self.tagging, self.padded = corpus, subwords, tagging, padded
        self.splitting, self.loading, self.cache = splitting, loading, cache
        self._batches: LengthGroupedBatches | None = None
        self._position: dict[str, Any] = {}  # where a run that is gone on with begins

    @property
    @abstractmethod
    def windows(self) -> TrainingWindows:
        """What is trained on."""

    @property
    def mixture(self) -> Mixture | None:
        """How often each of them comes in an epoch; None: once."""
        return None

    def store_parts(self) -> dict[str, object]:
        """What the content of the store depends on."""
        return {
            "corpus": self.source.digest,
            "tokenizer": self.subwords.files["tokenizer.json"],
            "scheme": self.tagging.scheme.name,
            "heads": self.tagging.heads,
            "overlaps": self.tagging.overlaps,
        }

    @cached_property
    def folder(self) -> Path:
        """Where the store of this corpus, tokenizer and tagging lies."""
        return self.cache / store_name(self.store_parts())

    def prepare_data(self) -> None:
        """Tokenise the corpus into the cache, once; what was read is noted beside it."""
        overview = self.folder / OVERVIEW
        if overview.is_file():
            return
        with alone(self.folder):
            if overview.is_file():  # Made by another process while this one waited.
                return
            log.info("reading and tokenising into %s", self.folder)
            shutil.rmtree(self.folder, ignore_errors=True)  # Cut off before its overview.
            documents = self.source.settled_documents()
            Store.build(self.folder, documents, self.subwords, self.tagging)
            with atomic_write(overview) as stream:
                stream.write(self.source.overview())

    def setup(self, stage: str | None = None) -> None:
        """Open the store and share its documents out."""
        if hasattr(self, "store"):
            return
        self.store = Store(self.folder)
        self.split = share_out(self.store.entries, self.splitting)

    @property
    def parts(self) -> dict[str, list[int]]:
        """Numbers of the documents of every split."""
        return self.split

    def headers(self) -> dict[str, list[Header]]:
        """Per split the headers of its documents."""
        entries = self.store.entries
        return {
            name: [Header(entries[n].id, entries[n].language, entries[n].case) for n in numbers]
            for name, numbers in self.parts.items()
        }

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled batches of windows of like length."""
        rank, world = self._place()
        batches = LengthGroupedBatches(
            self.windows.lengths,
            self.loading.step_size,
            seed=self.loading.seed,
            rank=rank,
            world=world,
            accumulated=self.trainer.accumulate_grad_batches if self.trainer else 1,
            pool=8 if self.padded else 1,
            mixture=self.mixture,
        )
        self._batches = batches
        if self.trainer:
            # Workers draw their first batches before Lightning sets the epoch; and it asks for the
            # loader before it restores the counters that say where a resumed run is.
            loop: Any = self.trainer.fit_loop
            batches.set_epoch(self._position.get("epoch", loop.epoch_progress.current.processed))
            batches.done = self._position.get("done", 0)
            self._check_order(self._position.get("order", {}))
        self._position = {}
        return DataLoader(
            self.windows,
            batch_sampler=batches,
            collate_fn=Collate(self.subwords).share,  # type: ignore[arg-type]
            **self._workers(),
        )

    def state_dict(self) -> dict[str, Any]:
        """The position in the training, for a checkpoint."""
        if self.trainer is None or self._batches is None:
            return {}
        loop: Any = self.trainer.fit_loop
        # Not `completed`: at the end of a batch, where checkpoints are saved, that is one less.
        done = loop.epoch_loop.batch_progress.current.processed
        return {
            "corpus": self.source.digest,
            "epoch": loop.epoch_progress.current.processed,
            "done": done % max(1, int(self.trainer.num_training_batches)),
            "order": self._order(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Begin the next training at this position."""
        self._position = state_dict

    def _order(self) -> dict[str, int | str]:
        """What decides which windows are in which step and batch; processes share a batch out."""
        assert self.trainer is not None
        assert self._batches is not None
        return {
            "seed": self.loading.seed,
            "data.effective_batch_size": self.loading.step_size,
            "batches accumulated": self.trainer.accumulate_grad_batches,
            "training windows": len(self._batches.lengths),
            "data.sampling": "plain" if self.mixture is None else str(self.mixture),
        }

    def _check_order(self, then: Mapping[str, int | str]) -> None:
        """Raise where a checkpoint's position would be another place in this run's order."""
        now = self._order()
        others = [
            f"{name} was {then[name]} and is {now[name]}"
            for name in now
            if then.get(name, now[name]) != now[name]
        ]
        if others:
            raise CheckpointError(
                f"this run cannot go on from that checkpoint: {', '.join(others)}; say the same "
                "again, or begin a new run from its weights with weights=..."
            )

    def _workers(self) -> dict[str, Any]:
        workers = self.loading.worker_processes
        return {
            "num_workers": workers,
            "persistent_workers": workers > 0,
            "pin_memory": torch.cuda.is_available(),
            "worker_init_fn": serve_on,
            # Else each pass draws a seed from the generator that dropout draws from.
            "generator": torch.Generator(),
        }

    def _place(self) -> tuple[int, int]:
        """Rank of this process and number of processes."""
        trainer = self.trainer
        return (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
