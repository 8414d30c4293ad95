from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiclin.analysis.evaluation import Evaluation, Pair
from multiclin.analysis.frames import frames
from multiclin.analysis.mentions import mention_table
from multiclin.analysis.runs import (
    open_run,
    read_lexicon,
    run_of,
    save,
    save_lexicon,
    splits_of,
    unique,
)
from multiclin.analysis.sources import Side, beside, open_files, open_system, other_splits
from multiclin.corpus.brat import write_ann, write_text
from multiclin.corpus.jsonl import write_documents
from multiclin.corpus.release import find_sets, read_set
from multiclin.corpus.tsv import rows_from_documents, write_rows
from multiclin.document import Document, Span
from multiclin.errors import ConfigError, CorpusError
from multiclin.evaluate import evaluate
from multiclin.output import write_json
from tests.analysis.toys import evaluation, official_scores, pair
from tests.toys import document

GOLD = "\ufeffSin ⟦fiebre 😀⟧.\r\nTos y ⟦asma⟧."
FOUND = "\ufeffSin ⟦fiebre⟧ 😀.\r\nTos y ⟦asma⟧."
ONE = pair("a", GOLD, FOUND, scores=(0.9, 0.25))
"""With a byte order mark, CRLF and a character beyond the BMP."""


def tsv(path: Path, *documents: Document) -> Path:
    write_rows(rows_from_documents(documents), path)
    return path


def brat(folder: Path, *documents: Document, texts: Path | None = None) -> Path:
    """A folder of `.ann`, with the texts in another one or in the same."""
    for one in documents:
        write_ann(one, folder)
        write_text(one, texts or folder)
    return folder


def blank_but_for(length: int, *mentions: tuple[int, str]) -> str:
    text = " " * length
    for start, mention in mentions:
        text = text[:start] + mention + text[start + len(mention) :]
    return text


def counts(found: Evaluation) -> tuple[int, int, int]:
    """True positives, false positives, false negatives."""
    table = mention_table(found)
    gold, right = table["side"] == "gold", table["right"]
    return int((gold & right).sum()), int((~gold & ~right).sum()), int((gold & ~right).sum())


# Documents of one id


def labelled(id: str, text: str, label: str, language: str = "es") -> Pair:
    return Pair(*[document(id, text, label, language)] * 2)


def named(pairs: Iterable[Pair]) -> dict[str, str]:
    """The text of each document by its name."""
    return {gold.id: gold.text for gold, _ in unique(pairs)}


def test_pairs_are_sorted_by_id() -> None:
    assert list(named([labelled("b", "x", "D"), labelled("a", "y", "D")])) == ["a", "b"]


def test_versions_of_one_text_are_joined() -> None:
    text = "⟦tos⟧ y ", " y ⟦asma⟧"
    [(gold, predicted)] = unique(
        [labelled("a", text[0] + "asma", "D"), labelled("a", "tos" + text[1], "S")]
    )
    assert gold == predicted
    assert gold.annotated == {"D", "S"}
    assert gold.spans == (Span(0, 3, "D"), Span(6, 10, "S"))


def test_versions_of_other_texts_are_told_apart_by_label() -> None:
    assert named([labelled("a", "tos", "D"), labelled("a", "tos.", "S")]) == {
        "a D": "tos",
        "a S": "tos.",
    }


def test_translations_are_told_apart_by_language_even_if_they_are_the_same() -> None:
    assert named([labelled("a", "asma", "D"), labelled("a", "asma", "D", "it")]) == {
        "es/a": "asma",
        "it/a": "asma",
    }


def test_versions_by_language_and_label() -> None:
    pairs = [labelled("a", f"{c} {n}", n, c) for c in ("es", "it") for n in "DS"]
    assert named(pairs) == {
        "es/a D": "es D",
        "es/a S": "es S",
        "it/a D": "it D",
        "it/a S": "it S",
    }


def test_versions_that_differ_in_text_alone_are_numbered() -> None:
    assert named([labelled("a", text, "D") for text in ("x", "y", "x")]) == {
        "es/a D (1)": "x",
        "es/a D (2)": "y",
    }


def test_documents_told_apart_stay_one_case() -> None:
    pairs = unique([labelled("a", "x", "D"), labelled("a", "y", "D", "it")])
    assert [(gold.case, predicted.case) for gold, predicted in pairs] == [("a", "a")] * 2


