"""A YAML file from anywhere as the option of a config group: `tuned=outputs/hpo/disease/best.yaml`.

Any group takes a file where it takes a name, in single runs, sweeps and the workers of a launcher:

    python train.py tuned=outputs/hpo/disease/best.yaml    # from the working directory
    python train.py experiment=./mine.yaml                 # a file, whatever conf/ holds
    python train.py hpo/pruner=/home/me/pruner.yaml        # absolute
    python train.py 'tuned="my runs/lr=3e-4.yaml"'         # quoted for the shell and for Hydra

Only a name that ends in `.yaml` is a file, so that ordinary options never depend on what lies in
the working directory. The file is like one of conf/: its package is the group unless it opens with
`# @package _global_`, and its defaults list chooses among the named options.

Hydra asks each source of its search path for `group/option`; `OptionFiles` is one more source. It
stands before conf/, so that a file which exists is the one meant; one that does not is looked up
in conf/ too, as in any Hydra application. Entry points are Hydra's for the whole environment: its
other applications gain these files too. Trade-off: Hydra refuses `..` in the path of an option
before any source is asked, so a file in the parent folder is given by its absolute path
(`multiclin.mistakes` says which).

A file may be a stranger's, so it holds settings and no more: it calls no resolver but ours (one
could read the environment), names no other file, starts no launcher with commands, sets no variable
of the environment, and leaves servers and privacy to the command line (`refused`).

Source: Hydra 1.4, plugins `ConfigSource` and `SearchPathPlugin`; FACTS 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from multiclin.errors import ConfigError, CorpusError
from multiclin.files import read_text
from multiclin.mistakes import missing_file, mistake
from multiclin.yaml_files import LARGEST, plain

SCHEME = "option"


class OptionFiles(ConfigSource):
    """The files below one folder, the `PATH` of `option://PATH`, and those with absolute paths.

    It lists no options and no groups: it would be the whole disk.
    """

    @staticmethod
    def scheme() -> str:
        """Return what stands before `://` in a search path."""
        return SCHEME

    def available(self) -> bool:
        """Return whether the source can be asked: always."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Return False: a folder of files is no group."""
        return False

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return no names."""
        return []

    def is_config(self, config_path: str) -> bool:
        """Return whether `group/option` is a file, or a path that can be nothing else.

        Args:
            config_path: Such as `tuned/outputs/best.yaml` or `tuned//home/me/best.yaml`.
        """
        if "/" not in config_path or not config_path.endswith(".yaml"):
            return False
        _, option = split_option(config_path)
        return option.startswith(("/", "./")) or (Path(self.path) / option).is_file()

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file.

        Raises:
            ConfigError: There is no such file, or it cannot be read as a config.
        """
        group, option = split_option(config_path)
        path = Path(self.path) / option
        if not path.is_file():
            raise missing_file(group, option, Path(self.path))
        try:
            text = read_text(path, LARGEST)
            content = plain(text, path)
            header = self._get_header_dict(text)
            config = OmegaConf.load(path)
        except (ConfigError, CorpusError) as error:
            raise mistake(f"{group}={option}: {' '.join(str(error).split())}", _CONTENT) from error
        except (OSError, ValueError, YAMLError) as error:
            reason = " ".join(str(error).split())
            raise mistake(f"{group}={option}: cannot read {path}: {reason}", _CONTENT) from error
        if not isinstance(config, DictConfig):
            raise mistake(f"{group}={option}: {path} is a list of values", _CONTENT)
        for reason in refused(content or {}, header.get("package"), group):
            raise mistake(f"{group}={option}: {path} {reason}", _SETTINGS)
        return ConfigResult(
            provider=self.provider, path=self.full_path(), config=config, header=header
        )


RESOLVERS = frozenset(["hydra", "now", "search_mode", "suffix", "wandb_console", "wandb_offline"])
"""All that an interpolation of a file may call."""

OURS = frozenset(["mode", "run", "sweep", "sweeper"])
"""What a file may set below `hydra`: where files go, and what is swept."""

_CALL = re.compile(r"(\\*)\$\{([^:{}]*)([:{])")
"""Backslashes, which escape it if their number is odd; a name; what makes it one of a resolver."""


def refused(content: Mapping[str, Any], package: str | None, group: str) -> Iterator[str]:
    """What a file asks for beyond settings, as what comes behind its name in a message.

    Args:
        content: Of the file, interpolations as they are written.
        package: Where its header wants it.
        group: That it is an option of.
    """
    prefix = (package or group.replace("/", ".")).removeprefix("_global_").strip(".")
    if package and not re.fullmatch(r"_global_|[a-z]\w*(\.[a-z]\w*)*", package):
        yield f"wants to be in the package {package!r}"
    for option in _options(content.get("defaults")):
        if option.endswith(".yaml"):
            yield f"chooses another file, {option!r}"
    for path, value in _flat(content, tuple(prefix.split(".")) if prefix else ()):
        key = ".".join(path)
        said = value if isinstance(value, str) else ""
        for slashes, name, sign in _CALL.findall(said):
            if len(slashes) % 2 == 0 and (sign == "{" or name.strip() not in RESOLVERS):
                yield f"calls {said[:80]!r} for {key}"
        hydras = path[0] == "hydra" and not group.startswith("hydra/")
        if hydras and ((path[1:2] and path[1] not in OURS) or path[-1] in _STARTS):
            yield f"sets {key}"
        servers = path[0] == "logger" and group != "logger" and {*path} & {"_target_", "settings"}
        if servers or path[0] == "privacy":
            yield f"sets {key}"


_STARTS = frozenset(["_target_", "custom_search_space"])


def _options(defaults: object) -> Iterator[str]:
    """The options that a defaults list names."""
    for entry in defaults if isinstance(defaults, list) else ():
        for option in entry.values() if isinstance(entry, dict) else [entry]:
            yield from map(str, option if isinstance(option, list) else [option])


def _flat(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every value below a node with its path; a dot in a key parts it as OmegaConf does."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, (*path, *str(key).split(".")))
    elif isinstance(value, list):
        for inner in value:
            yield from _flat(inner, path)
    else:
        yield path or ("",), value


class OptionFilesSearchPath(SearchPathPlugin):
    """Puts `OptionFiles` at the head of the search path, for the working directory of now.

    Written into the search path, the folder stays the same where a job changes its own
    (`hydra.job.chdir`) and in the worker processes of a launcher.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the source."""
        search_path.prepend(provider="multiclin", path=f"{SCHEME}://{Path.cwd()}")


def split_option(config_path: str) -> tuple[str, str]:
    """Split a config path into the group and the option: the group is the longest one known.

    With the groups `tuned`, `hpo` and `hpo/pruner`:

        tuned/outputs/best.yaml       ->  tuned, outputs/best.yaml
        hpo/pruner/mine.yaml          ->  hpo/pruner, mine.yaml
        hpo/pruner//home/me/p.yaml    ->  hpo/pruner, /home/me/p.yaml
    """
    hydra = GlobalHydra.instance()
    sources = hydra.config_loader().get_sources() if hydra.is_initialized() else []
    group, *parts = config_path.split("/")
    for part in parts[:-1]:
        longer = f"{group}/{part}"
        if part in {"", "."} or not any(source.is_group(longer) for source in sources):
            break
        group = longer
    return group, config_path.removeprefix(f"{group}/")


_SETTINGS = (
    "a file given as an option holds settings; what else you want, say on the command line, or put "
    "the file into conf/"
)
_CONTENT = "a file for a group holds settings as in conf/: `key: value` lines"
