"""brat files <-> documents: offsets, white space, other lines, and what a wrong file says."""

from __future__ import annotations

import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.corpus import ReadReport
from multiclin.corpus.brat import format_ann, parse_ann, read_document, write_ann, write_text
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, CorpusError, OutputError

ANN = Path("a.ann")


def offsets(content: str | bytes, text: str, **settings: str) -> list[tuple[int, int]]:
    spans, _ = parse_ann(content, text, ANN, **settings)
    return [(span.start, span.end) for span in spans]


def problems(content: str | bytes, text: str) -> list[tuple[int, str]]:
    with pytest.raises(CorpusError) as caught:
        parse_ann(content, text, ANN)
    return [(problem.line, problem.message) for problem in caught.value.problems]


def test_a_mention_line_is_a_span() -> None:
    spans, report = parse_ann("T1\tDISEASE 4 12\tdiabetes\n", "Sin diabetes.", ANN)
    assert spans == (Span(4, 12, "DISEASE"),)
    assert report == ReadReport(mentions=1)


def test_lines_and_ids_come_in_any_order() -> None:
    content = "T7\tX 4 5\tb\nT2\tX 0 1\ta\nT3\tX 2 3\tc"
    assert offsets(content, "a c b") == [(0, 1), (2, 3), (4, 5)]


def test_nested_and_repeated_mentions_are_kept_and_counted() -> None:
    content = "T1\tX 0 5\tdolor\nT2\tX 0 10\tdolor leve\nT3\tX 0 5\tdolor\n"
    spans, report = parse_ann(content, "dolor leve", ANN)
    assert [(span.start, span.end) for span in spans] == [(0, 5), (0, 5), (0, 10)]
    assert (report.mentions, report.duplicates) == (3, 1)


def test_other_lines_are_ignored_and_counted_by_kind() -> None:
    content = (
        "R1\tis Arg1:T1 Arg2:T2\nA1\tNegated T1\nA2\tNegated T1\nE1\tX:T1\nM1\tNegated T1\n"
        "N1\tReference T1 UMLS:1\tx\n#1\tAnnotatorNotes T1\tsee\n*\tEquiv T1 T2\n\nT1\tX 0 1\ta\n"
    )
    spans, report = parse_ann(content, "a", ANN)
    assert len(spans) == 1
    assert report.ignored_lines == {"R": 1, "A": 2, "E": 1, "M": 1, "N": 1, "#": 1, "*": 1}


def test_labels_not_asked_for_are_counted_and_not_looked_at() -> None:
    content = "T1\tDISEASE 0 1\ta\nT2\tDRUG 90 91\tnot in the text\n"
    spans, report = parse_ann(content, "a", ANN, labels={"DISEASE"})
    assert spans == (Span(0, 1, "DISEASE"),)
    assert report.ignored_labels == {"DRUG": 1}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("cover", [(0, 24)]), ("split", [(0, 8), (18, 24)]), ("skip", [])],
)
def test_a_mention_in_fragments_follows_the_policy(
    policy: str, expected: list[tuple[int, int]]
) -> None:
    text = "dolor de cabeza y cuello"
    content = "T1\tX 0 8;18 24\tdolor de cuello\n"
    spans, report = parse_ann(content, text, ANN, discontinuous=policy)
    assert [(span.start, span.end) for span in spans] == expected
    assert report.discontinuous == 1
    assert report.mentions == len(expected)


def test_fragments_in_any_order_are_covered() -> None:
    assert offsets("T1\tX 4 5;0 1\tc a\n", "a b c") == [(0, 5)]


@pytest.mark.parametrize("policy", ["cover", "split", "skip"])
def test_fragments_around_a_line_end_are_one_mention(policy: str) -> None:
    # brat cuts a mention that runs over a line end into one fragment per line.
    spans, report = parse_ann(
        "T1\tX 0 5;8 12\tdolor leve\n", "dolor\r\n leve", ANN, discontinuous=policy
    )
    assert spans == (Span(0, 12, "X"),)
    assert report.discontinuous == 0


def test_an_unknown_policy_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"discontinuous='drop'.*cover, split, skip"):
        parse_ann("", "", ANN, discontinuous="drop")


