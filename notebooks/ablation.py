"""What each idea brings: trainings of one recipe each, over seeds, beside the plain one.

    python -m notebooks.ablation --root ../shared/data/TEMIST --entity joint --seeds 13 14 --table
    python -m notebooks.ablation --only crf ema --epochs 10

A run that has finished is left alone, one that was cut off goes on, so the same command fills the
table up. Change and interval are over seeds of the mean test F1 of the labels, paired with the
plain recipe's; time is that of the run. A recipe is a list of overrides, nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from multiclin.tables import as_text

ROOT = Path(__file__).parents[1]

RECIPES: dict[str, list[str]] = {
    "plain": [],
    "crf": ["head=crf"],
    "crf, own rates": ["head=crf", "optim.head_learning_rate=1e-3", "optim.crf_learning_rate=5e-3"],
    "bioes": ["tagging.scheme=bioes"],
    "two layers": ["tagging.layers=2"],
    "bias tuned": ["decoding.bias=tuned"],
    "ema": ["callbacks=ema"],
    "swa": ["callbacks=swa"],
    "tokens replaced": ["augmentation=tokens"],
    "mentions replaced": ["augmentation=mentions"],
    "words in other spelling": ["augmentation=noise"],
    "all of these": ["augmentation=all"],
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


def train(name: str, overrides: Sequence[str], seed: int, options: argparse.Namespace) -> None:
    """Run one training, unless it has finished; how long it took is noted beside it."""
    folder = folder_of(name, seed, options)
    if (folder / "metrics.json").is_file():
        return
    command = [
        *(sys.executable, str(ROOT / "train.py"), f"data.root={options.root}"),
        *(f"entity={options.entity}", "model=small", "logger=csv", "report=null"),
        *(f"trainer.max_epochs={options.epochs}", "optim.learning_rate=5e-4", f"seed={seed}"),
        *("ckpt_path=auto", f"hydra.run.dir={folder}", f"data.cache={options.work / 'cache'}"),
        *(one.format(mlm=options.mlm) for one in overrides),
    ]
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
    (folder / "seconds.txt").write_text(f"{time.monotonic() - begun:.0f}")


def folder_of(name: str, seed: int, options: argparse.Namespace) -> Path:
    """Where a run lies."""
    kind = f"{Path(options.root).name}-{options.entity}-{options.epochs}"
    work: Path = options.work
    return work / kind / f"{name.replace(' ', '-').replace(',', '')}-{seed}"


def f1_of(folder: Path) -> float | None:
    """Mean test F1 over the labels of a run; None where it has not finished."""
    path = folder / "metrics.json"
    if not path.is_file():
        return None
    metrics = json.loads(path.read_text())
    labels = [value for key, value in metrics.items() if key.startswith("test/strict_f1/")]
    return mean(labels) if labels else float(metrics["test/strict_f1"])


def table(options: argparse.Namespace) -> str:
    """What has been measured so far."""
    plain = {seed: f1_of(folder_of("plain", seed, options)) for seed in options.seeds}
    rows = [["recipe", "seeds", "F1", "change", "±", "minutes"]]
    for name in RECIPES:
        found = {seed: f1_of(folder_of(name, seed, options)) for seed in options.seeds}
        values = {seed: value for seed, value in found.items() if value is not None}
        if not values:
            continue
        changes = [
            value - base
            for seed, value in values.items()
            if (base := plain[seed]) is not None and name != "plain"
        ]
        spread = f"{stdev(changes):.4f}" if len(changes) > 1 else ""
        took = [folder_of(name, seed, options) / "seconds.txt" for seed in values]
        minutes = mean([int(one.read_text()) / 60 for one in took if one.is_file()] or [0])
        change = f"{mean(changes):+.4f}" if changes else ""
        row = [name, str(len(values)), f"{mean(values.values()):.4f}", change, spread]
        rows.append([*row, f"{minutes:.1f}"])
    return as_text(rows)


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", default=ROOT.parent / "shared" / "data" / "TEMIST", type=Path)
    parser.add_argument("--entity", default="joint")
    parser.add_argument("--seeds", nargs="+", type=int, default=[13])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--mlm", type=Path, help="an encoder of pretrain.py, for `pretrained`")
    parser.add_argument("--work", type=Path, default=ROOT / "outputs" / "ablation")
    parser.add_argument("--table", action="store_true", help="train nothing")
    options = parser.parse_args()
    for seed in options.seeds if not options.table else ():
        for name in options.only:
            if name != "pretrained" or options.mlm:
                train(name, RECIPES[name], seed, options)
                print(table(options), flush=True)
    if options.table:
        print(table(options))


if __name__ == "__main__":
    main()
