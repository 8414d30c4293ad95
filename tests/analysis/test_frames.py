from __future__ import annotations

import time
from math import isnan, nan
from pathlib import Path

import pandas as pd
import pytest

from multiclin.analysis.counting import Counting
from multiclin.analysis.evaluation import Evaluation, Pair, lexicon_of
from multiclin.analysis.frames import frames, scores, strata, write_csv
from multiclin.analysis.mentions import document_table, mention_table
from multiclin.corpus.release import find_sets, read_set
from multiclin.document import Document, Span
from multiclin.scoring.breakdown import document_macro_f1
from multiclin.scoring.kinds import KINDS
from multiclin.scoring.official import Score, official_result
from tests.analysis.toys import (
    bare,
    evaluation,
    official_scores,
    pair,
    random_evaluation,
    row,
)

EMPTY = Evaluation("x", [])


def counting(found: Evaluation) -> Counting:
    return Counting(mention_table(found), document_table(found), resamples=20)


def groups(found: Evaluation, dimension: str, *columns: str) -> dict[str, list[float]]:
    """Some columns of each group of a dimension."""
    table = strata(counting(found))
    table = table[table["dimension"] == dimension].set_index("group")
    return {str(name): list(values) for name, values in table[list(columns)].T.items()}


def assert_official(table: pd.DataFrame, found: Evaluation) -> None:
    """That the line of all and that of each label hold what the official scorer says."""
    for name in table["label"]:
        line = row(table, label=name)
        by_document = official_scores(found, None if name == "all" else name)
        result, score = official_result(by_document), Score.total(by_document.values())
        strict = result["strict"]
        assert line["right"] == strict["tp"]
        assert line["predicted"] - line["right"] == strict["fp"]
        assert line["gold"] - line["right"] == strict["fn"]
        for ours, theirs, exact in (
            ("", "strict", score.strict),
            ("char_", "char_f1", score.overlap),
        ):
            for share in ("precision", "recall", "f1"):
                value = line[f"{ours}{share}"]
                assert value == pytest.approx(getattr(exact, share), abs=1e-12)
                assert round(value, 4) == result[theirs][share]
        macro = document_macro_f1(by_document.values())
        assert line["document_macro_f1"] == pytest.approx(macro, abs=1e-12)


# Official scores


