"""All targets by name, the words of their formats, and what they once found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tests.fuzzing import corrections, measuring, modelling, readers, shapes, wording, writing

Target = Callable[[bytes], None]

TARGETS: Final[Mapping[str, Target]] = {
    **{name: readers.corpus_target(name) for name in readers.CORPORA},
    "shapes": shapes.shapes,
    "table": readers.table,
    "score": readers.score,
    "texts": readers.texts,
    "lists": readers.lists,
    "predictions": writing.predictions,
    "check": corrections.check_and_repair,
    "recounting": corrections.recounting,
    "words": wording.words,
    "snapping": wording.snapping,
    "offsets": modelling.offsets,
    "windows": modelling.windows,
    "tags": modelling.tags,
    "any_tags": wording.any_tags,
    "sentences": wording.sentences,
    "paths": modelling.paths,
    "decoding": modelling.decoding,
    "scores": measuring.scores,
    "splits": measuring.splits,
}

KEYWORDS: Final = (
    *("\n====\n", "\t", "\r\n", "\r", '"', '""', ";", " ", "0", "9", "\ufeff", "\u0301", "😀", "é"),
    *("T1\tX 0 1\t", "R1\t", "#1\tAnnotatorNotes T1\t", "DISEASE", "a.txt", "a", "b", "es/"),
    *("filename\tlabel\tstart_span\tend_span\ttext\n", "off0", "off1", "span", "name\ttag\t"),
    *("-DOCSTART-", "B-X", "I-X", "E-X", "S-X", "O\n", "0_3", "1_2", "-X-"),
    *('{"', '":', "[]", "{}", "null", "true", "1e999", "-1", "NaN", "\\ud800", "\\u0000", "[[[[[["),
    *('"id": "a"', '"text": "', '"spans": [', '"start": 0', '"end": 1', '"label": "X"'),
    *('"annotated": ["X"]', '"language": "es"', '"case": "', '"score": 0.5', '"tokens": ['),
    *('"ner_tags": [', '"entities": [', '"document": "', '"features"', '"names"', '"feature"'),
    *('"documents": [', '"passages": [', '"offset": 0', '"infons": {', '"annotations": ['),
    *('"locations": [{"offset": 0, "length": 1}]', '"sentences": [', '"relations": [', '"type"'),
    *("<collection>", "</collection>", "<document>", "</document>", "<id>", "</id>", "<passage>"),
    *("</passage>", "<offset>0</offset>", "<text>", "</text>", '<annotation id="T1">'),
    *("</annotation>", '<infon key="type">', "</infon>", '<location offset="0" length="1"/>'),
    *('<?xml version="1.0" encoding="', "<!DOCTYPE", "<![CDATA[", "]]>", "&#13;", "&amp;", "<!--"),
    *('"train": ["es/a"]', '"validation"', "multiclin:annotated", "multiclin:case"),
)
"""What a fuzzer would take long to spell."""

_NAMED: Final = b'{"id": "dev/a", "text": "a\\tb", "spans": [{"start": 0, "end": 1, "label": "X"}]}'

FOUND: Final[Mapping[str, tuple[bytes, ...]]] = {
    "brat": (b"\0\1\6tos",),  # without gold: an empty MultiClinNER tree was written
    "tsv": (b"\0\0\1" + b"\t".join([b"words of a text"] * 99),),  # a message quoted it whole
    "jsonl": (
        b"\0\1\1" + _NAMED,  # a table whose text had another name
        b"\0\1\2" + _NAMED,  # CoNLL likewise: the text was rebuilt, its case another one
        b'\0\0\3{"id": "a", "text": "a", "annotated": ["\\ud800"]}',  # no file can hold it
        b'\0\1\1{"id": "a", "text": "a", "language": "' + b"x" * 700 + b'"}',
    ),
    "bioc_json": (
        b'\0\0\0{"documents": [' + b"9" * 5000 + b"]}",
        b'\0\0\0{"documents": [{"id": "a", "infons": {"multiclin:annotated": "[1]"}}]}',
    ),
    "huggingface": (
        b'\0\0\7{"text": ["a"], "spans": []}',
        b'\0\0\7{"tokens": ["a"], "ner_tags": [0]}\n====\n' + b"[" * 100_000,
    ),
    "lists": (
        b"words of a text" * 99,  # a message quoted them
        b"\n====\n" + b"[" * 100_000,
        b"\n====\n" + b"9" * 5000,
    ),
}
"""Inputs that once broke a target; what was mended has a test of its own where it is tested."""
