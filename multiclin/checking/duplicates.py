"""Texts that stand twice: in two parts of training, in one set, under one name.

Same texts are those that differ in nothing but case and white space (`corpus.splits` asks the
same); a hash of each is kept. Almost the same are texts that share at least `near` of their
different shingles (three words in a row): MinHash signatures of 128 permutations find candidates in
bands, and the hashed shingles, kept as 4 bytes each, decide. Bands are chosen so that a pair at the
threshold is missed once in a thousand. Only texts of one language are compared, so the index is
emptied between languages: 8 KB a text (Broder 1997; Leskovec et al., Mining of Massive Datasets,
chapter 3).

A text counts on a side if its split has a part in training (`train`, `validation`, `test`).
Background texts have none: nothing is learned from them and nothing is scored on them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from multiclin.checking.findings import Findings
from multiclin.checking.places import Place
from multiclin.corpus.source import ROLES
from multiclin.corpus.texts import case_of
from multiclin.errors import ConfigError

PERMUTATIONS: Final = 128
SHINGLE: Final = 3
ORDER: Final = tuple(ROLES)
_MISSED: Final = 0.001


@dataclass(frozen=True, slots=True)
class _Copy:
    """A text: where it is, and what it is for."""

    path: Path
    place: Place
    digest: bytes

    @property
    def role(self) -> str:
        return self.place.role

    def __str__(self) -> str:
        return f"{self.path.stem} ({self.place.name})"


@dataclass(slots=True)
class Twins:
    """All texts that were met, as hashes.

    Args:
        near: Least share of common shingles at which texts are almost the same, in (0, 1].

    Raises:
        ConfigError: `near` is out of range.
    """

    near: float
    _same: dict[bytes, list[_Copy]] = field(default_factory=dict)
    _names: dict[tuple[str, str, str], tuple[bytes, Path]] = field(default_factory=dict)
    _language: str = ""
    _index: _NearTexts | None = None

    def __post_init__(self) -> None:
        if not 0 < self.near <= 1:
            raise ConfigError(f"--near={self.near} is not above 0 and at most 1")

    def add(self, text: str, path: Path, place: Place, findings: Findings) -> None:
        """Take a text; those of one language come together. Empty ones are passed over."""
        folded = " ".join(text.casefold().split())
        if not folded:
            return
        digest = blake2b(folded.encode(), digest_size=16).digest()
        copy = _Copy(path, place, digest)
        known = self._same.setdefault(digest, [])
        self._judge_name(copy, findings)
        twin = next((one for one in known if one.place is place), None)
        if twin:
            findings.add("repeated_text", path, 0, f"the same text as {twin}")
        if copy.role and not any(one.role == copy.role for one in known):
            self._judge_near(folded, copy, findings)
        known.append(copy)

    def judge_same(self, findings: Findings) -> None:
        """Say which texts stand on two sides; after the last text."""
        for copies in self._same.values():
            sides: dict[str, list[_Copy]] = {}
            for copy in copies:
                sides.setdefault(copy.role, []).append(copy)
            told = sorted(sides.keys() - {""}, key=ORDER.index)
            for role in told[1:]:
                copy, *more = sides[role]
                also = f", and so have {len(more)} more of {role}" if more else ""
                what = f"it has the text of {sides[told[0]][0]}{also}"
                findings.add("same_text", copy.path, 0, what)

    def _judge_name(self, copy: _Copy, findings: Findings) -> None:
        key = (copy.place.language, copy.place.entity, copy.path.stem)
        other, path = self._names.setdefault(key, (copy.digest, copy.path))
        if other != copy.digest:
            what = f"another text has this name: {path}"
            findings.add("duplicate_id", copy.path, 0, what)

    def _judge_near(self, folded: str, copy: _Copy, findings: Findings) -> None:
        if self._index is None or copy.place.language != self._language:
            self._index, self._language = _NearTexts(self.near), copy.place.language
        for other, share in self._index.like(folded, copy):
            first, later = sorted((other, copy), key=lambda one: ORDER.index(one.role))
            what = f"{share:.0%} of the shingles of both are common to it and {first}"
            findings.add("near_duplicate", later.path, 0, what)


class _NearTexts:
    """An index of texts by their shingles."""

    def __init__(self, near: float) -> None:
        from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]

        self._near = near
        self._empty: Any = MinHash(PERMUTATIONS, hashfunc=int)
        self._bands: Any = MinHashLSH(num_perm=PERMUTATIONS, params=bands_for(near))
        self._texts: list[tuple[_Copy, NDArray[np.uint32]]] = []
        self._told: set[tuple[str, str, str, str]] = set()

    def like(self, folded: str, copy: _Copy) -> Iterator[tuple[_Copy, float]]:
        """Texts on other sides that are almost this one; it is taken in for the next ones.

        Versions of one case for several entities are told of once.
        """
        shingles = _shingles(folded)
        signature = self._empty.copy()
        signature.update_batch(shingles.tolist())
        for number in sorted(self._bands.query(signature)):
            other, theirs = self._texts[number]
            told = (*_case(other), *_case(copy))
            if other.role == copy.role or other.digest == copy.digest or told in self._told:
                continue
            share = jaccard(shingles, theirs)
            if share >= self._near:
                self._told.add(told)
                yield other, share
        self._bands.insert(len(self._texts), signature)
        self._texts.append((copy, shingles))


def bands_for(near: float) -> tuple[int, int]:
    """Bands and rows of the signature: the most rows that still miss next to no pair at `near`.

    Example:
        At 0.8 a band of 5 rows is equal with chance 0.8^5 = 0.33; of 25 bands, none is with chance
        0.67^25 = 0.00005. With 6 rows, 21 bands, it would be 0.0017.
    """
    rows = 1
    for more in range(2, PERMUTATIONS // 2 + 1):
        if (1 - near**more) ** (PERMUTATIONS // more) > _MISSED:
            break
        rows = more
    return PERMUTATIONS // rows, rows


def jaccard(mine: NDArray[np.uint32], theirs: NDArray[np.uint32]) -> float:
    """The share of two sets that is common to both."""
    common = len(np.intersect1d(mine, theirs, assume_unique=True))
    return common / (len(mine) + len(theirs) - common)


def _shingles(folded: str) -> NDArray[np.uint32]:
    """Hashes of the different runs of three words; a shorter text is one run."""
    words = re.findall(r"\w+", folded)
    starts = range(max(1, len(words) - SHINGLE + 1))
    runs = {crc32(" ".join(words[at : at + SHINGLE]).encode()) for at in starts}
    return np.fromiter(runs, dtype=np.uint32, count=len(runs))


def _case(copy: _Copy) -> tuple[str, str]:
    return copy.role, case_of(copy.path.stem)
