r"""BioC, the exchange format of PubMed corpora: XML, or the JSON of the same structure.

A document has passages with an offset each, annotations in passages, in their sentences or in the
document, and key-value pairs (`infon`) everywhere. Offsets are of the document, in code points. The
label is the infon `type`. Passages are laid into one text at their offsets; a gap between two
becomes spaces, a line end where it is one character. Annotations in several locations are mentions
in fragments, as in brat. Other infons and relations are counted.

Written is one passage per document. Language, case, annotated labels and scores become infons, so
nothing is lost, but XML 1.0 has no way to write most control characters: each becomes U+FFFD. Tests
hold our files and those of the package `bioc` against each other. The files: `bioc_nodes`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Final

from multiclin.corpus import as_name, checked_name, checked_text, excerpt, mention_mismatch
from multiclin.corpus.bioc_nodes import NOT_XML, Node, read_nodes, write_nodes
from multiclin.corpus.brat import POLICIES
from multiclin.corpus.exchange import Losses, Reading
from multiclin.corpus.texts import case_of, files_of
from multiclin.document import Document, Span
from multiclin.errors import CorpusError, OutputError, Problem

SUFFIXES: Final = (".xml", ".json")

_LABEL: Final = "type"
_SCORE: Final = "score"
_LANGUAGE: Final = "language"
_CASE: Final = "multiclin:case"
_ANNOTATED: Final = "multiclin:annotated"
_WIDEST_GAP: Final = 10_000
_OFFSET: Final = re.compile(r"\s*-?[0-9]{1,12}\s*")


def read_bioc(path: Path, reading: Reading) -> Iterator[Document]:
    """The documents of one file, XML or JSON by its suffix, or of all in a folder.

    Raises:
        CorpusError: After the last good document: every document that is wrong.
    """
    files = [path] if path.is_file() else [f for s in SUFFIXES for f in files_of(path, s)]
    problems: list[Problem] = []
    if not files:
        problems.append(Problem(path, 0, f"no BioC file here ({', '.join(SUFFIXES)})"))
    for file in files:
        try:
            for node in read_nodes(file):
                try:
                    yield _document(node, file, reading)
                except CorpusError as error:
                    problems += error.problems
        except CorpusError as error:
            problems += error.problems
    if problems:
        raise CorpusError(problems)


_WRONG: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


def _document(node: Node, path: Path, reading: Reading) -> Document:
    try:
        return _parsed(node, path, reading)
    except _WRONG as error:
        message = f"document {_named(node)}: {_said(error)}"
        raise CorpusError([Problem(path, 0, message)]) from error


def _parsed(node: Node, path: Path, reading: Reading) -> Document:
    name = checked_name(node["id"], "its id")
    text = _text(node, name, reading.losses)
    spans: list[Span] = []
    problems: list[Problem] = []
    for annotation in _below(node, "annotations"):
        try:
            spans += _spans(annotation, text, name, reading)
        except _WRONG as error:
            message = f"annotation {_named(annotation)} of {as_name(name)}: {_said(error)}"
            problems.append(Problem(path, 0, message))
    if problems:
        raise CorpusError(problems)
    if relations := sum(1 for _ in _below(node, "relations")):
        reading.losses.add("relation", name, times=relations)
    return _with_facts(Document(name, text, tuple(spans), case=case_of(name)), node, reading.losses)


def _named(node: object) -> str:
    return as_name(str(node.get("id"))) if isinstance(node, dict) else "without id"


def _said(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]}"
    return str(error) if type(error) is ValueError else "it is not as BioC wants it"


def _below(node: Node, key: str) -> Iterator[Node]:
    """The annotations or relations of a document, its passages and their sentences."""
    yield from node.get(key) or []
    for inner in ("passages", "sentences"):
        for child in node.get(inner) or []:
            yield from _below(child, key)


def _text(node: Node, name: str, losses: Losses) -> str:
    """The passages at their offsets."""
    text, filled = "", 0
    for passage in node.get("passages") or []:
        pieces = [passage] if passage.get("text") else passage.get("sentences") or []
        for piece in pieces:
            offset, its = _number(piece["offset"]), checked_text(piece.get("text") or "", "a text")
            gap = offset - len(text)
            if gap < 0:
                raise ValueError(f"a passage begins at {offset}, before the end of the last one")
            if gap > _WIDEST_GAP:
                raise ValueError(f"nothing between {len(text)} and {offset}")
            filled += bool(gap)
            text += ("\n" if gap == 1 and text else " " * gap) + its
    if filled:
        losses.add("text: gap between passages filled with white space", name, times=filled)
    return text


def _spans(annotation: Node, text: str, name: str, reading: Reading) -> list[Span]:
    infons: Mapping[str, str] = annotation.get("infons") or {}
    if _LABEL not in infons:
        raise KeyError(f"infon {_LABEL!r}")
    places = [(_number(one["offset"]), _number(one["length"])) for one in annotation["locations"]]
    fragments = [(start, start + length) for start, length in places]
    if not fragments or any(start < 0 or end <= start for start, end in fragments):
        raise ValueError("its location is not a range of characters")
    # In a text of several locations tools differ; one is checked.
    mention = annotation.get("text")
    if len(fragments) > 1 or mention is None:
        mention = " ".join(text[start:end] for start, end in fragments)
    if said := mention_mismatch(text, fragments, mention):
        raise ValueError(said)
    label = checked_name(infons[_LABEL], f"infon {_LABEL!r}")
    score = _probability(infons.get(_SCORE))
    if len(fragments) > 1:
        span = Span(min(fragments)[0], max(end for _, end in fragments), label)
        reading.losses.add(f"mention: in fragments ({reading.discontinuous})", name, span)
        fragments = POLICIES[reading.discontinuous](fragments)
    known = {_LABEL} if score is None else {_LABEL, _SCORE}
    _tell_infons(infons, known, name, reading.losses, " of a mention")
    return [Span(start, end, label, score) for start, end in fragments]


def _number(value: object) -> int:
    """An offset or a length; XML has them as text."""
    number = str(value)
    if not _OFFSET.fullmatch(number):
        raise ValueError(f"{excerpt(number)} is no offset or length")
    return int(number)


def _probability(score: object) -> float | None:
    """The score where it is one of ours; other tools have counts and logits there."""
    try:
        value = float(str(score))
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _tell_infons(
    infons: Mapping[str, str], known: Set[str], name: str, losses: Losses, of: str = ""
) -> None:
    for key in sorted(infons.keys() - known):
        losses.add(f"infon {as_name(key)}{of}", name)


def _with_facts(document: Document, node: Node, losses: Losses) -> Document:
    """The document with its language, case and annotated labels, where infons tell them."""
    infons: Mapping[str, str] = node.get("infons") or {}
    _tell_infons(infons, {_LANGUAGE, _CASE, _ANNOTATED}, document.id, losses)
    for passage in node.get("passages") or []:
        _tell_infons(passage.get("infons") or {}, frozenset(), document.id, losses, " of a passage")
    annotated = json.loads(infons.get(_ANNOTATED) or "[]")
    return replace(
        document,
        language=checked_text(infons.get(_LANGUAGE) or "", _LANGUAGE),
        annotated=frozenset(checked_text(label, _ANNOTATED) for label in annotated),
        case=checked_text(infons.get(_CASE) or "", _CASE) or document.case,
    )


def write_bioc(documents: Iterable[Document], path: Path, losses: Losses) -> None:
    """Write one file, XML or JSON by its suffix.

    Raises:
        OutputError: The file exists already or cannot be written, or XML cannot hold a name.
    """

    def nodes() -> Iterator[Node]:
        for document in documents:
            if path.suffix != ".json":
                _tell_characters(document, losses)
            yield _as_node(document)

    write_nodes(nodes(), path)


def _tell_characters(document: Document, losses: Losses) -> None:
    names = [document.id, document.case, document.language, *document.annotated]
    if any(map(NOT_XML.search, [*names, *(span.label for span in document.spans)])):
        raise OutputError(
            f"XML cannot carry the name or a label of {as_name(document.id)}; write BioC as .json"
        )
    if wrong := NOT_XML.findall(document.text):
        losses.add("text: character unknown to XML, now U+FFFD", document.id, times=len(wrong))


def _as_node(document: Document) -> Node:
    facts = {
        _LANGUAGE: document.language,
        _ANNOTATED: json.dumps(sorted(document.annotated)) if document.annotated else "",
        _CASE: document.case if document.case != case_of(document.id) else "",
    }
    annotations = [
        {
            "id": f"T{number}",
            "infons": {_LABEL: span.label}
            | ({} if span.score is None else {_SCORE: repr(float(span.score))}),
            "locations": [{"offset": span.start, "length": span.end - span.start}],
            "text": document.text[span.start : span.end],
        }
        for number, span in enumerate(document.spans, 1)
    ]
    passage = {"offset": 0, "infons": {}, "text": document.text, "sentences": []}
    return {
        "id": document.id,
        "infons": {key: fact for key, fact in facts.items() if fact},
        "passages": [passage | {"annotations": annotations, "relations": []}],
        "annotations": [],
        "relations": [],
    }
