"""What a prediction does not depend on, on a model with random weights in fp32."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
import torch

from multiclin.batch import WindowStream
from multiclin.bundle import Model
from multiclin.document import Document, Span
from multiclin.windows import Tokenized
from tests.toy_models import CASES, toy_model

TEXTS = [" ".join(CASES[: 1 + n]).replace("[", "").replace("]", "") for n in range(6)]


@pytest.fixture(scope="module")
def model() -> Model:
    """Random weights that mark something."""
    torch.manual_seed(1)
    made = toy_model()
    made.tagger.eval()
    return made


def predicted(model: Model, documents: Iterable[Document], size: int) -> dict[str, list[Span]]:
    """Mentions by document, with their scores."""
    tokens = model.subwords.tokenize(list(documents))

    def part_of(part: int, parts: int) -> Iterator[Tokenized]:
        return iter(tokens[part::parts])

    assembler = model.assembler()
    found: dict[str, list[Span]] = {}
    with torch.no_grad():
        for batch in WindowStream(part_of, model.collate, model.windowing, size=size, lookahead=2):
            emissions = model.tagger(batch.ids, batch.mask).numpy()
            for one in assembler.add(batch.placed, batch.arrivals, emissions):
                found[one.predicted.id] = [replace(span) for span in one.predicted.spans]
    return found


def test_a_text_within_one_window_needs_no_windowing(model: Model) -> None:
    documents = [Document(str(n), text) for n, text in enumerate(TEXTS)]
    longest = max(len(one) for one in model.subwords.tokenize(documents)) + model.subwords.specials
    narrow = replace(model, recipe=replace(model.recipe, window=longest, overlap=longest // 2))
    wide = replace(model, recipe=replace(model.recipe, window=512, overlap=0))
    assert any(predicted(wide, documents, 4).values())
    assert predicted(narrow, documents, 4) == predicted(wide, documents, 4)
    [whole] = model.subwords.tokenize(documents[-1:])
    ids = [*model.subwords.prefix, *whole.ids.tolist(), *model.subwords.suffix]
    with torch.no_grad():
        direct = model.tagger(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.int64))
    [document] = model.decoder().decode([whole], [direct[0, 1:-1].numpy()])
    assert list(document.spans) == predicted(narrow, documents, 1)[document.id]


@pytest.mark.parametrize("size", [1, 2, 16])
def test_batches_and_order_change_nothing(model: Model, size: int) -> None:
    documents = [Document(str(n), text) for n, text in enumerate(TEXTS)]
    cut = replace(model, recipe=replace(model.recipe, window=16, overlap=6))
    expected = predicted(cut, documents, 3)
    assert predicted(cut, documents[::-1], size) == expected
    assert predicted(cut, documents[:3], size) | predicted(cut, documents[3:], size) == expected
