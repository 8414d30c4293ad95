"""The machine and the versions that a figure belongs to."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from multiclin import __version__

PACKAGES = ("torch", "transformers", "tokenizers", "pytorch-lightning", "accelerate")

LIMIT = "ONEDNN_MAX_CPU_ISA"
"""Environment variable that forbids oneDNN newer instructions: how an older machine would do."""


def machine(threads: int) -> dict[str, Any]:
    """What there is, as primitives."""
    import torch

    has = torch.cpu.get_capabilities()
    instructions = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "instructions": [name for name in instructions if has.get(name)],
        LIMIT: os.environ.get(LIMIT),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "versions": {
            "multiclin": __version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in PACKAGES},
        },
    }


def header(facts: dict[str, Any]) -> str:
    """The same in two lines."""
    limit = f", {LIMIT}={facts[LIMIT]}" if facts[LIMIT] else ""
    able = ", ".join(facts["instructions"]) or "none of AVX2, AVX-512, AMX"
    where = f"{facts['gpu']}; " if facts["gpu"] else ""
    versions = ", ".join(f"{name} {one}" for name, one in facts["versions"].items() if one)
    return (
        f"{where}{facts['processor']}, {facts['cores']} cores, threads: {facts['threads']}; "
        f"{able}{limit}\n{versions}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
