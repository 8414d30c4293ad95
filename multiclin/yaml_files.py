"""YAML from anywhere as plain values: no code, no interpolation, no bomb.

Nine lines of aliases can stand for a thousand million values, so what a file would unfold to is
counted before it is. Interpolations stay as they are written: to resolve them is to read the
environment of whoever opens the file (`${oc.env:AWS_SECRET_ACCESS_KEY}`). The price is one more
pass over the nodes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from multiclin.errors import ConfigError
from multiclin.files import read_text

MOST = 100_000
"""Values that a file may hold, aliases unfolded."""
LARGEST = 1 << 20
"""Bytes of a file: its reader is slow, and ours have some thousand."""


def read_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever it holds
    """The content of a file.

    Raises:
        ConfigError: It is no YAML, or a bomb.
        CorpusError: It cannot be read.
    """
    return plain(read_text(path, LARGEST), path)


def plain(text: str, path: Path) -> Any:  # noqa: ANN401 - whatever it holds
    """The content of a text of YAML.

    Args:
        text: The text.
        path: Where it stands, for the message.

    Raises:
        ConfigError: It is no YAML, or a bomb.
    """
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        if node is None:
            return None
        if _size(node, {}) > MOST:
            raise ConfigError(f"{path} is refused: it unfolds to more than {MOST:,} values")
        return yaml.safe_load(text)
    except RecursionError as error:
        raise ConfigError(f"{path} is refused: its values are nested too deeply") from error
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is broken: {error}") from error


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Values below a node, itself included, each time that it is met."""
    if id(node) not in known:
        known[id(node)] = MOST + 1  # A node inside of itself has no end.
        below = node.value if isinstance(node, yaml.CollectionNode) else ()
        pairs = isinstance(node, yaml.MappingNode)
        children = (one for pair in below for one in pair) if pairs else below
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    return known[id(node)]
