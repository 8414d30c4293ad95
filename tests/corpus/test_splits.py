from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.corpus.splits import (
    Header,
    Split,
    describe_overlaps,
    first_cases,
    folds,
    load_split,
    overlapping_texts,
    read_keys,
    save_split,
    split_cases,
    split_listed,
)
from multiclin.document import Document
from multiclin.errors import ConfigError, CorpusError


def parallel(cases: int, languages: Sequence[str] = ("es", "it")) -> list[Header]:
    """Each case once in every language."""
    return [Header(f"{lang}-{n}", lang, f"case-{n}") for n in range(cases) for lang in languages]


def cases_of(headers: Sequence[Header]) -> set[str]:
    return {header.case for header in headers}


HEADERS = st.lists(
    st.builds(
        lambda case, language, entity: Header(f"{case}-{entity}", language, f"case-{case}"),
        st.integers(0, 30),
        st.sampled_from(["es", "it", "sv"]),
        st.sampled_from(["disease", "symptom"]),
    ),
    unique=True,
    min_size=1,
)


def assert_sound(headers: Sequence[Header], split: Split) -> None:
    """All headers stand once, and no case on both sides."""
    assert Counter(header for side in split for header in side) == Counter(headers)
    assert not cases_of(split.train) & cases_of(split.validation)
    assert cases_of(split.unused) <= cases_of(split.validation)


def test_header_of_a_document() -> None:
    header = Header.of(Document("a-1", "text", language="es", case="1"))
    assert header == Header("a-1", "es", "1")
    assert header.key == "es/a-1"
    assert Header("a-1", "", "a-1").key == "a-1"


def test_translations_of_validation_cases_are_unused() -> None:
    split = split_cases(parallel(100), share=0.1, seed=1)
    assert Counter(h.language for h in split.train) == {"es": 90, "it": 90}
    assert Counter(h.language for h in split.validation) == {"es": 10}
    assert Counter(h.language for h in split.unused) == {"it": 10}
    assert cases_of(split.unused) == cases_of(split.validation)


def test_translations_can_be_kept_in_train() -> None:
    split = split_cases(parallel(100), share=0.1, seed=1, keep_translations=True)
    assert Counter(h.language for h in split.train) == {"es": 90, "it": 100}
    assert split.unused == ()


def test_all_languages_validate_on_the_same_cases() -> None:
    split = split_cases(parallel(100), share=0.1, seed=1, languages=None)
    assert Counter(h.language for h in split.validation) == {"es": 10, "it": 10}
    assert len(cases_of(split.validation)) == 10
    assert split.unused == ()


def test_the_split_is_the_same_on_every_machine() -> None:
    # The lowest of: printf '7\0case-N' | b2sum -l 64
    split = split_cases(parallel(10, ["es"]), share=0.3, seed=7)
    assert [header.id for header in split.validation] == ["es-0", "es-5", "es-9"]


def test_another_seed_gives_another_split() -> None:
    first, second = (split_cases(parallel(100), share=0.1, seed=seed) for seed in (1, 2))
    assert cases_of(first.validation) != cases_of(second.validation)


def test_share_0_gives_an_empty_validation() -> None:
    headers = parallel(5, ["en"])
    assert split_cases(headers, share=0, seed=1) == Split(tuple(headers), (), ())


def test_a_small_share_still_validates_on_one_case() -> None:
    assert len(split_cases(parallel(3, ["es"]), share=0.1, seed=1).validation) == 1
    assert len(split_cases(parallel(3, ["es"]), share=0.99, seed=1).validation) == 2


def test_added_documents_move_few_others() -> None:
    before = split_cases(parallel(100, ["es"]), share=0.1, seed=1)
    after = split_cases(parallel(110, ["es"]), share=0.1, seed=1)
    assert len(cases_of(before.validation) - cases_of(after.validation)) <= 2


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="share"):
        split_cases(parallel(5), share=share, seed=1)


def test_a_validation_language_without_documents_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'es' \(found: en, it\)"):
        split_cases(parallel(5, ["en", "it"]), share=0.1, seed=1)


@given(HEADERS, st.floats(0, 0.99), st.integers(0, 3), st.randoms())
def test_random_splits_are_sound(
    headers: list[Header], share: float, seed: int, rng: Random
) -> None:
    languages = {header.language for header in headers} - {"sv"} or {"sv"}
    split = split_cases(headers, share=share, seed=seed, languages=languages)
    assert_sound(headers, split)
    assert {header.language for header in split.validation} <= languages
    for language in languages if share else ():
        total = cases_of([h for h in headers if h.language == language])
        picked = cases_of([h for h in split.validation if h.language == language])
        assert abs(len(picked) - share * len(total)) <= 1
    shuffled = rng.sample(headers, len(headers))
    again = split_cases(shuffled, share=share, seed=seed, languages=languages)
    assert [set(side) for side in again] == [set(side) for side in split]


def test_folds_validate_on_each_document_once() -> None:
    headers = parallel(10)
    parts = folds(headers, 3, seed=1)
    assert sorted(len(part.validation) for part in parts) == [3, 3, 4]
    validated = [header for part in parts for header in part.validation]
    assert sorted(validated) == sorted(h for h in headers if h.language == "es")
    assert [len(part.unused) for part in parts] == [len(part.validation) for part in parts]


@given(HEADERS, st.integers(2, 5), st.integers(0, 3), st.randoms())
def test_random_folds_are_sound(headers: list[Header], k: int, seed: int, rng: Random) -> None:
    if k > len(cases_of(headers)):
        with pytest.raises(ConfigError, match="folds"):
            folds(headers, k, seed=seed, languages=None)
        return
    parts = folds(headers, k, seed=seed, languages=None)
    for part in parts:
        assert_sound(headers, part)
    assert Counter(h for part in parts for h in part.validation) == Counter(headers)
    shuffled = folds(rng.sample(headers, len(headers)), k, seed=seed, languages=None)
    assert [set(p.validation) for p in shuffled] == [set(p.validation) for p in parts]


