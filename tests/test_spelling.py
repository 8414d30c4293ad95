"""Words in another spelling: what is written, and the tags that come with it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, processors

from multiclin.encoder import Subwords
from multiclin.passages import Passage
from multiclin.spelling import Speller, abbreviated, recased, stretch, without_diacritics
from multiclin.tagging import SCHEMES, Scheme, Tagging
from multiclin.windows import IGNORED
from tests import toys
from tests.toy_passages import drawn, part, passage, read_edited, vocabulary

CASE, DIACRITICS, ABBREVIATIONS = np.eye(3)
"""Shares: all words of one kind."""


@pytest.mark.parametrize(
    ("word", "draw", "written"),
    [
        ("tos", 0, "TOS"),
        ("tos", 0.5, "Tos"),
        ("Tos", 0, "TOS"),
        ("Tos", 0.99, "tos"),
        ("HIV", 0, "Hiv"),
        ("fuß", 0, "FUSS"),
        ("2019", 0, "2019"),
    ],
)
def test_another_case(word: str, draw: float, written: str) -> None:
    assert recased(word, draw) == written


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("lesión", "lesion"),
        ("ÖVER", "OVER"),
        ("patiënt", "patient"),
        ("prezintă", "prezinta"),
        ("příznaků", "priznaku"),
        ("lesio\u0301n", "lesion"),  # Decomposed.
        ("łuk", "łuk"),
        ("tos", "tos"),
    ],
)
def test_no_diacritics(word: str, written: str) -> None:
    assert without_diacritics(word, 0) == written


@pytest.mark.parametrize(
    ("word", "draw", "written"),
    [
        ("insuficiencia", 0, "ins."),
        ("insuficiencia", 0.5, "insu."),
        ("insuficiencia", 0.99, "insuf."),
        ("renal", 0, "ren."),
        ("renal", 0.5, "renal"),  # 4 letters would leave one out.
        ("tos", 0, "tos"),
        ("IL-6alfa", 0, "IL-6alfa"),
    ],
)
def test_abbreviations(word: str, draw: float, written: str) -> None:
    assert abbreviated(word, draw) == written


def test_a_stretch_of_a_mention() -> None:
    bioes = SCHEMES["bioes"]
    found = {
        (begins, ends): "".join(bioes.tags[t] for t in stretch(bioes, 2, begins=begins, ends=ends))
        for begins in (True, False)
        for ends in (True, False)
    }
    assert found == {
        (True, True): "BE",
        (True, False): "BI",
        (False, True): "IE",
        (False, False): "II",
    }
    assert stretch(bioes, 1, begins=True, ends=True).tolist() == [bioes.number("S")]


TEXT = "Ingresa con ⟦insuficiencia renal⟧ aguda, lesión (⟦tumor⟧) y algo más."


@pytest.fixture(scope="module")
def subwords() -> Subwords:
    return vocabulary(TEXT, "lesion ing. ins. ren. les. agu. tum.")


def spelled(
    one: Passage, subwords: Subwords, scheme: Scheme, shares: np.ndarray, *draws: float
) -> list[str]:
    """Per row the text after all of its words, or those that are drawn, were changed."""
    free = (one.tags != IGNORED).any(axis=0)
    edits = Speller(shares.tolist(), subwords, scheme).edits(one, free, drawn(*draws or (0.0,)))
    return read_edited(one, edits, subwords, scheme)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        (CASE, "INGRESA CON ⟦INSUFICIENCIA RENAL⟧ AGUDA, LESIÓN (⟦TUMOR⟧) Y ALGO MÁS."),
        (DIACRITICS, "Ingresa con ⟦insuficiencia renal⟧ aguda, lesion (⟦tumor⟧) y algo mas."),
        # The period inside a mention is in it, the one at its end is not.
        (ABBREVIATIONS, "Ing. con ⟦ins. ren⟧. agu., les. (⟦tum⟧.) y algo más."),
    ],
    ids=["case", "diacritics", "abbreviations"],
)
def test_all_words_changed(
    subwords: Subwords, scheme: Scheme, shares: np.ndarray, expected: str
) -> None:
    one = passage(TEXT, subwords, Tagging(("X",), scheme))
    assert spelled(one, subwords, scheme, shares) == [expected]


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_a_mention_at_the_end_of_a_window_may_go_on_behind_it(scheme: Scheme) -> None:
    """Whether the period of `ren.` would be in it, nobody can say; its case may change."""
    marked = "algo con ⟦tumor renal⟧"
    subwords = vocabulary(marked)
    one = passage(marked, subwords, Tagging(("X",), scheme))
    assert spelled(one, subwords, scheme, ABBREVIATIONS) == ["algo con ⟦tum. renal⟧"]
    assert spelled(one, subwords, scheme, CASE) == ["ALGO CON ⟦TUMOR RENAL⟧"]


def test_a_period_is_not_doubled(subwords: Subwords) -> None:
    bio = SCHEMES["bio"]
    one = passage("algo renal. Ingresa con lesión aguda.", subwords, Tagging(("X",), bio))
    assert spelled(one, subwords, bio, ABBREVIATIONS) == ["algo renal. Ing. con les. aguda."]


def test_words_are_drawn_one_by_one(subwords: Subwords) -> None:
    """Two draws a word: whether, and how. Ten words, of which the second and the fourth."""
    bio = SCHEMES["bio"]
    one = passage(TEXT, subwords, Tagging(("X",), bio))
    draws = [draw for chosen in (0, 1, 0, 1, 0) for draw in ([0.49, 0.99] if chosen else [0.5, 0])]
    assert spelled(one, subwords, bio, CASE / 2, *draws, 0.5) == [
        "Ingresa Con ⟦insuficiencia Renal⟧ aguda, lesión (⟦tumor⟧) y algo más."
    ]


def test_a_word_that_a_mention_cuts_is_left_alone() -> None:
    marked = "de ⟦T2⟧N0 y ⟦hiper⟧tenso mal"
    subwords = vocabulary("de T 2 N 0 y hiper tenso mal")
    bio = SCHEMES["bio"]
    one = passage(marked, subwords, Tagging(("X",), bio))
    whole = spelled(one, subwords, bio, CASE)[0]
    assert whole == "DE ⟦T2⟧N0 Y ⟦hiper⟧tenso MAL"


def test_every_row_keeps_its_mentions(subwords: Subwords) -> None:
    """Two labels, one of which the document has no gold for, and nested ones of two."""
    bioes = SCHEMES["bioes"]
    x = toys.document("d", "algo ⟦con tumor⟧ renal y", "X")
    y = toys.document("d", "algo con ⟦tumor renal⟧ y", "Y")
    both = x.with_spans((*x.spans, *y.spans))
    both = type(both)(both.id, both.text, both.spans, "es", frozenset({"X", "Y"}))
    one = passage(both, subwords, Tagging(("X", "Y", "Z"), bioes))
    spoken = spelled(one, subwords, bioes, ABBREVIATIONS)
    assert spoken[:2] == ["algo ⟦con tum⟧. ren. y", "algo con ⟦tum. ren⟧. y"]
    free = (one.tags != IGNORED).any(axis=0)
    for edit in Speller(CASE.tolist(), subwords, bioes).edits(one, free, drawn(0.0)):
        assert (edit.tags[2] == IGNORED).all()


def test_words_at_the_edges_of_a_window_are_left_alone() -> None:
    """Whether they go on behind it is not to be seen from inside."""
    bio = SCHEMES["bio"]
    subwords = vocabulary(*["algo con tumor renal aguda"] * 3)
    whole = passage("algo con tumor renal aguda", subwords, Tagging(("X",), bio))
    assert len(whole.ids) == 5
    assert spelled(part(whole, 1, 4), subwords, bio, CASE) == ["con TUMOR renal"]
    assert spelled(part(whole, 0, 4), subwords, bio, CASE) == ["ALGO CON TUMOR renal"]
    assert spelled(part(whole, 1, 5), subwords, bio, CASE) == ["con TUMOR RENAL AGUDA"]


def test_a_space_is_neither_lost_nor_doubled() -> None:
    """`▁mal` is one token, and of ` MAL` the space is one by itself."""
    subwords, bio = Subwords.train(["mal mal mal a", "(MAL"], 16), SCHEMES["bio"]
    for text, draw, expected in (("a mal a", 0.0, "A MAL A"), ("a MAL a", 0.99, "A mal A")):
        one = passage(text, subwords, Tagging(("X",), bio))
        assert spelled(one, subwords, bio, CASE, draw) == [expected]


def test_what_is_not_free_is_left_alone(subwords: Subwords) -> None:
    bio = SCHEMES["bio"]
    one = passage("algo con tumor renal aguda", subwords, Tagging(("X",), bio))
    free = (one.starts < one.text.index("con")) | (one.starts > one.text.index("renal") + 4)
    edits = Speller(CASE.tolist(), subwords, bio).edits(one, free, drawn(0.0))
    assert read_edited(one, edits, subwords, bio) == ["ALGO con tumor renal AGUDA"]


def across_words() -> Subwords:
    """Letters, and `r▁`: an `r` is cut with the space behind it."""
    pieces = ["<unk>", "<s>", *"▁abcdeilorstLORST", "r▁"]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(numbers, [("r", "▁")], unk_token="<unk>"))
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return Subwords({"tokenizer.json": backend.to_str(), "tokenizer_config.json": json.dumps({})})


def test_a_word_that_is_cut_otherwise_alone_is_left_alone() -> None:
    subwords, bio = across_words(), SCHEMES["bio"]
    one = passage("todo dolor sordo", subwords, Tagging(("X",), bio))
    edits = Speller(CASE.tolist(), subwords, bio).edits(
        one, np.ones(len(one.ids), dtype=np.bool_), drawn(0.0)
    )
    changed = [one.text[one.starts[edit.first] : one.ends[edit.end - 1]] for edit in edits]
    assert changed == ["todo", "sordo"]


@pytest.mark.parametrize("name", toys.TOKENIZERS)
def test_a_word_alone_is_what_it_is_in_its_text(name: str) -> None:
    """Behind a space, a bracket, a line's end, and at the beginning of a text."""
    subwords = toys.TOKENIZERS[name]()
    text = "dolor (dolor)\ndolor dolor-dolor"
    one = passage(text, subwords, Tagging(("X",), SCHEMES["bio"]))
    speller = Speller(CASE.tolist(), subwords, SCHEMES["bio"])
    found = 0
    for start in (0, 7, 14, 20, 26):
        first = int(np.searchsorted(one.ends, start, side="right"))
        stop = int(np.searchsorted(one.starts, start + 5, side="left"))
        alone = speller.pieces(text[max(0, start - 1) : start], "dolor")
        found += alone is not None and alone.ids == one.ids[first:stop].tolist()
    assert found == 5


def test_a_word_is_tokenised_once(subwords: Subwords, monkeypatch: pytest.MonkeyPatch) -> None:
    speller = Speller(CASE.tolist(), subwords, SCHEMES["bio"])
    first = speller.pieces(" ", "tumor")
    monkeypatch.setattr(Subwords, "cut", None)
    assert speller.pieces(" ", "tumor") is first
