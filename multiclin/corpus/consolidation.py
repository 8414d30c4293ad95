"""`multiclin corpus consolidate`: one text for all entity versions of a case.

In MultiClinNER the text of a case differs slightly between its entity folders, for projections were
revised one by one (FACTS 2): mentions of one entity cannot be laid over the text of another. Here
one of the texts is chosen for each case, that to which the most mentions can be carried over, and
every other version is aligned to it, letter by letter (`alignment`). With one text for all, a model
with a head per entity reads it once for all its heads (`versions`), as that of the winner of the
task did, who kept over 94 % of the mentions (FACTS 7).

A wrong mention is worse than a lost one. A mention is carried over where it has the same words, but
for case, accents and spacing, and cuts a word only where it did before. Else only where the word at
either end has become a word much like it (`NEAR_WORD`: `renal`, `renales`), and what lies between
them is much the same (`NEAR`); both are shares of letters that the two have in common, of both.
Of the 22,632 mentions of TEMIST, in three versions of each text of which 1, 5 and 10 % of the words
were changed, .999, .987 and .965 are kept; 0, 1 and 2 of these stand elsewhere than they should
(`python -m tests.corpus.versions TREE`). Thresholds of .67 or .85 move the share kept by .01.

Only training sets are changed. Those to validate and test on are copied: what is scored stays the
official gold.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from multiclin.corpus import ReadReport, excerpt
from multiclin.corpus.alignment import Alignment, Letters, Stretch
from multiclin.corpus.brat import write_ann, write_text
from multiclin.corpus.release import CorpusSet, find_sets, read_sets
from multiclin.corpus.source import role_of
from multiclin.corpus.texts import files_of
from multiclin.corpus.tsv import rows_from_documents, write_rows
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, OutputError
from multiclin.files import atomic_folder
from multiclin.tables import Table

NEAR_WORD: Final = 0.75
"""Letters that the word at an edge must have in common with the one in its place."""

NEAR: Final = 0.75
"""Letters that a mention must have in common with what stands in its place."""


class Lost(NamedTuple):
    """A mention that could not be carried over.

    Attributes:
        language: Of its document.
        id: Name of its document.
        label: Its label.
        start: Its first character, in the text that it was annotated in.
        end: One past the last.
        reason: Why.
        excerpt: The beginning of its words.
    """

    language: str
    id: str
    label: str
    start: int
    end: int
    reason: str
    excerpt: str


class Carried(NamedTuple):
    """A document with another version's text.

    Attributes:
        document: With that text, and the mentions that it still has.
        lost: The others, as they were, with the reason.
        similar: How many of its mentions have not the very same words.
    """

    document: Document
    lost: tuple[tuple[Span, str], ...] = ()
    similar: int = 0


@dataclass(slots=True)
class Tally:
    """Mentions of one language and label: all of them, and those that are left."""

    mentions: int = 0
    kept: int = 0
    similar: int = 0


@dataclass(slots=True)
class Consolidation:
    """What was done.

    Attributes:
        tallies: By language and label.
        cases: Cases in training sets, those of each language counted.
        alike: Those whose versions had one text already.
        chosen: How many cases have the text of each entity.
        lost: Every mention that was not carried over.
        report: What reading met.
    """

    tallies: dict[tuple[str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))
    cases: int = 0
    alike: int = 0
    chosen: Counter[str] = field(default_factory=Counter)
    lost: list[Lost] = field(default_factory=list)
    report: ReadReport = field(default_factory=ReadReport)

    def add(self, versions: Mapping[str, Document], chosen: Mapping[str, Carried]) -> None:
        """Count a case: its versions by entity, and what became of them."""
        self.cases += 1
        self.alike += len({one.text for one in versions.values()}) == 1
        text = next(iter(chosen.values())).document.text
        self.chosen[next(entity for entity, one in versions.items() if one.text == text)] += 1
        for entity, (document, lost, similar) in chosen.items():
            old = versions[entity]
            for label in old.annotated:
                tally = self.tallies[old.language, label]
                tally.mentions += len(old.spans)
                tally.kept += len(document.spans)
                tally.similar += similar
            for span, reason in lost:
                said = excerpt(old.text[span.start : span.end])
                place = (span.label, span.start, span.end)
                self.lost.append(Lost(old.language, old.id, *place, reason, said))

    def table(self) -> Table:
        """Shares kept by language and label."""
        rows = [["language", "label", "mentions", "kept", "share kept", "changed words", "lost"]]
        total = Tally()
        for (language, label), one in sorted(self.tallies.items()):
            rows.append([language, label, *_shares(one)])
            total.mentions += one.mentions
            total.kept += one.kept
            total.similar += one.similar
        return [*rows, ["all", "", *_shares(total)]]


def _shares(one: Tally) -> list[str]:
    share = f"{one.kept / one.mentions:.4f}" if one.mentions else "-"
    lost = one.mentions - one.kept
    return [f"{one.mentions:,}", f"{one.kept:,}", share, f"{one.similar:,}", f"{lost:,}"]


def carried(start: int, end: int, alignment: Alignment) -> tuple[int, int, bool] | str:
    """Where a mention of the source stands in the target.

    Args:
        start: Its first character.
        end: One past the last.
        alignment: Of the two texts.

    Returns:
        Start and end, and whether it has the very same words; or why it stands nowhere.

    Example:
        From `Insuficiencia renal.` to `una insuficiencia  renal.`, 0 and 19 give (4, 24, True); to
        `una insuficiencias renales.`, (4, 26, False); to `una nefropatía.`, a reason.
    """
    source, target, there = alignment.source, alignment.target, alignment.there
    mine = source.within(start, end)
    if not len(mine):
        return "it has no letter"
    its = Stretch(there[mine.first], there[mine.end - 1] + 1)
    is_there = min(its.first, its.end - 1) >= 0 and source.said(mine) == target.said(its)
    if is_there and _cuts(target, its) <= _cuts(source, mine):
        return *target.characters(its), True
    first = _edge(alignment, mine.first, end=False)
    if first < 0:
        return "its first word has changed"
    last = _edge(alignment, mine.end - 1, end=True)
    if last < 0:
        return "its last word has changed"
    its = Stretch(first, last)
    if first >= last or _likeness(alignment, mine, its) < NEAR:
        return "too many of its words have changed"
    return *target.characters(its), False


def _cuts(text: Letters, stretch: Stretch) -> set[str]:
    """The edges of some letters that cut a word."""
    first, last = text.word(stretch.first), text.word(stretch.end - 1)
    cuts = {"first": stretch.first != first.first, "last": stretch.end != last.end}
    return {edge for edge, is_cut in cuts.items() if is_cut}


def _edge(alignment: Alignment, letter: int, *, end: bool) -> int:
    """The letter of the target where a mention begins, or behind which it ends; -1: unknown.

    Args:
        alignment: Of the two texts.
        letter: The first, or last, letter of the mention.
        end: Whether it is the last.
    """
    word = alignment.source.word(letter)
    landed = alignment.landed(word)
    if not landed:
        return -1
    its = alignment.target.word(landed[0])
    is_cut = letter != (word.end - 1 if end else word.first)
    if landed[-1] >= its.end or is_cut or _likeness(alignment, word, its) < NEAR_WORD:
        return -1
    return its.end if end else its.first


def _likeness(alignment: Alignment, mine: Stretch, its: Stretch) -> float:
    """The share of the letters of two stretches that they have in common."""
    common = sum(its.first <= letter < its.end for letter in alignment.landed(mine))
    return 2 * common / (len(mine) + len(its))


def carry(document: Document, alignment: Alignment) -> Carried:
    """A document with the target's text."""
    spans: list[Span] = []
    lost: list[tuple[Span, str]] = []
    similar = 0
    for span in document.spans:
        found = carried(span.start, span.end, alignment)
        if isinstance(found, str):
            lost.append((span, found))
        else:
            start, end, same = found
            spans.append(replace(span, start=start, end=end))
            similar += not same
    moved = replace(document, text=alignment.target.text, spans=tuple(spans))
    return Carried(moved, tuple(lost), similar)


