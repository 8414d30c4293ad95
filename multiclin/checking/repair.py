"""A corrected copy of a corpus, and a list of every change.

Only what can be derived is changed: offsets that one other way to count explains (`recounting`),
and, where asked for, repeated mentions and missing `.ann`. Texts are copied byte for byte, and so
is every file of which the list says nothing. A table with malformed rows is left alone, for nobody
can know where these end. The original is never written to. Hidden files stay behind.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from multiclin.checking.check import Checked, Recounts
from multiclin.checking.edits import Edit, edited_ann, edited_table, edits, named_ids, offsets
from multiclin.checking.findings import Findings, printable
from multiclin.checking.mentions import Source, ann_source, row_source
from multiclin.checking.places import Place
from multiclin.checking.tables import read_table
from multiclin.checking.texts import read
from multiclin.corpus import excerpt
from multiclin.corpus.texts import files_of, folders_of
from multiclin.errors import OutputError
from multiclin.files import atomic_folder, atomic_write


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the list.

    Attributes:
        file: Path below the corpus.
        line: 1-based line of the original, 0 for a whole file.
        change: A key of `CHANGES`.
        before: What stood there.
        after: What stands there now.
        why: The reason.
    """

    file: str
    line: int
    change: str
    before: str = ""
    after: str = ""
    why: str = ""


CHANGES = {
    "offsets": "offsets recounted",
    "words": "words rewritten as the text has them",
    "dropped": "repeated mentions dropped",
    "created": "empty .ann added",
    "left": "wrong offsets left as they were",
}
"""Kinds of changes and what they are."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What else a repair may do.

    Attributes:
        drop_duplicates: Leave out mentions given before, with the same label and offsets, unless a
            relation or note names their id.
        add_empty_ann: Write an empty `.ann` for the texts of annotated sets that have none.
    """

    drop_duplicates: bool = False
    add_empty_ann: bool = False


def changes_path(out: Path) -> Path:
    """Where the list of changes lies: beside the copy."""
    return out.with_name(f"{out.name}.changes.jsonl")


def refuse_existing(root: Path, out: Path) -> None:
    """Whether a copy can be put there, asked before the long work.

    Raises:
        OutputError: It or its list exists, or it lies inside the corpus.
    """
    for path in (out, changes_path(out)):
        if path.exists():
            raise OutputError(f"--repair={out}: {path} exists already; name a new folder")
    if out.resolve().is_relative_to(root.resolve()):
        raise OutputError(f"--repair={out} lies inside the corpus; name a folder outside of it")


def repair(checked: Checked, out: Path, asked: Asked = Asked()) -> Counter[str]:
    """Write the copy, and beside it `OUT.changes.jsonl`.

    Args:
        checked: The corpus.
        out: The copy, a new folder. Where the corpus is a single set, the copy is a folder of its
            name in it, since the name tells language and entity.
        asked: What else to do.

    Returns:
        How many changes there are of each kind.

    Raises:
        OutputError: The folder exists, lies inside the corpus, or cannot be written.
    """
    refuse_existing(checked.root, out)
    counts: Counter[str] = Counter()
    is_set = any(place.is_named and place.folder == checked.root for place in checked.places)
    recounts = {one.place.folder: one for one in checked.recounts}
    with atomic_folder(out) as building, atomic_write(changes_path(out)) as stream:
        home = building / checked.root.absolute().name if is_set else building
        _copy(checked.root, home)
        for place in checked.places:
            known = recounts.get(place.folder, Recounts(place))
            for change in _Mending(known, checked.root, home, asked).run():
                counts[change.change] += 1
                stream.write(json.dumps(asdict(change)) + "\n")
    return counts


def _copy(root: Path, home: Path) -> None:
    for folder in folders_of(root):
        target = home / folder.relative_to(root)
        target.mkdir(parents=True, exist_ok=True)
        for path in files_of(folder, ""):
            if path.is_file():
                shutil.copyfile(path, target / path.name)


@dataclass(frozen=True, slots=True)
class _Mending:
    """The mending of one set: of the copies of its files in `home`."""

    recounts: Recounts
    root: Path
    home: Path
    asked: Asked

    def run(self) -> Iterator[Change]:
        place = self.recounts.place
        for text in files_of(place.texts, ".txt") if place.has_ann else ():
            ann = place.anns / f"{text.stem}.ann"
            if ann.exists():
                yield from self._mend_ann(text, ann)
            elif self.asked.add_empty_ann:
                self._target(ann).touch()
                yield Change(self._name(ann), 0, "created", why="the text had none")
        for table in place.tables:
            yield from self._mend_table(table, place)

    def _mend_ann(self, text: Path, ann: Path) -> Iterator[Change]:
        if not (self.asked.drop_duplicates or (ann, ann.stem) in self.recounts.files):
            return
        unread = Findings()
        held, content = read(text, unread), read(ann, unread)
        if held is None or content is None:
            return
        source = ann_source(content, held, ann)
        changed = self._edits(source, ann.stem, named_ids(content))
        yield from self._told(source, changed)
        if changed:
            self._rewrite(ann, edited_ann(content, changed))

    def _mend_table(self, table: Path, place: Place) -> Iterator[Change]:
        if not (
            self.asked.drop_duplicates or any(table == path for path, _ in self.recounts.files)
        ):
            return
        unread = Findings()
        rows = read_table(table, unread).grouped
        content = read(table, unread)
        if content is None or unread.counts():
            yield Change(self._name(table), 0, "left", why="the table has malformed rows")
            return
        changed: list[Edit] = []
        for id, mine in rows.items():
            text = place.texts / f"{id}.txt"
            held = read(text, unread) if text.exists() else None
            if held is not None:
                source = row_source(mine, held, table)
                mended = self._edits(source, id)
                yield from self._told(source, mended)
                changed += mended
        if changed:
            self._rewrite(table, edited_table(content, changed))

    def _edits(self, source: Source, id: str, named: set[str] | None = None) -> list[Edit]:
        allowed = self.recounts.allowed((source.path, id))
        return edits(source, allowed, drop=self.asked.drop_duplicates, named=named or ())

    def _told(self, source: Source, changed: list[Edit]) -> Iterator[Change]:
        """The changes of one document, line by line."""
        name = self._name(source.path)
        mended = {edit.mention.line for edit in changed}
        for mention in source.wrong:
            if mention.line not in mended:
                why = "no one way to count fits all mentions of the file"
                yield Change(name, mention.line, "left", offsets(mention.fragments), why=why)
        for edit in changed:
            mention, line = edit.mention, edit.mention.line
            before, after = offsets(mention.fragments), offsets(edit.fragments)
            if not after:
                yield Change(name, line, "dropped", before, why=edit.why)
                continue
            if before != after:
                yield Change(name, line, "offsets", before, after, edit.why)
            if mention.words != edit.words:
                words = (excerpt(mention.words), excerpt(edit.words))
                yield Change(name, line, "words", *words, edit.why)

    def _rewrite(self, path: Path, content: str) -> None:
        self._target(path).write_bytes(content.encode())

    def _target(self, path: Path) -> Path:
        return self.home / path.relative_to(self.root)

    def _name(self, path: Path) -> str:
        return printable(path.relative_to(self.root).as_posix())