# Runs


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    save(tmp_path, "test", [ONE])
    found = open_run(tmp_path)
    assert found.pairs == [ONE]
    assert [span.score for span in found.pairs[0].predicted.spans] == [0.9, 0.25]
    assert (found.name, found.split) == (str(tmp_path), "test")


@st.composite
def documents(draw: st.DrawFn) -> Pair:
    text = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
    id = draw(st.sampled_from(["a", "a/b", "ñ 1", "es-a"]))
    case = draw(st.sampled_from(["", "x"]))
    edges = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))
    score = st.none() | st.floats(0, 1)
    spans = [
        tuple(
            Span(min(two), max(two), label, score)
            for two, label, score in draw(
                st.lists(st.tuples(edges, st.sampled_from("DS"), score), max_size=4)
            )
            if two[0] != two[1]
        )
        for _ in range(2)
    ]
    language = draw(st.sampled_from(["es", "cz", ""]))
    return Pair(*(Document(id, text, one, language, frozenset("DS"), case) for one in spans))


@given(st.lists(documents(), max_size=3, unique_by=lambda one: one.gold.id))
@settings(max_examples=40)
def test_any_documents_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[Pair]
) -> None:
    run = tmp_path_factory.getbasetemp() / "run"
    save(run, "test", pairs)
    found = open_run(run).pairs
    assert found == sorted(pairs, key=lambda one: one.gold.id)
    assert _scores(found) == _scores(sorted(pairs, key=lambda one: one.gold.id))


def _scores(pairs: Sequence[Pair]) -> list[float | None]:
    return [span.score for pair in pairs for one in pair for span in one.spans]


def test_only_labels_that_a_document_is_annotated_for_are_kept(tmp_path: Path) -> None:
    one = Document("a", "tos", annotated=frozenset("D"))
    both = one.with_spans((Span(0, 3, "D"), Span(0, 3, "S")))
    save(tmp_path, "test", [(both, both)])
    [(gold, predicted)] = open_run(tmp_path).pairs
    assert gold.spans == predicted.spans == (Span(0, 3, "D"),)


def test_a_run_has_what_else_it_kept(tmp_path: Path) -> None:
    save(tmp_path, "test", [ONE])
    save_lexicon(tmp_path, {"D": {"fiebre": 2}})
    write_json({"test/strict_f1": 0.5}, tmp_path / "metrics.json")
    write_json({"about": {"entity": "disease"}}, tmp_path / "model" / "multiclin.json")
    found = open_run(tmp_path)
    assert found.lexicon == {"D": {"fiebre": 2}}
    assert found.metrics == {"test/strict_f1": 0.5}
    assert found.about == {"entity": "disease"}


def test_what_a_run_did_not_keep_is_empty(tmp_path: Path) -> None:
    save(tmp_path, "test", [ONE])
    found = open_run(tmp_path)
    assert (found.lexicon, found.metrics, found.history, found.about) == (None, {}, [], {})


def test_the_history_ends_with_the_last_epoch(tmp_path: Path) -> None:
    save(tmp_path, "test", [ONE])
    for version, lines in enumerate(
        (
            ["0,10,0.7,,", "0,12,,0.5,"],
            ["1,20,0.3,,", "1,25,,0.25,", "2,26,,0.25,", "2,26,,,0.9"],  # Scored when all was done.
        )
    ):
        path = tmp_path / "csv" / f"version_{version}" / "metrics.csv"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(["epoch,step,train/loss,val/loss,test/strict_f1", *lines]))
    history = frames(open_run(tmp_path))["history"]
    assert history.to_numpy().tolist() == [[1, 0.7, 0.5], [2, 0.3, 0.25]]


def test_what_a_run_repeated_is_in_its_history_once(tmp_path: Path) -> None:
    """It was cut off after step 30 and went on from step 15; scored twice, for want of power."""
    save(tmp_path, "test", [ONE])
    heading = "epoch,step,train/loss,val/loss"
    sessions = {
        2: ["0,10,0.9,", "0,12,,0.8", "1,20,0.5,", "1,25,,0.4", "2,30,0.1,"],
        10: ["1,20,0.5,", "1,25,,0.4", "2,30,0.3,", "2,38,,0.2", "3,39,,0.2"],
        11: ["3,39,,0.2"],
    }
    for version, lines in sessions.items():
        path = tmp_path / "csv" / f"version_{version}" / "metrics.csv"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join([heading, *lines]))
    assert [tuple(line.values()) for line in open_run(tmp_path).history] == [
        (0, 10, 0.9),
        (0, 12, 0.8),
        (1, 20, 0.5),
        (1, 25, 0.4),
        (2, 30, 0.3),
        (2, 38, 0.2),
    ]


