"""What cannot be reached is lost to one reason each, and the losses add up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.ceiling import Ceiling, corpus_ceiling, document_ceilings
from multiclin.document import Document, Span
from multiclin.scoring.counts import Counts
from multiclin.store import tag_document
from multiclin.tagging import Tagging
from multiclin.windows import Tokenized, Windowing
from tests.toy_models import BIO, characters, decoder, marked, tokenized

TAGGING = Tagging(("X",), BIO)
AS_PREDICTED = decoder(whole_words=True, snapping="words")


def ceiling(one: Tokenized, windowing: Windowing | None = None) -> Ceiling:
    (found,) = document_ceilings([one], TAGGING, AS_PREDICTED, windowing or Windowing())
    return found


def test_plain_mentions_are_all_within_reach() -> None:
    text = marked("sin [tos] ni [dolor de pecho]")
    one = ceiling(tokenized(text, "sin| tos| ni| do|lor| de| pe|cho"))
    assert one == Ceiling(gold=2, raw=Counts(tp=2), snapped=Counts(tp=2))
    assert one.figures()["f1"] == 1.0


def test_an_overlapped_mention_is_lost_to_the_scheme() -> None:
    one = ceiling(tokenized(marked("[grave [asma]]"), "grave| asma"))
    assert one.lost == {"overlap": 1}
    assert one.snapped == Counts(tp=1, fn=1)


def test_a_second_layer_holds_what_the_first_cannot() -> None:
    layered = Tagging(("X",), BIO, layers=2)
    one = characters(marked("[grave [asma]]"))
    one = replace(one, tags=tag_document(one, layered))
    (found,) = document_ceilings([one], layered, decoder(layered.heads), Windowing())
    assert found == Ceiling(gold=2, raw=Counts(tp=2), snapped=Counts(tp=2))


def test_a_repeated_mention_is_lost_to_the_scorer() -> None:
    twice = Document("d", "asma", (Span(0, 4, "X"),) * 2, annotated=frozenset({"X"}))
    one = ceiling(tokenized(twice, "asma"))
    assert one.lost == {"duplicate": 1}
    assert one.snapped == Counts(tp=1, fn=1)


@pytest.mark.parametrize(
    ("text", "pieces", "counts"),
    [
        ("T2N0[M0]", "T2N0M0", Counts(fp=1, fn=1)),  # an edge inside a token
        ("[uno]-[dos]", "uno-|dos", Counts(tp=1, fp=1, fn=1)),  # uno- comes back, and is snapped
        ("[ab][cd]", "a|bc|d", Counts(fp=1, fn=2)),  # bc can begin one mention or end the other
    ],
)
def test_a_mention_that_tokens_cannot_mark_is_lost_to_the_tokenizer(
    text: str, pieces: str, counts: Counts
) -> None:
    one = tokenized(marked(text), pieces)
    bare = decoder()
    (found,) = document_ceilings([one], TAGGING, bare, Windowing())
    assert found.lost == {"tokenizer": counts.fn}
    assert found.raw == found.snapped == counts


def test_snapping_can_win_back_what_the_tokenizer_lost() -> None:
    one = ceiling(tokenized(marked("[uno] -dos"), "uno -|dos"))
    assert (one.raw, one.snapped, one.lost) == (Counts(fp=1, fn=1), Counts(tp=1), {})


def test_a_mention_of_half_a_word_is_lost_to_the_rule_of_words() -> None:
    one = ceiling(tokenized(marked("[hiperten]sión"), "hiper|ten|sión"))
    assert one.lost == {"words": 1}
    assert one.raw == Counts(tp=1)
    assert one.snapped == Counts(fp=1, fn=1)


def test_mentions_longer_than_a_window_are_counted_but_not_lost() -> None:
    one = ceiling(characters(marked("[abcdefgh] [ij]")), Windowing(size=8, overlap=2, specials=2))
    assert (one.split, one.lost, one.snapped) == (1, {}, Counts(tp=2))


def test_only_annotated_labels_count() -> None:
    spans = (Span(0, 3, "X"), Span(4, 7, "Y"))
    one = Document("d", "tos asm", spans, annotated=frozenset({"X"}))
    pieces = tokenized(one, "tos| asm", labels=("X", "Y"))
    (found,) = document_ceilings(
        [pieces], Tagging(("X", "Y"), BIO), decoder(("X", "Y")), Windowing()
    )
    assert found == Ceiling(gold=1, raw=Counts(tp=1), snapped=Counts(tp=1))


def test_ceilings_of_a_language_add_up() -> None:
    texts = [
        tokenized(marked("[grave [asma]]", language="es"), "grave| asma"),
        tokenized(marked("[hiperten]sión", language="es"), "hiper|ten|sión"),
        tokenized(marked("[tosse]", language="it"), "tosse"),
        tokenized(marked("nada", language=""), "nada"),
    ]
    found = corpus_ceiling(texts, TAGGING, AS_PREDICTED, Windowing())
    assert {code: one.gold for code, one in found.items()} == {"es": 3, "it": 1, "?": 0}
    assert found["es"].figures() == {
        "gold": 3,
        "lost_overlap": 1,
        "lost_duplicate": 0,
        "lost_tokenizer": 0,
        "lost_words": 1,
        "split_by_windows": 0,
        "f1_before_snapping": 0.8,  # 2 of 3, nothing spurious: 2 * 2 / (3 + 2)
        "recall": 0.3333,
        "f1": 0.4,  # 1 of 3, and `hipertensión` spurious: 2 * 1 / (3 + 2)
    }


@given(st.data())
def test_found_and_lost_mentions_are_all_the_gold(data: st.DataObject) -> None:
    text = data.draw(st.text("ab -é", min_size=1, max_size=20).filter(str.strip))
    cuts = data.draw(st.sets(st.sampled_from(range(len(text)))))
    pieces = "".join(f"|{char}" if at in cuts else char for at, char in enumerate(text))
    edges = st.tuples(st.sampled_from(range(len(text))), st.integers(1, 8))
    spans = [Span(at, min(len(text), at + size), "X") for at, size in data.draw(st.lists(edges))]
    one = Document("d", text, tuple(spans), annotated=frozenset({"X"}))
    found = ceiling(tokenized(one, pieces))
    assert found.gold == len(spans) == found.snapped.tp + found.lost.total()
