"""`multiclin corpus convert`: a corpus in one format becomes the same corpus in another.

The corpus is read twice: once for what it holds (labels, splits, which documents are gold for what;
every problem of its files comes here, before anything is written), once to be written, document by
document. Memory holds one document and the names of all. What the other format cannot hold, and
what a reader leaves out, goes into a ledger: a table of reasons and places on standard error, and
every single loss in a file on request.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TextIO

from multiclin.corpus import listing
from multiclin.corpus.exchange import Loss, Losses, Reading, Survey
from multiclin.corpus.formats import format_of
from multiclin.corpus.release import normalise_language
from multiclin.document import Document
from multiclin.errors import ConfigError, OutputError
from multiclin.files import atomic_write
from multiclin.tables import as_text, visible

DROPPED = "-"


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion wrote.

    Attributes:
        survey: What it holds, by the new labels.
        losses: What it does not.
    """

    survey: Survey
    losses: Losses


@dataclass(frozen=True, slots=True)
class Renaming:
    """New labels for old ones; `-` leaves the mentions of a label out.

    Attributes:
        labels: New label by old one; others stay.
    """

    labels: Mapping[str, str] = field(default_factory=dict)

    def check(self, survey: Survey) -> None:
        """Raise unless the corpus has every label that is to be renamed.

        Raises:
            ConfigError: It lacks one.
        """
        for label in self.labels:
            if label not in survey.labels:
                known = sorted(survey.labels)
                near = get_close_matches(label, known, n=1, cutoff=0)
                hint = f"; the nearest is {near[0]}" if near else ""
                raise ConfigError(
                    f"--map {label}={self.labels[label]}: no mention has this label; the corpus "
                    f"has {listing(known) or 'none'}{hint}"
                )

    def after(self, survey: Survey, *, says_gold: bool) -> Survey:
        """What the corpus holds under its new labels.

        Args:
            survey: What it holds under the old ones.
            says_gold: Whether its documents themselves tell what they are annotated for.
        """
        mentions: Counter[str] = Counter()
        for label, number in survey.mentions.items():
            mentions[self._new(label)] += number
        del mentions[DROPPED]
        gold = survey.annotated if says_gold else survey.labels
        return replace(survey, mentions=mentions, annotated=set(map(self._new, gold)) - {DROPPED})

    def _new(self, label: str) -> str:
        return self.labels.get(label, label)

    def renamed(self, document: Document, losses: Losses) -> Document:
        """The document under its new labels."""
        spans = []
        for span in document.spans:
            label = self._new(span.label)
            if label == DROPPED:
                losses.add(f"mention: label left out by --map {span.label}=-", document.id, span)
            else:
                spans.append(replace(span, label=label))
        annotated = frozenset(map(self._new, document.annotated)) - {DROPPED}
        return replace(document, spans=tuple(spans), annotated=annotated)


def convert(
    source: Path,
    target: Path,
    formats: tuple[str, str],
    *,
    reading: Reading | None = None,
    renaming: Renaming | None = None,
    sink: Callable[[Loss], object] | None = None,
) -> Conversion:
    """Write a corpus in another format.

    Args:
        source: A file or folder.
        target: A file or folder that does not exist yet; it appears whole or not at all.
        formats: Names of the formats, old and new.
        reading: Which documents, and how; its ledger and `annotated` are not looked at.
        renaming: New labels.
        sink: Gets every loss as it is met.

    Raises:
        OutputError: The target exists already or cannot be written, or cannot carry a label.
        CorpusError: Every problem of the files.
        ConfigError: A format, label, split or language is none.
    """
    old, new = format_of(formats[0], "--from"), format_of(formats[1], "--to")
    reading, renaming = reading or Reading(), renaming or Renaming()
    if target.exists():
        raise OutputError(f"{target} exists already; name another place or move it away")
    found = Survey.of(old.read(source, replace(reading, losses=Losses())))
    renaming.check(found)
    survey = renaming.after(found, says_gold="annotated" in old.holds)
    losses = Losses(sink)
    # Gold of a format that says nothing of it: every text that its annotators had before them.
    again = replace(reading, annotated=found.labels, losses=losses)
    documents = (
        (split, renaming.renamed(document, losses)) for split, document in old.read(source, again)
    )
    new.write(documents, target, survey, losses)
    return Conversion(survey, losses)


def run(options: argparse.Namespace) -> None:
    """Convert as the command line says; print what was written, and what was lost."""
    language = normalise_language(options.language)
    reading = Reading(options.texts, options.discontinuous, language, options.split)
    with ExitStack() as stack:
        sink = None
        if options.losses:
            stream = stack.enter_context(atomic_write(options.losses))
            sink = loss_writer(stream)
        done = convert(
            options.source,
            options.target,
            (options.old, options.new),
            reading=reading,
            renaming=Renaming(options.labels),
            sink=sink,
        )
    print(visible(said(done, options.target)))
    if done.losses.counts:
        print(as_text(done.losses.table()), file=sys.stderr)


def loss_writer(stream: TextIO) -> Callable[[Loss], object]:
    """Write the heading of a table of losses; return what writes a row."""
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    writer.writerow(("reason", "filename", "label", "start_span", "end_span", "times"))

    def write(loss: Loss) -> None:
        span = loss.span
        mention = (span.label, span.start, span.end) if span else ("", "", "")
        writer.writerow((loss.reason, loss.document, *mention, loss.times))

    return write


def said(done: Conversion, target: Path) -> str:
    """What was read and written, on one line.

    Example:
        read: 750 documents (test 150, train 600), 8,065 mentions (DISEASE 8,065); written: out
    """

    def listed(counts: Counter[str], kind: str) -> str:
        number = counts.total()
        named = ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items()) if name)
        return f"{number:,} {kind}{'' if number == 1 else 's'}{f' ({named})' if named else ''}"

    documents = listed(done.survey.documents, "document")
    mentions = listed(done.survey.mentions, "mention")
    whole = "" if done.losses.counts else "; nothing was lost"
    return f"read: {documents}, {mentions}; written: {target}{whole}"
