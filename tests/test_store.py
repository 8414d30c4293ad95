from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multiclin.document import Document, Span
from multiclin.store import Entry, Store, store_name, tag_document
from multiclin.tagging import SCHEMES, Tagging
from multiclin.windows import IGNORED, Tokenized, Window
from tests import toys

BIO = SCHEMES["bio"]
DISEASE = Tagging(("DISEASE",), BIO)
JOINT = Tagging(("DISEASE", "SYMPTOM"), BIO)

ODD = [
    Document("empty", ""),
    Document("blank", " \r\n\u00a0"),
    Document("bom", "\ufeffdolor\r\nx", (Span(1, 6, "DISEASE"),), "es"),
    Document("emoji", "😀 dolor 漢", (Span(0, 1, "DISEASE"), Span(2, 7, "SYMPTOM")), "en"),
    Document("nfd", "tora\u0301cico", (Span(0, 5, "DISEASE"), Span(0, 5, "DISEASE"))),
    Document(
        "gold", "no mention", annotated=frozenset({"DISEASE"}), case="the case", language="cz"
    ),
]


def build(
    folder: Path, documents: list[Document], tagging: Tagging = DISEASE, split: str = "train"
) -> Store:
    rows = ((split, document) for document in documents)
    return Store.build(folder, rows, toys.metaspace(), tagging)


# Round trip


def test_documents_come_back_as_they_were(tmp_path: Path) -> None:
    documents = ODD + toys.documents()
    store = build(tmp_path / "store", documents, JOINT)
    assert len(store) == len(documents)
    assert [store.tokenized(number).document for number in range(len(store))] == documents
    assert [store.text(number) for number in range(len(store))] == [one.text for one in documents]


def test_tokens_come_back_as_the_tokenizer_gave_them(tmp_path: Path) -> None:
    store = build(tmp_path / "store", ODD, JOINT)
    for number, fresh in enumerate(toys.metaspace().tokenize(ODD)):
        stored = store.tokenized(number)
        for name in ("ids", "starts", "ends"):
            here, there = getattr(stored, name), getattr(fresh, name)
            assert here.dtype == there.dtype
            assert here.tolist() == there.tolist()
        assert stored.tags is not None
        assert stored.tags.tolist() == tag_document(fresh, JOINT).tolist()
        assert store.lengths[number] == len(fresh)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=4))
