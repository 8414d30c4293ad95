"""The generated corpus: its lexicons, its layout, its determinism, its held-out terms."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from multiclin.corpus.brat import read_document
from multiclin.corpus.lexicon import LANGUAGES, Lexicon, TermDraws, hold_out, lexicon
from multiclin.corpus.sample import SECTIONS, SLOT, SampleSet, generate
from multiclin.corpus.tsv import COLUMNS, read_rows, rows_from_documents
from multiclin.document import Document
from multiclin.errors import ConfigError, OutputError

ENTITIES = ("disease", "procedure", "symptom")
MADE_SLOTS = {"age", "number", "date"}
every_language = pytest.mark.parametrize("language", LANGUAGES)


# --- Lexicons ---------------------------------------------------------------------------------


@cache
def raw(language: str) -> dict[str, Any]:
    text = (files("multiclin.corpus.lexicon") / f"{language}.yaml").read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    data: dict[str, Any] = yaml.load(text, Loader=loader)
    return data


def strings(node: object) -> list[str]:
    """Every leaf and key of a YAML tree, which all have to be strings."""
    if isinstance(node, dict):
        return [leaf for pair in node.items() for part in pair for leaf in strings(part)]
    if isinstance(node, list):
        return [leaf for part in node for leaf in strings(part)]
    assert isinstance(node, str), node  # An unquoted `no` or `12` is not one.
    return [node]


def literals(pattern: str) -> str:
    return " | ".join(SLOT.split(pattern)[::2])


@every_language
def test_lexicon_has_every_part(language: str) -> None:
    data = raw(language)
    parts = {"language", "terms", "abbreviations", "nested", "fillers", "patterns"}
    assert set(data) == parts
    assert data["language"] == language
    for part in ("terms", "abbreviations", "nested"):
        assert tuple(data[part]) == ENTITIES
    assert set(data["patterns"]) == set(SECTIONS)
    assert set(data["fillers"]) == {
        "drug",
        "anatomy",
        "unit_value",
        "place",
        "relative",
        "patient",
        "sentence",
    }


@every_language
def test_lexicon_strings_are_clean(language: str) -> None:
    for leaf in strings(raw(language)):
        assert leaf, "empty string"
        assert leaf == " ".join(leaf.split()), leaf
        assert unicodedata.is_normalized("NFC", leaf), leaf


@every_language
def test_patterns_use_known_slots_and_suffice(language: str) -> None:
    words = lexicon(language)
    known = {*ENTITIES, *words.fillers, *MADE_SLOTS} - {"sentence"}
    for section, patterns in words.patterns.items():
        assert len(patterns) >= SECTIONS[section][1]
        assert len(set(patterns)) == len(patterns)
        for pattern in patterns:
            assert set(SLOT.findall(pattern)) <= known, pattern
            assert not re.search(r"[{}]", literals(pattern)), pattern


@every_language
@pytest.mark.parametrize("entity", ENTITIES)
def test_nested_templates_hold_one_slot_of_their_entity(language: str, entity: str) -> None:
    frames = [SLOT.split(template) for template in lexicon(language).nested[entity]]
    assert all(len(frame) == 3 and frame[1] == entity for frame in frames)
    assert all(frame[0] or frame[2] for frame in frames)
    # Two that overlap are made of one that ends with its slot and one that begins with it.
    assert any(not frame[2] for frame in frames)
    assert any(not frame[0] for frame in frames)


@every_language
@pytest.mark.parametrize("entity", ENTITIES)
def test_three_hundred_distinct_terms(language: str, entity: str) -> None:
    entries = raw(language)["terms"][entity]
    composed = [
        f"{head} {tail}"
        for block in entries["compose"]
        for head, tail in product(block["heads"], block["tails"])
    ]
    counts = Counter(term.casefold() for term in [*entries["plain"], *composed])
    assert [term for term, count in counts.items() if count > 1] == []
    assert len(counts) >= 300


@every_language
def test_no_term_belongs_to_two_entities(language: str) -> None:
    words = lexicon(language)
    counts = Counter(term.casefold() for terms in words.terms.values() for term in terms)
    assert [term for term, count in counts.items() if count > 1] == []


@every_language
def test_an_abbreviation_stands_for_one_term(language: str) -> None:
    counts = Counter(
        short for pairs in lexicon(language).abbreviations.values() for short in pairs.values()
    )
    assert [short for short, count in counts.items() if count > 1] == []


@every_language
def test_no_mention_outside_the_slots(language: str) -> None:
    """A term in a filler or in the words of a pattern would be a mention that no gold marks."""
    words = lexicon(language)
    terms = [term.casefold() for terms in words.terms.values() for term in terms]
    shorts = [short for pairs in words.abbreviations.values() for short in pairs.values()]
    longest_first = sorted(terms, key=len, reverse=True)
    any_term = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
    any_short = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, shorts))})(?!\w)")
    for text in strings([words.fillers, words.patterns]):
        shown = literals(text)
        found = any_term.search(shown.casefold()) or any_short.search(shown)
        assert found is None, (found, text)


def test_lexicon_of_an_unknown_language_names_the_known() -> None:
    with pytest.raises(ConfigError, match=r"'fr'.*en, es, it"):
        lexicon("fr")


# --- Held-out terms ---------------------------------------------------------------------------

SMALL = Lexicon(
    language="xx",
    terms={"disease": ["renal failure", "liver failure", "acute renal failure", "gout"]},
    abbreviations={"disease": {}},
    nested={"disease": ["late {disease}", "{disease} of old"]},
    fillers={},
    patterns={},
)


def test_a_quarter_is_held_out_of_those_known_by_their_words() -> None:
    held = set()
    for seed in range(30):
        kept, out = hold_out(SMALL, Random(seed))
        assert len(out["disease"]) == 1  # A quarter of four.
        assert sorted(kept["disease"] + out["disease"]) == sorted(SMALL.terms["disease"])
        held.update(out["disease"])
    # "renal failure" stands in every text with "acute renal failure"; "gout" shares no word.
    assert held == {"liver failure", "acute renal failure"}


def test_test_draws_are_held_out_or_seen_in_training() -> None:
    draws = TermDraws(SMALL, Random(1))
    seen = {draws.train("disease") for _ in range(2)}
    tested = {draws.test("disease") for _ in range(200)}
    assert tested == seen | set(draws.held["disease"])


# --- The corpus -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SampleSet]]:
    root = tmp_path_factory.mktemp("sample")  # An empty folder is a root like a new one.
    return root, generate(root, documents=40, languages=["en", "es"])


def folder_of(root: Path, one: SampleSet) -> Path:
    name = f"MultiClinNER-{one.language}-{one.split}"
    above = root / "MultiClinNER" / f"MultiClinNER-{one.language}" / name
    return above / f"{name}-{one.entity}"


def documents_of(root: Path, one: SampleSet) -> list[Document]:
    texts = sorted((folder_of(root, one) / "txt").glob("*.txt"))
    return [
        read_document(text, text.parents[1] / "ann" / f"{text.stem}.ann", id=text.stem)
        for text in texts
    ]


def all_documents(corpus: tuple[Path, list[SampleSet]]) -> list[Document]:
    root, sets = corpus
    return [document for one in sets for document in documents_of(root, one)]


def test_sets_of_the_summary(corpus: tuple[Path, list[SampleSet]]) -> None:
    shapes = [(one.language, one.split, one.entity, one.documents) for one in corpus[1]]
    assert shapes == [
        (language, split, entity, size)  # 40 cases, a fifth of them for test.
        for language in ("en", "es")
        for split, size in (("train", 32), ("test", 8))
        for entity in ENTITIES
    ]


def test_official_layout(corpus: tuple[Path, list[SampleSet]]) -> None:
    root, sets = corpus
    for one in sets:
        folder = folder_of(root, one)
        names = [f"{folder.name}-{number:04d}" for number in range(1, one.documents + 1)]
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
        expected = [f"txt/{name}.txt" for name in names] + [f"ann/{name}.ann" for name in names]
        assert files == sorted([*expected, f"tsv/{folder.name}.tsv"])
    assert [path.name for path in root.iterdir()] == ["MultiClinNER"]


def test_table_and_brat_agree_with_the_summary(corpus: tuple[Path, list[SampleSet]]) -> None:
    root, sets = corpus
    for one in sets:
        table = folder_of(root, one) / "tsv" / f"{folder_of(root, one).name}.tsv"
        rows = read_rows(table)
        assert table.read_text(encoding="utf-8").startswith("\t".join(COLUMNS) + "\n")
        documents = documents_of(root, one)  # Reading checks each mention against its text.
        spans = sorted((row.filename, row.start, row.end, row.label) for row in rows)
        assert spans == sorted(
            (row.filename, row.start, row.end, row.label) for row in rows_from_documents(documents)
        )
        assert {row.label for row in rows} == {one.entity.upper()}
        assert len(rows) == one.mentions


def test_mentions_are_whole_words(corpus: tuple[Path, list[SampleSet]]) -> None:
    for document in all_documents(corpus):
        for span in document.spans:
            before, after = document.text[: span.start][-1:], document.text[span.end :][:1]
            assert not before.isalnum()
            assert not after.isalnum()


def test_texts_are_cases_of_several_paragraphs(corpus: tuple[Path, list[SampleSet]]) -> None:
    for document in all_documents(corpus):
        assert 120 <= len(document.text.split()) <= 450
        assert document.text.count("\n") >= 6


def test_one_case_has_one_text_in_most_entity_folders(
    corpus: tuple[Path, list[SampleSet]],
) -> None:
    root, sets = corpus
    texts: dict[tuple[str, str, str], list[str]] = {}
    for one in sets:
        for document in documents_of(root, one):
            case = (one.language, one.split, document.id[-4:])
            texts.setdefault(case, []).append(document.text)
    assert all(len(versions) == 3 for versions in texts.values())
    assert all(len({text.strip() for text in versions}) == 1 for versions in texts.values())
    differing = sum(len(set(versions)) > 1 for versions in texts.values())
    assert 0 < differing < len(texts) / 2


def test_quirks_of_the_real_corpus_are_there(corpus: tuple[Path, list[SampleSet]]) -> None:
    quirks: Counter[str] = Counter()
    for document in all_documents(corpus):
        quirks["NBSP"] += "\u00a0" in document.text
        for span in document.spans:
            mention = document.text[span.start : span.end]
            quirks["line break"] += "\n" in mention
            quirks["abbreviation"] += document.text[span.start - 1] == "(" and mention.isupper()
            quirks["capital"] += mention[0].isupper() and mention[1:].islower()
            for other in document.spans:
                if span.start < other.start < span.end:
                    quirks["nested" if other.end <= span.end else "crossing"] += 1
    assert set(quirks.elements()) == {
        "NBSP",
        "line break",
        "abbreviation",
        "capital",
        "nested",
        "crossing",
    }


def test_half_of_the_test_mentions_are_unseen(corpus: tuple[Path, list[SampleSet]]) -> None:
    tested = [one for one in corpus[1] if one.split == "test"]
    assert all(one.unseen == 0 for one in corpus[1] if one.split == "train")
    share = sum(one.unseen for one in tested) / sum(one.mentions for one in tested)
    assert 0.4 < share < 0.65


def test_held_out_terms_never_stand_in_training_texts(
    corpus: tuple[Path, list[SampleSet]],
) -> None:
    root, sets = corpus
    for language in ("en", "es"):
        _, held = hold_out(lexicon(language), Random(f"13 {language}"))
        text = " ".join(
            document.text
            for one in sets
            if (one.language, one.split) == (language, "train")
            for document in documents_of(root, one)
        )
        words = " ".join(text.casefold().split())
        outside = [term.casefold() for terms in held.values() for term in terms]
        found = [term for term in outside if term in words]
        assert [
            term for term in found if re.search(rf"(?<!\w){re.escape(term)}(?!\w)", words)
        ] == []


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.*")}


def test_same_seed_same_bytes_whatever_other_languages(tmp_path: Path) -> None:
    for name, seed, languages in (("a", 1, ["it"]), ("b", 1, ["es", "it"]), ("c", 2, ["it"])):
        generate(tmp_path / name, documents=3, seed=seed, languages=languages)
    first = contents(tmp_path / "a")
    both = contents(tmp_path / "b")
    assert first == {name: both[name] for name in both if "MultiClinNER-it/" in name}
    assert first != contents(tmp_path / "c")


@every_language
def test_every_language_can_be_written(language: str, tmp_path: Path) -> None:
    sets = generate(tmp_path / "new" / "root", documents=2, languages=[language])
    assert [one.documents for one in sets] == [1] * 6


def test_an_existing_corpus_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds something already"):
        generate(tmp_path, documents=2, languages=["es"])
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        generate(tmp_path / "root", documents=2, languages=["es"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"documents": 1}, "documents=1"),
        ({"test_share": 1.0}, "test_share=1.0"),
        ({"languages": ["es", "fr"]}, "'fr'"),
    ],
)
def test_impossible_arguments(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generate(tmp_path / "root", **arguments)
    assert list(tmp_path.iterdir()) == []