def test_test_documents_come_before_validation_documents(tmp_path: Path) -> None:
    save(tmp_path, "validation", [ONE])
    assert open_run(tmp_path).split == "validation"
    save(tmp_path, "test", [ONE])
    assert open_run(tmp_path).split == "test"
    assert open_run(tmp_path, "validation").split == "validation"


def test_the_other_splits_of_a_run(tmp_path: Path) -> None:
    for split in ("test", "validation"):
        save(tmp_path, split, [ONE])
    assert [one.split for one in other_splits(tmp_path, open_run(tmp_path))] == ["validation"]
    assert other_splits(tmp_path, evaluation(ONE)) == []


def test_a_split_that_a_run_lacks_is_named(tmp_path: Path) -> None:
    save(tmp_path, "validation", [ONE])
    with pytest.raises(CorpusError, match="no evaluation of test in this run, only of validation"):
        open_run(tmp_path, "test")


def test_a_run_that_kept_no_gold_says_so(tmp_path: Path) -> None:
    tsv(tmp_path / "predictions" / "test.tsv", ONE.predicted)
    write_json({}, tmp_path / "metrics.json")
    for opened in (open_run, open_system):
        with pytest.raises(
            CorpusError, match=r"no evaluation .*gold/test.jsonl.* predictions/test.tsv"
        ):
            opened(tmp_path)


def test_gold_and_predictions_of_other_documents_are_no_evaluation(tmp_path: Path) -> None:
    save(tmp_path, "test", [ONE])
    write_documents([], tmp_path / "predictions" / "test.jsonl", overwrite=True)
    with pytest.raises(CorpusError, match="differ in documents"):
        open_run(tmp_path)


def test_native_documents_of_a_run(tmp_path: Path) -> None:
    save(tmp_path, "test", [ONE, pair("b", "", "")])
    (tmp_path / "native.txt").write_text("b\n")
    assert open_run(tmp_path, native=tmp_path / "native.txt").native == {"b"}


def test_the_run_of_a_bundle_and_of_a_checkpoint(tmp_path: Path) -> None:
    assert run_of(tmp_path / "model") is None
    save_lexicon(tmp_path, {})
    for path in ("", "model", "checkpoints/best.ckpt", "predictions/test.tsv"):
        assert run_of(tmp_path / path) == tmp_path
    assert read_lexicon(None) is None


def test_the_splits_of_a_run(tmp_path: Path) -> None:
    assert splits_of(tmp_path) == []
    save(tmp_path, "validation", [])
    assert splits_of(tmp_path) == ["validation"]


def test_a_run_uses_its_own_gold_whatever_else_is_given(tmp_path: Path) -> None:
    save(tmp_path / "run", "test", [ONE])
    save(tmp_path / "run", "validation", [pair("b", "⟦tos⟧", "tos")])
    gold = tsv(tmp_path / "gold.tsv", document("a", "⟦Sin⟧", "D"))
    assert open_system(tmp_path / "run", gold=gold).pairs == [ONE]


def test_one_label_of_a_run(tmp_path: Path) -> None:
    save(tmp_path, "test", unique([labelled("a", "⟦tos⟧", "D"), labelled("b", "⟦tos⟧", "S")]))
    found = open_system(tmp_path, entity="s")
    assert [gold.id for gold, _ in found.pairs] == ["b"]
    with pytest.raises(ConfigError, match="entity=X"):
        open_system(tmp_path, entity="X")


# Gold and predictions from files


def test_tables_without_texts_give_the_mentions_in_their_places(tmp_path: Path) -> None:
    gold, found = tsv(tmp_path / "g.tsv", ONE.gold), tsv(tmp_path / "p.tsv", ONE.predicted)
    read = open_files(found, gold)
    assert counts(read) == (1, 1, 1)
    [(one, other)] = read.pairs
    assert one.text == other.text == blank_but_for(26, (5, "fiebre 😀"), (22, "asma"))
    assert mention_table(read)["mention"].tolist() == ["fiebre 😀", "asma", "fiebre", "asma"]


