"""What a training says of itself, without a training."""

from __future__ import annotations

from omegaconf import OmegaConf

from multiclin.fitting import shown


def test_trackers_do_not_see_the_password_of_a_database() -> None:
    storage = "postgresql+psycopg://eva:s3cret@host/studies"
    config = OmegaConf.create({"seed": 13, "hpo": {"storage": storage}})
    assert shown(config) == {
        "seed": 13,
        "hpo": {"storage": "postgresql+psycopg://eva:***@host/studies"},
    }
