"""Unlabelled texts as Lightning sees them: windows with masks, drawn anew in each epoch.

Documents are held out by case, a share of each language; their windows are masked with the same
masks in every validation. The masks of a window depend on the seed, the epoch and its number, on
nothing that was drawn before: any worker or process draws the same ones, and a training that goes
on in mid-epoch draws those that it would have drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from torch.utils.data import DataLoader

from multiclin.batch import Collate, Piece, TrainingWindows
from multiclin.corpus.unlabelled import LABEL, UnlabelledTexts
from multiclin.flat import takes_rows
from multiclin.language_model import LanguageModel
from multiclin.loading import Loading, StoredWindows
from multiclin.masking import WORDS, Masker, masks_of
from multiclin.sampling import Share
from multiclin.splitting import Splitting
from multiclin.store import Store
from multiclin.tagging import Tagging
from multiclin.windows import Windowing


class MaskedWindows(TrainingWindows):
    """Windows whose tags are the ids that masked tokens had.

    Args:
        store: Of texts whose mentions are their words.
        documents: Numbers of the documents in the store.
        windowing: How they are cut.
        masker: Masks windows.
        seed: Seed of the masks.
    """

    def __init__(
        self,
        store: Store,
        documents: Sequence[int],
        windowing: Windowing,
        masker: Masker,
        *,
        seed: int,
    ) -> None:
        super().__init__(store, documents, windowing)
        self.windowing, self.masker, self.seed = windowing, masker, seed

    def drawn(self, row: int, moment: tuple[int, int]) -> Piece:
        """A window as it is masked in an epoch."""
        ids, words, placed = self[row]
        assert words is not None
        read, labels = self.masker(ids, words[0], masks_of(self.seed, moment[0], row))
        return Piece(read, labels[None], placed)


class HeldOutWindows(MaskedWindows):
    """Windows to validate on, always with the masks of epoch 0."""

    def batches(self, size: int, rank: int, world: int) -> list[Share]:
        """The batches of a process: windows of like length, up to `size` full ones' tokens."""
        order = self.lengths.argsort(kind="stable").tolist()
        found: list[list[int]] = [[]]
        for row in order:
            tokens = (len(found[-1]) + 1) * (int(self.lengths[row]) + self.windowing.specials)
            if tokens > size * self.windowing.size and found[-1]:
                found.append([])
            found[-1].append(row)
        return [Share(rows, rows, 1) for rows in found[rank::world] if rows]


_Windows = TypeVar("_Windows", bound=MaskedWindows)


class PretrainingData(StoredWindows):
    """Streams masked windows of texts.

    Args:
        texts: The documents.
        model: Gives tokenizer, windows and masks.
        splitting: Which documents are held out.
        loading: How batches are made.
        cache: Folder of the stores.
    """

    def __init__(
        self,
        texts: UnlabelledTexts,
        model: LanguageModel,
        splitting: Splitting,
        loading: Loading,
        cache: Path,
    ) -> None:
        super().__init__(
            texts,
            model.subwords,
            Tagging((LABEL,), WORDS),
            splitting=splitting,
            loading=loading,
            cache=cache,
            padded=not takes_rows(model.network.network),
        )
        self.model = model

    @cached_property
    def windows(self) -> TrainingWindows:
        """Windows with masks."""
        return self._windows(MaskedWindows, "train")

    def val_dataloader(self) -> DataLoader[Any]:
        """The windows of the documents that are held out."""
        windows = self._windows(HeldOutWindows, "validation")
        rank, world = self._place()
        return DataLoader(
            windows,
            batch_sampler=windows.batches(self.loading.evaluation_batch_size, rank, world),
            collate_fn=Collate(self.subwords).share,  # type: ignore[arg-type]
            **self._workers(),
        )

    def tokens(self) -> dict[str, int]:
        """Subwords of the documents of each side."""
        return {
            name: int(self.store.lengths[numbers].sum()) for name, numbers in self.split.items()
        }

    def _windows(self, kind: type[_Windows], split: str) -> _Windows:
        model, seed = self.model, self.loading.seed
        return kind(self.store, self.split[split], model.windowing, model.masker, seed=seed)
