"""A shared study: who begins a trial, and what becomes of one whose process is gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from multiclin.errors import ConfigError
from multiclin.hpo import study as module
from multiclin.hpo.storage import open_storage
from multiclin.hpo.study import DIED, PATIENCE, TRIES, Outcome, SharedStudy, _started, changed

COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
RUNNING, WAITING = TrialState.RUNNING, TrialState.WAITING
PARENT = f"{socket.gethostname()} {os.getppid()} {_started(os.getppid())}"
"""A process of this machine that lives, and is not this one."""
ELSEWHERE = "another-machine 4711 815"

Share = Callable[..., SharedStudy]


@pytest.fixture
def share(tmp_path: Path) -> Share:
    """Opens one study on one journal, each time as another process would."""

    def opened(owner: str | None = None, **settings: object) -> SharedStudy:
        study = optuna.create_study(
            study_name="s",
            storage=open_storage(str(tmp_path / "journal.log")),
            sampler=optuna.samplers.RandomSampler(seed=1),
            direction="maximize",
            load_if_exists=True,
        )
        shared = SharedStudy(study, settings)
        shared.me = owner or shared.me
        return shared

    return opened


@pytest.fixture(scope="module")
def dead() -> str:
    """The owner of the trials of a process of this machine that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        owner = f"{socket.gethostname()} {process.pid} {_started(process.pid)}"
        process.kill()
    return owner


def begun(shared: SharedStudy, wanted: int = 99) -> optuna.Trial:
    """The next trial of a study, its learning rate drawn."""
    trial = shared.claim(wanted)
    assert trial is not None
    trial.suggest_float("rate", 0.0, 1.0)
    trial.set_user_attr("drawn", True)
    return trial


def states(shared: SharedStudy) -> list[TrialState]:
    return [trial.state for trial in shared.trials()]


def retries(shared: SharedStudy) -> list[FrozenTrial]:
    return [trial for trial in shared.trials() if "retry_of" in trial.user_attrs]


def planned(trial: FrozenTrial) -> object:
    """The parameters that a waiting trial will have."""
    return trial.system_attrs["fixed_params"]


# The settings of a study


def test_differences_are_named_by_key() -> None:
    before = {"seed": 13, "same": 1, "gone": [1]}
    now = {"seed": 14, "same": 1, "new": 2}
    assert changed(before, now) == [
        "gone: [1] -> (not set)",
        "new: (not set) -> 2",
        "seed: 13 -> 14",
    ]


def test_a_study_goes_on_with_the_same_settings(share: Share) -> None:
    share(seed=13, names=("a", "b"))
    again = share(seed=13, names=("a", "b"))  # JSON gives the tuple back as a list.
    assert again.study.user_attrs["settings"] == {"seed": 13, "names": ["a", "b"]}


def test_a_study_with_other_settings_is_refused(share: Share) -> None:
    share(seed=13, size=512)
    with pytest.raises(ConfigError) as caught:
        share(seed=14, size=512)
    assert str(caught.value).splitlines() == [
        "study s was begun with other settings:",
        "  seed: 13 -> 14",
        "hint: run it with the same settings, or begin another one: hpo.study=NAME",
    ]


# Who begins a trial


def during_ask(
    patch: pytest.MonkeyPatch,
    shared: SharedStudy,
    before: Callable[[], object] = str,
    after: Callable[[], object] = str,
) -> None:
    """Let others act just before and after a study gives out a trial."""
    ask = shared.study.ask

    def asked() -> optuna.Trial:
        before()
        trial = ask()
        after()
        return trial

    patch.setattr(shared.study, "ask", asked)


def test_no_more_trials_are_begun_than_wanted(share: Share) -> None:
    shared = share()
    first, second = begun(shared, 2), begun(shared, 2)
    assert shared.claim(2) is None
    shared.tell(first, Outcome(FAIL, reason="no memory"))
    third = begun(shared, 2)  # In place of the one that failed.
    shared.tell(second, Outcome(COMPLETE, 0.5))
    shared.tell(third, Outcome(PRUNED))
    assert shared.claim(2) is None
    assert (shared.finished, states(shared)) == (2, [FAIL, COMPLETE, PRUNED])
    assert shared.trials()[0].user_attrs["reason"] == "no memory"


def test_a_trial_is_signed(share: Share) -> None:
    trial = begun(share())
    process = f"{socket.gethostname()} {os.getpid()} "
    assert trial.user_attrs["owner"].startswith(process)
    assert abs(trial.user_attrs["seen"] - time.time()) < 60


