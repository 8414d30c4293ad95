"""Searches by the real sweeper whose jobs compute their objective instead of training.

The config is as small as `hpo=optuna` allows, which composes it several times per trial; its groups
`hpo` and `hydra` are the real ones.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
from omegaconf import DictConfig
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from multiclin.config import CONF_DIR, run
from multiclin.hpo.pruning import open_trial
from multiclin.hpo.storage import open_storage

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
CONF = Path("conf")
FILES = {
    "train.yaml": """
defaults:
  - _self_
  - entity: disease
  - model: small
  - hpo: null
  - override hydra/job_logging: none
  - override hydra/hydra_logging: none
seed: 13
optim: {learning_rate: 1.0e-4, weight_decay: 0.0, warmup_ratio: 0.0}
data: {root: corpus, batch_size: 8}
trainer: {max_epochs: 6, accumulate_grad_batches: 1}
callbacks: {}
logger: {}
run_dir: ${hydra:runtime.output_dir}
run_name: run
run_group: runs
hydra:
  output_subdir: null
  job: {chdir: false}
  run: {dir: outputs/train}
""",
    "entity/disease.yaml": "name: disease",
    "entity/procedure.yaml": "name: procedure",
    "entity/symptom.yaml": "name: symptom",
    "model/small.yaml": "name: small",
    "model/large.yaml": "name: large",
}

Task = Callable[[DictConfig], object]


def write_conf(folder: Path) -> None:
    """Write the config of the searches into `folder/conf`."""
    for name, text in FILES.items():
        path = folder / CONF / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for group in ("hpo", "hydra"):
        shutil.copytree(CONF_DIR / group, folder / CONF / group)


def score(config: DictConfig) -> float:
    """An objective whose best learning rate is 10 ** -3.6 and best decay 0.1."""
    rate: float = math.log10(config.optim.learning_rate)
    decay: float = config.optim.weight_decay
    return 1.0 - abs(rate + 3.6) / 4 - abs(decay - 0.1)


def learn(config: DictConfig) -> float:
    """Climb to `score`, report each epoch, and end where the pruner says so: as `Pruning` does."""
    trial, best = open_trial(config.hpo), score(config)
    for epoch in range(1, config.trainer.max_epochs + 1):
        trial.report(best * (1 - 0.5**epoch), 100 * epoch)
        if epoch < config.trainer.max_epochs and trial.should_prune():
            raise optuna.TrialPruned(f"after {epoch} epochs")
    return best


def search(*overrides: str, task: Task = score) -> None:
    """`python train.py -m hpo=optuna ...` in the working directory, which holds `conf`."""
    run(task, "train", ["-m", "hpo=optuna", *overrides], CONF.absolute())


def study_of(name: str = "disease", storage: str | None = None) -> Study:
    """A study that a search in the working directory left."""
    place = storage or f"outputs/hpo/{name}/journal.log"
    return optuna.load_study(study_name=name, storage=open_storage(place))


def finished(study: Study) -> list[FrozenTrial]:
    """The complete and pruned trials, by number."""
    return study.get_trials(deepcopy=False, states=FINISHED)


Found = Sequence[tuple[TrialState, float | None, dict[str, object]]]


def found(study: Study) -> Found:
    """State, value and parameters of the finished trials, in their order."""
    return [(trial.state, trial.value, trial.params) for trial in finished(study)]


def forked(work: Callable[[], object]) -> int:
    """Begin some work in a process of its own, which starts at once; returns its number.

    Its status is 0, or 1 where the work raised something.
    """
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def ended(process: int) -> int:
    """Wait for the end of a process; returns its status, below 0 for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def is_running(process: int) -> bool:
    """Whether a forked process is still at work."""
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def killed(process: int) -> int:
    """Kill a process, as a power cut would; returns its status, which is 0 where it was faster."""
    os.kill(process, signal.SIGKILL)  # It is ours until somebody waits for its end.
    return ended(process)
