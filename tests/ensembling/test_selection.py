"""Greedy selection, on emissions made by hand and on models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from multiclin.analysis.runs import save
from multiclin.bundle import save_bundle
from multiclin.cli import main
from multiclin.document import Document
from multiclin.ensembling.candidates import Candidate, Pool, Silenced
from multiclin.ensembling.selection import Selection, Step, check_untrained, choose, select
from multiclin.errors import ConfigError
from multiclin.recognition import Recognizer
from multiclin.scoring.counts import Counts, strict_counts
from multiclin.tagging import Floats, Transitions
from multiclin.windows import Tokenized
from tests.toy_models import BIO, CASES, characters, marked, perfect, toy_model

GOLD = [marked("[ab] [cd]", "one"), marked("ab [cd]", "two")]
TOKENS = [characters(one) for one in GOLD]


def nothing(one: Tokenized) -> Floats:
    """Emissions of a model that faintly sees no mention."""
    return np.tile(np.eye(len(BIO), dtype=np.float32)[0], (len(one), 1))


def candidate(*emissions: Floats, min_score: float = 0.0) -> Candidate:
    model = toy_model(("X",))
    recipe = replace(model.recipe, whole_words=False, snapping="none", min_score=min_score)
    silenced = replace(model, recipe=recipe, tagger=Silenced([Transitions.of(BIO)]))
    return Candidate(silenced, TOKENS, emissions)


@pytest.fixture
def pool() -> Pool:
    one, two = TOKENS
    return Pool(
        GOLD,
        [
            candidate(nothing(one), nothing(two)),
            candidate(perfect(one), nothing(two)),
            candidate(nothing(one), perfect(two)),
            candidate(perfect(one), nothing(two)),
        ],
    )


def test_candidates_that_know_different_things_are_chosen(pool: Pool) -> None:
    assert [pool.f1([number]) for number in range(4)] == [0.0, 0.8, 0.5, 0.8]
    first, second = select(pool.f1, 4)
    # What one knows (9) outweighs what the other faintly sees (1).
    assert first == Step(1, 0.0, 0.8)
    assert second == Step(2, 0.8, 1.0)
    assert choose(["a", "b", "c", "d"], pool, Path("gold")).without == {"b": 0.5, "c": 0.8}


def test_weights_of_members_count(pool: Pool) -> None:
    # In 19 copies the faint one has 19 against 9.
    assert pool.f1([1, *[0] * 19]) == 0.0
    assert pool.f1([1, *[0] * 5]) == 0.8


def test_the_first_member_says_how_to_decode() -> None:
    one, two = TOKENS
    both = (perfect(one), perfect(two))
    pool = Pool(GOLD, [candidate(*both), candidate(*both, min_score=1.0)])
    assert (pool.f1([0, 1]), pool.f1([1, 0])) == (1.0, 0.0)


def test_tokenizations_are_joined() -> None:
    model = replace(candidate().model, recipe=replace(candidate().model.recipe, window=30))
    one, two = TOKENS
    knows, wide = candidate(perfect(one), nothing(two)), candidate(nothing(one), perfect(two))
    pool = Pool(GOLD, [knows, replace(wide, model=model)])
    assert pool.f1([0, 1]) == 1.0


def test_labels_that_a_document_is_not_annotated_for_do_not_count(pool: Pool) -> None:
    other = replace(GOLD[1], annotated=frozenset({"Y"}))
    assert Pool([GOLD[0], other], pool.candidates).f1([1]) == 1.0


def test_a_member_may_be_added_again() -> None:
    scores = {(0,): 0.5, (1,): 0.4, (0, 1): 0.6, (0, 1, 0): 0.7}

    def f1(chosen: Sequence[int]) -> float:
        return scores.get(tuple(chosen), 0.1)

    assert select(f1, 2) == [Step(0, 0.0, 0.5), Step(1, 0.5, 0.6), Step(0, 0.6, 0.7)]


def test_equals_go_to_the_first_and_no_gain_ends_it() -> None:
    assert select(lambda _: 0.5, 3) == [Step(0, 0.0, 0.5)]
    assert select(lambda _: 0.0, 3) == []


def test_a_table_says_what_each_brings_and_what_its_loss_costs() -> None:
    steps = [("a", Step(0, 0.0, 0.5)), ("b", Step(1, 0.5, 0.75))]
    found = Selection(Path("gold"), 2, {"a": 0.5, "b": 0.25}, steps, {"a": 0.25, "b": 0.5})
    assert found.rows()[1:] == [
        ["1", "a", "0.0000", "0.5000", "0.5000", "0.2500", "0.5000"],
        ["2", "b", "0.5000", "0.7500", "0.2500", "0.5000", "0.2500"],
    ]


@pytest.mark.parametrize(
    ("names", "ckpt"),
    [
        (["out/a"], "ckpt=out/a"),
        (["a", "b", "a"], "ckpt=[a,b,a]"),
        (["a b", "it's"], r"""'ckpt=['"'"'a b'"'"','"'"'it\'"'"'s'"'"']'"""),
    ],
)
def test_the_setting_can_be_pasted_into_a_shell(names: list[str], ckpt: str) -> None:
    steps = [(name, Step(0, 0.0, 0.5)) for name in names]
    assert Selection(Path("gold"), 2, {}, steps, {}).ckpt == ckpt


def run_of(folder: Path, seed: int, trained: Sequence[str]) -> Path:
    """The folder of a run whose model is of random weights."""
    torch.manual_seed(seed)
    save_bundle(toy_model(("X",)), folder / "model", "card")
    gold = [marked(case, f"d{number}") for number, case in enumerate(CASES)]
    save(folder, "validation", ((one, one.with_spans(())) for one in gold))
    (folder / "split.json").write_text(json.dumps({"train": list(trained), "test": []}))
    return folder


def test_who_was_trained_on_the_documents_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = run_of(tmp_path / "run", 1, ["es/d7", "es/d2"])
    gold, known = Path("gold"), [Document("d2", "tos", language="es")]
    with pytest.raises(ConfigError, match="was trained on 1 of the 1 documents of gold"):
        check_untrained(run / "model", known, gold)
    with pytest.raises(ConfigError, match="d7"):
        check_untrained(run / "model", [Document("d7", "tos")], gold)
    check_untrained(run, [Document("d2", "toux", language="it")], gold)
    assert not caplog.records
    (run / "split.json").unlink()
    check_untrained(run, known, gold)
    assert "no split.json says what it was trained on" in caplog.text


def test_the_command_chooses_among_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["a", "b", "c"]
    for seed, name in enumerate(names):
        run_of(Path(name), seed, ["es/other"])
    torch.manual_seed(0)
    gold = [marked(case, f"d{number}") for number, case in enumerate(CASES)]
    found = list(Recognizer(toy_model(("X",))).pipe(gold))
    pairs = zip(gold, found, strict=True)
    alone = sum((strict_counts(one.spans, its.spans) for one, its in pairs), Counts()).f1
    assert main(["ensemble", "select", *names, "--work", "work", "--output", "out"]) == 0
    said = json.loads(Path("out/selection.json").read_text())
    assert said["alone"]["a"] == pytest.approx(alone)
    assert said["strict_f1"] >= max(said["alone"].values())
    assert "python predict.py ckpt=" in capsys.readouterr().out
    assert not list(Path("work").iterdir())
    assert len(Path("out/selection.csv").read_text().splitlines()) == 1 + len(said["ckpt"])
