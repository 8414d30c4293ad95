"""Documents to mentions without Lightning: as the path of validation and prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from multiclin.bundle import Model
from multiclin.document import Document
from multiclin.recognition import Recognizer
from tests.toy_models import CASES, marked, toy_model


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(2)
    return toy_model()


def texts(count: int) -> list[Document]:
    """Documents of unlike length, some of them empty."""
    cases = [marked(case).text for case in CASES]
    return [Document(f"d{n}", " ".join(cases[: n % (len(cases) + 1)])) for n in range(count)]


def test_documents_come_out_in_their_order_with_the_mentions_of_one_at_a_time(
    model: Model,
) -> None:
    documents = texts(150)
    found = list(Recognizer(model, size=3).pipe(iter(documents)))
    assert [one.id for one in found] == [one.id for one in documents]
    assert any(one.spans for one in found)
    alone = Recognizer(model, size=1)
    for document, together in zip(documents[:20], found, strict=False):
        [single] = alone.pipe([document])
        assert [(s.start, s.end, s.label) for s in single.spans] == [
            (s.start, s.end, s.label) for s in together.spans
        ]
        scores = [s.score or 0.0 for one in (single, together) for s in one.spans]
        np.testing.assert_allclose(scores[: len(single.spans)], scores[len(single.spans) :], 1e-3)


def test_no_documents_no_mentions(model: Model) -> None:
    assert list(Recognizer(model).pipe([])) == []


def test_half_precision_leaves_the_model_as_it_was(model: Model) -> None:
    recognizer = Recognizer(model, dtype=torch.bfloat16)
    assert len(list(recognizer.pipe(texts(5)))) == 5
    assert {one.dtype for one in recognizer.tagger.parameters()} == {torch.bfloat16}
    assert {one.dtype for one in model.tagger.parameters()} == {torch.float32}
