"""A share of a prediction: `shard=0/8` is the first of eight processes on one machine or several.

Portions of the input are dealt out in turn, so every shard has as many as the others, but for one,
and the order in which shards run, or how many at once, changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

from multiclin.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several shares; without sharding, the only one.

    Attributes:
        number: Which, from 0.
        of: How many there are.
    """

    number: int = 0
    of: int = 1

    @classmethod
    def parse(cls, said: str | None) -> Shard:
        """The shard that a command line names; None is the whole.

        Raises:
            ConfigError: It is none.

        Example:
            >>> Shard.parse("0/8")
            Shard(number=0, of=8)
        """
        if said is None:
            return cls()
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", said)
        if not match:
            raise ConfigError(f"shard={said}: say which of how many, from 0: shard=0/8 to 7/8")
        number, of = map(int, match.groups())
        if number >= of:
            all_of_them = f"shard=0/{of} to {of - 1}/{of}" if of else "shard=0/1 is all of it"
            raise ConfigError(
                f"shard={said} is none of {of}: they are counted from 0, {all_of_them}"
            )
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.number}of{self.of}"

    def left(self, portions: int, finished: Container[int]) -> list[int]:
        """The portions of this shard that are still to be predicted.

        Args:
            portions: How many the input has.
            finished: Those that are done.
        """
        return [one for one in range(self.number, portions, self.of) if one not in finished]
