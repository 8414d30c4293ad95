r"""CoNLL: one token per line with its tag, a blank line behind each sentence.

Written are four columns, those of the Spanish clinical corpora (CANTEMIST, PharmaCoNER): token,
document, `start_end` in code points, BIO tag; the texts lie in `txt/` beside, so nothing of them is
lost. A line `-DOCSTART-` with the extent of the text opens each document:

    -DOCSTART-<TAB>case-7<TAB>0_13<TAB>O

    Sin<TAB>case-7<TAB>0_3<TAB>O
    diabetes<TAB>case-7<TAB>4_12<TAB>B-DISEASE
    .<TAB>case-7<TAB>12_13<TAB>O

Read are two columns or more, the token first and the tag last, in any scheme of
`multiclin.corpus.tagged`. Offsets are those of the third of four columns, else of the tokens found
one behind the other in the text of that name; without a text it is rebuilt: at the offsets where
there are some, else with a space between two tokens and a line per sentence. Documents begin at
`-DOCSTART-` or where the second of four columns changes; a file with neither is one document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

from multiclin.corpus import BOM, excerpt, mention_mismatch
from multiclin.corpus.brat import write_text
from multiclin.corpus.exchange import Losses, Reading, file_name
from multiclin.corpus.tagged import (
    Token,
    aligned,
    check_tag,
    rebuilt,
    spans_of,
    tagged_sentences,
)
from multiclin.corpus.texts import case_of, files_of, find_texts, text_places
from multiclin.document import Document
from multiclin.errors import CorpusError, Problem
from multiclin.files import atomic_write, decode, read_lines, read_text

SUFFIXES: Final = (".conll", ".bio", ".iob", ".iob2", ".bioes")
OTHER_SUFFIXES: Final = (".tsv", ".txt")
"""Read where there is none of the first."""
TEXTS: Final = "txt"

_START: Final = "-DOCSTART-"
_OFFSETS: Final = re.compile(r"([0-9]{1,12})_([0-9]{1,12})")
_NO_NAME: Final = frozenset(["-X-", "O", "_", ""])
_LONGEST: Final = 100  # characters per token, white space included, of a text that is rebuilt
_ROOM: Final = 100_000


@dataclass(slots=True)
class _Line:
    """One token of a file; `offsets` where its columns have them."""

    number: int
    word: str
    tag: str
    offsets: tuple[int, int] | None


@dataclass(slots=True)
class _Draft:
    """A document while its lines are read."""

    id: str
    path: Path
    named: bool = False
    length: int = 0
    sentences: list[list[_Line]] = field(default_factory=lambda: [[]])
    columns: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not any(self.sentences)

    @property
    def is_something(self) -> bool:
        return self.named or not self.is_empty or bool(self.problems)


def read_conll(path: Path, reading: Reading) -> Iterator[Document]:
    """The documents of one file, or of all in a folder.

    Raises:
        CorpusError: After the last good document: every line that is no token with a tag, and every
            token that the text does not have.
    """
    files = [path] if path.is_file() else _files(path)
    places = _texts(path, reading)
    problems: list[Problem] = []
    for file in files:
        for draft in _drafts(file, problems):
            try:
                yield _document(draft, places, reading)
            except CorpusError as error:
                problems += error.problems
    if problems:
        raise CorpusError(problems)


def _files(folder: Path) -> list[Path]:
    for suffixes in (SUFFIXES, OTHER_SUFFIXES):
        if found := [file for suffix in suffixes for file in files_of(folder, suffix)]:
            return found
    known = ", ".join([*SUFFIXES, *OTHER_SUFFIXES])
    raise CorpusError([Problem(folder, 0, f"no CoNLL file here ({known})")])


def _texts(path: Path, reading: Reading) -> Mapping[str, Path]:
    """Each under its path, as we write it, and under its name alone."""
    root = reading.texts or (path if path.is_dir() else path.parent) / TEXTS
    if not reading.texts and not any(root.rglob("*.txt")):
        return {}
    return text_places(root) | find_texts(root)


def _drafts(path: Path, problems: list[Problem]) -> Iterator[_Draft]:
    """The documents of a file; a line that is wrong goes to the problems of its document."""
    draft = _Draft(path.stem, path)
    number_of_documents = 0
    for number, line in _lines(path, problems):
        fields = line.split("\t") if "\t" in line else line.split()
        if not line.strip():
            if draft.sentences[-1]:
                draft.sentences.append([])
            continue
        offsets = _OFFSETS.fullmatch(fields[2]) if len(fields) == 4 else None
        name = fields[1] if offsets else ""
        if fields[0] == _START or (name and name != draft.id and not draft.is_empty):
            if draft.is_something:
                yield draft
            number_of_documents += 1
            draft = _Draft(f"{path.stem}-{number_of_documents:04d}", path, named=True)
            said = fields[1].strip("()") if fields[0] == _START and len(fields) > 1 else ""
            draft.id = name or (said if said not in _NO_NAME else draft.id)
        if fields[0] == _START:
            draft.length = int(offsets[2]) if offsets else 0
            continue
        draft.id = name or draft.id
        _add(draft, number, fields, offsets)
    if draft.is_something:
        yield draft


def _lines(path: Path, problems: list[Problem]) -> Iterator[tuple[int, str]]:
    try:
        for number, raw in read_lines(path):
            line = decode(raw, path, line=number)
            yield number, (line.removeprefix(BOM) if number == 1 else line).rstrip("\r\n")
    except CorpusError as error:
        problems += error.problems


def _add(draft: _Draft, number: int, fields: list[str], offsets: re.Match[str] | None) -> None:
    try:
        if len(fields) < 2:
            raise ValueError(f"expected a token and a tag, found {excerpt(fields[0])}")
        tag = check_tag(fields[-1].strip())
    except ValueError as error:
        if not fields[0].startswith("#"):  # A comment, not the token `#`, which has a tag.
            draft.problems.append(Problem(draft.path, number, str(error)))
        return
    place = (int(offsets[1]), int(offsets[2])) if offsets else None
    draft.columns += len(fields) > 2 and not offsets
    draft.sentences[-1].append(_Line(number, fields[0], tag, place))


def _document(draft: _Draft, places: Mapping[str, Path], reading: Reading) -> Document:
    if draft.problems:
        raise CorpusError(draft.problems)
    losses, annotated = reading.losses, reading.annotated
    lines = [line for sentence in draft.sentences for line in sentence]
    text = read_text(places[draft.id]) if draft.id in places else None
    if all(line.offsets for line in lines) and (lines or draft.length):
        text = _checked(draft, lines, text, losses)
    else:
        if text is None:
            text = rebuilt([line.word for line in sentence] for sentence in draft.sentences)
            if text:
                losses.add("text: rebuilt, a space between two tokens", draft.id)
        _align(draft, lines, text)
    if draft.columns:
        losses.add("columns between token and tag", draft.id, times=draft.columns)
    spans = spans_of(
        [Token(*line.offsets, line.tag) for line in sentence if line.offsets]
        for sentence in draft.sentences
    )
    return Document(draft.id, text, spans, annotated=annotated, case=case_of(draft.id))


def _checked(draft: _Draft, lines: list[_Line], text: str | None, losses: Losses) -> str:
    """The text, once every token stands in it where the file says; rebuilt where there is none."""
    length = max([draft.length, *(line.offsets[1] for line in lines if line.offsets)])
    characters: list[str] = []
    if text is None:
        if length > _ROOM + _LONGEST * len(lines):  # An offset that would fill the memory.
            message = f"offsets up to {length} for {len(lines)} tokens; give the texts: --texts DIR"
            raise CorpusError([Problem(draft.path, lines[-1].number if lines else 0, message)])
        losses.add("text: rebuilt, its white space is spaces", draft.id)
        characters = [" "] * length
    problems = []
    for line in lines:
        start, end = line.offsets or (0, 0)
        if text is not None:
            said = mention_mismatch(text, [(start, end)], line.word)
        elif end - start != len(line.word):
            said = f"offset {start}-{end} is not as long as its token {excerpt(line.word)}"
        else:
            said, characters[start:end] = None, line.word
        if said:
            problems.append(Problem(draft.path, line.number, said))
    if problems:
        raise CorpusError(problems)
    return "".join(characters) if text is None else text


def _align(draft: _Draft, lines: list[_Line], text: str) -> None:
    """Give the lines their offsets in the text."""
    number = 0
    try:
        for place in aligned((line.word for line in lines), text):
            lines[number].offsets = place
            number += 1
    except ValueError as error:
        raise CorpusError([Problem(draft.path, lines[number].number, str(error))]) from error


def write_conll(documents: Iterable[Document], folder: Path, losses: Losses) -> None:
    """Write `mentions.conll` and the texts into a folder.

    Raises:
        OutputError: A label or a name cannot be carried, or a file cannot be written.
    """
    with atomic_write(folder / "mentions.conll") as stream:
        for document in documents:
            name = file_name(document)
            write_text(document, folder / TEXTS)
            stream.write(f"{_START}\t{name}\t0_{len(document.text)}\tO\n\n")
            _write_sentences(document, stream, losses)


def _write_sentences(document: Document, stream: TextIO, losses: Losses) -> None:
    for sentence in tagged_sentences(document, losses):
        for start, end, tag in sentence:
            word = document.text[start:end]
            stream.write(f"{word}\t{document.id}\t{start}_{end}\t{tag}\n")
        stream.write("\n")
