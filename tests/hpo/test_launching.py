"""Slots: how many jobs run at once, in which place, and what comes back."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from hydra.core.utils import JobReturn, JobStatus

from multiclin.hpo.launching import Ended, Job, Slots

PATIENT = 5.0
"""Seconds after which a test that hangs fails."""


@dataclass
class Launcher:
    """Runs a job by calling a function with its number, as Hydra's run theirs."""

    work: Callable[[int], object]
    threads: list[str] = field(default_factory=list)
    slots: dict[int, int] = field(default_factory=dict)

    def launch(self, overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        (job,) = overrides
        self.threads.append(threading.current_thread().name)
        self.slots[initial_job_idx] = int(job[-1].removeprefix("hpo.slot="))
        result = self.work(initial_job_idx)
        return [JobReturn(overrides=job, _return_value=result, status=JobStatus.COMPLETED)]


def jobs(count: int) -> Callable[[], Job | None]:
    numbers = iter(range(count))

    def next_job() -> Job | None:
        number = next(numbers, None)
        return None if number is None else Job(number, f"trials/{number}", ["seed=1"])

    return next_job


def results(ended: Iterator[Ended]) -> list[tuple[int, object]]:
    return [(job.number, one.return_value) for job, one in ended if isinstance(one, JobReturn)]


def stopped_by(raised: BaseException) -> Callable[[int], int]:
    """Work that the second job does not survive."""

    def work(number: int) -> int:
        if number == 1:
            raise raised
        return number

    return work


def test_one_at_a_time_runs_in_this_thread() -> None:
    launcher = Launcher(lambda number: number * 10)
    assert results(Slots(launcher, 1, "basic").completed(jobs(3))) == [(0, 0), (1, 10), (2, 20)]
    assert launcher.threads == [threading.current_thread().name] * 3
    assert launcher.slots == {0: 0, 1: 0, 2: 0}


def test_a_job_is_asked_for_when_its_place_is_free() -> None:
    """The next parameters are drawn with the last result known."""
    order: list[str] = []
    numbered = jobs(2)

    def next_job() -> Job | None:
        order.append("asked")
        return numbered()

    for job, _ in Slots(Launcher(lambda number: number), 1, "basic").completed(next_job):
        order.append(f"told {job.number}")
    assert order == ["asked", "told 0", "asked", "told 1", "asked"]


def test_several_run_at_once() -> None:
    together = threading.Barrier(3)
    launcher = Launcher(lambda _: together.wait(PATIENT))
    assert len(results(Slots(launcher, 3, "fake").completed(jobs(6)))) == 6
    assert threading.current_thread().name not in launcher.threads


def test_the_slowest_is_not_waited_for() -> None:
    last_began = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            assert last_began.wait(PATIENT)
        if number == 4:
            last_began.set()

    ended = results(Slots(Launcher(work), 2, "fake").completed(jobs(5)))
    assert [number for number, _ in ended][:3] == [1, 2, 3]
    assert {number for number, _ in ended} == {0, 1, 2, 3, 4}


def test_jobs_that_run_at_once_have_places_of_their_own() -> None:
    running: Counter[int] = Counter()
    most: Counter[int] = Counter()
    lock, pairs = threading.Lock(), threading.Barrier(2)

    def work(number: int) -> None:
        slot = launcher.slots[number]
        with lock:
            running[slot] += 1
            most[slot] = max(most[slot], running[slot])
        pairs.wait(PATIENT)
        with lock:
            running[slot] -= 1

    launcher = Launcher(work)
    assert len(results(Slots(launcher, 2, "fake").completed(jobs(8)))) == 8
    assert most == {0: 1, 1: 1}
    assert Counter(launcher.slots.values()) == {0: 4, 1: 4}


@pytest.mark.parametrize(
    ("count", "raised"),
    [(1, RuntimeError("lost")), (2, RuntimeError("lost")), (2, KeyboardInterrupt())],
)
def test_what_kept_the_launcher_from_running_a_job_comes_back(
    count: int, raised: BaseException
) -> None:
    slots = Slots(Launcher(stopped_by(raised)), count, "basic" if count == 1 else "fake")
    ended = {job.number: result for job, result in slots.completed(jobs(3))}
    assert ended[1] is raised
    assert isinstance(ended[0], JobReturn)
    assert isinstance(ended[2], JobReturn)


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(1)])  # Lightning's is the other.
def test_ctrl_c_in_this_thread_is_a_stop(stop: BaseException) -> None:
    slots = Slots(Launcher(stopped_by(stop)), 1, "basic")
    with pytest.raises(type(stop)):
        list(slots.completed(jobs(3)))


def test_no_job_is_no_result() -> None:
    assert list(Slots(Launcher(lambda number: number), 2, "fake").completed(jobs(0))) == []


def test_a_place_without_a_job_is_asked_for_again() -> None:
    """A trial that another process gives up becomes ours when the next job ends."""
    answers = iter([Job(0, "a", []), None, Job(1, "b", []), None, None, None])
    ended = results(
        Slots(Launcher(lambda number: number), 2, "fake").completed(lambda: next(answers))
    )
    assert [number for number, _ in ended] == [0, 1]


def test_the_basic_launcher_runs_one_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    launcher = Launcher(lambda number: number)
    slots = Slots(launcher, 4, "basic")
    (warning,) = caplog.messages
    assert warning.startswith("hydra/launcher=basic runs one trial at a time; for hpo.n_jobs=4")
    assert "joblib" in warning
    assert results(slots.completed(jobs(2))) == [(0, 0), (1, 1)]
    assert set(launcher.threads) == {threading.current_thread().name}
