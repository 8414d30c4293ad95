"""What stands in a corpus, as DataFrames: `corpus_frames(sets)`, and the figures of them.

All tables are counted from two, documents and mentions, so they cannot disagree. A text that has a
version for each entity counts once in each of these sets (FACTS 2), so lengths are told by entity.
They hold every mention in memory: the 2,250 documents of TEMIST take 2 s and 5 MB.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import plotly.graph_objects as go  # type: ignore[import-untyped]

from multiclin.analysis.evaluation import folded
from multiclin.corpus import one_line
from multiclin.corpus.release import CorpusSet, read_sets
from multiclin.corpus.source import role_of
from multiclin.figures import BLUE, GREEN, GREY, ORANGE, RED, Figure, dressed
from multiclin.words import word_spans

SET = ["language", "split", "entity"]
DOCUMENTS = {
    **dict.fromkeys([*SET, "document"], "str"),
    **dict.fromkeys(["characters", "words"], "int64"),
    "mentions": "Int64",
}
MENTIONS = {
    **dict.fromkeys([*SET, "document"], "str"),
    **dict.fromkeys(["start", "end"], "int64"),
    "mention": "str",
    "words": "int64",
}
LONGEST = 8
"""Words from which on mentions are drawn together."""

_COLORS = (BLUE, ORANGE, GREEN, RED, GREY)


def corpus_frames(sets: Iterable[CorpusSet]) -> dict[str, pd.DataFrame]:
    """Read sets of a corpus, and count what is in them.

    * `sets`: documents, words, mentions, how many of these are `distinct`, and how many `unseen`:
      in no training set of their entity, of whatever language.
    * `lengths`: words per document and per mention (`of`), by entity and language: how many of
      them there are, the mean, and the quartiles from the least to the most.
    * `frequent`: the mentions of each entity and language, the most frequent first, and how many
      documents have them.
    * `documents`, `mentions`: every one.

    Mentions are the same if they differ in nothing but case and white space. Where there is no
    gold, numbers of mentions are missing, not zero; `unseen` is missing for training sets, and
    where there are none.

    Args:
        sets: For example `find_sets(root)`, or some of them (`release.select`).

    Returns:
        Each name once; a table without rows keeps its columns. Offsets and `characters` are in
        characters.

    Raises:
        CorpusError: Every problem of all sets together.

    Example:
        Training holds the mentions `tos`, `Tos` and `asma`, test `tos` and `gripe`. `sets`:
        3 mentions, 2 distinct; 2 mentions, 2 distinct, 1 unseen.
    """
    documents, mentions = [], []
    for one, document in read_sets(sets):
        place, text = (one.language, one.split, one.entity, document.id), document.text
        number = len(document.spans) if one.has_gold else None
        documents.append((*place, len(text), len(word_spans(text)), number))
        for span in document.spans:
            mention = one_line(text[span.start : span.end])
            mentions.append((*place, span.start, span.end, mention, len(word_spans(mention))))
    tables = {
        "documents": pd.DataFrame(documents, columns=list(DOCUMENTS)).astype(DOCUMENTS),
        "mentions": pd.DataFrame(mentions, columns=list(MENTIONS)).astype(MENTIONS),
    }
    return {
        "sets": set_table(**tables),
        "lengths": length_table(**tables),
        "frequent": frequent(tables["mentions"]),
        **tables,
    }


def set_table(documents: pd.DataFrame, mentions: pd.DataFrame) -> pd.DataFrame:
    """Sizes of the sets, in the order of languages, splits and entities."""
    by_set = documents.groupby(SET)
    table = by_set.agg(documents=("document", "size"), words=("words", "sum"))
    table["mentions"] = by_set["mentions"].sum(min_count=1)  # Of no numbers there is no sum.
    named = mentions.assign(mention=mentions["mention"].map(folded))
    training = named[named["split"].map(role_of) == "train"]
    seen = set(zip(training["entity"], training["mention"], strict=True))
    pairs = zip(named["entity"], named["mention"], strict=True)
    named["unseen"] = [pair not in seen for pair in pairs]
    found = named.groupby(SET).agg(distinct=("mention", "nunique"), unseen=("unseen", "sum"))
    found = found.reindex(table.index, fill_value=0).astype("Int64")
    table = table.join(found.where(table["mentions"].notna())).reset_index()
    compared = table["entity"].isin(training["entity"]) & (table["split"].map(role_of) != "train")
    table["unseen"] = table["unseen"].where(compared)
    return table


def length_table(documents: pd.DataFrame, mentions: pd.DataFrame) -> pd.DataFrame:
    """Words per document and per mention."""
    words = pd.concat({"document": documents, "mention": mentions}, names=["of"])
    found = words.groupby(["of", "entity", "language"])["words"].agg(
        count="size",
        mean="mean",
        min="min",
        q1=lambda each: each.quantile(0.25),
        median="median",
        q3=lambda each: each.quantile(0.75),
        max="max",
    )
    return found.reset_index()


def frequent(mentions: pd.DataFrame) -> pd.DataFrame:
    """Different mentions with how often they are there, and in how many documents."""
    named = mentions.assign(mention=mentions["mention"].map(folded))
    found = named.groupby(["entity", "language", "mention"])["document"]
    table = found.agg(count="size", documents="nunique").reset_index()
    return table.sort_values(
        ["entity", "language", "count", "mention"],
        ascending=[True, True, False, True],
        ignore_index=True,
    )


def mention_numbers(sets: pd.DataFrame) -> Figure:
    """How many mentions there are of each entity, by language, all splits together."""
    table = sets.groupby(["entity", "language"])["mentions"].sum().reset_index()
    bars = [
        go.Bar(
            x=part["language"],
            y=part["mentions"],
            name=str(entity),
            hovertemplate=f"%{{x}}: %{{y:,}} mentions of {entity}<extra></extra>",
        )
        for entity, part in table.groupby("entity")
    ]
    return _by_entity(bars, yaxis_title="mentions")


def document_lengths(lengths: pd.DataFrame) -> Figure:
    """Words per document: least, quartiles and most, by language and entity."""
    table = lengths[lengths["of"] == "document"]
    boxes = [
        go.Box(
            x=part["language"],
            lowerfence=part["min"],
            q1=part["q1"],
            median=part["median"],
            q3=part["q3"],
            upperfence=part["max"],
            name=str(entity),
        )
        for entity, part in table.groupby("entity")
    ]
    return _by_entity(boxes, yaxis={"title": "words per document", "rangemode": "tozero"})


def mention_lengths(mentions: pd.DataFrame) -> Figure:
    """Which share of the mentions of each entity has one word, two, and so on."""
    longest = f"{LONGEST} or more"
    words = mentions["words"].astype("str").mask(mentions["words"] >= LONGEST, longest)
    shares = words.groupby(mentions["entity"]).value_counts(normalize=True)
    bars = [
        go.Bar(
            x=part.index.get_level_values("words"),
            y=part,
            name=str(entity),
            hovertemplate=f"%{{y:.1%}} of {entity}: %{{x}} words<extra></extra>",
        )
        for entity, part in shares.groupby("entity")
    ]
    order = {"type": "category", "categoryorder": "category ascending"}
    figure = _by_entity(bars, yaxis={"title": "share of mentions", "tickformat": ".0%"})
    return figure.update_layout(xaxis={"title": "words per mention", **order})


def _by_entity(traces: list[go.Bar | go.Box], **layout: object) -> Figure:
    """A figure with a trace for each entity, in colours that begin anew after the last."""
    figure = dressed(go.Figure(traces), height=320)
    figure.update_layout(barmode="group", boxmode="group", colorway=_COLORS, showlegend=True)
    return figure.update_layout(**layout)
