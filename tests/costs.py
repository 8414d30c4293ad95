"""What training recipes cost: `python -m tests.costs [ROUNDS] [WINDOWS] [LENGTH]`; not a test.

CPU seconds of an optimizer step of `model=small` in the precision of this machine, and the most
memory that its process has held; medians of rounds in which the recipes take turns, each in a
process of its own, and the ratio to the plain step. On a GPU seconds by the wall, and its memory.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, cast

import torch
from omegaconf import OmegaConf

from multiclin import flat
from multiclin.adapting import LowRank, add_low_rank, checkpoint_layers, freeze
from multiclin.averaging import ExponentialAverage
from multiclin.bench.measures import Clock, device, peak_mib
from multiclin.config import CONF_DIR
from multiclin.encoder import build_encoder
from multiclin.heads import CrfHead, Head, LinearHead, Tagger
from multiclin.losses import TokenLoss
from multiclin.optimization import Rates, parameter_groups
from multiclin.regularization import Regularization
from multiclin.running import best_precision
from multiclin.tables import as_text
from multiclin.tagging import scheme

STEPS, VOCABULARY, BIO = 3, 16000, scheme("bio")
Network = Callable[[Any], None]


def nothing(_: object) -> None:
    """The network as it is."""


CHANGES: dict[str, Network] = {
    "model.freeze=3": lambda network: freeze(network, 3),
    "model.gradient_checkpointing=true": checkpoint_layers,
    "lora=all_linear": lambda network: add_low_rank(network, LowRank(8, 16.0, "all-linear", 0.0)),
}
ADDED = {
    "regularization=r_drop": Regularization(r_drop=1.0),
    "regularization=fgm": Regularization(fgm=1.0),
}
NAMES = [
    *("plain", "head=crf", "loss=focal", "optim.layer_decay=0.9", "callbacks=ema"),
    *(name for name in (*ADDED, *CHANGES) if "lora" not in name or find_spec("peft")),
]


def measure(name: str, windows: int, length: int) -> dict[str, float]:
    """Seconds of a step, and MiB."""
    torch.manual_seed(1)
    small = OmegaConf.to_container(OmegaConf.load(CONF_DIR / "model" / "small.yaml").config)
    config = {**cast("dict[str, Any]", small), "vocab_size": VOCABULARY, "pad_token_id": 3}
    ids = {f"{which}_token_id": 0 for which in ("bos", "eos", "cls", "sep")}
    network = build_encoder({**config, **ids}, BIO.names("X"))
    flat.prepare(network)
    CHANGES.get(name, nothing)(network)
    head: Head = CrfHead(BIO) if name == "head=crf" else LinearHead(BIO)
    if isinstance(head, LinearHead) and name == "loss=focal":
        head.criterion = TokenLoss(gamma=2.0)
    tagger = Tagger(network, [head]).to(device()).train()
    rates = Rates(1e-4, layer_decay=0.9) if "layer_decay" in name else None
    optimizer = torch.optim.AdamW(parameter_groups(tagger, 0.01, rates), lr=1e-4, fused=True)
    trainer: Any = SimpleNamespace(global_step=0, estimated_stepping_batches=100)
    averaging = ExponentialAverage()
    averaging.on_train_start(trainer, cast("Any", tagger))
    text = torch.randint(4, VOCABULARY, (windows, length), device=device())
    tags = torch.randint(0, 3, (windows, 1, length), device=device())
    is_half = best_precision("auto") == "bf16-mixed"

    def step() -> None:
        with torch.autocast(device().type, torch.bfloat16, enabled=is_half):
            added = ADDED.get(name, Regularization())
            loss = added.loss(tagger, text, torch.ones_like(text), tags)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        trainer.global_step += 1
        if name == "callbacks=ema":
            averaging.on_train_batch_end(trainer)

    step()
    clock = Clock()
    for _ in range(STEPS):
        step()
    taken = clock.read()["seconds" if torch.cuda.is_available() else "cpu_seconds"]
    return {"seconds": taken / STEPS, "mib": peak_mib()}


def main(rounds: int, windows: int, length: int) -> str:
    """The table."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    for _ in range(rounds):
        for name in NAMES:
            words = [sys.executable, "-m", "tests.costs", "one", name, str(windows), str(length)]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    rows = [[f"{windows} windows of {length}", "s", "x", "MiB", "x"]]
    for name, measured in found.items():
        row = [name]
        for key, form in (("seconds", ".2f"), ("mib", ".0f")):
            values = [one[key] for one in measured]
            pairs = zip(values, (plain[key] for plain in found["plain"]), strict=True)
            ratio = statistics.median(one / plain for one, plain in pairs)
            row += [f"{statistics.median(values):{form}}", f"{ratio:.2f}"]
        rows.append(row)
    return as_text(rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        print(json.dumps(measure(sys.argv[2], *map(int, sys.argv[3:]))))
    else:
        chosen = [int(word) for word in sys.argv[1:]]
        print(main(*(chosen + [3, 8, 512][len(chosen) :])))
