"""`check(root)`: reads a corpus whole and says everything that is wrong with it.

Texts stream: one document is in memory at a time, with the tables of its set; what stays is the
findings and some hashes per text (`duplicates`). Files whose offsets are wrong are tried under
every other way to count (`recounting`), and what fits all such files of a set explains the set.
The 2,250 documents of TEMIST with 28,222 mentions take 3 s, 10 s if every offset is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from multiclin.checking.duplicates import Twins
from multiclin.checking.findings import Findings, printable
from multiclin.checking.mentions import Source, ann_source, judge, row_source
from multiclin.checking.places import Place, find_places
from multiclin.checking.recounting import Counting, fitting
from multiclin.checking.subwords import SubwordCheck
from multiclin.checking.tables import Table, read_table
from multiclin.checking.texts import judge_text, read
from multiclin.corpus import excerpt
from multiclin.corpus.texts import files_of

Key = tuple[Path, str]
"""A file of mentions, and the document that they are of."""


@dataclass
class Recounts:
    """The files of one set that have wrong offsets, and what would explain them.

    Attributes:
        place: The set.
        wrong: Number of wrong offsets.
        files: The countings that fit each file.
        words: Different words in these files: one mention alone proves no shift.
    """

    place: Place
    wrong: int = 0
    files: dict[Key, list[Counting]] = field(default_factory=dict)
    words: dict[Key, int] = field(default_factory=dict)

    @cached_property
    def common(self) -> list[Counting]:
        """The countings that fit every one of the files, the simplest first; asked at the end."""
        if not self.files:
            return []
        first, *others = self.files.values()
        found = [one for one in first if all(one in other for other in others)]
        return _proven(found, sum(self.words.values()))

    def allowed(self, key: Key) -> list[Counting]:
        """The countings by which one file may be mended: those of the set, else its own."""
        return self.common or _proven(self.files.get(key, []), self.words.get(key, 0))


def _proven(found: list[Counting], words: int) -> list[Counting]:
    return [counting for counting in found if words > 1 or not counting.shift]


@dataclass(slots=True)
class Checked:
    """What a check found.

    Attributes:
        root: The corpus.
        places: Its folders.
        findings: What was found.
        recounts: One for each set with wrong offsets.
        documents: Number of texts.
        mentions: Number of mentions in the `.ann` of a set, or in its table where it has none.
    """

    root: Path
    places: Sequence[Place]
    findings: Findings = field(default_factory=Findings)
    recounts: list[Recounts] = field(default_factory=list)
    documents: int = 0
    mentions: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether there is no error; notes do not count."""
        return not self.findings.levels()["error"]


def check(root: Path, *, near: float = 0.8, subwords: SubwordCheck | None = None) -> Checked:
    """Read every set at or below a folder, and say what is wrong.

    Args:
        root: A MultiClinNER tree, or folders of brat files.
        near: Least share of common shingles of texts that are almost the same.
        subwords: What a tokenizer has to say; None for none.

    Raises:
        CorpusError: There is no text at all.
        ConfigError: `near` is out of range.
    """
    twins = Twins(near)
    checked = Checked(root, find_places(root))
    _judge_places(checked)
    for place in checked.places:
        _judge_set(place, checked, twins, subwords)
    twins.judge_same(checked.findings)
    return checked


def _judge_places(checked: Checked) -> None:
    first: dict[tuple[str, str, str], Path] = {}
    for place in filter(lambda place: place.is_named, checked.places):
        folder = first.setdefault((place.language, place.split, place.entity), place.folder)
        if folder != place.folder:
            what = f"the same set lies in {folder}"
            checked.findings.add("repeated_set", place.folder, 0, what)


def _judge_set(place: Place, checked: Checked, twins: Twins, subwords: SubwordCheck | None) -> None:
    findings, recounts = checked.findings, Recounts(place)
    paths = files_of(place.texts, ".txt")
    tables = [read_table(path, findings) for path in place.tables]
    _judge_lonely(place, {path.stem for path in paths}, tables, findings)
    for path in paths:
        checked.documents += 1
        if printable(path.stem) != path.stem:
            findings.add("bad_name", path, 0, "a TAB, a line break, or no UTF-8 in its name")
        text = read(path, findings)
        if text is None:
            continue
        judge_text(text, path, findings)
        twins.add(text, path, place, findings)
        sources = list(_sources(place, path.stem, text, tables, findings))
        for source in sources:
            remedy = _recount(source, path.stem, recounts) if source.wrong else ""
            judge(source, place, findings, remedy)
        checked.mentions += len(sources[0].mentions) if sources else 0
        for source in sources[1:]:
            _judge_agreement(sources[0], source, findings)
        if subwords:
            subwords.judge(text, path, sources, findings)
    if recounts.wrong:
        checked.recounts.append(recounts)


def _sources(
    place: Place, id: str, text: str, tables: Sequence[Table], findings: Findings
) -> Iterator[Source]:
    """The mentions of a document, from every file that has some."""
    ann = place.anns / f"{id}.ann"
    if place.has_ann and not ann.exists():
        findings.add("missing_ann", place.texts / f"{id}.txt", 0, f"no {ann.name}")
    elif place.has_ann:
        content = read(ann, findings)
        if content is not None:
            yield ann_source(content, text, ann)
    for table in tables:
        if table.is_sound:
            yield row_source(table.grouped.get(id, []), text, table.path)


def _judge_lonely(
    place: Place, stems: set[str], tables: Sequence[Table], findings: Findings
) -> None:
    """Mentions of texts that are not there."""
    for ann in files_of(place.anns, ".ann"):
        if ann.stem not in stems:
            findings.add("missing_text", ann, 0, f"no {ann.stem}.txt in {place.texts.name}/")
    for table in tables:
        for id, rows in table.grouped.items():
            if id not in stems:
                what = f"{len(rows):,} mentions of {excerpt(id)}, which has no text"
                findings.add("missing_text", table.path, rows[0].line, what)


def _recount(source: Source, id: str, recounts: Recounts) -> str:
    """Note what would explain the wrong offsets of a file; give the remedy, if something does."""
    key = (source.path, id)
    recounts.wrong += len(source.wrong)
    recounts.files[key] = fitting(source.text, source.mentions)
    recounts.words[key] = len({mention.words for mention in source.mentions})
    found = _proven(recounts.files[key], recounts.words[key])
    return "--repair OUT recounts it: one other way to count fits the whole file" if found else ""


def _judge_agreement(one: Source, other: Source, findings: Findings) -> None:
    """Say which mentions only one of two files has; those with wrong offsets are told elsewhere."""
    for mine, theirs in ((one, other), (other, one)):
        surplus = _counted(mine) - _counted(theirs)
        for mention in mine.mentions:
            key = (mention.label, mention.start, mention.end)
            if not mention.wrong and surplus[key] > 0:
                surplus[key] -= 1
                what = f"{excerpt(mention.label)} {key[1]}-{key[2]} is not in {theirs.path.name}"
                findings.add("disagreement", mine.path, mention.line, what)


def _counted(source: Source) -> Counter[tuple[str, int, int]]:
    return Counter((one.label, one.start, one.end) for one in source.mentions)
