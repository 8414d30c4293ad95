"""BioC files <-> documents, ours and those of the library `bioc`."""

from __future__ import annotations

import json
from io import BytesIO, StringIO
from pathlib import Path

import pytest

from multiclin.corpus.bioc import read_bioc, write_bioc
from multiclin.corpus.exchange import Losses, Reading
from multiclin.document import Document, Span
from multiclin.errors import CorpusError, OutputError

PUBTATOR = """<?xml version="1.0"?><!DOCTYPE collection SYSTEM "BioC.dtd">
<collection><source>PubTator</source><date/><key/><document><id>7</id><infon key="year">2020</infon>
<passage><infon key="type">title</infon><offset>0</offset><text>No asthma.</text>
<annotation id="1"><infon key="type">Disease</infon><infon key="identifier">D001249</infon>
<location offset="3" length="6"/><text>asthma</text></annotation></passage>
<passage><offset>11</offset><text>Renal and liver failure</text>
<annotation id="2"><infon key="type">Disease</infon><location offset="11" length="5"/>
<location offset="27" length="7"/><text>Renal failure</text></annotation></passage>
<relation id="R1"><infon key="type">is</infon></relation></document></collection>"""

FULL = Document(
    "d&1",
    "Sin <b>diabetes</b>\r\n\tni \u2028tos.",
    (Span(0, 3, 'A"&'), Span(7, 15, "X"), Span(7, 15, "X", 0.25)),
    "es",
    frozenset(["X", "Y"]),
    "case-1",
)


def read(path: Path, content: str, **how: str) -> tuple[list[Document], Losses]:
    path.write_bytes(content.encode())
    reading = Reading(**how)  # type: ignore[arg-type]
    return list(read_bioc(path, reading)), reading.losses


def problem(path: Path, content: str) -> tuple[int, str]:
    with pytest.raises(CorpusError) as caught:
        read(path, content)
    (one,) = caught.value.problems
    return one.line, one.message


def test_passages_are_laid_out_by_their_offsets(tmp_path: Path) -> None:
    (one,), losses = read(tmp_path / "a.xml", PUBTATOR)
    assert (one.id, one.text) == ("7", "No asthma.\nRenal and liver failure")
    assert one.spans == (Span(3, 9, "Disease"), Span(11, 34, "Disease"))
    assert losses.counts == {
        "infon 'identifier' of a mention": 1,
        "mention: in fragments (cover)": 1,
        "relation": 1,
        "infon 'year'": 1,
        "infon 'type' of a passage": 1,
        "text: gap between passages filled with white space": 1,
    }


def test_fragments_may_be_split_or_skipped(tmp_path: Path) -> None:
    (one,), _ = read(tmp_path / "a.xml", PUBTATOR, discontinuous="split")
    assert [(span.start, span.end) for span in one.spans] == [(3, 9), (11, 16), (27, 34)]
    (one,), _ = read(tmp_path / "a.xml", PUBTATOR, discontinuous="skip")
    assert [(span.start, span.end) for span in one.spans] == [(3, 9)]


def test_sentences_hold_the_text_where_passages_have_none(tmp_path: Path) -> None:
    annotation = {"id": "T", "infons": {"type": "X"}, "locations": [{"offset": 5, "length": 3}]}
    sentences = [
        {"offset": 0, "text": "Fin.", "annotations": []},
        {"offset": 5, "text": "Tos.", "annotations": [annotation]},
    ]
    content = {"documents": [{"id": 3, "passages": [{"offset": 0, "sentences": sentences}]}]}
    (one,), _ = read(tmp_path / "a.json", json.dumps(content))
    assert one == Document("3", "Fin.\nTos.", (Span(5, 8, "X"),))


def test_infons_that_are_not_ours_are_told(tmp_path: Path) -> None:
    key = '<infon key="identifier">D001249'
    for infon in ('<infon key="score">5', '<infon key="annotated">yes'):
        (one,), losses = read(tmp_path / "a.xml", PUBTATOR.replace(key, infon))
        assert one.spans[0].score is None
        assert losses.counts[f"infon {infon.split(chr(34))[1]!r} of a mention"] == 1


@pytest.mark.parametrize("name", ["a.xml", "a.json"])
def test_nothing_is_lost_in_our_own_files(tmp_path: Path, name: str) -> None:
    losses, documents = Losses(), [FULL, Document("empty", "")]
    write_bioc(documents, tmp_path / name, losses)
    reading = Reading()
    found = list(read_bioc(tmp_path / name, reading))
    assert found == documents
    assert [span.score for span in found[0].spans] == [span.score for span in FULL.spans]
    assert not losses.counts
    assert not reading.losses.counts


