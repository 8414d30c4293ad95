"""Seeded splits at the level of documents, and texts that stand on two sides of one.

How. Cases are ranked by a hash of seed and case, and the first of each language go to validation.
So a split is the same on every machine and for every order of the input, versions of one case in
several languages rank alike, and documents added later move few others (shuffling would move all).

A case is never on both sides, in whatever language or entity. Validation is restricted to some
languages (Spanish in section 2.3 of the paper). The versions in the other languages of a case in
validation are then on neither side: a model that trained on the Italian translation has met the
case. They are `Split.unused`. The price is that share of their training documents;
`keep_translations` trains on them all the same, and the validation score then flatters.

A document is known by its key, `language/id`, for corpora in parallel may use one id in every
language. Versions of one case per entity may share a key: they are on one side anyway.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from multiclin.corpus import as_name
from multiclin.document import Document
from multiclin.errors import ConfigError, CorpusError, Problem
from multiclin.files import atomic_write, read_text


class Header(NamedTuple):
    """What a split looks at: a document without its text.

    Attributes:
        id: As `Document.id`.
        language: As `Document.language`.
        case: As `Document.case`; never empty.
    """

    id: str
    language: str
    case: str

    @classmethod
    def of(cls, document: Document) -> Header:
        """The header of a document."""
        return cls(document.id, document.language, document.case)

    @property
    def key(self) -> str:
        """`language/id`, or the id alone where the language is unknown."""
        return f"{self.language}/{self.id}" if self.language else self.id


class Split(NamedTuple):
    """Every header once, in the order of the input on each side.

    Attributes:
        train: To train on.
        validation: To select on.
        unused: On neither side: other versions of cases in validation.
    """

    train: tuple[Header, ...]
    validation: tuple[Header, ...]
    unused: tuple[Header, ...]


def split_cases(
    headers: Iterable[Header],
    *,
    share: float,
    seed: int,
    languages: Collection[str] | None = ("es",),
    keep_translations: bool = False,
) -> Split:
    """Put a share of the cases of each validation language aside.

    Of 100 Spanish and 100 Italian documents of the same 100 cases, `share=0.1` gives 90 + 90 to
    train on, 10 Spanish ones to validate, and 10 Italian ones unused.

    Args:
        headers: The documents, in any order.
        share: Part of the cases of each language, rounded to whole cases, but at least one case
            on each side where a language has two. 0 gives an empty validation.
        seed: Another seed gives another split.
        languages: Languages of the validation; None for all.
        keep_translations: Train on the other versions of validation cases too.

    Raises:
        ConfigError: The share is not in [0, 1), or a language has no documents.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"the validation share is {share}; give a number from 0 to below 1")
    headers = tuple(headers)
    picked: dict[str, Collection[str]] = {}
    for language, cases in _ranked(headers, languages if share else (), seed).items():
        count = round(share * len(cases))
        picked[language] = cases[: min(max(count, 1), len(cases) - 1)]
    return _divided(headers, picked, keep_translations)


def folds(
    headers: Iterable[Header],
    k: int,
    *,
    seed: int,
    languages: Collection[str] | None = ("es",),
    keep_translations: bool = False,
) -> tuple[Split, ...]:
    """Cut the cases of the validation languages into `k` folds; each split validates on one.

    Every document of these languages is in exactly one validation. Cases that stand in the same
    languages are dealt out in turn, so with every case in one language, or all cases in all, the
    sizes of the folds differ by at most one per language.

    Args:
        headers: The documents, in any order.
        k: Number of folds.
        seed: Another seed gives other folds.
        languages: As in `split_cases`.
        keep_translations: As in `split_cases`.

    Raises:
        ConfigError: `k` is below 2 or above the number of cases, or a language has no documents.
    """
    headers = tuple(headers)
    ranked = _ranked(headers, languages, seed)
    homes: dict[str, list[str]] = defaultdict(list)
    for language in sorted(ranked):
        for case in ranked[language]:
            homes[case].append(language)
    if not 2 <= k <= len(homes):
        raise ConfigError(
            f"{k} folds of {len(homes)} cases; give a number from 2 to the number of cases"
        )
    dealt = sorted(homes, key=lambda case: (homes[case], _rank(case, seed)))
    fold_of = {case: number % k for number, case in enumerate(dealt)}
    return tuple(
        _divided(
            headers,
            {language: [c for c in ranked[language] if fold_of[c] == fold] for language in ranked},
            keep_translations,
        )
        for fold in range(k)
    )


def first_cases(headers: Iterable[Header], share: float, seed: int) -> frozenset[tuple[str, str]]:
    """A share of the cases of each language, rounded to whole cases, at least one.

    Those of a smaller share are among those of a larger one, and cases that are in several
    languages are taken in all of them alike: of the same 100 cases in two languages, 0.1 gives the
    same 10 in both.

    Args:
        headers: The documents, in any order.
        share: Above 0, at most 1.
        seed: Another seed gives other cases.

    Returns:
        Language and case of each.
    """
    return frozenset(
        (language, case)
        for language, cases in _ranked(headers, None, seed).items()
        for case in cases[: max(1, round(share * len(cases)))]
    )


def split_listed(
    headers: Iterable[Header], keys: Collection[str], *, keep_translations: bool = False
) -> Split:
    """Validate on listed documents instead of a random share.

    Args:
        headers: The documents, in any order.
        keys: Keys of documents (`read_keys`); all documents of their cases in their languages,
            so the versions for other entities too, come with them.
        keep_translations: As in `split_cases`.
    """
    headers = tuple(headers)
    picked: dict[str, set[str]] = defaultdict(set)
    for header in headers:
        if header.key in keys:
            picked[header.language].add(header.case)
    return _divided(headers, picked, keep_translations)


