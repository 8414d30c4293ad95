"""Every fault of the table, through the real commands; two at a time, in two and a half minutes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.table import TABLE, Fault
from tests.faults.trial import Bench, Met, missing

READERS_TABLE = Path(__file__).with_name("README.md")
IDS = [fault.name for fault in TABLE]


def test_every_fault_has_a_name_of_its_own() -> None:
    assert len(set(IDS)) == len(TABLE)


def test_the_table_for_readers_has_every_fault() -> None:
    lines = READERS_TABLE.read_text("utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ")][1:]
    assert [(row[0].removeprefix("| "), row[-1]) for row in rows] == [
        (fault.name, f"{fault.status} |") for fault in TABLE
    ]


@pytest.fixture(scope="module")
def met(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Fault, Future[Met]]]:
    """What came of those that are asked for."""
    bench = Bench(tmp_path_factory.mktemp("faults"))
    items = [one for one in request.session.items if isinstance(one, pytest.Function)]
    asked = [one.callspec.params.get("fault") for one in items if hasattr(one, "callspec")]
    with closing(bench), ThreadPoolExecutor(2) as pool:
        yield {
            fault: pool.submit(bench.meet, fault)
            for fault in TABLE
            if fault in asked and not missing(fault)
        }


@pytest.mark.slow
@pytest.mark.parametrize("fault", TABLE, ids=IDS)
def test_a_fault_is_one_message(fault: Fault, met: dict[Fault, Future[Met]]) -> None:
    if reason := missing(fault):
        pytest.skip(reason)
    status, said, left = met[fault].result()
    assert status == fault.status, said
    assert re.search(fault.says, said, re.MULTILINE), said
    assert "Traceback" not in said
    assert "site-packages" not in said
    assert len(re.findall("^error: ", said, re.MULTILINE)) == (1 if status else 0)
    half_written = [one for one in left if one.name.startswith((".multiclin-", ".predictions-"))]
    assert not half_written
    assert ".in-use" not in {one.name for one in left}
    assert not [one for one in left if fault.without and one.match(fault.without)]
