from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from multiclin.document import Span
from multiclin.errors import ConfigError
from multiclin.words import SNAPPINGS, snap, word_index, word_spans


def words(text: str, inner: str = "") -> list[str]:
    return [text[start:end] for start, end in word_spans(text, inner)]


def marked(text: str) -> tuple[str, list[Span]]:
    """`a [b] c` -> the text `a b c` and the spans of what stood between ⟦ and ⟧."""
    plain, spans, starts = "", [], []
    for char in text:
        if char == "⟦":
            starts.append(len(plain))
        elif char == "⟧":
            spans.append(Span(starts.pop(), len(plain), "X"))
        else:
            plain += char
    return plain, spans


def snapped(text: str, strategy: str = "words") -> list[str]:
    plain, spans = marked(text)
    return [plain[span.start : span.end] for span in snap(plain, spans, strategy)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("insuficiencia renal", ["insuficiencia", "renal"]),
        ("příznak hjärtsvikt boală naïef", ["příznak", "hjärtsvikt", "boală", "naïef"]),
        ("καρδία сердце", ["καρδία", "сердце"]),
        ("IL-6, COVID-19 y 5-FU", ["IL-6", "COVID-19", "y", "5-FU"]),
        ("HD-associated", ["HD", "associated"]),
        ("l'ictus l’ictus", ["l", "ictus", "l", "ictus"]),
        ("Crohn's ANCA’s", ["Crohn's", "ANCA’s"]),
        ("T2N0M0 HER2+ (AAS)", ["T2N0M0", "HER2", "AAS"]),
        ("38,5 ºC 3.500 37 °C m²", ["38,5", "ºC", "3.500", "37", "C", "m²"]),
        ("el T.A.C. por vía i.v.", ["el", "T.A.C", "por", "vía", "i.v"]),
        ("muslo.Precisa a_b", ["muslo", "Precisa", "a", "b"]),
        ("AO2/DTD a\u200bb a\u00adb a\u00a0b", ["AO2", "DTD", "a", "b", "a\u00adb", "a", "b"]),
        ("", []),
        ("... \n", []),
    ],
)
def test_words_of_clinical_text(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_inner_characters_are_a_setting() -> None:
    assert words("post-operatorio dell'ictus", "-") == ["post-operatorio", "dell", "ictus"]
    assert words("post-operatorio dell'ictus", "-'") == ["post-operatorio", "dell'ictus"]
    assert words("-ictus- a--b", "-") == ["ictus", "a", "b"]
    assert words("a^b]c\\d", "^]\\") == ["a^b]c\\d"]


def test_decomposed_letters_give_the_same_words() -> None:
    text = "příznak hjärtsvikt infección boală două-trei"
    decomposed = unicodedata.normalize("NFD", text)
    assert decomposed != text
    assert [unicodedata.normalize("NFC", word) for word in words(decomposed)] == words(text)


LETTER = r"[\p{L}\p{N}]"
JOIN = rf"""
    [\p{{WB=Format}}\p{{WB=ZWJ}}\p{{WB=Extend}}]+
  | (?<=\p{{N}})[.,](?=\p{{N}})
  | (?<=\p{{N}})[-\u2010\u2011] | [-\u2010\u2011](?=\p{{N}})
  | ['’](?=\p{{L}}\p{{M}}*(?!{LETTER}))
  | (?<=(?<!{LETTER})\p{{L}}\p{{M}}*)\.(?=\p{{L}}\p{{M}}*(?!{LETTER}))
"""
NASTY = " ab x5٣é\u0301-(.,'’\u2010\r\n\u00a0\u00ad\u200b\u200c\u200d\uff9e😀\U0001f3fb漢²_/[]^\\"


@given(
    st.lists(st.sampled_from(NASTY), max_size=20).map("".join),
    st.sampled_from(["", "-'", "]\\^", "/ "]),
)
def test_words_are_what_one_pattern_finds(text: str, inner: str) -> None:
    join = f"{JOIN} | [{regex.escape(inner, special_only=False)}]" if inner else JOIN
    run = rf"{LETTER}[\p{{L}}\p{{N}}\p{{M}}]*+"
    pattern = regex.compile(f"{run} (?: (?: {join} ) {run} )*+", regex.VERSION1 | regex.VERBOSE)
    found = [match.span() for match in pattern.finditer(text)]
    assert list(map(tuple, word_spans(text, inner).tolist())) == found


def test_offsets_are_int32_pairs() -> None:
    spans = word_spans("HER2+ en l'ictus")
    assert spans.dtype == np.int32
    assert spans.tolist() == [[0, 4], [6, 8], [9, 10], [11, 16]]
    assert word_spans("").shape == (0, 2)


def test_index_numbers_the_characters() -> None:
    assert word_index(" ab-c ").tolist() == [-1, 0, 0, -1, 1, -1]
    assert word_index("").tolist() == []
    assert word_index("a𝒳b 1").tolist() == [0, 0, 0, -1, 1]  # beyond the BMP: one character each


PIECES = [*'abnéñřåțAZ09  \n()[]%+/«»"–!?', "e\u0301", "r\u030c", "7\u0301"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_words_are_those_of_uax_29_where_nothing_is_tailored(text: str) -> None:
    edges = [match.start() for match in regex.finditer(r"\b", text, regex.WORD | regex.VERSION1)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert words(text) == [piece for piece in pieces if piece[0].isalnum()]


@pytest.mark.parametrize(
    ("decoded", "expected"),
    [
        ("⟦insuficiencia re⟧nal", "insuficiencia renal"),
        ("insu⟦ficiencia renal⟧", "insuficiencia renal"),
        ("la⟦ fiebre alta, ⟧y", "fiebre alta"),
        ("⟦\u200bfiebre\u200b\n⟧", "fiebre"),
        ("⟦re\u0301nal⟧", "re\u0301nal"),
        ("⟦re⟧\u0301nal", "re\u0301nal"),
        # Brackets and quotation marks
        ("⟦insuficiencia renal crónica (IRC)⟧ y", "insuficiencia renal crónica (IRC)"),
        ("⟦insuficiencia renal crónica (IRC⟧) y", "insuficiencia renal crónica (IRC)"),
        ("⟦insuficiencia renal crónica (⟧IRC) y", "insuficiencia renal crónica"),
        ("⟦insuficiencia (IRC⟧ crónica) y", "insuficiencia (IRC"),
        ("(⟦IRC)⟧ y", "IRC"),
        ("⟦(AAS)⟧", "AAS"),
        ("⟦ [(AAS)], ⟧", "AAS"),
        ("⟦(GGT) y (PTH)⟧", "(GGT) y (PTH)"),
        ("(⟦glucosa) normal⟧", "glucosa) normal"),
        ('⟦parálisis "a frigore"⟧', 'parálisis "a frigore"'),
        ('⟦parálisis "a frigore⟧"', 'parálisis "a frigore"'),
        ('"⟦parálisis⟧"', "parálisis"),
        ("⟦“posos de café”⟧", "posos de café"),
        ("⟦hepatitis «no-A, no-B»⟧", "hepatitis «no-A, no-B»"),
        ('⟦crisis " plus "⟧ (', 'crisis " plus "'),
        ("patients' ⟦fuga 'alta'⟧", "fuga 'alta'"),
        # Words with punctuation in them
        ("⟦IL⟧-6", "IL-6"),
        ("T2⟦N0M0⟧", "T2N0M0"),
        ("⟦HD-⟧associated", "HD"),
        ("fiebre de ⟦38,⟧5 ºC", "38,5"),
        ("⟦Alzheimer⟧'s", "Alzheimer's"),
        ("l'⟦ictus⟧", "ictus"),
        # Signs and abbreviations
        ("⟦HER2⟧+ y", "HER2+"),
        ("⟦Ca+⟧+.", "Ca++"),
        ("⟦linfoma CD20 +⟧.", "linfoma CD20 +"),
        ("⟦sarcoma +⟧ carcinoma", "sarcoma"),
        ("⟦sarcoma+⟧carcinoma", "sarcoma"),
        ("⟦formol al 10⟧%", "formol al 10%"),
        ("⟦formol al 10 %⟧ y", "formol al 10 %"),
        ("a ⟦37 °⟧C", "37 °C"),
        ("a ⟦37 °C⟧.", "37 °C"),
        ("a ⟦38,5 ºC⟧.", "38,5 ºC"),
        ("el ⟦T.A.C⟧. de", "T.A.C."),
        ("con ⟦trasplante.⟧ Desde", "trasplante"),
        ("de ⟦G6PD A-⟧)", "G6PD A-"),
        ("⟦artritis ANA(+)⟧ y", "artritis ANA(+)"),
        ("fiebre ⟦> 38⟧", "> 38"),
    ],
)
def test_words_snapping(decoded: str, expected: str) -> None:
    assert snapped(decoded) == [expected]


@pytest.mark.parametrize(
    ("decoded", "expected"),
    [
        ("⟦ insuficiencia re⟧nal", "insuficiencia renal"),
        ("⟦insuficiencia renal (IRC)⟧", "insuficiencia renal (IRC"),
        ("⟦HER2+⟧", "HER2"),
        ("T2N0⟦M0⟧", "T2N0M0"),
        ("⟦IL⟧-6", "IL"),
        ("pe⟦diátr⟧icañ", "pediátricañ"),
    ],
)
def test_paper_snapping(decoded: str, expected: str) -> None:
    assert snapped(decoded, "paper") == [expected]


@pytest.mark.parametrize("strategy", ["paper", "words"])
def test_mentions_without_a_letter_or_digit_go(strategy: str) -> None:
    assert snapped("a ⟦ (+), ⟧ b⟦.⟧", strategy) == []


def test_none_changes_nothing_but_repeats() -> None:
    assert snapped("⟦insuf⟧iciencia⟦ ,⟧", "none") == ["insuf", " ,"]
    assert snap("abc", [Span(0, 1, "X"), Span(0, 1, "X")], "none") == (Span(0, 1, "X"),)


def test_parts_of_one_word_become_one_mention_with_the_higher_score() -> None:
    text = "crisis hipertensión arterial"  # crisis hiper|ten|sión arterial
    spans = [Span(0, 12, "X", 0.5), Span(12, 15, "X", 0.9), Span(15, 28, "X", 0.7)]
    (whole,) = snap(text, spans)
    assert (whole.start, whole.end, whole.label, whole.score) == (0, 28, "X", 0.9)


def test_other_labels_and_nested_mentions_stay_apart() -> None:
    text = "hipertensión arterial"
    nested = [Span(0, 21, "X"), Span(13, 21, "X")]
    assert snap(text, nested) == tuple(nested)
    assert snap(text, [Span(0, 5, "X"), Span(5, 12, "Y")]) == (Span(0, 12, "X"), Span(0, 12, "Y"))


def test_repeats_keep_the_higher_score() -> None:
    (kept,) = snap("fiebre", [Span(0, 4, "X", 0.2), Span(1, 6, "X", 0.8), Span(0, 6, "X")])
    assert kept.score == 0.8


def test_mistyped_strategy_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"snapping='papper'.*did you mean 'paper'"):
        snap("a", [], "papper")


CLINICAL = st.text("aéñZ09 \n.,;-+%°'\"“”«»()[]\u0301\u200b\u00ad", max_size=40)


@st.composite
def annotated(draw: st.DrawFn) -> tuple[str, list[Span]]:
    text = draw(CLINICAL.filter(bool))
    edges = st.integers(0, len(text))
    pairs = draw(st.lists(st.tuples(edges, edges), max_size=6))
    labels = st.sampled_from("XY")
    return text, [Span(min(p), max(p), draw(labels)) for p in pairs if p[0] != p[1]]


def overlapping(spans: tuple[Span, ...] | list[Span]) -> bool:
    return any(a.label == b.label and a.overlaps(b) for a, b in combinations(spans, 2))


@pytest.mark.parametrize("strategy", SNAPPINGS)
@given(annotated())
def test_snapping_invariances(strategy: str, sample: tuple[str, list[Span]]) -> None:
    text, spans = sample
    once = snap(text, spans, strategy)
    assert snap(text, once, strategy) == once  # idempotent
    assert list(once) == sorted(set(once))  # sorted, nothing twice
    assert snap(text, spans[::-1], strategy) == once  # order does not matter
    assert {span.label for span in once} <= {span.label for span in spans}
    if not overlapping(spans):
        assert not overlapping(once)
    if strategy != "none":
        assert all(any(c.isalnum() for c in text[s.start : s.end]) for s in once)
        assert not any(text[s.start].isspace() or text[s.end - 1].isspace() for s in once)


def gold_of(root: Path) -> Iterator[tuple[str, str, list[Span]]]:
    """Corpus, text and distinct gold mentions of every document."""
    for ann in sorted(root.rglob("*.ann")):
        text = (ann.parent.parent / "txt" / f"{ann.stem}.txt").read_bytes().decode()
        lines = ann.read_bytes().decode().splitlines()
        marks = [line.split("\t")[1].split() for line in lines if line.startswith("T")]
        spans = {Span(int(start), int(end), label) for label, start, end in marks}
        yield ann.relative_to(root).parts[0], text, sorted(spans)


@pytest.fixture(scope="module")
def gold(shared_data: Path) -> list[tuple[str, str, list[Span]]]:
    return list(gold_of(shared_data))


@pytest.mark.data
def test_words_snapping_spares_gold(gold: list[tuple[str, str, list[Span]]]) -> None:
    total = sum(len(spans) for _, _, spans in gold)
    lost = {
        strategy: sum(len(set(spans) - set(snap(text, spans, strategy))) for _, text, spans in gold)
        for strategy in SNAPPINGS
    }
    assert total > 37_000
    assert lost["none"] == 0
    assert lost["words"] < 0.003 * total
    assert lost["words"] < 0.5 * lost["paper"]


@pytest.mark.data
def test_words_snapping_recovers_at_least_what_the_paper_recovers(
    gold: list[tuple[str, str, list[Span]]],
) -> None:
    rng = random.Random(0)
    recovered = {"paper": 0, "words": 0}
    for _, text, spans in gold:
        snappers = {name: SNAPPINGS[name](text, "") for name in recovered}
        for span in spans:
            for slip in (_cut(text, span, rng), _grown(text, span, rng)):
                for name, snapper in snappers.items():
                    recovered[name] += snapper(*slip) == (span.start, span.end)
    assert recovered["words"] > recovered["paper"]


def _cut(text: str, span: Span, rng: random.Random) -> tuple[int, int]:
    """Edges up to 3 characters short at one end, where that end then lies inside a word."""
    size = rng.randint(1, 3)
    start, end = rng.choice([(span.start + size, span.end), (span.start, span.end - size)])
    edge = end if start == span.start else start
    inside = start < end and text[edge - 1].isalnum() and text[edge].isalnum()
    return (start, end) if inside else (span.start, span.end)


def _grown(text: str, span: Span, rng: random.Random) -> tuple[int, int]:
    """Edges with up to 3 characters of white space and punctuation beside one end."""
    start, end = span.start, span.end
    left = rng.random() < 0.5
    for _ in range(rng.randint(1, 3)):
        if left and start > 0 and not text[start - 1].isalnum():
            start -= 1
        elif not left and end < len(text) and not text[end].isalnum():
            end += 1
    return start, end


def test_characters_of_inner_hold_a_word_together_when_snapping() -> None:
    """`post-operatorio` is two words by the rule and one with `inner="-"`."""
    text = "dolor post-operatorio"
    decoded = [Span(0, 10, "X")]  # dolor post
    assert snap(text, decoded) == (Span(0, 10, "X"),)
    assert snap(text, decoded, inner="-") == (Span(0, 21, "X"),)
