"""Versions of a case with the same text: one document to train on, with the gold of all."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from multiclin.document import Document
from multiclin.store import Store, tag_document
from multiclin.tagging import SCHEMES, Tagging
from multiclin.versions import JoinedStore, versions_of
from multiclin.windows import IGNORED, Window
from tests import toys
from tests.toy_models import marked

TAGGING = Tagging(("A", "B", "C"), SCHEMES["bio"])


def version(marks: str, label: str, case: str = "1") -> Document:
    one = marked(marks, f"{case}-{label}", label)
    return Document(one.id, one.text, one.spans, "es", frozenset({label}), case)


DOCUMENTS = [
    version("Con [diabetes] hoy.", "A"),
    version("Con [diabetes hoy].", "B"),
    version("Con diabetes ayer.", "C"),
    version("Con diabetes [hoy].", "A", "2"),  # Another case,
    version("Con [diabetes] hoy.", "A"),  # and a label that stands there already.
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("versions") / "store"
    rows = [("train", one) for one in DOCUMENTS] + [("test", DOCUMENTS[1])]
    return Store.build(folder, rows, toys.metaspace(), TAGGING)


def test_versions_have_one_case_one_text_and_other_labels(store: Store) -> None:
    assert versions_of(store, range(6)) == {0: [1], 2: [], 3: [], 4: [], 5: []}
    assert versions_of(store, [1, 2]) == {1: [], 2: []}


def test_a_joined_document_has_the_gold_of_all(store: Store) -> None:
    joined = JoinedStore(store.folder, {0: [1], 2: []})
    both = version("Con [diabetes] hoy.", "A").spans + version("Con [diabetes hoy].", "B").spans
    assert joined.document(0).spans == tuple(sorted(both))
    assert joined.document(0).annotated == joined.entries[0].annotated == {"A", "B"}
    assert joined.entries[1].annotated == {"B"}
    whole = joined.tokenized(0)
    assert whole.tags is not None
    assert whole.tags.tolist() == tag_document(whole, TAGGING).tolist()
    assert (whole.tags[2] == IGNORED).all()


def test_windows_of_a_joined_document_have_its_tags(store: Store) -> None:
    joined = JoinedStore(store.folder, {0: [1]})
    whole, window = joined.tokenized(0), Window(1, 4)
    assert whole.tags is not None
    ids, tags = joined.tokens(0, window)
    assert ids.tolist() == whole.ids[1:4].tolist()
    assert np.array_equal(tags, whole.tags[:, 1:4])
    alone = store.tokens(3, window)
    assert np.array_equal(joined.tokens(3, window)[1], alone[1])


def test_worker_processes_open_it_as_it_is(store: Store) -> None:
    joined = pickle.loads(pickle.dumps(JoinedStore(store.folder, {0: [1]})))
    assert joined.entries[0].annotated == {"A", "B"}
