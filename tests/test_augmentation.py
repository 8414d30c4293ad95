"""Windows of a training changed at random: what may be, and that it comes out the same again."""

from __future__ import annotations

import pickle
from dataclasses import asdict, fields
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.augmentation import Augmentation, Augmenter
from multiclin.document import Document, Span
from multiclin.encoder import Subwords
from multiclin.errors import ConfigError
from multiclin.passages import Ids, Tags
from multiclin.store import Store
from multiclin.tagging import SCHEMES, Scheme, Tagging
from multiclin.windows import IGNORED, Placed, Window
from tests import toys

WORDS = (
    *("insuficiencia", "renal", "aguda", "dolor", "torácico", "lesión", "año", "paciente", "El"),
    *("påverkan", "příznaků", "l'ictus", "(tumor)", "HER2+", "T2N0M0", "IL-6", "i.v.", "38,5"),
    *("y", "de", "con", "a", ",", ".", "", "\n", "\n\n\n"),
)
LABELS = ("X", "Y")


def random_document(number: int) -> Document:
    """Some words, with mentions of X and Y at any words; a third knows of X only."""
    random = Random(number)
    words = [random.choice(WORDS) for _ in range(random.randrange(5, 60))]
    starts = [sum(len(word) + 1 for word in words[:at]) for at in range(len(words))]
    spans = []
    for label in LABELS:
        at = 0
        while (at := at + random.randrange(1, 9)) < len(words) - 4:
            end = at + random.randrange(1, 4)
            if words[at].strip() and words[end].strip():
                spans.append(Span(starts[at], starts[end] + len(words[end]), label))
            at = end
    known = LABELS[: 1 if number % 3 == 0 else 2]
    kept = tuple(span for span in spans if span.label in known)
    language = ("es", "sv")[number % 2]
    return Document(f"d{number}", " ".join(words), kept, language, frozenset(known))


@pytest.fixture(scope="module")
def subwords() -> Subwords:
    texts = [random_document(number).text for number in range(40)]
    return Subwords.train([*texts, *map(str.upper, texts)], 300)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, subwords: Subwords) -> dict[str, Store]:
    """By scheme a store of forty documents."""
    folder = tmp_path_factory.mktemp("stores")
    documents = [random_document(number) for number in range(40)]
    return {
        name: Store.build(
            folder / name,
            (("train", one) for one in documents),
            subwords,
            Tagging(LABELS, SCHEMES[name]),
        )
        for name in SCHEMES
    }


def augmenter(
    store: Store,
    subwords: Subwords,
    shares: dict[str, float],
    scheme: str = "bio",
    *,
    room: int = 1000,
    seed: int = 1,
) -> Augmenter:
    documents = range(len(store))
    return Augmenter(
        Augmentation(**shares), store, documents, subwords, SCHEMES[scheme], room=room, seed=seed
    )


# Tokens


def window(ids: list[int], *tags: list[int]) -> tuple[Ids, Tags, Placed]:
    placed = Placed(0, Window(0, len(ids)))
    return np.array(ids, dtype=np.int32), np.array(tags, dtype=np.int8), placed


@pytest.fixture
def nobody(stores: dict[str, Store]) -> Store:
    """A store that token replacement need not look into."""
    return stores["bio"]


def test_tokens_become_the_unknown_one_and_keep_their_tags(
    nobody: Store, subwords: Subwords
) -> None:
    """Where no row has a label, the token is read as it stands."""
    ids, tags, placed = window([70, 71, 72, 73], [0, 1, IGNORED, IGNORED], [IGNORED] * 3 + [0])
    made = augmenter(nobody, subwords, {"unknown": 1})
    found, kept = made(ids, tags, placed, (0, 0), 0)
    assert found.tolist() == [2, 2, 72, 2]  # <s> 0, </s> 1, <unk> 2
    assert kept is tags
    assert ids.tolist() == [70, 71, 72, 73]


def test_tokens_become_any_other_but_special_ones(nobody: Store, subwords: Subwords) -> None:
    ids, tags, placed = window([70] * 20_000, [0] * 20_000)
    found, _ = augmenter(nobody, subwords, {"random": 1})(ids, tags, placed, (0, 0), 0)
    assert set(found.tolist()) == set(range(5, len(subwords)))  # Five special ones come first.
    assert found.dtype == np.int32


def test_each_kind_has_its_share(nobody: Store, subwords: Subwords) -> None:
    ids, tags, placed = window([70] * 20_000, [0] * 20_000)
    made = augmenter(nobody, subwords, {"random": 0.2, "unknown": 0.1})
    found, _ = made(ids, tags, placed, (0, 0), 0)
    assert (found == 2).mean() == pytest.approx(0.1, abs=0.01)
    assert (found == 70).mean() == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize(
    ("name", "unknown", "special"),
    [
        ("metaspace", 2, {0, 1, 2, 3, 4}),
        ("word_piece", 1, {0, 1, 2, 3}),
        ("byte_level", None, {0, 1, 2}),
        ("byte_fallback", 0, {0, 1, 2}),
    ],
)
def test_special_tokens_of_a_tokenizer(name: str, unknown: int | None, special: set[int]) -> None:
    subwords = toys.TOKENIZERS[name]()
    assert subwords.unknown == unknown
    assert set(range(len(subwords))) - set(subwords.ordinary.tolist()) == special


