"""Inputs that go through: beginnings of documents of the generated sample corpus, and drawn ones.

No text of a patient is among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from multiclin.corpus.bioc import write_bioc
from multiclin.corpus.brat import format_ann
from multiclin.corpus.conll import write_conll
from multiclin.corpus.exchange import Losses, Reading
from multiclin.corpus.formats import FORMATS
from multiclin.corpus.huggingface import write_huggingface
from multiclin.corpus.jsonl import format_document
from multiclin.corpus.sample import generate
from multiclin.corpus.tsv import format_rows, rows_from_documents
from multiclin.document import Document
from tests.fuzzing.files import SEPARATOR

_LONGEST: Final = 160  # characters: short inputs are mutated to more purpose
_DRAWN: Final = 8  # inputs of chance for each target

_FILES: Final[Mapping[str, tuple[int, str]]] = {
    "brat": (3, "text ann text ann"),
    "tsv": (3, "tsv text text"),
    "conll": (3, "conll text"),
    "jsonl": (3, "jsonl jsonl"),
    "bioc_xml": (3, "xml"),
    "bioc_json": (3, "json"),
    "huggingface": (3, "rows"),
    "multiclinner": (3, "text ann text tsv"),
    "table": (0, "tsv"),
    "score": (2, "tsv tsv names"),
    "texts": (1, "text text jsonl"),
    "lists": (0, "names split"),
    "check": (2, "text ann text ann text tsv"),
}
"""Target -> how many bytes choose, and the kinds of its files."""


def seeds(target: str) -> list[bytes]:
    """Some inputs of a target."""
    rng = Random(target)
    drawn = [rng.randbytes(rng.randint(1, 120)) for _ in range(_DRAWN)]
    for kinds in _documents():
        choices, files = _FILES.get(target, (6, "text"))
        case = SEPARATOR.join(kinds[kind] for kind in files.split())
        drawn.append(bytes(rng.randint(0, 9) for _ in range(choices)) + case)
    return drawn


def mutated(data: bytes, rng: Random) -> bytes:
    """The input with one to four places changed."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randint(0, len(found)), rng.choice((0, 1, 1, 2, 8))
        copied = rng.randint(0, len(found))
        found[at : at + length] = rng.choice(
            (b"", rng.randbytes(1), rng.randbytes(2), bytes(found[copied : copied + 16]))
        )
    return bytes(found)


@cache
def _documents() -> tuple[Mapping[str, bytes], ...]:
    """The beginnings of some documents, by the kind of the file."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        generate(root / "sample", documents=2, languages=["es", "sv", "cz"])
        every = FORMATS["multiclinner"].read(root / "sample", Reading())
        return tuple(
            _contents(_beginning(one), root / str(number))
            for number, (_, one) in enumerate(every)
            if number % 2
        )


def _beginning(one: Document) -> Document:
    spans = tuple(span for span in one.spans if span.end <= _LONGEST)
    return replace(one, id="a", case="a", text=one.text[:_LONGEST], spans=spans, language="es")


def _contents(one: Document, root: Path) -> dict[str, bytes]:
    write_conll([one], root, Losses())
    write_bioc([one], root / "a.xml", Losses())
    write_bioc([one], root / "a.json", Losses())
    write_huggingface([one], root / "a.jsonl", Losses())
    return {
        "text": one.text.encode(),
        "ann": format_ann(one).encode(),
        "tsv": format_rows(rows_from_documents([one])).encode(),
        "jsonl": format_document(one).encode() + b"\n",
        "conll": (root / "mentions.conll").read_bytes(),
        "xml": (root / "a.xml").read_bytes(),
        "json": (root / "a.json").read_bytes(),
        "rows": (root / "a.jsonl").read_bytes(),
        "names": b"a\nes/a\n# a comment\n",
        "split": b'{"train": ["es/a"], "test": []}\n',
    }
