"""What a check finds: one small corpus for each kind of thing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from multiclin.checking.check import check
from multiclin.checking.findings import KINDS
from multiclin.checking.mentions import ann_source
from multiclin.corpus import settle_bom
from multiclin.corpus.brat import parse_ann
from multiclin.errors import ConfigError, CorpusError
from tests.checking.trees import ANN, HEADER, TEXT, found, look, make_set


def check_ann(tmp_path: Path, ann: str, text: str = TEXT) -> dict[str, list[tuple[str, int]]]:
    make_set(tmp_path, "es-train-disease", a=(text, ann))
    return look(tmp_path)


def test_a_right_corpus_is_clean(tmp_path: Path) -> None:
    make_set(tmp_path, "es-train-disease", a=(TEXT, ANN), b=("Nada.", ""))
    make_set(tmp_path, "es-background-disease", c=(TEXT, None))
    checked = check(tmp_path)
    assert found(checked) == {}
    assert checked.is_clean
    assert (len(checked.places), checked.documents, checked.mentions) == (2, 3, 2)


def test_notes_leave_a_corpus_clean(tmp_path: Path) -> None:
    make_set(tmp_path, "es-train-disease", a=(TEXT, ANN + ANN.replace("T", "T1")))
    checked = check(tmp_path)
    assert found(checked) == {"duplicate_mention": [("a.ann", 3), ("a.ann", 4)]}
    assert checked.is_clean


@pytest.mark.parametrize(
    ("ann", "kind", "lines"),
    [
        ("T1\tDISEASE 4 7\ttos\nT2\tDISEASE 3 6\ttos\n", "wrong_offset", [2]),
        ("T1\tDISEASE 90 93\ttos\n", "outside_text", [1]),
        ("T1\tDISEASE 4\ttos\nT2 DISEASE 4 7 tos\nhola\n", "malformed_line", [1, 2, 3]),
        ("T1\tDISEASE 7 4\ttos\n", "malformed_line", [1]),
        ("T1\tTOS 4 7\ttos\n", "unknown_label", [1]),
        ("T1\tDISEASE 4 7\ttos\nT1\tDISEASE 11 17\tfiebre\n", "duplicate_id", [2]),
        ("T1\tDISEASE 4 7\ttos\nT2\tDISEASE 4 7\ttos\n", "duplicate_mention", [2]),
        ("T1\tDISEASE 11 22\tfiebre alta\nT2\tDISEASE 11 17\tfiebre\n", "nested_mention", [2]),
        (
            "T1\tDISEASE 8 17\tni fiebre\nT2\tDISEASE 11 22\tfiebre alta\n",
            "overlapping_mention",
            [2],
        ),
        ("T1\tDISEASE 4 7;11 17\ttos fiebre\n", "discontinuous_mention", [1]),
        ("T1\tDISEASE 5 7\tos\n", "cut_word", [1]),
        ("T1\tDISEASE 4 8\ttos \n", "blank_edge", [1]),
        ("R1\tof Arg1:T1 Arg2:T2\n#1\tAnnotatorNotes T1\tno\n", "other_line", [0, 0]),
    ],
)
def test_lines_of_an_ann(tmp_path: Path, ann: str, kind: str, lines: list[int]) -> None:
    assert check_ann(tmp_path, ann) == {kind: [("a.ann", line) for line in lines]}


def test_mentions_of_one_character_and_of_many(tmp_path: Path) -> None:
    text = "H " + "dolor " * 26
    ann = (
        f"T1\tDISEASE 0 1\tH\nT2\tDISEASE 2 152\t{text[2:152]}\nT3\tDISEASE 2 157\t{text[2:157]}\n"
    )
    assert check_ann(tmp_path, ann, text) == {
        "nested_mention": [("a.ann", 2)],
        "blank_edge": [("a.ann", 2)],
        "one_character": [("a.ann", 1)],
        "long_mention": [("a.ann", 3)],
    }


def test_mentions_of_two_labels_may_share_a_place(tmp_path: Path) -> None:
    brat = "T1\tDISEASE 4 7\ttos\nT2\tSYMPTOM 4 7\ttos\n"
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "a.ann").write_text(brat)
    assert look(tmp_path) == {}


def test_a_mention_over_a_line_end_is_not_discontinuous(tmp_path: Path) -> None:
    assert check_ann(tmp_path, "T1\tDISEASE 0 5;6 10\tdolor leve\n", "dolor\nleve") == {}


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        (" \n ", "empty_text", 0),
        ("a\nb\r\nc\r\n", "crlf", 2),
        ("\ufeffa", "byte_order_mark", 1),
        ("a\nb\tc", "tab", 2),
        ("10\u00a0mg", "no_break_space", 1),
        ("a\u200bb", "zero_width", 1),
        ("a\uf0b7", "private_use", 1),
        ("a\x0cb\x82", "control_character", 1),
        ("a\rb", "control_character", 1),
        ("a\ufffd", "replacement", 1),
        ("e\u0301", "not_nfc", 0),
    ],
)
def test_characters_of_a_text(tmp_path: Path, text: str, kind: str, line: int) -> None:
    assert check_ann(tmp_path, "", text) == {kind: [("a.txt", line)]}


def test_a_kind_of_character_is_told_once_per_text(tmp_path: Path) -> None:
    make_set(tmp_path, "es-train-disease", a=("a\tb\n\tc", ""))
    (finding,) = check(tmp_path).findings
    assert finding.what == "U+0009 at 1, and 1 more"


def test_a_mark_that_offsets_do_not_count_is_only_a_note(tmp_path: Path) -> None:
    assert check_ann(tmp_path, ANN, "\ufeff" + TEXT) == {"byte_order_mark": [("a.txt", 1)]}


def test_bytes_that_are_no_text_do_not_stop_the_others(tmp_path: Path) -> None:
    folder = make_set(tmp_path, "es-train-disease", a=(TEXT, ANN), b=(TEXT + "x", ANN), c=("x", ""))
    (folder / "txt" / "a.txt").write_bytes(b"Sin\nt\xf3s")
    (folder / "ann" / "b.ann").write_bytes(b"T1\tDISEASE 4 7\tt\xf3s")
    (folder / "ann" / "c.ann").write_text("T1\tDISEASE 4 7\ttos")
    assert look(tmp_path) == {
        "not_utf8": [("a.txt", 2), ("b.ann", 1)],
        "outside_text": [("c.ann", 1)],
    }


def test_files_without_partner(tmp_path: Path) -> None:
    folder = make_set(tmp_path, "es-train-disease", a=(TEXT, None), b=("Nada.", ""))
    (folder / "ann" / "z.ann").write_text("")
    assert look(tmp_path) == {"missing_ann": [("a.txt", 0)], "missing_text": [("z.ann", 0)]}


def test_names_that_no_table_can_carry(tmp_path: Path) -> None:
    make_set(tmp_path, "es-train-disease", "", **{"a\tb": (TEXT, ANN)})
    assert look(tmp_path) == {"bad_name": [("a\tb.txt", 0)]}


def test_good_rows_of_a_bad_table_are_checked(tmp_path: Path) -> None:
    rows = [
        "a\tDISEASE\t4\t7\ttos",
        "a\tDISEASE\t4\ttos",
        "a.txt\tDISEASE\t12\t23\tfiebre alta",
        "a\tDISEASE\tx\t7\ttos",
        "z\tDISEASE\t4\t7\ttos",
        'a\tDISEASE\t4\t7\t"tos',
    ]
    folder = make_set(tmp_path, "es-train-disease", "\n".join(rows), a=(TEXT, None))
    (folder / "ann").rmdir()
    name = f"{folder.name}.tsv"
    assert look(tmp_path) == {
        "malformed_line": [(name, 3), (name, 5), (name, 7)],
        "wrong_offset": [(name, 4)],
        "missing_text": [(name, 6)],
    }


def test_a_table_of_another_dialect_is_one_finding(tmp_path: Path) -> None:
    folder = make_set(tmp_path, "es-train-disease", "x", a=(TEXT, ANN))
    (folder / "tsv" / f"{folder.name}.tsv").write_text("filename\tmark\toff0\toff1\na\tT1\t4\t7\n")
    assert look(tmp_path) == {"malformed_line": [(f"{folder.name}.tsv", 1)]}


def test_ann_and_table_that_disagree(tmp_path: Path) -> None:
    rows = "a\tDISEASE\t4\t7\ttos\na\tDISEASE\t11\t17\tfiebre\n"
    folder = make_set(tmp_path, "es-train-disease", rows, a=(TEXT, ANN))
    name = f"{folder.name}.tsv"
    checked = check(tmp_path)
    assert found(checked) == {"disagreement": [("a.ann", 2), (name, 3)]}
    assert checked.mentions == 2
    first = next(iter(checked.findings))
    assert first.what == f"'DISEASE' 11-22 is not in {name}"


def test_one_set_in_two_folders(tmp_path: Path) -> None:
    make_set(tmp_path / "old", "es-train-disease", a=(TEXT, ANN))
    make_set(tmp_path / "new", "es-train-disease", a=(TEXT, ANN))
    assert look(tmp_path) == {"repeated_set": [("MultiClinNER-es-train-disease", 0)]}


def test_plain_brat_files(tmp_path: Path) -> None:
    for folder in (tmp_path / "beside", tmp_path / "apart" / "txt", tmp_path / "apart" / "ann"):
        folder.mkdir(parents=True)
    for folder in (tmp_path / "beside", tmp_path / "apart"):
        texts, anns = ((folder / p) if folder.name == "apart" else folder for p in ("txt", "ann"))
        (texts / f"{folder.name}.txt").write_text(f"{TEXT} {folder.name}")
        (anns / f"{folder.name}.ann").write_text("T1\tANY 4 7\ttos\nT2\tOTHER 3 6\ttos\n")
    checked = check(tmp_path)
    assert found(checked) == {"wrong_offset": [("apart.ann", 2), ("beside.ann", 2)]}
    assert len(checked.places) == 2


def test_a_folder_without_texts_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no \.txt in it"):
        check(tmp_path)
    with pytest.raises(CorpusError, match="no such folder"):
        check(tmp_path / "nowhere")


def test_a_share_out_of_range_is_a_mistake(tmp_path: Path) -> None:
    make_set(tmp_path, "es-train-disease", a=(TEXT, ANN))
    with pytest.raises(ConfigError, match=r"--near=1\.5"):
        check(tmp_path, near=1.5)


def test_no_finding_quotes_more_than_an_excerpt(tmp_path: Path) -> None:
    secret = "abcdefghij" * 30
    ann = f"T1\tDISEASE 0 300\t{secret}\nT2\tDISEASE 1 299\tx\n{secret}\nT9\t{secret} 1 2\tb\n"
    make_set(tmp_path, "es-train-disease", HEADER, a=(secret, ann))
    assert not [one.what for one in check(tmp_path).findings if secret[:41] in one.what]


@given(
    st.lists(
        st.one_of(
            st.text("T1AR#\t ;0123456789tos\u00a0\r", max_size=20),
            st.builds("T1\tA {}\t{}".format, st.text("0123456789 ;", max_size=9), st.text("to s")),
        ),
        max_size=3,
    )
)
@example(["T1\tA 0 2 ; 4 6\ttos", "T1\tA  0\u00a03\ttos\r", "T1 \tA 0 3\ttos"])
def test_what_is_clean_here_can_be_read_for_training(lines: list[str]) -> None:
    text, content, path = "tos to s", "\n".join(lines), Path("a.ann")
    source = ann_source(content, text, path)
    try:
        _, (spans, _) = settle_bom(text, lambda text: parse_ann(content, text, path))
    except CorpusError as error:
        spans, problems = (), error.problems
    else:
        problems = []
    bad = [line for line, _ in source.malformed] + [one.line for one in source.wrong]
    assert sorted(bad) == [problem.line for problem in problems]
    if not problems:
        places = sorted((one.start, one.end) for one in source.mentions)
        assert places == [(span.start, span.end) for span in spans]


def test_every_kind_says_what_to_do() -> None:
    assert all(kind.about and kind.remedy for kind in KINDS.values())


@pytest.mark.data
@pytest.mark.parametrize(
    ("corpus", "sizes", "counts"),
    [
        ("NCBI-DISEASE", (3, 793, 6892), {"cut_word": 3, "one_character": 1, "repeated_text": 1}),
        ("SIMONERO", (4, 190, 1846), {"one_character": 1}),
        ("SWEDMEDNER-1177", (2, 93, 500), {}),
        (
            "TEMIST",
            (6, 2250, 28222),
            {
                "duplicate_mention": 1,
                "nested_mention": 357,
                "overlapping_mention": 79,
                "cut_word": 47,
                "long_mention": 51,
                "no_break_space": 3,
                "control_character": 3,
            },
        ),
    ],
)
def test_real_corpora(
    shared_data: Path, corpus: str, sizes: tuple[int, int, int], counts: dict[str, int]
) -> None:
    checked = check(shared_data / corpus)
    assert (len(checked.places), checked.documents, checked.mentions) == sizes
    assert checked.findings.counts() == counts
    assert checked.is_clean
