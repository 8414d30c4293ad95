"""What is in a corpus, as tables on the console, and as `stats.html` with CSVs.

The counting is that of `analysis.corpus_frames`; here come the standing of mentions to each other
(nested, adjacent, ...), for that bounds what flat tags can reach, and the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import pandas as pd

from multiclin.analysis.corpus_frames import (
    SET,
    corpus_frames,
    document_lengths,
    mention_lengths,
    mention_numbers,
)
from multiclin.analysis.evaluation import Evaluation, Pair
from multiclin.analysis.frames import write_csv
from multiclin.analysis.mentions import STANDINGS, mention_table
from multiclin.corpus.release import CorpusSet, find_sets, read_sets
from multiclin.figures import STYLE, Section, as_section, script
from multiclin.pages import write_page
from multiclin.tables import Table, as_html, as_text

FREQUENT = 10
"""Mentions of each entity and language that are shown."""


@dataclass(frozen=True)
class Stats:
    """The tables of a corpus.

    Attributes:
        root: The corpus.
        tables: `corpus_frames`, and `standings`: mentions of each set by their standing to others
            of their label (`analysis.mentions.STANDINGS`).
    """

    root: Path
    tables: Mapping[str, pd.DataFrame]

    @classmethod
    def of(cls, root: Path) -> Stats:
        """Count a MultiClinNER tree.

        Raises:
            CorpusError: There is no set, or one of them cannot be read; `check` tells all of it.
        """
        sets = find_sets(root)
        return cls(root, {**corpus_frames(sets), "standings": standings(sets)})

    def as_console(self, *, texts: bool = True) -> str:
        """Sizes, lengths, standings, and with texts the most frequent mentions."""
        return "\n\n".join(as_text(table) for table in self._rows(texts).values())

    def write(self, folder: Path, *, texts: bool = True) -> Path:
        """Write `stats.html` and a CSV for each table; older ones are replaced.

        Args:
            folder: Where they go.
            texts: Whether words of the documents may be shown.

        Returns:
            The page.

        Raises:
            OutputError: One of them cannot be written.
        """
        write_csv(self.tables, folder, texts=texts)
        path = folder / "stats.html"
        body = "".join(map(as_section, self._sections(texts)))
        write_page(path, f"Corpus {self.root.absolute().name}", body, style=STYLE, script=script())
        return path

    def _rows(self, texts: bool) -> dict[str, Table]:
        tables = self.tables
        rows = {
            "sets": _as_rows(tables["sets"]),
            "lengths": _as_rows(tables["lengths"].round(1)),
            "standings": _as_rows(tables["standings"], ".1%"),
        }
        if texts:
            often = tables["frequent"].groupby(["entity", "language"], sort=False).head(FREQUENT)
            rows["frequent"] = _as_rows(often)
        return rows

    def _sections(self, texts: bool) -> list[Section]:
        rows, tables = self._rows(texts), self.tables
        html = {name: as_html(table) for name, table in rows.items()}
        figures = [document_lengths(tables["lengths"]), mention_lengths(tables["mentions"])]
        sections = [
            Section("Sets", _SETS, [mention_numbers(tables["sets"])], body=html["sets"]),
            Section("Lengths", "In words.", figures, "several", after=html["lengths"]),
            Section("Standing of mentions", _STANDINGS, body=html["standings"]),
        ]
        if texts:
            sections.append(Section("Most frequent mentions", _FREQUENT, body=html["frequent"]))
        return sections


_SETS = (
    "distinct: different mentions, case and white space aside; unseen: those that no training set "
    "of the entity has, in whatever language."
)
_STANDINGS = (
    "Shares of the mentions of a set, by how they stand to others of their label; where several "
    "hold, the last column counts. One layer of tags cannot hold those that share characters."
)
_FREQUENT = f"The {FREQUENT} first of each entity and language; case and white space do not count."


def standings(sets: list[CorpusSet]) -> pd.DataFrame:
    """The share of the mentions of each set that have each standing; only sets with gold."""
    rows = []
    for one in sets:
        pairs = [Pair(gold, gold.with_spans(())) for _, gold in read_sets([one])]
        if one.has_gold:
            found = mention_table(Evaluation("", pairs))["standing"]
            shares = found.value_counts(normalize=True).reindex(STANDINGS, fill_value=0.0)
            rows.append([one.language, one.split, one.entity, len(found), *shares])
    return pd.DataFrame(rows, columns=[*SET, "mentions", *STANDINGS])


def _as_rows(table: pd.DataFrame, decimals: str = ",.10g") -> Table:
    """A DataFrame as cells; what is missing is a dash."""
    head = [str(name) for name in table.columns]

    def shown(value: object) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, float):
            return format(value, decimals)
        return f"{value:,}" if isinstance(value, Integral) else "-"

    rows = table.itertuples(index=False, name=None)
    return [head, *([shown(value) for value in row] for row in rows)]
