"""The folds of a cross-validation as one evaluation: the folder of `train.py -m fold=0,1,2,3,4`.

Each document is judged as the model found it that was not trained on it, so all training documents
serve as a test: far more than one validation split has, and intervals and error kinds are as much
surer. Trade-off: it scores a recipe, not one model, and each model had a fold less to learn from.
If settings were chosen on these documents, the score flatters.

Whether a mention was seen in training is told by the training documents of its own fold.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from multiclin.analysis.evaluation import Evaluation, Lexicon, Pair
from multiclin.analysis.folders import Passed, Run, find_runs, of_one_system
from multiclin.analysis.runs import gold_file, open_run
from multiclin.corpus import excerpt
from multiclin.corpus.mentions import native_names
from multiclin.errors import ConfigError

log = logging.getLogger(__name__)


def open_folds(folder: Path, native: Path | None = None) -> Evaluation | None:
    """The validation documents of all folds below a folder; None where it holds no folds.

    Args:
        folder: Of a sweep over `fold`, of one system and one seed.
        native: A file of the ids of native documents, one per line.

    Raises:
        ConfigError: The runs differ in more than the fold, or share a document.
        CorpusError: A run cannot be read.

    Example:
        >>> open_folds(Path("outputs/sweeps/2026-11-23_15-10-02")).split
        '4 of 5 folds'
    """
    passed = Passed(list)
    runs = find_runs([folder], passed)
    folds = [run for run in runs if run.config.get("fold") is not None]
    folds = [run for run in folds if gold_file(run.folder, "validation").is_file()]
    if len(folds) < 2 or len(folds) < len(runs):
        return None
    folds = of_one_system(folds, str(folder), passed)
    pairs: dict[str, Pair] = {}
    lexicons: dict[str, Lexicon] = {}
    home: dict[str, Path] = {}
    for run in folds:
        part = open_run(run.folder, "validation")
        for pair in part.pairs:
            id = pair.gold.id
            if id in home:
                raise ConfigError(
                    f"{folder}: {excerpt(id)} is validated on in {home[id]} and in {run.folder}; "
                    "give a folder of folds of one seed"
                )
            pairs[id], home[id] = pair, run.folder
            if part.lexicon is not None:
                lexicons[id] = part.lexicon
    for why, others in passed.items():
        if others:
            log.warning("%s: passed over, %s: %s", folder, why, ", ".join(map(str, others)))
    return Evaluation(
        str(folder),
        [pairs[id] for id in sorted(pairs)],
        _said(folds),
        lexicons=lexicons,
        native=native_names(native, pairs) if native else None,
        about={
            "entity": folds[0].config["entity"]["name"],
            "pooled": "each document as the run found it that was not trained on it",
            "runs": [str(run.folder) for run in folds],
        },
    )


def _said(folds: Sequence[Run]) -> str:
    """`5 folds`, or `4 of 5 folds` where one is missing."""
    wanted = folds[0].config["data"]["validation"]["folds"]
    return f"{len(folds)} folds" if len(folds) == wanted else f"{len(folds)} of {wanted} folds"
