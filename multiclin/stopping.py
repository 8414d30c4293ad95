"""The signals that end a run early: Ctrl-C, SIGTERM, and SLURM's notice that the time is up.

Python calls a handler between any two instructions, in the middle of an optimizer step too, where
half of the weights are new ones: a checkpoint of that moment cannot be gone on with exactly. So
while a training lets signals wait (`Stop.patient`), one is only noted, and `saving` obeys it at the
next boundary between two steps. At any other time there is nothing to save, and the run ends at
once. It ends with 128 + the number of the signal, as shells count: 130, 143, 138.

On SLURM, `#SBATCH --requeue --signal=USR1@120` and `srun python train.py ... ckpt_path=auto`: two
minutes before its end a job gets USR1, saves, and asks to be queued again.

Lightning's own handlers are kept out (`without_handlers`): that of SLURM saves wherever it is
called, that of SIGTERM ends training and scoring with status 0 and lets a prediction run on. A
handler that others have set, such as submitit's, stays.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from multiprocessing.queues import Queue
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import pytorch_lightning as pl

log = logging.getLogger(__name__)

WATCH = 5
"""Seconds after which a worker sees that its main process was killed."""


class Stop:
    """What the signals of this process ask for, inside of `with`.

    Args:
        goes_on: Whether the same command would go on with the run, so that SLURM may repeat it.

    Attributes:
        asked: The signal that has come; None before that.
        patient: Whether signals may wait. A second Ctrl-C never does.
    """

    def __init__(self, goes_on: bool = False) -> None:
        self.goes_on = goes_on
        self.asked: int | None = None
        self.patient = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():  # Only it may set handlers.
            known = [signal.SIGINT, signal.SIGTERM]
            known += [signal.SIGUSR1] if "SLURM_JOB_ID" in os.environ else []
            free = (signal.SIG_DFL, signal.default_int_handler)
            set_ = {signum: signal.getsignal(signum) for signum in known}
            self._before = {signum: one for signum, one in set_.items() if one in free}
            for signum in self._before:
                signal.signal(signum, self._arrived)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        if self.asked == signal.SIGUSR1 and self.goes_on:
            requeue()

    def obey(self) -> NoReturn:
        """End the run.

        Raises:
            KeyboardInterrupt: After Ctrl-C.
            SystemExit: After another signal; where it was another process that got it, SIGTERM.
        """
        if self.asked == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + (self.asked or signal.SIGTERM))

    def _arrived(self, signum: int, _: object) -> None:
        first, self.asked = self.asked is None, self.asked or signum
        if not self.patient or (signum == signal.SIGINT and not first):
            self.asked = signum
            self.obey()
        if signum == signal.SIGINT and os.environ.get("LOCAL_RANK", "0") == "0":
            # Not through the log: the signal may have come while it was being written to.
            os.write(2, b"\nfinishing the step, to save it; Ctrl-C again stops at once\n")


def without_handlers(trainer: pl.Trainer) -> None:
    """Keep a Trainer from setting handlers of its own."""
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]


def requeue() -> None:
    """Ask SLURM to queue this job again; of its processes, the first one does."""
    if os.environ.get("SLURM_PROCID", "0") != "0":
        return
    job = os.environ["SLURM_JOB_ID"]
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        # The number of the last task of an array is that of the whole array too.
        job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or error
        log.warning("scontrol requeue %s: %s; submit the job again", job, str(reason).strip())
    else:
        log.warning("SLURM job %s is queued again", job)


def serve_on(_: int) -> None:
    """In a worker of a loader: leave it to the main process when to end.

    Ctrl-C and SLURM signal all processes of a job, and the main one needs batches to its next step.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    # Python would say it and go on without the batch, which the main process then waits for.
    Queue._on_queue_feeder_error = staticmethod(_end)  # type: ignore[attr-defined]
    if sys.platform != "darwin":  # which has no sigtimedwait
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_main, daemon=True).start()


def _end_with_main() -> NoReturn:
    """Wait for a SIGTERM from the main process, or its death.

    Only this kind of waiting tells who has sent a signal. Torch looks for a death too, but from a
    fork server's child it would see that of the server.
    """
    main = multiprocessing.parent_process()
    assert main is not None
    while main.is_alive():
        told = signal.sigtimedwait({signal.SIGTERM}, WATCH)
        if told and told.si_pid == main.pid:
            break
    os._exit(0)


def _end(error: Exception, _: object) -> None:
    """End this worker, which cannot hand a batch over: its shared memory is full, as a rule."""
    os.write(2, f"a process that makes batches cannot hand one over: {error}\n".encode())
    os._exit(1)
