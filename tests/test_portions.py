"""The same batches, however an input is shared out."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain, groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.bundle import Model
from multiclin.corpus.texts import Texts
from multiclin.ensemble import Ensemble
from multiclin.errors import CorpusError
from multiclin.portions import PortionStream
from tests.toy_models import CASES, toy_model

Shown = tuple[int, bool, list[list[int]], list[int]]


@pytest.fixture(scope="module")
def model() -> Model:
    return toy_model()


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Texts:
    """Eleven texts in portions of four; one cannot be read."""
    monkeypatch.setattr("multiclin.corpus.texts.PORTION", 4)
    for number in range(11):
        (tmp_path / f"{number:02d}.txt").write_text(" ".join(CASES[: 1 + number % 5]))
    (tmp_path / "05.txt").write_bytes(b"\xff")
    return Texts(tmp_path)


def shown(stream: PortionStream) -> list[Shown]:
    return [
        (batch.portion, batch.ends_portion, batch.ids.tolist(), [*batch.arrivals])
        for batch in stream
    ]


def test_batches_do_not_depend_on_who_makes_them(model: Model, texts: Texts) -> None:
    whole = shown(PortionStream(texts, [0, 1, 2], model, size=3))
    assert [portion for portion, ends, *_ in whole if ends] == [0, 1, 2]
    assert sorted(number for *_, arrived in whole for number in arrived) == list(range(11))
    processes = [
        shown(PortionStream(texts, [0, 1, 2], model, size=3, rank=rank, world=2)) for rank in (0, 1)
    ]
    assert sorted(chain(*processes), key=lambda one: one[0]) == whole
    assert shown(PortionStream(texts, [2], model, size=3)) == [one for one in whole if one[0] == 2]


def test_a_portion_ends_when_every_tokenization_has_read_it(model: Model, texts: Texts) -> None:
    wide = replace(model, recipe=replace(model.recipe, window=64))
    stream = PortionStream(texts, [0, 1], Ensemble.of([model, wide], [1, 1]), size=3)
    batches = [(one.portion, one.reading, one.ends_portion, len(one.arrivals)) for one in stream]
    shown = [key for key, _ in groupby((portion, reading) for portion, reading, *_ in batches)]
    assert shown == [(0, 0), (0, 1), (1, 0), (1, 1)]
    last = {portion: number for number, (portion, *_) in enumerate(batches)}
    assert [n for n, (_, _, ends, _) in enumerate(batches) if ends] == list(last.values())
    assert sum(arrived for *_, arrived in batches) == 2 * 8


def test_what_cannot_be_read_comes_with_its_problem(model: Model, texts: Texts) -> None:
    arrived = {
        number: one
        for batch in PortionStream(texts, [1], model, size=3)
        for number, one in batch.arrivals.items()
    }
    assert [number for number, one in arrived.items() if one.problem] == [5]
    assert "not UTF-8" in str(arrived[5].problem)


@given(cut=st.integers(0, 400))
def test_an_input_that_shrinks_meanwhile_is_told(
    model: Model, tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("in") / "in.jsonl"
    lines = [json.dumps({"id": str(number), "text": "Sin tos."}) + "\n" for number in range(140)]
    path.write_text("".join(lines))
    texts = Texts(path)
    path.write_text("".join(lines)[:cut])
    with pytest.raises(CorpusError, match="it has changed since the command began"):
        list(PortionStream(texts, [1], model, size=3))
