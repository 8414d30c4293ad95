"""Sets of a MultiClinNER tree of any release."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from multiclin.corpus import ReadReport
from multiclin.corpus.release import (
    CorpusSet,
    digest,
    find_sets,
    normalise_language,
    overview,
    read_set,
    read_sets,
    select,
)
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, CorpusError

HEADER = "filename\tlabel\tstart_span\tend_span\ttext\n"


def make_set(root: Path, language: str, split: str, entity: str, batch: str = "") -> Path:
    """The folder of one set in the official layout, with two texts and no gold."""
    name = f"MultiClinNER-{language}"
    folder = root / name / f"{name}-{split}{batch}" / f"{name}-{split}-{entity}{batch}"
    (folder / "txt").mkdir(parents=True)
    for number, text in ((1, "Sin tos."), (2, "Con tos.")):
        (folder / "txt" / f"{name}-{split}-{entity}-000{number}.txt").write_text(text)
    return folder


def add_ann(folder: Path, start: int = 4) -> None:
    """One mention in the first text; the second .ann is empty."""
    (folder / "ann").mkdir()
    first, second = sorted((folder / "txt").glob("*.txt"))
    label = folder.name.rsplit("-", 1)[1].upper()
    (folder / "ann" / f"{first.stem}.ann").write_text(f"T1\t{label} {start} {start + 3}\ttos\n")
    (folder / "ann" / f"{second.stem}.ann").write_text("")


def add_tsv(folder: Path, rows: str) -> None:
    (folder / "tsv").mkdir()
    (folder / "tsv" / f"{folder.name}.tsv").write_text(HEADER + rows)


def names(sets: list[CorpusSet]) -> list[str]:
    return [f"{one.language}/{one.split}/{one.entity}/{one.gold}" for one in sets]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with gold in ann, in tsv and in both, and test sets of two releases without gold."""
    add_ann(make_set(tmp_path, "es", "train", "disease"))
    add_tsv(make_set(tmp_path, "cz", "train", "disease"), "")
    both = make_set(tmp_path, "es", "train", "symptom")
    add_ann(both)
    add_tsv(both, "not read\n")
    make_set(tmp_path, "nl", "test", "disease")
    make_set(tmp_path, "nl", "test", "disease", "_batch1")
    make_set(tmp_path, "nl", "test_bg", "drug_name")
    return tmp_path


def test_every_set_is_found_with_its_gold(tree: Path) -> None:
    assert names(find_sets(tree)) == [
        "cz/train/disease/tsv",
        "es/train/disease/ann",
        "es/train/symptom/ann",
        "nl/test/disease/",
        "nl/test_batch1/disease/",
        "nl/test_bg/drug_name/",
    ]


def test_the_root_may_be_any_level(tree: Path) -> None:
    language = tree / "MultiClinNER-es"
    split = language / "MultiClinNER-es-train"
    one = split / "MultiClinNER-es-train-disease"
    assert len(find_sets(tree)) == 6
    assert len(find_sets(language)) == len(find_sets(split)) == 2
    assert names(find_sets(one)) == ["es/train/disease/ann"]


def test_the_working_folder_may_be_a_set(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree / "MultiClinNER-es/MultiClinNER-es-train/MultiClinNER-es-train-disease")
    assert names(find_sets(Path())) == ["es/train/disease/ann"]


def test_links_are_followed_once_and_archive_leftovers_are_left_out(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make_set(tree / "__MACOSX", "es", "train", "disease")
    (tree / "loop").symlink_to(tree)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "data").symlink_to(tree)
    assert len(find_sets(elsewhere)) == 6


def test_an_empty_ann_folder_is_no_gold(tmp_path: Path) -> None:
    (make_set(tmp_path, "es", "test", "disease") / "ann").mkdir()
    (one,) = find_sets(tmp_path)
    assert not one.has_gold


def test_one_set_in_two_folders_is_refused(tree: Path) -> None:
    make_set(tree / "v1.3", "es", "train", "disease")
    with pytest.raises(CorpusError, match=r"the same set lies in .*; name one of them as the root"):
        find_sets(tree)


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_root_without_sets_says_what_is_expected(tmp_path: Path, name: str) -> None:
    with pytest.raises(CorpusError, match=r"expected MultiClinNER-\{language\}-\{split\}-\{entity"):
        find_sets(tmp_path / name)