def consolidated(versions: Mapping[str, Document]) -> dict[str, Carried]:
    """The versions of a case with one text.

    That of fewest losses; of several, that which most versions have, then that of the first entity.

    Args:
        versions: By entity.
    """
    ordered = dict(sorted(versions.items()))
    texts = Counter(one.text for one in ordered.values())
    letters = {text: Letters.of(text) for text in texts} if len(texts) > 1 else {}
    known: dict[tuple[str, str], Alignment] = {}

    def aligned(source: str, target: str) -> Alignment:
        if (target, source) in known:
            return known[target, source].reversed()
        return known.setdefault((source, target), Alignment.of(letters[source], letters[target]))

    def all_with(text: str) -> dict[str, Carried]:
        return {
            entity: Carried(one) if one.text == text else carry(one, aligned(one.text, text))
            for entity, one in ordered.items()
        }

    return min(
        (all_with(text) for text in texts),
        key=lambda found: (
            sum(len(one.lost) for one in found.values()),
            -texts[next(iter(found.values())).document.text],
        ),
    )


def consolidate(source: Path, target: Path) -> Consolidation:
    """Write a tree in which the entity versions of each training case have one text.

    Args:
        source: A MultiClinNER tree of any release.
        target: A folder that does not exist yet; it appears whole or not at all.

    Raises:
        CorpusError: There is no set, or every problem of its files.
        ConfigError: No training case has versions.
        OutputError: The target exists already, lies in the source, or cannot be written.
    """
    if target.absolute().is_relative_to(source.absolute()):
        raise OutputError(f"{target} lies in {source}, which is read: name a place outside of it")
    sets = find_sets(source)
    training = [one for one in sets if one.has_gold and role_of(one.split) == "train"]
    groups: dict[tuple[str, str], list[CorpusSet]] = defaultdict(list)
    for one in training:
        groups[one.language, one.split].append(one)
    if all(len(group) < 2 for group in groups.values()):
        raise ConfigError(
            f"{source}: no language has training sets of several entities, so there are no "
            "versions to consolidate"
        )
    done = Consolidation()
    with atomic_folder(target) as root:
        for group in groups.values():
            _write(
                _read(group, done), {one.entity: _place(one, source, root) for one in group}, done
            )
        for one in sets:
            if one not in training:
                _copy(one.folder, _place(one, source, root))
    return done


