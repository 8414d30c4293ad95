"""Biases that make strict F1 on validation documents highest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from multiclin.document import Document
from multiclin.errors import ConfigError
from multiclin.schema import bias_of
from multiclin.scoring.counts import Counts
from multiclin.tagging import Floats
from multiclin.tuning import Emitted, f_beta, tune, tuned, tuning_table
from tests.toy_models import marked, perfect, tokenized, toy_model

MODEL = toy_model(("X",))


def emitted(text: str, pieces: str, certain: float) -> Emitted:
    """Perfect emissions but for mentions, whose tags are `certain` likelier than none."""
    one = tokenized(marked(text), pieces)
    return Emitted(one, perfect(one) * np.float32(certain / 9))


def missed(text: str, certain: float) -> Emitted:
    """A document of one word, a mention in gold, which the model finds less likely than none."""
    gold = tokenized(marked(f"[{text}]"), text)
    emissions: Floats = np.array([[certain, 0, 0]], dtype=np.float32)
    return Emitted(gold, emissions)


def spurious(text: str, certain: float) -> Emitted:
    """A document of one word, no mention in gold, which the model finds likelier to be one."""
    gold = tokenized(Document("d", text, (), "es", frozenset({"X"})), text)
    emissions: Floats = np.array([[0, certain, 0]], dtype=np.float32)
    return Emitted(gold, emissions)


def test_mentions_that_lack_little_are_worth_a_bias() -> None:
    documents = [missed("tos", 0.6), missed("asma", 1.1), emitted("[gripe]", "gripe", 4)]
    (found,) = tune(MODEL, documents)
    assert (found.before, found.after) == (Counts(tp=1, fn=2), Counts(tp=3))
    assert found.bias >= 1.25


def test_spurious_mentions_are_worth_a_price() -> None:
    documents = [spurious("tos", 0.6), spurious("dolor", 1.1), emitted("[gripe]", "gripe", 4)]
    (found,) = tune(MODEL, documents)
    assert (found.before, found.after) == (Counts(tp=1, fp=2), Counts(tp=1))
    assert found.bias <= -1.25


def test_nothing_to_gain_leaves_it() -> None:
    (found,) = tune(MODEL, [emitted("[gripe]", "gripe", 9)])
    assert found.bias == 0.0


def test_recall_can_count_more() -> None:
    documents = [missed("tos", 1.1), *(spurious(word, -0.6) for word in ("sin", "con"))]
    by_precision, by_recall = (tune(MODEL, documents, beta)[0].after for beta in (0.2, 5))
    assert by_precision.precision >= by_recall.precision
    assert by_recall == Counts(tp=1, fp=2)


def test_each_label_has_its_own() -> None:
    model = toy_model(("X", "Y"))
    spans = (*marked("[tos] asma", label="Y").spans, *marked("tos [asma]").spans)
    gold = Document("d", "tos asma", spans, "es", frozenset({"X", "Y"}))
    one = tokenized(gold, "tos| asma", ("X", "Y"))
    # At `tos` an X where there is none, and no Y where there is one.
    emissions: Floats = np.array([[0, 1, 0, 1, 0, 0], [0, 9, 0, 5, 0, 0]], dtype=np.float32)
    found = tune(model, [Emitted(one, emissions)])
    assert [one.label for one in found] == ["X", "Y"]
    assert found[0].bias < -1
    assert found[1].bias > 1
    better = tuned(model, found)
    (document,) = better.decoder().decode([one], [emissions])
    assert [replace(span, score=None) for span in document.spans] == list(spans)
    assert "Y" in tuning_table(found)


@pytest.mark.parametrize(
    ("counts", "beta", "value"),
    [
        (Counts(tp=2, fp=1, fn=3), 1.0, 0.5),  # 4 / (4 + 4)
        (Counts(tp=2, fp=1, fn=3), 2.0, 10 / 23),  # 5 * 2 / (5 * 2 + 1 + 4 * 3)
        (Counts(fn=3), 1.0, 0.0),
    ],
)
def test_recall_counts_beta_times(counts: Counts, beta: float, value: float) -> None:
    assert f_beta(counts, beta) == pytest.approx(value)


def test_a_bias_is_a_number_or_one_for_each_label() -> None:
    labels = ("DISEASE", "SYMPTOM")
    assert bias_of(0.5, labels) == (0.5, 0.5)
    assert bias_of({"SYMPTOM": -1}, labels) == (0.0, -1.0)
    assert bias_of(0, labels) == ()
    for wrong in ("high", {"DISEASE": "high"}, None, float("inf")):
        with pytest.raises(ConfigError, match="give a number"):
            bias_of(wrong, labels)
    with pytest.raises(ConfigError, match="given for FARMACO; the labels are DISEASE, SYMPTOM"):
        bias_of({"FARMACO": 1}, labels)
