"""`python evaluate.py gold=... pred=...`: the official score of predictions, and what it hides.

Standard output gets the JSON of the official scorer and nothing else, so that it can be piped.
Document-macro F1 and the lines per language and subcorpus go to standard error as a table, and
with everything else into `output`, where that is given.

Gold and predictions are each a table (official TSV), one `.ann`, or a folder of either at any
depth: a set, a whole MultiClinNER tree, the output of a prediction. Only offsets and labels are
compared, so no texts are needed. A brat mention in fragments counts with its covering span, the
only way in which the official table can hold it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from multiclin.corpus import BOM, excerpt
from multiclin.corpus.tsv import Row, read_rows
from multiclin.errors import ConfigError, CorpusError, Problem
from multiclin.files import atomic_write, read_text
from multiclin.scoring.breakdown import (
    UNKNOWN,
    Line,
    by_language,
    by_subcorpus,
    format_table,
    language_of,
)
from multiclin.scoring.official import official_result, score_documents

_OFFSETS: Final = "[0-9]{1,12} [0-9]{1,12}"
_ANN_MENTION: Final = re.compile(rf"T\S*\t(\S+) ({_OFFSETS}(?:;{_OFFSETS})*)(?:\t|\s*$)")
_NO_MENTION: Final = tuple("RAEMN#*")  # relations, attributes, events, notes


def evaluate(
    gold: Path,
    pred: Path,
    entity: str | None = None,
    native: Path | None = None,
) -> dict[str, Any]:
    """Scores predictions against gold.

    Args:
        gold: A TSV, a `.ann` or a folder of them.
        pred: Likewise.
        entity: Score only this label, on both sides. Written in any case; the label is the one
            that gold has, and labels are compared as they are written, as the official scorer does.
        native: A text file with the name of one native document per line; all others are
            translated. Adds `by_subcorpus`.

    Returns:
        `official`, the result of the official scorer (see `scoring.official.official`);
        `overall`, `by_language` and, with `native`, `by_subcorpus`, with one line of scores per
        group (see `scoring.breakdown.Line.as_dict`); `notes`, what looks like a mistake.

    Raises:
        CorpusError: A path is missing, holds no mentions' files, or they are malformed.
        ConfigError: No mention has the label `entity`, or no document is named in `native`.
    """
    gold_files, pred_files = mention_files(gold, "gold"), mention_files(pred, "pred")
    gold_rows, pred_rows = read_mentions(gold_files), read_mentions(pred_files)
    label = _label(entity, gold_rows, pred_rows) if entity else None
    scores = score_documents(gold_rows, pred_rows, label)
    languages = _languages_of_folders(gold_files)
    report: dict[str, Any] = {
        "official": official_result(scores, label),
        "overall": Line.of("all", list(scores.values())).as_dict(),
        "by_language": _as_dicts(by_language(scores, languages)),
    }
    if native:
        report["by_subcorpus"] = _as_dicts(by_subcorpus(scores, _native_names(native, scores)))
    report["notes"] = _notes(gold_rows, pred_rows)
    return report


def publish(report: dict[str, Any], output: Path | None = None) -> None:
    """Prints the official JSON to standard output and the rest to standard error.

    Args:
        report: What `evaluate` returned.
        output: A JSON file for the whole report; an existing one is replaced.

    Raises:
        OutputError: `output` cannot be written.
    """
    if output:
        with atomic_write(output, overwrite=True) as stream:
            stream.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(report["official"], indent=2), flush=True)
    print(format_report(report), file=sys.stderr)


def format_report(report: dict[str, Any]) -> str:
    """The lines of a report as one table, its notes below."""
    lines = {"all": report["overall"], **report["by_language"], **report.get("by_subcorpus", {})}
    return "\n".join([format_table(lines), *(f"note: {note}" for note in report["notes"])])


def mention_files(path: Path, key: str = "path") -> list[Path]:
    """The files with the mentions of `path`: itself, or all `.ann`, or else all `.tsv`, below it.

    Args:
        path: A file or folder.
        key: Config key that `path` came from, for the message.

    Raises:
        CorpusError: There is no such file or folder, or it holds neither.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise CorpusError([Problem(path, 0, f"no such file or folder; check {key}=")])
    for suffix in (".ann", ".tsv"):
        files = sorted(
            file
            for file in path.rglob(f"*{suffix}")
            if not any(part.startswith((".", "__MACOSX")) for part in file.relative_to(path).parts)
        )
        if files:
            return files
    raise CorpusError([Problem(path, 0, f"no .ann and no .tsv below this folder; check {key}=")])