def test_characters_that_xml_lacks_are_replaced_and_told(tmp_path: Path) -> None:
    losses = Losses()
    write_bioc([Document("a", "x\x0b\x00y", (Span(1, 4, "X"),))], tmp_path / "a.xml", losses)
    (one,) = read_bioc(tmp_path / "a.xml", Reading())
    assert (one.text, one.spans) == ("x\ufffd\ufffdy", (Span(1, 4, "X"),))
    assert losses.counts == {"text: character unknown to XML, now U+FFFD": 2}
    with pytest.raises(OutputError, match="cannot carry the name or a label of"):
        write_bioc([Document("a\x0b", "x")], tmp_path / "b.xml", losses)
    assert not (tmp_path / "b.xml").exists()


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("", 1, "not XML: no element found at column 0"),
        ("<collection>\n<document></collection>", 2, "not XML: mismatched tag"),
        (PUBTATOR.replace(">asthma<", ">asma<"), 0, "holds 'asthma' but the line says 'asma'"),
        (PUBTATOR.replace('="3"', '="x"'), 0, "annotation '1' of '7'"),
        (PUBTATOR.replace(">11<", ">5<"), 0, "a passage begins at 5, before the end of the last"),
        (PUBTATOR.replace(">11<", ">99999999<"), 0, "nothing between 10 and 99999999"),
        (PUBTATOR.replace("<id>7</id>", ""), 0, "it has no id"),
        (PUBTATOR.replace('key="type">D', 'key="kind">D'), 0, "it has no infon 'type'"),
        (PUBTATOR.replace('"6"', '"-6"'), 0, "its location is not a range of characters"),
        ("<collection>" + "<document>" * 5000, 1, "not XML: no element found"),
        ('<?xml version="1.0" encoding="UTF-18"?><c/>', 1, "unknown encoding: UTF-18"),
        ('<?xml version="1.0" encoding="UTF-32"?><c/>', 1, "not XML"),
        ("<c>" + "<p>" * 5000 + "</p>" * 5000 + "</c>", 0, ""),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, line: int, says: str) -> None:
    if not says:
        assert read(tmp_path / "a.xml", content)[0] == []
        return
    with pytest.raises(CorpusError) as caught:
        read(tmp_path / "a.xml", content)
    first = caught.value.problems[0]
    assert (first.line, says in first.message) == (line, True), first.message


def test_elements_within_elements_without_end_are_refused(tmp_path: Path) -> None:
    content = (
        f"<collection><document>{'<passage>' * 5000}{'</passage>' * 5000}</document></collection>"
    )
    assert problem(tmp_path / "a.xml", content) == (0, "its elements are nested too deeply")


def test_a_bomb_of_entities_is_refused(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 20}">' for n in range(9))
    content = (
        f'<!DOCTYPE collection [<!ENTITY e0 "{"a" * 50}">{entities}]>'
        "<collection><document><id>&e9;</id></document></collection>"
    )
    line, message = problem(tmp_path / "a.xml", content)
    assert (line, message.startswith("not XML: limit on input amplification")) == (1, True)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "7",
        '{"documents": 1}',
        '{"documents": ["x"]}',
        f'{{"documents": [{"9" * 5000}]}}',
        '{"documents": [{"id": ""}]}',
        '{"documents": [{"id": ["a"]}]}',
        '{"documents": [{"id": "a", "infons": {"language": "\\ud800"}}]}',
        '{"documents": [{"id": "a", "infons": {"multiclin:annotated": "[1]"}}]}',
        '{"documents": [{"id": "a", "passages": 5}]}',
        '{"documents": [{"id": "a", "annotations": [5]}]}',
        '{"documents": [{"id": "\\ud800"}]}',
        '{"documents": [{"id": "a", "passages": [{"offset": 1e999, "text": "x"}]}]}',
    ],
)
def test_json_of_another_kind_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(CorpusError):
        read(tmp_path / "a.json", content)


def test_the_library_reads_what_we_write(tmp_path: Path) -> None:
    biocxml = pytest.importorskip("bioc.biocxml")
    biocjson = pytest.importorskip("bioc.biocjson")
    for name, load in (("a.xml", biocxml.load), ("a.json", biocjson.load)):
        write_bioc([FULL], tmp_path / name, Losses())
        mode, encoding = ("rb", None) if name == "a.xml" else ("r", "utf-8")
        with (tmp_path / name).open(mode, encoding=encoding) as stream:
            (document,) = load(stream).documents
        (passage,) = document.passages
        assert (document.id, passage.text) == (FULL.id, FULL.text)
        assert [
            (one.infons["type"], one.text, one.total_span.offset, one.total_span.length)
            for one in passage.annotations
        ] == [
            (one.label, FULL.text[one.start : one.end], one.start, one.end - one.start)
            for one in FULL.spans
        ]


def test_we_read_what_the_library_writes(tmp_path: Path) -> None:
    biocxml = pytest.importorskip("bioc.biocxml")
    biocjson = pytest.importorskip("bioc.biocjson")
    collection = biocxml.load(BytesIO(PUBTATOR.encode()))
    collection.encoding, collection.standalone = "utf-8", True
    stream = StringIO()
    biocjson.dump(collection, stream)
    (expected,), _ = read(tmp_path / "a.xml", PUBTATOR)
    for name, content in (("b.xml", biocxml.dumps(collection)), ("b.json", stream.getvalue())):
        assert read(tmp_path / name, content)[0] == [expected]


def test_facts_that_are_null_are_not_told(tmp_path: Path) -> None:
    infons = '{"language": null, "multiclin:case": null, "multiclin:annotated": null}'
    content = f'{{"documents": [{{"id": 7, "infons": {infons}}}]}}'
    assert read(tmp_path / "a.json", content)[0] == [Document("7", "")]
