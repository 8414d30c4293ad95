"""The tour of notebooks/: it runs, and what is committed is what a reader shall see.

Its outputs are renewed with kaleido (and so Chrome) beside the kernel, which adds an image to each
figure, for GitHub and all that does not run plotly.js:

    PLOTLY_RENDERER=plotly_mimetype+png .venv/bin/jupyter execute --inplace notebooks/tour.ipynb
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.commands import CLOSED

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "tour.ipynb"
FIGURE, IMAGE = "application/vnd.plotly.v1+json", "image/png"
LIMIT = 1_000_000
"""Bytes; GitHub shows no notebook of many."""


def read_tour() -> Any:  # noqa: ANN401 - nbformat has no types
    return nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]


def code_cells(notebook: Any) -> list[Any]:  # noqa: ANN401
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def committed() -> list[Any]:
    """The cells of code as they are in the checkout."""
    return code_cells(read_tour())


@pytest.fixture(scope="module")
def outputs(committed: list[Any]) -> list[Any]:
    return [output for cell in committed for output in cell.outputs]


def shown(outputs: list[Any]) -> Iterator[str]:
    """Every text of the outputs; images are none."""
    for output in outputs:
        yield output.get("text", "")
        for kind, content in output.get("data", {}).items():
            if kind != IMAGE:
                yield content if isinstance(content, str) else json.dumps(content)


# As it is committed


def test_every_cell_was_executed_in_order(committed: list[Any]) -> None:
    assert [cell.execution_count for cell in committed] == list(range(1, len(committed) + 1))


def test_no_cell_failed_or_warned(outputs: list[Any]) -> None:
    assert "error" not in {output.output_type for output in outputs}
    assert {output.get("name") for output in outputs} <= {None, "stdout"}


def test_no_path_of_the_machine_is_shown(outputs: list[Any]) -> None:
    places = re.compile(r"(?<![\w.])/(tmp|home|root|work|Users|var|usr)/")
    assert not [text for text in shown(outputs) if places.search(text)]


def test_every_figure_is_an_image_too_and_brings_no_script(outputs: list[Any]) -> None:
    kinds = [set(output.data) for output in outputs if FIGURE in output.get("data", {})]
    assert len(kinds) >= 5
    assert all(kind == {FIGURE, IMAGE} for kind in kinds)
    assert not [text for text in shown(outputs) if "<script" in text]


def test_it_is_small() -> None:
    assert NOTEBOOK.stat().st_size < LIMIT


def test_it_holds_no_code_that_belongs_in_the_package(committed: list[Any]) -> None:
    """No definitions, no loops; and what is no Python (`!ls`, `%time`) cannot be parsed."""
    forbidden = (
        *(ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.For, ast.While),
        *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
    )
    nodes = [node for cell in committed for node in ast.walk(ast.parse(cell.source))]
    assert not [ast.unparse(node) for node in nodes if isinstance(node, forbidden)]


# Executed


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel of this interpreter that knows no network and no home, known in `tmp_path` alone."""
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, CLOSED)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for variable in ("HOME", "IPYTHONDIR", "TMPDIR", "JUPYTER_PATH", "JUPYTER_RUNTIME_DIR"):
        folder = tmp_path / variable.lower()
        folder.mkdir()
        monkeypatch.setenv(variable, str(folder))
    monkeypatch.setenv("PLOTLY_RENDERER", "plotly_mimetype")
    spec = tmp_path / "jupyter_path" / "kernels" / "tour" / "kernel.json"
    spec.parent.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": command, "display_name": "tour", "language": "python"}))
    return "tour"


@pytest.mark.slow
def test_the_tour_runs_and_ends_in_a_comparison(kernel: str, tmp_path: Path) -> None:
    notebook = read_tour()
    place = {"metadata": {"path": str(tmp_path)}}
    # A cell that fails raises.
    NotebookClient(notebook, timeout=300, kernel_name=kernel, resources=place).execute()
    cells = code_cells(notebook)
    [compared] = [cell for cell in cells if "difference_rows(comparison)" in cell.source]
    table = compared.outputs[0].data["text/html"]
    assert re.search("<td>(yes|no)</td>", table)
    assert "<td>language es</td>" in table
    assert not [
        output for cell in cells for output in cell.outputs if output.get("name") == "stderr"
    ]
    [work] = (tmp_path / "tmpdir").glob("multiclin-tour-*")
    assert (work / "second" / "report.html").is_file()
