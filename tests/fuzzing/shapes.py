"""Targets of files that are well-formed JSON of a shape that no reader expects.

A mutated byte breaks JSON before it reaches what reads the object. So here an object is made as our
writers make it, then some of its nodes are replaced, dropped or repeated, and written as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from multiclin.corpus.bioc import write_bioc
from multiclin.corpus.exchange import Losses
from multiclin.corpus.huggingface import rows_of
from multiclin.corpus.jsonl import format_document
from multiclin.document import Document
from tests.fuzzing.contracts import attempted
from tests.fuzzing.files import folder
from tests.fuzzing.readers import corpus_judge
from tests.fuzzing.source import Source

Node = Any  # of JSON

_LEAVES: Final[tuple[Node, ...]] = (
    *(None, True, False, 0, 1, 2, -1, 1 << 31, 1 << 63, 0.0, 0.5, 1.0, 1.5, float("nan")),
    *(float("inf"), "", "a", "X", "O", "B-X", "I-X", "es", "0", "1", "-1", "1e9", "٣", "\ud800"),
    *("\0", "\n", "\t", " ", "../a", "a/b", ".a", "x" * 1000, [], {}, [[]], [None], {"a": None}),
)


def _tokens(one: Document) -> list[Node]:
    return list(rows_of(one, Losses()))


def _spans(one: Document) -> list[Node]:
    spans = [{"start": s.start, "end": s.end, "label": s.label} for s in one.spans]
    return [{"id": one.id, "text": one.text, "spans": spans}]


def _bioc(one: Document) -> list[Node]:
    with folder() as root:
        write_bioc([one], root / "a.json", Losses())
        return [json.loads((root / "a.json").read_bytes())]


_MADE: Final[Mapping[str, tuple[str, str, Callable[[Document], list[Node]]]]] = {
    "jsonl": ("jsonl", "a.jsonl", lambda one: [json.loads(format_document(one))]),
    "tokens": ("huggingface", "a.jsonl", _tokens),
    "spans": ("huggingface", "a.jsonl", _spans),
    "bioc": ("bioc", "a.json", _bioc),
}


def shapes(data: bytes) -> None:
    """A corpus as JSON of any shape: read, told, or refused."""
    source = Source(data)
    format_, name, make = _MADE[source.choice(tuple(_MADE))]
    with folder() as root:
        (root / "in").mkdir()
        judge = corpus_judge(root, format_, source)
        changes = source.number(0, 3)
        nodes, _ = attempted(lambda: make(source.document(longest=30)))
        for _ in range(changes):
            nodes = _changed(nodes, source)
        lines = [json.dumps(node) for node in nodes] if isinstance(nodes, list) else []
        (root / "in" / name).write_text("\n".join(lines), "utf-8")
        judge()


def _changed(node: Node, source: Source) -> Node:
    """The object with one node replaced, dropped or repeated, at whatever depth."""
    if not isinstance(node, (dict, list)) or not node or source.number(0, 5) == 0:
        return source.choice(_LEAVES)
    pairs = list(node.items() if isinstance(node, dict) else enumerate(node))
    key, inner = source.choice(pairs)
    kind = source.number(0, 9)
    if isinstance(node, list):
        mended = [inner, inner] if kind == 0 else [] if kind == 1 else [_changed(inner, source)]
        return [*node[:key], *mended, *node[key + 1 :]]
    rest = {name: value for name, value in node.items() if name != key}
    if kind == 1:
        return rest
    return rest | {source.choice(_KEYS) if kind == 0 else key: _changed(inner, source)}


_KEYS: Final = ("id", "text", "spans", "tokens", "tags", "case", "document", "", "\ud800", "infons")