def _place(one: CorpusSet, source: Path, root: Path) -> Path:
    """Where a set goes: where it lay below the source."""
    place = root / one.folder.relative_to(source)
    return place if place != root else root / one.folder.absolute().name


def _read(group: Sequence[CorpusSet], done: Consolidation) -> Iterator[dict[str, Document]]:
    """The cases of the sets of one language and split, each with its versions by entity."""
    cases: dict[str, dict[str, Document]] = defaultdict(dict)
    reports: dict[CorpusSet, ReadReport] = {}
    for one, document in read_sets(group, reports=reports):
        cases[document.case][one.entity] = document
    for report in reports.values():
        done.report.add(report)
    return (cases[case] for case in sorted(cases))


def _write(
    cases: Iterable[Mapping[str, Document]], places: Mapping[str, Path], done: Consolidation
) -> None:
    """Write the sets of one language and split."""
    written: dict[str, list[Document]] = {entity: [] for entity in places}
    for versions in cases:
        found = consolidated(versions)
        done.add(versions, found)
        for entity, (document, *_) in found.items():
            write_text(document, places[entity] / "txt", durable=False)
            write_ann(document, places[entity] / "ann", durable=False)
            written[entity].append(document)
    for entity, place in places.items():
        write_rows(rows_from_documents(written[entity]), place / "tsv" / f"{place.name}.tsv")


def _copy(folder: Path, place: Path) -> None:
    """Copy the texts and mentions of a set."""
    for kind in ("txt", "ann", "tsv"):
        for path in files_of(folder / kind, f".{kind}"):
            (place / kind).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place / kind / path.name)
