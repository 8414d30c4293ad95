"""Hydra behind one call: where the configs lie, what a config may start, how a task is run.

`run` composes a config from `conf/` and the command line and gives it to a task. Hydra's runner
prints a mistake and exits with 1, the status of a crash; here every mistake is raised, as an error
that `cli.main` answers with 2 (`multiclin.mistakes` words it). For that, `run` sets
HYDRA_FULL_ERROR while Hydra is at work, and gives the task back the user's environment and command
line: Lightning starts the other processes of a DDP job from both.

Source: FACTS 5 (Hydra 1.4), DESIGN sections 4 to 6.
"""

from __future__ import annotations

import copy
import netrc
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from multiclin import faults, schema
from multiclin.errors import MulticlinError, OutputError
from multiclin.mistakes import FULL_ERROR, explain, mistake, settings, targets_explained
from multiclin.privacy import asked, quoting
from multiclin.targets import EXECUTION_WHITELIST

Task = Callable[[DictConfig], object]

_IN_WHEEL = Path(__file__).with_name("conf")
CONF_DIR = _IN_WHEEL if _IN_WHEEL.is_dir() else Path(__file__).parents[1] / "conf"
"""The configs: `multiclin/conf` in a wheel, `conf` at the top of a checkout or editable install."""

WANDB_SERVERS = frozenset({"api.wandb.ai", "api.forge.coreweave.com"})
"""The names under which `wandb login` keeps the key of W&B's own server; 0.31 writes the second."""

_command: ContextVar[str] = ContextVar("command")


def command() -> str:
    """The command that the user gave, as a shell takes it, while `run` is at work.

    `sys.argv` lacks its name then (`multiclin train`), which Hydra would take for an override.
    """
    return _command.get()


def as_command(words: Sequence[str]) -> str:
    """The words of a process as a shell takes them: a script needs its interpreter."""
    return shlex.join([*(["python"] if words[0].endswith(".py") else []), *words])


class _Stop(BaseException):
    """Carries a mistake out of a single run past Hydra, which would print a line about it."""

    def __init__(self, mistake: MulticlinError) -> None:
        self.mistake = mistake


def run(
    task: Task, config_name: str, overrides: Sequence[str] = (), config_dir: Path = CONF_DIR
) -> None:
    """Compose a config and run a task with it, once, or once per job with `--multirun`.

    Args:
        task: Gets the complete config: no value is missing, every interpolation resolves. It runs
            under `EXECUTION_WHITELIST`. Its result is the objective of a sweep.
        config_name: The primary config in `config_dir`, also the name of the job and its log file.
        overrides: What stands on the command line after the command: overrides and Hydra's flags.
        config_dir: The folder of the primary config and its groups.

    Raises:
        MulticlinError: A mistake of the user's, in the config or found by the task.
        SystemExit: From `--help`, `--cfg` and the like (status 0), or a flag that does not exist.
    """
    command_line, full_error = sys.argv, os.environ.get(FULL_ERROR)
    prefix = command_line[: max(1, len(command_line) - len(overrides))]
    job_started = False

    def job(config: DictConfig) -> object:
        nonlocal job_started
        job_started = True
        try:
            words = job_words(prefix, command_line)
            with (
                _process(words, full_error),
                targets_explained(config_dir),
                quoting(asked(config)),
            ):
                check_mode(config, as_command([*prefix, "-m", *overrides]))
                check_complete(config)
                where = Path(config.run_dir) if "run_dir" in config else "standard output"
                with faults.explained(where):
                    return task(config)
        except MulticlinError as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise  # The sweeper decides what a failed job means.
            leave_no_trace(Path(HydraConfig.get().runtime.output_dir), config_name)
            raise _Stop(error) from error

    job.__module__ = config_name  # Hydra names the job, and so its log file, after the module.
    application = hydra.main(
        config_path=str(config_dir),
        config_name=config_name,
        execution_whitelist=EXECUTION_WHITELIST,
    )(job)
    given = _command.set(as_command([*prefix, *overrides]))
    try:
        with _process([command_line[0], *overrides], "1"):
            application()
    except _Stop as stop:
        raise stop.mistake from stop.mistake.__cause__
    except HydraException as error:
        raise explain(error, config_dir) from error
    except (OmegaConfBaseException, YAMLError, ValueError, OSError) as error:
        if job_started:
            raise  # A bug of the task, not a mistake in its config.
        if isinstance(error, OSError) and error.filename:  # The folder of the run.
            raise OutputError(faults.cannot_write(error.filename, error)) from error
        raise faults.explain(error) or explain(error, config_dir) from error
    finally:
        _command.reset(given)


