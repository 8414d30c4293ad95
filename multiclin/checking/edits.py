"""What a repair changes in one file: which lines, into what, and why.

`edits` decides, for mentions from whatever file; `edited_ann` and `edited_table` write the file
anew. What is not edited stays as it was: ids, order, other lines, line ends, other columns.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from multiclin.checking.mentions import LINE, Fragments, Mention, Source
from multiclin.checking.recounting import Counting, recounted, rewritten
from multiclin.checking.tables import columns, cut
from multiclin.corpus import BOM


class Edit(NamedTuple):
    """What becomes of one mention.

    Attributes:
        mention: As it was.
        fragments: Where it stands; empty where it is dropped.
        words: What its line says.
        why: The reason.
    """

    mention: Mention
    fragments: Fragments
    words: str
    why: str


def edits(
    source: Source, allowed: Sequence[Counting], *, drop: bool, named: Collection[str] = ()
) -> list[Edit]:
    """The mentions of one document that change.

    Args:
        source: Its mentions.
        allowed: The countings by which wrong offsets may be mended. They must agree; if they do
            not, which of them is right cannot be known, and nothing is moved.
        drop: Whether repeated mentions are dropped.
        named: Ids that other lines name: these mentions are not dropped.
    """
    moved = _agreed(source, allowed) if source.wrong else None
    found = []
    first: dict[tuple[str, Fragments], Mention] = {}
    places = moved or [mention.fragments for mention in source.mentions]
    for mention, fragments in zip(source.mentions, places, strict=True):
        if mention.wrong and not moved:
            continue
        words = rewritten(source.text, mention, fragments) if moved else mention.words
        known = first.setdefault((mention.label, fragments), mention)
        if drop and known is not mention and mention.id not in named:
            found.append(Edit(mention, (), "", f"line {known.line} gives the same mention"))
        elif (fragments, words) != (mention.fragments, mention.words):
            found.append(Edit(mention, fragments, words, str(allowed[0])))
    return found


def _agreed(source: Source, allowed: Sequence[Counting]) -> list[Fragments] | None:
    found = [recounted(source.text, source.mentions, counting) for counting in allowed]
    return found[0] if found and all(one == found[0] for one in found) else None


def named_ids(content: str) -> set[str]:
    """Ids of mentions that relations, events and notes of a `.ann` speak of."""
    others = (line for line in content.split("\n") if not line.startswith("T"))
    return {word for line in others for word in re.split(r"[\s:]+", line) if word[:1] == "T"}


def edited_ann(content: str, changed: Sequence[Edit]) -> str:
    """The `.ann` after the edits."""
    mark = BOM if content.startswith(BOM) else ""
    lines: list[str | None] = [*content.removeprefix(BOM).split("\n")]
    for edit in changed:
        at = edit.mention.line - 1
        lines[at] = _line(lines[at] or "", edit) if edit.fragments else None
    return mark + "\n".join(line for line in lines if line is not None)


def _line(line: str, edit: Edit) -> str:
    match = LINE.fullmatch(line)
    if not match:  # Every mention has been read by this pattern.
        raise ValueError(f"line {edit.mention.line} is no mention")
    end = "\r" if line.endswith("\r") else ""
    return f"{match[1]}\t{match[2]} {offsets(edit.fragments)}\t{edit.words}{end}"


def offsets(fragments: Fragments) -> str:
    """As brat writes them: `0 5;8 10`."""
    return ";".join(f"{start} {end}" for start, end in fragments)


def edited_table(content: str, changed: Sequence[Edit]) -> str:
    """The table after the edits, quoted where it must be."""
    by_line = {edit.mention.line: edit for edit in changed}
    stream = io.StringIO(newline="")
    end = "\r\n" if "\r\n" in content else "\n"
    writer = csv.writer(stream, delimiter="\t", lineterminator=end)
    stream.write(BOM if content.startswith(BOM) else "")
    writer.writerows(_records(content, by_line))
    return stream.getvalue()


def _records(content: str, by_line: Mapping[int, Edit]) -> Iterator[list[str]]:
    places: list[int] = []
    for line, cells in cut(content):
        places = places or columns(cells)
        edit = by_line.get(line)
        if edit and edit.fragments:
            ((start, end),) = edit.fragments
            for place, cell in zip(places[2:], (str(start), str(end), edit.words), strict=True):
                cells[place] = cell
        if not edit or edit.fragments:
            yield cells
