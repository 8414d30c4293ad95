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

Source: Hydra 1.4, plugins `ConfigSource` and `SearchPathPlugin`; FACTS 5.
"""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from multiclin.mistakes import missing_file, mistake

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
        try:
            header = self._get_header_dict(path.read_text(encoding="utf-8"))
            config = OmegaConf.load(path)
        except FileNotFoundError as error:
            raise missing_file(group, option, Path(self.path)) from error
        except (OSError, ValueError, YAMLError) as error:
            reason = " ".join(str(error).split())
            raise mistake(f"{group}={option}: cannot read {path}: {reason}", _CONTENT) from error
        if not isinstance(config, DictConfig):
            raise mistake(f"{group}={option}: {path} is a list of values", _CONTENT)
        return ConfigResult(
            provider=self.provider, path=self.full_path(), config=config, header=header
        )


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


_CONTENT = "a file for a group holds settings as in conf/: `key: value` lines"
