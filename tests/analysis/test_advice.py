from __future__ import annotations

import pytest

from multiclin.analysis.advice import CAUSES, causes
from multiclin.analysis.evaluation import Evaluation, Pair
from multiclin.analysis.frames import frames
from multiclin.document import Span
from multiclin.scoring.kinds import KINDS
from tests.analysis.toys import bare, evaluation, pair, random_evaluation, row


def told(found: Evaluation, cause: str) -> dict[str, str]:
    """What is said about one cause."""
    line = row(causes(found, frames(found)), cause=cause)
    return {name: line[name] for name in ("finding", "words", "advice")}


def test_every_kind_has_one_cause() -> None:
    assert sorted(kind for cause in CAUSES for kind in cause.kinds) == sorted(KINDS)


def test_causes_by_what_they_cost() -> None:
    found = evaluation(pair("a", "⟦dolor leve⟧, ⟦tos⟧ y ⟦asma⟧", "⟦dolor⟧ leve, ⟦tos⟧ y asma"))
    table = causes(found, frames(found))
    # F1 2/5; with the boundary right 4/5, with the missed one found 4/6.
    assert table["cause"].tolist() == ["wrong boundaries", "missed"]
    assert table["cases"].tolist() == [1, 1]
    assert table["f1_fixed"].tolist() == pytest.approx([4 / 5, 4 / 6])
    assert table["gain"].tolist() == pytest.approx([2 / 5, 4 / 15])


def test_kinds_of_one_cause_are_mended_together() -> None:
    found = evaluation(pair("a", "⟦dolor leve⟧, ⟦tos⟧ seca", "⟦dolor⟧ leve, ⟦tos seca⟧"))
    [line] = causes(found, frames(found)).to_dict("records")
    assert (line["cause"], line["cases"], line["f1_fixed"]) == ("wrong boundaries", 2, 1.0)


@pytest.mark.parametrize("pairs", [[], [bare("a", [], [])], [pair("a", "⟦tos⟧", "⟦tos⟧")]])
def test_where_nothing_is_wrong_there_is_no_cause(pairs: list[Pair]) -> None:
    found = evaluation(*pairs)
    table = causes(found, frames(found))
    assert table.empty
    assert "advice" in table.columns


@pytest.mark.parametrize("seed", range(6))
def test_something_is_said_of_every_cause(seed: int) -> None:
    found = random_evaluation(seed)
    table = causes(found, frames(found))
    assert table["cases"].sum() == sum(map(len, found.cases))
    for said in [*table["finding"], *table["advice"]]:
        assert said.endswith(".")
        assert "nan" not in said


def test_the_commonest_boundary_errors() -> None:
    found = evaluation(
        pair("a", "⟦tos seca⟧, ⟦asma leve⟧, ⟦gripe⟧ A", "⟦tos⟧ seca, ⟦asma⟧ leve, ⟦gripe A⟧")
    )
    assert told(found, "wrong boundaries")["finding"] == "2 short right, 1 long right."


def test_words_that_are_often_wrong_at_boundaries() -> None:
    gold = "⟦dolor⟧ leve, ⟦asma⟧ leve, ⟦tos⟧ seca"
    found = evaluation(pair("a", gold, "⟦dolor leve⟧, ⟦asma leve⟧, ⟦tos seca⟧"))
    assert told(found, "wrong boundaries")["words"] == "Words most often added at the right: leve."


def test_words_that_are_wrong_once_are_not_told() -> None:
    found = evaluation(pair("a", "⟦tos⟧ seca", "⟦tos seca⟧"))
    assert told(found, "wrong boundaries")["words"] == ""


def test_signs_at_boundaries_point_to_the_word_rules() -> None:
    found = evaluation(pair("a", "⟦tos⟧. ⟦asma⟧.", "⟦tos.⟧ ⟦asma.⟧"))
    assert "decoding.snapping" in told(found, "wrong boundaries")["advice"]


def test_words_at_boundaries_point_to_the_guideline() -> None:
    found = evaluation(pair("a", "⟦tos⟧ seca", "⟦tos seca⟧"))
    assert "guideline" in told(found, "wrong boundaries")["advice"]


def test_a_boundary_may_be_wrong_by_a_blank_alone() -> None:
    found = evaluation(pair("a", "⟦tos⟧ ", "⟦tos ⟧"))
    assert told(found, "wrong boundaries")["finding"] == "1 long right."


def test_mentions_that_the_training_never_has() -> None:
    found = evaluation(
        pair("a", "⟦tos⟧, ⟦tos⟧, ⟦asma⟧ y ⟦gripe⟧", "⟦tos⟧, tos, asma y ⟦gripe⟧"),
        lexicon={"D": {"tos": 2}},
    )
    assert told(found, "missed")["finding"] == (
        "50% of the gold mentions never stand in the training documents: "
        "50% of these are found, and 50% of the others."
    )


