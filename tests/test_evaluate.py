from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from multiclin.corpus.mentions import read_mentions
from multiclin.errors import ConfigError, CorpusError
from multiclin.evaluate import evaluate, format_report, publish

Mention = tuple[str, str, int, int]  # filename, label, start, end

GOLD: list[Mention] = [
    ("MultiClinNER-es-test-disease-0001", "DISEASE", 0, 4),
    ("MultiClinNER-es-test-disease-0001", "SYMPTOM", 6, 9),
    ("MultiClinNER-cz-test-disease-0001", "DISEASE", 3, 8),
]
PREDICTED: list[Mention] = [
    ("MultiClinNER-es-test-disease-0001", "DISEASE", 0, 4),
    ("MultiClinNER-cz-test-disease-0001", "DISEASE", 3, 7),
]


def write_tsv(path: Path, mentions: Sequence[Mention]) -> Path:
    rows = ["filename\tlabel\tstart_span\tend_span\ttext"]
    rows += ["\t".join(map(str, mention)) + "\tx" for mention in mentions]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def write_anns(folder: Path, mentions: Sequence[Mention]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in {mention[0] for mention in mentions}:
        lines = [
            f"T{number}\t{label} {start} {end}\tx\n"
            for number, (document, label, start, end) in enumerate(mentions)
            if document == name
        ]
        (folder / f"{name}.ann").write_text("".join(lines), encoding="utf-8")
    return folder


def strict(report: dict[str, Any]) -> tuple[int, int, int]:
    result = report["official"]["strict"]
    return result["tp"], result["fp"], result["fn"]


def test_tables(tmp_path: Path) -> None:
    gold, pred = write_tsv(tmp_path / "g.tsv", GOLD), write_tsv(tmp_path / "p.tsv", PREDICTED)
    report = evaluate(gold, pred)
    assert strict(report) == (1, 1, 2)
    assert report["official"]["entity"] is None
    assert report["overall"]["document_macro_f1"] == 0.3333  # es 2/3, cz 0
    assert report["by_language"]["es"]["f1"] == 0.6667
    assert report["by_language"]["cz"]["char_f1"] == 0.8889  # Dice of 5 and 4 characters: 8/9
    assert "by_subcorpus" not in report
    assert report["notes"] == []


def test_a_table_and_a_brat_folder_give_the_same(tmp_path: Path) -> None:
    gold, pred = write_tsv(tmp_path / "g.tsv", GOLD), write_tsv(tmp_path / "p.tsv", PREDICTED)
    gold_folder = write_anns(tmp_path / "gold" / "deep" / "ann", GOLD)
    pred_folder = write_anns(tmp_path / "pred", PREDICTED)
    assert evaluate(gold_folder.parent.parent, pred_folder) == evaluate(gold, pred)


def test_a_folder_of_tables(tmp_path: Path) -> None:
    write_tsv(tmp_path / "gold" / "es" / "tsv" / "es.tsv", GOLD[:2])
    write_tsv(tmp_path / "gold" / "cz" / "tsv" / "cz.tsv", GOLD[2:])
    pred = write_tsv(tmp_path / "p.tsv", PREDICTED)
    assert strict(evaluate(tmp_path / "gold", pred)) == (1, 1, 2)


def test_entity_in_any_case_filters_both_sides(tmp_path: Path) -> None:
    gold, pred = write_tsv(tmp_path / "g.tsv", GOLD), write_tsv(tmp_path / "p.tsv", PREDICTED)
    report = evaluate(gold, pred, entity="disease")
    assert report["official"]["entity"] == "DISEASE"
    assert strict(report) == (1, 1, 1)


def test_labels_are_compared_as_written_and_a_note_tells(tmp_path: Path) -> None:
    gold = write_tsv(tmp_path / "g.tsv", [("a", "DISEASE", 0, 4)])
    pred = write_tsv(tmp_path / "p.tsv", [("a", "disease", 0, 4)])
    report = evaluate(gold, pred, entity="disease")
    assert report["official"]["entity"] == "DISEASE"
    assert strict(report) == (0, 0, 1)
    assert "labels that predictions have and gold never: disease" in report["notes"][0]


def test_texts_in_the_column_of_labels_are_not_printed_whole(tmp_path: Path) -> None:
    text = "palabras de un paciente " * 9
    gold = write_tsv(tmp_path / "g.tsv", [("a", "DISEASE", 0, 4)])
    pred = write_tsv(tmp_path / "p.tsv", [("a", f"{text}{n}", 0, 4) for n in range(99)])
    (note,) = evaluate(gold, pred)["notes"]
    assert "palabras de un paciente palabras de un p..., " in note
    assert "... (79 more)" in note
    assert len(note) < 1100
    with pytest.raises(ConfigError, match="nearest is") as caught:
        evaluate(gold, pred, entity="x")
    assert len(str(caught.value)) < 1200


def test_an_unknown_entity_is_answered_by_the_nearest(tmp_path: Path) -> None:
    gold = write_tsv(tmp_path / "g.tsv", GOLD)
    with pytest.raises(ConfigError, match=r"entity=diseas: .*DISEASE, SYMPTOM.*nearest is DISEASE"):
        evaluate(gold, gold, entity="diseas")


def test_an_entity_that_may_mean_two_labels_is_an_error(tmp_path: Path) -> None:
    gold = write_tsv(tmp_path / "g.tsv", [("a", "DISEASE", 0, 4), ("a", "Disease", 0, 4)])
    assert strict(evaluate(gold, gold, entity="Disease")) == (1, 0, 0)
    with pytest.raises(ConfigError, match="may mean DISEASE or Disease"):
        evaluate(gold, gold, entity="disease")


def test_native_list_adds_subcorpora(tmp_path: Path) -> None:
    gold, pred = write_tsv(tmp_path / "g.tsv", GOLD), write_tsv(tmp_path / "p.tsv", PREDICTED)
    native = tmp_path / "native.txt"
    native.write_bytes(b"\xef\xbb\xbfMultiClinNER-cz-test-disease-0001\r\n\r\nelsewhere\r\n")
    report = evaluate(gold, pred, native=native)
    found = {name: line["f1"] for name, line in report["by_subcorpus"].items()}
    assert found == {"native": 0.0, "translated": 0.6667}


def test_a_native_list_that_names_no_scored_document_is_an_error(tmp_path: Path) -> None:
    gold = write_tsv(tmp_path / "g.tsv", GOLD)
    native = tmp_path / "native.txt"
    native.write_text("cz-0001\n")
    with pytest.raises(ConfigError, match=r"none of its 1 lines .* 'MultiClinNER-cz-test"):
        evaluate(gold, gold, native=native)


def test_empty_predictions(tmp_path: Path) -> None:
    gold, pred = write_tsv(tmp_path / "g.tsv", GOLD), write_tsv(tmp_path / "p.tsv", [])
    assert strict(evaluate(gold, pred)) == (0, 0, 3)


def test_fragments_count_with_their_covering_span(tmp_path: Path) -> None:
    (tmp_path / "a.ann").write_text("T1\tD 0 5;8 10\tx\nR1\tsee Arg1:T1 Arg2:T1\n#1\tNote T1\tx\n")
    pred = write_tsv(tmp_path / "p.tsv", [("a", "D", 0, 10)])
    assert strict(evaluate(tmp_path / "a.ann", pred)) == (1, 0, 0)


def test_the_language_of_a_brat_set_is_that_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "MultiClinNER-sv" / "MultiClinNER-sv-test-disease" / "ann"
    gold = write_anns(folder, [("0001", "DISEASE", 0, 4)])
    assert list(evaluate(gold, gold)["by_language"]) == ["sv"]


def test_documents_without_a_common_name_are_noted(tmp_path: Path) -> None:
    gold = write_tsv(tmp_path / "g.tsv", [("a", "D", 0, 4)])
    pred = write_tsv(tmp_path / "p.tsv", [("a.txt", "D", 0, 4)])
    report = evaluate(gold, pred)
    assert strict(report) == (0, 1, 1)
    assert "share no document: gold has 'a', predictions have 'a.txt'" in report["notes"][0]


def test_one_label_of_one_document_in_two_files_is_an_error(tmp_path: Path) -> None:
    for run in ("first", "second"):
        write_anns(tmp_path / "pred" / run, [("a", "D", 0, 4)])
    with pytest.raises(CorpusError, match=r"second.a\.ann: D of 'a' is in .*first.a\.ann too"):
        evaluate(tmp_path / "pred" / "first", tmp_path / "pred")


def test_entities_of_one_document_may_lie_in_several_folders(tmp_path: Path) -> None:
    for label in ("DISEASE", "SYMPTOM"):
        write_anns(tmp_path / label, [("a", label, 0, 4)])
    assert strict(evaluate(tmp_path, tmp_path)) == (2, 0, 0)


def test_all_problems_of_all_files_come_together(tmp_path: Path) -> None:
    (tmp_path / "a.ann").write_text("T1\tD 4 4\tx\nT2\tD 0 5\tx\n")
    (tmp_path / "b.ann").write_text("T1 D 0 5 x\n\nrubbish\n")
    with pytest.raises(CorpusError) as raised:
        evaluate(tmp_path, tmp_path)
    assert [(problem.path.name, problem.line) for problem in raised.value.problems] == [
        ("a.ann", 1),
        ("b.ann", 1),
        ("b.ann", 3),
    ]


def test_a_missing_column_is_an_error(tmp_path: Path) -> None:
    gold = write_tsv(tmp_path / "g.tsv", GOLD)
    (tmp_path / "p.tsv").write_text("filename\tlabel\tstart_span\ttext\n")
    with pytest.raises(CorpusError, match=r"p\.tsv:1: .*end_span"):
        evaluate(gold, tmp_path / "p.tsv")


def test_an_empty_span_is_an_error(tmp_path: Path) -> None:
    gold = write_tsv(tmp_path / "g.tsv", GOLD)
    pred = write_tsv(tmp_path / "p.tsv", [("a", "D", 0, 4), ("a", "D", 5, 5)])
    with pytest.raises(CorpusError, match=r"p\.tsv:3: .*5-5"):
        evaluate(gold, pred)


@pytest.mark.parametrize(
    ("path", "message"),
    [("nowhere", r"no such file or folder; check pred="), ("empty", r"no \.ann and no \.tsv")],
)
def test_a_path_without_mentions_is_an_error(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    gold = write_tsv(tmp_path / "g.tsv", GOLD)
    with pytest.raises(CorpusError, match=message):
        evaluate(gold, tmp_path / path)


def test_standard_output_is_the_official_json_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gold, pred = write_tsv(tmp_path / "g.tsv", GOLD), write_tsv(tmp_path / "p.tsv", PREDICTED)
    report = evaluate(gold, pred, entity="DISEASE")
    publish(report, tmp_path / "new" / "report.json")
    out, err = capsys.readouterr()
    assert out == json.dumps(report["official"], indent=2) + "\n"
    assert list(json.loads(out)) == ["entity", "strict", "char_f1"]
    assert err == format_report(report) + "\n"
    assert json.loads((tmp_path / "new" / "report.json").read_text()) == report


def test_the_table_has_a_line_for_each_group_and_the_notes(tmp_path: Path) -> None:
    gold = write_tsv(tmp_path / "g.tsv", GOLD)
    pred = write_tsv(tmp_path / "p.tsv", [("other", "X", 0, 4)])
    lines = format_report(evaluate(gold, pred)).splitlines()
    assert [line.split()[0] for line in lines] == [
        "documents", "all", "cz", "es", "unknown", "note:", "note:",
    ]  # fmt: skip


TEMIST_TEST = "TEMIST/MultiClinNER-es/MultiClinNER-es-test/MultiClinNER-es-test-disease"
TEMIST_SYMPTOM = "TEMIST/MultiClinNER-es/MultiClinNER-es-train/MultiClinNER-es-train-symptom"


@pytest.mark.data
def test_real_gold_against_itself(shared_data: Path) -> None:
    gold = shared_data / TEMIST_TEST
    report = evaluate(gold, gold, entity="disease")
    assert report["official"] == {
        "entity": "DISEASE",
        "strict": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "tp": 1519, "fp": 0, "fn": 0},
        "char_f1": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "n_gold": 1519, "n_pred": 1519},
    }
    assert list(report["by_language"]) == ["es"]


@pytest.mark.data
def test_a_repeated_gold_mention_of_a_real_set_costs_one(shared_data: Path) -> None:
    gold = shared_data / TEMIST_SYMPTOM
    assert strict(evaluate(gold, gold, entity="symptom")) == (7179, 0, 1)


def test_a_reader_of_ann_files_keeps_the_words(tmp_path: Path) -> None:
    """Of mentions in one piece: a covering span has other words than its fragments."""
    file = tmp_path / "a.ann"
    file.write_text("T1\tD 0 4\tgota\r\nT2\tD 0 2;8 9\tgo x\n", encoding="utf-8", newline="")
    assert [(row.end, row.text) for row in read_mentions([file])] == [(4, "gota"), (9, "")]