def read_keys(path: Path, headers: Iterable[Header]) -> frozenset[str]:
    """Read a list of documents: one id or key a line; an id alone means it in every language.

    Blank lines and lines that begin with `#` are skipped.

    Returns:
        The keys of the documents.

    Raises:
        CorpusError: The file cannot be read, or names documents that are not there.
    """
    known: dict[str, set[str]] = defaultdict(set)
    for header in headers:
        known[header.key].add(header.key)
        known[header.id].add(header.key)
    listed: set[str] = set()
    problems: list[Problem] = []
    for number, line in enumerate(read_text(path).removeprefix("\ufeff").splitlines(), start=1):
        name = line.strip()
        if name in known:
            listed |= known[name]
        elif name and not name.startswith("#"):
            # The nearest name is slow to find among thousands, and one example mends a list.
            near = [] if problems else get_close_matches(name, known, n=1, cutoff=0.0)
            hint = f"; the nearest is {as_name(near[0])}" if near else ""
            problems.append(Problem(path, number, f"no document {as_name(name)}{hint}"))
    if problems:
        raise CorpusError(problems)
    return frozenset(listed)


def save_split(path: Path, sides: Mapping[str, Iterable[Header]]) -> None:
    """Write `{"train": ["es/id", ...], "validation": [...], "test": [...]}` as JSON."""
    content = {side: sorted({header.key for header in part}) for side, part in sides.items()}
    with atomic_write(path, overwrite=True) as stream:
        json.dump(content, stream, ensure_ascii=False, indent=1)
        stream.write("\n")


def load_split(path: Path) -> dict[str, frozenset[str]]:
    """Read what `save_split` wrote: the keys on each side.

    Raises:
        CorpusError: The file cannot be read or is no split.
    """
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        line, why = getattr(error, "lineno", 0), getattr(error, "msg", "nested or long without end")
        problem = Problem(path, line, f"not JSON ({why}); delete it to split anew")
        raise CorpusError([problem]) from error
    sides = content.values() if isinstance(content, dict) else [None]
    if not all(isinstance(s, list) and all(isinstance(key, str) for key in s) for s in sides):
        problem = Problem(path, 0, 'not a split: expected {"train": ["es/id", ...], ...}')
        raise CorpusError([problem])
    return {side: frozenset(keys) for side, keys in content.items()}


Overlap = tuple[tuple[str, str], ...]
"""The (split, id) pairs of one text that stands in several splits, sorted."""


def overlapping_texts(splits: Mapping[str, Iterable[tuple[str, str]]]) -> list[Overlap]:
    """Find texts that stand in more than one split, but for white space and case.

    Memory holds one hash and one id per document, so texts may stream. Empty texts do not count.

    Args:
        splits: Name of a split -> (id, text) of its documents.

    Returns:
        One entry per text, sorted.
    """
    places: dict[bytes, set[tuple[str, str]]] = defaultdict(set)
    for split, documents in splits.items():
        for id, text in documents:
            if key := text_key(text):
                places[key].add((split, id))
    return sorted(
        tuple(sorted(found)) for found in places.values() if len({split for split, _ in found}) > 1
    )


def text_key(text: str) -> bytes:
    """What texts have in common that differ in white space and case alone; empty for no text."""
    folded = " ".join(text.casefold().split())
    return _digest(folded, 16) if folded else b""


def describe_overlaps(overlaps: Sequence[Overlap], shown: int = 10) -> str:
    """The first overlaps by their ids, one a line, and how many more there are."""
    lines = [" = ".join(f"{id} ({split})" for split, id in one) for one in overlaps[:shown]]
    if len(overlaps) > shown:
        lines.append(f"... and {len(overlaps) - shown} more")
    return "\n".join(lines)


def _digest(text: str, size: int) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()


def _rank(case: str, seed: int) -> tuple[bytes, str]:
    return _digest(f"{seed}\0{case}", 8), case


def _ranked(
    headers: Iterable[Header], languages: Collection[str] | None, seed: int
) -> dict[str, list[str]]:
    """The cases of each of the languages in the order of their hashes."""
    cases: dict[str, set[str]] = defaultdict(set)
    for header in headers:
        cases[header.language].add(header.case)
    wanted = cases if languages is None else languages
    for language in wanted:
        if language not in cases:
            found = ", ".join(sorted(cases)) or "none"
            raise ConfigError(
                f"no documents in the validation language {language!r} (found: {found}); "
                "name one of these, or set the validation share to 0"
            )
    return {lang: sorted(cases[lang], key=lambda case: _rank(case, seed)) for lang in wanted}


def _divided(
    headers: Iterable[Header], picked: Mapping[str, Collection[str]], keep_translations: bool
) -> Split:
    """Split by the cases that were picked in each language."""
    validated = {language: frozenset(cases) for language, cases in picked.items()}
    met = frozenset[str]().union(*validated.values())
    sides: tuple[list[Header], list[Header], list[Header]] = ([], [], [])
    for header in headers:
        if header.case in validated.get(header.language, ()):
            sides[1].append(header)
        elif header.case in met and not keep_translations:
            sides[2].append(header)
        else:
            sides[0].append(header)
    return Split(*map(tuple, sides))
