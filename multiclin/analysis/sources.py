"""Evaluations from files: a training run (`runs`), or predictions of any system beside gold.

Predictions and gold are read with `corpus.mentions`, with texts or without: a text that is nowhere
is made of blanks and its mentions.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence, Set
from pathlib import Path
from typing import NamedTuple

from multiclin.analysis.evaluation import Evaluation, Lexicon, Pair, of_label
from multiclin.analysis.folds import open_folds
from multiclin.analysis.runs import open_run, read_lexicon, run_of, splits_of
from multiclin.corpus import as_name, listing, mention_mismatch
from multiclin.corpus.jsonl import read_documents
from multiclin.corpus.mentions import (
    language_of_folder,
    languages_of_folders,
    meant_label,
    mention_files,
    native_names,
    read_mentions,
)
from multiclin.corpus.texts import LONGEST, UNKNOWN, case_of, find_texts, language_of
from multiclin.corpus.tsv import Row, group_rows
from multiclin.document import Document, Span
from multiclin.errors import ConfigError
from multiclin.files import read_text

log = logging.getLogger(__name__)


def other_splits(run: Path, main: Evaluation) -> list[Evaluation]:
    """What the same run found in its other splits, of the same labels."""
    others = [open_run(run, split) for split in splits_of(run) if main.split not in {"", split}]
    if len(main.labels) == 1:
        return [of_label(one, main.labels[0]) for one in others]
    return others


def open_system(
    path: Path,
    *,
    gold: Path | None = None,
    entity: str | None = None,
    split: str | None = None,
    native: Path | None = None,
) -> Evaluation:
    """A training run, the folds of a sweep, or predictions of any system beside gold.

    Args:
        path: The folder of a run or of folds, or predictions; see `open_run`, `open_folds` and
            `open_files`.
        gold: Needed for predictions; not looked at for a run, which has its own.
        entity: Keep only this label, on both sides.
        split: Of a run.
        native: A file of the ids of native documents, one per line.

    Raises:
        MulticlinError: As `open_run`, `open_folds` and `open_files`.
    """
    run: Evaluation | None = None
    if not splits_of(path) and (runs := sorted(path.glob("*/gold"))):
        run = open_folds(path, native)
        if run is None:
            raise ConfigError(f"{path} holds {len(runs)} runs; name one, or all of them: {path}/*/")
    elif splits_of(path) or (path / "metrics.json").is_file() or (split and not gold):
        run = open_run(path, split, native)
    if run is not None:
        return of_label(run, meant_label(entity, run.labels, ())) if entity else run
    return open_files(path, gold, entity=entity, native=native, lexicon=read_lexicon(run_of(path)))


def open_files(
    predictions: Path,
    gold: Path | None = None,
    *,
    entity: str | None = None,
    native: Path | None = None,
    lexicon: Lexicon | None = None,
) -> Evaluation:
    """Predictions of any system beside gold.

    Args:
        predictions: A `.jsonl` of documents, the folder of a prediction, or what
            `corpus.mentions` reads.
        gold: A `.jsonl` of annotated documents, or what `corpus.mentions` reads; texts are taken
            from the `.txt` files near it. None: there is none.
        entity: Keep only this label, on both sides.
        native: A file of the ids of native documents, one per line.
        lexicon: Mentions of the training documents.

    Raises:
        CorpusError: A file cannot be read or fits no text.
        ConfigError: The two sides hold different texts, or share no document.
    """
    return beside(
        read_side(predictions),
        read_side(gold, "--gold") if gold else None,
        entity=entity,
        native=native,
        lexicon=lexicon,
    )


def beside(
    found: Side,
    gold: Side | None,
    *,
    entity: str | None = None,
    native: Path | None = None,
    lexicon: Lexicon | None = None,
) -> Evaluation:
    """Predictions that have been read beside gold that has been read; see `open_files`."""
    if gold is not None and gold.names and found.spans and gold.names.isdisjoint(found.names):
        raise ConfigError(
            f"{gold.path} and {found.path} share no document: {as_name(min(gold.names))} and "
            f"{as_name(min(found.names))}; names are compared as they are written, without .txt"
        )
    in_gold = gold.labels if gold else set[str]()
    if gold:
        _warn_of(found, gold)
    labels = {meant_label(entity, in_gold, found.labels)} if entity else in_gold | found.labels
    names = gold.names | found.spans.keys() if gold else found.names
    pairs = [_pair(name, gold, found, labels) for name in sorted(names)]
    known = native_names(native, [pair.gold.id for pair in pairs]) if native else None
    return Evaluation(str(found.path), pairs, "", lexicon, known)


def _warn_of(found: Side, gold: Side) -> None:
    """Say what would score zero for a reason that has nothing to do with the system."""
    if strangers := sorted(found.labels - gold.labels):
        log.warning(
            "%s: labels that gold never has: %s; labels are compared as they are written",
            found.path,
            listing(strangers),
        )
    if alone := sorted(found.spans.keys() - gold.names):
        log.warning(
            "%s: %d documents have predictions and no gold, the first: %s",
            found.path,
            len(alone),
            as_name(alone[0]),
        )
    texts = found.texts | gold.texts
    for side in (gold, found):
        rows = [(name, row) for name, rows in side.pieces.items() for row in rows]
        rows = [(name, row) for name, row in rows if row.text and name in texts]
        wrong = [
            (name, row)
            for name, row in rows
            if mention_mismatch(texts[name], [(row.start, row.end)], row.text)
        ]
        if wrong:
            name, row = wrong[0]
            log.warning(
                "%s: %d of %d mentions are not what the text holds at their offsets, the first: "
                "%s %d-%d",
                side.path,
                len(wrong),
                len(rows),
                as_name(name),
                row.start,
                row.end,
            )


class Side(NamedTuple):
    """Gold or predictions of some documents; all but the mentions may be unknown.

    Attributes:
        path: Where they are from.
        spans: The mentions of each document.
        texts: Texts of documents, with mentions or without.
        languages: Languages of documents.
        cases: Cases of documents whose ids do not tell them.
        annotated: Labels of documents that are not annotated for all.
        pieces: The rows of each document, for what is known of a missing text.
    """

    path: Path
    spans: dict[str, list[Span]]
    texts: dict[str, str]
    languages: dict[str, str]
    cases: dict[str, str]
    annotated: dict[str, frozenset[str]]
    pieces: dict[str, list[Row]]

    @property
    def names(self) -> set[str]:
        """The documents."""
        return self.spans.keys() | self.texts.keys()

    @property
    def labels(self) -> set[str]:
        """The labels of the mentions."""
        return {span.label for spans in self.spans.values() for span in spans}

    @classmethod
    def of(cls, documents: Iterable[Document], path: Path) -> Side:
        """Documents whose texts are known."""
        known = {one.id: one for one in documents}
        return cls(
            path,
            {id: list(one.spans) for id, one in known.items()},
            {id: one.text for id, one in known.items()},
            {id: one.language for id, one in known.items() if one.language},
            {id: one.case for id, one in known.items() if one.case != id},
            {id: one.annotated for id, one in known.items() if one.annotated},
            {},
        )


def read_side(path: Path, key: str = "the path") -> Side:
    """Gold or predictions from a file or folder, see `open_files`.

    Args:
        path: The file or folder.
        key: What it was given as, for messages.
    """
    published = [path / f"predictions.{kind}" for kind in ("jsonl", "tsv")]
    file = next((one for one in published if one.is_file()), path)
    if file.suffix == ".jsonl" and file.is_file():
        return Side.of(read_documents(file), path)
    files = mention_files(file, key)
    rows = group_rows(read_mentions(files))
    spans = {
        name: [Span(row.start, row.end, row.label) for row in mine] for name, mine in rows.items()
    }
    languages = languages_of_folders(files)
    if told := language_of_folder(path):
        languages = dict.fromkeys(rows, told) | languages
    return Side(path, spans, _texts_near(path, rows), languages, {}, {}, rows)


def _texts_near(path: Path, named: Collection[str]) -> dict[str, str]:
    """The texts below a folder of mentions, or in the folder `txt` beside it, by document.

    Args:
        path: The folder, or a file in it.
        named: Documents with mentions. Where several texts have the file name of one (its versions
            for several entities), they are its text if they are the same, and else none is.
    """
    found: dict[str, Path] = {}
    for place in (path / "ann", path, path.parent / "txt", path.parent.parent / "txt"):
        if place.is_dir() and any(place.rglob("*.txt")):
            found = find_texts(place)
            break
    texts = {id: read_text(file) for id, file in found.items()}
    versions: dict[str, list[str]] = {}
    for id, file in found.items():
        if id not in named and file.stem in named:
            versions.setdefault(file.stem, []).append(texts.pop(id))
    return texts | {name: alike[0] for name, alike in versions.items() if len({*alike}) == 1}


def _pair(name: str, gold: Side | None, found: Side, labels: Set[str]) -> Pair:
    """The two versions of a document, of these labels only, and of those that gold has for it.

    Raises:
        ConfigError: The two sides have different texts.
    """
    sides = [side for side in (gold, found) if side is not None]
    texts = [side.texts[name] for side in sides if name in side.texts]
    if len(set(texts)) > 1:
        raise ConfigError(
            f"{as_name(name)} has one text in {sides[0].path} and another in {found.path}; predict "
            "the texts that the gold was made for"
        )
    # Gold last: of two mentions at one place, it has the words.
    pieces = [piece for side in reversed(sides) for piece in side.pieces.get(name, ())]
    told = language_of(name)
    languages = [side.languages.get(name, "") for side in sides]
    languages.append("" if told == UNKNOWN else told)
    if gold:
        labels = labels & gold.annotated.get(name, labels)
    document = Document(
        name,
        texts[0] if texts else _blanks(pieces),
        language=next(filter(None, languages), ""),
        annotated=frozenset(labels if gold else ()),
        case=next((side.cases[name] for side in sides if name in side.cases), case_of(name)),
    )
    return Pair(
        *(
            document.with_spans(_of(side.spans.get(name, ()) if side else (), labels))
            for side in (gold, found)
        )
    )


def _of(spans: Iterable[Span], labels: Collection[str]) -> tuple[Span, ...]:
    return tuple(span for span in spans if span.label in labels)


def _blanks(rows: Sequence[Row]) -> str:
    """A text that holds these mentions and is blank elsewhere.

    Raises:
        ConfigError: It would be longer than any text.
    """
    end = max((row.end for row in rows), default=0)
    if end > LONGEST:
        raise ConfigError(
            f"{as_name(rows[0].filename)}: no text has a character {end}; mend the row"
        )
    text = [" "] * end
    for row in rows:
        if row.text:
            length = row.end - row.start
            text[row.start : row.end] = row.text[:length].ljust(length)
    return "".join(text)
