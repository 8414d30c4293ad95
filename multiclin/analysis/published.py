"""The paper's Tables 1 to 3 from our own folders, with the paper's figures (`paper.yaml`) beside.

Found at any depth below the given folders: studies by their `best.yaml` (Table 1), training runs by
their `.hydra/config.yaml` (Tables 2 and 3). Which cell a run belongs to stands in its config, as
`strategy` and `entity`; strategies and entities that the paper does not have get rows and columns
of their own. Runs of one cell that differ in seed and fold alone are one figure: mean ± deviation
of a sample (n - 1) and their number. Any other difference is an error, because the mean of two
systems is nobody's score. Trade-off: where many experiments share a folder, runs must be named.

Source: paper sections 2.3, 3.1 and 3.2 (FACTS 1).
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from multiclin.analysis.evaluation import Pair
from multiclin.analysis.folders import (
    Passed,
    Run,
    Study,
    below,
    best_study,
    find_runs,
    of_one_system,
    read_mapping,
    read_study,
)
from multiclin.analysis.runs import gold_file, open_run
from multiclin.errors import ConfigError
from multiclin.scoring.counts import Counts, strict_counts

MADE_BY = {
    1: "python train.py -m hpo=optuna entity=disease,procedure,symptom data.root=DIR",
    2: "python train.py -m experiment=table2 data.root=DIR",
    3: "python train.py -m experiment=paper_disease,paper_procedure,paper_symptom data.root=DIR",
}


class PaperTable(NamedTuple):
    """A table for `multiclin.tables`, and what its reader should know.

    Attributes:
        title: What it shows.
        rows: Cells, the first row the heading; `-` where there is no figure.
        notes: Where the figures come from, what was passed over, how far they compare.
    """

    title: str
    rows: list[list[str]]
    notes: list[str]


def paper_table(number: int, paths: Sequence[Path], native: Path | None = None) -> PaperTable:
    """One of the paper's tables.

    Example:
        >>> print(as_text(paper_table(2, [Path("outputs/table2")]).rows))
        Strategy                         Disease   paper  ...
        MrBERT-es (Multi.)   0.7381 ± 0.0042 (3)  0.7439  ...

    Args:
        number: 1: hyperparameters, from studies; 2: strict F1 of strategies on the validation
            documents, from `metrics.json` of runs; 3: strict scores on the test documents, from the
            mentions that runs keep.
        paths: Folders of runs or studies, or folders that hold them at any depth.
        native: For Table 3, a file of the ids of native documents, one per line.

    Raises:
        ConfigError: There is no such table, folder, study or run; runs of one cell differ in more
            than seed and fold; studies of one entity have different objectives.
        CorpusError: A file cannot be read.
    """
    if number not in MADE_BY:
        raise ConfigError(f"table {number}: the paper has tables 1, 2 and 3")
    if native and number != 3:
        raise ConfigError(f"--native {native}: only Table 3 tells native documents from others")
    paper = read_mapping(Path(__file__).with_name("paper.yaml"))
    if number == 1:
        return _hyperparameters(paper, paths)
    return _strategies(paper, paths) if number == 2 else _test_scores(paper, paths, native)


def _hyperparameters(paper: Mapping[str, Any], paths: Sequence[Path]) -> PaperTable:
    """Table 1: the best trial of each entity's best study."""
    studies: defaultdict[str, list[Study]] = defaultdict(list)
    for folder in below(paths, "best.yaml"):
        study = read_study(folder)
        studies[study.entity].append(study)
    if not studies:
        raise _nothing(1, "no study with a complete trial (best.yaml)", paths)
    best = {entity: best_study(alike) for entity, alike in sorted(studies.items())}
    searched = {key for study in best.values() for key in study.found}
    known: dict[str, list[str]] = paper["parameters"]
    keys = [key for key, (_, *figures) in known.items() if figures or key in searched]
    keys += sorted(searched - known.keys())
    entities = _paper_first(paper["entities"], best)
    rows = [_heading(["Hyperparameter"], map(str.capitalize, entities))]
    for key in keys:
        name, *figures = known.get(key, [key])
        ours = [best[entity].value(key) if entity in best else "-" for entity in entities]
        rows.append([name, *_beside(ours, figures)])
    notes = []
    for entity, study in best.items():
        note = f"{entity}: {study}; {study.tuned['trials']} trials"
        if fixed := [key for key in keys if key not in study.found]:
            note += f"; not searched: {', '.join(fixed)}"
        if others := [one for one in studies[entity] if one is not study]:
            note += f"; the best of {len(others) + 1} studies, beside {_listed(others)}"
        notes.append(note)
    notes.append("the paper's epochs lie outside the range that its text gives the search, 3 to 6")
    return PaperTable("Table 1: the best hyperparameters of each entity's search", rows, notes)