def test_gold_has_the_words_where_predictions_have_others(tmp_path: Path) -> None:
    header = "filename\tlabel\tstart_span\tend_span\ttext\n"
    for words in ("", "?????"):
        (tmp_path / "p.tsv").write_text(f"{header}a\tD\t0\t5\t{words}\n")
        (tmp_path / "g.tsv").write_text(f"{header}a\tD\t0\t3\ttos\n")
        [(gold, _)] = open_files(tmp_path / "p.tsv", tmp_path / "g.tsv").pairs
        assert gold.text == "tos" + (words[3:] or "  ")


def test_words_that_are_shorter_than_their_place_are_filled_up(tmp_path: Path) -> None:
    (tmp_path / "g.tsv").write_text("filename\tlabel\tstart_span\tend_span\ttext\na\tD\t2\t6\tx\n")
    assert open_files(tmp_path / "g.tsv", tmp_path / "g.tsv").pairs[0].gold.text == "  x   "


def test_brat_with_its_texts(tmp_path: Path) -> None:
    gold, found = brat(tmp_path / "gold", ONE.gold), brat(tmp_path / "found", ONE.predicted)
    read = open_files(found, gold)
    assert counts(read) == (1, 1, 1)
    assert read.pairs[0].gold.text == ONE.gold.text


def test_brat_without_texts(tmp_path: Path) -> None:
    write_ann(ONE.gold, tmp_path / "gold")
    write_ann(ONE.predicted, tmp_path / "found")
    assert counts(open_files(tmp_path / "found", tmp_path / "gold")) == (1, 1, 1)


def release(root: Path, *documents: Document, gold: str = "ann") -> Path:
    """A set of MultiClinNER."""
    folder = root / "MultiClinNER-es-test-disease"
    if gold == "ann":
        brat(folder / "ann", *documents, texts=folder / "txt")
    else:
        tsv(folder / "tsv" / "set.tsv", *documents)
        for one in documents:
            write_text(one, folder / "txt")
    return folder


@pytest.mark.parametrize("gold", ["ann", "tsv"])
@pytest.mark.parametrize("place", ["..", ".", "{}"])
def test_a_set_of_a_release(tmp_path: Path, gold: str, place: str) -> None:
    folder = release(tmp_path / "root", ONE.gold, document("b", "nada"), gold=gold)
    read = open_files(tsv(tmp_path / "p.tsv", ONE.predicted), folder / place.format(gold))
    assert counts(read) == (1, 1, 1)
    assert [(one.id, one.text) for one, _ in read.pairs] == [("a", ONE.gold.text), ("b", "nada")]


def test_sets_of_several_entities_with_one_text(tmp_path: Path) -> None:
    text = "⟦tos⟧ y ⟦asma⟧"
    for label, entity in (("D", "disease"), ("S", "symptom")):
        folder = tmp_path / f"MultiClinNER-es-test-{entity}"
        brat(folder / "ann", document("a", text, label), texts=folder / "txt")
    read = open_files(tsv(tmp_path / "p.tsv", document("a", text, "D")), tmp_path)
    [(gold, _)] = read.pairs
    assert (gold.text, len(gold.spans)) == ("tos y asma", 4)
    assert counts(read) == (2, 0, 2)


def test_sets_of_several_entities_with_other_texts_have_none(tmp_path: Path) -> None:
    for label, text in (("D", "⟦tos⟧ y"), ("S", "⟦tos⟧ e")):
        brat(tmp_path / label / "ann", document("a", text, label), texts=tmp_path / label / "txt")
    [(gold, _)] = open_files(tsv(tmp_path / "p.tsv", document("a", "⟦tos⟧", "D")), tmp_path).pairs
    assert (gold.id, gold.text) == ("a", "tos")


def test_json_lines_keep_scores_texts_and_cases(tmp_path: Path) -> None:
    one = pair("es/a", GOLD, FOUND, case="x", scores=(0.5, None))
    write_documents([one.gold], tmp_path / "gold.jsonl")
    write_documents([one.predicted], tmp_path / "found.jsonl")
    read = open_files(tmp_path / "found.jsonl", tmp_path / "gold.jsonl")
    assert read.pairs == [one]
    assert _scores(read.pairs) == [None, None, 0.5, None]