def test_where_the_training_has_none_of_the_mentions_there_are_no_others() -> None:
    found = evaluation(pair("a", "⟦tos⟧ y asma", "tos y ⟦asma⟧"), lexicon={})
    assert told(found, "missed")["finding"] == (
        "100% of the gold mentions never stand in the training documents: 0% of these are found."
    )


def test_without_a_lexicon_nothing_is_said_of_it() -> None:
    found = evaluation(pair("a", "⟦tos⟧ y asma", "tos y ⟦asma⟧"))
    assert told(found, "missed")["finding"] == "Nothing was predicted at these places."
    assert told(found, "spurious")["finding"] == "Gold has nothing at these places."


def test_made_up_mentions_that_the_training_has() -> None:
    found = evaluation(
        pair("a", "tos, asma y gripe, gripe", "⟦tos⟧, ⟦asma⟧ y ⟦gripe⟧, ⟦gripe⟧"),
        lexicon={"D": {"tos": 1}},
    )
    assert told(found, "spurious")["finding"].startswith("25% of them are mentions in the training")


def test_the_length_of_mentions_with_the_lowest_recall() -> None:
    gold = "⟦tos⟧ y ⟦asma leve⟧. " * 20
    found = evaluation(pair("a", gold, "⟦tos⟧ y asma leve. " * 20))
    assert "lowest (0%) for mentions of 2 words" in told(found, "missed")["advice"]
    found = evaluation(pair("a", gold, "tos y ⟦asma leve⟧. " * 20))
    assert "lowest (0%) for mentions of 1 word." in told(found, "missed")["advice"]


def test_a_few_mentions_say_nothing_of_a_length() -> None:
    found = evaluation(pair("a", "⟦tos⟧. " * 19, "tos. " * 19))
    assert "lowest" not in told(found, "missed")["advice"]


def test_a_label_that_is_never_predicted_is_named() -> None:
    gold = [Span(0, 9, "D"), Span(12, 15, "S"), Span(20, 25, "X")]
    missed = told(evaluation(bare("a", gold, gold[:1], "DSX")), "missed")
    assert missed["finding"].startswith("Never predicted: S, X. ")
    assert "not trained enough" in missed["advice"]
    swapped = evaluation(bare("a", gold[:1], [Span(0, 9, "S")]))
    said = told(swapped, "another label")["finding"]
    assert said == "Never predicted: D. The place is right, the label is not."
    elsewhere = evaluation(bare("a", gold[:1], [Span(30, 33, "D")], "D"))
    assert "Never" not in told(elsewhere, "missed")["finding"]


def test_a_threshold_that_would_raise_f1() -> None:
    found = evaluation(pair("a", "⟦tos⟧ y asma", "⟦tos⟧ y ⟦asma⟧", scores=(0.9, 0.2)))
    assert "highest here from 0.9 (1.0000)" in told(found, "spurious")["advice"]


def test_a_threshold_that_would_not() -> None:
    found = evaluation(pair("a", "⟦tos⟧ y asma", "⟦tos⟧ y ⟦asma⟧", scores=(0.2, 0.9)))
    assert "would not raise F1" in told(found, "spurious")["advice"]


def test_without_scores_no_threshold_is_spoken_of() -> None:
    found = evaluation(pair("a", "tos", "⟦tos⟧"))
    assert "min_score" not in told(found, "spurious")["advice"]


def test_mentions_cut_or_joined() -> None:
    found = evaluation(
        pair("a", "⟦tos y asma⟧", "⟦tos⟧ y ⟦asma⟧"),
        pair("b", "⟦tos⟧ y ⟦asma⟧, ⟦gripe⟧ y ⟦otitis⟧", "⟦tos y asma⟧, ⟦gripe y otitis⟧"),
    )
    assert told(found, "cut or joined")["finding"] == (
        "Gold mentions found in pieces: 1; predictions over several: 2."
    )


def test_only_the_words_hold_words_of_the_texts() -> None:
    text = "⟦tos⟧ xyz, ⟦tos⟧ xyz", "⟦tos xyz⟧, ⟦tos xyz⟧"
    said = told(evaluation(pair("a", *text)), "wrong boundaries")
    assert "xyz" in said["words"]
    assert "xyz" not in said["finding"] + said["advice"]


def test_nested_repeated_and_other_labels_are_causes() -> None:
    found = evaluation(
        bare("a", [Span(0, 9, "D"), Span(2, 5, "D")], [Span(0, 9, "D")]),
        bare("b", [Span(0, 9, "D"), Span(0, 9, "D")], [Span(0, 9, "D")]),
        bare("c", [Span(0, 9, "D")], [Span(0, 9, "S")]),
    )
    names = causes(found, frames(found))["cause"]
    assert set(names) == {"nested", "repeated gold", "another label"}
