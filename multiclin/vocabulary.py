"""The vocabulary of a model from scratch: learned from the texts that it is trained on; kept."""

from __future__ import annotations

import logging
from pathlib import Path

from multiclin.corpus.source import Source
from multiclin.encoder import Subwords
from multiclin.files import alone, atomic_folder, read_text
from multiclin.splitting import Splitting, share_out
from multiclin.store import entry_of, store_name

log = logging.getLogger(__name__)


def vocabulary(corpus: Source, splitting: Splitting, size: int, cache: Path) -> Subwords:
    """Subwords learned from the training texts; read from the cache where they were before."""
    parts = {
        "corpus": corpus.digest,
        "splitting": repr(splitting),
        "ids": read_text(splitting.ids) if splitting.ids else "",
        "vocabulary": size,
    }
    folder = cache / f"vocabulary-{store_name(parts)}"
    if not folder.is_dir():
        with alone(folder):
            if not folder.is_dir():  # Nobody made it while this process waited.
                log.info("learning %d subwords from the training texts", size)
                learn(corpus, splitting, size, folder)
    return Subwords.load(folder)


def learn(corpus: Source, splitting: Splitting, size: int, folder: Path) -> None:
    """Learn subwords from the training texts into a new folder."""
    with atomic_folder(folder) as building:
        entries = [entry_of(role, document) for role, document in corpus.documents()]
        training = set(share_out(entries, splitting)["train"])
        texts = (
            document.text
            for number, (_, document) in enumerate(corpus.settled_documents())
            if number in training
        )
        Subwords.train(texts, size).save(building)
