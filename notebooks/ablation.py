"""What each idea brings: trainings of one recipe each, over seeds, beside a base recipe.

    python -m notebooks.ablation --seeds 13 14 --only plain crf ema "crf + ema"
    python -m notebooks.ablation --table --base pretrained
    python -m notebooks.ablation --root DIR --entity disease --epochs 4 model.encoder=DIR ...

A run that has finished is left alone, one that was cut off goes on, so the same command fills the
table up; two commands at once need different recipes or seeds. F1 is the mean over the labels on
test; its change is paired with the base recipe's of the same seed, with the interval of Student's
t over seeds. A recipe is a list of overrides, nothing else, and ` + ` puts several together.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

from multiclin.tables import as_text

ROOT = Path(__file__).parents[1]

RECIPES: dict[str, list[str]] = {
    "plain": [],
    "crf": ["head=crf"],
    "crf rates": ["head=crf", "optim.head_learning_rate=1e-3", "optim.crf_learning_rate=5e-3"],
    "bioes": ["tagging.scheme=bioes"],
    "two layers": ["tagging.layers=2"],
    "bias tuned": ["decoding.bias=tuned"],
    "ema": ["callbacks=ema"],
    "swa": ["callbacks=swa"],
    "tokens replaced": ["augmentation=tokens"],
    "mentions replaced": ["augmentation=mentions"],
    "other spelling": ["augmentation=noise"],
    "all replaced": ["augmentation=all"],
    "context of 64": ["window.context=64"],
    "windows of 1,024": ["window.size=1024"],
    "layer decay": ["optim.layer_decay=0.9"],
    "focal": ["loss=focal"],
    "smoothed": ["loss=smoothed"],
    "balanced": ["loss=balanced"],
    "r-drop": ["regularization=r_drop"],
    "fgm": ["regularization=fgm"],
    "more dropout": [
        *("++model.config.classifier_dropout=0.3", "++model.config.embedding_dropout=0.2"),
        "++model.config.mlp_dropout=0.2",
    ],
    "pretrained": ["model.encoder={mlm}"],
}

QUANTILES = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
"""97.5 % of Student's t with 1, 2, ... degrees of freedom."""


@dataclass(frozen=True)
class Run:
    """A training of one recipe.

    Attributes:
        folder: Where it lies.
        recipe: Names of `RECIPES`, with ` + ` between them.
    """

    folder: Path
    recipe: str
    seed: int

    @property
    def overrides(self) -> list[str]:
        """What the recipe says."""
        return [one for part in self.recipe.split(" + ") for one in RECIPES[part]]

    @property
    def f1(self) -> float | None:
        """Mean test F1 over the labels; None where it has not finished."""
        path = self.folder / "metrics.json"
        if not path.is_file():
            return None
        metrics = json.loads(path.read_text())
        labels = [value for key, value in metrics.items() if key.startswith("test/strict_f1/")]
        return mean(labels) if labels else float(metrics["test/strict_f1"])

    @property
    def minutes(self) -> float:
        """How long it took, if it was not cut off."""
        path = self.folder / "seconds.txt"
        return float(path.read_text()) / 60 if path.is_file() else float("nan")


def run_of(recipe: str, seed: int, options: argparse.Namespace) -> Run:
    """The run of a recipe, finished or not."""
    kind = f"{options.root.name}-{options.entity}-{options.epochs}"
    return Run(options.work / kind / recipe / str(seed), recipe, seed)


def train(run: Run, options: argparse.Namespace) -> None:
    """Do what is left of a run, and note how long it took."""
    if run.f1 is not None:
        return
    command = [
        *(sys.executable, str(ROOT / "train.py"), f"data.root={options.root.absolute()}"),
        *(f"entity={options.entity}", "model=small", "logger=csv", "report=null"),
        *(f"trainer.max_epochs={options.epochs}", "optim.learning_rate=5e-4", f"seed={run.seed}"),
        *("ckpt_path=auto", f"data.cache={options.work / 'cache'}", *options.overrides),
        *(one.format(mlm=options.mlm) for one in run.overrides),
        f"hydra.run.dir='{run.folder}'",
    ]
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    (run.folder / "seconds.txt").write_text(f"{time.monotonic() - begun:.0f}")


def table(options: argparse.Namespace) -> str:
    """What has been measured so far, recipes in the order of their F1."""
    found: dict[str, dict[int, Run]] = {}
    for path in run_of("*", 0, options).folder.parents[1].glob("*/*/metrics.json"):
        run = Run(path.parent, path.parents[1].name, int(path.parent.name))
        found.setdefault(run.recipe, {})[run.seed] = run
    rows = []
    for recipe, runs in found.items():
        scores = {seed: run.f1 or 0.0 for seed, run in runs.items()}
        base = {seed: run.f1 or 0.0 for seed, run in found.get(options.base, {}).items()}
        changes = [100 * (scores[seed] - base[seed]) for seed in scores.keys() & base.keys()]
        change = f"{mean(changes):+.1f}" if changes and recipe != options.base else ""
        if change and 1 < len(changes) <= len(QUANTILES):
            wide = QUANTILES[len(changes) - 2] * stdev(changes) / sqrt(len(changes))
            change += f" ± {wide:.1f}"
        took = mean(run.minutes for run in runs.values())
        rows.append([recipe, str(len(runs)), f"{mean(scores.values()):.4f}", change, f"{took:.1f}"])
    rows.sort(key=lambda row: row[2])
    return as_text([["recipe", "seeds", "F1", f"over {options.base}", "minutes"], *rows])


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", default=ROOT.parent / "shared" / "data" / "TEMIST", type=Path)
    parser.add_argument("--entity", default="joint")
    parser.add_argument("--seeds", nargs="+", type=int, default=[13])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--only", nargs="+", default=[one for one in RECIPES if one[:3] != "pre"])
    parser.add_argument("--base", default="plain", help="the recipe that others are compared with")
    parser.add_argument("--mlm", type=Path, help="an encoder of pretrain.py, for `pretrained`")
    parser.add_argument("--work", type=Path, default=ROOT / "outputs" / "ablation")
    parser.add_argument("--table", action="store_true", help="train nothing")
    options, options.overrides = parser.parse_known_args()
    for seed in () if options.table else options.seeds:
        for recipe in options.only:
            run = run_of(recipe, seed, options)
            print(f"{recipe}, seed {seed}: {' '.join(run.overrides)}", flush=True)
            train(run, options)
    print(table(options))


if __name__ == "__main__":
    main()
