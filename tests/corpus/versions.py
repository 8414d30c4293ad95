"""Entity versions of a case as translators leave them: one text, here and there in other words.

Every word is changed with some chance: another word in its place, another ending, another case, no
accents, another gap, a word put in before it, or the word left out. Mentions are known in every
version, for they move with their words: what a consolidation should find is the mention of the
version whose text it took. The first and the last word of a mention are never left out.

    python -m tests.corpus.versions [TREE]      shares kept, and how many of them are right
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from unicodedata import normalize

import regex

from multiclin.corpus.brat import write_ann, write_text
from multiclin.corpus.consolidation import consolidated
from multiclin.corpus.release import find_sets, read_set
from multiclin.document import Document
from multiclin.tables import as_text

WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+")
KINDS = {
    "other word": 0.25,
    "other ending": 0.25,
    "other case": 0.2,
    "no accents": 0.1,
    "other gap": 0.1,
    "word put in": 0.05,
    "word left out": 0.05,
}


def version(document: Document, strength: float, words: Sequence[str], rng: Random) -> Document:
    """A version of a document.

    Args:
        document: As it was before.
        strength: Chance of each word to be changed.
        words: Others, to take from.
        rng: Of all choices.
    """
    text, done = "", 0
    starts, ends = {}, {}  # Of each character of the document, where it begins and ends now.
    edges = {place for span in document.spans for place in (span.start, span.end - 1)}
    for match in WORD.finditer(document.text):
        at, end = match.span()
        for place in range(done, at):
            starts[place] = len(text)
            text += document.text[place]
            ends[place] = len(text)
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0] if rng.random() < strength else ""
        if kind == "word put in":
            text += rng.choice(words) + " "
        elif kind == "other gap" and text.endswith(" "):
            text = text[:-1] + rng.choice(["  ", "\n"])
        if kind == "word left out" and edges.isdisjoint(range(at, end)):
            new = ""
        else:
            new = changed(match.group(), kind, words, rng)
        for place in range(at, end):  # Edges inside a word move with its characters.
            starts[place] = len(text) + min(place - at, len(new))
            ends[place] = len(text) + (
                len(new) if place == end - 1 else min(place - at + 1, len(new))
            )
        text += new
        done = end
    for place in range(done, len(document.text)):
        starts[place] = len(text)
        text += document.text[place]
        ends[place] = len(text)
    spans = tuple(
        replace(span, start=starts[span.start], end=ends[span.end - 1]) for span in document.spans
    )
    return replace(document, text=text, spans=spans)


def changed(word: str, kind: str, words: Sequence[str], rng: Random) -> str:
    """The word after one kind of change."""
    if kind == "other word":
        return rng.choice(words)
    if kind == "other ending":
        return rng.choice(
            [word + "s", word[:-1] + "a" if len(word) > 1 else word, word[:-2] or word]
        )
    if kind == "other case":
        return word.lower() if word != word.lower() else word.capitalize()
    if kind == "no accents":
        return "".join(c for c in normalize("NFD", word) if not regex.match(r"\p{M}", c)) or word
    return word


def reword(root: Path, strength: float) -> None:
    """Make versions of the training documents of a tree, in their place."""
    for one in find_sets(root):
        for document in list(read_set(one)) if one.split == "train" else ():
            words, rng = WORD.findall(document.text), Random(f"{one.entity} {document.id}")
            other = version(document, strength, words, rng)
            write_text(other, one.folder / "txt", overwrite=True)
            write_ann(other, one.folder / "ann", overwrite=True)


def case_of_all(versions: Sequence[Document]) -> Document:
    """The documents of one text as one, with the mentions of all; labels tell them apart."""
    first = versions[0]
    spans = tuple(span for one in versions for span in one.spans)
    labels = frozenset(label for one in versions for label in one.annotated)
    return replace(first, spans=spans, annotated=labels)


def of_label(document: Document, label: str) -> Document:
    spans = tuple(span for span in document.spans if span.label == label)
    return replace(document, spans=spans, annotated=frozenset({label}))


def judged(whole: Document, strength: float, words: Sequence[str], rng: Random) -> list[int]:
    """Mentions, those kept, those of them that are right, and those of them with other words.

    Args:
        whole: A case with the mentions of all labels.
        strength: As for `version`.
        words: As for `version`.
        rng: As for `version`.
    """
    versions = {label: version(whole, strength, words, rng) for label in sorted(whole.annotated)}
    found = consolidated({label: of_label(one, label) for label, one in versions.items()})
    text = next(iter(found.values())).document.text
    truth = next(one for one in versions.values() if one.text == text)
    right = 0
    for label, one in found.items():
        gold = list(of_label(truth, label).spans)
        for span in one.document.spans:
            if span in gold:
                gold.remove(span)
                right += 1
    kept = [span for one in found.values() for span in one.document.spans]
    similar = sum(one.similar for one in found.values())
    return [len(whole.spans), len(kept), right, similar]


def cases(root: Path, split: str = "train") -> list[Document]:
    """The cases of a tree whose entity versions have one text, each with all mentions."""
    by_case: dict[tuple[str, str], list[Document]] = {}
    for one in find_sets(root):
        if one.has_gold and one.split == split:
            for document in read_set(one):
                by_case.setdefault((one.language, document.case), []).append(document)
    return [
        case_of_all(found) for found in by_case.values() if len({one.text for one in found}) == 1
    ]


def table(found: Sequence[Document], strengths: Sequence[float]) -> list[list[str]]:
    """Shares kept and right by strength."""
    words = [word for one in found[:50] for word in WORD.findall(one.text)]
    rows = [["words changed", "mentions", "kept", "right", "changed words", "wrong"]]
    for strength in strengths:
        rng = Random(f"{strength}")
        totals = [
            sum(one) for one in zip(*(judged(c, strength, words, rng) for c in found), strict=True)
        ]
        mentions, kept, right, similar = totals
        share, precise = kept / mentions, right / max(1, kept)
        row = [f"{strength:.0%}", f"{mentions:,}", f"{share:.4f}", f"{precise:.5f}"]
        rows.append([*row, f"{similar:,}", f"{kept - right:,}"])
    return rows


if __name__ == "__main__":
    print(as_text(table(cases(Path(sys.argv[1])), [0.01, 0.02, 0.05, 0.1, 0.2])))
