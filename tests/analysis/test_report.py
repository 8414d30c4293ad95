"""The pages of a run: what they say, what they keep to themselves, how large they are."""

from __future__ import annotations

import random
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from multiclin.analysis.evaluation import Evaluation, Pair
from multiclin.analysis.frames import frames
from multiclin.analysis.report import report_run, summary, write_report
from multiclin.analysis.runs import save, save_lexicon
from multiclin.document import Document, Span
from multiclin.errors import CorpusError
from multiclin.figures import script
from multiclin.output import write_json

TEXT = "Sin fiebre alta. Tos seca y <disnea> leve."
GOLD = (Span(4, 15, "SYMPTOM"), Span(17, 25, "SYMPTOM"), Span(29, 35, "SYMPTOM"))
FOUND = (Span(4, 10, "SYMPTOM", 0.9), Span(17, 25, "SYMPTOM", 0.8), Span(37, 41, "SYMPTOM", 0.3))


def pair(id: str = "a", text: str = TEXT, language: str = "es") -> Pair:
    """One mention found, one cut short, one missed, one made up."""
    document = Document(id, text, GOLD, language, frozenset({"SYMPTOM"}))
    return Pair(document, document.with_spans(FOUND))


def read(path: Path) -> str:
    """A page without its scripts and styles, whose words are not ours."""
    page = path.read_text("utf-8")
    return re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)


def test_the_report_says_score_causes_and_examples(tmp_path: Path) -> None:
    path = write_report(tmp_path, "a<b", [Evaluation("run", [pair(), pair("b")], "test")])
    page = read(path)
    # Each document: 1 right of 3 gold and 3 predicted.
    assert "Strict F1 on test <b>0.3333</b>" in page
    assert "<title>a&lt;b</title>" in page
    assert "wrong boundaries</b>: 2 cases" in page
    assert "Examples: short right (2)" in page
    assert "fiebre</mark>" in page
    assert ">missing</sup>" in page
    assert "&lt;" in page
    assert "<disnea>" not in page


def test_a_page_loads_nothing(tmp_path: Path) -> None:
    write_report(tmp_path, "x", [Evaluation("run", [pair()])])
    for name in ("report.html", "documents.html"):
        page = read(tmp_path / name)
        assert not re.search(r"(src|href)=.(https?:|//)", page)
        assert "default-src 'none'" in page


@pytest.mark.parametrize("annotated", [True, False])
def test_without_texts_no_word_of_a_document_is_shown(tmp_path: Path, annotated: bool) -> None:
    """In Greek: no word of ours is."""
    text = "αλφα βητα γαμμα δελτα. " * 4
    gold = [Span(start, start + 9, "D") for start in range(0, 92, 23)]
    found = [Span(start, start + 4, "D", 0.5 + start / 200) for start in (0, 23, 46, 80)]
    document = Document("a", text, tuple(gold) if annotated else (), "el", frozenset("D"))
    document = replace(document, annotated=frozenset("D" if annotated else ""))
    one = Pair(document, document.with_spans(tuple(found)))
    main = Evaluation("run", [one], "test", {"D": {"αλφα βητα": 1}})
    evaluations = [main, replace(main, split="validation")]
    greek = re.compile(r"[α-ω]|\\u03")
    shown = read(write_report(tmp_path, "x", evaluations))
    assert "αλφα" in shown
    assert "documents.html" in shown
    page = write_report(tmp_path, "x", evaluations, texts=False).read_text("utf-8")
    assert not greek.search(page.replace(script(), ""))
    assert "documents.html" not in page
    assert not (tmp_path / "documents.html").exists()


def test_the_hardest_documents_come_first(tmp_path: Path) -> None:
    easy = Pair(*(one.with_spans(GOLD) for one in pair("easy")))
    page = read(write_report(tmp_path, "x", [Evaluation("run", [easy, pair("hard")])]))
    table = page.partition("Hardest documents")[2]
    assert table.index(">hard<") < table.index(">easy<")


