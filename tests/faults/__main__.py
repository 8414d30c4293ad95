"""Prints what one sees of every fault: `python -m tests.faults > tests/faults/README.md`."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.table import TABLE, Fault
from tests.faults.trial import Bench, Met

HEAD = """\
# Faults that were tried

Each through the real commands (`table.py` has them), with what one sees of it on standard error and
the exit status: 2, or 0 for a run that is finished all the same. Made by `python -m tests.faults`.

| what goes wrong | what one sees | status |
|---|---|---|"""

TOLD = re.compile(r"error|hint|once|data\.root|W&B|in optimizer|a process|reading")
NOTHING = "nothing: the results are the same, byte for byte"


def row(fault: Fault, met: Met) -> str:
    """One line of the table."""
    found = re.search(fault.says, met.said, re.MULTILINE)
    if found is None:
        raise SystemExit(f"{fault.name}:\n{met.said}")
    first, end = met.said.rfind("\n", 0, found.start()) + 1, met.said.find("\n", found.end())
    lines = [line for line in met.said[first:end].splitlines() if TOLD.match(line)]
    said = "<br>".join(line.replace("|", r"\|").replace("<", "&lt;") for line in lines)
    return f"| {fault.name} | {said or NOTHING} | {met.status} |"


def main() -> None:
    """Try all, two at a time."""
    with (
        TemporaryDirectory() as folder,
        closing(Bench(Path(folder))) as bench,
        ThreadPoolExecutor(2) as pool,
    ):
        rows = list(pool.map(lambda fault: row(fault, bench.meet(fault)), TABLE))
    print(HEAD, *rows, sep="\n")


if __name__ == "__main__":
    main()