def test_of_documents_annotated_for_some_labels_no_other_is_scored(tmp_path: Path) -> None:
    write_documents(
        [document("a", "⟦tos⟧", "D"), document("b", "⟦tos⟧", "S")], tmp_path / "gold.jsonl"
    )
    both = (Span(0, 3, "D"), Span(0, 3, "S"))
    found = [Document(id, "tos", both) for id in "ab"]
    write_documents(found, tmp_path / "found.jsonl")
    read = open_files(tmp_path / "found.jsonl", tmp_path / "gold.jsonl")
    assert counts(read) == (2, 0, 0)
    assert [gold.annotated for gold, _ in read.pairs] == [{"D"}, {"S"}]


def test_json_lines_that_do_not_say_what_they_are_annotated_for_are_for_all(tmp_path: Path) -> None:
    one = Document("a", "tos", (Span(0, 3, "D"),))
    write_documents([one], tmp_path / "gold.jsonl")
    write_documents([one.with_spans((Span(0, 3, "S"),))], tmp_path / "found.jsonl")
    assert counts(open_files(tmp_path / "found.jsonl", tmp_path / "gold.jsonl")) == (0, 1, 1)


def test_the_case_of_a_document_is_in_its_name() -> None:
    name = "MultiClinNER-{}-test-disease-0001"
    side = Side.of([Document(name.format(code), "") for code in ("es", "it")], Path("x"))
    assert [(gold.case, gold.language) for gold, _ in beside(side, side).pairs] == [
        ("test-0001", "es"),
        ("test-0001", "it"),
    ]


def test_the_folder_of_a_prediction(tmp_path: Path) -> None:
    gold = tsv(tmp_path / "gold.tsv", ONE.gold)
    folder = tmp_path / "prediction"
    brat(folder / "ann", document("x", "⟦no⟧"))
    tsv(folder / "predictions.tsv", ONE.predicted)
    assert [span.score for span in open_files(folder, gold).pairs[0].predicted.spans] == [None] * 2
    write_documents([ONE.predicted], folder / "predictions.jsonl")
    assert [span.score for span in open_files(folder, gold).pairs[0].predicted.spans] == [0.9, 0.25]


def test_a_prediction_of_texts_in_folders(tmp_path: Path) -> None:
    found = [document("one/a", "⟦tos⟧ seca", "D"), document("two/a", "⟦asma⟧ leve", "D")]
    tsv(tmp_path / "predictions.tsv", *found)
    brat(tmp_path / "ann", *found)
    read = open_files(tmp_path)
    assert [(gold.id, gold.text) for gold, _ in read.pairs] == [
        ("one/a", "tos seca"),
        ("two/a", "asma leve"),
    ]


def test_without_gold_everything_found_is_kept_and_nothing_scored(tmp_path: Path) -> None:
    read = open_files(tsv(tmp_path / "p.tsv", ONE.predicted, document("b", "⟦x⟧", "S")))
    assert read.labels == []
    assert [len(predicted.spans) for _, predicted in read.pairs] == [2, 1]
    assert all(not gold.spans for gold, _ in read.pairs)
    assert len(mention_table(read)) == 3


def test_one_label_without_gold(tmp_path: Path) -> None:
    read = open_files(tsv(tmp_path / "p.tsv", ONE.predicted, document("b", "⟦x⟧", "S")), entity="s")
    assert [span.label for _, predicted in read.pairs for span in predicted.spans] == ["S"]


def test_one_label_on_both_sides_in_any_case(tmp_path: Path) -> None:
    gold = tsv(tmp_path / "g.tsv", document("a", "⟦tos⟧", "D"), document("b", "⟦tos⟧", "S"))
    read = open_files(gold, gold, entity="d")
    assert read.labels == ["D"]
    assert counts(read) == (1, 0, 0)


def test_a_label_that_gold_lacks_is_wrong(tmp_path: Path) -> None:
    gold = tsv(tmp_path / "g.tsv", document("a", "⟦tos⟧", "D"))
    read = open_files(tsv(tmp_path / "p.tsv", document("a", "⟦tos⟧", "S")), gold)
    assert read.labels == ["D", "S"]
    assert counts(read) == (0, 1, 1)


def test_predictions_in_documents_that_gold_lacks_are_wrong(tmp_path: Path) -> None:
    gold = tsv(tmp_path / "g.tsv", document("a", "⟦tos⟧", "D"))
    found = tsv(tmp_path / "p.tsv", document("a", "⟦tos⟧", "D"), document("b", "⟦tos⟧", "D"))
    assert counts(open_files(found, gold)) == (1, 1, 0)


