"""The main job through the real commands: files of a run, invariance of prediction, mistakes.

One small training on a toy corpus serves most tests; commands that do not need each other run two
at a time. Nothing may reach the network: every proxy points to a closed port.
"""

from __future__ import annotations

import json
import math
import shutil
import signal
import time
from pathlib import Path

import pytest

from multiclin.analysis.frames import frames
from multiclin.analysis.runs import open_run
from multiclin.corpus.brat import read_document
from multiclin.corpus.jsonl import read_documents
from multiclin.corpus.tsv import read_rows
from tests.commands import Done, Work, read_json, succeeded

pytestmark = pytest.mark.slow


def rows(folder: Path) -> list[str]:
    """The lines of predictions.tsv below its heading."""
    return (folder / "predictions.tsv").read_text("utf-8").splitlines()[1:]


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return Work(tmp_path_factory.mktemp("job"))


TRAINED = ["entity=symptom", "trainer.max_epochs=4"]


@pytest.fixture(scope="module")
def console(work: Work) -> Done:
    """The training that most tests look at."""
    return succeeded(work.run(*work.training("run", *TRAINED, "logger=csv")))


@pytest.fixture(scope="module")
def run(console: Done, work: Work) -> Path:
    """Its folder."""
    return work.folder / "run"


# What a run leaves


def test_a_run_leaves_all_its_files(run: Path) -> None:
    assert files(run) == {
        ".hydra/config.yaml",
        ".hydra/hydra.yaml",
        ".hydra/overrides.yaml",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "csv/version_0/hparams.yaml",
        "csv/version_0/metrics.csv",
        "documents.html",
        "gold/test.jsonl",
        "gold/validation.jsonl",
        "metrics.json",
        "model/README.md",
        "model/config.json",
        "model/model.safetensors",
        "model/multiclin.json",
        "model/tokenizer.json",
        "model/tokenizer_config.json",
        "predictions/test.jsonl",
        "predictions/test.tsv",
        "predictions/validation.jsonl",
        "predictions/validation.tsv",
        "report.html",
        "split.json",
        "train.log",
        "training_mentions.json",
    }


def test_metrics_have_their_names(run: Path) -> None:
    metrics = read_json(run / "metrics.json")
    names = ["loss", "strict_f1", "strict_precision", "strict_recall", "overlap_f1", "seqeval_f1"]
    expected = {f"{split}/{name}" for split in ("val", "test") for name in names}
    assert expected == {name for name in metrics if not name.startswith("ceiling/")}
    assert {f"ceiling/{split}/es/f1" for split in ("train", "validation", "test")} <= set(metrics)
    assert 0.1 < metrics["test/strict_f1"] < 1  # Else the tests below would compare nothing.


def test_the_bundle_says_what_it_is(run: Path) -> None:
    said = read_json(run / "model" / "multiclin.json")
    metrics = read_json(run / "metrics.json")
    assert said["recipe"]["labels"] == ["SYMPTOM"]
    assert (said["recipe"]["scheme"], said["recipe"]["snapping"]) == ("bio", "words")
    assert (said["recipe"]["window"], said["recipe"]["overlap"]) == (128, 32)
    assert said["about"]["scores"]["test/strict_f1"] == metrics["test/strict_f1"]
    assert said["about"]["data"]["digest"]
    assert {"multiclin", "torch", "transformers"} <= set(said["about"]["versions"])
    assert read_json(run / "model" / "config.json")["id2label"] == {
        "0": "O",
        "1": "B-SYMPTOM",
        "2": "I-SYMPTOM",
    }


def test_no_case_is_in_two_splits(run: Path) -> None:
    split = read_json(run / "split.json")
    cases = {
        name: {key[-4:] for key in keys if "-test-" not in key} for name, keys in split.items()
    }
    assert len(split["validation"]) == 2
    assert all(key.startswith("es/") for key in split["validation"] + split["test"])
    assert not cases["train"] & cases["validation"]