@given(st.lists(st.sampled_from(["es", "it", "sv"]), min_size=5), st.integers(2, 5))
def test_folds_of_cases_in_one_language_are_even(languages: list[str], k: int) -> None:
    headers = [Header(str(n), language, str(n)) for n, language in enumerate(languages)]
    parts = folds(headers, k, seed=1, languages=None)
    for language in set(languages):
        sizes = [sum(h.language == language for h in part.validation) for part in parts]
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("k", [0, 1, 11])
def test_a_number_of_folds_that_cannot_be_is_refused(k: int) -> None:
    with pytest.raises(ConfigError, match=f"{k} folds of 10 cases"):
        folds(parallel(10), k, seed=1)


def test_a_list_replaces_the_random_split(tmp_path: Path) -> None:
    listed = tmp_path / "validation.txt"
    listed.write_text("\ufeff# ours\n\nes-2\r\nit/it-3\n", encoding="utf-8")
    headers = parallel(5)
    keys = read_keys(listed, headers)
    assert keys == {"es/es-2", "it/it-3"}
    split = split_listed(headers, keys)
    assert [header.id for header in split.validation] == ["es-2", "it-3"]
    assert [header.id for header in split.unused] == ["it-2", "es-3"]
    assert_sound(headers, split)
    assert len(split_listed(headers, keys, keep_translations=True).train) == 8


def test_an_id_in_several_languages_means_all_of_them(tmp_path: Path) -> None:
    listed = tmp_path / "validation.txt"
    listed.write_text("7\nit/8\n")
    headers = [Header(id, language, id) for id in ("7", "8") for language in ("es", "it")]
    assert read_keys(listed, headers) == {"es/7", "it/7", "it/8"}


def test_unknown_ids_are_named_with_the_nearest(tmp_path: Path) -> None:
    listed = tmp_path / "validation.txt"
    listed.write_text(f"es-0001\nes-00002\nzz\n{'tos ' * 99}\n")
    headers = [Header(f"es-000{n}", "es", str(n)) for n in range(5)]
    with pytest.raises(CorpusError) as caught:
        read_keys(listed, headers)
    assert str(caught.value).splitlines() == [
        f"{listed}:2: no document 'es-00002'; the nearest is 'es-0002'",
        f"{listed}:3: no document 'zz'",
        f"{listed}:4: no document '{'tos ' * 10}'...",
    ]


def test_a_split_is_saved_and_loaded(tmp_path: Path) -> None:
    train, validation, _ = split_cases(parallel(4, ["es"]), share=0.5, seed=1)
    path = tmp_path / "run" / "split.json"
    save_split(path, {"train": train, "validation": validation, "test": []})
    assert load_split(path) == {
        "train": frozenset(h.key for h in train),
        "validation": frozenset(h.key for h in validation),
        "test": frozenset(),
    }
    assert json.loads(path.read_text())["test"] == []


@pytest.mark.parametrize(
    "content",
    ['{"train": ["a"', '["a"]', '{"train": [1]}', '{"train": "a"}', "[" * 100_000, "9" * 5000],
    ids=range(6),
)
def test_a_broken_split_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(CorpusError, match=r"split\.json"):
        load_split(path)


def test_texts_in_two_splits_are_found() -> None:
    splits = {
        "train": [("a", "Fiebre  alta\n"), ("b", "tos"), ("c", ""), ("d", "tos")],
        "test": [("x", "fiebre alta"), ("y", "dolor"), ("z", "")],
    }
    assert overlapping_texts(splits) == [(("test", "x"), ("train", "a"))]


def test_many_overlaps_are_named_up_to_ten() -> None:
    texts = [(f"{n:02}", f"text {n}") for n in range(12)]
    lines = describe_overlaps(overlapping_texts({"train": texts, "test": texts})).splitlines()
    assert len(lines) == 11
    assert lines[0] == "00 (test) = 00 (train)"
    assert lines[-1] == "... and 2 more"


@pytest.mark.data
def test_the_known_twin_of_a_real_corpus_is_found(shared_data: Path) -> None:
    """PMID 8528200 stands in NCBI's train split under two names (SOURCE.md)."""
    folder = shared_data / "NCBI-DISEASE/MultiClinNER-en/MultiClinNER-en-train"
    paths = sorted(folder.rglob("*.txt"))
    twins = overlapping_texts({path.stem: [(path.stem, path.read_text())] for path in paths})
    assert len(twins) == 1
    assert all(id.startswith("8528200") for _, id in twins[0])


# A fraction


def test_a_fraction_is_of_the_same_cases_in_every_language() -> None:
    headers = [*parallel(20), *(Header(f"x{n}", "sv", f"x{n}") for n in range(3))]
    found = first_cases(headers, 0.1, 13)
    by_language = {code: {case for one, case in found if one == code} for code in ("es", "it")}
    assert len(by_language["es"]) == 2
    assert by_language["es"] == by_language["it"]
    assert sum(language == "sv" for language, _ in found) == 1  # One at least.
    assert first_cases(headers, 0.1, 14) != found
    assert len(first_cases(headers, 1, 13)) == 43


@given(HEADERS, st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 5))
def test_a_smaller_fraction_is_part_of_a_larger_one(
    headers: list[Header], one: float, other: float, seed: int
) -> None:
    small, large = sorted((one, other))
    assert first_cases(headers, small, seed) <= first_cases(headers, large, seed)
    assert first_cases(reversed(headers), small, seed) == first_cases(headers, small, seed)
