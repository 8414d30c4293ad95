"""The words and sentence patterns of the generated corpus: one YAML file per language, as data.

Terms are whole (`plain`) or composed of a head and a tail (`compose`), in citation form without
article; patterns are made so that such a term is grammatical in every slot. That gives hundreds of
terms from a page of words and shares words between terms; the price is a stilted list style in
places. A language is added by adding its file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product
from random import Random
from typing import Any, Final

import yaml

from multiclin.errors import ConfigError

HELD_OUT_TERMS: Final = 0.25  # Share of the terms of a language and entity.
HELD_OUT_DRAWS: Final = 0.5  # Share of the draws for test documents that take one of them.
ABBREVIATED_WEIGHT: Final = 3  # Terms with an abbreviation are the common ones.

_FOLDER: Final = files(__name__)
LANGUAGES: Final = tuple(
    sorted(path.name[:-5] for path in _FOLDER.iterdir() if path.name.endswith(".yaml"))
)

Terms = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What one language says.

    Attributes:
        language: Code as the corpus writes it.
        terms: Entity to its distinct terms, composed ones and those with an abbreviation included.
        abbreviations: Entity to term to abbreviation.
        nested: Entity to templates that are a mention around the mention of their slot.
        fillers: Slot to strings that are no mention; `sentence` holds whole ones.
        patterns: Section to sentences with slots.
    """

    language: str
    terms: Terms
    abbreviations: Mapping[str, Mapping[str, str]]
    nested: Mapping[str, Sequence[str]]
    fillers: Mapping[str, Sequence[str]]
    patterns: Mapping[str, Sequence[str]]


@cache
def lexicon(language: str) -> Lexicon:
    """Loads one language.

    Raises:
        ConfigError: There is none for `language`.
    """
    if language not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise ConfigError(f"no sample lexicon for language {language!r}; choose among {known}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (_FOLDER / f"{language}.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.load(text, Loader=loader)
    terms = {
        entity: list(dict.fromkeys([*_composed(entries), *data["abbreviations"][entity]]))
        for entity, entries in data["terms"].items()
    }
    parts = (data[key] for key in ("abbreviations", "nested", "fillers", "patterns"))
    return Lexicon(language, terms, *parts)


def _composed(entries: Mapping[str, Any]) -> Iterator[str]:
    yield from entries["plain"]
    for block in entries["compose"]:
        yield from (" ".join(pair) for pair in product(block["heads"], block["tails"]))


def hold_out(words: Lexicon, rng: Random) -> tuple[Terms, Terms]:
    """Splits the terms of each entity into those for training and those held out.

    Held out is only a term that shares a word with others of its entity, so that a model can know
    it by its parts, and that lies inside no other term, where training would show it all the same.

    Returns:
        Entity to terms for training, and the same for test alone; in the order of the lexicon.
    """
    inside = {part for terms in words.terms.values() for term in terms for part in _parts(term)}
    kept: Terms = {}
    held: Terms = {}
    for entity, terms in words.terms.items():
        uses = Counter(word for term in terms for word in set(term.casefold().split()))
        shared = {word for word, count in uses.items() if count >= 3 and len(word) > 3}
        eligible = [
            term
            for term in terms
            if term.casefold() not in inside and shared.intersection(term.casefold().split())
        ]
        chosen = set(rng.sample(eligible, round(HELD_OUT_TERMS * len(terms))))
        held[entity] = [term for term in terms if term in chosen]
        kept[entity] = [term for term in terms if term not in chosen]
    return kept, held


def _parts(term: str) -> Iterator[str]:
    """Every run of words that is shorter than the term."""
    words = term.casefold().split()
    for size in range(1, len(words)):
        for start in range(len(words) - size + 1):
            yield " ".join(words[start : start + size])


class TermDraws:
    """Which term comes next: in training any that is kept, in test half held out, half seen.

    Attributes:
        held: Entity to its held-out terms, those with an abbreviation several times.
    """

    def __init__(self, words: Lexicon, rng: Random) -> None:
        kept, held = hold_out(words, rng)
        self.rng = rng
        self.kept = {entity: _weighted(words, entity, kept[entity]) for entity in kept}
        self.held = {entity: _weighted(words, entity, held[entity]) for entity in held}
        self.seen: dict[str, dict[str, None]] = {entity: {} for entity in kept}  # Ordered sets.

    def train(self, entity: str) -> str:
        """A kept term, which counts as seen from now on."""
        term = self.rng.choice(self.kept[entity])
        self.seen[entity][term] = None
        return term

    def test(self, entity: str) -> str:
        """A held-out term, or one that `train` has given."""
        new = self.rng.random() < HELD_OUT_DRAWS or not self.seen[entity]
        return self.rng.choice(self.held[entity] if new else list(self.seen[entity]))


def _weighted(words: Lexicon, entity: str, terms: Sequence[str]) -> list[str]:
    common = [term for term in terms if term in words.abbreviations[entity]]
    return [*terms, *common * (ABBREVIATED_WEIGHT - 1)]
