"""What a bench counts, and what its tables say of it."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn

from multiclin.bench.bound import linear_layers, rate, training_products
from multiclin.bench.machine import LIMIT, header
from multiclin.bench.measures import WARM_UP, Pace
from multiclin.bench.peers import trimmed
from multiclin.bench.prediction import quoted
from multiclin.bench.race import Ratio, Task
from multiclin.bench.stages import counting
from multiclin.bench.telling import bound_table, race_table, shares, stage_table

PEER, OURS = (Task(name, "", "", "") for name in ("pipeline, files", "multiclin, files"))


def figures(rate: float, seconds: float, spans: int) -> dict[str, float]:
    """Of a contestant that keeps two cores busy."""
    cpu = {"cpu_seconds": 2 * seconds, "tokens_per_cpu_second": rate / 2}
    return {"seconds": seconds, "tokens_per_second": rate, **cpu, "peak_mib": 500.0, "spans": spans}


def test_a_ratio_is_that_of_each_round() -> None:
    ours, theirs = ([{"rate": one} for one in rates] for rates in ((12, 20, 9), (4, 5, 1)))
    assert Ratio.of(ours, theirs, "rate") == Ratio(4, 3, 9)


def test_the_table_of_a_race() -> None:
    measured = [
        (PEER, [figures(1000, 4, 7), figures(2000, 2, 7)]),
        (OURS, [{**figures(3000, 1, 9), "tokens_per_cpu_second": 2000}, figures(4000, 1, 9)]),
    ]
    table = race_table(measured, "pipeline, files").splitlines()
    head = "s CPU s tokens/s peak MiB spans x pipeline fp32 min to max by CPU"
    assert table[0].split() == head.split()
    assert table[1].split() == ["pipeline", "fp32", "3.00", "6.00", "1,500", "500", "7"]
    # 3 and 2 times; by CPU 4 and 2 times.
    ours = "multiclin fp32 1.00 2.00 3,500 500 9 2.50 2.00 to 3.00 3.00"
    assert table[2].split() == ours.split()


def test_the_table_of_stages_has_medians_and_shares() -> None:
    rounds = [
        {"stages": {"forward": 3.0, "decode": 1.0}},
        {"stages": {"forward": 3.0, "decode": 1.0}},
    ]
    assert stage_table([(OURS, rounds)]).splitlines() == [
        "stage    fp32, s   share",
        "forward    3.000   75.0%",
        "decode     1.000   25.0%",
        "all        4.000  100.0%",
    ]


def test_shares_of_the_bound() -> None:
    found = {"flops": 60e9, "whole": 4.0, "stages": {"forward": 3.0}}
    alone, whole = shares("prediction", found, {"machine": 40e9, "prediction": 25e9})
    assert (alone["rate"], alone["of_machine"], alone["of_shapes"]) == (20e9, 0.5, 0.8)
    assert (whole["rate"], whole["of_machine"], whole["of_shapes"]) == (15e9, 0.375, 0.6)


def test_training_is_held_against_its_forward_and_its_backward() -> None:
    found = {"flops": 60e9, "seconds": 4.0, "stages": {"forward": 1.0, "backward": 2.0}}
    bound = {"machine": 40e9, "training": 25e9}
    table = bound_table({"training": [(OURS, [found])]}, [(OURS, [bound])])
    assert [line.split()[-6:] for line in table.splitlines()[1:]] == [
        ["fp32", "20", "40", "50%", "25", "80%"],
        ["fp32", "15", "40", "38%", "25", "60%"],
    ]


def test_the_products_of_a_training() -> None:
    layers = linear_layers(nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 2)))
    assert layers == {(2, 3): 1, (3, 2): 1}
    # Outputs, gradients of inputs, gradients of weights; of 2 -> 3 and of 3 -> 2.
    wanted = Counter([(5, 2, 3), (5, 3, 2), (3, 5, 2), (5, 3, 2), (5, 2, 3), (2, 5, 3)])
    assert training_products(layers, 5) == wanted


def test_a_rate_is_positive() -> None:
    assert rate(Counter({(4, 4, 4): 2}), torch.bfloat16) > 0


def test_operations_of_a_layer_are_counted_forward_and_backward() -> None:
    layer, inputs = nn.Linear(2, 3, bias=False), torch.ones(5, 2)
    with counting() as counter:
        layer(inputs).sum().backward()
    assert counter.get_total_flops() == 2 * (2 * 5 * 2 * 3)  # Its inputs need no gradient.


def test_operations_of_attention_are_counted_on_a_cpu() -> None:
    query = torch.ones(1, 2, 4, 8, requires_grad=True)  # 2 heads, 4 tokens, size 8
    product = 2 * (2 * 4 * 8 * 4)
    with counting() as counter:
        found = nn.functional.scaled_dot_product_attention(query, query, query)
        assert counter.get_total_flops() == 2 * product  # Scores, and their values.
        found.sum().backward()  # type: ignore[no-untyped-call]
    assert counter.get_total_flops() == 7 * product  # Scores again, and four gradients.


def test_the_first_steps_are_not_counted() -> None:
    pace = Pace(steps=2)
    for number in range(1, WARM_UP + 3):
        pace.see(torch.ones(1, 10))
        pace.step_done(number)
    assert (int(pace.seen), pace.answer()["tokens"]) == (10 * (WARM_UP + 2), 20)


def test_the_pipeline_keeps_leading_spaces() -> None:
    assert trimmed("a  cold day", 1, 8) == (3, 7)


def test_a_folder_with_a_quote_is_one_value() -> None:
    assert quoted("it's, here") == r"'it\'s, here'"


@pytest.mark.parametrize("limit", [None, "AVX512_CORE_BF16"])
def test_the_header_names_the_limit_of_instructions(limit: str | None) -> None:
    facts = {
        **{"gpu": None, "processor": "CPU", "cores": 2, "threads": 1, "instructions": ["avx2"]},
        **{LIMIT: limit, "versions": {"torch": "2.13.0", "accelerate": None}},
    }
    said = "" if limit is None else ", ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16"
    assert header(facts).splitlines() == [f"CPU, 2 cores, threads: 1; avx2{said}", "torch 2.13.0"]
