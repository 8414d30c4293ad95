r"""brat standoff: one `.txt` and one `.ann` per document.

A mention is a line `T1<TAB>DISEASE 60 68<TAB>diabetes`, offsets in code points, half-open; lines
come in any order (FACTS 2). Relations, attributes, events and notes (R, A, E, M, N, #, *) are no
mentions: ignored and counted. A mention in fragments (`0 5;8 10`) becomes by policy its covering
span (`cover`: keeps every mention), its fragments (`split`) or nothing (`skip`). Fragments with
only a line break between them are brat's way to write a mention over a line end: one mention.

Each line is parsed alone and in time linear in its length; all problems of a file come together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from multiclin.corpus import (
    BOM,
    ReadReport,
    as_name,
    excerpt,
    mention_mismatch,
    one_line,
    settle_bom,
)
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, CorpusError, OutputError, Problem
from multiclin.files import atomic_write, decode, read_text

Fragments = list[tuple[int, int]]

POLICIES: Final[dict[str, Callable[[Fragments], Fragments]]] = {
    "cover": lambda fragments: [(min(fragments)[0], max(end for _, end in fragments))],
    "split": lambda fragments: fragments,
    "skip": lambda _: [],
}
_OTHER_LINES: Final = frozenset("RAEMN#*")
_WIDEST_BREAK: Final = 100  # characters of white space around a line end inside one mention
_MOST_DIGITS: Final = 12


def parse_ann(
    content: bytes | str,
    text: str,
    path: Path,
    *,
    labels: Collection[str] | None = None,
    discontinuous: str = "cover",
) -> tuple[tuple[Span, ...], ReadReport]:
    r"""The mentions of one `.ann`.

    Args:
        content: The file; a byte order mark is ignored.
        text: The text that it annotates.
        path: The file's name, for messages.
        labels: Labels to keep; None keeps all. Others are counted and not looked at further.
        discontinuous: `cover`, `split` or `skip`.

    Returns:
        The mentions, sorted, and the counts (`documents` is 0).

    Raises:
        CorpusError: Every malformed line, offset outside the text and mention that the text does
            not hold at its offsets.
        ConfigError: No such policy.

    Example:
        >>> parse_ann("T1\tDISEASE 4 12\tdiabetes\n", "Sin diabetes.", Path("a.ann"))[0]
        (Span(start=4, end=12, label='DISEASE', score=None),)
    """
    if discontinuous not in POLICIES:
        known = ", ".join(POLICIES)
        raise ConfigError(f"discontinuous={discontinuous!r}: no such policy; choose from {known}")
    content = decode(content, path) if isinstance(content, bytes) else content
    spans: list[Span] = []
    report = ReadReport()
    problems: list[Problem] = []
    for number, line in enumerate(content.removeprefix(BOM).split("\n"), 1):
        if line.startswith("T"):
            try:
                label, fragments, mention = _fields(line.removesuffix("\r"))
                if labels is not None and label not in labels:
                    report.ignored_labels[label] += 1
                    continue
                mismatch = mention_mismatch(text, fragments, mention)
                if mismatch:
                    raise ValueError(mismatch)
                fragments = _joined_over_line_ends(fragments, text)
                if len(fragments) > 1:
                    report.discontinuous += 1
                    fragments = POLICIES[discontinuous](fragments)
                spans += [Span(start, end, label) for start, end in fragments]
            except ValueError as error:
                problems.append(Problem(path, number, str(error)))
        elif line[:1] in _OTHER_LINES:
            report.ignored_lines[line[0]] += 1
        elif line and not line.isspace():
            message = f"unknown kind of line {excerpt(line)}; a mention begins with T"
            problems.append(Problem(path, number, message))
    if problems:
        raise CorpusError(problems)
    report.mentions = len(spans)
    report.duplicates = len(spans) - len(set(spans))
    return tuple(sorted(spans)), report


def _fields(line: str) -> tuple[str, Fragments, str]:
    """Label, fragments and mention of one T line; ValueError says what is malformed."""
    shape = "expected T<id><TAB>LABEL START END<TAB>mention"
    parts = line.split("\t", 2)
    if len(parts) < 3:
        raise ValueError(f"{shape}, found {excerpt(line)}")
    label, _, offsets = parts[1].partition(" ")
    if not label:
        raise ValueError(f"{shape}, found no label")
    fragments: Fragments = []
    for fragment in offsets.split(";"):
        ends = fragment.split()
        if len(ends) != 2 or not all(_is_offset(end) for end in ends):
            raise ValueError(f"{shape}, found offsets {excerpt(fragment)}")
        start, end = int(ends[0]), int(ends[1])
        if end <= start:
            raise ValueError(f"offset {start}-{end} is empty: the end must be above the start")
        fragments.append((start, end))
    return label, fragments, parts[2]


def _is_offset(number: str) -> bool:
    return number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS


def _joined_over_line_ends(fragments: Fragments, text: str) -> Fragments:
    """Fragments with only white space and a line end between them, joined."""
    joined = fragments[:1]
    for start, end in fragments[1:]:
        last = joined[-1][1]
        gap = text[last:start] if start - last <= _WIDEST_BREAK else ""
        if gap.isspace() and ("\n" in gap or "\r" in gap):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def read_ann(
    path: Path, text: str, *, labels: Collection[str] | None = None, discontinuous: str = "cover"
) -> tuple[tuple[Span, ...], ReadReport]:
    """As `parse_ann` of a file; one that does not exist gives no mentions and is counted.

    Raises:
        CorpusError: As `parse_ann`, or the file cannot be read.
    """
    if not path.exists():
        return (), ReadReport(missing_ann=1)
    return parse_ann(read_text(path), text, path, labels=labels, discontinuous=discontinuous)


def read_document(
    txt_path: Path,
    ann_path: Path | None,
    *,
    id: str,
    language: str = "",
    annotated: frozenset[str] = frozenset(),
    case: str = "",
    labels: Collection[str] | None = None,
    discontinuous: str = "cover",
    report: ReadReport | None = None,
) -> Document:
    """One document from its two files.

    Args:
        txt_path: The text.
        ann_path: Its mentions; None where the document has no gold. A file that does not exist
            gives no mentions and is counted as `missing_ann`.
        id: Name of the document.
        language: As `Document.language`.
        annotated: As `Document.annotated`.
        case: As `Document.case`.
        labels: As for `parse_ann`.
        discontinuous: As for `parse_ann`.
        report: Takes the counts of a document that was read without a problem.

    Raises:
        CorpusError: All problems of the two files.
    """

    def mentions(text: str) -> tuple[tuple[Span, ...], ReadReport]:
        if ann_path is None:
            return (), ReadReport()
        return read_ann(ann_path, text, labels=labels, discontinuous=discontinuous)

    text, (spans, counts) = settle_bom(read_text(txt_path), mentions)
    if report is not None:
        report.add(counts + ReadReport(documents=1))
    return Document(id, text, spans, language, annotated, case)


def format_ann(document: Document) -> str:
    """The mentions as brat writes them, numbered in order of offset.

    Raises:
        OutputError: A label holds white space, which brat cannot carry.
    """
    lines = []
    for number, span in enumerate(document.spans, 1):
        if len(span.label.split()) != 1 or span.label != span.label.strip():
            raise OutputError(f"{document.id}: brat cannot carry the label {span.label!r}")
        mention = one_line(document.text[span.start : span.end])
        lines.append(f"T{number}\t{span.label} {span.start} {span.end}\t{mention}\n")
    return "".join(lines)


def write_ann(
    document: Document, folder: Path, *, overwrite: bool = False, durable: bool = True
) -> Path:
    """Writes `folder/<id>.ann` and returns its path.

    Raises:
        OutputError: It exists already, cannot be written, or the id leads out of the folder.
    """
    content = format_ann(document)
    return _write(content, folder, f"{document.id}.ann", overwrite=overwrite, durable=durable)


def write_text(
    document: Document, folder: Path, *, overwrite: bool = False, durable: bool = True
) -> Path:
    """Writes `folder/<id>.txt`, byte for byte the text, and returns its path.

    Raises:
        OutputError: As `write_ann`.
    """
    return _write(document.text, folder, f"{document.id}.txt", overwrite=overwrite, durable=durable)


def _write(content: str, folder: Path, name: str, *, overwrite: bool, durable: bool) -> Path:
    # An id can come from a stranger's JSONL file.
    if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        raise OutputError(f"the document id {as_name(name)} leads out of the folder {folder}")
    path = folder / name
    with atomic_write(path, overwrite=overwrite, durable=durable) as stream:
        stream.write(content)
    return path
