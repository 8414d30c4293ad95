"""Evaluations from files: the folder of a run, or predictions beside gold.

A run keeps what an analysis needs in its own folder, so it can be opened anywhere, without the
corpus: `gold/<split>.jsonl` and `predictions/<split>.jsonl` (the same documents), the mentions of
its training documents in `training_mentions.json`, and `metrics.json`. Predictions of any other
system are read with `corpus.mentions`, beside gold with or without texts: a text that is nowhere is
made of blanks and its mentions.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from multiclin.analysis.evaluation import Evaluation, Lexicon, Pair, of_label
from multiclin.corpus import excerpt
from multiclin.corpus.jsonl import read_documents, write_documents
from multiclin.corpus.mentions import (
    languages_of_folders,
    meant_label,
    mention_files,
    native_names,
    read_mentions,
)
from multiclin.corpus.texts import UNKNOWN, case_of, find_texts, language_of
from multiclin.corpus.tsv import Row, group_rows
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, CorpusError, Problem
from multiclin.files import atomic_write, read_text

SPLITS = ("test", "validation")
"""Splits that a run may have scored, the one that counts first."""

LEXICON = "training_mentions.json"


def save(run: Path, split: str, pairs: Iterable[tuple[Document, Document]]) -> None:
    """Keep gold and predictions of a split in the folder of a run, by unique ids.

    Only mentions of labels that a document is annotated for are kept.
    """
    kept = unique(
        Pair(*(one.with_spans(_of(one.spans, gold.annotated)) for one in (gold, predicted)))
        for gold, predicted in pairs
    )
    write_documents((pair.gold for pair in kept), gold_file(run, split), overwrite=True)
    found = run / "predictions" / f"{split}.jsonl"
    write_documents((pair.predicted for pair in kept), found, overwrite=True)


def save_lexicon(run: Path, lexicon: Lexicon) -> None:
    """Keep the mentions of the training documents in the folder of a run."""
    with atomic_write(run / LEXICON, overwrite=True) as stream:
        json.dump(lexicon, stream, ensure_ascii=False, indent=0)


def unique(pairs: Iterable[Pair]) -> list[Pair]:
    """Pairs sorted by id, each id once.

    Versions of a case for several entities may share an id, and so may its translations. Those of
    one text become one document; the others are told apart by language, else by label, else by
    number. They stay one case.
    """
    by_id: dict[str, dict[tuple[str, str], Pair]] = {}
    for pair in pairs:
        versions = by_id.setdefault(pair.gold.id, {})
        key = (pair.gold.language, pair.gold.text)
        versions[key] = _joined(versions[key], pair) if key in versions else pair
    named: dict[str, Pair] = {}
    for versions in by_id.values():
        names = _names([gold for gold, _ in versions.values()])
        for name, pair in zip(names, versions.values(), strict=True):
            named[name] = Pair(*(replace(one, id=name, case=one.case) for one in pair))
    return [named[name] for name in sorted(named)]


def _names(alike: Sequence[Document]) -> list[str]:
    """Names for documents of one id, as short as tells them apart."""
    id = alike[0].id
    languages = [one.language or UNKNOWN for one in alike]
    labels = ["+".join(sorted(one.annotated)) for one in alike]
    both = [f"{code}/{id} {label}" for code, label in zip(languages, labels, strict=True)]
    by_language = [f"{code}/{id}" for code in languages]
    by_label = [f"{id} {label}" for label in labels]
    for names in ([id], by_language, by_label, both):
        if len(set(names)) == len(alike):
            return names
    return [f"{name} ({number})" for number, name in enumerate(both, 1)]


def _joined(one: Pair, other: Pair) -> Pair:
    """Two pairs of one text, annotated for different labels, as one."""
    return Pair(
        *(
            replace(mine, spans=mine.spans + its.spans, annotated=mine.annotated | its.annotated)
            for mine, its in zip(one, other, strict=True)
        )
    )


def gold_file(run: Path, split: str) -> Path:
    """Where a run keeps the gold of a split."""
    return run / "gold" / f"{split}.jsonl"


def splits_of(run: Path) -> list[str]:
    """The splits that a run has kept."""
    return [split for split in SPLITS if gold_file(run, split).is_file()]


def run_of(path: Path) -> Path | None:
    """The folder of the training run that `path` (a run, its bundle, a checkpoint) lies in."""
    for folder in (path, path.parent, path.parent.parent):
        if splits_of(folder) or (folder / LEXICON).is_file():
            return folder
    return None


def open_run(run: Path, split: str | None = None, native: Path | None = None) -> Evaluation:
    """What a training run found in its test documents, or else in its validation documents.

    Args:
        run: Its folder.
        split: `test` or `validation`; None takes the first that is there.
        native: A file of the ids of native documents, one per line.

    Raises:
        CorpusError: The folder keeps no such evaluation.
    """
    there = splits_of(run)
    if not there:
        message = (
            "no evaluation in this folder (gold/test.jsonl, gold/validation.jsonl); is it the "
            "folder of a training run? Of one that kept no gold, name predictions/test.tsv, and "
            "its gold (--gold)"
        )
        raise CorpusError([Problem(run, 0, message)])
    if split and split not in there:
        have = " and ".join(there)
        raise CorpusError(
            [Problem(run, 0, f"no evaluation of {split} in this run, only of {have}")]
        )
    split = split or there[0]
    gold = {document.id: document for document in read_documents(gold_file(run, split))}
    found = read_documents(run / "predictions" / f"{split}.jsonl")
    predicted = {document.id: document for document in found}
    if gold.keys() != predicted.keys():
        raise CorpusError(
            [Problem(run, 0, f"gold/ and predictions/ of {split} differ in documents")]
        )
    return Evaluation(
        str(run),
        [Pair(gold[id], predicted[id]) for id in sorted(gold)],
        split,
        read_lexicon(run),
        native_names(native, gold) if native else None,
        _json(run / "metrics.json"),
        _history(run),
        _json(run / "model" / "multiclin.json").get("about", {}),
    )


def other_splits(run: Path, main: Evaluation) -> list[Evaluation]:
    """What the same run found in its other splits."""
    return [open_run(run, split) for split in splits_of(run) if main.split not in {"", split}]


def open_system(
    path: Path,
    *,
    gold: Path | None = None,
    entity: str | None = None,
    split: str | None = None,
    native: Path | None = None,
) -> Evaluation:
    """A training run, or predictions of any system beside gold.

    Args:
        path: The folder of a run, or predictions; see `open_run` and `open_files`.
        gold: Needed for predictions; not looked at for a run, which has its own.
        entity: Keep only this label, on both sides.
        split: Of a run.
        native: A file of the ids of native documents, one per line.

    Raises:
        MulticlinError: As `open_run` and `open_files`.
    """
    if splits_of(path) or (path / "metrics.json").is_file() or (split and not gold):
        run = open_run(path, split, native)
        return of_label(run, meant_label(entity, run.labels, ())) if entity else run
    return open_files(path, gold, entity=entity, native=native, lexicon=read_lexicon(run_of(path)))


def read_lexicon(run: Path | None) -> Lexicon | None:
    """The mentions of the training documents of a run, where it kept them."""
    if run is None or not (run / LEXICON).is_file():
        return None
    lexicon: Lexicon = json.loads(read_text(run / LEXICON))
    return lexicon


def _json(path: Path) -> dict[str, Any]:
    return json.loads(read_text(path)) if path.is_file() else {}


def _history(run: Path) -> list[dict[str, float]]:
    """What the CSV logger kept of the training, without its empty cells."""
    lines: list[dict[str, float]] = []
    for path in sorted(run.glob("csv/version_*/metrics.csv")):
        reader = csv.DictReader(read_text(path).splitlines())
        lines += [{key: float(value) for key, value in row.items() if value} for row in reader]
    # The last validation is that of the best weights when all was done: no epoch is behind it.
    validated = [line for line in lines if "val/loss" in line]
    return [line for line in lines if line not in validated[-1:]]


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
        read_side(predictions, "predictions"),
        read_side(gold, "gold") if gold else None,
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
            f"{gold.path} and {found.path} share no document: {excerpt(min(gold.names))} and "
            f"{excerpt(min(found.names))}; names are compared as they are written, without .txt"
        )
    in_gold = gold.labels if gold else set[str]()
    labels = {meant_label(entity, in_gold, found.labels)} if entity else in_gold | found.labels
    names = gold.names | found.spans.keys() if gold else found.names
    pairs = [_pair(name, gold, found, labels) for name in sorted(names)]
    known = native_names(native, [pair.gold.id for pair in pairs]) if native else None
    return Evaluation(str(found.path), pairs, "", lexicon, known)


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


def read_side(path: Path, key: str) -> Side:
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
    return Side(path, spans, _texts_near(path, rows), languages_of_folders(files), {}, {}, rows)


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
            f"{excerpt(name)} has one text in {sides[0].path} and another in {found.path}; predict "
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
    """A text that holds these mentions and is blank elsewhere."""
    text = [" "] * max((row.end for row in rows), default=0)
    for row in rows:
        if row.text:
            length = row.end - row.start
            text[row.start : row.end] = row.text[:length].ljust(length)
    return "".join(text)
