"""Where the files of a training run go, and the checkpoint that it goes on from.

A run that is finished is never written over, its `.hydra/` neither: Hydra would write that before
anybody has looked, so it is written here. One that was cut off is gone on with, or left alone.
"""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from multiclin.bundle import read_checkpoint
from multiclin.errors import CheckpointError, OutputError
from multiclin.files import atomic_write


def find_checkpoint(config: DictConfig) -> Path | None:
    """The checkpoint to go on from; None for a fresh start."""
    if config.ckpt_path is None:
        return None
    path = newest_checkpoint(config) if config.ckpt_path == "last" else Path(config.ckpt_path)
    if not path.is_file():
        raise CheckpointError(f"ckpt_path={path} is not there; give a .ckpt file, or last")
    if "optimizer_states" not in read_checkpoint(path):
        raise CheckpointError(
            f"ckpt_path={path} holds the weights only; go on from the last.ckpt beside it, or "
            f"begin a new run from them with weights={path}"
        )
    return path


def newest_checkpoint(config: DictConfig) -> Path:
    """The `last.ckpt` of this run's folder, else of the newest run of the entity."""
    here = Path(config.run_dir)
    found = [here / "checkpoints" / "last.ckpt"]
    if here.parent.name == config.entity.name:  # not a folder of the user's own choice
        found += sorted(here.parent.glob("*/checkpoints/last.ckpt"), reverse=True)
    for path in found:
        if path.is_file():
            return path
    raise CheckpointError(
        f"ckpt_path=last: no run in {here.parent} has a checkpoints/last.ckpt; start without it"
    )


def run_folder(config: DictConfig, resumed: Path | None) -> Path:
    """Where this run's files go: its own folder, or that of the run that it continues."""
    folder = Path(config.run_dir)
    if resumed and resumed.parent.name == "checkpoints":
        folder = resumed.parent.parent
    if (folder / "model").exists():
        raise OutputError(
            f"{folder} holds a finished run; start a new one (with weights={folder}/model to go "
            "on from its weights)"
        )
    if not resumed and (folder / "checkpoints").exists():
        raise OutputError(
            f"{folder} holds an unfinished run; continue it with hydra.run.dir={folder} "
            "ckpt_path=last, or choose another hydra.run.dir"
        )
    return folder


def keep_config(config: DictConfig, folder: Path) -> None:
    """Write what Hydra writes into `.hydra/`: config, overrides, and its own settings.

    Raises:
        OutputError: A file cannot be written.
    """
    if not HydraConfig.initialized() or HydraConfig.get().output_subdir is not None:
        return  # Hydra has done it, elsewhere: this is another process of a DDP job.
    hydra = OmegaConf.to_container(HydraConfig.get(), resolve=False)
    parts = {
        "config": config,
        "hydra": OmegaConf.create({"hydra": hydra}),
        "overrides": HydraConfig.get().overrides.task,
    }
    for name, part in parts.items():
        with atomic_write(folder / ".hydra" / f"{name}.yaml", overwrite=True) as stream:
            stream.write(OmegaConf.to_yaml(part))
