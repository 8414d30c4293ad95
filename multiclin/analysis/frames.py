"""Every number of a report, as DataFrames: `frames(evaluation)`.

All of them are counted from two tables, mentions and documents (`mentions`), so they cannot
disagree. Intervals are bootstrapped over cases (documents; versions of one case go together), with
the same resamples for every line of every table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import floor, nan
from pathlib import Path

import numpy as np
import pandas as pd

from multiclin.analysis.counting import CHARACTERS, STRICT, Counting, named
from multiclin.analysis.evaluation import Evaluation, folded
from multiclin.analysis.mentions import STANDINGS, document_table, mention_table
from multiclin.corpus import one_line
from multiclin.corpus.texts import UNKNOWN
from multiclin.document import Span
from multiclin.files import atomic_write
from multiclin.scoring.calibration import Bin, Threshold, reliability, threshold_curve
from multiclin.scoring.counts import Counts
from multiclin.scoring.kinds import BOUNDARY, KINDS, fixed
from multiclin.words import word_spans

ALL = "all"
CONTEXT = 60
"""Characters shown on either side of an error."""

MENTION_LENGTHS = (1, 2, 3, 4, 8)
SEEN = {"never": 0, "once": 1, "2 to 9 times": 2, "10 times or more": 10}


def frames(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    """All tables of an evaluation, by name.

    * `scores`: official strict and character scores and document-macro F1, per label.
    * `strata`: the same by language, subcorpus, length of document, length of mention, how often
      the training has a mention, standing among other mentions; only groups that exist.
    * `ceiling`: what could be reached at best, where the run counted it.
    * `history`: what the run logged per epoch.
    * `reliability`, `thresholds`: whether scores mean what they say; the trade of precision and
      recall over a least score. Empty where mentions have no scores.
    * `errors`: the kinds with their counts, and the F1 if all errors of a kind were mended.
    * `boundary_words`: words that predictions add or lack at a boundary.
    * `frequent`: the mentions most often missed and most often made up.
    * `cases`: every error with its context.
    * `documents`: every document with its counts.
    * `mentions`: every mention (`mentions.mention_table`).

    Returns:
        Each name once; a table without rows keeps its columns. Shares lie in [0, 1]; offsets and
        lengths are in characters unless the column is called `words`.
    """
    mentions, documents = mention_table(evaluation), document_table(evaluation)
    scored = mentions if evaluation.labels else mentions.iloc[:0]  # Without gold nothing is wrong.
    count = Counting(scored, documents)
    return {
        "scores": scores(count, evaluation.labels),
        "strata": strata(count),
        "ceiling": ceiling(evaluation),
        "history": history(evaluation),
        "reliability": calibration(scored),
        "thresholds": thresholds(scored),
        "errors": errors(evaluation, scored),
        "boundary_words": boundary_words(evaluation),
        "frequent": frequent(mentions),
        "cases": cases(evaluation),
        "documents": document_scores(count),
        "mentions": mentions.assign(
            document=documents["document"].to_numpy()[mentions["document"]]
        ),
    }


TEXTS = frozenset({"boundary_words", "frequent", "cases", "mentions", "disagreements"})
"""Tables that hold words of the documents."""


def write_csv(tables: Mapping[str, pd.DataFrame], folder: Path, *, texts: bool = True) -> None:
    """Every table as `<name>.csv`; older ones are replaced.

    Args:
        tables: `frames`.
        folder: Where they go.
        texts: Whether the tables that hold words of the documents are among them.

    Raises:
        OutputError: One cannot be written.
    """
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        if texts or name not in TEXTS:
            with atomic_write(path, overwrite=True) as stream:
                table.to_csv(stream, index=False)
        else:
            path.unlink(missing_ok=True)  # An older one would be taken for a part of these.


def scores(count: Counting, labels: Sequence[str]) -> pd.DataFrame:
    """Official scores per label, over all of them first where there are several."""
    label = count.mentions["label"].to_numpy()
    rows = []
    for one in ([ALL] if len(labels) != 1 else []) + list(labels):
        chosen = np.ones(len(label), bool) if one == ALL else label == one
        line = count.line(chosen, {**STRICT, **CHARACTERS})
        macro = named("document_macro_f1", count.macro(chosen))
        annotated = [one == ALL or one in known.split("+") for known in count.documents["labels"]]
        rows.append({"label": one, "documents": sum(annotated), **line, **macro})
    return pd.DataFrame(rows)


def strata(count: Counting) -> pd.DataFrame:
    """Strict scores of groups of documents and of mentions; `documents` are those with mentions.

    A group of mentions has the gold ones and the predicted ones that belong to it, each by itself:
    `recall` is the share of its gold that was found, `precision` the share of its predictions that
    are right. Standing is that of gold alone, so it has a recall only.
    """
    mentions, documents = count.mentions, count.documents
    of_document = documents.loc[mentions["document"]].reset_index(drop=True)
    groups = {
        "language": of_document["language"],
        "subcorpus": of_document["subcorpus"],
        "words in document": _quartiles(documents["words"]).loc[mentions["document"]],
        "words in mention": _binned(mentions["words"], MENTION_LENGTHS),
        "times in training": _seen(mentions["seen"]),
        "nested or adjacent": mentions["standing"].where(mentions["side"] == "gold", ""),
    }
    order = {"nested or adjacent": list(STANDINGS), "times in training": list(SEEN)}
    rows = []
    for dimension, group in groups.items():
        values = group.to_numpy()
        there = set(values) - {""}
        if there <= {UNKNOWN}:
            continue
        for name in order.get(dimension) or sorted(there, key=_by_number):
            if name not in there:
                continue
            chosen = values == name
            only_gold = dimension == "nested or adjacent"
            measures = {"recall": STRICT["recall"]} if only_gold else STRICT
            line = count.line(chosen, measures)
            if only_gold:
                line["predicted"] = nan
            inside = mentions["document"][chosen].nunique()
            rows.append({"dimension": dimension, "group": name, "documents": inside, **line})
    columns = [
        "dimension",
        "group",
        "documents",
        *count.line(np.zeros(len(mentions), bool), STRICT),
    ]
    return pd.DataFrame(rows, columns=columns)


def errors(evaluation: Evaluation, mentions: pd.DataFrame) -> pd.DataFrame:
    """The kinds of errors, the costliest first.

    `cases` counts places in a text, `missing` false negatives, `wrong` false positives; `f1_fixed`
    is what the strict F1 would be were all of this kind right, `gain` what that adds.
    """
    gold = mentions["side"] == "gold"
    right = mentions["right"]
    counts = Counts(
        int((gold & right).sum()), int((~gold & ~right).sum()), int((gold & ~right).sum())
    )
    all_cases = [case for found in evaluation.cases for case in found]
    rows = []
    for kind in KINDS:
        alike = [case for case in all_cases if case.kind == kind]
        mended = fixed(counts, alike).f1
        rows.append(
            {
                "kind": kind,
                "cases": len(alike),
                "missing": sum(len(case.gold) for case in alike),
                "wrong": sum(len(case.predicted) for case in alike),
                "f1_fixed": mended,
                "gain": mended - counts.f1,
            }
        )
    return pd.DataFrame(rows).sort_values("gain", ascending=False, kind="stable", ignore_index=True)


def boundary_words(evaluation: Evaluation) -> pd.DataFrame:
    """Words that boundary errors get wrong: `added` to the gold, or `lost` from it, by edge."""
    found: Counter[tuple[str, str, str]] = Counter()
    for (gold, _), cases in zip(evaluation.pairs, evaluation.cases, strict=True):
        for case in cases:
            if case.kind in BOUNDARY:
                found.update(_edges(gold.text, case.gold[0], case.predicted[0]))
    rows = [(*key, number) for key, number in found.most_common()]
    return pd.DataFrame(rows, columns=["change", "edge", "word", "count"])


def _edges(text: str, gold: Span, predicted: Span) -> Iterator[tuple[str, str, str]]:
    """Change, edge and word, case folded, of all words between an edge and the right one."""
    for edge, ours, theirs in (
        ("left", predicted.start, gold.start),
        ("right", predicted.end, gold.end),
    ):
        between = text[min(ours, theirs) : max(ours, theirs)]
        words = [between[start:end] for start, end in word_spans(between)] or between.split()
        change = "added" if (ours < theirs) == (edge == "left") else "lost"
        for word in words:
            yield change, edge, word.casefold()


def frequent(mentions: pd.DataFrame) -> pd.DataFrame:
    """Mentions missed and made up, by how often; `of`: how often gold or predictions have them."""
    table = mentions.assign(mention=mentions["mention"].map(folded))
    wrong = table[table["kind"].isin(["missed", "spurious"])]
    keys = ["label", "side", "mention"]
    number = wrong.groupby([*keys, "kind"]).size().rename("count").reset_index()
    total = table.groupby(keys).size().rename("of").reset_index()
    merged = number.merge(total, on=keys).sort_values(
        ["kind", "count", "of", "mention"], ascending=[True, False, True, True], ignore_index=True
    )
    return merged[["kind", "label", "mention", "count", "of"]]


def calibration(mentions: pd.DataFrame) -> pd.DataFrame:
    """Mentions by their score, and how many of them are right; empty without scores."""
    scored = _scored(mentions)
    found = reliability(scored["score"].to_numpy(), scored["right"].to_numpy())
    return pd.DataFrame(found, columns=Bin._fields)


def thresholds(mentions: pd.DataFrame) -> pd.DataFrame:
    """Precision, recall and F1 if only mentions of at least a score were kept."""
    scored = _scored(mentions)
    gold = int((mentions["side"] == "gold").sum())
    curve = threshold_curve(scored["score"].to_numpy(), scored["right"].to_numpy(), gold)
    return pd.DataFrame(curve, columns=Threshold._fields)


def best_least(curve: pd.DataFrame) -> float:
    """The least score of the highest F1 as one would set it: rounded down, so it keeps as many."""
    return floor(1000 * float(curve["threshold"].iloc[curve["f1"].argmax()])) / 1000


def f1_from(mentions: pd.DataFrame, least: float) -> float:
    """Strict F1 if only mentions of at least this score were kept; the curve is thinned."""
    predicted = _scored(mentions)
    kept = predicted[predicted["score"] >= least]
    gold = int((mentions["side"] == "gold").sum())
    tp = int(kept["right"].sum())
    return Counts(tp, len(kept) - tp, gold - tp).f1


def _scored(mentions: pd.DataFrame) -> pd.DataFrame:
    """The predicted mentions, none of them unless all have a score."""
    predicted = mentions[mentions["side"] == "predicted"]
    return predicted if predicted["score"].notna().all() else predicted.iloc[:0]


def ceiling(evaluation: Evaluation) -> pd.DataFrame:
    """Of each language: gold, what is lost by reason, and the best recall and F1 that are left."""
    found: dict[str, dict[str, float]] = {}
    for name, value in evaluation.metrics.items():
        head, _, rest = name.partition(f"ceiling/{evaluation.split}/")
        if not head and rest:
            language, _, figure = rest.partition("/")
            found.setdefault(language, {})[figure] = value
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("language").reset_index()


def history(evaluation: Evaluation) -> pd.DataFrame:
    """Loss and scores per epoch, from the lines that a run logged; epochs count from 1."""
    lines = pd.DataFrame(list(evaluation.history))
    wanted = [name for name in lines if name in {"train/loss"} or str(name).startswith("val/")]
    if "epoch" not in lines or not wanted:
        return pd.DataFrame(columns=["epoch"])
    lines = lines.assign(epoch=lines["epoch"].bfill() + 1).dropna(subset=wanted, how="all")
    return lines.groupby("epoch")[wanted].mean().reset_index().astype({"epoch": int})


def document_scores(count: Counting) -> pd.DataFrame:
    """Every document with its strict counts and F1 (nan where it has no mentions at all)."""
    mentions = count.mentions
    gold, right = mentions["side"] == "gold", mentions["right"]
    place = mentions["document"]
    documents = count.documents.copy()
    for name, chosen in {
        "gold": gold,
        "predicted": ~gold,
        "right": gold & right,
        "missing": gold & ~right,
        "wrong": ~gold & ~right,
    }.items():
        found = place[chosen].value_counts()
        documents[name] = found.reindex(documents.index, fill_value=0)
    documents["f1"] = 2 * documents["right"] / (documents["gold"] + documents["predicted"])
    return documents


def cases(evaluation: Evaluation) -> pd.DataFrame:
    """Every error: its kind, what stands in gold and what was predicted, and the text around."""
    rows = []
    for (gold, _), found in zip(evaluation.pairs, evaluation.cases, strict=True):
        for case in found:
            spans = [*case.gold, *case.predicted]
            start, end = min(one.start for one in spans), max(one.end for one in spans)
            rows.append(
                {
                    "document": gold.id,
                    "kind": case.kind,
                    "label": "/".join(sorted({one.label for one in spans})),
                    "start": start,
                    "end": end,
                    "gold": " | ".join(_shown(gold.text, case.gold)),
                    "predicted": " | ".join(_shown(gold.text, case.predicted)),
                    "score": max(_scores_of(case.predicted), default=nan),
                    "before": one_line(gold.text[max(0, start - CONTEXT) : start]),
                    "after": one_line(gold.text[end : end + CONTEXT]),
                }
            )
    columns = ["document", "kind", "label", "start", "end", "gold", "predicted"]
    return pd.DataFrame(rows, columns=[*columns, "score", "before", "after"])


def _scores_of(spans: Iterable[Span]) -> list[float]:
    return [span.score for span in spans if span.score is not None]


def _shown(text: str, spans: Iterable[Span]) -> list[str]:
    return [one_line(text[span.start : span.end]) for span in spans]


def _seen(times: pd.Series[float]) -> pd.Series[str]:
    """How often the training has it, in groups; empty where that is not known."""
    return _named_bins(times, SEEN)


def _named_bins(values: pd.Series[float], lowest: Mapping[str, int]) -> pd.Series[str]:
    edges = [*lowest.values(), np.inf]
    cut = pd.cut(values, edges, right=False, labels=list(lowest))
    return cut.astype(object).fillna("").astype(str)


def _binned(values: pd.Series[int], lowest: Sequence[int]) -> pd.Series[str]:
    """Whole numbers in groups that begin at these: `1`, `2`, `4 to 7`, `8 or more`."""
    names = {}
    for low, following in zip(lowest, [*lowest[1:], 0], strict=True):
        last = following - 1
        names[
            f"{low}" if low == last else f"{low} to {last}" if following else f"{low} or more"
        ] = low
    if lowest[0]:
        names = {"0": 0, **names}
    return _named_bins(values.astype(float), names)


def _quartiles(values: pd.Series[int]) -> pd.Series[str]:
    """Numbers in up to four groups of like size, named by what they hold."""
    if values.nunique() < 3:
        return pd.Series(UNKNOWN, index=values.index)
    edges = np.unique(np.quantile(values, [0, 0.25, 0.5, 0.75]).round())
    return _binned(values, [int(edge) for edge in edges])


def _by_number(name: str) -> tuple[int, str]:
    head = name.partition(" ")[0]
    return (int(head), "") if head.isdigit() else (0, name)
