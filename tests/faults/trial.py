"""What tries a fault: the real commands in a shell, with a disk, a clock and processes to break.

Disks are mounted in a namespace of the script's own, which needs no root where users may have one
(`unshare`); the clock is a library before that of the system, which needs a C compiler.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.commands import MODEL, ROOT, Work, succeeded
from tests.faults.table import Fault

CLOCK = Path(__file__).with_name("clock.c")

PREAMBLE = """
trap 'find . -type f -printf "%P\\n" > "$LIST" 2> /dev/null' EXIT
run() {
  if [ "$ANEW" ]; then "$PYTHON" "$ROOT/$1" "${@:2}"
  else "$PYTHON" -I -S "$ROOT/tests/faults/client.py" "$SERVER" "$@"; fi
}
train() { run train.py $SETTINGS $PLACES "$@"; }
finetune() { run train.py $FINETUNING $PLACES "$@"; }
predict() { run predict.py ckpt="$RUN" input="$CORPUS" trainer=cpu report=null "$@"; }
evaluate() { ANEW=1 run evaluate.py "$@"; }
multiclin() { "$PYTHON" -m multiclin.cli "$@"; }
finished() { test -s $1/metrics.json && test -s $1/predictions/test.tsv && test -d $1/model; }
as_before() {
  for file in metrics.json predictions/test.tsv model/model.safetensors csv/version_0/metrics.csv
  do cmp $1/$file "$RUN/$file" || return 1; done
}
said() { for _ in {1..900}; do grep -q "^$1" "$ERR" && return; sleep .05; done; return 1; }
kill_its_child() {
  local pid; pid=$(<"$PID"); kill -9 $(cut -d' ' -f1 < /proc/$pid/task/$pid/children)
}
disk() { mkdir -p $2; mount -t tmpfs -o size=$1 none $2; }
read_only() { mount --bind $1 $1 && mount -o remount,ro,bind $1; }
clock() { export ANEW=1 LD_PRELOAD="$CLOCK" CLOCK_START=$1 CLOCK_BACK=5; }
locale() { export ANEW=1 "$@"; }
without_module() {
  mkdir hidden; echo "import sys; sys.modules['$1'] = None" > hidden/sitecustomize.py
  export ANEW=1 PYTHONPATH="$PWD/hidden:$PYTHONPATH"
}
first_ann() { find $1 -path '*es-train-symptom/ann/*0001.ann'; }
broken() { "$PYTHON" -m tests.faults.models "$@"; }
"""

MOUNTS = re.compile(r"\b(disk|read_only) ")
ONCE = ["trainer=cpu", "logger=csv", "report=null", "entity=symptom"]
SETTINGS = [*MODEL, *ONCE, "trainer.max_epochs=2", "optim.learning_rate=1e-2"]
FINETUNING = [*ONCE, "trainer.max_epochs=1", "window.size=128", "window.overlap=32"]


class Met(NamedTuple):
    """What came of a fault.

    Attributes:
        status: Exit status of its script.
        said: What was said on standard error, with short paths.
        left: Files that are there afterwards.
    """

    status: int
    said: str
    left: list[Path]


class Bench:
    """A corpus, a finished training, models with something wrong, and a folder for each fault.

    Args:
        folder: An empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.work = Work(folder)
        self.places = [f"data.root={self.work.corpus}", f"data.cache={folder / 'cache'}"]
        words = ["train.py", *SETTINGS, *self.places, "hydra.run.dir=trained"]
        succeeded(self.work.run(*words))
        self.environment = {
            **self.work.environment,
            "PYTHON": sys.executable,
            "ROOT": str(ROOT),
            "SERVER": str(folder / "server"),
            "SETTINGS": " ".join(SETTINGS),
            "FINETUNING": " ".join(FINETUNING),
            "PLACES": " ".join([*self.places, "hydra.run.dir=run"]),
            "CORPUS": str(self.work.corpus),
            "GOLD": str(self.work.set("test", "symptom")),
            "RUN": str(folder / "trained"),
            "CLOCK": str(build_clock(folder)),
        }
        words = [sys.executable, "-m", "tests.faults.server", self.environment["SERVER"]]
        environment = self.work.environment
        self.server = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.server.stdout
        assert self.server.stdout.readline() == "ready\n"

    def close(self) -> None:
        """Let the server go."""
        self.server.kill()
        self.server.wait()

    def meet(self, fault: Fault) -> Met:
        """Bring a fault about, in a folder of its own."""
        place = self.work.folder / "faults" / re.sub(r"\W+", "-", fault.name)
        place.mkdir(parents=True)
        err, left, pid = (place.with_suffix(end) for end in (".err", ".left", ".pid"))
        files = {"ERR": str(err), "LIST": str(left), "PID": str(pid)}
        script = f"{PREAMBLE}\n{fault.script}"
        words = [*(own_mounts() if MOUNTS.search(fault.script) else ()), "bash", "-c", script]
        with err.open("wb") as stream:
            done = subprocess.run(
                words,
                cwd=place,
                env={**self.environment, **files},
                stdout=subprocess.DEVNULL,
                stderr=stream,
                check=False,
                timeout=300,
            )
        said = err.read_text("utf-8")
        for folder in (place, self.work.folder):
            said = said.replace(f"{folder}/", "")
        paths = [Path(line) for line in left.read_text("utf-8").splitlines()]
        return Met(done.returncode, said, paths)


def missing(fault: Fault) -> str:
    """What this machine lacks to bring a fault about; empty if nothing."""
    if MOUNTS.search(fault.script) and not own_mounts():
        return "no mounts of its own (unshare)"
    if "clock " in fault.script and shutil.which("cc") is None:
        return "no C compiler"
    return ""


@cache
def own_mounts() -> Sequence[str]:
    """What gives a command mounts of its own; nothing where the system allows none."""
    ways = (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"])
    test = ["sh", "-c", "mount -t tmpfs none /mnt"]
    for way in ways:
        try:
            if subprocess.run([*way, *test], capture_output=True, check=False).returncode == 0:
                return way
        except FileNotFoundError:
            return ()
    return ()


def build_clock(folder: Path) -> Path:
    """The library of a clock that is wrong."""
    library = folder / "clock.so"
    if compiler := shutil.which("cc"):
        words = [compiler, "-shared", "-fPIC", "-o", str(library), str(CLOCK), "-ldl"]
        subprocess.run(words, check=True)
    return library
