"""What all contestants load: one model, and one file of texts.

The model is written as a bundle, whatever it was. One of another size is made anew, with random
weights and the tokenizer of the model given: how fast a network is depends on its shape alone, so
the real size can be raced where no hub is reached. A random classifier would find mentions
everywhere, which costs decoding more than any model that was trained; its outside tag is given so
much more weight that one token in twenty is in a mention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import nn

from multiclin.analysis.runs import BUNDLE
from multiclin.bench.sizes import SIZES
from multiclin.bundle import Model, Recipe, load_model, new_model, save_bundle
from multiclin.corpus.jsonl import write_documents
from multiclin.corpus.texts import Texts
from multiclin.document import Document
from multiclin.encoder import Subwords, scratch_config
from multiclin.errors import CorpusError, Problem

OUTSIDE = 0.95
"""Share of the tokens that a random classifier leaves outside of mentions."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is raced.

    Attributes:
        title: The model in words.
        model: Its bundle.
        texts: A JSONL file, where there are texts.
        settings: Of train.py, so that it trains in the model's windows.
        documents: Texts in it.
        tokens: Their subwords: each counted once, without special ones.
    """

    title: str
    model: Path
    texts: Path
    settings: tuple[str, ...]
    documents: int = 0
    tokens: int = 0


def enter(
    path: Path, folder: Path, *, size: str | None = None, texts: Sequence[Document] = ()
) -> Entry:
    """Write the model and the texts that are raced.

    Args:
        path: A bundle, a checkpoint, a run, or an encoder; of one with a size only the tokenizer.
        folder: Where to.
        size: A key of `SIZES`, or None for the model as it is.
        texts: What it will read. In the file they are annotated for all labels, and have no
            mentions: training on them is as fast as on any.

    Raises:
        MulticlinError: The model cannot be loaded.
    """
    torch.manual_seed(13)
    is_ours = path.is_file() or any((one / BUNDLE).is_file() for one in (path, path / "model"))
    if is_ours:
        model = load_model(path)
    else:
        model = new_model(Recipe(("X",)), Subwords.of_encoder(path), encoder=str(path))
    if size:
        model = _of_size(model, SIZES[size])
    if texts and (size or not is_ours):
        _mostly_outside(model, max(texts, key=lambda one: len(one.text)))
    parameters = sum(one.numel() for one in model.tagger.parameters()) / 1e6
    title = f"{size} with random weights" if size else str(path)
    entry = Entry(
        f"{title}, {parameters:.1f}M parameters",
        folder / "model",
        folder / "texts.jsonl",
        _windows(model.recipe),
        len(texts),
        sum(len(one) for one in model.subwords.tokenize(texts)),
    )
    save_bundle(model, entry.model, f"# For a benchmark\n\n{title}\n")
    known = frozenset(model.recipe.labels)
    write_documents((replace(one, spans=(), annotated=known) for one in texts), entry.texts)
    return entry


def read_texts(path: Path, limit: int | None) -> list[Document]:
    """The texts at a path, or the first of them.

    Args:
        path: A folder of .txt, a .txt or a .jsonl.
        limit: How many are taken; None for all.

    Raises:
        CorpusError: One cannot be read, or there is none.
    """
    found = list(islice(Texts(path).read(), limit))
    if problems := [one for one in found if isinstance(one, Problem)]:
        raise CorpusError(problems)
    documents = [one for one in found if isinstance(one, Document) and one.text.strip()]
    if not documents:
        raise CorpusError(f"{path}: no text to race on")
    return documents


def _windows(recipe: Recipe) -> tuple[str, ...]:
    settings = {"size": recipe.window, "overlap": recipe.overlap, "context": recipe.context}
    return tuple(f"window.{name}={value}" for name, value in settings.items())


def _of_size(model: Model, shape: dict[str, int]) -> Model:
    subwords = model.subwords
    fields: dict[str, object] = {
        "model_type": "modernbert",
        "max_position_embeddings": 8192,
        **shape,
    }
    vocabulary = max(len(subwords), shape["vocab_size"])
    config = {**scratch_config(fields, subwords), "vocab_size": vocabulary}
    return new_model(model.recipe, subwords, config=config)


def _mostly_outside(model: Model, text: Document) -> None:
    """Weigh the outside tags of a random classifier so that few tokens are in mentions."""
    tags = model.recipe.tags
    outside = [number for number, tag in enumerate(tags) if tag.partition("-")[0] == "O"]
    inside = [number for number in range(len(tags)) if number not in outside]
    (one,) = model.subwords.tokenize([text])
    ids = torch.from_numpy(one.ids[: model.windowing.room]).long()[None]
    model.tagger.eval()
    with torch.no_grad():
        scores = model.tagger(ids, torch.ones_like(ids))[0]
        margin = scores[:, inside].amax(dim=1) - scores[:, outside].amin(dim=1)
        layers = (layer for layer in model.tagger.encoder.modules() if isinstance(layer, nn.Linear))
        classifier = [layer for layer in layers if layer.out_features == len(tags)][-1]
        classifier.bias[outside] += margin.quantile(OUTSIDE)