def _strategies(paper: Mapping[str, Any], paths: Sequence[Path]) -> PaperTable:
    """Table 2: validation scores of the runs that have a strategy."""
    passed = Passed(list)
    cells: defaultdict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in find_runs(paths, passed):
        if run.strategy is None:
            passed["without a strategy"].append(run.folder)
        elif "val/strict_f1" not in run.metrics:
            passed["without validation documents"].append(run.folder)
        else:
            for entity in run.labels:
                cells[run.strategy, entity].append(run)
    if not cells:
        raise _nothing(2, "no finished run of a strategy", paths, passed)
    entities = _paper_first(paper["entities"], (entity for _, entity in cells))
    rows, notes = [_heading(["Strategy"], map(str.capitalize, entities))], []
    for strategy in _paper_first(paper["strategies"], {strategy for strategy, _ in cells}):
        name, *figures = paper["strategies"].get(strategy, [strategy])
        ours = []
        for entity in entities:
            runs = of_one_system(cells[strategy, entity], f"{name}, {entity}", passed)
            ours.append(_mean([run.validation_f1(entity) for run in runs], 4))
            if runs:
                notes.append(f"{name}, {entity}: {_listed(run.folder for run in runs)}")
        rows.append([name, *_beside(ours, figures)])
    notes += [*_told(passed), _CAVEAT.format("validation")]
    return PaperTable("Table 2: strict micro-F1 on the validation documents", rows, notes)


def _test_scores(
    paper: Mapping[str, Any], paths: Sequence[Path], native: Path | None
) -> PaperTable:
    """Table 3: test scores of the submitted strategy, or else of the runs that there are."""
    passed = Passed(list)
    found: defaultdict[str, list[Run]] = defaultdict(list)
    for run in find_runs(paths, passed):
        if not gold_file(run.folder, "test").is_file():
            passed["without test documents (gold/test.jsonl)"].append(run.folder)
            continue
        for entity in run.labels:
            found[entity].append(run)
    if not found:
        raise _nothing(3, "no finished run that keeps test documents", paths, passed)
    rows, notes = [_heading(["Entity", "Corpus"], ["P", "R", "F1"])], []
    for entity in _paper_first(paper["entities"], found):
        chosen = _of_strategy(paper["submitted"], found[entity], passed)
        runs = of_one_system(chosen, entity, passed)
        tested = [_by_corpus(run, run.labels[entity], native) for run in runs]
        for name, corpus in ((entity.upper(), "Overall"), ("", "Native")):
            counts = [_counts(documents[corpus]) for documents in tested if corpus in documents]
            scores = ([getattr(one, of) for one in counts] for of in ("precision", "recall", "f1"))
            figures = paper["test"].get(entity, {}).get(corpus, [])
            rows.append([name, corpus, *_beside([_mean(of, 3) for of in scores], figures)])
        if runs:
            sizes = ", ".join(f"{len(some)} {corpus}" for corpus, some in tested[0].items())
            spoken = sorted({gold.language or "?" for gold, _ in tested[0]["Overall"]})
            where = _listed(run.folder for run in runs)
            notes.append(f"{entity}: {where}; documents: {sizes} ({', '.join(spoken)})")
    if native is None:
        notes.append("native rows need the ids of the native documents: --native FILE")
    notes += [*_told(passed), _CAVEAT.format("test")]
    return PaperTable("Table 3: strict scores on the test documents", rows, notes)


_CAVEAT = (
    "ours are scored on the {} documents of these runs; the paper's figures compare with them only "
    "where those are the paper's own, in Spanish"
)


def _by_corpus(run: Run, label: str, native: Path | None) -> dict[str, list[Pair]]:
    """The test documents of a run with the mentions of a label; `Native` only where it is known."""
    evaluation = open_run(run.folder, "test", native)
    pairs = [
        Pair(*(one.with_spans(tuple(s for s in one.spans if s.label == label)) for one in pair))
        for pair in evaluation.pairs
        if label in pair.gold.annotated
    ]
    known = evaluation.native
    if known is None:
        return {"Overall": pairs}
    return {"Overall": pairs, "Native": [pair for pair in pairs if pair.gold.id in known]}


def _counts(pairs: Iterable[Pair]) -> Counts:
    return sum((strict_counts(gold.spans, found.spans) for gold, found in pairs), Counts())


def _of_strategy(strategy: str, runs: Sequence[Run], passed: Passed) -> Sequence[Run]:
    """The runs of a strategy; where there are none those without a strategy, else all."""
    for wanted in (strategy, None):
        if chosen := [run for run in runs if run.strategy == wanted]:
            others = [run.folder for run in runs if run.strategy != wanted]
            passed[f"of another strategy than {wanted or 'none'}"] += others
            return chosen
    return runs


def _nothing(
    number: int, what: str, paths: Sequence[Path], passed: Passed | None = None
) -> ConfigError:
    lines = [f"table {number}: {what} below {_listed(paths)}", *_told(passed or {})]
    return ConfigError("\n  ".join(lines) + f"\nhint: this makes them: {MADE_BY[number]}")


def _told(passed: Mapping[str, Sequence[Path]]) -> list[str]:
    return [f"passed over, {why}: {_listed(runs)}" for why, runs in passed.items() if runs]


def _listed(things: Iterable[object]) -> str:
    """Up to three things by name, and how many more."""
    names = list(dict.fromkeys(map(str, things)))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")


def _paper_first(known: Iterable[str], found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*known, *sorted(found)]))


def _heading(first: Sequence[str], names: Iterable[str]) -> list[str]:
    return [*first, *chain.from_iterable((name, "paper") for name in names)]


def _beside(ours: Sequence[str], figures: Sequence[str]) -> list[str]:
    return list(chain.from_iterable(zip_longest(ours, figures, fillvalue="-")))


def _mean(values: Sequence[float], digits: int) -> str:
    """`0.7439`, or of several `0.7439 ± 0.0021 (3)`; of none `-`."""
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.{digits}f} ({len(values)})"
