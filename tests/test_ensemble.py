"""Several models as one: what a single one is, and what their mean is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from multiclin.batch import Batch
from multiclin.bundle import Model, Recipe, new_model, save_bundle
from multiclin.decoding import Merged
from multiclin.document import Document, Span
from multiclin.encoder import Subwords, scratch_config
from multiclin.ensemble import Average, Ensemble, load_members
from multiclin.errors import CheckpointError
from multiclin.fingerprint import digest
from multiclin.heads import CrfHead
from multiclin.recognition import Recognizer
from multiclin.tagging import SCHEMES
from multiclin.units import Units
from tests.commands import Work, succeeded
from tests.toy_models import ARCHITECTURE, CASES, marked, toy_model, toy_subwords

DOCUMENTS = [
    Document(f"d{n}", " ".join(marked(case).text for case in CASES[: n % 7])) for n in range(9)
]


def model(seed: int, *, vocabulary: int = 200, head: str = "linear", scheme: str = "bio") -> Model:
    """Random weights that mark something."""
    torch.manual_seed(seed)
    subwords = toy_subwords()
    if vocabulary != 200:
        subwords = Subwords.train([marked(text).text for text in CASES], vocabulary)
    recipe = Recipe(("DISEASE",), scheme, head, window=24, overlap=8)
    made = new_model(recipe, subwords, config=scratch_config(ARCHITECTURE, subwords))
    for one in made.tagger.heads:
        if isinstance(one, CrfHead):
            torch.nn.init.normal_(one.chain.scores)
    return made


def found(made: Model, documents: Iterable[Document] = DOCUMENTS) -> list[list[Span]]:
    """The mentions of each document, with scores."""
    return [list(one.spans) for one in Recognizer(made, size=3).pipe(documents)]


def scores(spans: list[list[Span]]) -> list[float]:
    return [span.score or 0.0 for one in spans for span in one]


def test_one_member_is_the_model(tmp_path: Path) -> None:
    save_bundle(model(1), tmp_path / "model", "card")
    for ckpt in (tmp_path / "model", [tmp_path], [tmp_path, tmp_path / "model"]):
        loaded = load_members(ckpt)
        assert not isinstance(loaded, Ensemble)
        assert digest(loaded) == digest(model(1))


def test_two_copies_are_the_model(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_bundle(model(1), tmp_path / name, "card")
    both = load_members([tmp_path / "a", tmp_path / "b"])
    assert isinstance(both, Ensemble)
    expected = found(model(1))
    assert scores(expected)
    assert (found(both), scores(found(both))) == (expected, scores(expected))


def test_copies_in_two_windowings_are_the_model() -> None:
    one = model(1)
    # Of words in one token; the longest document fits into both windows.
    wide, wider = (replace(one, recipe=replace(one.recipe, window=w)) for w in (256, 300))
    both = Ensemble.of([wide, wider], [1, 1])
    assert len(both.readings) == 2
    assert found(both) == found(wide)
    np.testing.assert_allclose(scores(found(both)), scores(found(wide)), atol=1e-4)


def test_emissions_are_the_weighted_mean_of_logits() -> None:
    models = [model(seed).tagger.eval() for seed in (1, 2)]
    ids = torch.arange(5, 17).view(2, 6)
    mask = torch.ones_like(ids)
    with torch.no_grad():
        first, second = (one(ids, mask) for one in models)
        mean = Average(models, [3, 1])(ids, mask)
    torch.testing.assert_close(mean, 0.75 * first + 0.25 * second)


@pytest.mark.parametrize("vocabulary", [200, 60])
def test_transitions_are_the_weighted_mean(vocabulary: int) -> None:
    models = [model(1, head="crf"), model(2, head="crf", vocabulary=vocabulary), model(3)]
    (crf,), (other,), (linear,) = (one.tagger.transitions() for one in models)
    (mean,) = Ensemble.of(models, [1, 2, 1]).tagger.transitions()
    expected = (crf.between + 2 * other.between + linear.between) / 4
    np.testing.assert_allclose(mean.between, expected, rtol=1e-6)
    assert mean.between.dtype == np.float32
    assert mean.start.tolist() == linear.start.tolist()
    assert np.isneginf(mean.inside).tolist() == (~SCHEMES["bio"].inside_word).tolist()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("head", ["linear", "crf"])
def test_tokenizations_meet_in_units(scheme: str, head: str) -> None:
    models = [model(seed, head=head, scheme=scheme) for seed in (1, 2)]
    models.append(model(3, vocabulary=60, head=head, scheme=scheme))
    ensemble = Ensemble.of(models, [1, 1, 2])
    assert [len(one.tokenize(DOCUMENTS[6:7])[0]) for one, *_ in ensemble.readings] == [35, 134]
    pairs = [Ensemble.of(models[:2], [1, 1]), models[2]]
    units = Units(SCHEMES[scheme], ensemble.tagger.voices)
    decoder = ensemble.decoder()
    expected = []
    for document in DOCUMENTS:
        merged: list[Merged] = []
        for one in pairs:
            recognizer, merger = Recognizer(one), one.readings[0].merger()
            for batch in recognizer.batches([document]):
                said = recognizer.emissions(batch)
                merged += merger.add(batch.placed, batch.arrivals, said).values()
        tokens, emissions, besides = units.join(merged)
        assert (besides is not None) == (head == "crf")
        [predicted] = decoder.decode([tokens], [emissions], None if besides is None else [besides])
        expected.append(list(predicted.spans))
    assert any(expected)
    assert found(ensemble) == expected


def test_a_batch_is_read_by_its_members() -> None:
    models = [model(1), model(2, vocabulary=60)]
    ensemble = Ensemble.of(models, [1, 1])
    ids = torch.arange(5, 17).view(2, 6)
    batch = Batch(ids, torch.ones_like(ids), reading=1)
    ensemble.tagger.eval()
    with torch.no_grad():
        said = ensemble.tagger.emissions(batch)
        torch.testing.assert_close(said, models[1].tagger.emissions(batch))


def test_the_first_says_how_mentions_are_decoded() -> None:
    strict = replace(model(1), recipe=replace(model(1).recipe, min_score=1.0))
    assert not any(found(Ensemble.of([strict, model(2)], [1, 1])))
    other = Ensemble.of([model(2), strict], [1, 1])
    assert any(found(other))
    # As predict.py changes it.
    assert not any(found(replace(other, recipe=replace(other.recipe, min_score=1.0))))


def test_half_precision_leaves_the_members_as_they_were() -> None:
    ensemble = Ensemble.of([model(1), model(2, vocabulary=60)], [1, 1])
    recognizer = Recognizer(ensemble, dtype=torch.bfloat16)
    assert len(list(recognizer.pipe(DOCUMENTS))) == len(DOCUMENTS)
    assert {one.dtype for one in recognizer.tagger.parameters()} == {torch.bfloat16}
    assert {one.dtype for one in ensemble.tagger.parameters()} == {torch.float32}


def test_members_weights_and_order_make_another_ensemble() -> None:
    a, b = model(1), model(2)
    names = {
        digest(Ensemble.of(m, w)) for m, w in (([a, b], [1, 1]), ([a, b], [2, 1]), ([b, a], [1, 1]))
    }
    assert len(names) == 3
    assert digest(Ensemble.of([a, b], [2, 1])) == f"2 x {digest(a)} + 1 x {digest(b)}"


def test_members_of_other_labels_are_refused(tmp_path: Path) -> None:
    save_bundle(model(1), tmp_path / "a", "card")
    save_bundle(toy_model(("SYMPTOM",)), tmp_path / "b", "card")
    with pytest.raises(CheckpointError, match=r"labels: SYMPTOM in .*b, DISEASE in .*a"):
        load_members([tmp_path / "a", tmp_path / "b"])


@pytest.mark.slow
def test_the_command_line_takes_one_and_several(tmp_path: Path) -> None:
    work, paths = Work(tmp_path), [tmp_path / name for name in "abc"]
    for seed, vocabulary, path in zip((1, 2, 3), (200, 200, 60), paths, strict=True):
        save_bundle(model(seed, vocabulary=vocabulary), path, "card")
    a, b, c = map(str, paths)
    texts, formats = work.set("test", "disease"), "formats=[tsv,jsonl]"
    several = f"ckpt=[{a},{b},{c}]"
    asked = [
        ("one", f"ckpt={a}"),
        ("list", f"ckpt=[{a}]"),
        ("all", several),
        ("shards", several, "shard=0/2"),
        ("shards", several, "shard=1/2"),
    ]
    commands = [work.prediction(paths[0], texts, name, formats, *said) for name, *said in asked]
    for done in work.run_all(commands):
        succeeded(done)
    written = {
        name: [(tmp_path / name / f"predictions.{kind}").read_bytes() for kind in ("tsv", "jsonl")]
        for name, *_ in asked
    }
    assert written["one"] == written["list"] != written["all"] == written["shards"]
