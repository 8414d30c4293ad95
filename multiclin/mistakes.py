"""What a mistake in a config or an override reads like: the setting, its value, the nearest name.

Hydra and OmegaConf know what is wrong; `explain` says it in two lines, the second a hint.
Trade-off: it rests on the exceptions of Hydra 1.4, held in place by tests/test_config.py; one that
is not known here is passed on in Hydra's own words.

Source: FACTS 5 (Hydra 1.4), DESIGN section 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from hydra.errors import InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from multiclin.errors import ConfigError, MulticlinError

FULL_ERROR = "HYDRA_FULL_ERROR"
"""Hydra's environment variable: with `1` a mistake shows its traceback too."""

_MORE = f"--help lists every group and setting; {FULL_ERROR}=1 shows where this was raised"
_GRAMMAR = (
    "an override is key=value; quote a value that holds any of , = [ ] { } ( ) : $, once for the"
    " shell and once for Hydra: 'key=\"value\"'"
)
_ALLOWED = "a config may start only what EXECUTION_WHITELIST in multiclin/targets.py names"


def explain(error: Exception, config_dir: Path) -> ConfigError:
    """Say what is wrong with a config, and what the user probably meant.

    Args:
        error: What Hydra or OmegaConf raised.
        config_dir: Where the configs and their groups are looked up, to suggest one.

    Returns:
        An error of two lines or more, the last of them `hint: ...`.
    """
    match error, error.__cause__:
        case MissingConfigException(missing_cfg_file=str(path), options=options), _:
            # Hydra names the group in its message only; a file's own path has slashes too.
            group = str(error).partition("Available options in '")[2].partition("'")[0]
            return _unknown_option(path, group, options or [], config_dir)
        case OverrideParseException(override=override), _:
            reason = str(error).partition("\nSee http")[0].rpartition("\n")[2]
            return mistake(f"cannot read {override}: {reason}", _GRAMMAR)
        case InstantiationException(), _:
            return mistake(_sentence(error), _ALLOWED)
        case _, (ConfigAttributeError() | ConfigKeyError()) as unknown:
            # "Could not override 'a.b'": the whole key, where OmegaConf names the first bad part.
            key = str(error).partition("'")[2].partition("'")[0] or str(unknown.full_key)
            return _unknown_key(key, unknown, config_dir)
        case (_, OmegaConfBaseException() as found) | (OmegaConfBaseException() as found, _):
            where = f"{found.full_key}: " if found.full_key else ""
            return mistake(f"{where}{_sentence(found)}", _MORE)
    return _hydras_words(error)


def _hydras_words(error: Exception) -> ConfigError:
    """Pass on what Hydra says, without its search path; for `tuned=../best.yaml`, say what goes."""
    if refused := re.search(r"Parent traversal .* config option .*\('(.+\.yaml)'\)", str(error)):
        file = refused[1]
        hint = f"give the path in full: {Path(file).resolve()}"
        return mistake(f"{file}: Hydra takes no .. in the path of an option", hint)
    return mistake(str(error).partition("\nConfig search path")[0].strip(), _MORE)


def _unknown_option(path: str, group: str, options: Sequence[str], config_dir: Path) -> ConfigError:
    """Explain `entity=diseas` (path `entity/diseas`), or a primary config that is not there."""
    group = group or path.rpartition("/")[0]
    option = path.removeprefix(f"{group}/")
    if group and option.endswith(".yaml"):
        return missing_file(group, option, Path.cwd())
    if not group:
        names = sorted(file.stem for file in config_dir.glob("*.yaml"))
        return mistake(f"there is no config {path} in {config_dir}", _suggest(path, names))
    hint = _suggest(option, options, prefix=f"{group}=")
    return mistake(f"{group}={option}: there is no {option} in the group {group}", hint)


def missing_file(group: str, option: str, folder: Path) -> ConfigError:
    """Explain `tuned=outputs/best.yaml` where there is no such file in a folder."""
    where = "" if Path(option).is_absolute() else f" in {folder}"
    hint = f"a name that ends in .yaml is a file; the options of {group} have names without it"
    return mistake(f"{group}={option}: there is no such file{where}", hint)


def _unknown_key(key: str, error: OmegaConfBaseException, config_dir: Path) -> ConfigError:
    """Explain `optim.learnin_rate=1`: the config has no such key."""
    groups = [path.relative_to(config_dir) for path in config_dir.rglob("*") if path.is_dir()]
    names = {path.as_posix() for path in groups}
    if error.parent_node is not None:
        names |= {name for name, _ in settings(error.parent_node._get_root())}
    if not key.startswith("hydra"):
        names = {name for name in names if not name.startswith("hydra")}
    last = key.rpartition(".")[2]
    near = sorted(name for name in names if name.rpartition(".")[2] == last)  # A key elsewhere.
    near += [name for name in get_close_matches(key, sorted(names), n=1) if name not in near]
    meant = f"did you mean {' or '.join(near[:3])}? " if near else ""
    new = f"a new key is added with +{key}=..."
    return mistake(f"{key}: the config has no such key", meant + new)


def settings(config: DictConfig) -> Iterator[tuple[str, object]]:
    """Yield the dotted path of every key and its value, with interpolations as they are written."""

    def walk(node: object, path: str) -> Iterator[tuple[str, object]]:
        if isinstance(node, dict):
            for key, value in node.items():
                yield f"{path}{key}", value
                yield from walk(value, f"{path}{key}.")

    yield from walk(OmegaConf.to_container(config, resolve=False), "")


def _suggest(word: str, names: Iterable[str], prefix: str = "") -> str:
    """Name the nearest valid word and all of them."""
    known = sorted(names)
    near = get_close_matches(word, known, n=1)
    meant = f"did you mean {prefix}{near[0]}? " if near else ""
    return f"{meant}there is: {', '.join(known)}"


def _sentence(error: Exception) -> str:
    """The message of an error on one line, without the details that OmegaConf appends."""
    lines = [line.strip() for line in str(error).splitlines()]
    details = ("full_key:", "object_type=", "reference_type=")
    return " ".join(line for line in lines if line and not line.startswith(details))


def mistake(what: str, hint: str) -> ConfigError:
    """An error of two lines."""
    return ConfigError(f"{what}\nhint: {hint}")


@contextmanager
def targets_explained(config_dir: Path) -> Iterator[None]:
    """Turn an argument that a `_target_` of the config does not take into a `ConfigError`.

    Hydra 1.4 lets the exception of a constructor through as it is, with a note of the node.
    """
    try:
        yield
    except MulticlinError:
        raise
    except InstantiationException as error:
        raise explain(error, config_dir) from error
    except Exception as error:
        notes = getattr(error, "__notes__", ())
        key = next((n.removeprefix("full_key: ") for n in notes if n.startswith("full_key: ")), "")
        # Lightning's MisconfigurationException, named without importing torch.
        is_misuse = isinstance(error, (TypeError, ValueError)) or (
            type(error).__name__ == "MisconfigurationException"
        )
        if key and is_misuse:
            raise mistake(f"{key}: {error}", _MORE) from error
        raise
