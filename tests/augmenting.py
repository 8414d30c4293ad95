"""What augmentation costs: `python -m tests.augmenting CORPUS [--label DISEASE]`; not a test.

CPU microseconds per training window of a MultiClinNER tree, by option of `conf/augmentation`, in
the first epoch, whose words are not yet known, and in the third.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hydra import compose, initialize_config_dir

from multiclin.augmentation import Augmentation, Augmenter
from multiclin.batch import TrainingWindows
from multiclin.config import CONF_DIR, register
from multiclin.corpus.source import Corpus
from multiclin.encoder import Subwords
from multiclin.store import Store
from multiclin.tables import as_text
from multiclin.tagging import SCHEMES, Tagging
from multiclin.windows import Windowing


def settings(option: str) -> Augmentation:
    """An option of the group."""
    register()
    with initialize_config_dir(str(CONF_DIR)):
        composed = compose("train", ["data.root=.", f"augmentation={option}"])
    return Augmentation(**composed.augmentation)


def microseconds(windows: TrainingWindows, epoch: int) -> tuple[float, float]:
    """CPU time of a window in an epoch, and its mean number of tokens."""
    began = time.process_time()
    tokens = [len(windows.drawn(row, (epoch, 0)).ids) for row in range(len(windows))]
    return 1e6 * (time.process_time() - began) / len(windows), float(np.mean(tokens))


def main() -> None:
    """Measure each option and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--label", default="DISEASE")
    parser.add_argument("--vocabulary", type=int, default=16_000)
    words = parser.parse_args()
    label, scheme, windowing = words.label, SCHEMES["bio"], Windowing()
    read = list(Corpus(words.corpus, {label.lower(): label}).documents())
    subwords = Subwords.train((document.text for _, document in read), words.vocabulary)
    rows = [("augmentation", "us in epoch 1", "us in epoch 3", "tokens")]
    with TemporaryDirectory() as folder:
        tagging = Tagging((label,), scheme)
        store = Store.build(Path(folder) / "store", read, subwords, tagging)
        numbers, room = range(len(store)), windowing.room
        for option in sorted(path.stem for path in (CONF_DIR / "augmentation").glob("*.yaml")):
            augmenter = Augmenter(
                settings(option), store, numbers, subwords, scheme, room=room, seed=1
            )
            windows = TrainingWindows(store, numbers, windowing, augmenter)
            (first, _), _, (third, tokens) = (microseconds(windows, epoch) for epoch in range(3))
            rows.append((option, f"{first:.0f}", f"{third:.0f}", f"{tokens:.1f}"))
    print(as_text(rows))


if __name__ == "__main__":
    main()
