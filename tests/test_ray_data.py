"""Prediction over a dataset: what a worker does, and the whole of it where Ray is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from multiclin.bundle import load_model, save_bundle
from multiclin.cli import main
from multiclin.document import Document
from multiclin.errors import ConfigError
from multiclin.ray_data import Job, Recognition, predict
from multiclin.recognition import Recognizer
from tests.toy_models import CASES, toy_model

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

TEXTS = [case.replace("[", "").replace("]", "") * 3 for case in CASES]


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights that mark something."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("ray") / "model"
    save_bundle(toy_model(), folder, "card")
    return folder


def expected(ckpt: Path) -> list[dict[str, Any]]:
    """The rows of `TEXTS`."""
    documents = [Document(f"d{number}", text) for number, text in enumerate(TEXTS)]
    found = [
        {
            "id": one.id,
            "mentions": [
                {
                    "start": span.start,
                    "end": span.end,
                    "label": "DISEASE",
                    "text": one.text[span.start : span.end],
                    "score": span.score,
                }
                for span in one.spans
            ],
            "problem": None,
        }
        for one in Recognizer(load_model(ckpt)).pipe(documents)
    ]
    assert any(row["mentions"] for row in found)
    return found


def test_a_worker_answers_every_row_in_its_place(ckpt: Path) -> None:
    rows = [{"id": f"d{number}", "text": text} for number, text in enumerate(TEXTS)]
    block = pa.Table.from_pylist([rows[0], {"id": "x", "text": None}, *rows[1:]])
    first, bad, *others = Recognition(Job(ckpt, Path(), Path()))(block).to_pylist()
    assert bad == {"id": "x", "mentions": None, "problem": "it has no text"}
    assert [first, *others] == expected(ckpt)


def test_a_block_without_mentions_has_the_same_columns(ckpt: Path) -> None:
    worker = Recognition(Job(ckpt, Path(), Path()))
    empty = worker(pa.table({"id": ["a"], "text": [""]}))
    assert empty.to_pylist() == [{"id": "a", "mentions": [], "problem": None}]
    full = worker(pa.table({"id": ["a"], "text": [TEXTS[1]]}))
    assert full.schema == empty.schema


def test_a_worker_reads_files_by_itself(ckpt: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(TEXTS[0].encode())
    (tmp_path / "b.txt").write_bytes(b"\xff")
    rows = [
        {"id": f"d{n}", "path": str(tmp_path / name)} for n, name in enumerate(("a.txt", "b.txt"))
    ]
    good, bad = Recognition(Job(ckpt, Path(), Path())).rows(rows)
    assert good == expected(ckpt)[0]
    assert bad["id"] == f"{tmp_path}/b.txt"
    assert "not UTF-8" in bad["problem"]


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_one_learns_what_to_do(ckpt: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"pip install 'multiclin\[ray\]'; without it, predict.py"
    ):
        predict(Job(ckpt, tmp_path, tmp_path / "out"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: the extra `ray`")
def test_a_dataset_is_predicted_on_two_workers(
    ckpt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [f"d{number}" for number in range(len(TEXTS))]
    (tmp_path / "in").mkdir()
    for part in (0, 1):
        table = pa.table({"id": ids[part::2], "text": TEXTS[part::2], "year": [2026] * 3})
        pq.write_table(table, tmp_path / "in" / f"{part}.parquet")
    words = ["ray-predict", str(ckpt), str(tmp_path / "in"), str(tmp_path / "out"), "--workers=2"]
    assert main(words) == 0
    assert f"6 documents: {tmp_path}/out" in capsys.readouterr().out
    found = pq.read_table(tmp_path / "out").to_pylist()
    assert sorted(found, key=lambda row: row["id"]) == expected(ckpt)
    assert main(words) == 2
    assert "choose another output or say --overwrite" in capsys.readouterr().err
    (tmp_path / "txt").mkdir()
    for id, text in zip(ids, TEXTS, strict=True):
        (tmp_path / "txt" / f"{id}.txt").write_bytes(text.encode())
    (tmp_path / "txt" / "bad.txt").write_bytes(b"\xff")
    words[2] = str(tmp_path / "txt")
    assert main([*words, "--overwrite"]) == 2
    assert "bad.txt: not UTF-8" in capsys.readouterr().err
    found = pq.read_table(tmp_path / "out").to_pylist()
    assert [row for row in sorted(found, key=lambda row: row["id"]) if not row["problem"]] == (
        expected(ckpt)
    )
    pq.write_table(pa.table({"name": ["a"]}), tmp_path / "other.parquet")
    words[2] = str(tmp_path / "other.parquet")
    assert main([*words, "--overwrite"]) == 2
    assert "no column id and text" in capsys.readouterr().err
