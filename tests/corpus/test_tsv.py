"""The official table: read by pandas' rules without pandas, written so that pandas reads it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.corpus.tsv import (
    COLUMNS,
    Row,
    documents_from_rows,
    format_rows,
    read_dialect,
    read_rows,
    rows_from_documents,
    stream_rows,
    write_rows,
)
from multiclin.document import Document, Span
from multiclin.errors import CorpusError, OutputError

HEADER = "filename\tlabel\tstart_span\tend_span\ttext\n"
Spans = list[tuple[str, str, int, int]]


def read(tmp_path: Path, content: str) -> list[Row]:
    path = tmp_path / "a.tsv"
    path.write_bytes(content.encode())
    return read_rows(path)


def problems(tmp_path: Path, content: str) -> list[tuple[int, str]]:
    with pytest.raises(CorpusError) as caught:
        read(tmp_path, content)
    return [(problem.line, problem.message) for problem in caught.value.problems]


def by_pandas(content: str) -> Spans:
    pandas = pytest.importorskip("pandas")
    table = pandas.read_csv(io.StringIO(content, newline=""), sep="\t")
    return list(table[list(COLUMNS[:4])].itertuples(index=False, name=None))


def test_rows_are_read_with_their_lines(tmp_path: Path) -> None:
    rows = read(tmp_path, HEADER + "a\tX\t0\t3\ttos\n\nb\tX\t4\t6\tNA\n")
    assert rows == [Row("a", "X", 0, 3, "tos"), Row("b", "X", 4, 6, "NA")]
    assert [row.line for row in rows] == [2, 4]


def test_columns_stand_in_any_order_among_others_with_spaces_around(tmp_path: Path) -> None:
    content = "ann_id\t text \tend_span\tstart_span \tlabel\tfilename\r\nT1\ttos\t3\t0\tX\ta\r\n"
    assert read(tmp_path, content) == [Row("a", "X", 0, 3, "tos")]


def test_a_missing_column_is_named_with_those_found(tmp_path: Path) -> None:
    content = "filename\tlabel\tstrat_span\tend_span\ttext\na\tX\t0\t1\ta\n"
    ((line, message),) = problems(tmp_path, content)
    assert line == 1
    assert message.startswith("no column start_span; the columns found are 'filename', 'label', 's")


def test_a_first_row_that_is_no_header_is_not_printed_whole(tmp_path: Path) -> None:
    ((_, message),) = problems(tmp_path, "\t".join(["palabras de un paciente " * 3] * 99) + "\n")
    assert message.endswith("... (79 more)")
    assert len(message) < 1100


def test_an_empty_file_has_no_columns(tmp_path: Path) -> None:
    ((line, message),) = problems(tmp_path, "")
    assert line == 1
    assert "the columns found are none" in message


def test_quotes_follow_the_rules_of_pandas(tmp_path: Path) -> None:
    content = HEADER + (
        'a\tX\t0\t3\t"dolor\t""leve""\n"\n'  # quoted: a TAB, a doubled quote, a line end
        'b\tX\t0\t3\t5" de largo\n'  # a quote inside a field is a character
        'c\tX\t0\t3\t"dolor"leve\n'  # and so is all that follows a closing one
    )
    rows = read(tmp_path, content)
    assert [row.text for row in rows] == ['dolor\t"leve"\n', '5" de largo', "dolorleve"]
    assert [row.line for row in rows] == [2, 4, 5]
    assert by_pandas(content) == [(row.filename, "X", 0, 3) for row in rows]


def test_a_quote_that_never_closes_is_a_problem_of_the_line_where_it_opens(tmp_path: Path) -> None:
    content = HEADER + 'a\tX\t0\t1\ta\nb\tX\t0\t3\t"tos\nc\tX\t0\t1\ta\n'
    ((line, message),) = problems(tmp_path, content)
    assert line == 3
    assert "the quote never closes" in message


def test_a_quote_that_swallows_rows_is_a_problem(tmp_path: Path) -> None:
    content = HEADER + 'a\tX\t0\t4\t"tos\nb\tX\t0\t1\ta\nc\tX\t0\t4\t"tos\nd\tX\t2\t3\ta\n'
    found = problems(tmp_path, content + "e\tX\t3\t2\ta\n" + '"' + "x" * 200_000)
    assert [line for line, _ in found] == [6, 7]
    assert "field larger than field limit" in found[1][1]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("a\tX\t3\t3\ta", "offset 3-3 is empty"),
        ("a\tX\t3\t2\ta", "offset 3-2 is empty"),
        ("a\tX\t\t2\ta", "'' is no offset"),
        ("a\tX\t-1\t2\ta", "'-1' is no offset"),
        ("a\tX\t1.0\t2\ta", "'1.0' is no offset"),
        ("a\tX\t1\t2", "4 fields where the header has 5"),
        ("a\tX\t1\t2\ta\tb", "6 fields where the header has 5"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, row: str, says: str) -> None:
    ((line, message),) = problems(tmp_path, f"{HEADER}a\tX\t0\t1\ta\n{row}\nb\tX\t0\t1\ta\n")
    assert line == 3
    assert says in message


def test_all_bad_rows_are_reported_together(tmp_path: Path) -> None:
    found = problems(tmp_path, HEADER + "a\tX\t1\t1\ta\nb\tX\t0\t1\ta\nc\tX\tx\t1\ta\n")
    assert [line for line, _ in found] == [2, 4]


def test_rows_are_written_sorted_with_line_ends_as_spaces() -> None:
    rows = [
        Row("b", "X", 0, 1, "NA"),
        Row("a", "X", 9, 10, 'a"b'),
        Row("a", "X", 2, 13, "dolor\r\n\tleve"),
    ]
    assert format_rows(rows) == (
        HEADER + "a\tX\t2\t13\tdolor   leve\n" + 'a\tX\t9\t10\t"a""b"\n' + "b\tX\t0\t1\tNA\n"
    )


def test_a_stream_of_rows_is_written_as_it_comes() -> None:
    stream = io.StringIO(newline="")
    written: list[str] = []

    def rows() -> Iterator[Row]:
        for name in ("b", "a"):
            yield Row(name, "X", 0, 3, "tos")
            written.append(stream.getvalue())

    stream_rows(rows(), stream)
    assert written == [HEADER + "b\tX\t0\t3\ttos\n", HEADER + "b\tX\t0\t3\ttos\na\tX\t0\t3\ttos\n"]


def test_pandas_reads_a_table_without_rows() -> None:
    assert by_pandas(format_rows([])) == []


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """Rows of named documents with mentions of any characters, and the hard ones often."""
    hard = st.text(st.sampled_from('"\t\n\r,#\\ a\xa0\x85\u2028\0'), max_size=8)
    mention = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | hard
    mention |= st.sampled_from(["NA", "nan", "1", "True", '"', '"NA"', ""])
    name = st.text(st.sampled_from("xyz\"' .-"), max_size=4).map(lambda name: f"d{name}")
    start, length = st.integers(0, 9_999), st.integers(1, 300)
    drawn = draw(st.lists(st.tuples(name, start, length, mention), max_size=8))
    return [Row(name, "X", start, start + length, text) for name, start, length, text in drawn]


@given(rows())
def test_pandas_reads_back_exactly_the_spans_written(written: list[Row]) -> None:
    expected = sorted((row.filename, row.label, row.start, row.end) for row in written)
    assert sorted(by_pandas(format_rows(written))) == expected


@given(rows())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, written: list[Row]
) -> None:
    path = tmp_path_factory.mktemp("tsv") / "a.tsv"
    write_rows(written, path)
    expected = sorted((row.filename, row.label, row.start, row.end) for row in written)
    assert (
        sorted((row.filename, row.label, row.start, row.end) for row in read_rows(path)) == expected
    )


@pytest.mark.parametrize(
    ("names", "warned"),
    [
        (["NA", "a"], ["'NA'"]),
        (["001", "2"], ["'001'"]),
        (["1.5", "NA"], ["'1.5'", "'NA'"]),
        (["001", "a"], []),
        (["10802668", "2792129"], []),
    ],
)
def test_filenames_that_pandas_changes_are_warned_of(
    caplog: pytest.LogCaptureFixture, names: list[str], warned: list[str]
) -> None:
    with caplog.at_level(logging.WARNING):
        content = format_rows(Row(name, "X", 0, 1, "a") for name in names)
    shown = f"({', '.join(warned)})"
    assert (shown in caplog.text) == bool(warned)
    assert bool(caplog.records) == bool(warned)
    assert ([str(row[0]) for row in by_pandas(content)] != sorted(names)) == bool(warned)


def test_a_filename_with_a_line_break_cannot_be_written() -> None:
    with pytest.raises(OutputError, match=r"cannot carry the TAB or line break in 'a\\rb'"):
        format_rows([Row("a\rb", "X", 0, 1, "a")])


def test_an_existing_table_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.tsv"
    write_rows([], path)
    with pytest.raises(OutputError, match="exists already"):
        write_rows([Row("a", "X", 0, 1, "a")], path)
    assert path.read_text() == HEADER
    write_rows([Row("a", "X", 0, 1, "a")], path, overwrite=True)
    assert path.read_text() == HEADER + "a\tX\t0\t1\ta\n"


def test_documents_take_their_rows_with_or_without_suffix() -> None:
    rows = [Row("b.txt", "X", 0, 3, "tos"), Row("a", "X", 4, 9, "do or")]
    documents = list(documents_from_rows(rows, {"a": "Sin do\nor", "b": "tos"}, Path("a.tsv")))
    assert documents == [
        Document("a", "Sin do\nor", (Span(4, 9, "X"),)),
        Document("b", "tos", (Span(0, 3, "X"),)),
    ]
    assert list(rows_from_documents(documents)) == [
        Row("a", "X", 4, 9, "do\nor"),
        Row("b", "X", 0, 3, "tos"),
    ]


def test_rows_that_fit_no_text_come_together_after_the_good_documents() -> None:
    rows = [
        Row("c", "X", 0, 1, "a", line=2),
        Row("a", "X", 0, 3, "fie", line=3),
        Row("b", "X", 0, 3, "tos", line=4),
        Row("a", "X", 0, 9, "tos", line=5),
    ]
    good: list[Document] = []
    with pytest.raises(CorpusError) as caught:
        good.extend(documents_from_rows(rows, {"a": "tos", "b": "tos"}, Path("a.tsv")))
    assert [document.id for document in good] == ["b"]
    assert str(caught.value).splitlines() == [
        "a.tsv:2: no text for 'c'",
        "a.tsv:3: offset 0-3 holds 'tos' but the line says 'fie'",
        "a.tsv:5: offset 0-9 lies beyond the text of 3 characters (which stands at 0-3)",
    ]


DISEASE = Row("a", "ENFERMEDAD", 4, 12, "diabetes")


@pytest.mark.parametrize(
    ("content", "others"),
    [
        (HEADER + "a\tENFERMEDAD\t4\t12\tdiabetes\n", {}),  # MultiClinNER, CardioCCC
        (  # DisTEMIST
            "filename\tmark\tlabel\toff0\toff1\tspan\na\tT1\tENFERMEDAD\t4\t12\tdiabetes\n",
            {"mark": 1},
        ),
        (  # SympTEMIST, MedProcNER
            "filename\tann_id\tlabel\tstart_span\tend_span\ttext\n"
            "a\tT1\tENFERMEDAD\t4\t12\tdiabetes\n",
            {"ann_id": 1},
        ),
        (  # CardioCCC; a note where there is one, and no TAB where there is none
            "name\ttag\tstart_span\tend_span\ttext\tnote\n"
            "a\tENFERMEDAD\t4\t12\tdiabetes\tsee below\na\tENFERMEDAD\t4\t12\tdiabetes\n",
            {"note": 1},
        ),
        ("filename\tlabel\tspan_ini\tspan_end\ttext\na\tENFERMEDAD\t4\t12\tdiabetes\n", {}),
        ("filename\tlabel\tstrat_span\tend_span\ttext\na\tENFERMEDAD\t4\t12\tdiabetes\n", {}),
        (
            " filename \t label\tstart_span \tend_span\t text\r\n"
            " a \t ENFERMEDAD\t 4 \t 12\tdiabetes\r\n",
            {},
        ),
        (  # An official name goes before another one's.
            "name\tfilename\tlabel\tspan\tstart_span\tend_span\ttext\n"
            "x\ta\tENFERMEDAD\ty\t4\t12\tdiabetes\n",
            {"name": 1, "span": 1},
        ),
    ],
)
def test_tables_of_sibling_corpora_are_told_by_their_headers(
    tmp_path: Path, content: str, others: dict[str, int]
) -> None:
    (tmp_path / "a.tsv").write_bytes(content.encode())
    rows, found = read_dialect(tmp_path / "a.tsv")
    assert set(rows) == {DISEASE}
    assert found == others


def test_the_official_scorer_knows_no_dialect(tmp_path: Path) -> None:
    ((_, message),) = problems(tmp_path, "filename\tlabel\toff0\toff1\tspan\na\tX\t0\t1\ta\n")
    assert message.startswith("no column start_span, end_span, text; the columns found are")


def test_spaces_around_a_mention_are_not_part_of_it() -> None:
    rows = [Row("a", "X", 4, 12, " diabetes ")]
    (one,) = documents_from_rows(rows, {"a": "Sin diabetes"}, Path("a.tsv"))
    assert one.spans == (Span(4, 12, "X"),)
