"""A MultiClinNER tree as one corpus: a set per language, split and entity.

In: the sets of one language and split are read side by side, in the order of their names. Where the
entities have the very same text under one name, their mentions are put together; where the texts
differ (FACTS 2: the versions of a case do, slightly) each is a document of its own, and if only the
folder tells two apart, named after its entity. Labels are as the files write them.

Out: a document goes to the set of each label that it is annotated for, in a folder named after the
label in small letters: `DISEASE` in `MultiClinNER-es-train-disease`.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final

from multiclin.corpus.brat import write_ann, write_text
from multiclin.corpus.exchange import Losses, Reading, Survey, file_name, label_without_space
from multiclin.corpus.release import CorpusSet, find_sets, normalise_language, select
from multiclin.corpus.standoff import read_brat, read_tables
from multiclin.document import Document
from multiclin.errors import ConfigError, CorpusError, OutputError
from multiclin.files import atomic_folder

_NOT_IN_A_NAME: Final = re.compile(r"[^\w.+]+")


@dataclass(frozen=True)
class Trees:
    """The format `multiclinner`.

    Attributes:
        holds: As `Format.holds`.
        files: As `Format.files`.
    """

    holds: frozenset[str] = frozenset(["language", "annotated"])
    files: tuple[str, ...] = ()

    def read(self, root: Path, reading: Reading) -> Iterator[tuple[str, Document]]:
        """The documents of all sets, or of the split and the language asked for.

        Raises:
            CorpusError: There is no set; or after the last good document: every problem of all.
            ConfigError: The split or the language asked for is nowhere in the tree.
        """
        sets = select(
            find_sets(root), languages=reading.language or "all", split=reading.split or "all"
        )
        problems: list[CorpusError] = []
        sets.sort(key=lambda one: (one.split, one.language, one.entity))
        for (split, _), group in groupby(sets, lambda one: (one.split, one.language)):
            streams = [_documents(one, reading, problems) for one in group]
            merged = heapq.merge(*streams, key=lambda pair: pair[1].id)
            for _, versions in groupby(merged, lambda pair: pair[1].id):
                yield from ((split, document) for document in _put_together(list(versions)))
        if problems:
            raise CorpusError([problem for error in problems for problem in error.problems])

    def write(
        self,
        documents: Iterable[tuple[str, Document]],
        out: Path,
        survey: Survey,
        losses: Losses,
    ) -> None:
        """Write a tree; documents of no split are `train`.

        Raises:
            OutputError: A label or a name cannot be carried, a file cannot be written, or no
                document has gold.
            ConfigError: A document tells no language.
        """
        entities = entities_of(survey.labels)
        if survey.documents and not entities:
            raise OutputError("a MultiClinNER tree holds annotated texts, and none of these is")
        with atomic_folder(out) as root:
            for split, document in documents:
                gold = survey.gold_of(document)
                if not gold:
                    losses.add("document: without gold, so of no entity", document.id)
                for span in document.spans:
                    if span.label not in gold:
                        losses.add("mention: of a label without gold here", document.id, span)
                    elif span.score is not None:
                        losses.add("mention: its score", document.id, span)
                for label in sorted(gold):
                    folder = root / _set_path(document.language, split or "train", entities[label])
                    _write(document, label, folder, losses)


def _documents(
    one: CorpusSet, reading: Reading, problems: list[CorpusError]
) -> Iterator[tuple[str, Document]]:
    """Entity and document of a set, by name; what is wrong goes to the problems."""
    if not one.has_gold:
        reading = replace(reading, losses=Losses())  # That no text has gold is no news.
    read = read_tables if one.gold == "tsv" else read_brat
    annotated = frozenset[str]()
    try:
        if one.has_gold:
            probe = replace(reading, losses=Losses())
            found = {span.label for document in read(one.folder, probe) for span in document.spans}
            annotated = frozenset(found or {one.entity.upper()})
        for document in read(one.folder, replace(reading, annotated=annotated)):
            yield one.entity, replace(document, language=one.language)
    except CorpusError as error:
        problems.append(error)


def _put_together(versions: list[tuple[str, Document]]) -> Iterator[Document]:
    """Documents of one name, one per text."""
    by_text: dict[str, tuple[str, Document]] = {}
    for entity, document in versions:
        if document.text not in by_text:
            by_text[document.text] = (entity, document)
            continue
        first, known = by_text[document.text]
        annotated = known.annotated | document.annotated
        both = replace(known, spans=known.spans + document.spans, annotated=annotated)
        by_text[document.text] = (first, both)
    for entity, document in by_text.values():
        is_alone = len(by_text) == 1
        yield document if is_alone else replace(document, id=f"{entity}/{document.id}")


def entities_of(labels: Iterable[str]) -> dict[str, str]:
    """The entity of each label, which names its folder.

    Raises:
        OutputError: Two labels have the same one.
    """
    entities: dict[str, str] = {}
    for label in sorted(labels):
        entity = _NOT_IN_A_NAME.sub("_", label_without_space(label).lower())
        if entity in entities.values():
            other = next(one for one, its in entities.items() if its == entity)
            raise OutputError(
                f"the labels {other} and {label} would both be the entity {entity}; make them one, "
                f"or leave one out: --map {label}={other} or --map {label}=-"
            )
        entities[label] = entity
    return entities


def _set_path(language: str, split: str, entity: str) -> Path:
    code = normalise_language(language)
    if not re.fullmatch(r"\w+", code):
        raise ConfigError(
            f"a MultiClinNER tree names languages, and the documents have {code!r}: --language es"
        )
    top, upper = f"MultiClinNER-{code}", f"MultiClinNER-{code}-{split}"
    return Path("MultiClinNER", top, upper, f"{upper}-{entity}")


def _write(document: Document, label: str, folder: Path, losses: Losses) -> None:
    name = file_name(document).replace("/", "_")
    if name != document.id:
        losses.add("name: / in it is now _", document.id)
    spans = tuple(span for span in document.spans if span.label == label)
    document = replace(document, id=name, spans=spans)
    write_text(document, folder / "txt")
    write_ann(document, folder / "ann")
