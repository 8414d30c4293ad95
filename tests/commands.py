"""The real commands in a folder of their own, for the tests that run them.

Nothing may reach the network: every proxy points to a closed port.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from multiclin.corpus.sample import generate

ROOT = Path(__file__).parents[1]
CLOSED = "http://127.0.0.1:9"
MODEL = [
    "model=tiny",
    "model.vocabulary=2000",
    *("model.config.hidden_size=64", "model.config.intermediate_size=64"),
    *("model.config.num_hidden_layers=2", "model.config.num_attention_heads=2"),
    *("model.config.classifier_dropout=0", "model.config.embedding_dropout=0"),
    *("window.size=128", "window.overlap=32"),
]
"""Four epochs of this reach a strict F1 of about 0.5 in seconds."""

Done = subprocess.CompletedProcess[str]
Words = Iterable[str | Path]


class Work:
    """A folder with a toy corpus, and the commands run in it.

    Attributes:
        folder: Everything that the commands write lies below it.
        corpus: Two languages with 19 training and 5 test cases each, three entities.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.corpus = folder, folder / "corpus"
        generate(self.corpus, documents=24, seed=1, languages=["es", "en"])
        (folder / "home").mkdir()

    @property
    def environment(self) -> dict[str, str]:
        """Ours without W&B's settings and keys, without network, one thread per command."""
        mine = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
        proxies = dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"], CLOSED)
        places = {"HOME": str(self.folder / "home"), "PYTHONPATH": str(ROOT)}
        return {**mine, **proxies, **places, "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}

    def start(self, script: str, *words: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(ROOT / script), *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.folder,
        )

    def run(self, script: str, *words: str | Path) -> Done:
        with self.start(script, *words) as process:
            out, err = process.communicate()
        return subprocess.CompletedProcess(list(map(str, words)), process.returncode, out, err)

    def run_all(self, commands: Iterable[Words]) -> list[Done]:
        """The commands, two at a time."""
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda words: self.run(*map(str, words)), commands))

    def training(self, name: str, *words: str) -> list[str]:
        """The command that trains into `folder / name`."""
        places = [f"data.root={self.corpus}", f"hydra.run.dir={self.folder / name}"]
        return ["train.py", *MODEL, *places, "trainer=cpu", "optim.learning_rate=1e-2", *words]

    def prediction(self, ckpt: Path, texts: Path, name: str, *words: str) -> list[str]:
        """The command that predicts into `folder / name`."""
        places = [f"ckpt={ckpt}", f"input={texts}", f"output={self.folder / name}"]
        return ["predict.py", *places, "trainer=cpu", *words]

    def set(self, split: str, entity: str, language: str = "es") -> Path:
        above = f"MultiClinNER/MultiClinNER-{language}/MultiClinNER-{language}-{split}"
        return self.corpus / above / f"MultiClinNER-{language}-{split}-{entity}"


def succeeded(done: Done) -> Done:
    assert done.returncode == 0, done.stderr
    return done


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content
