"""Several jobs at once through any Hydra launcher, none of which waits for another.

A launcher takes a batch of jobs and returns when the last one has ended. Here each job is a batch
of its own, launched from a thread, so that whichever ends first makes room for the next. With one
job at a time there is no thread: the basic launcher trains in this process, where Ctrl-C works as
in a single run.

Trade-off: threads that wait for a launcher cannot be ended, so on Ctrl-C they are left behind. The
workers of joblib are killed; a job on another machine ends when the study refuses its next report.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from hydra.core.utils import JobReturn

log = logging.getLogger(__name__)


class Job(NamedTuple):
    """One run of the training.

    Attributes:
        number: Hydra's number of the job: that of the trial.
        run: Its folder below that of the study, `trials/7`.
        overrides: All that its command line would say.
    """

    number: int
    run: str
    overrides: Sequence[str]


Ended = tuple[Job, JobReturn | BaseException]
"""A job with its result, or with what kept the launcher from running it."""


class Slots:
    """Places for jobs that run at the same time.

    Args:
        launcher: One of Hydra's, set up; runs them.
        count: How many at once.
        name: What Hydra calls the launcher.
    """

    def __init__(self, launcher: Any, count: int, name: str) -> None:  # noqa: ANN401 - a plugin's
        self.launcher, self.name = launcher, name
        self.count = 1 if name == "basic" else count
        if self.count < count:
            log.warning(
                "hydra/launcher=basic runs one trial at a time; for hpo.n_jobs=%d choose "
                "hydra/launcher=joblib, submitit_local, submitit_slurm or ray",
                count,
            )
        if name == "joblib":
            # All launches share one pool of joblib's, whose size would be that of the machine.
            launcher.joblib = {**launcher.joblib, "n_jobs": self.count}
        if name == "ray":
            # Each launch starts Ray where it does not run, which two at once cannot.
            util = import_module("hydra_plugins.hydra_ray_launcher._launcher_util")
            util.start_ray(launcher.ray_cfg.init)

    def completed(self, next_job: Callable[[], Job | None]) -> Iterator[Ended]:
        """Yield jobs as they end.

        Args:
            next_job: Asked whenever a place is free; None says that there is nothing to do now.
        """
        ended: queue.SimpleQueue[tuple[int, Ended]] = queue.SimpleQueue()
        free = list(range(self.count))
        while True:
            while free and (job := next_job()) is not None:
                slot = free.pop(0)
                if self.count == 1:
                    self._launch(job, slot, ended)
                else:
                    launch = threading.Thread(
                        target=self._launch, args=(job, slot, ended), daemon=True
                    )
                    launch.start()
            if len(free) == self.count:
                return
            slot, result = ended.get()
            free.append(slot)
            yield result

    def abandon(self) -> None:
        """End what runs, as far as this process can: nobody waits for it any more."""
        if self.name == "joblib":
            loky = import_module("joblib.externals.loky")
            loky.get_reusable_executor(reuse=True).shutdown(kill_workers=True)

    def _launch(self, job: Job, slot: int, ended: queue.SimpleQueue[tuple[int, Ended]]) -> None:
        try:
            (result,) = self.launcher.launch([[*job.overrides, f"hpo.slot={slot}"]], job.number)
        except BaseException as error:  # Ctrl-C reaches the workers too, and comes back from them.
            if self.count == 1 and not isinstance(error, Exception):
                raise  # It is ours, in this thread.
            ended.put((slot, (job, error)))
        else:
            ended.put((slot, (job, result)))
