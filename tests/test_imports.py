"""The order of the rooms (DESIGN section 2): imports point only up the list."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "multiclin"

DOCUMENTS = (
    ["errors"],
    ["privacy"],
    ["document"],
    ["faults"],
    ["files"],
    ["yaml_files"],
    ["tables"],
    ["logs"],
    ["pages"],
    ["words"],
    ["corpus"],
    ["tagging"],
    ["windows"],
    ["mixture"],
    ["masking"],
    ["scoring"],
)
ANALYSIS = (["figures"], ["analysis"], ["members"])
MODEL = (
    ["encoder"],
    ["checking"],
    ["store"],
    ["versions"],
    ["sampling"],
    ["passages"],
    ["lexicon"],
    ["spelling"],
    ["augmentation"],
    ["batch"],
    ["dropout"],
    ["rows"],
    ["modernbert"],
    ["flat"],
    ["crf"],
    ["losses"],
    ["heads"],
    ["decoding"],
    ["units"],
    ["ceiling"],
    ["shards"],
    ["spool"],
    ["output"],
    ["depth"],
    ["optimization"],
    ["regularization"],
    ["adapting"],
    ["bundle"],
    ["tuning"],
    ["ensemble"],
    ["language_model"],
    ["allocator"],
    ["portions"],
    ["fingerprint"],
    ["recognition"],
    ["ray_data"],
)
LIGHTNING = (
    ["splitting"],
    ["vocabulary"],
    ["stopping"],
    ["loading"],
    ["datamodule"],
    ["pretraining_data"],
    ["averaging"],
    ["learner"],
    ["module"],
    ["pretraining"],
    ["forgetting"],
    ["pace"],
    ["callbacks"],
    ["saving"],
    ["divergence"],
    ["report"],
    ["processes"],
)
COMMANDS = (
    ["targets"],
    ["mistakes"],
    ["option_files"],
    ["schema"],
    ["config"],
    ["unfinished"],
    ["sweep_runs"],
    ["sweeps"],
    ["tracking"],
    ["running"],
    ["steps"],
    ["continuing"],
    ["repeating"],
    ["limits"],
    ["opening"],
    ["assembly"],
    ["hpo"],
    ["fitting"],
    ["train"],
    ["pretrain"],
    ["predict"],
    ["tune"],
    ["evaluate"],
    ["bench"],
    ["ensembling"],
    ["cli"],
)

ORDER = {
    room: place
    for place, rooms in enumerate((*DOCUMENTS, *ANALYSIS, *MODEL, *LIGHTNING, *COMMANDS))
    for room in rooms
}
ABOVE_TORCH = {room for rooms in DOCUMENTS for room in rooms}
WITHOUT_TORCH = {room for rooms in ANALYSIS for room in rooms}
# What a room may not need in order to be imported; a function may import it when it is called.
HEAVY = {"torch", "transformers", "pytorch_lightning", "lightning", "hydra", "omegaconf", "pandas"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted module of every import, `from multiclin import x` as `multiclin.x`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "multiclin":
                yield from ((node.lineno, f"multiclin.{name.name}") for name in node.names)
            elif node.module:
                yield node.lineno, node.module


def at_import_time(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The imports that run when the module itself is imported."""
    for node in tree.body:
        is_type_checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not is_type_checking:
            yield from imported_names(node)


MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = [path for path in MODULES if path != PACKAGE / "__init__.py"]
NAMES = [path.relative_to(PACKAGE).as_posix() for path in ROOMS]


@pytest.mark.parametrize("path", ROOMS, ids=NAMES)
def test_imports_point_up(path: Path) -> None:
    here = room_of(path)
    assert here in ORDER, f"a new room: give {here} its place here and in CONTRIBUTING.md"
    for line, name in imported_names(ast.parse(path.read_text(encoding="utf-8"))):
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if top == "multiclin" and not other.startswith("__"):
            allowed = other == here or ORDER.get(other, len(ORDER)) < ORDER[here]
            assert allowed, f"{path}:{line}: {here} must not import {other}, which stands below it"


@pytest.mark.parametrize("path", ROOMS, ids=NAMES)
def test_rooms_above_the_line_are_light(path: Path) -> None:
    if room_of(path) not in ABOVE_TORCH | {"evaluate"}:
        return
    for line, name in at_import_time(ast.parse(path.read_text(encoding="utf-8"))):
        assert name.partition(".")[0] not in HEAVY, f"{path}:{line}: {name} is too heavy here"


@pytest.mark.parametrize("path", ROOMS, ids=NAMES)
def test_analyses_need_no_model(path: Path) -> None:
    if room_of(path) not in WITHOUT_TORCH:
        return
    for line, name in imported_names(ast.parse(path.read_text(encoding="utf-8"))):
        assert name.partition(".")[0] not in HEAVY - {"pandas"}, f"{path}:{line}: {name}"


def test_evaluate_needs_no_model() -> None:
    source = (PACKAGE / "evaluate.py").read_text(encoding="utf-8")
    ours = {
        name.split(".")[1]
        for _, name in imported_names(ast.parse(source))
        if name.startswith("multiclin.")
    }
    assert ours <= ABOVE_TORCH | {"config"}


def test_importing_the_light_rooms_loads_nothing_heavy() -> None:
    light = [
        ".".join(("multiclin", *path.relative_to(PACKAGE).with_suffix("").parts))
        for path in ROOMS
        if room_of(path) in ABOVE_TORCH | {"evaluate", "cli"}
    ]
    modules = ", ".join(name.removesuffix(".__init__") for name in light)
    code = f"import sys, {modules}\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_configs_are_composed_without_torch() -> None:
    code = "import sys, multiclin.config\nprint('torch' in sys.modules, 'numpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]