def test_the_console_tells_the_run_and_nothing_else(console: Done, run: Path) -> None:
    assert console.stdout == ""  # Bars are for terminals.
    lines = console.stderr.splitlines()
    for number in range(1, 5):
        assert sum(line.startswith(f"epoch {number} of 4  train/loss") for line in lines) == 1
    assert lines[-1] == f"to use it: python predict.py ckpt={run.name} input=DIR output=DIR"
    assert "site-packages" not in console.stderr  # Where a warning says that it comes from.
    assert not [line for line in lines if line.startswith(("[", " ")) or "\r" in line]
    logged = (run / "train.log").read_text("utf-8").splitlines()
    assert len(logged) == len(lines)


def test_the_report_says_what_metrics_say(run: Path) -> None:
    evaluation = open_run(run)
    metrics, scores = read_json(run / "metrics.json"), frames(evaluation)["scores"]
    assert evaluation.split == "test"
    assert scores["f1"].round(6).tolist() == [metrics["test/strict_f1"]]
    assert scores["char_f1"].round(6).tolist() == [metrics["test/overlap_f1"]]
    page = (run / "report.html").read_text("utf-8")
    assert f"Strict F1 on test <b>{metrics['test/strict_f1']:.4f}</b>" in page
    for section in ("What to do next", "Learning curves", "Scores of mentions"):
        assert f"<h2>{section}</h2>" in page


def test_a_refused_rerun_leaves_the_config_of_the_run(work: Work, run: Path) -> None:
    before = (run / ".hydra" / "config.yaml").read_bytes()
    again = work.run(*work.training("run", "entity=symptom", "seed=99"))
    assert again.returncode == 2
    assert "finished run" in again.stderr
    assert (run / ".hydra" / "config.yaml").read_bytes() == before


# Prediction


@pytest.fixture(scope="module")
def texts(work: Work) -> Path:
    """The Spanish test documents of all entities in one folder: 15, most of several windows."""
    folder = work.folder / "texts"
    folder.mkdir()
    for entity in ("disease", "procedure", "symptom"):
        for text in (work.set("test", entity) / "txt").iterdir():
            shutil.copy(text, folder)
    return folder


VARIANTS = {
    "plain": [],
    "checkpoint": [],
    "one": ["batch_size=1"],
    "three": ["batch_size=3", "workers=2"],
    "reversed": [],
    "first_half": [],
    "second_half": [],
}


@pytest.fixture(scope="module")
def predicted(work: Work, run: Path, texts: Path) -> dict[str, Path]:
    """The same documents, predicted in several ways; the folder of each."""
    ordered = sorted(texts.iterdir())
    names = {
        "reversed": {f"{99 - n}{text.name}": text for n, text in enumerate(ordered)},
        "first_half": {text.name: text for text in ordered[:7]},
        "second_half": {text.name: text for text in ordered[7:]},
    }
    for name, copies in names.items():
        (work.folder / "texts_of" / name).mkdir(parents=True)
        for copy, text in copies.items():
            shutil.copy(text, work.folder / "texts_of" / name / copy)
    # The folder of the run stands for its bundle.
    ckpts = {"checkpoint": run / "checkpoints" / "best.ckpt", "reversed": run}
    commands = [
        work.prediction(
            ckpts.get(name, run / "model"),
            work.folder / "texts_of" / name if name in names else texts,
            f"predicted/{name}",
            *words,
        )
        for name, words in VARIANTS.items()
    ]
    for done in work.run_all(commands):
        succeeded(done)
    return {name: work.folder / "predicted" / name for name in VARIANTS}


def test_there_is_something_to_compare(predicted: dict[str, Path]) -> None:
    assert len(rows(predicted["plain"])) > 30


@pytest.mark.parametrize("name", ["checkpoint", "one", "three"])
def test_neither_form_of_the_model_nor_batches_change_a_byte(
    predicted: dict[str, Path], name: str
) -> None:
    plain, other = predicted["plain"], predicted[name]
    expected = (plain / "predictions.tsv").read_bytes()
    assert (other / "predictions.tsv").read_bytes() == expected


def test_the_order_of_documents_changes_nothing(predicted: dict[str, Path]) -> None:
    renamed = [row[2:] for row in rows(predicted["reversed"])]
    assert sorted(renamed) == sorted(rows(predicted["plain"]))


def test_cutting_a_corpus_into_folders_changes_nothing(predicted: dict[str, Path]) -> None:
    parts = rows(predicted["first_half"]) + rows(predicted["second_half"])
    assert parts == rows(predicted["plain"])


