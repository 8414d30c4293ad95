"""`python -m tests.fuzzing TARGET|all --runs N`: targets under atheris, guided by coverage.

libFuzzer ends its process, so each target has one of its own, a fork of this one: `multiclin` is
imported and instrumented once. Inputs begin with those of `seeds` and `FOUND`; what widens the
coverage stays in memory, or in `--corpus DIR` for the next time. A finding ends its target: its
traceback is printed and its input lies in `--findings DIR`. Status 1 where there is one.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from hashlib import sha1
from importlib import import_module
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from types import ModuleType
from typing import Final, NamedTuple

_LONGEST: Final = 2048  # bytes of an input
_SLOWEST: Final = 20  # seconds that one case may take
_MEGABYTES: Final = 3000


class Done(NamedTuple):
    """What came of one target.

    Attributes:
        target: Its name.
        cases: Inputs tried.
        seconds: Wall-clock time.
        edges: Branches of the code that were covered.
        finding: What broke it, the end of its log; empty where nothing did.
    """

    target: str
    cases: int
    seconds: float
    edges: int
    finding: str

    def __str__(self) -> str:
        verdict = "a finding" if self.finding else "-"
        return f"{self.target:<14}{self.cases:>10,}{self.seconds:>9.1f}{self.edges:>8,}  {verdict}"


def main(words: Sequence[str] | None = None) -> int:
    """Fuzz as the command line says."""
    fuzzer = import_module("atheris")
    with redirect_stderr(StringIO()), fuzzer.instrument_imports(include=["multiclin"]):
        from tests.fuzzing.targets import TARGETS
    parser = argparse.ArgumentParser("python -m tests.fuzzing", description=__doc__)
    parser.add_argument("targets", nargs="+", choices=["all", *TARGETS], metavar="TARGET|all")
    parser.add_argument("--runs", type=int, default=10_000, help="cases of each target")
    parser.add_argument("--seconds", type=int, default=0, help="... at most; 0: no limit")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--corpus", type=Path, help="keeps the inputs that widened the coverage")
    parser.add_argument("--findings", type=Path, default=Path("outputs/fuzzing"))
    options = parser.parse_args(words)
    options.findings.mkdir(parents=True, exist_ok=True)
    print(f"{'target':<14}{'cases':>10}{'seconds':>9}{'edges':>8}  findings")
    results = []
    for name in TARGETS if "all" in options.targets else dict.fromkeys(options.targets):
        results.append(fuzz(fuzzer, name, options))
        print(results[-1], flush=True)
    found = [one for one in results if one.finding]
    cases, seconds = sum(one.cases for one in results), sum(one.seconds for one in results)
    print(f"{'all':<14}{cases:>10,}{seconds:>9.1f}{'':>8}  {len(found)}")
    for one in found:
        print(f"\n{one.target}:\n{one.finding}")
    return bool(found)


def fuzz(fuzzer: ModuleType, name: str, options: argparse.Namespace) -> Done:
    """One target in a process of its own."""
    started = perf_counter()
    with TemporaryDirectory() as folder:
        inputs, log = Path(folder) / "inputs", Path(folder) / "log"
        kept = options.corpus / name if options.corpus else Path(folder) / "kept"
        words = _arguments(name, inputs, kept, options)
        child = os.fork()
        if not child:
            _run(fuzzer, words, _keeping(name, options.findings), log)
        try:
            _, status = os.waitpid(child, 0)
        except KeyboardInterrupt:
            os.kill(child, signal.SIGKILL)
            raise
        said = log.read_text("utf-8", "replace")
    return Done(
        name,
        max((int(one) for one in re.findall(r"^#(\d+)", said, re.MULTILINE)), default=0),
        perf_counter() - started,
        max((int(one) for one in re.findall(r"\bcov: (\d+)", said)), default=0),
        said.rpartition("Uncaught Python exception: ===")[2][-4000:].strip() if status else "",
    )


def _arguments(name: str, inputs: Path, kept: Path, options: argparse.Namespace) -> list[str]:
    """What libFuzzer is told; the first inputs and the dictionary are written."""
    from tests.fuzzing.seeds import seeds
    from tests.fuzzing.targets import FOUND, KEYWORDS

    for folder in (inputs, kept):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate([*seeds(name), *FOUND.get(name, ())]):
        (inputs / str(number)).write_bytes(data)
    escaped = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in KEYWORDS)
    dictionary = inputs.with_name("dictionary")
    dictionary.write_text("".join(f'"{word}"\n' for word in escaped))
    told = {
        "runs": options.runs,
        "max_total_time": options.seconds,
        "seed": options.seed,
        "max_len": _LONGEST,
        "timeout": _SLOWEST,
        "rss_limit_mb": _MEGABYTES,
        "dict": dictionary,
        "artifact_prefix": f"{options.findings}/{name}-",
        "print_final_stats": 1,
    }
    return [name, *(f"-{key}={value}" for key, value in told.items()), str(kept), str(inputs)]


def _keeping(name: str, findings: Path) -> Callable[[bytes], None]:
    """The target; an input that breaks it is kept."""
    from tests.fuzzing.targets import TARGETS

    def target(data: bytes) -> None:
        try:
            TARGETS[name](data)
        except Exception:
            (findings / f"{name}-{sha1(data).hexdigest()[:12]}").write_bytes(data)
            raise

    return target


def _run(fuzzer: ModuleType, words: list[str], target: Callable[[bytes], None], log: Path) -> None:
    """Fuzz in this process, which ends with it; what it says goes to the log."""
    with log.open("wb") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # Threads would be waited for a million times.
    logging.disable()
    try:
        fuzzer.Setup(words, target)
        fuzzer.Fuzz()
    finally:
        os._exit(1)  # It ends its process itself, but for a finding.


if __name__ == "__main__":
    sys.exit(main())
