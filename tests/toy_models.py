"""Toy documents, tokens and a ModernBERT of two narrow layers: small enough to count and to fit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from multiclin.bundle import Model, Recipe, new_model
from multiclin.corpus.brat import format_ann
from multiclin.decoding import Decoder
from multiclin.document import Document, Span
from multiclin.encoder import Subwords, scratch_config
from multiclin.store import tag_document
from multiclin.tagging import Floats, Tagging, Transitions, scheme
from multiclin.windows import Tokenized

# Threads on tensors this small only wait for each other: 1 s instead of 13 on a busy machine.
torch.set_num_threads(1)

BIO = scheme("bio")
ARCHITECTURE: dict[str, Any] = {
    "model_type": "modernbert",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 512,
}
CASES = (
    "Ingresa con [neumonía] y fiebre.",
    "Sin [diabetes mellitus] ni tos.",
    "Niega alergias. Refiere [asma].",
    "Se confirma [insuficiencia renal aguda].",
    "Acude por dolor; se descarta [trombosis].",
    "Exploración normal.",
)


def marked(text: str, id: str = "d", label: str = "X", language: str = "es") -> Document:
    """A document whose mentions stand in brackets: `sin [tos]`."""
    spans, starts, plain = [], [], ""
    for part in re.split(r"([\[\]])", text):
        if part == "[":
            starts.append(len(plain))
        elif part == "]":
            spans.append(Span(starts.pop(), len(plain), label))
        else:
            plain += part
    return Document(id, plain, tuple(spans), language, frozenset({label}))


def tokenized(document: Document, pieces: str, labels: Sequence[str] = ("X",)) -> Tokenized:
    """The document as tagged tokens: `pieces` is its text with a `|` between two tokens.

    A space belongs to the token behind it and is trimmed off.
    """
    assert pieces.replace("|", "") == document.text
    parts = [part for part in pieces.split("|") if part]
    ends = np.cumsum([len(part) for part in parts], dtype=np.int32)
    lead = [len(part) - len(part.lstrip()) for part in parts]
    starts = (ends - [len(part) for part in parts] + lead).astype(np.int32)
    one = Tokenized(document, np.arange(len(parts), dtype=np.int32) + 10, starts, ends)
    return replace(one, tags=tag_document(one, Tagging(tuple(labels), BIO)))


def characters(document: Document, labels: Sequence[str] = ("X",)) -> Tokenized:
    """The document with one tagged token per character."""
    return tokenized(document, "|".join(document.text), labels)


def decoder(
    labels: Sequence[str] = ("X",), *, whole_words: bool = False, snapping: str = "none"
) -> Decoder:
    """A decoder of linear heads in BIO; words are left alone unless told."""
    return Decoder(tuple(labels), BIO, (Transitions.of(BIO),) * len(labels), whole_words, snapping)


def perfect(one: Tokenized) -> Floats:
    """Emissions of a model that knows the tags, shape (tokens, tags of all labels)."""
    assert one.tags is not None
    rows = [np.eye(len(BIO), dtype=np.float32)[np.maximum(tags, 0)] for tags in one.tags]
    return np.concatenate(rows, axis=1) * 9


def toy_subwords() -> Subwords:
    """Subwords learned from the toy cases."""
    return Subwords.train([marked(text).text for text in CASES], 200)


def toy_model(labels: Sequence[str] = ("DISEASE",)) -> Model:
    """An untrained model with windows of 24 subwords."""
    subwords = toy_subwords()
    recipe = Recipe(tuple(labels), window=24, overlap=8)
    return new_model(recipe, subwords, config=scratch_config(ARCHITECTURE, subwords))


def toy_set(
    root: Path,
    split: str = "train",
    language: str = "es",
    cases: Sequence[str] = CASES,
    entity: str = "disease",
) -> None:
    """The toy cases as a set of a MultiClinNER tree."""
    folder = root / f"MultiClinNER-{language}-{split}-{entity}"
    for kind in ("txt", "ann"):
        (folder / kind).mkdir(parents=True)
    for number, text in enumerate(cases, 1):
        one = marked(text, f"{folder.name}-{number:04d}", entity.upper())
        (folder / "txt" / f"{one.id}.txt").write_bytes(one.text.encode())
        (folder / "ann" / f"{one.id}.ann").write_bytes(format_ann(one).encode())