def test_documents_of_a_set_know_language_gold_and_case(tree: Path) -> None:
    one = select(find_sets(tree), languages="es", entities="disease")[0]
    report = ReadReport()
    gold = frozenset({"DISEASE"})
    id = "MultiClinNER-es-train-disease-000"
    assert list(read_set(one, report=report)) == [
        Document(f"{id}1", "Sin tos.", (Span(4, 7, "DISEASE"),), "es", gold, "train-0001"),
        Document(f"{id}2", "Con tos.", (), "es", gold, "train-0002"),
    ]
    assert report == ReadReport(documents=2, mentions=1)


def test_a_set_without_gold_is_annotated_for_nothing(tree: Path) -> None:
    one = select(find_sets(tree), split="test_batch1")[0]
    documents = list(read_set(one))
    assert [(document.spans, document.annotated) for document in documents] == [
        ((), frozenset()),
        ((), frozenset()),
    ]


def test_a_set_with_a_table_only_reads_the_same(tmp_path: Path) -> None:
    folder = make_set(tmp_path, "es", "train", "disease")
    id = "MultiClinNER-es-train-disease-000"
    add_tsv(folder, f"{id}2.txt\tDISEASE\t4\t7\ttos\n{id}1\tDRUG\t0\t3\tSin\n")
    report = ReadReport()
    documents = list(read_set(find_sets(tmp_path)[0], report=report))
    assert [document.spans for document in documents] == [(), (Span(4, 7, "DISEASE"),)]
    assert documents[0].annotated == {"DISEASE"}
    assert (report.documents, report.mentions, report.ignored_labels) == (2, 1, {"DRUG": 1})


def test_another_label_can_be_named(tmp_path: Path) -> None:
    folder = make_set(tmp_path, "es", "train", "disease")
    add_ann(folder)
    (path,) = (path for path in (folder / "ann").iterdir() if path.read_text())
    path.write_text("T1\tENFERMEDAD 4 7\ttos\n")
    one = find_sets(tmp_path)[0]
    reports: dict[CorpusSet, ReadReport] = {}
    ((_, first), _) = read_sets([one], labels={"disease": "ENFERMEDAD"}, reports=reports)
    assert first.spans == (Span(4, 7, "ENFERMEDAD"),)
    assert first.annotated == {"ENFERMEDAD"}
    list(read_sets([one], reports=reports))
    assert reports[one].ignored_labels == {"ENFERMEDAD": 1}


def test_a_text_without_ann_is_counted_and_an_ann_without_text_is_a_problem(tmp_path: Path) -> None:
    folder = make_set(tmp_path, "es", "train", "disease")
    add_ann(folder)
    (folder / "ann" / "MultiClinNER-es-train-disease-0002.ann").rename(folder / "ann" / "x.ann")
    report = ReadReport()
    with pytest.raises(CorpusError, match=r"x\.ann: no text of that name in txt/"):
        list(read_set(find_sets(tmp_path)[0], report=report))
    assert report == ReadReport(documents=2, mentions=1, missing_ann=1)


def test_all_problems_of_all_sets_come_together_after_the_good_documents(tmp_path: Path) -> None:
    add_ann(make_set(tmp_path, "es", "train", "disease"), start=3)
    latin = make_set(tmp_path, "it", "train", "disease")
    add_ann(latin)
    (latin / "txt" / "MultiClinNER-it-train-disease-0002.txt").write_bytes(b"caf\xe8")
    add_tsv(make_set(tmp_path, "nl", "train", "disease"), "x\tDISEASE\t0\t1\ta\n")
    reports: dict[CorpusSet, ReadReport] = {}
    good: list[Document] = []
    with pytest.raises(CorpusError) as caught:
        good.extend(document for _, document in read_sets(find_sets(tmp_path), reports=reports))
    assert [(document.language, document.case) for document in good] == [
        ("es", "train-0002"),
        ("it", "train-0001"),
        ("nl", "train-0001"),
        ("nl", "train-0002"),
    ]
    found = [(one.path.name[-8:], one.line, one.message[:20]) for one in caught.value.problems]
    assert found == [
        ("0001.ann", 1, "offset 3-6 holds ' t"),
        ("0002.txt", 1, "not UTF-8 at byte 3 "),
        ("ease.tsv", 2, "no text for 'x'"),
    ]
    assert [report.documents for report in reports.values()] == [1, 1, 2]