@pytest.fixture(scope="module")
def on_test_set(work: Work, run: Path) -> Path:
    """The test set predicted in all formats."""
    formats = "formats=[tsv,brat,jsonl]"
    words = work.prediction(run / "model", work.set("test", "symptom"), "on_test_set", formats)
    succeeded(work.run(*words))
    return work.folder / "on_test_set"


def test_the_three_formats_say_the_same(on_test_set: Path) -> None:
    table: dict[str, list[tuple[int, int, str]]] = {}
    for row in read_rows(on_test_set / "predictions.tsv"):
        table.setdefault(row.filename, []).append((row.start, row.end, row.label))
    lines = list(read_documents(on_test_set / "predictions.jsonl"))
    texts = sorted((on_test_set / "ann").glob("*.txt"))
    brat = [read_document(text, text.with_suffix(".ann"), id=text.stem) for text in texts]
    for documents in (lines, brat):
        found = {
            document.id: [(span.start, span.end, span.label) for span in document.spans]
            for document in documents
        }
        assert {id: spans for id, spans in found.items() if spans} == table
        assert len(found) == 5
    assert all(0 < span.score <= 1 for document in lines for span in document.spans if span.score)


def test_predict_and_the_run_say_the_same(on_test_set: Path, run: Path) -> None:
    expected = (run / "predictions" / "test.tsv").read_bytes()
    assert (on_test_set / "predictions.tsv").read_bytes() == expected


def test_the_score_of_the_run_is_the_official_one(work: Work, run: Path, on_test_set: Path) -> None:
    gold = f"gold={work.set('test', 'symptom')}"
    predictions = [run / "predictions" / "test.tsv", on_test_set]
    commands = [["evaluate.py", gold, f"pred={path}", "entity=symptom"] for path in predictions]
    metrics = read_json(run / "metrics.json")
    for done in work.run_all(commands):
        official = json.loads(succeeded(done).stdout)
        assert official["strict"]["f1"] == round(metrics["test/strict_f1"], 4)
        assert official["char_f1"]["f1"] == round(metrics["test/overlap_f1"], 4)


def test_a_bad_file_is_named_and_the_rest_is_predicted(
    work: Work, run: Path, texts: Path, predicted: dict[str, Path]
) -> None:
    mixed = work.folder / "mixed"
    shutil.copytree(texts, mixed)
    (mixed / "empty.txt").touch()
    (mixed / "latin.txt").write_bytes("año".encode("latin-1"))
    done = work.run(*work.prediction(run / "model", mixed, "mixed_out"))
    assert done.returncode == 2
    assert f"error: {mixed / 'latin.txt'}:1: not UTF-8 at byte 1 (0xf1)" in done.stderr
    assert "Traceback" not in done.stderr
    assert rows(work.folder / "mixed_out") == rows(predicted["plain"])


def test_a_prediction_beside_gold_is_scored(work: Work, run: Path) -> None:
    gold, output = work.set("test", "symptom"), work.folder / "scored"
    done = succeeded(work.run(*work.prediction(run, gold / "txt", "scored", f"gold={gold}")))
    assert f"the report: {output}/report.html" in done.stderr
    f1 = read_json(run / "metrics.json")["test/strict_f1"]
    page = (output / "report.html").read_text("utf-8")
    assert f"<b>{f1:.4f}</b>" in page
    assert "times in training" in page  # The run knows what it was trained on.


def test_a_prediction_of_many_documents_has_no_report(work: Work, run: Path) -> None:
    texts = work.set("test", "symptom") / "txt"
    words = work.prediction(run, texts, "many", "report.documents=4")
    assert "no report: there are more than report.documents=4" in succeeded(work.run(*words)).stderr
    assert files(work.folder / "many") == {"predictions.tsv"}


def test_results_are_replaced_only_when_asked(work: Work, run: Path, texts: Path) -> None:
    table = work.folder / "kept" / "predictions.tsv"
    table.parent.mkdir()
    table.write_text("precious\n", "utf-8")
    refused = work.run(*work.prediction(run / "model", texts, "kept"))
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == [
        f"error: {table} exists already; choose another output= or say overwrite=true"
    ]
    assert table.read_text("utf-8") == "precious\n"
    succeeded(work.run(*work.prediction(run / "model", texts, "kept", "overwrite=true")))
    assert len(rows(table.parent)) > 30
    assert files(table.parent) == {"predictions.tsv", "report.html", "documents.html"}