def test_scores_of_one_label() -> None:
    found = evaluation(
        pair("a", "⟦dolor leve⟧ y ⟦tos⟧", "⟦dolor⟧ leve y ⟦tos⟧"), pair("b", "⟦tos⟧", "tos")
    )
    line = row(frames(found)["scores"])
    counts = [line[name] for name in ("label", "documents", "gold", "predicted", "right")]
    assert counts == ["D", 2, 3, 2, 1]
    assert (line["precision"], line["recall"]) == (1 / 2, 1 / 3)
    assert line["f1"] == pytest.approx(2 / 5)
    # Dice of "dolor leve" and "dolor" 2/3; gold of b found by nothing.
    assert line["char_precision"] == pytest.approx((2 / 3 + 1) / 2)
    assert line["char_recall"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    # Of a 2 * 1 / (2 + 2), of b 0.
    assert line["document_macro_f1"] == 1 / 4


def test_of_several_labels_all_come_first() -> None:
    gold = [Span(0, 4, "D"), Span(6, 9, "S")]
    table = scores(counting(evaluation(bare("a", gold, gold[:1]))), ["D", "S"])
    assert table[["label", "gold", "predicted", "right"]].to_numpy().tolist() == [
        ["all", 2, 1, 1],
        ["D", 1, 1, 1],
        ["S", 1, 0, 0],
    ]


ONE, OTHER = Span(0, 4, "D"), Span(9, 12, "S")
CORPORA = {
    "repeated gold": [bare("a", [ONE] * 3, [ONE])],
    "repeated predictions": [bare("a", [ONE], [ONE, OTHER] * 2)],
    "a label without gold": [bare("a", [ONE], [ONE, OTHER])],
    "a document without gold": [bare("a", [ONE], []), bare("b", [], [OTHER])],
    "an empty document": [bare("a", [ONE], [Span(0, 3, "D")]), bare("b", [], [], length=0)],
    "nothing predicted": [bare("a", [ONE, OTHER], [])],
    "no gold mention": [bare("a", [], [ONE, OTHER])],
    "no mention": [bare("a", [], [])],
    "no document": [],
}


@pytest.mark.parametrize("pairs", CORPORA.values(), ids=CORPORA)
def test_scores_are_official(pairs: list[Pair]) -> None:
    found = evaluation(*pairs)
    assert_official(frames(found)["scores"], found)


@pytest.mark.parametrize("seed", range(6))
def test_scores_of_frames_are_official(seed: int) -> None:
    found = random_evaluation(seed)
    assert_official(frames(found)["scores"], found)


@pytest.mark.parametrize("seed", range(6, 36))
def test_scores_are_official_whatever_is_found(seed: int) -> None:
    found = random_evaluation(seed)
    assert_official(scores(counting(found), found.labels), found)


def test_versions_of_a_case_are_one_unit_of_the_bootstrap() -> None:
    texts = "⟦tos⟧ y ⟦asma⟧", "⟦tos⟧ y asma"
    one = evaluation(*(pair(code, *texts, language=code, case="1") for code in ("es", "it")))
    assert isnan(row(frames(one)["scores"])["f1_low"])
    two = evaluation(*(pair(code, *texts, language=code) for code in ("es", "it")))
    line = row(frames(two)["scores"])
    assert line["f1_low"] == line["f1_high"] == line["f1"] == pytest.approx(2 / 3)


def test_an_interval_holds_its_score() -> None:
    pairs = [pair(f"{n}", "⟦tos⟧ y ⟦asma⟧", "⟦tos⟧ y asma") for n in range(4)]
    pairs += [pair(f"{n}", "⟦tos⟧ y ⟦asma⟧", "⟦tos⟧ y ⟦asma⟧") for n in range(4, 9)]
    line = row(frames(evaluation(*pairs))["scores"])
    for name in ("precision", "recall", "f1", "char_f1", "document_macro_f1"):
        assert line[f"{name}_low"] <= line[name] <= line[f"{name}_high"]
    assert line["recall_low"] < line["recall"]


# Strata


@pytest.mark.parametrize("seed", range(25))
def test_the_groups_of_a_dimension_add_up(seed: int) -> None:
    found = random_evaluation(seed)
    table = mention_table(found)
    gold = table["side"] == "gold"
    for dimension, part in strata(counting(found)).groupby("dimension"):
        assert part["gold"].sum() == gold.sum()
        assert part["right"].sum() == (gold & table["right"]).sum()
        assert part["predicted"].sum() == (dimension != "nested or adjacent") * (~gold).sum()


def test_by_language() -> None:
    found = evaluation(
        pair("a", "⟦tos⟧", "⟦tos⟧", language="it"),
        pair("b", "⟦tos⟧ ⟦asma⟧", "⟦tos⟧ asma", language="es"),
        pair("c", "⟦tos⟧", "tos", language="es"),
    )
    columns = ["documents", "gold", "predicted", "right", "precision", "recall", "f1"]
    assert groups(found, "language", *columns) == {
        "es": [2, 3, 1, 1, 1, pytest.approx(1 / 3), pytest.approx(1 / 2)],
        "it": [1, 1, 1, 1, 1, 1, 1],
    }


def test_documents_of_an_unknown_language_are_a_group_beside_others() -> None:
    known, unknown = pair("a", "⟦tos⟧", "tos"), pair("b", "⟦tos⟧", "tos", language="")
    assert groups(evaluation(known, unknown), "language", "gold") == {"es": [1], "unknown": [1]}
    assert groups(evaluation(unknown), "language", "gold") == {}


def test_by_subcorpus_where_it_is_known() -> None:
    pairs = [pair("a", "⟦tos⟧", "tos"), pair("b", "⟦tos⟧", "⟦tos⟧")]
    assert groups(evaluation(*pairs, native={"b"}), "subcorpus", "recall") == {
        "native": [1],
        "translated": [0],
    }
    assert groups(evaluation(*pairs), "subcorpus", "recall") == {}


def test_by_words_in_a_mention() -> None:
    text = "⟦a⟧, ⟦a a⟧, ⟦a a a a⟧, ⟦a a a a a a a⟧, ⟦a a a a a a a a⟧, ⟦+⟧"
    found = evaluation(pair("a", text, text))
    assert groups(found, "words in mention", "gold", "predicted") == {
        "0": [1, 1],
        "1": [1, 1],
        "2": [1, 1],
        "4 to 7": [2, 2],
        "8 or more": [1, 1],
    }


def test_a_group_of_mentions_has_its_own_gold_and_its_own_predictions() -> None:
    found = evaluation(pair("a", "⟦dolor leve⟧ ⟦tos⟧", "⟦dolor⟧ leve ⟦tos⟧"))
    assert groups(found, "words in mention", "gold", "predicted", "right") == {
        "1": [1, 2, 1],
        "2": [1, 0, 0],
    }


def test_by_how_often_the_training_has_a_mention() -> None:
    text = "⟦tos⟧, ⟦asma⟧, ⟦gripe⟧ y ⟦otitis⟧"
    lexicon = {"D": {"tos": 10, "asma": 9, "gripe": 1}}
    found = evaluation(pair("a", text, "tos, ⟦asma⟧, gripe y ⟦otitis⟧"), lexicon=lexicon)
    table = groups(found, "times in training", "recall")
    assert list(table.items()) == [
        ("never", [1]),
        ("once", [0]),
        ("2 to 9 times", [1]),
        ("10 times or more", [0]),
    ]
    assert groups(evaluation(pair("a", text, text)), "times in training", "recall") == {}


def test_by_standing_of_gold() -> None:
    found = evaluation(pair("a", "⟦⟦tos⟧ seca⟧ y ⟦asma⟧", "⟦tos seca⟧ y ⟦asma⟧"))
    columns = ["gold", "right", "recall", "precision"]
    assert groups(found, "nested or adjacent", *columns) == {
        "alone": [1, 1, 1, pytest.approx(nan, nan_ok=True)],
        "inside a longer one": [1, 0, 0, pytest.approx(nan, nan_ok=True)],
        "around a shorter one": [1, 1, 1, pytest.approx(nan, nan_ok=True)],
    }


def test_the_standing_of_predictions_is_no_group() -> None:
    one = pair("a", "⟦tos⟧ seca, asma", "⟦⟦tos⟧ seca⟧, ⟦asma⟧")
    found = evaluation(one, pair("b", "tos", "⟦tos⟧"))
    assert groups(found, "nested or adjacent", "gold", "documents") == {"alone": [1, 1]}


def test_by_words_in_a_document_in_quarters() -> None:
    # 1 to 8 words: quartiles 1, 2.75, 4.5 and 6.25, rounded (halves to even) 1, 3, 4 and 6.
    pairs = [pair(f"{n}", "⟦a⟧" + " a" * n, "⟦a⟧" + " a" * n) for n in range(8)]
    assert groups(evaluation(*pairs), "words in document", "documents") == {
        "1 to 2": [2],
        "3": [1],
        "4 to 5": [2],
        "6 or more": [3],
    }


def test_documents_without_a_word_are_the_shortest() -> None:
    pairs = [pair("0", "", ""), pair("x", "⟦+⟧", "+")]
    pairs += [pair(f"{n}", "⟦a⟧" * n, "⟦a⟧" * n) for n in (1, 2)]
    pairs += [pair(f"{n}", "⟦a⟧ " * n, "⟦a⟧ " * n) for n in (4, 8)]
    # Words 0, 0, 1, 1, 4, 8: quartiles 0, .25, 1 and 3.25, rounded 0, 0, 1 and 3.
    assert groups(evaluation(*pairs), "words in document", "gold", "documents") == {
        "0": [1, 1],
        "1 to 2": [3, 2],
        "3 or more": [12, 2],
    }


def test_documents_of_one_length_are_not_parted() -> None:
    pairs = [pair(name, "⟦a⟧", "a") for name in "abcdef"]
    assert groups(evaluation(*pairs), "words in document", "gold") == {}


# Errors


@pytest.mark.parametrize("seed", range(6))
def test_kinds_add_up_to_what_is_wrong(seed: int) -> None:
    found = random_evaluation(seed)
    tables = frames(found)
    strict = Score.total(official_scores(found).values()).strict
    errors, mentions, documents = tables["errors"], tables["mentions"], tables["documents"]
    assert sorted(errors["kind"]) == sorted(KINDS)
    assert errors["missing"].sum() == documents["missing"].sum() == strict.fn
    assert errors["wrong"].sum() == documents["wrong"].sum() == strict.fp
    assert errors["cases"].sum() == len(tables["cases"])
    for side, column in (("gold", "missing"), ("predicted", "wrong")):
        alike = mentions[mentions["side"] == side]
        for line in errors.to_dict("records"):
            assert line[column] == (alike["kind"] == line["kind"]).sum()


def test_an_error_costs_what_f1_would_gain_without_it() -> None:
    found = evaluation(pair("a", "⟦dolor leve⟧, ⟦tos⟧ y ⟦asma⟧", "⟦dolor⟧ leve, ⟦tos⟧ y asma"))
    errors = frames(found)["errors"]
    # 1 of 3 found, 1 of 2 right: F1 2/5. Boundary mended 4/5, found 2 of 3 and 3 predicted 4/6.
    assert errors["kind"].tolist()[:2] == ["short right", "missed"]
    assert errors["f1_fixed"].tolist()[:2] == pytest.approx([4 / 5, 4 / 6])
    assert errors["gain"].tolist()[:3] == pytest.approx([2 / 5, 4 / 15, 0])


def test_words_at_boundaries_by_change_and_edge() -> None:
    found = evaluation(
        pair("a", "⟦dolor Muy leve⟧", "⟦dolor⟧ Muy leve"),
        pair("b", "gran ⟦dolor⟧ muy", "⟦gran dolor muy⟧"),
        pair("c", "⟦tos (seca⟧)", "tos (⟦seca)⟧"),
    )
    table = frames(found)["boundary_words"]
    assert sorted(table.to_numpy().tolist()) == [
        ["added", "left", "gran", 1],
        ["added", "right", ")", 1],
        ["added", "right", "muy", 1],
        ["lost", "left", "tos", 1],
        ["lost", "right", "leve", 1],
        ["lost", "right", "muy", 1],
    ]


def test_words_at_boundaries_come_by_how_often() -> None:
    found = evaluation(
        pair("a", "⟦tos⟧ y", "⟦tos y⟧"),
        pair("b", "⟦tos⟧ Seca", "⟦tos Seca⟧"),
        pair("c", "⟦asma⟧ seca", "⟦asma seca⟧"),
    )
    assert frames(found)["boundary_words"]["word"].tolist() == ["seca", "y"]


def test_the_mentions_most_often_missed_and_made_up() -> None:
    found = evaluation(
        pair("a", "⟦Tos⟧, ⟦tos⟧, ⟦tos⟧", "Tos, tos, ⟦tos⟧"),
        pair("b", "⟦asma⟧ y gripe, ⟦gripe⟧", "asma y ⟦gripe⟧, ⟦gripe⟧"),
    )
    assert frames(found)["frequent"].to_numpy().tolist() == [
        ["missed", "D", "tos", 2, 3],
        ["missed", "D", "asma", 1, 1],
        ["spurious", "D", "gripe", 1, 2],
    ]


def test_every_error_stands_in_its_context() -> None:
    text = "uno\r\n\tdos ⟦fiebre\nalta⟧ 😀\u2028tres", "uno\r\n\tdos ⟦fiebre⟧\nalta 😀\u2028tres"
    line = row(frames(evaluation(pair("a/b", *text, scores=[0.5])))["cases"])
    assert line == {
        "document": "a/b",
        "kind": "short right",
        "label": "D",
        "start": 10,
        "end": 21,
        "gold": "fiebre alta",
        "predicted": "fiebre",
        "score": 0.5,
        "before": "uno   dos ",
        "after": " 😀 tres",
    }


def test_a_context_is_cut() -> None:
    line = row(
        frames(evaluation(pair("a", "x" * 99 + "⟦tos⟧" + "y" * 99, "x" * 99 + "tos" + "y" * 99)))[
            "cases"
        ]
    )
    assert (line["before"], line["after"]) == ("x" * 60, "y" * 60)


def test_an_error_of_several_mentions_names_them_all() -> None:
    found = evaluation(pair("a", "⟦dolor y tos⟧", "⟦dolor⟧ y ⟦tos⟧", scores=(None, 0.25)))
    line = row(frames(found)["cases"])
    assert (line["kind"], line["gold"], line["predicted"]) == (
        "split",
        "dolor y tos",
        "dolor | tos",
    )
    assert line["score"] == 0.25


def test_an_error_of_another_label_names_both() -> None:
    found = evaluation(bare("a", [Span(0, 3, "S")], [Span(0, 3, "D")]))
    assert row(frames(found)["cases"])["label"] == "D/S"


def test_a_score_of_zero_is_a_score() -> None:
    found = evaluation(pair("a", "tos y asma", "⟦tos⟧ y ⟦asma⟧", scores=(0.0, None)))
    assert frames(found)["cases"]["score"].tolist() == pytest.approx([0.0, nan], nan_ok=True)


# Scores of mentions


def test_reliability_and_thresholds() -> None:
    texts = "⟦tos⟧, ⟦asma⟧, gripe", "⟦tos⟧, ⟦asma⟧, ⟦gripe⟧"
    tables = frames(evaluation(pair("a", *texts, scores=(0.95, 0.91, 0.55))))
    bins = tables["reliability"][["low", "mentions", "score", "right"]]
    assert bins.to_numpy().tolist() == [
        [0.5, 1, 0.55, 0],
        [0.9, 2, pytest.approx(0.93), 1],
    ]
    curve = tables["thresholds"][["threshold", "mentions", "precision", "recall"]]
    assert curve.to_numpy().tolist() == [
        [0.55, 3, pytest.approx(2 / 3), 1],
        [0.91, 2, 1, 1],
        [0.95, 1, 1, 0.5],
    ]


def test_the_least_threshold_has_the_official_scores_with_repeated_mentions() -> None:
    span = Span(0, 4, "D")
    predicted = [Span(0, 4, "D", 0.3), Span(0, 4, "D", 0.8), Span(6, 9, "D", 0.5)]
    tables = frames(evaluation(bare("a", [span, span], predicted, "D")))
    curve, line = tables["thresholds"], row(tables["scores"])
    assert curve["threshold"].tolist() == [0.5, 0.8]
    for name in ("precision", "recall", "f1"):
        assert curve[name].iloc[0] == line[name] == 1 / 2


def test_where_some_mention_has_no_score_nothing_is_said_about_them() -> None:
    tables = frames(evaluation(pair("a", "⟦tos⟧, ⟦asma⟧", "⟦tos⟧, ⟦asma⟧", scores=(0.5, None))))
    assert tables["reliability"].empty
    assert tables["thresholds"].empty


# What the run keeps


def test_the_ceiling_of_each_language_of_the_split() -> None:
    metrics = {
        "ceiling/test/es/gold": 4,
        "ceiling/test/es/recall": 0.75,
        "ceiling/test/it/gold": 2,
        "ceiling/test/it/recall": 1.0,
        "ceiling/validation/es/gold": 9,
        "test/strict_f1": 0.5,
    }
    table = frames(Evaluation("x", [], "test", metrics=metrics))["ceiling"]
    assert table.to_dict("records") == [
        {"language": "es", "gold": 4, "recall": 0.75},
        {"language": "it", "gold": 2, "recall": 1.0},
    ]


def test_the_history_per_epoch() -> None:
    history = [
        {"epoch": 0, "step": 1, "train/loss": 4.0},
        {"step": 1, "lr": 0.1},
        {"epoch": 0, "step": 2, "train/loss": 2.0},
        {"epoch": 0, "step": 2, "val/loss": 1.5, "val/strict_f1": 0.25},
        {"epoch": 1, "step": 4, "train/loss": 1.0},
        {"epoch": 1, "step": 4, "test/strict_f1": 0.9},
    ]
    table = frames(Evaluation("x", [], history=history))["history"]
    assert list(table.columns) == ["epoch", "train/loss", "val/loss", "val/strict_f1"]
    assert table.iloc[0].tolist() == [1, 3.0, 1.5, 0.25]
    assert table.iloc[1].tolist()[:2] == [2, 1.0]


# Documents


def test_documents_with_their_counts() -> None:
    found = evaluation(
        pair("a", "⟦dolor leve⟧ y ⟦tos⟧", "⟦dolor⟧ leve y ⟦tos⟧"), pair("b", "nada", "nada")
    )
    columns = ["document", "words", "gold", "predicted", "right", "missing", "wrong", "f1"]
    assert frames(found)["documents"][columns].to_numpy().tolist() == [
        ["a", 4, 2, 2, 1, 1, 1, 0.5],
        ["b", 1, 0, 0, 0, 0, 0, pytest.approx(nan, nan_ok=True)],
    ]


# Tables without rows


def test_an_empty_table_keeps_its_columns() -> None:
    full = frames(
        evaluation(
            pair("a", "⟦dolor leve⟧ ⟦x⟧ y", "⟦dolor⟧ leve x ⟦y⟧", scores=(0.5, 0.5)), native={"a"}
        )
    )
    empty = frames(EMPTY)
    assert empty.keys() == full.keys()
    for name in full.keys() - {"ceiling", "history"}:
        assert list(empty[name].columns) == list(full[name].columns), name
        assert len(full[name]), name
    assert list(empty["ceiling"].columns) == ["language"]
    assert list(empty["history"].columns) == ["epoch"]


def test_nothing_found_in_no_documents_scores_zero_without_an_interval() -> None:
    line = row(frames(EMPTY)["scores"])
    assert (line["label"], line["documents"], line["f1"]) == ("all", 0, 0.0)
    assert isnan(line["f1_low"])


def test_without_gold_there_are_mentions_and_no_errors() -> None:
    one = Document("a", "tos y asma", language="es")
    found = evaluation(Pair(one, one.with_spans((Span(0, 3, "D", 0.9), Span(6, 10, "S", 0.2)))))
    tables = frames(found)
    assert tables["mentions"]["mention"].tolist() == ["tos", "asma"]
    assert tables["cases"].empty
    assert tables["errors"]["cases"].sum() == 0
    assert tables["documents"]["wrong"].tolist() == [0]
    assert tables["thresholds"].empty


def test_a_folder_of_csv(tmp_path: Path) -> None:
    tables = frames(evaluation(pair("a", "⟦tos⟧", "⟦to⟧s")))
    write_csv(tables, tmp_path / "with")
    write_csv(tables, tmp_path / "without")
    write_csv(tables, tmp_path / "without", texts=False)  # Takes the older ones away.
    files = {path.stem for path in (tmp_path / "with").iterdir()}
    assert files == tables.keys()
    private = files - {path.stem for path in (tmp_path / "without").iterdir()}
    assert private == {"boundary_words", "frequent", "cases", "mentions"}
    line = row(pd.read_csv(tmp_path / "with" / "scores.csv"))
    assert line["gold"] == 1


# Real documents


def spoiled(document: Document) -> Document:
    """Every seventh mention dropped, of every fifth the last word cut off."""
    kept = []
    for number, span in enumerate(document.spans, 1):
        cut = document.text.rfind(" ", span.start, span.end)
        if number % 7:
            is_cut = number % 5 == 0 and cut > span.start
            kept.append(Span(span.start, cut if is_cut else span.end, span.label))
    return document.with_spans(tuple(kept))


@pytest.mark.data
def test_real_documents(shared_data: Path) -> None:
    sets = {one.split: one for one in find_sets(shared_data / "TEMIST") if one.entity == "disease"}
    gold = list(read_set(sets["test"]))
    pairs = [Pair(one, spoiled(one)) for one in gold]
    began = time.process_time()
    found = evaluation(*pairs, lexicon=lexicon_of(read_set(sets["train"])))
    tables = frames(found)
    assert time.process_time() - began < 3
    assert_official(tables["scores"], found)
    line, errors = row(tables["scores"]), tables["errors"].set_index("kind")
    # 149 dropped and 162 cut; of these some lay in or around another mention.
    counts = [line[name] for name in ("documents", "gold", "predicted", "right")]
    assert counts == [150, 1519, 1519 - 149, 1519 - 149 - 162]
    assert errors["cases"][["missed", "nested"]].tolist() == [144, 5]
    assert errors["cases"][["short right", "long right"]].tolist() == [161, 1]
    assert (errors["missing"].sum(), errors["wrong"].sum()) == (149 + 162, 162)
    for _, part in tables["strata"].groupby("dimension"):
        assert (part["gold"].sum(), part["right"].sum()) == (line["gold"], line["right"])