def test_two_processes_share_the_trials(share: Share) -> None:
    ours, theirs = share(), share(PARENT)
    numbers = [begun(one, 4).number for one in (ours, theirs, theirs, ours)]
    assert numbers == [0, 1, 2, 3]
    assert ours.claim(4) is None
    assert theirs.claim(4) is None
    assert (sorted(ours.mine), sorted(theirs.mine)) == ([0, 3], [1, 2])


def test_the_later_of_two_last_trials_stands_back(
    share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = share(), share(PARENT)
    during_ask(monkeypatch, theirs, before=lambda: begun(ours, 1))
    assert theirs.claim(1) is None
    assert states(ours) == [RUNNING, FAIL]
    assert ours.trials()[1].user_attrs["reason"] == "one more than wanted"
    assert theirs.mine == {}


def test_a_trial_that_is_not_signed_yet_is_not_taken_for_dead(
    share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process took the signed one, so this one begins a trial that nobody has signed."""
    ours, theirs = share(), share(PARENT)
    during_ask(monkeypatch, theirs, before=lambda: begun(ours), after=ours.settle_dead)
    assert begun(theirs).number == 1
    assert states(ours) == [RUNNING, RUNNING]


def test_a_trial_that_others_took_for_dead_is_left_to_them(
    share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is enqueued bears the name of who did so until it is signed."""
    ours, theirs = share(), share(PARENT)
    ours.interrupted(begun(ours), "stopped")
    looks = iter([ours.settle_dead])  # Only the first time.
    during_ask(monkeypatch, theirs, after=lambda: [look() for look in looks])
    assert begun(theirs).params == ours.trials()[0].params
    assert states(ours)[:2] == [FAIL, FAIL]
    assert list(theirs.mine) == [2]


def test_a_trial_cut_off_before_it_began_is_begun_by_the_next(share: Share, dead: str) -> None:
    gone, shared = share(dead), share()
    gone.study.enqueue_trial({}, user_attrs={"owner": dead})  # The first half of `claim`.
    shared.settle_dead()
    assert begun(shared).number == 0
    assert states(shared) == [RUNNING]


# A trial whose process is gone


def test_the_parameters_of_a_dead_process_are_tried_again_once(share: Share, dead: str) -> None:
    rate = begun(share(dead)).params["rate"]
    shared = share()
    shared.settle_dead()
    shared.settle_dead()
    share().settle_dead()
    assert states(shared) == [FAIL, WAITING]
    failed, waiting = shared.trials()
    assert failed.user_attrs["reason"] == failed.user_attrs["interrupted"] == DIED
    assert planned(waiting) == {"rate": rate}
    assert waiting.user_attrs["retry_of"] == 0
    assert begun(shared).params == {"rate": rate}
    assert states(shared) == [FAIL, RUNNING]


def test_a_death_between_failing_and_trying_again_loses_nothing(
    share: Share, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = begun(share(dead)).params["rate"]
    cut_off = share()
    monkeypatch.setattr(cut_off, "_try_again", lambda _: None)
    cut_off.settle_dead()
    shared = share()
    assert states(shared) == [FAIL]
    shared.settle_dead()
    shared.settle_dead()
    assert [planned(trial) for trial in retries(shared)] == [{"rate": rate}]


def test_a_death_before_failing_loses_nothing(
    share: Share, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever settles it dies with the reason noted, and the trial still running."""
    begun(share(dead))
    cut_off = share()
    monkeypatch.setattr(cut_off, "_end", lambda *_: False)
    cut_off.settle_dead()
    shared = share()
    assert states(shared) == [RUNNING]
    shared.settle_dead()
    assert states(shared) == [FAIL, WAITING]


@pytest.mark.parametrize(("state", "value"), [(COMPLETE, 0.75), (PRUNED, None)])
def test_a_trial_that_had_ended_is_told(
    share: Share, dead: str, state: TrialState, value: float | None
) -> None:
    trial = begun(share(dead))
    trial.report(0.5, step=100)
    trial.set_user_attr("outcome", {"state": state.name, "value": value})
    shared = share()
    shared.settle_dead()
    (told,) = shared.trials()
    assert told.state is state
    assert told.value == (0.75 if state is COMPLETE else 0.5)  # Optuna's: the last one reported.


def test_the_trial_of_a_living_process_stays(share: Share) -> None:
    begun(share(PARENT))
    share().settle_dead()
    assert states(share()) == [RUNNING]


def test_a_number_that_the_system_gave_to_another_process_is_dead(share: Share) -> None:
    begun(share(f"{socket.gethostname()} {os.getppid()} 1"))
    shared = share()
    shared.settle_dead()
    assert states(shared) == [FAIL, WAITING]


@pytest.mark.parametrize(("silent", "state"), [(PATIENCE - 30, RUNNING), (PATIENCE + 30, FAIL)])
def test_another_machine_is_given_time(share: Share, silent: float, state: TrialState) -> None:
    begun(share(ELSEWHERE)).set_user_attr("seen", time.time() - silent)
    shared = share()
    shared.settle_dead()
    assert states(shared)[0] is state


def test_parameters_that_kill_every_process_are_left_out(share: Share, dead: str) -> None:
    assert TRIES == 5
    for _ in range(5):
        begun(share(dead))
        share().settle_dead()
    shared = share()
    assert states(shared) == [FAIL] * 5
    assert len({trial.params["rate"] for trial in shared.trials()}) == 1
    assert [trial.user_attrs["retry_of"] for trial in retries(shared)] == [0, 1, 2, 3]
    shared.settle_dead()
    assert "retry_of" not in begun(shared).user_attrs


def test_a_stop_is_no_death(share: Share) -> None:
    rates = set()
    for _ in range(TRIES + 2):
        shared = share()
        rates.add(begun(shared).params["rate"])
        shared.release()
        assert shared.mine == {}
    assert len(rates) == 1
    assert states(shared) == [FAIL] * (TRIES + 2) + [WAITING]
    assert shared.trials()[0].user_attrs["reason"] == "the search was stopped"


def test_an_interrupted_trial_is_tried_again(share: Share) -> None:
    shared = share()
    trial, other = begun(shared), begun(shared)
    shared.interrupted(trial, "RuntimeError: the worker was killed")
    assert states(shared) == [FAIL, RUNNING, WAITING]
    assert shared.trials()[0].user_attrs["reason"] == "RuntimeError: the worker was killed"
    assert planned(shared.trials()[2]) == trial.params
    assert list(shared.mine) == [other.number]


def test_a_trial_that_another_process_ended_stays_as_it_is(share: Share) -> None:
    ours, theirs = share(), share(PARENT)
    trial = begun(ours)
    theirs.study.tell(trial.number, 0.5)
    ours.tell(trial, Outcome(FAIL, reason="too late"))
    assert states(theirs) == [COMPLETE]
    assert "reason" not in theirs.trials()[0].user_attrs


# Which draw a trial is


def test_trials_tried_again_are_no_draws(share: Share, dead: str) -> None:
    shared = share()
    for _ in range(2):
        shared.tell(begun(shared), Outcome(COMPLETE, 0.5))
    begun(share(dead))
    shared.settle_dead()
    assert begun(shared).number == 3  # The parameters of 2.
    assert begun(shared).number == 4
    assert [shared.draws_before(number) for number in (0, 1, 2, 4)] == [0, 1, 2, 3]


def test_a_trial_cut_off_while_it_was_drawn_is_the_same_draw(share: Share, dead: str) -> None:
    gone = share(dead)
    begun(gone)
    trial = gone.claim(99)
    assert trial is not None
    trial.suggest_float("rate", 0.0, 1.0)  # And there would be more of them.
    share().settle_dead()
    shared = share()
    numbers = [begun(shared).number for _ in range(3)]
    assert [shared.trials()[number].user_attrs.get("retry_of") for number in numbers] == [
        0,
        1,
        None,
    ]
    assert [shared.draws_before(number) for number in numbers] == [0, 1, 2]


# The heartbeat


def test_running_trials_are_seen_to_live(share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT", 0.005)
    shared = share()
    trial, ended = begun(shared), begun(shared)
    for one in (trial, ended):
        one.set_user_attr("seen", 0.0)
    shared.study.tell(ended.number, 0.5)  # By another process: the heart beats on.
    beats = threading.Event()
    set_attribute = trial.set_user_attr

    def counted(key: str, value: object) -> None:
        set_attribute(key, value)
        beats.set()

    monkeypatch.setattr(trial, "set_user_attr", counted)
    with shared.heartbeat():
        assert beats.wait(5)
        beats.clear()
        assert beats.wait(5)
    watching = share(PARENT)
    assert watching.trials()[trial.number].user_attrs["seen"] > time.time() - 60
    assert watching.trials()[ended.number].user_attrs["seen"] == 0.0
    assert not any(thread.name == "heartbeat" for thread in threading.enumerate())