def test_languages_have_aliases() -> None:
    assert [normalise_language(code) for code in ("cs", "cz", "CS", "es")] == [
        "cz",
        "cz",
        "cz",
        "es",
    ]


def test_select_takes_what_is_asked_for(tree: Path) -> None:
    sets = find_sets(tree)
    assert select(sets) == sets
    assert names(select(sets, languages=["cs", "es"], split="train", entities="disease")) == [
        "cz/train/disease/tsv",
        "es/train/disease/ann",
    ]


@pytest.mark.parametrize(
    ("axes", "value", "there_are"),
    [
        ({"languages": "ess"}, "language 'ess'", "cz, es, nl; the nearest is 'es'"),
        ({"split": "tset"}, "split 'tset'", "test, test_batch1, test_bg, train; the nearest is 't"),
        ({"languages": ["es"], "split": "test"}, "language 'es'", "nl; the nearest is 'nl'"),
        ({"languages": "cs", "entities": ["symptom"]}, "entity 'symptom'", "disease; the"),
    ],
)
def test_select_names_what_there_is(
    tree: Path, axes: dict[str, str], value: str, there_are: str
) -> None:
    says = f"{value} is not among the sets found: {there_are}"
    with pytest.raises(ConfigError, match=re.escape(says)):
        select(find_sets(tree), **axes)


def test_select_refuses_an_empty_list(tree: Path) -> None:
    with pytest.raises(ConfigError, match="no language was asked for; choose from cz, es, nl, or"):
        select(find_sets(tree), languages=[])


def test_overview_is_an_aligned_table_with_notes(tree: Path) -> None:
    sets = select(find_sets(tree), languages=["nl", "es"], entities="disease")
    reports = {one: ReadReport() for one in reversed(sets)}
    reports[sets[0]] = ReadReport(documents=1258, mentions=26296, discontinuous=3, missing_ann=1)
    reports[sets[1]] = ReadReport(documents=2)
    assert overview(reports).splitlines() == [
        "language  split        entity   documents  mentions",
        "es        train        disease      1,258    26,296",
        "nl        test         disease          2         -",
        "nl        test_batch1  disease          0         -",
        "all                                 1,260    26,296",
        "discontinuous mentions: 3",
        "documents without .ann: 1",
    ]


def test_the_digest_follows_contents_and_names_but_not_the_place(tmp_path: Path) -> None:
    for place in ("a", "b"):
        add_ann(make_set(tmp_path / place, "es", "train", "disease"))
    first, second = find_sets(tmp_path / "a"), find_sets(tmp_path / "b")
    assert digest(first) == digest(second)
    text = second[0].folder / "txt" / "MultiClinNER-es-train-disease-0001.txt"
    text.write_text("Sin tos!")
    changed = digest(second)
    assert changed != digest(first)
    text.write_text("Sin tos.")
    assert digest(second) == digest(first)
    text.rename(text.with_name("x.txt"))
    assert digest(second) not in (changed, digest(first))


@pytest.mark.data
@pytest.mark.parametrize("corpus", ["TEMIST", "NCBI-DISEASE", "SIMONERO", "SWEDMEDNER-1177"])
def test_real_corpora_have_the_counts_of_their_source(shared_data: Path, corpus: str) -> None:
    source = (shared_data / corpus / "SOURCE.md").read_text()
    rows = re.findall(r"^\| (\w\w) \| (\w+) \| (\w+) \| (\d+) \| (\d+) \|$", source, re.MULTILINE)
    expected = {
        (language, split, entity): (int(documents), int(mentions))
        for language, entity, split, documents, mentions in rows
    }
    assert expected
    reports: dict[CorpusSet, ReadReport] = {}
    for _ in read_sets(find_sets(shared_data / corpus), reports=reports):
        pass
    found = {
        (one.language, one.split, one.entity): (report.documents, report.mentions)
        for one, report in reports.items()
    }
    assert found == expected


@pytest.mark.data
def test_temist_is_read_in_a_blink(shared_data: Path) -> None:
    start = time.process_time()
    report = ReadReport()
    for one in find_sets(shared_data / "TEMIST"):
        for _ in read_set(one, report=report):
            pass
    assert (report.documents, report.mentions, report.duplicates) == (2250, 28222, 1)
    assert time.process_time() - start < 5  # 0.3 s on 2 cores; slack for a busy machine
