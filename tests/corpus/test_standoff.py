"""Folders of brat and of tables <-> documents: where texts and mentions lie, what is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiclin.corpus.exchange import Losses, Reading
from multiclin.corpus.standoff import read_brat, read_tables, write_brat, write_tables
from multiclin.document import Document, Span
from multiclin.errors import CorpusError, OutputError

ANN = "T1\tX 0 3\ttos\n"
HEADER = "filename\tlabel\tstart_span\tend_span\ttext\n"
SPANS = (Span(0, 3, "X"),)
GOLD = frozenset(["X", "Y"])


def lay(folder: Path, **files: str) -> Path:
    """Files by name, `__` for a folder's slash and `_` before the suffix for its point."""
    for name, content in files.items():
        path = folder / Path(name.replace("__", "/").replace("_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    return folder


def test_texts_and_annotations_lie_side_by_side_at_any_depth(tmp_path: Path) -> None:
    lay(tmp_path, a_txt="tos", a_ann=ANN, sub__b_txt="tos y", sub__b_ann=ANN)
    found = list(read_brat(tmp_path, Reading(annotated=GOLD)))
    assert found == [
        Document("a", "tos", SPANS, annotated=GOLD),
        Document("b", "tos y", SPANS, annotated=GOLD),
    ]


def test_texts_and_annotations_lie_in_folders_of_their_own(tmp_path: Path) -> None:
    lay(tmp_path, txt__a_txt="tos", ann__a_ann=ANN)
    assert list(read_brat(tmp_path, Reading())) == [Document("a", "tos", SPANS)]
    lay(tmp_path / "other", a_txt="tos!")
    (one,) = read_brat(tmp_path, Reading(tmp_path / "other"))
    assert one.text == "tos!"


def test_what_brat_holds_beside_mentions_is_told(tmp_path: Path) -> None:
    ann = (
        "T1\tX 0 3;8 12\ttos leve\nT2\tX 0 3\ttos\nA1\tNeg T1\n#1\tAnnotatorNotes T1\tsee\n"
        "R1\tis Arg1:T1 Arg2:T2\n"
    )
    lay(tmp_path, a_txt="tos muy leve", a_ann=ann, b_txt="Fin")
    losses: list[object] = []
    reading = Reading(annotated=GOLD, losses=Losses(losses.append))
    one, two = read_brat(tmp_path, reading)
    assert one.spans == (Span(0, 3, "X"), Span(0, 12, "X"))
    assert (one.annotated, two.annotated) == (GOLD, frozenset())
    assert losses == [
        ("mention: in fragments (cover)", "a", Span(0, 12, "X"), 1),
        ("brat: note", "a", None, 1),
        ("brat: attribute", "a", None, 1),
        ("brat: relation", "a", None, 1),
        ("document: a text without .ann, so without gold", "b", None, 1),
    ]
    split = Reading(discontinuous="split")
    assert len(next(read_brat(tmp_path, split)).spans) == 3


def test_problems_of_all_files_come_together(tmp_path: Path) -> None:
    lay(tmp_path, a_txt="tas", a_ann=ANN, b_txt="tos", b_ann=ANN, c_ann=ANN)
    with pytest.raises(CorpusError) as caught:
        list(read_brat(tmp_path, Reading()))
    found = [(problem.path.name, problem.line) for problem in caught.value.problems]
    assert found == [("a.ann", 1), ("c.ann", 0)]
    with pytest.raises(CorpusError, match=r"no folder of \.txt and \.ann files"):
        list(read_brat(tmp_path / "a.txt", Reading()))


@pytest.mark.parametrize("table", ["mentions_tsv", "tsv__all_tsv"])
@pytest.mark.parametrize("text", ["txt__a_txt", "a_txt"])
def test_a_table_and_its_texts(tmp_path: Path, table: str, text: str) -> None:
    lay(tmp_path, **{table: HEADER + "a.txt\tX\t0\t3\ttos\n", text: "tos"})
    if text == "a_txt" and (tmp_path / "tsv").is_dir():
        lay(tmp_path, b_txt="Fin")
    found = list(read_tables(tmp_path, Reading(annotated=GOLD)))
    assert found[0] == Document("a", "tos", SPANS, annotated=GOLD)
    (file,) = tmp_path.rglob("*.tsv")
    if text == "txt__a_txt":
        assert list(read_tables(file, Reading(annotated=GOLD))) == found


def test_two_tables_of_one_folder_are_put_together_unless_they_tell_the_same(
    tmp_path: Path,
) -> None:
    row = "a\tX\t0\t3\ttos\n"
    lay(tmp_path, a_tsv=HEADER + row, b_tsv=HEADER + row.replace("X", "Y"), txt__a_txt="tos")
    (one,) = read_tables(tmp_path, Reading())
    assert one.spans == (Span(0, 3, "X"), Span(0, 3, "Y"))
    lay(tmp_path, c_tsv=HEADER + row)
    with pytest.raises(CorpusError, match=r"c\.tsv:2: X of 'a' is in .*a\.tsv too; keep one table"):
        list(read_tables(tmp_path, Reading()))


def test_a_table_of_a_split_has_the_texts_that_it_names(tmp_path: Path) -> None:
    """Otherwise the test texts would be trained on as texts without a mention."""
    texts = {f"txt__{name}_txt": "tos" for name in "abc"}
    lay(tmp_path, train_tsv=HEADER + "a\tX\t0\t3\ttos\n", test_tsv=HEADER, **texts)
    (tmp_path / "test.tsv").write_text(HEADER + "b\tX\t0\t3\ttos\n")
    train, test = Reading(), Reading()
    assert [one.id for one in read_tables(tmp_path / "train.tsv", train)] == ["a"]
    assert [one.id for one in read_tables(tmp_path / "test.tsv", test)] == ["b"]
    assert test.losses.counts == {"document: a text that no table of a split names": 1}
    assert not train.losses.counts


def test_rows_without_a_text_and_columns_without_a_use_are_told(tmp_path: Path) -> None:
    content = "filename\tmark\tlabel\toff0\toff1\tspan\na\tT1\tX\t0\t3\ttos\n"
    lay(tmp_path, a_tsv=content, txt__a_txt="tos")
    reading = Reading()
    assert len(list(read_tables(tmp_path, reading))) == 1
    assert reading.losses.counts == {"column 'mark'": 1}
    lay(tmp_path, a_tsv=content + "b\tT1\tX\t0\t3\ttos\n")
    with pytest.raises(CorpusError, match=r"a\.tsv:3: no text for 'b'"):
        list(read_tables(tmp_path, Reading()))
    with pytest.raises(CorpusError, match=r"no \.tsv file here or in tsv/"):
        list(read_tables(tmp_path / "txt", Reading()))


@pytest.mark.parametrize("name", [".a", "a/.b", "a.txt", " a", "a\n", "a/"])
def test_a_name_that_would_not_come_back_is_refused(tmp_path: Path, name: str) -> None:
    for write in (write_brat, write_tables):
        with pytest.raises(OutputError, match="no file can be named after the document"):
            write([Document(name, "x")], tmp_path / write.__name__, Losses())


def test_labels_that_would_not_come_back_are_refused(tmp_path: Path) -> None:
    one = Document("a", "tos", (Span(0, 3, " X"),))
    with pytest.raises(OutputError, match="brat cannot carry the label ' X'; --map renames"):
        write_brat([one], tmp_path, Losses())
    with pytest.raises(OutputError, match="white space at an edge of the label ' X'"):
        write_tables([one], tmp_path / "table", Losses())
