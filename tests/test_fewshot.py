"""Joint training on consolidated texts, then on a few other documents more, by the commands."""

from __future__ import annotations

import shutil

import pytest

from multiclin.cli import main
from multiclin.corpus.sample import generate
from tests.commands import Done, Work, read_json, succeeded
from tests.corpus.versions import reword

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """A corpus whose entity versions differ in one word of twenty, and one text for them."""
    work = Work(tmp_path_factory.mktemp("fewshot"))
    reword(work.corpus, 0.05)
    json = work.folder / "losses.json"
    words = [str(work.corpus), str(work.folder / "one-text"), "--json", str(json)]
    assert main(["corpus", "consolidate", *words]) == 0
    kept = read_json(json)["kept"]
    assert sum(one["kept"] for one in kept) > 0.94 * sum(one["mentions"] for one in kept)
    return work


@pytest.fixture(scope="module")
def joint(work: Work) -> Done:
    words = ["entity=joint", "data.sampling.temperature=2", "trainer.max_epochs=4", "logger=csv"]
    return succeeded(
        work.run(*work.training("joint", *words, f"data.root={work.folder / 'one-text'}"))
    )


def test_a_joint_model_reads_each_consolidated_text_once(work: Work, joint: Done) -> None:
    lines = [line.split() for line in joint.stderr.splitlines()]
    at = lines.index(["language", "labels", "windows", "an", "epoch", "has"])
    groups = lines[at + 1 : at + 3]
    assert [group[:2] for group in groups] == [
        ["en", "DISEASE+PROCEDURE+SYMPTOM"],
        ["es", "DISEASE+PROCEDURE+SYMPTOM"],
    ]
    windows, drawn = (sum(int(group[n]) for group in groups) for n in (2, 3))
    assert windows == drawn
    assert read_json(work.folder / "joint" / "metrics.json")["test/strict_f1"] > 0.1


def test_a_few_documents_more_leave_the_older_scores_to_be_seen(work: Work, joint: Done) -> None:
    """The native corpus has no symptoms; the model still finds them, for they are replayed."""
    native, older = work.folder / "native", work.folder / "one-text"
    generate(native, documents=10, seed=7, languages=["es"])
    for folder in [path for path in native.rglob("*-symptom") if path.is_dir()]:
        shutil.rmtree(folder)
    words = [
        *("experiment=fewshot", "entity=joint", "trainer.max_epochs=2", "logger=csv"),
        *(f"weights={work.folder / 'joint'}", f"data.replay.root={older}", f"data.root={native}"),
    ]
    done = succeeded(work.run(*work.training("shot", *words)))
    metrics = read_json(work.folder / "shot" / "metrics.json")
    before = read_json(work.folder / "joint" / "metrics.json")
    assert metrics["before/replay/strict_f1"] == before["test/strict_f1"]
    assert metrics["replay/strict_f1/SYMPTOM"] > 0.1
    assert metrics["test/strict_f1"] != metrics["before/test/strict_f1"]
    table = [line.split() for line in done.stderr.splitlines()[-5:-2]]
    assert table == [
        ["strict", "F1", "before", "after"],
        *(
            [name, *(f"{metrics[f'{when}{name}/strict_f1']:.4f}" for when in ("before/", ""))]
            for name in ("test", "replay")
        ),
    ]
    said = read_json(work.folder / "shot" / "model" / "multiclin.json")
    assert said["about"]["data"]["documents"]["replayed"] > 0
    assert (work.folder / "shot" / "predictions" / "replayed_test.tsv").is_file()
