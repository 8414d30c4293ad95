"""The paper's tables from folders written here: every mean and deviation is counted by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from multiclin.analysis.published import paper_table
from multiclin.analysis.runs import save
from multiclin.document import Document, Span
from multiclin.errors import ConfigError
from multiclin.tables import as_text


def write(path: Path, content: object) -> None:
    """JSON, which is YAML too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def made_run(
    folder: Path,
    name: str = "disease",
    *,
    f1: float | None = 0.5,
    digest: str | None = None,
    **config: object,
) -> Path:
    """The folder of a run for an entity; `f1` of its validation, None where it is not finished."""
    plain: dict[str, Any] = {
        "entity": {"name": name, "labels": {name: name.upper()}},
        "strategy": "biomed_multilingual",
        "seed": 13,
        "fold": None,
        "data": {"root": "corpus", "workers": None},
        "optim": {"learning_rate": 0.0005},
        "run_dir": "${hydra:runtime.output_dir}",
        "hpo": None,
    }
    write(folder / ".hydra" / "config.yaml", plain | config)
    if f1 is not None:
        (folder / "metrics.json").write_text(json.dumps({"val/strict_f1": f1}), "utf-8")
    if digest:
        write(folder / "model" / "multiclin.json", {"about": {"data": {"digest": digest}}})
    return folder


def scored(
    folder: Path,
    entity: str,
    *documents: tuple[str, str, str],
    seed: int = 13,
    strategy: str | None = "biomed_multilingual",
) -> Path:
    """A run with test documents: of each its id, its gold and its predicted mentions.

    A mention is a letter, at the place of that letter in the alphabet.
    """
    made_run(folder, entity, seed=seed, strategy=strategy)
    save(folder, "test", [pair(entity.upper(), *document) for document in documents])
    return folder


def pair(label: str, id: str, gold: str, predicted: str) -> tuple[Document, Document]:
    document = Document(id, "abcdefghij", language="es", annotated=frozenset([label]))
    sides = [
        tuple(Span(place, place + 1, label) for place in map("abcdefghij".index, side))
        for side in (gold, predicted)
    ]
    return document.with_spans(sides[0]), document.with_spans(sides[1])


def made_study(
    folder: Path,
    entity: str = "disease",
    *,
    value: float = 0.5,
    found: dict[str, Any] | None = None,
    objective: str = "val/seqeval_f1",
    trial: dict[str, Any] | None = None,
) -> Path:
    """A study with `best.yaml`, and one of its trials unless that is empty."""
    tuned = {"study": "s", "trial": 3, "trials": 20, "objective": objective, "value": value}
    plain = {"tuned": tuned, **(found or {"optim": {"learning_rate": 0.000486}})}
    folder.mkdir(parents=True)
    text = (
        f"# @package _global_\n# Train with it: python train.py entity={entity} tuned=best.yaml\n"
    )
    (folder / "best.yaml").write_text(text + yaml.safe_dump(plain), "utf-8")
    if trial != {}:
        settings = {"hpo": {"trial": 0, "direction": "maximize"}, **(trial or {})}
        made_run(folder / "trials" / "0", entity, **settings)
    return folder


def cells(number: int, *paths: Path, native: Path | None = None) -> dict[str, list[str]]:
    """Rows of a table by their first cell."""
    return {row[0]: row[1:] for row in paper_table(number, paths, native).rows}


# Table 2


def test_strategies_beside_the_papers_figures(tmp_path: Path) -> None:
    made_run(tmp_path / "a", "disease", f1=0.71234, strategy="biomed_spanish")
    made_run(tmp_path / "b", "symptom", f1=0.6, strategy="es_multilingual")
    table = paper_table(2, [tmp_path])
    assert as_text(table.rows) == "\n".join(
        [
            "Strategy             Disease   paper  Procedure   paper  Symptom   paper",
            "MrBERT-es (Multi.)         -  0.7439          -  0.7625   0.6000  0.7232",
            "MrBERT-bio (ES)       0.7123  0.7107          -  0.7207        -  0.6863",
            "MrBERT-bio (Multi.)        -  0.7478          -  0.7597        -  0.7345",
        ]
    )
    assert table.notes[:2] == [
        f"MrBERT-es (Multi.), symptom: {tmp_path / 'b'}",
        f"MrBERT-bio (ES), disease: {tmp_path / 'a'}",
    ]


def test_seeds_are_a_mean_with_deviation_and_number(tmp_path: Path) -> None:
    for seed, f1 in ((13, 0.70), (14, 0.72), (15, 0.77)):
        made_run(tmp_path / f"{seed}", f1=f1, seed=seed)
    # Mean 0.73; deviations -0.03, -0.01, 0.04: sqrt((9 + 1 + 16) / 2) / 100 = 0.0361.
    assert cells(2, tmp_path)["MrBERT-bio (Multi.)"][0] == "0.7300 ± 0.0361 (3)"