def test_nothing_predicted(tmp_path: Path) -> None:
    gold = tsv(tmp_path / "g.tsv", document("a", "⟦tos⟧", "D"))
    assert counts(open_files(tsv(tmp_path / "p.tsv"), gold)) == (0, 0, 1)


def test_no_gold_mention(tmp_path: Path) -> None:
    gold = tsv(tmp_path / "g.tsv")
    assert counts(open_files(tsv(tmp_path / "p.tsv", ONE.predicted), gold)) == (0, 2, 0)
    assert open_files(gold, gold).pairs == []


def test_files_score_as_the_command_does(tmp_path: Path) -> None:
    one, two = Span(0, 4, "D"), Span(2, 4, "S")
    gold = tsv(
        tmp_path / "g.tsv", Document("a.txt", "....", (one, one)), Document("b", "....", (two,))
    )
    found = tsv(
        tmp_path / "p.tsv", Document("a.txt", "....", (one, two)), Document("c", "....", (one,))
    )
    strict = evaluate(gold, found)["official"]["strict"]
    read = open_files(found, gold)
    assert counts(read) == (strict["tp"], strict["fp"], strict["fn"]) == (1, 2, 2)
    assert list(official_scores(read)) == ["a", "b", "c"]


def test_no_document_in_common_is_a_mistake(tmp_path: Path) -> None:
    gold = tsv(tmp_path / "g.tsv", document("a", "⟦tos⟧", "D"))
    found = tsv(tmp_path / "p.tsv", document("x/a", "⟦tos⟧", "D"))
    with pytest.raises(ConfigError, match="share no document: 'a' and 'x/a'"):
        open_files(found, gold)


def test_two_texts_of_one_document_are_a_mistake(tmp_path: Path) -> None:
    write_documents([Document("a", "tos")], tmp_path / "gold.jsonl")
    write_documents([Document("a", "tos ")], tmp_path / "found.jsonl")
    with pytest.raises(ConfigError, match=r"'a' has one text in .*gold.jsonl and another in"):
        open_files(tmp_path / "found.jsonl", tmp_path / "gold.jsonl")


def test_a_mention_beyond_its_text_is_a_mistake(tmp_path: Path) -> None:
    gold = brat(tmp_path / "gold", document("a", "⟦tos⟧", "D"))
    with pytest.raises(CorpusError, match="a: span 0-8"):
        open_files(tsv(tmp_path / "p.tsv", document("a", "⟦tos seca⟧", "D")), gold)


def test_predictions_that_are_not_there_are_a_mistake(tmp_path: Path) -> None:
    for name in ("x.jsonl", "x.tsv", "x"):
        with pytest.raises(CorpusError, match="no such file or folder"):
            open_files(tmp_path / name)


def test_native_documents_of_files(tmp_path: Path) -> None:
    gold = tsv(tmp_path / "g.tsv", document("a", "⟦tos⟧", "D"), document("b", "⟦tos⟧", "D"))
    (tmp_path / "native.txt").write_text("\ufeffb\r\n\r\n", "utf-8")
    assert open_files(gold, gold, native=tmp_path / "native.txt").native == {"b"}


def test_predictions_of_a_run_take_its_lexicon(tmp_path: Path) -> None:
    save_lexicon(tmp_path, {"D": {"tos": 1}})
    found = tsv(tmp_path / "predictions" / "test.tsv", ONE.predicted)
    assert open_system(found, gold=found).lexicon == {"D": {"tos": 1}}


@pytest.mark.data
def test_a_real_set_and_its_table_score_alike(shared_data: Path, tmp_path: Path) -> None:
    sets = [one for one in find_sets(shared_data / "TEMIST") if one.split == "test"]
    [disease] = [one for one in sets if one.entity == "disease"]
    gold = list(read_set(disease))
    found = [one.with_spans(one.spans[::2]) for one in gold]
    tables = tsv(tmp_path / "p.tsv", *found)
    half = sum(len({*one.spans}) for one in found)
    with_texts = open_files(tables, disease.folder)
    without = open_files(tables, tsv(tmp_path / "g.tsv", *gold))
    assert counts(with_texts) == counts(without) == (half, 0, 1519 - half)
    assert [one.text for one, _ in with_texts.pairs] == [one.text for one in gold]
    assert {one.language for one, _ in with_texts.pairs} == {"es"}
    mentions = (mention_table(one)["mention"].str.split() for one in (with_texts, without))
    assert next(mentions).tolist() == next(mentions).tolist()