# Mistakes


@pytest.fixture(scope="module")
def mistakes(work: Work, run: Path, texts: Path) -> dict[str, Done]:
    """One command per mistake, and what came of it."""
    broken = work.folder / "broken"
    shutil.copytree(work.corpus, broken)
    ann = next(path for path in sorted(broken.rglob("*.ann")) if "es-train-disease" in path.name)
    lines = ann.read_text("utf-8").splitlines()
    lines[1] = "T2\tDISEASE 5 x\tfoo"
    ann.write_text("\n".join(lines), "utf-8")
    commands = {
        "no corpus": work.training("m1", "data.root=nowhere"),
        "broken annotation": work.training("m2", f"data.root={broken}"),
        "unknown entity": work.training("m3", "entity=diseas"),
        "unknown setting": work.training("m4", "optim.learnin_rate=1"),
        "unknown language": work.training("m5", "languages=[es,xx]"),
        "finished run": work.training("run", *TRAINED, "logger=csv"),
        "no checkpoint": work.prediction(Path("nowhere.ckpt"), texts, "m6"),
        "no texts": work.prediction(run / "model", Path("nowhere"), "m7"),
        "no checkpoint to go on from": work.training("m8", "ckpt_path=nowhere.ckpt"),
    }
    return dict(zip(commands, work.run_all(commands.values()), strict=True))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no corpus", "nowhere: no such folder"),
        ("broken annotation", "-es-train-disease-0001.ann:2: expected T<id>"),
        ("unknown entity", "did you mean entity=disease?"),
        ("unknown setting", "did you mean optim.learning_rate?"),
        ("unknown language", "xx"),
        ("finished run", "holds a finished run"),
        ("no checkpoint", "nowhere.ckpt does not exist; give a checkpoint"),
        ("no texts", "nowhere: no such file or folder"),
        ("no checkpoint to go on from", "ckpt_path=nowhere.ckpt is not there"),
    ],
)
def test_a_mistake_is_one_message(mistakes: dict[str, Done], name: str, words: str) -> None:
    done = mistakes[name]
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1
    assert words in done.stderr.partition("error:")[2]


# Stopping and going on


def test_ctrl_c_saves_and_says_how_to_go_on(work: Work) -> None:
    """In the second of three epochs; tests/test_resume.py goes on."""
    folder, messages = work.folder / "stopped", ""
    training = work.training("stopped", "entity=symptom", "trainer.max_epochs=3", "logger=csv")
    with work.start(*training) as process:
        assert process.stderr is not None
        for line in process.stderr:
            messages += line
            if line.startswith("epoch 1 of 3"):
                while not (folder / "checkpoints" / "last.ckpt").exists():
                    time.sleep(0.01)
                time.sleep(0.1)
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert "Traceback" not in messages
    assert messages.splitlines()[-2:] == [
        f"stopped; go on with the same command and hydra.run.dir='{folder}' ckpt_path=last",
        "interrupted",
    ]
    assert (folder / "checkpoints" / "last.ckpt").is_file()
    assert not (folder / "model").exists()


# Other ways to train


@pytest.fixture(scope="module")
def others(work: Work, run: Path) -> dict[str, Done]:
    """Trainings that do not need each other."""
    commands = {
        "wandb": work.training("wandb_run", *TRAINED),
        "from_bundle": work.training(
            "from_bundle",
            *("entity=symptom", "trainer.max_epochs=1", "logger=csv"),
            *(f"weights={run / 'model'}", "data.validation.share=0", "optim.learning_rate=0"),
        ),
        "augmented": work.training(
            "augmented",
            *("entity=joint", "trainer.max_epochs=1", "logger=csv", "tagging.scheme=bioes"),
            *("augmentation=all", "window.context=16", "trainer.accumulate_grad_batches=2"),
        ),
        "whole": work.training(
            "whole",
            *("entity=symptom", "trainer.max_epochs=2", "logger=csv"),
            *("window.size=8192", "window.overlap=1024"),
        ),
        "joint": work.training("joint", "entity=joint", "trainer.max_epochs=2", "logger=csv"),
        "other_entity": work.training(
            "other_entity",
            *("entity=joint", "languages=es", "trainer.max_epochs=1", "logger=csv"),
            f"weights={run / 'checkpoints' / 'best.ckpt'}",
        ),
    }
    return dict(zip(commands, map(succeeded, work.run_all(commands.values())), strict=True))


