"""Small corpora on disk, right and wrong ones."""

from __future__ import annotations

from pathlib import Path

from multiclin.checking.check import Checked, check

HEADER = "filename\tlabel\tstart_span\tend_span\ttext\n"
TEXT = "Sin tos ni fiebre alta."
ANN = "T1\tDISEASE 4 7\ttos\nT2\tDISEASE 11 22\tfiebre alta\n"


def make_set(root: Path, name: str, table: str = "", **documents: tuple[str, str | None]) -> Path:
    """A set `MultiClinNER-{name}`: id -> text and `.ann`, None for no `.ann`."""
    folder = root / f"MultiClinNER-{name}"
    for part in ("txt", "ann"):
        (folder / part).mkdir(parents=True)
    for id, (text, ann) in documents.items():
        (folder / "txt" / f"{id}.txt").write_bytes(text.encode())
        if ann is not None:
            (folder / "ann" / f"{id}.ann").write_bytes(ann.encode())
    if table:
        (folder / "tsv").mkdir()
        (folder / "tsv" / f"{folder.name}.tsv").write_bytes((HEADER + table).encode())
    return folder


def found(checked: Checked) -> dict[str, list[tuple[str, int]]]:
    """File name and line of everything that was found, by kind."""
    return {
        kind: [(one.path.name, one.line) for one in findings]
        for kind, findings in checked.findings.by_kind.items()
        if findings
    }


def look(root: Path) -> dict[str, list[tuple[str, int]]]:
    """What a check finds."""
    return found(check(root))
