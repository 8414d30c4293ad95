"""Searches in several processes: at once on one study, and killed at any moment.

A process here is a fork of this one: what a new interpreter would import is there already.
"""

from __future__ import annotations

import getpass
import importlib.util
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import DictConfig
from optuna.storages.journal import JournalFileSymlinkLock
from optuna.trial import TrialState

from tests.hpo.searches import (
    FINISHED,
    ended,
    finished,
    forked,
    found,
    is_running,
    killed,
    learn,
    score,
    search,
    study_of,
    write_conf,
)

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:The value of `grace_period`"),
]
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the small config; its searches draw no report."""
    write_conf(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("multiclin.hpo.results.write_report", lambda *_: None)
    # Optuna waits half a minute before it releases the lock of a dead process.
    monkeypatch.setattr(JournalFileSymlinkLock.__init__, "__defaults__", (1,))
    return tmp_path


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server that listens to a socket in a folder of its own."""
    if not POSTGRES:
        pytest.skip("no PostgreSQL in /usr/lib/postgresql")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("no driver: pip install 'multiclin[postgres]'")
    owner = "nobody" if os.geteuid() == 0 else getpass.getuser()  # It refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # Sockets have short paths.
    shutil.chown(folder, owner)
    data, program = folder / "data", POSTGRES[-1]
    subprocess.run(
        [program / "initdb", "-D", data, "-U", "eva", "-A", "trust", "--no-sync"],
        check=True,
        user=owner,
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    server = subprocess.Popen(
        [program / "postgres", "-D", data, "-k", folder, "-h", "", "-F"],
        user=owner,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            ready: list[Path | str] = [program / "pg_isready", "-h", folder, "-U", "eva", "-q"]
            if subprocess.run(ready, check=False).returncode == 0:
                break
            time.sleep(0.05)
        yield f"postgresql+psycopg://eva:s3cret@/postgres?host={folder}"
    finally:
        server.send_signal(signal.SIGINT)  # "Fast": it does not wait for our connections to close.
        server.wait(30)
        shutil.rmtree(folder)


@pytest.mark.parametrize(("kind", "count"), [("journal", 20), ("sqlite", 6), ("postgres", 20)])
def test_two_processes_share_a_study(
    kind: str, count: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = {
        "journal": lambda: str(Path("shared/journal.log").absolute()),
        "sqlite": lambda: f"sqlite:///{Path('trials.db').absolute()}",
        "postgres": lambda: str(request.getfixturevalue("postgres")),
    }[kind]()

    words = [f"hpo.n_trials={count}", "hydra.output_subdir=.hydra"]
    words += ["hpo.storage='${oc.env:STUDIES}'"]
    monkeypatch.setenv("STUDIES", storage)
    both = multiprocessing.get_context("fork").Barrier(2)

    def work() -> None:
        met: list[int] = []

        def task(config: DictConfig) -> float:
            if not met:
                met.append(both.wait(60))  # Or the faster one might do it all.
            return learn(config)

        search(*words, task=task)

    processes = [forked(work), forked(work)]
    assert [ended(process) for process in processes] == [0, 0]
    study = study_of(storage=storage)
    assert len(finished(study)) == count
    assert [trial.number for trial in study.trials] == list(range(len(study.trials)))
    others = [trial for trial in study.trials if trial.state not in FINISHED]
    assert {trial.user_attrs.get("reason") for trial in others} <= {"one more than wanted"}
    owners = {trial.user_attrs["owner"].split()[1] for trial in finished(study)}
    assert owners == {str(process) for process in processes}
    rates = [trial.params["optim.learning_rate"] for trial in finished(study)]
    assert len(set(rates)) == count
    assert Path("outputs/hpo/disease/best.yaml").is_file()
    files = [path for path in Path("outputs").rglob("*") if path.is_file()]
    assert not any(b"s3cret" in path.read_bytes() for path in files)


def test_a_search_that_is_killed_ten_times_finds_the_same() -> None:
    """Killed after a random share of the journal, whatever is being done then."""
    words = ["hpo.n_trials=20", "hydra.sweeper.sampler.n_startup_trials=5"]
    search("hpo.study=whole", *words)
    chance, journal = random.Random(13), Path("outputs/hpo/killed/journal.log")
    per_trial = Path("outputs/hpo/whole/journal.log").stat().st_size / 20

    def slowly(config: DictConfig) -> float:
        time.sleep(0.02)
        return score(config)

    def size() -> int:
        return journal.stat().st_size if journal.exists() else 0

    deaths = 0
    while deaths < 10:
        until = size() + chance.uniform(0.2, 2.8) * per_trial
        process = forked(lambda: search("hpo.study=killed", *words, task=slowly))
        while size() < until and is_running(process):
            time.sleep(0.001)
        time.sleep(chance.uniform(0.0, 0.05))
        deaths += killed(process) < 0
    search("hpo.study=killed", *words, task=slowly)
    study = study_of("killed")
    assert len(finished(study)) == 20
    assert found(study) == found(study_of("whole"))
    assert study.best_value == study_of("whole").best_value
    cut_off = [trial for trial in study.trials if trial.state is TrialState.FAIL]
    assert 0 < len(cut_off) <= 10
    assert all("interrupted" in trial.user_attrs for trial in cut_off)
