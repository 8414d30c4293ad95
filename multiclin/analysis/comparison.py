"""Systems side by side on the same documents: which is better, how sure that is, where they part.

Every system is counted as its report counts it (`frames.scores`). Two systems answered the same
documents, so they are compared in pairs, over cases: paired approximate randomisation gives p, the
paired bootstrap the interval of the difference (`scoring.significance`). Of more than two systems,
p is corrected for the number of pairs, within each group of documents or mentions by itself; it is
not corrected for the number of groups, so of twenty groups one is below .05 by chance. Intervals
are not corrected: of many pairs, one may leave out zero where the corrected p is above .05.

Evaluations are of the same documents if they have the same gold, by document, label and offsets. A
table of mentions cannot name a document that has none: one that has no gold, and that a system
lacks, is one where this system found nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd

from multiclin.analysis.cells import bounds, number, share
from multiclin.analysis.counting import Counting
from multiclin.analysis.evaluation import Evaluation, Pair
from multiclin.analysis.frames import ALL, scores
from multiclin.analysis.mentions import document_table, mention_table
from multiclin.corpus import as_name, one_line
from multiclin.corpus.texts import UNKNOWN
from multiclin.document import Document
from multiclin.errors import ConfigError
from multiclin.scoring.intervals import Floats, f1, resampling_weights
from multiclin.scoring.significance import compare_f1, holm

Frames = Mapping[str, pd.DataFrame]
Group = tuple[str, str]
"""Dimension and name: `("language", "es")`."""

_PLACE = ["document", "start", "end", "label"]


def compare(evaluations: Sequence[Evaluation]) -> dict[str, pd.DataFrame]:
    """All tables of a comparison, by name.

    * `systems`: official scores of each system, the columns of `frames.scores`.
    * `differences`: strict F1 of each pair of systems, over all documents and for each language,
      label and subcorpus where there are several: `difference` is that of b minus that of a, `low`
      and `high` its 95 % interval, `p_holm` corrected for the number of pairs.
    * `agreement`: for each pair, how many gold mentions both find, and how many wrong ones both
      predict.
    * `disagreements`: gold mentions that some systems find and others do not, and wrong predictions
      that not all share, by `side`. `how` is the kind of error (`scoring.kinds`) of each system
      that is wrong: those of `missed_by` for gold, those of `found_by` for a prediction.

    Args:
        evaluations: Two or more, each with a name of its own. Languages, cases and subcorpora of
            the documents are those that the first one knows.

    Raises:
        ConfigError: There is nothing to compare, two have one name, or they differ in gold.

    Example:
        Gold 0-8 and 20-28; a finds 0-8, b 0-8 and 20-25. `differences`: F1 2/3 and 1/2, -0.1667.
        `agreement`: gold both 1, neither 1; wrong only in b 1. `disagreements`: predicted 20-25,
        found by b, missed by a, "short right".
    """
    systems = _aligned(evaluations)
    tables = {one.name: mention_table(one) for one in systems}
    documents = document_table(systems[0])
    groups = _groups(documents, sorted({label for one in systems for label in one.labels}))
    lines: list[pd.DataFrame] = []
    counts: dict[str, dict[Group, Floats]] = {}
    for name, table in tables.items():
        count = Counting(table, documents)
        lines.append(scores(count, ()).rename(columns={"label": "system"}).assign(system=name))
        counts[name] = _counts(count, groups)
    gold, wrong = _errors(tables, "gold"), _errors(tables, "predicted")
    return {
        "systems": pd.concat(lines, ignore_index=True),
        "differences": _differences(groups, counts),
        "agreement": _agreement(gold, wrong),
        "disagreements": _disagreements(gold, wrong, documents),
    }


def _aligned(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """The evaluations with the same documents in the same order.

    Raises:
        ConfigError: They cannot be compared.
    """
    names = [one.name for one in evaluations]
    if len(names) < 2:
        raise ConfigError(f"a comparison takes two systems or more; given: {', '.join(names)}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"two systems have the name {twice[0]}; give each a name of its own")
    known: dict[str, tuple[str, Document]] = {}
    for one in evaluations:
        if not any(pair.gold.spans for pair in one.pairs):
            raise ConfigError(f"{one.name} has no gold mentions to compare by; give some (--gold)")
        for gold, _ in one.pairs:
            known.setdefault(gold.id, (one.name, gold))
    return [_with_documents(one, known) for one in evaluations]


def _with_documents(
    evaluation: Evaluation, known: Mapping[str, tuple[str, Document]]
) -> Evaluation:
    """An evaluation with all the documents that any has.

    Args:
        evaluation: One of the evaluations.
        known: Each document by id: the first evaluation that has it, and how it holds it.

    Raises:
        ConfigError: It lacks one with gold, or has another text or other gold.
    """
    mine = {pair.gold.id: pair for pair in evaluation.pairs}
    found = {id: _mismatch(document, mine.get(id)) for id, (_, document) in known.items()}
    if differing := sorted(id for id, what in found.items() if what):
        (name, document), what = known[differing[0]], found[differing[0]]
        alike = sum(one == what for one in found.values())
        raise ConfigError(
            f"{evaluation.name} {what} {name}: {alike:,} of {len(known):,} documents, first "
            f"{as_name(document.id)}{_first_difference(document, mine.get(document.id))}; compare "
            "systems on one split and gold (--split, --gold), for one label where they differ in "
            "labels (--entity)"
        )
    names = sorted(known)
    if [pair.gold.id for pair in evaluation.pairs] == names:
        return evaluation  # Keeps the errors that it may have counted.
    found_nothing = {id: Pair(document, document) for id, (_, document) in known.items()}
    return replace(evaluation, pairs=[mine.get(id, found_nothing[id]) for id in names])


def _mismatch(gold: Document, pair: Pair | None) -> str:
    """Why a system's version of a document cannot stand for another's; empty where it can."""
    if pair is None:
        return "lacks documents of" if gold.spans else ""
    if _is_another_text(pair.gold.text, gold.text):
        return "has other texts than"
    return "has other gold than" if pair.gold.spans != gold.spans else ""


def _first_difference(gold: Document, pair: Pair | None) -> str:
    """The first gold mention that one version of a document has and the other has not."""
    ours, theirs = Counter(gold.spans), Counter(pair.gold.spans if pair else gold.spans)
    only = sorted((ours - theirs) + (theirs - ours))
    return f" ({only[0].label} {only[0].start}-{only[0].end} is in one only)" if only else ""


def _is_another_text(one: str, other: str) -> bool:
    """Whether most characters differ, where neither is blank.

    Texts made of blanks and mentions (`sources.open_files`) tell no more, and a mention need not
    be quoted as the text has it. Revisions that move the mentions also differ in gold.
    """
    if one == other:
        return False
    both = [a == b for a, b in zip(one, other, strict=False) if not (a.isspace() or b.isspace())]
    return 2 * sum(both) < len(both)


def _groups(documents: pd.DataFrame, labels: Iterable[str]) -> list[Group]:
    dimensions = {
        "language": set(documents["language"]),
        "label": set(labels),
        "subcorpus": set(documents["subcorpus"]),
    }
    groups = [(ALL, ALL)]
    for dimension, names in dimensions.items():
        if len(names) > 1:
            groups += [(dimension, name) for name in sorted(names - {UNKNOWN})]
    return groups


def _counts(count: Counting, groups: Iterable[Group]) -> dict[Group, Floats]:
    """True positives, false positives and false negatives of each group; shape (cases, 3)."""
    mentions = count.mentions
    of_document = count.documents.loc[mentions["document"]]
    names = {
        ALL: np.full(len(mentions), ALL),
        "language": of_document["language"].to_numpy(),
        "label": mentions["label"].to_numpy(),
        "subcorpus": of_document["subcorpus"].to_numpy(),
    }
    found = {}
    for dimension, name in groups:
        right, predicted, _, gold, *_ = count.by_case(names[dimension] == name).T
        found[dimension, name] = np.stack([right, predicted - right, gold - right], axis=1)
    return found


def _differences(
    groups: Iterable[Group], counts: Mapping[str, Mapping[Group, Floats]]
) -> pd.DataFrame:
    weights = resampling_weights(len(counts[next(iter(counts))][ALL, ALL]))
    rows = []
    for group in groups:
        pairs = list(combinations(counts, 2))
        found = [compare_f1(counts[a][group], counts[b][group], weights=weights) for a, b in pairs]
        corrected = holm([one.p for one in found])
        for (a, b), difference, p_holm in zip(pairs, found, corrected, strict=True):
            of_a, of_b = (float(np.nan_to_num(f1(counts[x][group].sum(axis=0)))) for x in (a, b))
            rows.append((*group, a, b, of_a, of_b, *difference, p_holm))
    columns = ["dimension", "group", "a", "b", "f1_a", "f1_b", "difference", "low", "high", "p"]
    return pd.DataFrame(rows, columns=[*columns, "p_holm"])


def _errors(tables: Mapping[str, pd.DataFrame], side: str) -> pd.DataFrame:
    """Which system errs where, and how.

    Returns:
        One column per system: the kind of its error, nan where it makes none. A row is a gold
        mention, repetitions included, or a wrong prediction of some system; the index is its
        place, the number of the repetition, and the mention.
    """
    shown = [
        table[(table["side"] == side) & ((side == "gold") | ~table["right"])].assign(system=name)
        for name, table in tables.items()
    ]
    rows = pd.concat(shown, ignore_index=True)
    rows["kind"] = rows["kind"].where(~rows["right"])
    rows["again"] = rows.groupby(["system", *_PLACE]).cumcount()
    key = [*_PLACE, "again"]
    kinds = rows.pivot(index=key, columns="system", values="kind").reindex(columns=list(tables))
    # Texts made of blanks and mentions may quote one mention in two ways: the first one counts.
    return kinds.set_index(rows.groupby(key)["mention"].first(), append=True)


def _agreement(gold: pd.DataFrame, wrong: pd.DataFrame) -> pd.DataFrame:
    found, made = gold.isna(), wrong.notna()
    rows = [
        (
            *(a, b),
            *_shared(found[a], found[b]),
            int((~found[a] & ~found[b]).sum()),
            *_shared(made[a], made[b]),
        )
        for a, b in combinations(gold.columns, 2)
    ]
    columns = ["a", "b", "gold_both", "gold_only_a", "gold_only_b", "gold_neither"]
    return pd.DataFrame(rows, columns=[*columns, "wrong_both", "wrong_only_a", "wrong_only_b"])


def _shared(a: pd.Series[bool], b: pd.Series[bool]) -> tuple[int, int, int]:
    """In both, only in a, only in b."""
    return int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum())


def _disagreements(
    gold: pd.DataFrame, wrong: pd.DataFrame, documents: pd.DataFrame
) -> pd.DataFrame:
    names, systems = documents["document"].tolist(), list(map(str, gold))
    rows = []
    for side, kinds in (("gold", gold), ("predicted", wrong)):
        parted = kinds[kinds.isna().any(axis=1) & kinds.notna().any(axis=1)]
        for place, *found in parted.astype(object).itertuples(name=None):
            document, start, end, label, _, mention = place
            how = {name: kind for name, kind in zip(systems, found, strict=True) if pd.notna(kind)}
            erring = ", ".join(how)
            others = ", ".join(name for name in systems if name not in how)
            by = (others, erring) if side == "gold" else (erring, others)
            where = (names[document], side, label, start, end, one_line(mention))
            rows.append((*where, *by, ", ".join(how.values())))
    columns = ["document", "side", "label", "start", "end", "mention"]
    table = pd.DataFrame(rows, columns=[*columns, "found_by", "missed_by", "how"])
    return table.sort_values([*_PLACE, "side"], ignore_index=True)


def system_rows(frames: Frames) -> list[list[str]]:
    """The scores of each system, as the cells of a table."""
    counts = ["documents", "gold", "predicted", "right"]
    rows = [["system", *counts, "P", "R", "strict F1", "95 %", "character F1", "document-macro F1"]]
    for row in frames["systems"].to_dict("records"):
        strict = [share(row[key]) for key in ("precision", "recall", "f1")]
        others = [share(row[key]) for key in ("char_f1", "document_macro_f1")]
        cells = [number(row[key]) for key in counts]
        rows.append([row["system"], *cells, *strict, bounds(row, "f1"), *others])
    return rows


def difference_rows(frames: Frames) -> list[list[str]]:
    """The differences, as the cells of a table.

    The last column says whether the corrected p is below .05. Where it is not, the systems may
    still differ: these documents do not show it.
    """
    several = len(frames["systems"]) > 2
    head = ["group", "a", "b", "F1 of a", "F1 of b", "b - a", "95 %", "p"]
    rows = [[*head, *["p (Holm)"] * several, "p < .05"]]
    for row in frames["differences"].to_dict("records"):
        interval = "-" if np.isnan(row["low"]) else f"{row['low']:+.3f} to {row['high']:+.3f}"
        rows.append(
            [
                ALL if row["group"] == ALL else f"{row['dimension']} {row['group']}",
                *(row["a"], row["b"]),
                *(share(row["f1_a"]), share(row["f1_b"]), _signed(row["difference"]), interval),
                *(_p(row["p"]), *[_p(row["p_holm"])] * several),
                "yes" if row["p_holm"] < 0.05 else "no",
            ]
        )
    return rows


def agreement_rows(frames: Frames) -> list[list[str]]:
    """Who finds what the other one finds, as the cells of a table."""
    table = frames["agreement"]
    return [
        [str(name).replace("_", " ") for name in table.columns],
        *([a, b, *map(number, counts)] for a, b, *counts in table.itertuples(index=False)),
    ]


def _signed(value: float) -> str:
    return f"{round(value, 4) + 0.0:+.4f}"  # Adding zero takes the sign off a negative one.


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"
