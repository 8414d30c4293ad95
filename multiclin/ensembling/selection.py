"""Which candidates make the best ensemble: greedy forward selection with replacement.

The best candidate alone is the first member. Then the one is added that raises strict F1 most, one
that is in it already among them (it then counts double), until none raises it. (Caruana et al.
2004, "Ensemble selection from libraries of models".)

The score is that of the documents that chose, so it is optimistic. They must be documents that no
candidate was trained on: where the `split.json` of a run tells that it was, it is refused.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from multiclin.analysis.runs import find_model, run_of
from multiclin.bundle import load_model
from multiclin.corpus import as_name
from multiclin.corpus.splits import Header, load_split
from multiclin.document import Document
from multiclin.ensemble import check_same_tags
from multiclin.ensembling.candidates import Candidate, Pool
from multiclin.errors import ConfigError
from multiclin.files import atomic_write
from multiclin.output import write_json
from multiclin.tables import Table
from multiclin.tune import gold_documents, validation_of

log = logging.getLogger(__name__)

HEAD = ["step", "member", "F1 before", "F1 after", "gain", "F1 without it", "loss"]


class Step(NamedTuple):
    """A member that was added.

    Attributes:
        member: Number of the candidate.
        before: F1 of those added before it.
        after: F1 with it.
    """

    member: int
    before: float
    after: float


def select(f1: Callable[[Sequence[int]], float], candidates: int) -> list[Step]:
    """Add candidates one by one while F1 rises.

    Args:
        f1: Of an ensemble, given as the numbers of its members in the order they were added.
        candidates: How many there are; of equally good ones the first is taken.

    Returns:
        The steps; none where every candidate alone has an F1 of 0.
    """
    steps: list[Step] = []
    while True:
        chosen = [step.member for step in steps]
        before = steps[-1].after if steps else 0.0
        tried = [f1([*chosen, number]) for number in range(candidates)]
        after = max(tried)
        if after <= before:
            return steps
        steps.append(Step(tried.index(after), before, after))


class Selection(NamedTuple):
    """What was chosen, and why.

    Attributes:
        gold: Where the documents are from.
        documents: How many chose.
        alone: F1 of each candidate, by name.
        steps: The members, by name, in the order they were added.
        without: F1 without a member, however often it is there; by name.
    """

    gold: Path
    documents: int
    alone: dict[str, float]
    steps: list[tuple[str, Step]]
    without: dict[str, float]

    @property
    def ckpt(self) -> str:
        """The setting of `predict.py`, as a shell takes it."""
        names = [name for name, _ in self.steps]
        if all(re.fullmatch(r"[\w/.+-]+", name, re.ASCII) for name in names):
            return f"ckpt=[{','.join(names)}]" if len(names) > 1 else f"ckpt={names[0]}"
        quoted = ("'" + name.replace("'", r"\'") + "'" for name in names)
        return shlex.quote(f"ckpt=[{','.join(quoted)}]")

    def rows(self) -> Table:
        """A row for each step, and what leaving its member out would cost."""
        rows = [HEAD]
        last = self.steps[-1][1].after
        for number, (name, (_, before, after)) in enumerate(self.steps, 1):
            without = self.without[name]
            figures = (before, after, after - before, without, last - without)
            rows.append([str(number), name, *(f"{figure:.4f}" for figure in figures)])
        return rows

    def facts(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "gold": str(self.gold),
            "documents": self.documents,
            "ckpt": [name for name, _ in self.steps],
            "strict_f1": self.steps[-1][1].after,
            "alone": self.alone,
            "steps": [
                {
                    "member": name,
                    "before": step.before,
                    "after": step.after,
                    "without": self.without[name],
                }
                for name, step in self.steps
            ],
        }


def select_members(names: Sequence[str], gold: Path | None, work: Path | None) -> Selection:
    """Choose among models.

    Args:
        names: The candidates: runs, bundles or checkpoints.
        gold: Documents with their mentions that none was trained on; None: the validation of the
            first one's run.
        work: A folder for the emissions, 4 bytes for each tag of each token; None: a temporary one.

    Raises:
        MulticlinError: A model or the gold is wrong, a candidate was trained on it, or none finds
            anything.
    """
    paths = {str(Path(name)): find_model(name) for name in names}
    gold = gold or validation_of(next(iter(paths.values())))
    first = load_model(next(iter(paths.values())))
    documents = gold_documents(gold, first.recipe.labels)
    for path in paths.values():
        check_untrained(path, documents, gold)
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="multiclin-", dir=work, ignore_cleanup_errors=True) as place:
        candidates = [
            Candidate.heard(path, documents, Path(place) / str(number))
            for number, path in enumerate(paths.values())
        ]
        check_same_tags(list(paths.values()), [one.model for one in candidates])
        return choose(list(paths), Pool(documents, candidates), gold)


def choose(names: Sequence[str], pool: Pool, gold: Path) -> Selection:
    """Choose among the candidates of a pool, which have these names."""
    steps = select(pool.f1, len(names))
    if not steps:
        raise ConfigError(f"no candidate finds a mention of {gold}: nothing can be chosen")
    chosen = [step.member for step in steps]
    return Selection(
        gold,
        len(pool.documents),
        {name: pool.f1([number]) for number, name in enumerate(names)},
        [(names[step.member], step) for step in steps],
        {
            names[member]: pool.f1([other for other in chosen if other != member])
            for member in chosen
        },
    )


def check_untrained(path: Path, documents: Sequence[Document], gold: Path) -> None:
    """Refuse a model that has met the documents, as far as the split of its run tells.

    Raises:
        ConfigError: It was trained on some.
    """
    run = run_of(path)
    if run is None or not (run / "split.json").is_file():
        log.warning("%s: no split.json says what it was trained on", path)
        return
    trained = load_split(run / "split.json").get("train", frozenset())
    known = trained | {key.partition("/")[2] for key in trained}
    # Without its language a document is known by its id alone.
    met = sorted(
        one.id for one in documents if Header.of(one).key in (trained if one.language else known)
    )
    if met:
        raise ConfigError(
            f"{path} was trained on {len(met)} of the {len(documents)} documents of {gold} (the "
            f"first: {as_name(met[0])}), so its score there says nothing; leave it out, or give "
            "documents that no candidate was trained on: --gold PATH"
        )


def write_selection(selection: Selection, folder: Path) -> None:
    """Write `selection.json` and, as a table, `selection.csv`."""
    write_json(selection.facts(), folder / "selection.json")
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(selection.rows())
    with atomic_write(folder / "selection.csv", overwrite=True) as stream:
        stream.write(text.getvalue())
