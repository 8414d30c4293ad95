"""Models with something wrong, made of a sound one: `python -m tests.faults.models poison A B`."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path

from safetensors.torch import load_file, save_file

from multiclin.bundle import load_model, new_model, save_bundle
from multiclin.corpus.release import find_sets, read_sets
from multiclin.encoder import Subwords


def poison(source: Path, target: Path, corpus: Path) -> None:
    """Make the embedding of a subword NaN that stands in a few English training documents alone."""
    subwords, english, others = Subwords.load(source), Counter[int](), set[int]()
    for one, document in read_sets([one for one in find_sets(corpus) if one.entity == "symptom"]):
        ids = set(subwords.tokenize([document])[0].ids.tolist())
        if (one.language, one.split) == ("en", "train"):
            english.update(ids)
        else:
            others |= ids
    rare = min(english.keys() - others, key=lambda number: (english[number], number))
    shutil.copytree(source, target)
    weights = load_file(target / "model.safetensors")
    weights["model.embeddings.tok_embeddings.weight"][rare] = float("nan")
    save_file(weights, target / "model.safetensors", {"format": "pt"})


def widen(source: Path, target: Path) -> None:
    """Make a model of which a large batch needs 34 GB."""
    model = load_model(source)
    config = {**model.facts()["config"], "intermediate_size": 1 << 16}
    save_bundle(new_model(model.recipe, model.subwords, config=config), target, "")


if __name__ == "__main__":
    name, *paths = sys.argv[1:]
    if name == "poison":
        poison(*map(Path, paths))
    else:
        widen(*map(Path, paths))
