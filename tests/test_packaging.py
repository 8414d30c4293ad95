"""The wheel, installed in a new environment and run from another folder."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def run(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and, built from that, the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def environment(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment with the wheel and the packages of the current one."""
    venv = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv)
    python = venv / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", wheel, cwd=venv)
    # The folder is only added to the path: a .pth of an editable install in it is not followed.
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=venv)
    shared = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(site.strip()) / "shared.pth").write_text("\n".join(sorted(shared)), encoding="utf-8")
    return venv / "bin"


def test_the_wheel_holds_configs_and_lexicons(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    ours = [ROOT / "multiclin" / "py.typed", *(ROOT / "multiclin").rglob("*.yaml")]
    expected = {path.relative_to(ROOT).as_posix() for path in ours}
    expected |= {
        f"multiclin/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "conf").rglob("*.yaml")
    }
    assert len(expected) > 20
    assert expected <= packed
    assert all(name.startswith(("multiclin/", "multiclin-")) for name in packed)


def test_the_sdist_holds_what_a_checkout_needs(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    files = {"train.py", "Makefile", "requirements.txt", "requirements-dev.txt", "LICENSE"}
    assert files | {"README.md", "pyproject.toml", "tests/conftest.py"} <= packed


def test_the_installed_package_is_the_wheels(environment: Path, tmp_path: Path) -> None:
    code = "from multiclin.config import CONF_DIR; print(CONF_DIR)"
    conf = Path(run(environment / "python", "-c", code, cwd=tmp_path).strip())
    assert conf.is_relative_to(environment.parent)
    assert (conf / "train.yaml").is_file()


def test_the_command_runs_from_another_folder(environment: Path, tmp_path: Path) -> None:
    assert "evaluate" in run(environment / "multiclin", "--help", cwd=tmp_path)
    shown = run(environment / "multiclin", "train", "--cfg", "job", "entity=symptom", cwd=tmp_path)
    assert "symptom: SYMPTOM" in shown
    assert list(tmp_path.iterdir()) == []


def test_the_lexicons_are_found(environment: Path, tmp_path: Path) -> None:
    made = ["corpus", "sample", "corpus", "--documents", "2", "--languages", "sv"]
    run(environment / "multiclin", *made, cwd=tmp_path)
    assert len(list((tmp_path / "corpus").rglob("*.txt"))) == 6  # 2 documents of 3 entities


def test_hydra_finds_our_plugins_without_a_warning(environment: Path, tmp_path: Path) -> None:
    code = (
        "from hydra.core.plugins import Plugins; from hydra.plugins.plugin import Plugin\n"
        "print(*(plugin.__module__ for plugin in Plugins.instance().discover(Plugin)))"
    )
    found = run(environment / "python", "-W", "error", "-c", code, cwd=tmp_path).split()
    assert {"multiclin.hpo.sweeper", "multiclin.option_files"} <= set(found)


def test_the_wheel_names_its_plugins(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        text = archive.read(name).decode()
    for plugin in ("OptionFiles", "OptionFilesSearchPath", "PruningOptunaSweeper"):
        assert f":{plugin}\n" in text
