"""What the errors come from, and what to do next: `causes`, the costliest first.

Each cause is a group of error kinds (`scoring.kinds`) ranked by what strict F1 would gain without
it. What is found stands beside its numbers; what to do is a suggestion, never a promise: whether
it helps is to be measured on validation documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd

from multiclin.analysis.evaluation import Evaluation
from multiclin.analysis.frames import best_least, f1_from
from multiclin.scoring.counts import Counts
from multiclin.scoring.kinds import BOUNDARY, fixed

Frames = Mapping[str, pd.DataFrame]


class Cause(NamedTuple):
    """One cause of errors.

    Attributes:
        name: What went wrong.
        kinds: The error kinds that it gathers.
        finding: What the tables say about it, in a sentence.
        advice: What may help.
        words: The words of texts that it concerns.
    """

    name: str
    kinds: frozenset[str]
    finding: Callable[[Frames], str]
    advice: Callable[[Frames], str]
    words: Callable[[Frames], str] = lambda frames: ""


def causes(evaluation: Evaluation, frames: Frames) -> pd.DataFrame:
    """The causes that occur, by the F1 that they cost.

    Returns:
        Columns `cause`, `cases`, `f1_fixed`, `gain`, `finding`, `words`, `advice`; all
        but `words` are free of what stands in the texts.
    """
    mentions = frames["mentions"]
    gold, right = mentions["side"] == "gold", mentions["right"]
    counts = Counts(
        tp=int((gold & right).sum()), fp=int((~gold & ~right).sum()), fn=int((gold & ~right).sum())
    )
    rows = []
    for cause in CAUSES:
        alike = [case for found in evaluation.cases for case in found if case.kind in cause.kinds]
        if alike:
            mended = fixed(counts, alike).f1
            gain = mended - counts.f1
            said = cause.finding(frames), cause.words(frames), cause.advice(frames)
            rows.append((cause.name, len(alike), mended, gain, *said))
    columns = ["cause", "cases", "f1_fixed", "gain", "finding", "words", "advice"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("gain", ascending=False, kind="stable", ignore_index=True)


def _boundaries(frames: Frames) -> str:
    errors = frames["errors"].set_index("kind")["cases"]
    kinds = errors[errors.index.isin(BOUNDARY)].sort_values(ascending=False)
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds.head(3).items() if count) + "."


def _boundary_words(frames: Frames) -> str:
    told: list[str] = []
    for (change, edge), found in frames["boundary_words"].groupby(["change", "edge"], sort=False):
        often = found[found["count"] > 1]["word"].head(5)
        if len(often) and len(told) < 2:
            told.append(f"{change} at the {edge}: {', '.join(often)}")
    return f"Words most often {'; '.join(told)}." if told else ""


def _at_boundaries(frames: Frames) -> str:
    words, edges = frames["boundary_words"], frames["errors"]
    cases = edges[edges["kind"].isin(BOUNDARY)]["cases"].sum()
    is_sign = [not any(map(str.isalnum, word)) for word in words["word"]]
    signs = words["count"][is_sign].sum()
    if signs > cases / 4:
        return (
            "Many edges differ by a sign alone: compare decoding.snapping=words, paper and none, "
            "and decoding.inner."
        )
    return (
        "Read some of them: if the guideline takes such complements in, the model needs more "
        "examples or epochs; if gold itself is of two minds, it bounds every system."
    )


def _never_predicted(frames: Frames) -> str:
    """The labels that no prediction has, as a sentence."""
    table = frames["scores"]
    never = table[(table["gold"] > 0) & (table["predicted"] == 0)]["label"].tolist()
    return f"Never predicted: {', '.join(never)}. " if never else ""


def _missed(frames: Frames) -> str:
    return _never_predicted(frames) + _unseen(frames)


def _unseen(frames: Frames) -> str:
    gold = frames["mentions"]
    gold = gold[gold["side"] == "gold"]
    never = gold["seen"] == 0
    if not never.any():
        return "Nothing was predicted at these places."
    said = (
        f"{never.mean():.0%} of the gold mentions never stand in the training documents: "
        f"{gold['right'][never].mean():.0%} of these are found"
    )
    others = gold["right"][~never]
    return f"{said}, and {others.mean():.0%} of the others." if len(others) else f"{said}."


def _on_missed(frames: Frames) -> str:
    if _never_predicted(frames):
        return (
            "A model that never predicts a label is not trained enough: look at its losses first."
        )
    lengths = frames["strata"]
    lengths = lengths[(lengths["dimension"] == "words in mention") & (lengths["gold"] >= 20)]
    said = (
        "More training text with other terms helps most: all languages, sibling corpora, an "
        "encoder of the domain."
    )
    for row in lengths.sort_values("recall").head(1).to_dict("records"):
        words = "1 word" if row["group"] == "1" else f"{row['group']} words"
        said += f" Recall is lowest ({row['recall']:.0%}) for mentions of {words}."
    return said


def _spurious(frames: Frames) -> str:
    mentions = frames["mentions"]
    spurious = mentions[mentions["kind"] == "spurious"]
    known = spurious["seen"] > 0
    if not spurious["seen"].notna().any():
        return "Gold has nothing at these places."
    return f"{known.mean():.0%} of them are mentions in the training documents, word for word."


def _on_spurious(frames: Frames) -> str:
    curve = frames["thresholds"]
    hint = "Where many of them look right, gold may be incomplete: read them first."
    if curve.empty:
        return hint
    if curve["f1"].argmax() == 0:
        return f"{hint} A higher decoding.min_score would not raise F1 here."
    least = best_least(curve)
    return (
        f"{hint} decoding.min_score: F1 is highest here from {least} "
        f"({f1_from(frames['mentions'], least):.4f}); choose it on validation documents."
    )


def _several(frames: Frames) -> str:
    errors = frames["errors"].set_index("kind")["cases"]
    return (
        f"Gold mentions found in pieces: {errors['split']:,}; predictions over several: "
        f"{errors['merged']:,}."
    )


def _said(sentence: str) -> Callable[[Frames], str]:
    return lambda frames: sentence


CAUSES: tuple[Cause, ...] = (
    Cause("wrong boundaries", BOUNDARY, _boundaries, _at_boundaries, _boundary_words),
    Cause("missed", frozenset({"missed"}), _missed, _on_missed),
    Cause("spurious", frozenset({"spurious"}), _spurious, _on_spurious),
    Cause(
        "cut or joined",
        frozenset({"split", "merged"}),
        _several,
        _said(
            "Enumerations and complements: tagging.scheme=bioes tells neighbours apart; read "
            "whether gold cuts them in the same way everywhere."
        ),
    ),
    Cause(
        "another label",
        frozenset({"label"}),
        lambda frames: f"{_never_predicted(frames)}The place is right, the label is not.",
        _said("Read them: the guidelines of two labels may overlap."),
    ),
    Cause(
        "nested",
        frozenset({"nested"}),
        _said("Another mention at the place was found; flat tags hold only one."),
        _said("tagging.overlaps=longest or first chooses which of them is learned."),
    ),
    Cause(
        "repeated gold",
        frozenset({"repeated"}),
        _said("Gold has the same mention twice, and the official scorer counts both."),
        _said("Remove the repetition from the corpus, if it is yours."),
    ),
)
"""All causes; together they hold every kind once."""
