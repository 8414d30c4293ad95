"""Texts to learn from as they lie on the disk: documents with language, case, and split of a set.

Folders of .txt at any depth, single .txt, .jsonl. A file below a MultiClinNER set gets language,
split and case from the name of that; any other one is its own case, and its language is what its
name tells, or `unknown`. Mentions are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from multiclin.corpus.release import SET_NAME, normalise_language
from multiclin.corpus.texts import Texts, case_of, find_texts, language_of, read_file
from multiclin.document import Document
from multiclin.errors import Problem


class Found(NamedTuple):
    """A document of an input.

    Attributes:
        document: It; one outside of a set is its own case.
        split: Of its set; empty outside of a tree.
    """

    document: Document
    split: str

    @property
    def names(self) -> set[str]:
        """What a list may call it."""
        one = self.document
        return {one.id, f"{one.language}/{one.id}", one.case}


def case_named(name: str) -> str:
    """The case that a name in a MultiClinNER tree tells; any other name is its own."""
    case = case_of(name)
    return name if name.endswith(case) else case


def read_input(path: Path) -> Iterator[Found | Problem]:
    """Every document of an input, in an order that only its files decide."""
    if not path.is_dir():
        for one in Texts(path).read():
            yield one if isinstance(one, Problem) else Found(_known(one), "")
        return
    for id, file in sorted(find_texts(path).items()):
        name = _set_of(file.absolute().parent)
        document = read_file(file.stem if name else id, file)
        if isinstance(document, Problem):
            yield document
        elif name:
            language, split = name
            yield Found(replace(document, language=language, case=case_of(file.stem)), split)
        else:
            yield Found(replace(_known(document), case=case_named(id)), "")


def _known(document: Document) -> Document:
    """The document with its language, where its name tells it, and without mentions."""
    language = document.language or language_of(document.id.rpartition("/")[2])
    return replace(document, language=language, spans=(), annotated=frozenset())


@cache
def _set_of(folder: Path) -> tuple[str, str] | None:
    """Language and split of the MultiClinNER set that a folder lies in."""
    for part in reversed(folder.parts):
        if name := SET_NAME.fullmatch(part):
            language, split, _, batch = name.groups(default="")
            return normalise_language(language), split + batch
    return None