@pytest.mark.usefixtures("others")
def test_the_same_seed_gives_the_same_metrics(work: Work, run: Path) -> None:
    again = work.folder / "wandb_run"
    assert (again / "metrics.json").read_bytes() == (run / "metrics.json").read_bytes()


def test_wandb_needs_no_key_and_stays_in_the_folder_of_the_run(
    work: Work, others: dict[str, Done]
) -> None:
    folder = work.folder / "wandb_run"
    assert len(list(folder.glob("wandb/offline-run-*/run-*.wandb"))) == 1
    assert (folder / "csv" / "version_0" / "metrics.csv").is_file()
    assert not (work.folder / "wandb").exists()
    said = [line for line in others["wandb"].stderr.splitlines() if "wandb" in line.lower()]
    assert said[0] == f"W&B is offline; to upload: wandb sync {folder}/wandb/offline-run-*"
    assert others["wandb"].stdout == ""


@pytest.mark.usefixtures("others")
def test_without_validation_everything_is_trained_on(work: Work) -> None:
    folder = work.folder / "from_bundle"
    split = read_json(folder / "split.json")
    assert len(split["train"]) == 2 * 19
    assert split["validation"] == []
    assert {"checkpoints/best.ckpt", "model/model.safetensors"} <= files(folder)
    assert not [name for name in read_json(folder / "metrics.json") if name.startswith("val/")]


@pytest.mark.usefixtures("others")
def test_a_training_starts_from_the_weights_of_a_bundle(work: Work, run: Path) -> None:
    """With a learning rate of 0 they stay what they are."""
    before, after = (read_json(f / "metrics.json") for f in (run, work.folder / "from_bundle"))
    assert after["test/strict_f1"] == before["test/strict_f1"]


def test_weights_of_another_entity_start_all_but_the_classifier(others: dict[str, Done]) -> None:
    anew = "weights that begin anew, for the tags are others: "
    assert (
        f"{anew}encoder.classifier.bias, encoder.classifier.weight\n"
        in others["other_entity"].stderr
    )


@pytest.mark.usefixtures("others")
def test_a_joint_model_has_three_labels(work: Work, texts: Path) -> None:
    succeeded(work.run(*work.prediction(work.folder / "joint", texts, "joint_out")))
    labels = ["DISEASE", "PROCEDURE", "SYMPTOM"]
    model = work.folder / "joint" / "model"
    assert read_json(model / "multiclin.json")["recipe"]["labels"] == labels
    # Whether so short a training finds any is chance; that each has its own head is not.
    assert list(read_json(model / "config.json")["id2label"].values())[1::3] == [
        f"B-{label}" for label in labels
    ]
    metrics = read_json(work.folder / "joint" / "metrics.json")
    assert all(f"test/strict_f1/{label}" in metrics for label in labels)
    found = {row.label for row in read_rows(work.folder / "joint_out" / "predictions.tsv")}
    assert found <= set(labels)


@pytest.mark.usefixtures("others")
def test_a_model_of_changed_windows_reads_its_context(work: Work, texts: Path) -> None:
    run = work.folder / "augmented"
    assert read_json(run / "model" / "multiclin.json")["recipe"]["context"] == 16
    assert math.isfinite(read_json(run / "metrics.json")["val/loss"])
    succeeded(work.run(*work.prediction(run, texts, "augmented_out")))


@pytest.mark.usefixtures("others")
def test_a_window_may_hold_a_whole_document(work: Work) -> None:
    """Of 8,192 subwords, as many as the encoder has positions."""
    run, gold = work.folder / "whole", work.set("test", "symptom")
    metrics = read_json(run / "metrics.json")
    assert metrics["ceiling/test/es/split_by_windows"] == 0
    succeeded(work.run(*work.prediction(run, gold, "whole_out")))
    expected = (run / "predictions" / "test.tsv").read_bytes()
    assert (work.folder / "whole_out" / "predictions.tsv").read_bytes() == expected
    assert len(rows(work.folder / "whole_out")) > 0
