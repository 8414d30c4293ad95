"""A corpus with its mentions as Lightning sees it: windows with tags, and documents to be scored.

Training streams shuffled windows (`loading`), evaluation reads whole documents one by one.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from multiclin import __version__
from multiclin.augmentation import Augmenter
from multiclin.batch import TrainingWindows, WindowStream
from multiclin.bundle import Model
from multiclin.ceiling import Ceiling, corpus_ceiling
from multiclin.corpus.source import Corpus
from multiclin.corpus.splits import Overlap, overlapping_texts
from multiclin.files import atomic_write, read_text
from multiclin.flat import takes_rows
from multiclin.loading import OVERVIEW, Loading, StoredWindows
from multiclin.mixture import Group, Mixture
from multiclin.splitting import Splitting, share_out_replayed
from multiclin.store import Store, store_name
from multiclin.versions import JoinedStore, versions_of
from multiclin.windows import IGNORED, Tokenized, Window

log = logging.getLogger(__name__)


class NerDataModule(StoredWindows):
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
        super().__init__(
            corpus,
            model.subwords,
            model.recipe.tagging,
            splitting=splitting,
            loading=loading,
            cache=cache,
            padded=not takes_rows(model.tagger.encoder),
        )
        self.corpus, self.model = corpus, model

    def store_parts(self) -> dict[str, object]:
        """What the content of the store depends on."""
        own = {"labels": dict(self.corpus.labels), "discontinuous": self.corpus.discontinuous}
        return {**super().store_parts(), **own}

    def setup(self, stage: str | None = None) -> None:
        """Open the store and share its documents out."""
        if hasattr(self, "store"):
            return
        super().setup(stage)
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