def test_validation_chooses_the_threshold(tmp_path: Path) -> None:
    def scored(*scores: float) -> Pair:
        """The first mention is right, the other two are not."""
        document = Document("a", TEXT, GOLD[:1], "es", frozenset({"SYMPTOM"}))
        spans = [GOLD[0], Span(17, 20, "SYMPTOM"), Span(37, 41, "SYMPTOM")]
        found = [replace(span, score=score) for span, score in zip(spans, scores, strict=True)]
        return Pair(document, document.with_spans(tuple(found)))

    test = Evaluation("run", [scored(0.7, 0.6123, 0.55)], "test")
    validation = Evaluation("run", [scored(0.6129, 0.5, 0.2)], "validation")
    page = read(write_report(tmp_path, "x", [test, validation]))
    # .6129 is best in validation; from .612 test keeps two mentions, one right: 2/3. All: 2/4.
    said = "Validation would choose decoding.min_score=0.612: F1 0.6667 here, and 0.5000 without."
    assert said in page
    for others in ([test], [validation, test]):
        assert "Choose it on validation" in read(write_report(tmp_path, "x", others))


def test_without_gold_the_report_says_what_was_found(tmp_path: Path) -> None:
    document = Document("a", TEXT)
    evaluation = Evaluation("run", [Pair(document, document.with_spans(FOUND))])
    page = read(write_report(tmp_path, "x", [evaluation]))
    assert "3 mentions in 1 documents" in page
    assert "F1" not in page
    assert "fiebre" in page


def test_nothing_found_and_nothing_there(tmp_path: Path) -> None:
    empty = Document("a", TEXT, annotated=frozenset({"SYMPTOM"}))
    for pairs in ([Pair(empty, empty)], []):
        for labels in (frozenset({"SYMPTOM"}), frozenset[str]()):
            bare = [Pair(*(Document(d.id, d.text, annotated=labels) for d in one)) for one in pairs]
            assert write_report(tmp_path, "x", [Evaluation("run", bare)]).is_file()


def test_several_labels_have_a_line_each(tmp_path: Path) -> None:
    document = Document(
        "a", TEXT, (*GOLD, Span(0, 3, "DISEASE")), "es", frozenset({"SYMPTOM", "DISEASE"})
    )
    evaluation = Evaluation("run", [Pair(document, document.with_spans(FOUND))])
    told = summary(evaluation, frames(evaluation)).splitlines()
    assert [line.split()[0] for line in told[1:4]] == ["all", "DISEASE", "SYMPTOM"]
    # 1 right of 4 gold and 3 predicted: F1 2/7.
    assert "0.2857" in told[1]


def test_a_run_is_reported_from_its_own_folder(tmp_path: Path) -> None:
    for split in ("validation", "test"):
        save(tmp_path, split, [pair(), pair("b")])
    save_lexicon(tmp_path, {"SYMPTOM": {"fiebre alta": 2}})
    write_json({"ceiling/test/es/gold": 6, "ceiling/test/es/f1": 0.9}, tmp_path / "metrics.json")
    page = read(report_run(tmp_path))
    assert "Strict F1 on test" in page
    assert page.count("<td>validation</td>") == 2
    assert "The best that can be reached" in page
    assert "67% of the gold mentions never stand in the training documents" in page


def test_native_documents_are_a_group(tmp_path: Path) -> None:
    save(tmp_path, "test", [pair(), pair("b")])
    native = tmp_path / "native.txt"
    native.write_text("b\n")
    page = read(report_run(tmp_path, native=native))
    assert "<td>native</td>" in page
    assert "<td>translated</td>" in page


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is it the folder of a training run"):
        report_run(tmp_path)


def test_a_thousand_documents_in_seconds_and_megabytes(tmp_path: Path) -> None:
    """Of the size of TEMIST's: 2,000 characters, 10 mentions. Bounds: 20 s and 15 MB."""
    chance = random.Random(1)
    words = ["dolor", "fiebre", "tos", "de", "leve", "paciente", "presenta", "agudo"] * 40
    pairs = []
    for number in range(1000):
        chance.shuffle(words)
        text = " ".join(words)
        starts = sorted(chance.sample(range(0, len(text) - 40, 60), 10))
        gold = tuple(Span(start, start + 20, "X") for start in starts)
        found = tuple(Span(s.start, s.end - chance.choice([0, 0, 5]), "X", 0.5) for s in gold)
        document = Document(f"d{number:04}", text, gold, "es", frozenset({"X"}))
        pairs.append(Pair(document, document.with_spans(found)))
    began = time.process_time()
    report = write_report(tmp_path, "x", [Evaluation("run", pairs)])
    assert time.process_time() - began < 20
    documents = report.with_name("documents.html")
    assert report.stat().st_size + documents.stat().st_size < 15_000_000