def test_any_texts_come_back(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    documents = [
        Document(str(n), text, (Span(0, len(text), "DISEASE"),) if text else ())
        for n, text in enumerate(texts)
    ]
    store = build(tmp_path_factory.mktemp("any") / "store", documents)
    assert [store.tokenized(number).document for number in range(len(store))] == documents


def test_a_window_is_a_slice_of_ids_and_tags(tmp_path: Path) -> None:
    store = build(tmp_path / "store", toys.documents(), JOINT)
    whole = store.tokenized(3)
    assert whole.tags is not None
    ids, tags = store.tokens(3, Window(2, 7))
    assert ids.tolist() == whole.ids[2:7].tolist()
    assert tags.shape == (2, 5)
    assert tags.tolist() == whole.tags[:, 2:7].tolist()


def test_entries_tell_of_documents_without_their_text(tmp_path: Path) -> None:
    store = build(tmp_path / "store", ODD[-1:], split="validation")
    assert store.entries == [
        Entry("gold", "cz", "the case", "validation", frozenset({"DISEASE"})),
    ]


def test_more_documents_than_are_tokenised_at_a_time(tmp_path: Path) -> None:
    documents = [Document(str(n), "dolor " * (n % 3)) for n in range(150)]
    store = build(tmp_path / "store", documents)
    assert [store.tokenized(number).document for number in (0, 63, 64, 149)] == [
        documents[number] for number in (0, 63, 64, 149)
    ]


def test_mentions_of_other_labels_are_left_out(tmp_path: Path) -> None:
    document = Document("a", "dolor y fiebre", (Span(0, 5, "SYMPTOM"), Span(8, 14, "DISEASE")))
    store = build(tmp_path / "store", [document])
    assert store.tokenized(0).document == document.with_spans((Span(8, 14, "DISEASE"),))


def test_an_empty_corpus(tmp_path: Path) -> None:
    store = build(tmp_path / "store", [])
    assert (len(store), store.lengths.tolist()) == (0, [])


# Tags


def tagged(document: Document, tagging: Tagging) -> list[str]:
    """Per label a letter for each token, `.` where it is ignored."""
    [one] = toys.word_piece().tokenize([document])
    return [
        "".join("." if tag == IGNORED else tagging.scheme.tags[tag] for tag in row)
        for row in tag_document(one, tagging)
    ]


def test_a_label_without_gold_is_ignored() -> None:
    document = toys.document("a", "⟦dolor torácico⟧ (dolor)")
    assert tagged(document, JOINT) == ["BIIOOO", "......"]
    both = replace(document, annotated=frozenset({"DISEASE", "SYMPTOM"}))
    assert tagged(both, JOINT) == ["BIIOOO", "OOOOOO"]


def test_mentions_of_a_label_that_is_not_annotated_are_no_gold() -> None:
    """A text may carry some mentions of a label without being complete for it."""
    document = replace(toys.document("a", "⟦dolor⟧"), annotated=frozenset())
    assert tagged(document, DISEASE) == ["."]


def test_white_space_is_ignored_also_inside_a_mention() -> None:
    document = toys.document("a", "x ⟦é x é⟧ é")
    [one] = toys.byte_level().tokenize([document])
    # x, space, é, ` x`, space, é, space, é
    assert tag_document(one, DISEASE).tolist() == [[0, IGNORED, 1, 2, IGNORED, 2, IGNORED, 0]]


def test_bytes_of_one_character_share_its_mention() -> None:
    [one] = toys.byte_level().tokenize([toys.document("a", "⟦😀⟧x")])
    assert tag_document(one, DISEASE).tolist() == [[1, 2, 2, 2, 0]]


def test_a_document_without_tokens_has_no_tags() -> None:
    [one] = toys.word_piece().tokenize([Document("a", "")])
    assert tag_document(one, JOINT).shape == (2, 0)


# Files


def failing() -> Iterator[tuple[str, Document]]:
    yield from (("train", Document(str(n), "dolor")) for n in range(100))
    raise RuntimeError("the corpus broke off")


def test_a_store_that_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="broke off"):
        Store.build(tmp_path / "store", failing(), toys.metaspace(), DISEASE)
    assert list(tmp_path.iterdir()) == []
    assert len(build(tmp_path / "store", ODD)) == len(ODD)


def test_a_store_travels_to_a_worker_as_its_place(tmp_path: Path) -> None:
    store = build(tmp_path / "store", toys.documents())
    store.tokenized(0)  # the maps are open
    sent = pickle.dumps(store)
    assert len(sent) < 300 + len(str(tmp_path))
    assert pickle.loads(sent).tokenized(1).document == store.tokenized(1).document


def test_documents_do_not_share_memory_with_the_map(tmp_path: Path) -> None:
    one = build(tmp_path / "store", toys.documents()).tokenized(0)
    assert isinstance(one, Tokenized)
    assert not isinstance(one.ids, np.memmap)
    one.ids[0] = 0  # a map is read-only


def test_a_name_depends_on_every_part_and_not_on_their_order() -> None:
    parts = {"corpus": "abc", "labels": ["A", "B"], "scheme": "bio"}
    names = [
        store_name(parts),
        store_name({**parts, "scheme": "bioes"}),
        store_name({**parts, "labels": ["B", "A"]}),
        store_name({**parts, "more": None}),
    ]
    assert len(set(names)) == 4
    assert all(len(one) == len(other) for one, other in pairwise(names))
    assert store_name(dict(reversed(parts.items()))) == names[0]
