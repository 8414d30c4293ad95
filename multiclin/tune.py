"""`multiclin tune`: biases for a model that is there, from gold documents.

A hospital that wants what it finds to be right, or nothing to be missed, need not train for it: the
bias of each label is chosen by F-beta on documents that the model was not trained on, and goes into
a copy of the bundle. See `tuning` for what a bias is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multiclin.analysis.runs import find_model, gold_file, run_of
from multiclin.analysis.sources import read_side
from multiclin.bundle import load_model, save_bundle
from multiclin.document import Document
from multiclin.errors import ConfigError, CorpusError, OutputError, Problem
from multiclin.recognition import Recognizer
from multiclin.report import model_card
from multiclin.tuning import Emitted, tune, tuned, tuning_table


def tune_model(path: Path, gold: Path | None, output: Path, beta: float) -> str:
    """Write a copy of a model with biases.

    Args:
        path: A run, its bundle, or a checkpoint.
        gold: Documents with their mentions, JSONL or brat; None: the validation of the run.
        output: The new bundle.
        beta: How many times recall counts as much as precision.

    Returns:
        A table of what each bias does.

    Raises:
        MulticlinError: The model, the gold or the output is wrong.
    """
    if not beta > 0:
        raise ConfigError(f"--beta {beta:g} must be above 0; 1 weighs precision and recall alike")
    if output.exists():
        raise OutputError(f"{output} exists already; choose another place for the bundle")
    found = find_model(path)
    gold = gold or validation_of(path)
    model = load_model(found)
    documents = gold_documents(gold, model.recipe.labels)
    completed = Recognizer(model).completed(documents)
    biases = tune(model, [Emitted(one.tokenized, one.emissions) for one in completed], beta)
    better = tuned(model, biases)
    better.about["tuning"] = {"documents": len(documents), "beta": beta}
    save_bundle(better, output, model_card(better))
    return tuning_table(biases)


def validation_of(path: Path) -> Path:
    """The validation documents that the run of a model has kept.

    Raises:
        ConfigError: There are none.
    """
    run = run_of(path)
    kept = gold_file(run, "validation") if run else None
    if kept is None or not kept.is_file():
        raise ConfigError(
            f"{path} belongs to no run that has kept validation documents; name gold documents "
            "that it was not trained on: --gold DIR"
        )
    return kept


def gold_documents(path: Path, labels: Sequence[str]) -> list[Document]:
    """Gold documents with their texts.

    Raises:
        CorpusError: A text is missing, or no mention is of these labels.
    """
    side = read_side(path, "--gold")
    if without := sorted(side.names - side.texts.keys()):
        raise CorpusError(
            [Problem(path, 0, f"no text of {without[0]} and {len(without) - 1} others")]
        )
    if not side.labels & set(labels):
        raise CorpusError(
            [
                Problem(
                    path,
                    0,
                    f"labels {', '.join(sorted(side.labels)) or 'none'}; the model finds "
                    f"{', '.join(labels)}",
                )
            ]
        )
    return [
        Document(
            name,
            text,
            tuple(side.spans.get(name, ())),
            side.languages.get(name, ""),
            side.annotated.get(name, frozenset(labels)),
        )
        for name, text in sorted(side.texts.items())
    ]
