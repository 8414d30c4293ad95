"""What was measured, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from multiclin.bench.race import Figures, Ratio, Task
from multiclin.tables import as_text

RATE, CPU_RATE = "tokens_per_second", "tokens_per_cpu_second"

Measured = Sequence[tuple[Task, Sequence[Figures]]]
"""Contestants with what they measured, round by round."""


def middle(rounds: Sequence[Figures], *keys: str) -> float:
    """The median of a figure, which may stand in a figure."""
    found = []
    for one in rounds:
        value: Any = one
        for key in keys:
            value = value[key]
        found.append(float(value))
    return median(found)


def ratios(measured: Measured, peer: str, rate: str) -> dict[str, dict[str, Ratio]]:
    """How many times the rate of each of the peer's each of ours had, by their titles."""
    theirs = [(task, rounds) for task, rounds in measured if task.name == peer]
    ours = [(task, rounds) for task, rounds in measured if task.name != peer]
    return {
        task.title: {other.title: Ratio.of(mine, rounds, rate) for other, rounds in theirs}
        for task, mine in ours
    }


def race_table(measured: Measured, peer: str) -> str:
    """A line per contestant, and how many times as fast as the peer's it was.

    Where others use the machine, the ratio of CPU seconds is the steadier one.
    """
    against, by_cpu = (ratios(measured, peer, rate) for rate in (RATE, CPU_RATE))
    peers = [task.title for task, _ in measured if task.name == peer]
    found = "spans" in measured[0][1][0]
    head = ["", "s", "CPU s", "tokens/s", "peak MiB", *(["spans"] if found else [])]
    for title in peers:
        head += [f"x {title}", "min to max", "by CPU"]
    rows = [head]
    for task, rounds in measured:
        row = [
            task.title,
            f"{middle(rounds, 'seconds'):.2f}",
            f"{middle(rounds, 'cpu_seconds'):.2f}",
            f"{middle(rounds, RATE):,.0f}",
            f"{middle(rounds, 'peak_mib'):,.0f}",
            *([f"{middle(rounds, 'spans'):,.0f}"] if found else []),
        ]
        for title in peers:
            if task.title not in against:
                row += ["", "", ""]
                continue
            one, cpu = against[task.title][title], by_cpu[task.title][title]
            row += [f"{one.median:.2f}", f"{one.least:.2f} to {one.most:.2f}", f"{cpu.median:.2f}"]
        rows.append(row)
    return as_text(rows)


def stage_table(measured: Measured) -> str:
    """A line per stage, a pair of columns per precision."""
    names = list(measured[0][1][0]["stages"])
    head = ["stage"]
    totals = []
    for task, rounds in measured:
        head += [f"{task.precision}, s", "share"]
        totals.append(sum(middle(rounds, "stages", name) for name in names))
    rows = [head]
    for name in names:
        row = [name]
        for (_, rounds), total in zip(measured, totals, strict=True):
            seconds = middle(rounds, "stages", name)
            row += [f"{seconds:.3f}", f"{seconds / total:.1%}"]
        rows.append(row)
    rows.append(["all", *(cell for total in totals for cell in (f"{total:.3f}", "100.0%"))])
    return as_text(rows)


def shares(kind: str, figures: Figures, bound: Figures) -> list[dict[str, Any]]:
    """How near the bounds one round came.

    Args:
        kind: `prediction` or `training`.
        figures: Of the stages of that.
        bound: Of the same round and precision.

    Returns:
        Of the network alone and of everything: what it is, operations per second, and the share of
        both bounds.
    """
    stages = figures["stages"]
    network = stages["forward"] + stages.get("backward", 0.0)
    whole = figures["whole" if kind == "prediction" else "seconds"]
    alone = "forward" if kind == "prediction" else "forward and backward"
    return [
        {
            "what": what,
            "rate": figures["flops"] / seconds,
            "of_machine": figures["flops"] / seconds / bound["machine"],
            "of_shapes": figures["flops"] / seconds / bound[kind],
        }
        for what, seconds in ((alone, network), (f"{kind}, end to end", whole))
    ]


def bound_table(kinds: Mapping[str, Measured], bounds: Measured) -> str:
    """A line per precision and kind: rates, bounds, shares."""
    rows = [
        ["", "", "GFLOP/s", "machine peak", "share", "peak at these shapes", "share"],
    ]
    for kind, measured in kinds.items():
        for (task, rounds), (_, peaks) in zip(measured, bounds, strict=True):
            each = [shares(kind, a, b) for a, b in zip(rounds, peaks, strict=True)]
            for same in zip(*each, strict=True):
                rows.append(
                    [
                        same[0]["what"],
                        task.precision,
                        f"{middle(same, 'rate') / 1e9:,.0f}",
                        f"{middle(peaks, 'machine') / 1e9:,.0f}",
                        f"{middle(same, 'of_machine'):.0%}",
                        f"{middle(peaks, kind) / 1e9:,.0f}",
                        f"{middle(same, 'of_shapes'):.0%}",
                    ]
                )
    return as_text(rows)
