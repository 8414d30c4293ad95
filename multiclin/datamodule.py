"""The corpus as Lightning sees it: a store on disk, a split of its documents, streams of batches.

`prepare_data` reads and tokenises the corpus once into the cache (one process, any number of runs);
`setup` opens it, splits it and makes the loaders' parts. Texts are never kept in memory: training
streams slices of memory-mapped arrays, evaluation reads documents one by one.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from multiclin import __version__
from multiclin.augmentation import Augmentation, Augmenter
from multiclin.batch import TrainingWindows, WindowStream
from multiclin.bundle import Model
from multiclin.ceiling import Ceiling, corpus_ceiling
from multiclin.corpus.source import Corpus
from multiclin.corpus.splits import (
    Header,
    Overlap,
    overlapping_texts,
)
from multiclin.errors import CheckpointError, ConfigError
from multiclin.files import alone, atomic_write, read_text
from multiclin.flat import takes_rows
from multiclin.mixture import Group, Mixture, Sampling
from multiclin.sampling import LengthGroupedBatches
from multiclin.splitting import Splitting, share_out, share_out_replayed
from multiclin.stopping import serve_on
from multiclin.store import Store, store_name
from multiclin.versions import JoinedStore, versions_of
from multiclin.windows import IGNORED, Tokenized, Window

log = logging.getLogger(__name__)

OVERVIEW = "overview.txt"
"""File in a store: the table of the sets that it was made from."""


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


class NerDataModule(pl.LightningDataModule):
    """Streams the windows of a corpus.

    Args:
        corpus: The documents.
        model: Gives tokenizer, tagging and windows.
        splitting: How documents are shared out.
        loading: How batches are made.
        cache: Folder of the stores.
    """

    def __init__(
        self,
        corpus: Corpus,
        model: Model,
        splitting: Splitting,
        loading: Loading,
        cache: Path,
    ) -> None:
        super().__init__()
        self.corpus, self.model = corpus, model
        self.splitting, self.loading, self.cache = splitting, loading, cache
        self._batches: LengthGroupedBatches | None = None
        self._position: dict[str, Any] = {}  # where a run that is gone on with begins

    @cached_property
    def folder(self) -> Path:
        """Where the store of this corpus, tokenizer and tagging lies."""
        tagging = self.model.recipe.tagging
        parts = {
            "corpus": self.corpus.digest,
            "labels": dict(self.corpus.labels),
            "discontinuous": self.corpus.discontinuous,
            "tokenizer": self.model.subwords.files["tokenizer.json"],
            "scheme": tagging.scheme.name,
            "heads": tagging.heads,
            "overlaps": tagging.overlaps,
        }
        return self.cache / store_name(parts)

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
            Store.build(
                self.folder,
                self.corpus.settled_documents(),
                self.model.subwords,
                self.model.recipe.tagging,
            )
            with atomic_write(overview) as stream:
                stream.write(self.corpus.overview())

    def setup(self, stage: str | None = None) -> None:
        """Open the store and share its documents out."""
        if hasattr(self, "store"):
            return
        self.store = Store(self.folder)
        self.split = share_out(self.store.entries, self.splitting)
        self.replayed = share_out_replayed(self.store.entries, self.splitting)
        self._leave_out_what_is_scored()

    def _leave_out_what_is_scored(self) -> None:
        """Replay no document whose text is validated or tested on."""
        scored = [*self.split["validation"], *self.split["test"], *self.replayed["test"]]
        sides = {"scored": scored, "replayed": self.replayed["train"]}
        found = overlapping_texts(
            {
                side: ((str(number), self.store.text(number)) for number in numbers)
                for side, numbers in (sides.items() if self.replayed["train"] else ())
            }
        )
        both = {int(number) for one in found for side, number in one if side == "replayed"}
        self.replayed["train"] = [n for n in self.replayed["train"] if n not in both]
        if both:
            log.info("%d documents are not replayed: their texts are scored on", len(both))

    @property
    def parts(self) -> dict[str, list[int]]:
        """Numbers of the documents of every split.

        Where there are any, of `replayed` ones too, and of `replayed_test`, that show what was
        forgotten.
        """
        names = {"train": "replayed", "test": "replayed_test"}
        replayed = {names[side]: part for side, part in self.replayed.items() if part}
        return {**self.split, **replayed}

    def overview(self) -> str:
        """What was read into the store, as a table."""
        return read_text(self.folder / OVERVIEW)

    def headers(self) -> dict[str, list[Header]]:
        """Per split the headers of its documents."""
        entries = self.store.entries
        return {
            name: [Header(entries[n].id, entries[n].language, entries[n].case) for n in numbers]
            for name, numbers in self.parts.items()
        }

    def leaks(self) -> list[Overlap]:
        """Texts that stand in two splits; replayed documents are trained on, or tested on."""
        sides = {
            "train": [*self.split["train"], *self.replayed["train"]],
            "validation": self.split["validation"],
            "test": [*self.split["test"], *self.replayed["test"]],
        }
        return overlapping_texts(
            {
                name: ((self.store.entries[n].id, self.store.text(n)) for n in numbers)
                for name, numbers in sides.items()
            }
        )

    def ceilings(self) -> dict[str, dict[str, Ceiling]]:
        """Per split and language the best that can be reached (see `ceiling`).

        Counted once per split and recipe, and then kept beside the store: trials share it.
        """
        recipe = self.model.recipe
        name = store_name({"recipe": asdict(recipe), "split": self.split, "version": __version__})
        kept = self.store.folder / f"ceiling-{name}.json"
        if kept.is_file():
            counts = json.loads(read_text(kept))
            return {
                split: {code: Ceiling.of(count) for code, count in languages.items()}
                for split, languages in counts.items()
            }
        log.info("counting the mentions that can be found")
        found = {
            name: corpus_ceiling(
                (self.store.tokenized(number) for number in numbers),
                recipe.tagging,
                self.model.decoder(),
                self.model.windowing,
            )
            for name, numbers in self.split.items()
        }
        counts = {
            split: {code: ceiling.counts() for code, ceiling in languages.items()}
            for split, languages in found.items()
        }
        with atomic_write(kept, overwrite=True) as stream:
            json.dump(counts, stream)
        return found

    def tag_counts(self) -> list[list[int]]:
        """Per head how often each of its tags is gold in the training documents."""
        tagging = self.model.recipe.tagging
        counts = np.zeros((len(tagging.heads), len(tagging.scheme)), dtype=np.int64)
        for number in self.split["train"]:
            _, tags = self.store.tokens(number, Window(0, int(self.store.lengths[number])))
            for row, gold in enumerate(tags):
                counts[row] += np.bincount(gold[gold != IGNORED], minlength=len(tagging.scheme))
        found: list[list[int]] = counts.tolist()
        return found

    @cached_property
    def windows(self) -> TrainingWindows:
        """The windows to train on, replayed ones behind the others."""
        store, numbers = self.store, [*self.split["train"], *self.replayed["train"]]
        versions = versions_of(store, numbers) if len(self.model.recipe.labels) > 1 else {}
        if any(versions.values()):
            store, numbers = JoinedStore(self.store.folder, versions), list(versions)
        augmenter = self._augmenter(store, numbers)
        return TrainingWindows(store, numbers, self.model.windowing, augmenter)

    @cached_property
    def mixture(self) -> Mixture:
        """How often each of them comes in an epoch."""
        entries, replayed = self.windows.store.entries, set(self.replayed["train"])
        groups = {
            number: Group(entries[number].language, tuple(sorted(entries[number].annotated)), old)
            for number in set(self.windows.rows[:, 0].tolist())
            for old in [number in replayed]
        }
        of_windows = [groups[number] for number in self.windows.rows[:, 0].tolist()]
        return Mixture(of_windows, self.loading.sampling, self.loading.seed)

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
            pool=1 if takes_rows(self.model.tagger.encoder) else 8,
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
            collate_fn=self.model.collate.share,  # type: ignore[arg-type]
            **self._workers(),
        )

    def _augmenter(self, store: Store, numbers: Sequence[int]) -> Augmenter | None:
        """What changes the windows of these documents; None where nothing does."""
        if self.loading.augmentation.is_none:
            return None
        return Augmenter(
            self.loading.augmentation,
            store,
            numbers,
            self.model.subwords,
            self.model.recipe.tagging.scheme,
            room=self.model.windowing.room,
            seed=self.loading.seed,
        )

    def state_dict(self) -> dict[str, Any]:
        """The position in the training, for a checkpoint."""
        if self.trainer is None or self._batches is None:
            return {}
        loop: Any = self.trainer.fit_loop
        # Not `completed`: at the end of a batch, where checkpoints are saved, that is one less.
        done = loop.epoch_loop.batch_progress.current.processed
        return {
            "corpus": self.corpus.digest,
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
            "data.sampling": str(self.mixture),
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

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation documents that are looked at while training."""
        numbers = self.split["validation"]
        looked_at = math.ceil(self.loading.validated * len(numbers))
        order = np.random.default_rng(self.loading.seed).permutation(len(numbers))
        return self._documents_loader([numbers[n] for n in sorted(order[:looked_at])])

    def test_dataloader(self) -> DataLoader[Any]:
        """The test documents."""
        return self.documents_loader("test")

    def documents_loader(self, split: str) -> DataLoader[Any]:
        """Batches over the whole documents of a split (one of `parts`)."""
        return self._documents_loader(self.parts[split])

    def _documents_loader(self, numbers: Sequence[int]) -> DataLoader[Any]:
        rank, world = self._place()
        stream = WindowStream(
            StoredDocuments(self.store, numbers),
            self.model.collate,
            self.model.windowing,
            size=self.loading.evaluation_batch_size,
            rank=rank,
            world=world,
        )
        return DataLoader(stream, batch_size=None, **self._workers())

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


class StoredDocuments:
    """Documents of a store for `WindowStream`.

    Args:
        store: The store.
        numbers: Their numbers.
    """

    def __init__(self, store: Store, numbers: Sequence[int]) -> None:
        self.store, self.numbers = store, numbers

    def __call__(self, part: int, parts: int) -> Iterator[Tokenized]:
        """Every `parts`-th document from `part` on."""
        return (self.store.tokenized(number) for number in self.numbers[part::parts])
