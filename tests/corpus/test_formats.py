"""Every format: parts and splits; nothing is lost on a round trip but what the ledger names."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiclin.corpus.exchange import Loss, Losses, Reading, Survey
from multiclin.corpus.formats import FORMATS, format_of, parts_of, telling
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, CorpusError, OutputError

FLAT = ("conll", "huggingface")
PLACES = dict.fromkeys(FORMATS, "corpus") | {"bioc": "corpus.xml"}
ALL_LABELS = frozenset(["X", "Y"])


def exchanged(
    root: Path, name: str, documents: list[Document], file: str = "corpus"
) -> tuple[list[Document], list[Loss]]:
    """The documents written and read back, by name, and all that was told on the way."""
    told: list[Loss] = []
    losses, corpus = Losses(told.append), [("", one) for one in documents]
    FORMATS[name].write(corpus, root / file, Survey.of(corpus), losses)
    reading = Reading(annotated=ALL_LABELS, language="es", losses=losses)
    found = [one for _, one in FORMATS[name].read(root / file, reading)]
    return sorted(found, key=lambda one: one.id), told


@st.composite
def hard_documents(draw: st.DrawFn) -> list[Document]:
    """Texts of every kind of white space and code point; mentions anywhere, nested, repeated."""
    character = st.characters(exclude_categories=["Cs"]) | st.sampled_from('\t\n\r \xa0\x85"ab.\0')
    found = []
    for number in range(draw(st.integers(1, 3))):
        text = draw(st.text(character, min_size=1, max_size=30))
        place = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))
        pairs = draw(st.lists(st.tuples(place, st.sampled_from("XY")), max_size=6))
        spans = tuple(Span(a, b, label) for (a, b), label in pairs if a < b)
        found.append(Document(f"é {number}", text, spans, "es", ALL_LABELS))
    return found


@st.composite
def documents_of_words(draw: st.DrawFn) -> list[Document]:
    """Mentions of whole words that do not overlap."""
    found = []
    for number in range(draw(st.integers(1, 3))):
        text, spans = "", []
        for _ in range(draw(st.integers(0, 8))):
            words = draw(st.lists(st.sampled_from(["tos", "IL-6", "ñ", "(", "."]), min_size=1))
            start, text = len(text), text + draw(st.sampled_from([" ", "\n", "\r\n"])).join(words)
            if label := draw(st.sampled_from(["", "X", "Y"])):
                spans.append(Span(start, len(text), label))
            text += draw(st.sampled_from([" ", "\n\n", ". A"])) + " "
        found.append(Document(f"d{number}", text, tuple(spans), "es", ALL_LABELS))
    return found


def folder(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("exchange")


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=25)
@given(documents=hard_documents())
def test_what_does_not_come_back_is_told(
    tmp_path_factory: pytest.TempPathFactory, name: str, documents: list[Document]
) -> None:
    found, told = exchanged(folder(tmp_path_factory), name, documents, PLACES[name])
    lost: defaultdict[str, Counter[Span]] = defaultdict(Counter)
    for loss in told:
        if loss.span:
            lost[loss.document][loss.span] += 1
    assert [one.id for one in found] == [one.id for one in documents]
    for before, after in zip(documents, found, strict=True):
        missing, new = Counter(before.spans), Counter(after.spans)
        missing, new = missing - new, new - missing
        assert missing <= lost[before.id]
        # An edge that was cut off is told as the mention that it was.
        assert all(
            any(span.start <= one.start and one.end <= span.end for span in missing) for one in new
        )
        texts = [one for one in told if one.document == before.id and one.reason.startswith("text")]
        assert before.text == after.text or texts
        assert (after.language, after.annotated) == ("es", ALL_LABELS)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=25)
@given(documents=documents_of_words())
def test_flat_mentions_of_words_come_back_from_every_format(
    tmp_path_factory: pytest.TempPathFactory, name: str, documents: list[Document]
) -> None:
    found, told = exchanged(folder(tmp_path_factory), name, documents)
    assert found == documents
    assert {loss.reason.partition(";")[0] for loss in told} <= {"language"}


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in FLAT])
def test_nested_overlapping_and_repeated_mentions_come_back(tmp_path: Path, name: str) -> None:
    spans = [Span(*edges, "X") for edges in ((0, 12), (0, 3), (0, 3), (2, 7), (5, 12))]
    one = Document("a", "tos muy leve", (*spans, Span(0, 3, "Y")), "es", ALL_LABELS)
    found, told = exchanged(tmp_path, name, [one])
    assert found == [one]
    assert all(loss.span is None for loss in told)


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("multiclinner", "brat")])
def test_a_name_with_a_folder_keeps_it_and_its_text(tmp_path: Path, name: str) -> None:
    one = Document("dev/a", "Sin\ttos.", (Span(4, 7, "X"),), "es", ALL_LABELS, "a")
    found, told = exchanged(tmp_path, name, [one])
    assert found == [one]
    assert {loss.reason.partition(";")[0] for loss in told} <= {"language"}


@pytest.mark.parametrize("name", ["brat", "tsv", "conll"])
@pytest.mark.parametrize("id", ["", " ", "a//b", "/a", "a/../b", ".a", "a.txt", "a" * 300])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str, id: str) -> None:
    with pytest.raises(OutputError):
        exchanged(tmp_path, name, [Document(id, "tos", (Span(0, 3, "X"),))])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "multiclinner"])
def test_splits_are_written_apart_and_read_again(tmp_path: Path, name: str) -> None:
    corpus = [
        (split, Document(id, "Sin tos", (Span(4, 7, "X"),), "es", frozenset(["X"])))
        for split, id in (("dev", "a"), ("test", "b"), ("train", "a"))
    ]
    FORMATS[name].write(corpus, tmp_path / "out", Survey.of(corpus), Losses())
    how = Reading(annotated=frozenset(["X"]), language="es")
    assert list(FORMATS[name].read(tmp_path / "out", how)) == corpus
    chosen = Reading(annotated=frozenset(["X"]), language="es", split="test")
    assert list(FORMATS[name].read(tmp_path / "out", chosen)) == corpus[1:2]
    with pytest.raises(ConfigError, match=r"--split tests: the corpus has .*nearest: 'test'"):
        list(FORMATS[name].read(tmp_path / "out", Reading(split="tests")))


def test_a_split_is_the_name_of_a_part_that_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "x"}\n')
    found = list(FORMATS["jsonl"].read(tmp_path / "a.jsonl", Reading(split="test")))
    assert [(split, one.id) for split, one in found] == [("test", "a")]


def test_one_file_holds_one_split(tmp_path: Path) -> None:
    corpus = [("test", Document("a", "x")), ("train", Document("b", "x"))]
    with pytest.raises(OutputError, match="is one file, and the corpus has the splits test, train"):
        FORMATS["jsonl"].write(corpus, tmp_path / "a.jsonl", Survey.of(corpus), Losses())
    FORMATS["jsonl"].write(corpus[:1], tmp_path / "a.jsonl", Survey.of(corpus[:1]), Losses())
    assert (tmp_path / "a.jsonl").is_file()


def lay(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


@pytest.mark.parametrize(
    ("files", "names", "splits"),
    [
        ((".jsonl",), ["train.jsonl", "dev.jsonl", "notes.txt"], ["dev", "train"]),
        ((".jsonl",), ["one.jsonl", "two.jsonl"], [""]),
        ((), ["train/a.txt", "test/b.ann", "background/c.txt"], ["background", "test", "train"]),
        ((), ["train/a.txt", "scripts/run.py"], ["train"]),
        ((), ["train-1.txt", "train-1.ann"], [""]),
        ((".tsv",), ["train.tsv", "test.tsv", "txt/a.txt"], ["test", "train"]),
        ((".tsv",), ["tsv/train.tsv", "tsv/test.tsv", "txt/a.txt"], ["test", "train"]),
        ((".tsv",), ["train/a.tsv", "train/txt/a.txt", "val/tsv/b.tsv"], ["train", "val"]),
        (
            (".parquet", ".json"),
            ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "dataset_info.json"],
            ["train", "train"],
        ),
    ],
)
def test_parts_are_told_by_their_names(
    tmp_path: Path, files: tuple[str, ...], names: list[str], splits: list[str]
) -> None:
    lay(tmp_path, *names)
    assert [split for split, _ in parts_of(tmp_path, files)] == splits


def test_a_name_that_comes_twice_is_a_problem(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_text('{"id": "a", "text": "x"}\n')
    with pytest.raises(CorpusError, match="a second document with the name 'a'"):
        list(FORMATS["jsonl"].read(tmp_path, Reading()))


def test_problems_of_all_parts_come_together(tmp_path: Path) -> None:
    lay(tmp_path, "train.jsonl", "test.jsonl")
    with pytest.raises(CorpusError) as caught:
        list(FORMATS["jsonl"].read(tmp_path, Reading()))
    assert [problem.path.name for problem in caught.value.problems] == ["test.jsonl", "train.jsonl"]


def test_what_documents_tell_themselves_is_asked_for_or_named(tmp_path: Path) -> None:
    lines = '{"id": "a", "text": "x", "language": "it"}\n{"id": "b", "text": "x"}\n'
    (tmp_path / "a.jsonl").write_text(lines)
    read: Callable[[str], list[tuple[str, str]]] = lambda language: [  # noqa: E731
        (one.id, one.language)
        for _, one in FORMATS["jsonl"].read(tmp_path, Reading(language=language))
    ]
    assert read("") == [("a", "it"), ("b", "")]
    assert read("it") == [("a", "it"), ("b", "it")]
    assert read("es") == [("b", "es")]


def test_a_long_list_of_languages_is_told_in_part(tmp_path: Path) -> None:
    rows = [{"id": str(n), "text": "x", "language": "a" * 99 + str(n)} for n in range(50)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told = r"the corpus has a{40}\.\.\., .*\.\.\. \(30 more\)"
    with pytest.raises(ConfigError, match=told) as caught:
        list(FORMATS["jsonl"].read(tmp_path / "a.jsonl", Reading(language="es")))
    assert len(str(caught.value)) < 1100


def test_keys_of_json_lines_that_are_not_ours_are_told(tmp_path: Path) -> None:
    span = '{"start": 0, "end": 1, "label": "X", "note": 1}'
    line = f'{{"id": "a", "text": "xy", "meta": {{}}, "spans": [{span}, {span}]}}\n'
    (tmp_path / "a.jsonl").write_text(line)
    reading = Reading()
    list(FORMATS["jsonl"].read(tmp_path / "a.jsonl", reading))
    assert reading.losses.counts == {"key 'meta'": 1, "key 'note'": 2}


def test_facts_that_a_format_cannot_say_are_told() -> None:
    span = Span(0, 3, "X", 0.5)
    one = Document("a", "tos", (span,), "es", frozenset(["X"]), "case-1")
    survey = Survey.of([("", one), ("", Document("b", "", annotated=frozenset(["X", "Y"])))])
    told: list[Loss] = []
    telling(one, frozenset(), survey, Losses(told.append))
    assert told == [
        Loss("language; read it back with --language es", "a"),
        Loss("case", "a"),
        Loss("annotated labels: read back as all", "a"),
        Loss("mention: its score", "a", span),
    ]
    told.clear()
    telling(one, frozenset(["language", "case", "annotated", "score"]), survey, Losses(told.append))
    assert told == []


def test_the_ledger_counts_and_shows_the_first_places() -> None:
    losses = Losses()
    for name in ("a", "a", "b", "c"):
        losses.add("mention: gone", name, Span(1, 3, "X"))
    losses.add("case", "a", times=1_000)
    assert losses.table()[1:] == [
        ("mention: gone", "3", "4", "a 1-3, a 1-3, b 1-3, ..."),
        ("case", "1", "1,000", "a, ..."),
    ]


def test_an_unknown_format_is_named_with_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"--from=connl is none of brat, .*; the nearest is conll"
    ):
        format_of("connl", "--from")
