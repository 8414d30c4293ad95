"""What a check found, on the console, as JSON and as Markdown.

The console shows the kinds and their first examples, the files hold every finding. Texts of
patients appear as excerpts of at most 40 characters; paths in files are below the corpus.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from multiclin.checking.check import Checked, Recounts
from multiclin.checking.findings import KINDS, Finding, printable
from multiclin.files import atomic_write
from multiclin.tables import Table, as_markdown, as_text, in_markdown

EXAMPLES: Final = {"error": 3, "note": 1}
"""Findings of a kind that the console shows, by level."""


def as_console(checked: Checked) -> str:
    """The summary, a table of the kinds, and their first examples."""
    parts = [summary(checked)]
    if checked.findings.counts():
        parts.append(as_text(_kinds(checked)))
    if checked.recounts:
        parts.append("\n".join(map(_explained, checked.recounts)))
    for kind, found in _met(checked):
        examples = found[: EXAMPLES[KINDS[kind].level]]
        lines = [f"{kind}: {KINDS[kind].about}"]
        lines += [f"  {_where(one, one.path)}: {one.what}\n    -> {one.advice}" for one in examples]
        if len(found) > len(examples):
            lines.append(f"  ... and {len(found) - len(examples):,} more")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def summary(checked: Checked) -> str:
    """One sentence: the sizes, and clean or dirty."""
    levels = checked.findings.levels()
    sizes = {
        "sets": len(checked.places),
        "documents": checked.documents,
        "mentions": checked.mentions,
    }
    size = ", ".join(f"{number:,} {name}" for name, number in sizes.items())
    verdict = "clean" if checked.is_clean else "dirty"
    return (
        f"{printable(str(checked.root))}: {size}: {verdict}, "
        f"{levels['error']:,} errors, {levels['note']:,} notes"
    )


def _kinds(checked: Checked) -> Table:
    rows = [["kind", "level", "found", "files", "what"]]
    for kind, found in _met(checked):
        numbers = [f"{len(found):,}", f"{len({one.path for one in found}):,}"]
        rows.append([kind, KINDS[kind].level, *numbers, KINDS[kind].about])
    return rows


def _met(checked: Checked) -> Iterator[tuple[str, list[Finding]]]:
    return ((kind, found) for kind, found in checked.findings.by_kind.items() if found)


def _explained(recounts: Recounts) -> str:
    """What is behind the wrong offsets of a set."""
    files = len(recounts.files)
    wrong = f"{printable(recounts.place.name)}: {recounts.wrong:,} wrong offsets in {files:,} files"
    if recounts.common:
        reason = f"all are explained by counting {recounts.common[0]}"
        return f"{wrong}; {reason}. --repair OUT writes a corrected copy"
    mended = sum(bool(recounts.allowed(key)) for key in recounts.files)
    if mended:
        return f"{wrong}; no one explanation, but {mended:,} files have one each (--repair OUT)"
    return f"{wrong}; no other way to count explains them"


def write_json(checked: Checked, path: Path) -> None:
    """Every finding as JSON; an older file is replaced.

    Raises:
        OutputError: It cannot be written.
    """
    with atomic_write(path, overwrite=True) as stream:
        json.dump(_facts(checked), stream, ensure_ascii=False, indent=1)
        stream.write("\n")


def _facts(checked: Checked) -> dict[str, Any]:
    return {
        "folder": printable(str(checked.root)),
        "clean": checked.is_clean,
        "sets": len(checked.places),
        "documents": checked.documents,
        "mentions": checked.mentions,
        **checked.findings.levels(),
        "counts": checked.findings.counts(),
        "wrong_offsets": [
            {
                "set": _below(recounts.place.folder, checked),
                "wrong": recounts.wrong,
                "files": len(recounts.files),
                "explained_files": sum(bool(recounts.allowed(key)) for key in recounts.files),
                "explanation": str(recounts.common[0]) if recounts.common else None,
            }
            for recounts in checked.recounts
        ],
        "findings": [
            {
                "kind": one.kind,
                "level": KINDS[one.kind].level,
                "file": _below(one.path, checked),
                "line": one.line,
                "what": one.what,
                "remedy": one.advice,
            }
            for one in checked.findings
        ],
    }


def write_markdown(checked: Checked, path: Path) -> None:
    """Every finding as Markdown; an older file is replaced.

    Raises:
        OutputError: It cannot be written.
    """
    parts = ["# Corpus check", in_markdown(summary(checked))]
    if checked.findings.counts():
        parts.append(as_markdown(_kinds(checked)))
    if checked.recounts:
        parts.append("\n".join(f"- {in_markdown(_explained(one))}" for one in checked.recounts))
    for kind, found in _met(checked):
        remedies = sorted({one.advice for one in found})
        parts.append(f"## {kind}\n\n{KINDS[kind].about}. {'; '.join(remedies)}.")
        # As code, so that nothing out of a text can be markup.
        lines = [f"{_where(one, _below(one.path, checked))}: {one.what}" for one in found]
        parts.append("\n".join(f"- `{line.replace('`', chr(39))}`" for line in lines))
    with atomic_write(path, overwrite=True) as stream:
        stream.write("\n\n".join(parts) + "\n")


def _where(finding: Finding, path: Path | str) -> str:
    place = printable(str(path))
    return f"{place}:{finding.line}" if finding.line else place


def _below(path: Path, checked: Checked) -> str:
    return printable(path.relative_to(checked.root).as_posix())
