"""The jobs of a sweep that left no scores, and why: they failed, were stopped, or never began.

A job that fails writes `failed.json` into its folder, whatever launcher and machine it runs with;
the next try in that folder removes it. What never began is told from the sweep's own command line.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from multiclin.errors import MulticlinError
from multiclin.files import atomic_write
from multiclin.privacy import message

FAILED = "failed.json"
NEVER_BEGAN = "never began"
UNKNOWN = "no reason known: killed, or still running"


class Unfinished(NamedTuple):
    """A job without scores.

    Attributes:
        folder: Where its files lie, or would.
        words: What the command line asks of it, Hydra's own settings left out.
        reason: Why it has none, in a line.
    """

    folder: Path
    words: Sequence[str]
    reason: str

    @property
    def again(self) -> str:
        """The command that trains it alone, into its folder; from its checkpoint, if any."""
        words = [*asked(self.words), f"hydra.run.dir={self.folder}"]
        if (self.folder / "checkpoints" / "last.ckpt").is_file():
            words.append("ckpt_path=last")
        return f"python train.py {shlex.join(words)}"


def explained(error: BaseException, *, quoted: bool) -> str:
    """What ended a job, in a line or more; a signal has no words.

    Args:
        error: What it raised.
        quoted: Whether words of a document may be in it.
    """
    said = message(error, quoted=quoted)
    if isinstance(error, MulticlinError):
        return said
    return f"{type(error).__name__}: {said}" if isinstance(error, Exception) else "stopped"


def keep_failure(folder: Path, words: Sequence[str], reason: str) -> None:
    """Write why a job ended; not into the folder of a run that is finished."""
    if not (folder / "metrics.json").is_file():
        with atomic_write(folder / FAILED, overwrite=True) as stream:
            json.dump({"overrides": list(words), "reason": reason}, stream)


def failures(folder: Path) -> list[Unfinished]:
    """The jobs below a folder that have said why they ended, and were not finished later."""
    found = []
    for path in sorted(folder.rglob(FAILED)):
        if path.with_name("metrics.json").is_file():
            continue
        said = json.loads(path.read_text("utf-8"))
        found.append(Unfinished(path.parent, said["overrides"], said["reason"].splitlines()[0]))
    return found


def never_begun(config: DictConfig, begun: Collection[Sequence[str]]) -> list[Unfinished]:
    """The jobs that a sweep should have had and that are none of those that began.

    Args:
        config: Of the sweep.
        begun: What was asked of those that began.
    """
    sweep, known = Path(config.hydra.sweep.dir), [asked(words) for words in begun]
    return [
        Unfinished(sweep / str(number), words, NEVER_BEGAN)
        for number, words in enumerate(_jobs(config))
        if asked(words) not in known
    ]


def asked(words: Sequence[str]) -> list[str]:
    """What a command line asks of a run, whether it begins or goes on."""
    return [word for word in words if not word.startswith("ckpt_path=")]


def _jobs(config: DictConfig) -> list[list[str]]:
    """The overrides of each job of a sweep, in the order of Hydra's sweeper, without Hydra's."""
    words: list[str] = OmegaConf.to_container(config.hydra.overrides.task)  # type: ignore[assignment]
    params: Any = config.hydra.sweeper.get("params") or {}
    given = [*(f"{key}={value}" for key, value in params.items()), *words]
    try:
        parsed = OverridesParser.create().parse_overrides(given)
        [jobs] = BasicSweeper.split_arguments(parsed, None)
    except (HydraException, AssertionError):  # Another sweeper's words, or one that looks at files.
        return []
    return [[word for word in job if not word.startswith("hydra.")] for job in jobs]
