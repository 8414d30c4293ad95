r"""A generated corpus of clinical cases in the official layout: no patient, no licence, no network.

Each language is a file of data (`lexicon/es.yaml`): terms, whole and composed of a head and a tail,
their abbreviations, and sentence patterns with slots. A case draws patterns section by section and
terms slot by slot; offsets are recorded while the text grows, never searched for. The quirks of
the real corpus are there at low rates: nested and partly overlapping mentions, abbreviations in
parentheses, a mention over a line break, texts that differ between entity folders (FACTS 2).

A quarter of the terms is held out: never a mention of a training document, and the source of half
of those in test. They share words and patterns with the others, so a score asks for
generalisation; the other half occurs in training. What the cases are not is medically coherent:
the terms of one case are drawn independently.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from secrets import token_hex
from shutil import rmtree
from typing import Final

from multiclin.corpus.brat import format_ann
from multiclin.corpus.lexicon import LANGUAGES, Lexicon, TermDraws, lexicon
from multiclin.corpus.tsv import format_rows, rows_from_documents
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, OutputError
from multiclin.faults import cannot_write

# How often, of the occasions that there are.
ABBREVIATION, ABBREVIATION_ALONE = 0.8, 0.15
NESTED, OVERLAPPING = 0.03, 0.005
LINE_BREAK, NBSP, CAPITAL = 0.015, 0.05, 0.25
DISTRACTOR, OTHER_VERSION = 0.2, 0.04

# Section of the patterns and how many sentences of it a case has: at least, at most.
SECTIONS: Final = {
    "opening": (1, 1),
    "history": (2, 4),
    "examination": (3, 4),
    "tests": (3, 4),
    "diagnosis": (1, 2),
    "treatment": (2, 3),
    "course": (2, 4),
}
SLOT: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class SampleSet:
    """What was written for one language, split and entity.

    Attributes:
        language: Code.
        split: `train` or `test`.
        entity: `disease` and so on.
        documents: Number of texts.
        mentions: Number of mentions, nested ones included.
        unseen: Those whose words are no mention of the language's training documents.
    """

    language: str
    split: str
    entity: str
    documents: int
    mentions: int
    unseen: int


class _Case:
    """One case while it is written: the text so far and its mentions, of all entities."""

    def __init__(self, words: Lexicon, draw: Callable[[str], str], rng: Random) -> None:
        self.words = words
        self.draw = draw
        self.rng = rng
        self.text = ""
        self.start = 0  # Of the sentence.
        self.spans: list[Span] = []
        self.drawn: set[str] = set()
        self.introduced: dict[str, list[str]] = {entity: [] for entity in words.terms}

    def write(self) -> None:
        """All sections, one paragraph each; some sentences have no slot for a mention."""
        rng = self.rng
        paragraph = rng.choice(["\n", "\n\n"])
        for section, (least, most) in SECTIONS.items():
            self.text += paragraph if self.text else ""
            patterns = rng.sample(self.words.patterns[section], rng.randint(least, most))
            for number, pattern in enumerate(patterns):
                self.text += " " if number else ""
                self.sentence(pattern)
                if rng.random() < DISTRACTOR:
                    self.text += " " + self.new(self.words.fillers["sentence"])

    def new(self, choices: Sequence[str], since: int = 0) -> str:
        """One of the choices that the text does not hold yet from `since` on, if there is any."""
        said = self.text[since:]
        return self.rng.choice([choice for choice in choices if choice not in said] or choices)

    def sentence(self, pattern: str) -> None:
        start = self.start = len(self.text)
        for index, part in enumerate(SLOT.split(pattern)):
            if index % 2 == 0:
                self.text += part
            elif part in self.words.terms:
                self.mention(part)
            else:
                self.text += self.filler(part)
        self.capitalise(start)

    def filler(self, slot: str) -> str:
        rng = self.rng
        if slot == "age":
            return str(rng.randint(19, 91))
        if slot == "number":
            return str(rng.randint(2, 14))  # Never 1: the nouns after it are plural.
        if slot == "date":
            day = date(2012, 1, 1) + timedelta(days=rng.randrange(4000))
            return day.strftime("%d/%m/%Y")
        words = self.new(self.words.fillers[slot], self.start)
        narrow = slot == "unit_value" and rng.random() < NBSP
        return words.replace(" ", "\u00a0") if narrow else words

    def mention(self, entity: str) -> None:
        """A term, at times inside a longer mention or between two that overlap."""
        start = len(self.text)
        listed = self.text.endswith(": ")
        chance = self.rng.random()
        if chance < OVERLAPPING + NESTED:
            self.nested(entity, overlapping=chance < OVERLAPPING)
        else:
            self.term(entity)
        if listed and self.rng.random() < CAPITAL:
            self.capitalise(start)
        spaces = [at for at in range(start, len(self.text)) if self.text[at] == " "]
        if spaces and self.rng.random() < LINE_BREAK:
            at = self.rng.choice(spaces)
            self.text = f"{self.text[:at]}\n{self.text[at + 1 :]}"

    def nested(self, entity: str, *, overlapping: bool) -> None:
        """`[secuelas de [gota]]`, or overlapping `[secuelas de {gota] de larga evolución}`."""
        frames = [SLOT.split(template) for template in self.words.nested[entity]]
        before, _, after = self.rng.choice(frames)
        if overlapping:
            before = self.rng.choice([frame[0] for frame in frames if not frame[2]])
            after = self.rng.choice([frame[2] for frame in frames if not frame[0]])
        start, inner = len(self.text), len(self.text) + len(before)
        self.text += before
        self.term(entity)
        end, last = len(self.text), len(self.text) + len(after)
        self.text += after
        for outer in [(start, end), (inner, last)] if overlapping else [(start, last)]:
            self.mark(*outer, entity)

    def term(self, entity: str) -> None:
        """A term with its abbreviation, or one that the case has introduced before."""
        introduced, rng = self.introduced[entity], self.rng
        ready = [short for short in introduced if short not in self.text[self.start :]]
        if ready and rng.random() < ABBREVIATION_ALONE:
            self.add(rng.choice(ready), entity)
            return
        term = self.draw(entity)
        for _ in range(5):  # A case seldom repeats itself; small lists may leave no choice.
            if term not in self.drawn:
                break
            term = self.draw(entity)
        self.drawn.add(term)
        self.add(term, entity)
        short = self.words.abbreviations[entity].get(term)
        if short and short not in introduced and rng.random() < ABBREVIATION:
            introduced.append(short)
            self.text += " ("
            self.add(short, entity)
            self.text += ")"

    def add(self, words: str, entity: str) -> None:
        self.text += words
        self.mark(len(self.text) - len(words), len(self.text), entity)

    def mark(self, start: int, end: int, entity: str) -> None:
        self.spans.append(Span(start, end, entity.upper()))

    def document(self, name: str, entity: str) -> Document:
        """The version of the case with the mentions of one entity; seldom its text differs."""
        lead = "\n" if self.rng.random() < OTHER_VERSION else ""
        end = "" if self.rng.random() < OTHER_VERSION else "\n"
        label = entity.upper()
        spans = {
            Span(span.start + len(lead), span.end + len(lead), label)
            for span in self.spans
            if span.label == label
        }
        return Document(name, lead + self.text + end, tuple(spans), self.words.language)

    def capitalise(self, start: int) -> None:
        """Raises one letter, unless that would change a name such as `pH` or the length."""
        first, rest = self.text[start], self.text[start + 1 :]
        if not rest[:1].isupper() and len(first.upper()) == 1:
            self.text = self.text[:start] + first.upper() + rest


def generate(
    root: Path,
    *,
    documents: int = 100,
    seed: int = 13,
    languages: Sequence[str] = LANGUAGES,
    test_share: float = 0.2,
) -> list[SampleSet]:
    """Writes the corpus; the same arguments give the same bytes everywhere.

    Args:
        root: Folder to make; `MultiClinNER/` stands in it.
        documents: Cases per language, train and test together.
        seed: Of all choices. A language does not depend on which others are written.
        languages: Codes, among `LANGUAGES`.
        test_share: Share of the cases for test, rounded; at least one is for each split.

    Returns:
        One entry per set, in the order of languages, splits and entities.

    Raises:
        ConfigError: An argument cannot work, or a language has no lexicon.
        OutputError: `root` holds something already, or cannot be written.
    """
    if documents < 2:
        raise ConfigError(f"documents={documents}: train and test need one each, so 2 or more")
    if not 0 < test_share < 1:
        raise ConfigError(f"test_share={test_share}: expected a number between 0 and 1")
    root = root.absolute()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise OutputError(f"{root} holds something already; name a folder that is new or empty")
    languages = list(dict.fromkeys(languages))
    for language in languages:
        lexicon(language)
    temporary = root.with_name(f".{root.name}-{token_hex(8)}.tmp")
    try:
        temporary.mkdir(parents=True)
        tested = min(max(1, round(documents * test_share)), documents - 1)
        sizes = {"train": documents - tested, "test": tested}
        summary = [
            one for code in languages for one in _write_language(temporary, code, sizes, seed)
        ]
        if root.exists():
            root.rmdir()
        temporary.rename(root)
    except OSError as error:
        raise OutputError(cannot_write(root, error)) from error
    finally:
        rmtree(temporary, ignore_errors=True)
    return summary


def _write_language(
    root: Path, language: str, sizes: Mapping[str, int], seed: int
) -> Iterator[SampleSet]:
    words = lexicon(language)
    rng = Random(f"{seed} {language}")
    terms = TermDraws(words, rng)
    known: dict[str, set[str]] = {}
    for split, draw in (("train", terms.train), ("test", terms.test)):
        cases = [_Case(words, draw, rng) for _ in range(sizes[split])]
        for case in cases:
            case.write()
        for entity in words.terms:
            name = f"MultiClinNER-{language}-{split}-{entity}"
            found = [
                case.document(f"{name}-{number:04d}", entity)
                for number, case in enumerate(cases, 1)
            ]
            above = f"MultiClinNER/MultiClinNER-{language}/MultiClinNER-{language}-{split}"
            _write_set(root / above / name, found)
            mentions = [
                row.text.replace("\n", " ").casefold() for row in rows_from_documents(found)
            ]
            before = known.setdefault(entity, set(mentions))
            unseen = sum(mention not in before for mention in mentions)
            yield SampleSet(language, split, entity, len(found), len(mentions), unseen)


def _write_set(folder: Path, documents: Sequence[Document]) -> None:
    for kind in ("txt", "ann", "tsv"):
        (folder / kind).mkdir(parents=True)
    for document in documents:
        (folder / "txt" / f"{document.id}.txt").write_bytes(document.text.encode())
        (folder / "ann" / f"{document.id}.ann").write_bytes(format_ann(document).encode())
    table = format_rows(rows_from_documents(documents))
    (folder / "tsv" / f"{folder.name}.tsv").write_bytes(table.encode())