@pytest.mark.parametrize(
    ("found", "written"),
    [
        ("dolor\nleve", "dolor leve"),
        ("dolor\tleve", "dolor leve"),
        ("dolor\tleve", "dolor\tleve"),
        ("dolor\xa0leve", "dolor leve"),
        ("dolor\xa0leve", "dolor\xa0leve"),
        ("dolor\r\nleve", "dolor leve"),
        ("dolor\r\nleve", "dolor  leve"),
        ("dolor\u2028leve", "dolor leve"),
        ("dolor\x85leve", "dolor\x85leve"),
    ],
)
def test_white_space_of_a_mention_may_be_written_as_spaces(found: str, written: str) -> None:
    text = f"x {found} y"
    assert offsets(f"T1\tX 2 {2 + len(found)}\t{written}\n", text) == [(2, 2 + len(found))]


def test_crlf_lines_of_the_ann_are_lines() -> None:
    assert offsets("T1\tX 0 1\ta\r\nT2\tX 2 3\tb\r\n", "a b") == [(0, 1), (2, 3)]


def test_a_byte_order_mark_of_the_ann_is_ignored() -> None:
    assert offsets(b"\xef\xbb\xbfT1\tX 0 1\ta\n", "a") == [(0, 1)]


def test_offsets_count_characters_beyond_the_bmp_once() -> None:
    assert offsets("T1\tX 3 7\ttos\U0001f637\n", "\U0001f637, tos\U0001f637") == [(3, 7)]


def test_a_text_that_is_not_nfc_keeps_its_offsets() -> None:
    text = unicodedata.normalize("NFD", "fiebre álgida")  # the accent is a character of its own
    mention = unicodedata.normalize("NFD", "álgida")
    assert offsets(f"T1\tX 7 14\t{mention}\n", text) == [(7, 14)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("T1 DISEASE 0 1 a", "expected T<id><TAB>LABEL START END<TAB>mention"),
        ("T1\tX 0 1", "expected T<id><TAB>LABEL START END<TAB>mention"),
        ("T1\tX 0\ta", "found offsets '0'"),
        ("T1\tX 0 1.0\ta", "found offsets '0 1.0'"),
        ("T1\tX -1 1\ta", "found offsets '-1 1'"),
        ("T1\tX 0 ١\ta", "found offsets '0 ١'"),
        ("T1\tX 0 1_0\ta", "found offsets '0 1_0'"),
        ("T1\tX 0 1;\ta", "found offsets ''"),
        ("T1\t 0 1\ta", "found no label"),
        ("T1\tX 1 1\ta", "offset 1-1 is empty"),
        ("T1\tX 1 0\ta", "offset 1-0 is empty"),
        ("T1\tX 0 9\ta", "offset 0-9 lies beyond the text of 3 characters"),
        ("T1\tX 0 1\t", "offset 0-1 holds 'a' but the line says ''"),
        ("T1\tX 0 1;2 3\ta c", "offset 0-1;2-3 holds 'a b' but the line says 'a c'"),
        ("diabetes", "unknown kind of line 'diabetes'"),
    ],
)
def test_a_bad_line_is_named_with_its_number(line: str, says: str) -> None:
    ((number, message),) = problems(f"T9\tX 2 3\tb\n{line}\n", "a b")
    assert number == 2
    assert says in message


def test_all_bad_lines_are_reported_together() -> None:
    found = problems("T1\tX 0 1\tb\nT2\tX 0 1\ta\nT3\tX 5 4\ta\nT4\n", "a")
    assert [number for number, _ in found] == [1, 3, 4]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("sin diabetes", "T1\tX 3 11\tdiabetes", "(which stands at 4-12)"),
        ("\U0001f637 tos.", "T1\tX 3 6\ttos", "count UTF-16 units instead of characters"),
        ("\U0001f637 tos", "T1\tX 3 6\ttos", "count UTF-16 units instead of characters"),
        ("años, tos seca", "T1\tX 7 10\ttos", "count UTF-8 bytes instead of characters"),
        ("a\r\nb\r\ntos y", "T1\tX 4 7\ttos", "count a CRLF as one character"),
        ("fie\u0301bre, tos seca", "T1\tX 8 11\ttos", "count the text after NFC normalisation"),
        ("€ fi\xe9bre, tos seca", "T1\tX 11 14\ttos", "count the text after NFD normalisation"),
        ("fie\u0301bre", "T1\tX 0 7\tfi\xe9bre", "the same letters in another Unicode normali"),
    ],
)
def test_a_mismatch_says_what_seems_wrong(text: str, line: str, says: str) -> None:
    ((_, message),) = problems(line, text)
    assert says in message


def test_a_message_quotes_forty_characters_at_most() -> None:
    ((_, message),) = problems(f"T1\tX 0 900\t{'b' * 900}\n", "a" * 900)
    assert "a" * 40 in message
    assert "a" * 41 not in message
    assert "b" * 41 not in message