def test_folds_are_repetitions_too(tmp_path: Path) -> None:
    for fold, f1 in ((0, 0.5), (1, 0.7)):
        made_run(tmp_path / f"{fold}", f1=f1, fold=fold)
    assert cells(2, tmp_path)["MrBERT-bio (Multi.)"][0] == "0.6000 ± 0.1414 (2)"  # 0.1 * sqrt(2)


def test_other_strategies_and_entities_get_rows_and_columns(tmp_path: Path) -> None:
    made_run(tmp_path / "a", "drug", f1=0.8, strategy="ours")
    rows = cells(2, tmp_path)
    assert rows["Strategy"][6:] == ["Drug", "paper"]
    assert rows["ours"] == ["-", "-", "-", "-", "-", "-", "0.8000", "-"]
    assert rows["MrBERT-bio (ES)"][6:] == ["-", "-"]


def test_a_joint_model_has_a_score_of_each_entity(tmp_path: Path) -> None:
    labels = {"disease": "DISEASE", "symptom": "SYMPTOM"}
    made_run(tmp_path / "a", entity={"name": "joint", "labels": labels})
    scores = {"": 0.5, "/DISEASE": 0.6, "/SYMPTOM": 0.4}
    metrics = {f"val/strict_f1{of}": value for of, value in scores.items()}
    (tmp_path / "a" / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    assert cells(2, tmp_path)["MrBERT-bio (Multi.)"][::2] == ["0.6000", "-", "0.4000"]


def test_what_is_passed_over_is_said(tmp_path: Path) -> None:
    made_run(tmp_path / "run")
    made_run(tmp_path / "null", strategy=None)
    made_run(tmp_path / "trials" / "0", hpo={"trial": 0}, f1=0.9)
    made_run(tmp_path / "cut off", f1=None)
    write(tmp_path / "other" / ".hydra" / "config.yaml", {"input": "texts"})
    made_run(tmp_path / "unvalidated")
    (tmp_path / "unvalidated" / "metrics.json").write_text("{}", "utf-8")
    passed = [note for note in paper_table(2, [tmp_path]).notes if note.startswith("passed")]
    assert sorted(passed) == [
        f"passed over, not finished: {tmp_path / 'cut off'}",
        f"passed over, of a search: {tmp_path / 'trials' / '0'}",
        f"passed over, of no training: {tmp_path / 'other'}",
        f"passed over, without a strategy: {tmp_path / 'null'}",
        f"passed over, without validation documents: {tmp_path / 'unvalidated'}",
    ]


def test_a_run_counts_once_however_often_it_is_named(tmp_path: Path) -> None:
    run = made_run(tmp_path / "a")
    assert cells(2, tmp_path, run, run)["MrBERT-bio (Multi.)"][0] == "0.5000"


def test_nothing_is_searched_inside_of_a_run(tmp_path: Path) -> None:
    made_run(tmp_path / "a")
    made_run(tmp_path / "a" / "older", seed=14)
    assert cells(2, tmp_path)["MrBERT-bio (Multi.)"][0] == "0.5000"


def test_a_seed_that_was_trained_again_counts_once(tmp_path: Path) -> None:
    made_run(tmp_path / "2026-11-01", f1=0.4)
    made_run(tmp_path / "2026-11-02", f1=0.6)
    table = paper_table(2, [tmp_path])
    assert table.rows[3][1] == "0.6000"
    again = f"passed over, trained again with the same seed: {tmp_path / '2026-11-01'}"
    assert again in table.notes


def test_different_systems_have_no_mean(tmp_path: Path) -> None:
    made_run(tmp_path / "a", seed=13)
    made_run(tmp_path / "b", seed=14, optim={"learning_rate": 0.001})
    with pytest.raises(ConfigError) as error:
        paper_table(2, [tmp_path])
    assert str(error.value).splitlines() == [
        "runs of MrBERT-bio (Multi.), disease differ in more than seed and fold, so they are not "
        "one system:",
        f"  optim.learning_rate: 0.0005 in {tmp_path / 'a'}; 0.001 in {tmp_path / 'b'}",
        "hint: give the folders of the runs that belong together",
    ]


def test_settings_that_change_no_score_may_differ(tmp_path: Path) -> None:
    made_run(tmp_path / "a", f1=0.5, run_name="a", tuned={"study": "x"}, logger={"csv": {}})
    made_run(tmp_path / "b", f1=0.5, seed=14, run_name="b", tuned=None, logger=None)
    assert cells(2, tmp_path)["MrBERT-bio (Multi.)"][0] == "0.5000 ± 0.0000 (2)"


@pytest.mark.parametrize(("digests", "alike"), [(("x", "x"), True), (("x", "y"), False)])
def test_a_corpus_is_its_content(tmp_path: Path, digests: tuple[str, str], alike: bool) -> None:
    for seed, digest in enumerate(digests):
        data = {"root": f"corpus{seed if alike else ''}"}
        made_run(tmp_path / f"{seed}", seed=seed, data=data, digest=digest)
    if alike:
        assert cells(2, tmp_path)["MrBERT-bio (Multi.)"][0] == "0.5000 ± 0.0000 (2)"
    else:
        with pytest.raises(ConfigError, match=r"data\.root: x in"):
            paper_table(2, [tmp_path])


# Table 3


def test_test_scores_beside_the_papers_figures(tmp_path: Path) -> None:
    # 3 right, 1 wrong, 2 missed: P 3/4, R 3/5, F1 6/9.
    scored(tmp_path / "a", "procedure", ("1", "abc", "abd"), ("2", "ab", "a"))
    assert as_text(paper_table(3, [tmp_path]).rows) == "\n".join(
        [
            "Entity     Corpus       P  paper      R  paper     F1  paper",
            "DISEASE    Overall      -  0.746      -  0.744      -  0.745",
            "           Native       -  0.697      -  0.734      -  0.715",
            "PROCEDURE  Overall  0.750  0.746  0.600  0.679  0.667  0.711",
            "           Native       -  0.723      -  0.501      -  0.592",
            "SYMPTOM    Overall      -  0.685      -  0.637      -  0.660",
            "           Native       -  0.704      -  0.505      -  0.588",
        ]
    )


def test_native_documents_have_a_row(tmp_path: Path) -> None:
    scored(tmp_path / "a", "disease", ("1", "abc", "abd"), ("2", "ab", "a"))
    (tmp_path / "native.txt").write_text("2\n", "utf-8")
    table = paper_table(3, [tmp_path / "a"], tmp_path / "native.txt")
    assert table.rows[2][::2] == ["", "1.000", "0.500", "0.667"]
    assert f"disease: {tmp_path / 'a'}; documents: 2 Overall, 1 Native (es)" in table.notes


def test_test_scores_of_seeds(tmp_path: Path) -> None:
    scored(tmp_path / "a", "disease", ("1", "ab", "ab"), seed=13)  # 1, 1, 1
    scored(tmp_path / "b", "disease", ("1", "ab", "ac"), seed=14)  # 1/2, 1/2, 1/2
    row = cells(3, tmp_path)["DISEASE"]
    assert row[1::2] == ["0.750 ± 0.354 (2)"] * 3  # 0.25 * sqrt(2)


def test_a_joint_model_is_scored_for_each_entity(tmp_path: Path) -> None:
    """Of every label that the corpus has, as `entity=all` finds them; or of a list."""
    for name, labels in (("a", {}), ("b", ["DISEASE", "SYMPTOM"])):
        run = made_run(tmp_path / name, entity={"name": "all", "labels": labels})
        recipe = {"labels": ["DISEASE", "SYMPTOM"]}
        write(run / "model" / "multiclin.json", {"recipe": recipe})
        document = Document("1", "ab", language="es", annotated=frozenset(["DISEASE", "SYMPTOM"]))
        gold = document.with_spans((Span(0, 1, "DISEASE"), Span(0, 1, "SYMPTOM")))
        found = document.with_spans((Span(0, 1, "DISEASE"), Span(1, 2, "SYMPTOM")))
        save(run, "test", [(gold, found)])
        rows = cells(3, run)
        assert (rows["DISEASE"][5], rows["SYMPTOM"][5]) == ("1.000", "0.000")


def test_the_submitted_strategy_stands_above_others(tmp_path: Path) -> None:
    scored(tmp_path / "es", "disease", ("1", "ab", "c"), strategy="biomed_spanish")
    scored(tmp_path / "free", "disease", ("1", "ab", "ac"), strategy=None)
    without = paper_table(3, [tmp_path])
    assert without.rows[1][2] == "0.500"
    assert f"passed over, of another strategy than none: {tmp_path / 'es'}" in without.notes
    scored(tmp_path / "paper", "disease", ("1", "ab", "ab"))
    table = paper_table(3, [tmp_path])
    assert table.rows[1][2] == "1.000"
    listed = f"{tmp_path / 'es'}, {tmp_path / 'free'}"
    assert f"passed over, of another strategy than biomed_multilingual: {listed}" in table.notes


def test_runs_without_test_documents_are_passed_over(tmp_path: Path) -> None:
    made_run(tmp_path / "a")
    with pytest.raises(ConfigError, match=r"no finished run that keeps test documents(?s:.)*/a\n"):
        paper_table(3, [tmp_path])


# Table 1


def test_hyperparameters_beside_the_papers(tmp_path: Path) -> None:
    found = {
        "optim": {"learning_rate": 0.000486, "weight_decay": 0.071262, "warmup_ratio": 0.0},
        "trainer": {"max_epochs": 6, "accumulate_grad_batches": 2},
        "data": {"batch_size": 16},
        "window": {"overlap": 64},
    }
    made_study(tmp_path / "any name", "procedure", value=0.71, found=found)
    table = paper_table(1, [tmp_path])
    assert as_text(table.rows) == "\n".join(
        [
            "Hyperparameter  Disease   paper  Procedure   paper  Symptom   paper",
            "Learning rate         -  4.9e-4     4.9e-4  3.4e-4        -  2.4e-4",
            "Epochs                -      10          6       7        -       9",
            "Batch size            -       8         16       4        -       4",
            "Weight decay          -       -     0.0713       -        -       -",
            "Warm-up ratio         -       -          0       -        -       -",
            "Accumulation          -       -          2       -        -       -",
            "window.overlap        -       -         64       -        -       -",
        ]
    )
    about = f"{tmp_path / 'any name'} (val/seqeval_f1 0.7100, trial 3); 20 trials"
    assert table.notes[0] == f"procedure: {about}"


def test_what_was_not_searched_comes_from_a_trial(tmp_path: Path) -> None:
    made_study(tmp_path / "s", trial={"trainer": {"max_epochs": 5}})
    table = paper_table(1, [tmp_path])
    assert [row[1] for row in table.rows[1:]] == ["4.9e-4", "5", "-"]
    assert table.notes[0].endswith("; not searched: trainer.max_epochs, data.batch_size")


def test_searched_options_of_groups_are_rows(tmp_path: Path) -> None:
    defaults = [{"override /model": "mrbert_es"}]
    made_study(tmp_path / "s", found={"defaults": defaults})
    assert cells(1, tmp_path)["model"][:2] == ["mrbert_es", "-"]


def test_an_entity_without_trials_is_that_of_the_command(tmp_path: Path) -> None:
    made_study(tmp_path / "s", "symptom", trial={})
    assert cells(1, tmp_path)["Learning rate"][4] == "4.9e-4"


@pytest.mark.parametrize(("direction", "batch"), [("maximize", "8"), ("minimize", "2")])
def test_the_best_of_several_studies(tmp_path: Path, direction: str, batch: str) -> None:
    trial = {"hpo": {"trial": 0, "direction": direction}}
    for name, value, size in (("a", 0.2, 2), ("b", 0.8, 8)):
        found = {"data": {"batch_size": size}}
        made_study(tmp_path / name, value=value, found=found, trial=trial)
    table = paper_table(1, [tmp_path])
    assert table.rows[3][1] == batch
    assert "the best of 2 studies, beside" in table.notes[0]


def test_studies_of_different_objectives_cannot_be_compared(tmp_path: Path) -> None:
    made_study(tmp_path / "a")
    made_study(tmp_path / "b", objective="val/strict_f1")
    with pytest.raises(ConfigError, match="different objectives"):
        paper_table(1, [tmp_path])


# Mistakes


@pytest.mark.parametrize(
    ("number", "command"), [(1, "-m hpo=optuna"), (2, "experiment=table2"), (3, "paper_disease")]
)
def test_an_empty_folder_says_what_makes_the_table(
    tmp_path: Path, number: int, command: str
) -> None:
    with pytest.raises(ConfigError, match=f"below {tmp_path}\nhint: .*{command}"):
        paper_table(number, [tmp_path])


def test_there_are_three_tables(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="table 4: the paper has tables 1, 2 and 3"):
        paper_table(4, [tmp_path])


def test_native_is_of_the_third(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only Table 3"):
        paper_table(2, [tmp_path], tmp_path / "native.txt")


def test_a_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere: no such folder"):
        paper_table(2, [tmp_path / "nowhere"])


@pytest.mark.parametrize("name", ["metrics.json", ".hydra/config.yaml"])
@pytest.mark.parametrize("content", ["{", "[]", "7"])
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    run = made_run(tmp_path / "a")
    (run / name).write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=f"{run / name} is broken"):
        paper_table(2, [tmp_path])


def test_a_best_yaml_of_another_origin(tmp_path: Path) -> None:
    write(tmp_path / "s" / "best.yaml", {"optim": {"learning_rate": 0.1}})
    with pytest.raises(ConfigError, match="is not what a search writes"):
        paper_table(1, [tmp_path])