def leave_no_trace(folder: Path, name: str) -> None:
    """Remove the folder of a command that was refused before it did or said anything.

    Args:
        folder: Of the command; it stays unless Hydra alone has written to it.
        name: Of its log file.
    """
    # A command of the same second has the same folder, and may have removed it.
    if not folder.is_dir() or folder.samefile(Path.cwd()):
        return
    hydras = [folder / ".hydra" / f"{one}.yaml" for one in ("config", "hydra", "overrides")]
    log_file = folder / f"{name}.log"
    if log_file.is_file() and log_file.stat().st_size == 0:
        hydras.append(log_file)
    if all(path.is_dir() or path in hydras for path in folder.rglob("*")):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _process(command_line: Sequence[str], full_error: str | None) -> Iterator[None]:
    """Set the command line and HYDRA_FULL_ERROR of this process; put them back at the end."""
    before = sys.argv, os.environ.pop(FULL_ERROR, None)
    sys.argv = list(command_line)
    os.environ.update({FULL_ERROR: full_error} if full_error is not None else {})
    try:
        yield
    finally:
        sys.argv, value = before
        os.environ.pop(FULL_ERROR, None)
        os.environ.update({FULL_ERROR: value} if value is not None else {})


def check_complete(config: DictConfig) -> None:
    """Raise `ConfigError` where a mandatory value is missing or an interpolation does not resolve.

    Found here, before anything is loaded, rather than after an hour of training.
    """
    missing = [key for key, value in settings(config) if value == "???"]
    if missing:
        added = " ".join(f"{key}=..." for key in missing)
        raise mistake(f"no value for {', '.join(missing)}", f"add to the command: {added}")
    try:
        OmegaConf.resolve(copy.deepcopy(config))
    except OmegaConfBaseException as error:
        raise explain(error, CONF_DIR) from error


def check_mode(config: DictConfig, right: str) -> None:
    """Raise `ConfigError` where a search or a sweep was asked for in a single run.

    It would train once. One job of a sweep alone is all right: it names a value of all that is
    swept.

    Args:
        config: Of the run.
        right: The command with `--multirun`.
    """
    hydra_node: Any = HydraConfig.get()
    if hydra_node.mode == RunMode.MULTIRUN:
        return
    if config.get("hpo") is not None:
        if config.hpo.trial is None and config.hpo.run is None:
            raise mistake("hpo= asks for a search, and a single run is none", f"add -m: {right}")
        return
    words: Any = OmegaConf.to_container(hydra_node.overrides.task, resolve=False)
    given = {word.lstrip("+").partition("=")[0] for word in words}
    if swept := [key for key in hydra_node.sweeper.get("params") or {} if key not in given]:
        one = " ".join(f"{key}=..." for key in swept)
        raise mistake(
            f"this config sweeps over {', '.join(swept)}, and a single run has one value of each",
            f"add -m: {right}; or give {one} for one run",
        )


def job_words(prefix: Sequence[str], command_line: Sequence[str]) -> list[str]:
    """The command line that would run this job by itself.

    Lightning starts the other processes of a DDP job with the words of this one: in a multirun they
    would begin the whole sweep again.

    Args:
        prefix: The words of the command before its overrides.
        command_line: All words of this process.
    """
    hydra_node: Any = HydraConfig.get()
    if hydra_node.mode != RunMode.MULTIRUN:
        return list(command_line)
    with read_write(hydra_node):
        hydra_node.run.dir = hydra_node.runtime.output_dir  # Lightning hands this on.
    hydras = [word for word in hydra_node.overrides.hydra if not word.startswith("hydra.mode=")]
    return [*prefix, *hydra_node.overrides.task, *hydras]


def register() -> None:
    """Make our resolvers and schemas known; importing this module does."""
    OmegaConf.register_resolver("wandb_offline", wandb_offline, replace=True)
    OmegaConf.register_resolver("wandb_console", wandb_console, replace=True)
    OmegaConf.register_resolver("suffix", suffix, replace=True)
    OmegaConf.register_resolver(
        "search_mode", {"maximize": "max", "minimize": "min"}.get, replace=True
    )
    schema.register()


def suffix(text: str, value: object) -> str:
    """`${suffix:-fold,${fold}}`: `-fold2` where the value is 2, nothing where it is null."""
    return "" if value is None else f"{text}{value}"


def wandb_console(log_text: bool) -> str:
    """What W&B keeps of the console: without `privacy.log_text` nothing, whoever prints to it."""
    return "auto" if log_text else "off"


def wandb_offline() -> bool:
    """Whether W&B has nobody to log in as.

    W&B would ask for a key and wait, so without one its runs stay on this machine. The places
    looked at are those of W&B itself: its environment variables and the netrc file.
    """
    if mode := os.environ.get("WANDB_MODE"):
        return mode in {"offline", "dryrun"}
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return False
    own = urlsplit(os.environ.get("WANDB_BASE_URL") or "").netloc
    servers = {own} if own else WANDB_SERVERS
    try:
        return servers.isdisjoint(netrc.netrc(os.environ.get("NETRC")).hosts)
    except (OSError, netrc.NetrcParseError):
        return True


register()  # In a launcher's workers too, which name the folder of a job before they run it.
