"""A corrected copy: what changes, what stays, and the list of changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from multiclin.checking.check import check
from multiclin.checking.repair import Asked, changes_path, repair
from multiclin.corpus.tsv import read_rows
from multiclin.errors import OutputError
from tests.checking.trees import ANN, HEADER, TEXT, found, look, make_set

EMOJI = "😀 Sin tos ni fiebre alta."
UTF16 = "T1\tDISEASE 7 10\ttos\nT2\tDISEASE 14 25\tfiebre alta\n"
RIGHT = "T1\tDISEASE 6 9\ttos\nT2\tDISEASE 13 24\tfiebre alta\n"


def mend(root: Path, **asked: bool) -> tuple[Path, list[dict[str, object]]]:
    """The copy, and the list of changes."""
    out = root.parent / "out"
    repair(check(root), out, Asked(**asked))
    lines = changes_path(out).read_text().splitlines()
    return out, [json.loads(line) for line in lines]


def contents(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "corpus"


def test_offsets_are_recounted_and_nothing_else(root: Path) -> None:
    folder = make_set(root, "es-train-disease", a=(EMOJI, UTF16), b=(TEXT + " No.", ANN))
    (root / "SOURCE.md").write_text("from somewhere")
    before = contents(root)
    out, changes = mend(root)
    assert contents(root) == before
    ann = f"{folder.name}/ann/a.ann"
    assert contents(out) == before | {ann: RIGHT.encode()}
    assert changes == [
        {
            "file": ann,
            "line": line,
            "change": "offsets",
            "before": old,
            "after": new,
            "why": "UTF-16 units instead of characters",
        }
        for line, old, new in ((1, "7 10", "6 9"), (2, "14 25", "13 24"))
    ]
    assert look(out) == {}


def test_line_ends_ids_and_other_lines_stay(root: Path) -> None:
    head, tail = "\ufeff#1\tAnnotatorNotes T7\tno\r\n", "\r\nA1\tNegation T7"
    ann = f"{head}T7\tDISEASE 7 10;14 20\ttos fiebre{tail}"
    make_set(root, "es-train-disease", a=(EMOJI, ann))
    out, _ = mend(root)
    (path,) = out.rglob("*.ann")
    assert path.read_bytes().decode() == f"{head}T7\tDISEASE 6 9;13 19\ttos fiebre{tail}"


def test_words_become_those_of_the_text(root: Path) -> None:
    ann = "T1\tDISEASE 0 6\tfie\u0301bre\n"
    make_set(root, "es-train-disease", a=("fi\u00e9bre", ann.replace("0 6", "0 7")))
    out, changes = mend(root)
    (path,) = out.rglob("*.ann")
    assert path.read_text() == "T1\tDISEASE 0 6\tfi\u00e9bre\n"
    assert [change["change"] for change in changes] == ["offsets", "words"]


def test_a_file_with_one_other_mistake_is_left(root: Path) -> None:
    make_set(root, "es-train-disease", a=(EMOJI, UTF16 + "T3\tDISEASE 0 3\tSin\n"))
    out, changes = mend(root)
    assert contents(out) == contents(root)
    assert [(one["line"], one["change"]) for one in changes] == [
        (1, "left"),
        (2, "left"),
        (3, "left"),
    ]


def test_a_file_that_can_be_read_in_two_ways_is_left(root: Path) -> None:
    # 8-11 is the first `tos` in bytes, the second in UTF-16 units.
    one = ("😀😀tos tos", "T1\tDISEASE 8 11\ttos\n")
    make_set(root, "es-train-disease", a=one)
    out, changes = mend(root)
    assert contents(out) == contents(root)
    assert [one["change"] for one in changes] == ["left"]


def test_the_other_files_of_a_set_tell_which_way(root: Path) -> None:
    one = ("😀😀tos tos", "T1\tDISEASE 8 11\ttos\n")
    make_set(root, "es-train-disease", a=one, b=(EMOJI, UTF16))
    out, _ = mend(root)
    assert next(out.rglob("a.ann")).read_text() == "T1\tDISEASE 6 9\ttos\n"


def test_one_mention_proves_no_shift(root: Path) -> None:
    make_set(root, "es-train-disease", a=("Con tos.", "T1\tDISEASE 6 9\ttos\n"))
    _, changes = mend(root)
    assert [one["change"] for one in changes] == ["left"]


def test_a_shift_of_a_whole_set(root: Path) -> None:
    make_set(
        root,
        "es-train-disease",
        a=("Con tos.", "T1\tDISEASE 6 9\ttos\n"),
        b=("Con asma, con asma.", "T1\tDISEASE 6 10\tasma\n"),
    )
    checked = check(root)
    assert [str(one) for one in checked.recounts[0].common] == ["every offset +2"]
    out, _ = mend(root)
    assert look(out) == {}


def test_a_table_is_recounted(root: Path) -> None:
    rows = (
        'a.txt\tDISEASE\t7\t10\ttos\na.txt\tDISEASE\t14\t25\t"fiebre alta"\nb\tDISEASE\t4\t7\ttos\n'
    )
    folder = make_set(root, "es-train-disease", rows, a=(EMOJI, None), b=(TEXT, None))
    (folder / "ann").rmdir()
    out, changes = mend(root)
    (table,) = out.rglob("*.tsv")
    fixed = (
        "a.txt\tDISEASE\t6\t9\ttos\na.txt\tDISEASE\t13\t24\tfiebre alta\nb\tDISEASE\t4\t7\ttos\n"
    )
    assert table.read_text() == HEADER + fixed
    assert [one["line"] for one in changes] == [2, 3]
    assert look(out) == {}


def test_other_columns_of_a_table_stay(root: Path) -> None:
    folder = make_set(root, "es-train-disease", "-", a=(EMOJI, RIGHT))
    (table,) = (folder / "tsv").iterdir()
    head = "filename\tann_id\tlabel\t start_span\tend_span\ttext\r\n"
    old = "a\tT1\tDISEASE\t7\t10\ttos\r\na\tT2\tDISEASE\t14\t25\tfiebre alta\r\n"
    table.write_bytes((head + old).encode())
    out, _ = mend(root)
    new = "a\tT1\tDISEASE\t6\t9\ttos\r\na\tT2\tDISEASE\t13\t24\tfiebre alta\r\n"
    assert next(out.rglob("*.tsv")).read_bytes().decode() == head + new


def test_a_table_with_a_malformed_row_is_left(root: Path) -> None:
    rows = "a\tDISEASE\t7\t10\ttos\na\tDISEASE\t14\t25\tfiebre alta\na\tDISEASE\n"
    make_set(root, "es-train-disease", rows, a=(EMOJI, RIGHT))
    out, changes = mend(root)
    assert contents(out) == contents(root)
    assert [(one["change"], one["why"]) for one in changes] == [
        ("left", "the table has malformed rows")
    ]


def test_repetitions_are_dropped_only_when_asked(root: Path) -> None:
    again = "T3\tDISEASE 4 7\ttos\nT4\tDISEASE 4 7\ttos\n#1\tAnnotatorNotes T4\tcheck\n"
    rows = "a\tDISEASE\t4\t7\ttos\n" * 2 + "a\tDISEASE\t11\t22\tfiebre alta\n"
    make_set(root, "es-train-disease", rows, a=(TEXT, ANN + again))
    out, changes = mend(root)
    assert changes == []
    assert contents(out) == contents(root)
    changes_path(out).unlink()
    out.rename(out.with_name("first"))
    out, changes = mend(root, drop_duplicates=True)
    assert [(one["change"], one["line"], one["why"]) for one in changes] == [
        ("dropped", 3, "line 1 gives the same mention"),  # T4 stays: a note names it.
        ("dropped", 3, "line 2 gives the same mention"),
    ]
    assert next(out.rglob("*.ann")).read_text() == ANN + again.partition("\n")[2]
    assert next(out.rglob("*.tsv")).read_text() == HEADER + rows.partition("\n")[2]


def test_repetitions_are_known_after_recounting(root: Path) -> None:
    make_set(root, "es-train-disease", a=(EMOJI, UTF16 + "T3\tDISEASE 7 10\ttos\n"))
    out, changes = mend(root, drop_duplicates=True)
    assert next(out.rglob("*.ann")).read_text() == RIGHT
    assert [one["change"] for one in changes] == ["offsets", "offsets", "dropped"]


def test_missing_anns_are_added_only_when_asked(root: Path) -> None:
    make_set(root, "es-train-disease", a=(TEXT, ANN), b=("Nada.", None))
    make_set(root, "es-test-disease", c=("Otro.", None))  # not annotated
    out, changes = mend(root, add_empty_ann=True)
    assert [(one["file"], one["change"]) for one in changes] == [
        ("MultiClinNER-es-train-disease/ann/b.ann", "created")
    ]
    assert look(root) == {"missing_ann": [("b.txt", 0)]}
    assert look(out) == {}


def test_the_copy_of_one_set_keeps_its_name(root: Path) -> None:
    folder = make_set(root, "es-train-disease", a=(EMOJI, UTF16.replace("DISEASE", "TOS")))
    out, _ = mend(folder)
    assert [path.name for path in out.iterdir()] == [folder.name]
    assert found(check(out)) == {"unknown_label": [("a.ann", 1), ("a.ann", 2)]}


def test_nothing_is_ever_overwritten(root: Path) -> None:
    make_set(root, "es-train-disease", a=(EMOJI, UTF16))
    checked = check(root)
    with pytest.raises(OutputError, match="inside the corpus"):
        repair(checked, root / "out")
    with pytest.raises(OutputError, match="exists already"):
        repair(checked, root)
    (root.parent / "out.changes.jsonl").touch()
    with pytest.raises(OutputError, match="exists already"):
        repair(checked, root.parent / "out")
    assert not (root.parent / "out").exists()


def utf16(text: str, position: int) -> int:
    return len(text[:position].encode("utf-16-le")) // 2


def with_line_feeds(text: str, position: int) -> int:
    return len(text[:position].replace("\r\n", "\n"))


@pytest.mark.data
@pytest.mark.parametrize(
    ("change", "count", "told"),
    [
        (lambda text: f"😀 {text}", utf16, "UTF-16 units instead of characters"),
        (lambda text: text.replace("\n", "\r\n"), with_line_feeds, "a CRLF as one character"),
        (lambda text: text, lambda text, at: len(text[:at].encode()), "UTF-8 bytes instead of"),
    ],
)
def test_a_spoilt_real_corpus_comes_back(
    shared_data: Path,
    root: Path,
    change: Callable[[str], str],
    count: Callable[[str, int], int],
    told: str,
) -> None:
    """Right offsets for a changed text are made first, then counted in another way."""
    source, name = shared_data / "SIMONERO", "MultiClinNER-ro-test-disease"
    (texts,) = source.rglob(f"{name}/txt")
    right: dict[str, str] = {}
    for part in ("txt", "ann"):
        (root / name / part).mkdir(parents=True)
    for path in texts.iterdir():
        old = path.read_bytes().decode()
        new = change(old)
        added = len(new) - len(old.replace("\n", "\r\n") if "\r\n" in new else old)
        wrong = ""
        for line in (texts.parent / "ann" / f"{path.stem}.ann").read_text().splitlines():
            id, place, words = line.split("\t")
            label, *ends = place.split()
            start, end = (
                int(at) + added + (old.count("\n", 0, int(at)) if "\r\n" in new else 0)
                for at in ends
            )
            right[path.stem] = right.get(path.stem, "") + f"{id}\t{label} {start} {end}\t{words}\n"
            wrong += f"{id}\t{label} {count(new, start)} {count(new, end)}\t{words}\n"
        (root / name / "txt" / path.name).write_bytes(new.encode())
        (root / name / "ann" / f"{path.stem}.ann").write_bytes(wrong.encode())
    (recounts,) = check(root).recounts
    assert told in str(recounts.common[0])
    assert recounts.wrong > 600
    out, changes = mend(root)
    assert {one["change"] for one in changes} == {"offsets"}
    assert len(changes) == recounts.wrong
    mended = {path.stem: path.read_text() for path in out.rglob("*.ann")}
    assert {stem: text for stem, text in mended.items() if text} == right
    assert check(out).is_clean


def test_rows_of_the_mended_table_can_be_read(root: Path) -> None:
    rows = 'a\tDISEASE\t3\t8\t"""tos"""\n'
    folder = make_set(root, "es-train-disease", rows, a=('😀 "tos"', None))
    (folder / "ann").rmdir()
    out, _ = mend(root)
    (row,) = read_rows(next(out.rglob("*.tsv")))
    assert (row.start, row.end, row.text) == (2, 7, '"tos"')