def read_mentions(files: Iterable[Path]) -> list[Row]:
    """All mentions of these files, repetitions included.

    Raises:
        CorpusError: All problems of all files; also where two files have mentions of one label for
            a document of one name, which would be counted together.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    sources: dict[tuple[str, str], Path] = {}
    for file in files:
        try:
            found = _read_ann(file) if file.suffix == ".ann" else read_rows(file)
        except CorpusError as error:
            problems += error.problems
            continue
        rows += found
        for name, label in sorted({(row.filename, row.label) for row in found}):
            source = sources.setdefault((name, label), file)
            if source != file:
                message = f"{label} of {excerpt(name)} is in {source} too; name one of the folders"
                problems.append(Problem(file, 0, message))
    if problems:
        raise CorpusError(problems)
    return rows


def _read_ann(path: Path) -> list[Row]:
    """The mentions of a `.ann` without its text; fragments as their covering span."""
    rows: list[Row] = []
    problems: list[Problem] = []
    for number, line in enumerate(read_text(path).removeprefix(BOM).split("\n"), 1):
        if not line.strip() or line.startswith(_NO_MENTION):
            continue
        try:
            label, start, end = _covering_span(line)
        except ValueError as error:
            problems.append(Problem(path, number, str(error)))
        else:
            rows.append(Row(path.stem, label, start, end, "", number))
    if problems:
        raise CorpusError(problems)
    return rows


def _covering_span(line: str) -> tuple[str, int, int]:
    match = _ANN_MENTION.match(line)
    if not match:
        raise ValueError(f"expected T<id><TAB>LABEL START END<TAB>mention, found {excerpt(line)}")
    ends = [int(end) for end in re.split("[ ;]", match[2])]
    if any(end <= start for start, end in zip(ends[::2], ends[1::2], strict=True)):
        raise ValueError(f"offset {excerpt(match[2])} is empty: the end must be above the start")
    return match[1], min(ends), max(ends)


def _label(entity: str, gold: Iterable[Row], predicted: Iterable[Row]) -> str:
    """The label that `entity` means: as gold writes it, else as predictions do."""
    sides = [{row.label for row in rows} for rows in (gold, predicted)]
    for labels in sides:
        same = sorted(label for label in labels if label.casefold() == entity.casefold())
        if entity in same or len(same) == 1:
            return entity if entity in same else same[0]
        if same:
            raise ConfigError(f"entity={entity} may mean {' or '.join(same)}: write it exactly")
    known = sorted(set().union(*sides))
    if not known:
        return entity
    near = get_close_matches(entity.upper(), known, n=1, cutoff=0)[0]
    raise ConfigError(
        f"entity={entity}: no mention has this label; gold and predictions have "
        f"{', '.join(known)}; the nearest is {near}"
    )


def _native_names(path: Path, scored: Collection[str]) -> set[str]:
    names = {line.strip() for line in read_text(path).removeprefix(BOM).splitlines()} - {""}
    if scored and names.isdisjoint(scored):
        example = excerpt(min(scored))
        raise ConfigError(
            f"native={path}: none of its {len(names)} lines names a scored document; write one "
            f"name per line as the table has it, such as {example}"
        )
    return names


def _languages_of_folders(files: Iterable[Path]) -> dict[str, str]:
    """Language of the documents in a `.ann` whose folder tells it: `MultiClinNER-{lang}-...`."""
    languages: dict[str, str] = {}
    for file in files:
        if file.suffix == ".ann":
            folders = (part for part in file.absolute().parts if part.startswith("MultiClinNER-"))
            told = {language_of(folder) for folder in folders} - {UNKNOWN}
            if len(told) == 1:
                languages[file.stem] = told.pop()
    return languages


def _as_dicts(lines: Sequence[Line]) -> dict[str, dict[str, Any]]:
    return {line.group: line.as_dict() for line in lines}


def _notes(gold: Sequence[Row], predicted: Sequence[Row]) -> list[str]:
    """What would score zero for a reason that has nothing to do with the model."""
    notes = []
    gold_names, pred_names = {row.filename for row in gold}, {row.filename for row in predicted}
    if gold_names and pred_names and gold_names.isdisjoint(pred_names):
        notes.append(
            f"gold and predictions share no document: gold has {excerpt(min(gold_names))}, "
            f"predictions have {excerpt(min(pred_names))}; names are compared as they are written"
        )
    strangers = {row.label for row in predicted} - {row.label for row in gold}
    if gold and strangers:
        notes.append(
            f"labels that predictions have and gold never: {', '.join(sorted(strangers))}; "
            "labels are compared as they are written"
        )
    return notes
