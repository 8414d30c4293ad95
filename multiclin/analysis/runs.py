"""What a training run keeps of its evaluation, in its own folder: it opens without the corpus.

`gold/<split>.jsonl` and `predictions/<split>.jsonl` hold the same documents, with the scores of
mentions; `training_mentions.json` the mentions of the training documents, so that seen and unseen
ones can be told apart. `metrics.json` and the CSV log give the ceiling and the curves.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from multiclin.analysis.evaluation import Evaluation, Lexicon, Pair
from multiclin.corpus.jsonl import read_documents, write_documents
from multiclin.corpus.mentions import native_names
from multiclin.corpus.texts import UNKNOWN
from multiclin.document import Document
from multiclin.errors import CheckpointError, CorpusError, Problem
from multiclin.files import atomic_write, read_text

SPLITS = ("test", "validation")
"""Splits that a run may have scored, the one that counts first."""

LEXICON = "training_mentions.json"

BUNDLE = "multiclin.json"
"""What a trained model says of itself, in its folder."""


def save(run: Path, split: str, pairs: Iterable[tuple[Document, Document]]) -> None:
    """Keep gold and predictions of a split in the folder of a run, by unique ids.

    Only mentions of labels that a document is annotated for are kept.
    """
    kept = unique(
        Pair(*(_annotated(one, gold.annotated) for one in (gold, predicted)))
        for gold, predicted in pairs
    )
    write_documents((pair.gold for pair in kept), gold_file(run, split), overwrite=True)
    found = run / "predictions" / f"{split}.jsonl"
    write_documents((pair.predicted for pair in kept), found, overwrite=True)


def _annotated(document: Document, labels: frozenset[str]) -> Document:
    return document.with_spans(tuple(span for span in document.spans if span.label in labels))


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
    """Two pairs of one text as one; a label that both are annotated for is taken from the first."""
    known = one.gold.annotated
    return Pair(
        *(
            replace(
                mine,
                spans=(*mine.spans, *(span for span in its.spans if span.label not in known)),
                annotated=known | its.annotated,
            )
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


def find_model(path: str | Path) -> Path:
    """The checkpoint, or the folder of the bundle, at `path`: either, or the folder of a run.

    Raises:
        CheckpointError: There is none.
    """
    path = Path(path)
    if path.is_file():
        return path
    for folder in (path, path / "model"):
        if (folder / BUNDLE).is_file():
            return folder
    what = f"holds no {BUNDLE}" if path.is_dir() else "does not exist"
    raise CheckpointError(
        f"ckpt={path} {what}; give a checkpoint (outputs/train/.../checkpoints/best.ckpt), a "
        "bundle (outputs/train/.../model) or the folder of a training run"
    )


def open_run(run: str | Path, split: str | None = None, native: Path | None = None) -> Evaluation:
    """What a training run found in its test documents, or else in its validation documents.

    Args:
        run: Its folder.
        split: `test` or `validation`; None takes the first that is there.
        native: A file of the ids of native documents, one per line.

    Raises:
        CorpusError: The folder keeps no such evaluation.
    """
    run = Path(run)
    there = splits_of(run)
    if not there and (run / "checkpoints").is_dir() and not (run / "metrics.json").is_file():
        raise CorpusError([Problem(run, 0, "this training has not finished: nothing is scored")])
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
        history(run),
        _json(run / "model" / "multiclin.json").get("about", {}),
    )


def read_lexicon(run: Path | None) -> Lexicon | None:
    """The mentions of the training documents of a run, where it kept them."""
    if run is None or not (run / LEXICON).is_file():
        return None
    return _json(run / LEXICON)


def _json(path: Path) -> dict[str, Any]:
    """A file's JSON object; an empty one where there is no file.

    Raises:
        CorpusError: It is broken.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise CorpusError([Problem(path, 0, f"broken JSON ({error}); train again")]) from error
    if not isinstance(content, dict):
        raise CorpusError([Problem(path, 0, "expected a JSON object; train again")])
    return content


def history(run: Path) -> list[dict[str, float]]:
    """What the CSV logger kept of the training, without its empty cells.

    A run that was cut off has a file for each session; what a later one repeated is its own.
    """
    lines: list[dict[str, float]] = []
    for path in sorted(run.glob("csv/version_*/metrics.csv"), key=_session):
        reader = csv.DictReader(read_text(path).splitlines())
        session = [{key: float(value) for key, value in row.items() if value} for row in reader]
        repeated = set(map(_figures_of, session))
        lines = [line for line in lines if _figures_of(line) not in repeated] + session
    # The last validation is that of the best weights when all was done: no epoch is behind it.
    validated = [line for line in lines if "val/loss" in line]
    return [line for line in lines if line not in validated[-1:]]


def _session(path: Path) -> int:
    number = path.parent.name.removeprefix("version_")
    return int(number) if number.isdigit() else 0


def _figures_of(line: Mapping[str, float]) -> tuple[float, frozenset[str]]:
    """The step of a line and the names of its figures, by which it is known again."""
    return line.get("step", 0), frozenset(line)