def test_where_a_tokenizer_has_no_unknown_token_its_mask_stands_for_it() -> None:
    plain = toys.byte_level()
    config = '{"unk_token": null, "mask_token": {"content": "</s>"}}'
    masked = Subwords({**plain.files, "tokenizer_config.json": config})
    assert masked.unknown == masked.id_of("</s>") == 2


def test_without_either_there_is_none_to_replace_by(nobody: Store) -> None:
    with pytest.raises(ConfigError, match=r"unknown=0.1: the tokenizer has neither an unknown nor"):
        augmenter(nobody, toys.byte_level(), {"unknown": 0.1})


# Settings


@pytest.mark.parametrize("name", [one.name for one in fields(Augmentation)])
@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_from_0_to_1(name: str, share: float) -> None:
    with pytest.raises(ConfigError, match=f"augmentation.{name}={share}: give a share"):
        Augmentation(**{name: share})


def test_what_excludes_each_other_is_1_at_most() -> None:
    with pytest.raises(ConfigError, match=r"augmentation.random \+ augmentation.unknown = 1.1"):
        Augmentation(random=0.6, unknown=0.5)
    with pytest.raises(ConfigError, match=r"case \+ .*diacritics \+ .*abbreviations = 1.2"):
        Augmentation(case=0.4, diacritics=0.4, abbreviations=0.4)
    assert not Augmentation(random=0.3, unknown=0.7, mentions=1, case=1).is_none
    assert Augmentation().is_none


# Everything at once

SHARES: dict[str, float] = {
    **{"random": 0.05, "unknown": 0.05, "mentions": 0.5},
    **{"case": 0.2, "diacritics": 0.2, "abbreviations": 0.2},
}


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """A window of a document, a room, and where in a training it is met."""
    return {
        "scheme": draw(st.sampled_from(list(SCHEMES))),
        "document": draw(st.integers(0, 39)),
        "edges": draw(st.tuples(st.floats(0, 1), st.floats(0, 1))),
        "growth": draw(st.sampled_from([0, 3, 1000])),
        "shares": {name: draw(st.sampled_from([0, share])) for name, share in SHARES.items()},
        **{name: draw(st.integers(0, 9)) for name in ("seed", "epoch", "step", "number")},
    }


def mentions(path: Tags, scheme: Scheme) -> int:
    return len(scheme.decode(path[path != IGNORED]))


@given(cases())
def test_a_changed_window_is_one_that_can_be_trained_on(
    stores: dict[str, Store], subwords: Subwords, case: dict[str, Any]
) -> None:
    store, scheme = stores[case["scheme"]], SCHEMES[case["scheme"]]
    first, end = sorted(round(edge * store.lengths[case["document"]]) for edge in case["edges"])
    placed = Placed(case["document"], Window(first, end))
    ids, tags = store.tokens(*placed)
    before = ids.tolist(), tags.tolist()
    room = len(ids) + case["growth"]
    moment = case["epoch"], case["step"]

    def draw() -> tuple[Ids, Tags]:
        shares, name, seed = case["shares"], case["scheme"], case["seed"]
        made = augmenter(store, subwords, shares, name, room=room, seed=seed)
        return made(ids, tags, placed, moment, case["number"])

    found, path = draw()
    assert path.shape == (len(tags), len(found))
    assert len(found) <= room
    assert ((found >= 0) & (found < len(subwords))).all()
    assert path.dtype == np.int8
    for row, old in zip(path, tags, strict=True):
        assert (row[row != IGNORED] < len(scheme)).all()
        labelled = row[row != IGNORED]
        assert scheme.transitions[labelled[:-1], labelled[1:]].all()
        assert mentions(row, scheme) <= mentions(old, scheme)
        if case["growth"] == 1000:
            assert mentions(row, scheme) == mentions(old, scheme)
        if (old == IGNORED).all():
            assert (row == IGNORED).all()
    again = draw()
    assert (again[0].tolist(), again[1].tolist()) == (found.tolist(), path.tolist())
    assert (ids.tolist(), tags.tolist()) == before


def test_seed_moment_and_number_draw_and_nothing_else(
    stores: dict[str, Store], subwords: Subwords
) -> None:
    """Not what was drawn before, nor the process: a copy of it draws the same."""
    store, placed = stores["bio"], Placed(1, Window(0, 40))
    made = augmenter(store, subwords, SHARES)

    def draw(one: Augmenter, *at: int) -> list[int]:
        epoch, step, number = at
        ids: list[int] = one(*store.tokens(*placed), placed, (epoch, step), number)[0].tolist()
        return ids

    first = draw(made, 0, 0, 0)
    another_seed = augmenter(store, subwords, SHARES, seed=2)
    others = [draw(made, *at) for at in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    assert first not in [*others, draw(another_seed, 0, 0, 0)]
    assert draw(pickle.loads(pickle.dumps(made)), 0, 0, 0) == draw(made, 0, 0, 0) == first


def test_the_settings_are_those_of_the_config() -> None:
    assert set(asdict(Augmentation())) == set(SHARES)
