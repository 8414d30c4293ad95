"""Who trains, who validates, who tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from multiclin.errors import ConfigError
from multiclin.splitting import Splitting, share_out, share_out_replayed
from multiclin.store import Entry

LABELS = {"disease": "DISEASE"}


def entries(*sets: str, cases: Iterable[int] = range(1, 5)) -> list[Entry]:
    """Cases of some sets, written as `es/train`; case 1 of `train` is one case in all languages."""
    return [
        Entry(f"{language}-{split}-{case}", language, f"{split}-{case}", split, frozenset())
        for language, _, split in (name.partition("/") for name in sets)
        for case in cases
    ]


def shared(found: list[Entry], splitting: Splitting) -> dict[str, list[str]]:
    """`share_out` by ids."""
    return {
        side: [found[number].id for number in numbers]
        for side, numbers in share_out(found, splitting).items()
    }


def test_a_share_of_the_spanish_cases_validates_and_their_translations_are_unused() -> None:
    found = entries("es/train", "it/train", "es/test", "it/test", cases=range(1, 11))
    sides = shared(found, Splitting(share=0.2))
    validation = sides["validation"]
    assert [id.split("-")[0] for id in validation] == ["es", "es"]
    cases = {id.rsplit("-")[-1] for id in validation}
    assert sides["train"] == [
        f"{language}-train-{case}"
        for language in ("es", "it")
        for case in range(1, 11)
        if str(case) not in cases
    ]
    assert sides["test"] == [f"es-test-{case}" for case in range(1, 11)]


def test_translations_of_validation_cases_can_be_kept() -> None:
    found = entries("es/train", "it/train")
    sides = shared(found, Splitting(share=0.25, keep_translations=True))
    assert (len(sides["validation"]), len(sides["train"])) == (1, 3 + 4)


def test_validation_sets_of_the_release_are_preferred() -> None:
    sides = shared(entries("es/train", "es/validation", "it/validation"), Splitting(share=0.5))
    assert sides["train"] == ["es-train-1", "es-train-2", "es-train-3", "es-train-4"]
    assert sides["validation"] == [f"es-validation-{case}" for case in range(1, 5)]


def test_a_language_without_a_validation_set_gives_a_share_of_its_cases() -> None:
    found = entries("es/train", "es/validation", "it/train")
    splitting = Splitting(share=0.25, evaluate_on="all", keep_translations=True)
    sides = shared(found, splitting)
    assert [id.split("-")[:2] for id in sides["validation"]] == [["es", "validation"]] * 4 + [
        ["it", "train"]
    ]


def test_validation_and_test_are_in_the_languages_asked_for() -> None:
    found = entries("es/train", "it/train", "es/test", "it/test", "es/validation", "it/validation")
    sides = shared(found, Splitting(evaluate_on=["it"]))
    assert {id.split("-")[0] for id in sides["validation"] + sides["test"]} == {"it"}
    assert {id.split("-")[0] for id in sides["train"]} == {"es", "it"}


def test_a_share_of_zero_trains_on_everything() -> None:
    sides = shared(entries("es/train", "es/test"), Splitting(share=0))
    assert [len(sides[name]) for name in ("train", "validation", "test")] == [4, 0, 4]


def test_listed_documents_validate_instead(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("# two cases\nes-train-2\nes-train-4\n")
    found = entries("es/train", "it/train", "es/validation", "es/test")
    sides = shared(found, Splitting(ids=tmp_path / "ids"))
    assert sides["validation"] == ["es-train-2", "es-train-4"]
    assert sides["train"] == ["es-train-1", "es-train-3", "it-train-1", "it-train-3"]
    assert len(sides["test"]) == 4


def test_a_corpus_without_training_cases_in_the_evaluation_language_has_no_validation() -> None:
    sides = shared(entries("it/train", "es/test"), Splitting(share=0.5))
    assert (len(sides["train"]), sides["validation"], len(sides["test"])) == (4, [], 4)


@pytest.mark.parametrize("folds", [2, 3, 4])
def test_every_spanish_case_validates_in_one_fold(folds: int) -> None:
    found = entries("es/train", "it/train", "es/test")
    sides = [shared(found, Splitting(fold=fold, folds=folds)) for fold in range(folds)]
    validated = [id for side in sides for id in side["validation"]]
    assert sorted(validated) == [f"es-train-{case}" for case in range(1, 5)]
    for side in sides:
        size = len(side["validation"])
        assert size in (4 // folds, -(-4 // folds))
        assert len(side["train"]) == 2 * (4 - size)  # Without the Italian versions.
        assert not {id[-1] for id in side["train"]} & {id[-1] for id in side["validation"]}
        assert side["test"] == [f"es-test-{case}" for case in range(1, 5)]


def test_folds_take_from_every_language_alike() -> None:
    found = entries("es/train") + entries("en/train", cases=range(5, 11))
    for fold in range(2):
        sides = shared(found, Splitting(fold=fold, folds=2, evaluate_on="all"))
        languages = sorted(id[:2] for id in sides["validation"])
        assert languages == ["en", "en", "en", "es", "es"]
        assert len(sides["train"]) == 10 - 5


def test_translations_of_a_fold_can_be_kept() -> None:
    found = entries("es/train", "it/train")
    sides = shared(found, Splitting(fold=0, folds=2, keep_translations=True))
    assert (len(sides["validation"]), len(sides["train"])) == (2, 2 + 4)


def test_another_seed_gives_other_folds() -> None:
    found = entries("es/train", cases=range(1, 21))
    sides = [shared(found, Splitting(seed=seed, fold=0)) for seed in (13, 13, 14)]
    assert sides[0] == sides[1] != sides[2]


def test_a_fold_leaves_the_validation_sets_of_the_release_alone() -> None:
    sides = shared(entries("es/train", "es/validation"), Splitting(fold=1, folds=2))
    everything = sides["train"] + sides["validation"]
    assert sorted(everything) == [f"es-train-{case}" for case in range(1, 5)]


@pytest.mark.parametrize("fold", [-1, 5])
def test_a_fold_out_of_range_is_a_mistake(fold: int) -> None:
    with pytest.raises(ConfigError, match=f"fold={fold} is none of the 5 .* from 0 to 4"):
        Splitting(fold=fold)


def test_a_fold_and_a_list_of_ids_are_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"fold=0 and data\.validation\.ids=list both"):
        Splitting(fold=0, ids=Path("list"))


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["es/train"], "5 folds of 4 cases"),
        (["it/train", "es/test"], "fold=0: no training documents in es"),
    ],
)
def test_a_corpus_that_cannot_be_cut_into_folds_is_a_mistake(sets: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        share_out(entries(*sets), Splitting(fold=0))


def test_a_fraction_of_what_is_trained_on_and_nothing_else_changes() -> None:
    found = entries("es/train", "it/train", "es/test", cases=range(1, 21))
    whole = shared(found, Splitting(share=0.2))
    part = shared(found, Splitting(share=0.2, fraction=(0.25, 13)))
    assert [len(whole["train"]), len(part["train"])] == [32, 8]
    assert set(part["train"]) < set(whole["train"])
    assert part["validation"] == whole["validation"]
    assert part["test"] == whole["test"]


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match=r"data.fraction=.* must be above 0 and at most 1"):
        Splitting(fraction=(fraction, 13))


def replayed(*sets: str, splitting: Splitting) -> dict[str, list[str]]:
    """`share_out_replayed` by ids, of an older corpus behind a newer one of the same names."""
    newer = entries("es/train", "es/test")
    older = [
        one._replace(split=f"replayed {one.split}", id=f"old-{one.id}") for one in entries(*sets)
    ]
    found = [*newer, *older]
    assert shared(found, splitting) == shared(newer, splitting)
    sides = share_out_replayed(found, splitting)
    return {side: [found[number].id for number in numbers] for side, numbers in sides.items()}


def test_of_an_older_corpus_its_training_is_replayed_and_its_test_tested() -> None:
    splitting = Splitting(share=0.25, fraction=(0.5, 13), replayed_on="all")
    sides = replayed("es/train", "it/train", "it/test", splitting=splitting)
    assert len(sides["train"]) == 6  # The validation of the older training stays out.
    assert sides["test"] == [f"old-it-test-{case}" for case in range(1, 5)]


def test_without_a_test_set_the_validation_shows_what_is_forgotten() -> None:
    sides = replayed("es/train", "it/train", splitting=Splitting(share=0.25))
    assert [id[:9] for id in sides["test"]] == ["old-es-tr"]
    assert len(sides["train"]) == 6


def test_a_language_that_an_older_corpus_lacks_is_named() -> None:
    with pytest.raises(ConfigError, match=r"data.replay.evaluate_on=sv: the corpus has no sv"):
        replayed("es/train", splitting=Splitting(replayed_on="sv"))


def test_nothing_is_replayed_of_one_corpus() -> None:
    found = share_out_replayed(entries("es/train"), Splitting())
    assert found == {"train": [], "test": []}
