"""Settings of a training config reach what they are of."""

from __future__ import annotations

from pathlib import Path

from hydra import compose, initialize_config_dir

from multiclin.assembly import open_data
from multiclin.augmentation import Augmentation
from multiclin.config import CONF_DIR, register
from multiclin.opening import open_corpus
from tests.toy_models import toy_set


def test_windows_and_what_changes_them_are_those_of_the_config(tmp_path: Path) -> None:
    toy_set(tmp_path)
    register()
    words = [
        *(f"data.root={tmp_path}", f"data.cache={tmp_path / 'cache'}", "model=tiny"),
        *("model.vocabulary=200", "model.config.num_hidden_layers=1", "augmentation=tokens"),
        *("window.size=64", "window.overlap=16", "window.context=8", "augmentation.mentions=0.5"),
    ]
    with initialize_config_dir(str(CONF_DIR)):
        config = compose("train", words)
    data = open_data(config, open_corpus(config))
    assert data.loading.augmentation == Augmentation(0.05, 0.05, 0.5)
    windowing = data.model.windowing
    assert (windowing.size, windowing.overlap, windowing.context) == (64, 16, 8)
    assert data.windows.augmenter is not None
    assert data.windows.context == 8