def test_a_file_that_is_not_utf8_names_line_and_byte() -> None:
    ((line, message),) = problems(b"T1\tX 0 1\ta\nT2\tX 0 1\t\xe1\n", "a")
    assert line == 2
    assert "not UTF-8 at byte 20 (0xe1)" in message


def test_hostile_lines_take_linear_time() -> None:
    text = "a " * 500_000
    wide = "T1\tX 0 1000000\ta\n" * 20_000
    fragments = "T1\tX " + ";".join(["0 1000000"] * 20_000) + "\ta\n"
    gaps = "T1\tX 0 1;999998 999999\ta a\n" * 20_000
    start = time.process_time()
    assert len(problems(wide + fragments, text)) == 20_001
    assert len(offsets(gaps, text)) == 20_000
    assert time.process_time() - start < 5  # copying the text once per line would take minutes


def test_read_document_takes_the_text_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"uno\r\ndos\r\n")
    (tmp_path / "a.ann").write_text("T1\tX 5 8\tdos\n")
    report = ReadReport()
    document = read_document(
        tmp_path / "a.txt",
        tmp_path / "a.ann",
        id="a",
        language="es",
        annotated=frozenset({"X"}),
        case="c",
        report=report,
    )
    gold = (Span(5, 8, "X"),)
    assert document == Document("a", "uno\r\ndos\r\n", gold, "es", frozenset({"X"}), "c")
    assert report == ReadReport(documents=1, mentions=1)


@pytest.mark.parametrize(("start", "text"), [(5, "\ufeffSin tos"), (4, "Sin tos")])
def test_a_byte_order_mark_of_the_text_counts_if_the_mentions_count_it(
    tmp_path: Path, start: int, text: str
) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffSin tos".encode())
    (tmp_path / "a.ann").write_text(f"T1\tX {start} {start + 3}\ttos\n")
    document = read_document(tmp_path / "a.txt", tmp_path / "a.ann", id="a")
    assert document.text == text
    assert document.spans == (Span(start, start + 3, "X"),)


def test_a_byte_order_mark_without_gold_stays(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffSin tos".encode())
    assert read_document(tmp_path / "a.txt", None, id="a").text == "\ufeffSin tos"


def test_an_empty_ann_is_no_mentions_and_a_missing_one_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "a.ann").write_text("")
    report = ReadReport()
    read_document(tmp_path / "a.txt", tmp_path / "a.ann", id="a", report=report)
    assert report == ReadReport(documents=1)
    read_document(tmp_path / "a.txt", tmp_path / "b.ann", id="a", report=report)
    assert report == ReadReport(documents=2, missing_ann=1)


def test_format_ann_numbers_mentions_and_flattens_line_ends() -> None:
    document = Document("a", "dolor\r\nleve", (Span(7, 11, "Y"), Span(0, 11, "X")))
    assert format_ann(document) == "T1\tX 0 11\tdolor  leve\nT2\tY 7 11\tleve\n"


def test_format_ann_refuses_a_label_with_white_space() -> None:
    with pytest.raises(OutputError, match="brat cannot carry the label 'A B'"):
        format_ann(Document("a", "x", (Span(0, 1, "A B"),)))


def test_write_refuses_to_overwrite_and_to_leave_the_folder(tmp_path: Path) -> None:
    document = Document("a", "á\r\n")
    assert write_text(document, tmp_path) == tmp_path / "a.txt"
    assert (tmp_path / "a.txt").read_bytes() == "á\r\n".encode()
    assert write_ann(document, tmp_path) == tmp_path / "a.ann"
    with pytest.raises(OutputError, match="exists already"):
        write_ann(document, tmp_path)
    for id in ("../a", "/tmp/a"):
        with pytest.raises(OutputError, match="leads out of the folder"):
            write_text(Document(id, ""), tmp_path)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Texts with every kind of white space and of code point, spans anywhere in them."""
    # Surrogates cannot stand in UTF-8.
    character = st.characters(exclude_categories=["Cs"]) | st.sampled_from("\t\n\r \xa0\x85\u2028")
    text = draw(st.text(character, min_size=1, max_size=30))
    starts = st.integers(0, len(text) - 1)
    ends = st.integers(1, len(text))
    pairs = draw(st.lists(st.tuples(starts, ends), max_size=6))
    spans = tuple(Span(start, end, "X") for start, end in pairs if start < end)
    return Document("a", text, spans)


@given(documents())
def test_what_is_written_is_read(document: Document) -> None:
    spans, report = parse_ann(format_ann(document).encode(), document.text, ANN)
    assert spans == document.spans
    assert report.discontinuous == 0
