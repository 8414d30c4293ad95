"""Where the files of a training run go, and the checkpoint that it goes on from.

A run that is finished is never written over, its `.hydra/` neither: Hydra would write that before
anybody has looked, so it is written here. One that was cut off is gone on with, or left alone.

A `last.ckpt` that is damaged (each part of the file has a checksum) gives way to `previous.ckpt`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from multiclin.errors import (
    CheckpointError,
    OutOfMemoryError,
    OutputError,
    WorkerError,
)
from multiclin.faults import explain
from multiclin.files import atomic_write
from multiclin.stopping import Stop

log = logging.getLogger(__name__)

FAULTS = (OutOfMemoryError, OutputError, WorkerError)
"""Errors that a run can be gone on after, with what it has saved."""

RESULTS = {"model": "weights", "encoder": "model.encoder"}
"""What finished runs leave, and the setting that a new run begins with it by."""

SWEEP_HINT = (
    "with ckpt_path=auto the same command leaves finished runs alone and goes on with the others"
)


def find_checkpoint(config: DictConfig) -> Path | None:
    """The checkpoint to go on from; None for a fresh start.

    `ckpt_path=auto` goes on in this run's folder, or begins there. So does `last`, and where the
    folder is new, it goes on with the newest run of the entity.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    if config.ckpt_path is None:
        return None
    if config.ckpt_path in {"auto", "last"}:
        return newest_checkpoint(config)
    path = Path(config.ckpt_path)
    check_there(path)
    check(path)
    return path


def check_there(path: Path) -> None:
    """Raise `CheckpointError` where there is no such file to go on from."""
    if not path.is_file():
        raise CheckpointError(f"ckpt_path={path} is not there; give a .ckpt file, or last")


def newest_checkpoint(config: DictConfig) -> Path | None:
    """The checkpoint to go on from in this run's folder; else of the newest run of the entity."""
    here = Path(config.run_dir)
    if found := whole_checkpoint(here):
        return found
    if config.ckpt_path == "auto" or (here / ".hydra").exists():
        log.info("%s holds no checkpoint yet: the run begins", here)
        return None
    family = config.entity.name if "entity" in config else config.name
    if here.parent.name == family:  # not a folder of the user's own choice
        for run in sorted(here.parent.glob("*"), reverse=True):
            if found := whole_checkpoint(run):
                return found
    raise CheckpointError(
        f"ckpt_path=last: no run in {here.parent} has a checkpoints/last.ckpt; start without it"
    )


def whole_checkpoint(run: Path) -> Path | None:
    """`last.ckpt` of a run, or the one before it where it is damaged or missing; None without any.

    Raises:
        CheckpointError: There is none that is whole.
    """
    folder = run / "checkpoints"
    damaged: list[CheckpointError] = []
    for path in (folder / "last.ckpt", folder / "previous.ckpt"):
        if not path.is_file():
            continue
        try:
            check(path)
        except CheckpointError as error:
            damaged.append(error)
            continue
        if damaged:
            log.warning("%s: going on from %s, saved before it", damaged[0], path.name)
        return path
    if damaged:
        raise CheckpointError(
            f"{'; '.join(map(str, damaged))}: begin a new run in another hydra.run.dir; "
            f"weights={folder / 'best.ckpt'} starts from the best weights, if that is there"
        )
    return None


def check(path: Path) -> None:
    """Raise `CheckpointError` unless a run can go on from this file."""
    from multiclin.bundle import read_checkpoint  # torch, which a run that only begins waits for.

    try:
        with ZipFile(path) as archive:
            broken = archive.testzip()
    except (BadZipFile, OSError, EOFError):
        broken = "all of it"
    if broken is not None:
        raise CheckpointError(f"{path} is cut short or damaged")
    content = read_checkpoint(path)
    if any(".." in Path(name).parts for name in _remembered(content)):
        raise CheckpointError(f"{path} remembers files outside of its folder: it is refused")
    if "optimizer_states" not in content:
        raise CheckpointError(
            f"ckpt_path={path} holds the weights only; go on from the last.ckpt beside it, or "
            f"begin a new run from them with weights={path}"
        )


