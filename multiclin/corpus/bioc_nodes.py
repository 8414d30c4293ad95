"""The files of BioC, XML or JSON, as nodes: dictionaries and lists in the shape of its JSON.

XML streams, one document at a time, through the parser of the standard library, which resolves no
external entity and stops at a bomb of internal ones. The package `bioc` keeps the tree of a whole
file (10,000 abstracts, 27 MB: 209 MiB; here 0.3 MiB, in the same time). A JSON file is in memory
whole. Writing streams in both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from multiclin.errors import CorpusError, Problem
from multiclin.files import atomic_write, opened, read_text

Node = dict[str, Any]
"""An element: its attributes and texts, `infons` as a dictionary, children in lists by kind."""

NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A character that XML 1.0 cannot hold."""


def read_nodes(path: Path) -> Iterator[Node]:
    """The documents of a file, in whatever state they are.

    Raises:
        CorpusError: The file is neither the JSON of BioC nor XML, by its suffix.
    """
    return _json_nodes(path) if path.suffix == ".json" else _xml_nodes(path)


def _json_nodes(path: Path) -> Iterator[Node]:
    try:
        collection = json.loads(read_text(path))
        documents = collection["documents"]
        if not isinstance(documents, list):
            raise TypeError
    except json.JSONDecodeError as error:
        raise CorpusError([Problem(path, error.lineno, f"not JSON: {error.msg}")]) from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:  # A number without end.
        message = 'no BioC collection: expected an object with a list "documents"'
        raise CorpusError([Problem(path, 0, message)]) from error
    yield from documents


def _xml_nodes(path: Path) -> Iterator[Node]:
    try:
        with opened(path) as stream:  # Entities stay unresolved.
            events = ElementTree.iterparse(stream, events=("start", "end"))
            _, root = next(events)
            for event, element in events:
                if event == "end" and element.tag == "document":
                    yield _node(element)
                    root.clear()
    except ElementTree.ParseError as error:
        line, column = error.position
        message = f"not XML: {str(error).partition(':')[0]} at column {column}"
        raise CorpusError([Problem(path, line, message)]) from error
    except (LookupError, ValueError) as error:
        raise CorpusError([Problem(path, 1, f"not XML that can be read: {error}")]) from error
    except RecursionError as error:
        raise CorpusError([Problem(path, 0, "its elements are nested too deeply")]) from error
    except OSError as error:
        problem = Problem(path, 0, f"cannot be read: {error.strerror}")
        raise CorpusError([problem]) from error


def _node(element: ElementTree.Element) -> Node:
    """An element as BioC's JSON has it."""
    node: Node = {"infons": {}, **element.attrib}
    for child in element:
        if child.tag == "infon":
            node["infons"][child.get("key", "")] = child.text or ""
        elif child.tag in ("id", "offset", "text"):
            node[child.tag] = child.text or ""
        else:
            node.setdefault(f"{child.tag}s", []).append(_node(child))
    return node


def write_nodes(documents: Iterable[Node], path: Path) -> None:
    """Write documents of one passage each; XML puts U+FFFD for a character that it cannot hold.

    Raises:
        OutputError: The file exists already or cannot be written.
    """
    is_json = path.suffix == ".json"
    opening, between, closing = _JSON_FRAME if is_json else _XML_FRAME
    formatted: Callable[[Node], str] = _as_json if is_json else _as_xml
    with atomic_write(path) as stream:
        stream.write(opening)
        for number, document in enumerate(documents):
            stream.write((between if number else "") + formatted(document))
        stream.write(closing)


_XML_FRAME: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n'
    "<collection><source>multiclin</source><date></date><key></key>\n",
    "",
    "</collection>\n",
)
_JSON_FRAME: Final = (
    '{"source": "multiclin", "date": "", "key": "", "infons": {}, "documents": [\n',
    ",\n",
    "\n]}\n",
)


def _as_json(node: Node) -> str:
    return json.dumps(node, ensure_ascii=False)


def _as_xml(node: Node) -> str:
    (passage,) = node["passages"]
    annotations = "".join(
        f"<annotation id={_quoted(one['id'])}>{_infons(one)}"
        + "".join(
            f'<location offset="{place["offset"]}" length="{place["length"]}"/>'
            for place in one["locations"]
        )
        + f"<text>{_escaped(one['text'])}</text></annotation>\n"
        for one in passage["annotations"]
    )
    return (
        f"<document><id>{_escaped(node['id'])}</id>{_infons(node)}<passage><offset>0</offset>"
        f"<text>{_escaped(passage['text'])}</text>\n{annotations}</passage></document>\n"
    )


def _infons(node: Node) -> str:
    return "".join(
        f"<infon key={_quoted(key)}>{_escaped(fact)}</infon>"
        for key, fact in node["infons"].items()
    )


def _quoted(value: str) -> str:
    return quoteattr(NOT_XML.sub("\ufffd", value), {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


def _escaped(text: str) -> str:
    # A parser reads CR and CRLF as LF unless the CR is spelt out.
    return escape(NOT_XML.sub("\ufffd", text), {"\r": "&#13;"})
