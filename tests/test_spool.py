"""Parts of a prediction: whole portions, whatever happens to their process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from multiclin.corpus.tsv import read_rows
from multiclin.errors import OutputError
from multiclin.output import Output
from multiclin.shards import Shard
from multiclin.spool import Spool
from tests.toy_models import marked

PART = ".predictions-0of1-0.part"


def fill(spool: Spool, *portions: int, rank: int = 0) -> Spool:
    """One document in each portion, of its name."""
    spool.open(rank)
    for portion in portions:
        spool.add(marked("[tos]", f"d{portion}"), portion=portion)
        spool.finish(portion)
    spool.close()
    return spool


def published(folder: Path) -> list[str]:
    return [row.filename for row in read_rows(folder / "predictions.tsv")]


KILLED = """
import os, signal, sys
from pathlib import Path
from multiclin.document import Document
from multiclin.spool import Spool
spool = Spool(Path(sys.argv[1]))
spool.begin({"precision": "32-true"})
spool.open()
for portion in range(3):
    spool.add(Document(f"d{portion}", "tos"), portion=portion)
    if portion < 2:
        spool.finish(portion)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(folder: Path) -> None:
    """Predict two portions and a document of a third, then die."""
    command = [sys.executable, "-c", KILLED, str(folder)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


def test_what_a_killed_process_has_finished_is_there(tmp_path: Path) -> None:
    killed(tmp_path)
    again = Spool(tmp_path)
    again.begin({"precision": "32-true"})
    assert again.finished() == {0, 1}
    assert not again.has_ended
    fill(again, 2).end()
    output = Output(tmp_path)
    assert output.publish(again) == []
    assert output.documents == 3
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.tsv"]


def test_other_settings_have_no_part_in_it(tmp_path: Path) -> None:
    killed(tmp_path)
    with pytest.raises(OutputError) as caught:
        Spool(tmp_path).begin({"precision": "bf16-mixed"})
    assert str(caught.value) == (
        f"{tmp_path} holds an unfinished prediction with precision=32-true (now bf16-mixed); go on "
        "with it by saying the same again, choose another output=, or begin anew with "
        "overwrite=true"
    )
    other = Spool(tmp_path)
    other.begin({"precision": "bf16-mixed"}, overwrite=True)
    assert other.finished() == set()
    assert json.loads((tmp_path / ".predictions.json").read_text()) == {
        "precision": "bf16-mixed",
        "shards": 1,
    }


@pytest.mark.parametrize("overwrite", [False, True])
def test_another_number_of_shards_is_refused(tmp_path: Path, overwrite: bool) -> None:
    """Some of them may be at work."""
    Spool(tmp_path, Shard(0, 3)).begin({})
    with pytest.raises(OutputError, match=r"shards=3 \(now 2\); .* remove .*/\.predictions\*"):
        Spool(tmp_path, Shard(1, 2)).begin({}, overwrite)


def test_the_shard_that_completes_the_set_publishes(tmp_path: Path) -> None:
    shards = [Spool(tmp_path, Shard(number, 3)) for number in range(3)]
    for spool in shards:
        spool.begin({})
    fill(shards[2], 2).end()
    assert Output(tmp_path).publish(shards[2]) == [Shard(0, 3), Shard(1, 3)]
    fill(shards[0], 0, 3).end()
    shards[1].end()  # It has nothing to predict.
    assert Output(tmp_path).publish(shards[1]) == []
    assert published(tmp_path) == ["d0", "d2", "d3"]
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.tsv"]
    assert shards[0].shard in Output(tmp_path, overwrite=True).publish(shards[0])


def test_shards_whose_names_begin_alike_are_kept_apart(tmp_path: Path) -> None:
    fill(Spool(tmp_path, Shard(11, 12)), 11).end()
    assert len(Spool(tmp_path, Shard(1, 12)).missing()) == 11
    assert not Spool(tmp_path, Shard(1, 12)).has_ended


def test_the_parts_of_a_shard_end_together(tmp_path: Path) -> None:
    """Killed while it gives them their new names, it goes on with both."""
    spool = fill(fill(Spool(tmp_path), 0), 1, rank=1)
    part = tmp_path / PART
    part.rename(part.with_suffix(".done"))
    again = Spool(tmp_path)
    again.begin({})
    assert again.finished() == {0, 1}
    again.end()
    assert spool.has_ended


@pytest.mark.parametrize("damage", [b"no part at all", b"SQLite format 3\0" + b"x" * 8000])
def test_a_damaged_part_is_predicted_again(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    fill(Spool(tmp_path), 0)
    (tmp_path / PART).write_bytes(damage)
    spool = Spool(tmp_path)
    assert spool.finished() == set()
    assert f"{PART} is damaged" in caplog.text
    fill(spool, 0).end()
    Output(tmp_path).publish(spool)
    assert published(tmp_path) == ["d0"]


def test_an_error_leaves_nothing_where_there_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.begin({})
    spool.open()
    spool.add(marked("[tos]"))
    assert not spool.interrupt()
    assert list(tmp_path.iterdir()) == []
    spool = Spool(tmp_path)
    spool.begin({})
    spool.open()
    spool.finish()
    assert spool.interrupt()
    assert Spool(tmp_path).finished() == {0}


def test_an_error_of_a_shard_leaves_the_others_alone(tmp_path: Path) -> None:
    other, spool = Spool(tmp_path, Shard(0, 2)), Spool(tmp_path, Shard(1, 2))
    other.begin({})
    spool.begin({})
    fill(other, 0)
    spool.open()
    spool.interrupt()
    assert other.finished() == {0}
    assert (tmp_path / ".predictions.json").exists()