def check_corpus(
    config: DictConfig, digest: str, kept_by: str = "NerDataModule", setting: str = "data.root"
) -> None:
    """Raise `CheckpointError` where the run began with another corpus than this one.

    Args:
        config: Of the run.
        digest: Of the corpus as it is now.
        kept_by: The data module that has put the digest into the checkpoint.
        setting: Which says where the corpus lies.
    """
    if config.ckpt_path is None:
        return
    from multiclin.bundle import read_checkpoint

    then = read_checkpoint(Path(config.ckpt_path)).get(kept_by, {}).get("corpus", digest)
    if then != digest:
        known = "weights" in config  # Of a training; a pretraining begins with an encoder.
        weights = f" from its weights with weights={config.ckpt_path}" if known else ""
        raise CheckpointError(
            f"ckpt_path={config.ckpt_path}: this run began with another corpus (digest {then}, and "
            f"{setting}={OmegaConf.select(config, setting)} has {digest}); bring the files back as "
            f"they were, or begin a new run{weights}"
        )


def _remembered(checkpoint: Mapping[str, Any]) -> Iterator[str]:
    """Files that callbacks of a checkpoint remember, to delete one that a better one replaces."""
    for state in dict(checkpoint.get("callbacks") or {}).values():
        if isinstance(state, dict):
            yield from (str(one) for key, one in state.items() if str(key).endswith("_path"))
            yield from map(str, state.get("best_k_models") or ())


def run_folder(config: DictConfig, resumed: Path | None) -> Path:
    """Where this run's files go: its own folder, or that of the run that it continues."""
    if resumed and resumed.parent.name == "checkpoints":
        return resumed.parent.parent
    return Path(config.run_dir)


def result_of(folder: Path) -> Path | None:
    """What a finished run leaves last: a trained model, or the encoder of a pretraining."""
    return next((folder / name for name in RESULTS if (folder / name).exists()), None)


def check_folder(config: DictConfig, folder: Path) -> None:
    """Raise `OutputError` where a run in this folder would write over another one."""
    if result := result_of(folder):
        hint = f"start a new one (with {RESULTS[result.name]}={result} to go on from its weights)"
        raise OutputError(f"{folder} holds a finished run; {SWEEP_HINT if is_sweep() else hint}")
    if config.ckpt_path is None and (folder / "checkpoints").exists():
        hint = f"continue it with hydra.run.dir={folder} ckpt_path=last, or choose another"
        hint = SWEEP_HINT if is_sweep() else f"{hint} hydra.run.dir"
        raise OutputError(f"{folder} holds an unfinished run; {hint}")


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


def is_sweep() -> bool:
    """Whether this run is one of several that one command makes."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


@contextmanager
def stop_explained(config: DictConfig, stop: Stop) -> Iterator[None]:
    """Where a signal or a fault stopped the run say how to go on; in the end close the loggers."""
    from multiclin.tracking import close_loggers  # Lightning.

    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        say_how_to_go_on(config, stop, "stopped; go on")
        raise
    except Exception as error:
        saved = (Path(config.run_dir) / "checkpoints" / "last.ckpt").is_file()
        if saved and isinstance(explain(error) or error, FAULTS):
            say_how_to_go_on(config, stop, "once the error below is mended, go on")
        raise
    finally:
        close_loggers()


def say_how_to_go_on(config: DictConfig, stop: Stop, when: str) -> None:
    """Log the command; a search says it itself."""
    if config.get("hpo") is None:
        place = f"hydra.run.dir='{config.run_dir}' ckpt_path=last"
        if is_sweep():
            place = f"hydra.sweep.dir='{HydraConfig.get().sweep.dir}' ckpt_path=auto"
        more = "" if stop.goes_on else f" and {place}"
        log.warning("%s with the same command%s", when, more)
