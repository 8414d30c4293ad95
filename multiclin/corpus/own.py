"""A user's own corpus, in any format of `formats`, as training sees it.

Splits are told by the names of files or folders (`train`, `dev`, `test`); a corpus without such
names is all `train`, and validation is a share of it. Labels are any: those asked for, or all that
the corpus has. A document without gold (a text without `.ann`) is left out; one with gold is
annotated for every label, unless the corpus itself says for which (JSONL, BioC). The price of
knowing labels, splits and languages before the first document is one more reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from multiclin.corpus import ReadReport, listing
from multiclin.corpus.exchange import Losses, Reading, Survey
from multiclin.corpus.formats import Format, format_of
from multiclin.corpus.release import CorpusSet, normalise_language
from multiclin.corpus.source import ROLES, Corpus, role_of
from multiclin.corpus.texts import UNKNOWN, files_of, folders_of
from multiclin.document import Document
from multiclin.errors import ConfigError, CorpusError, Problem
from multiclin.files import opened
from multiclin.tables import as_text

_ALSO_READ: Final = (".ann", ".json", ".txt")
_ALL: Final = "all"  # The split of a corpus without splits, in tables.


class _Found(NamedTuple):
    """What the first reading told."""

    survey: Survey
    losses: Losses


@dataclass(frozen=True)
class OwnCorpus(Corpus):
    """A corpus of one format.

    Attributes:
        format: A name in `FORMATS`.
        language: Of the documents, where their files do not tell it; `unknown` where it is empty.
        texts: Folder of the texts, where they do not lie beside the mentions.
    """

    format: str = "brat"
    language: str = ""
    texts: Path | None = None

    @cached_property
    def sets(self) -> list[CorpusSet]:
        """One per split and language in use, those to train on first; `root` is their folder.

        Raises:
            CorpusError: A file is wrong, or there is nothing to train on.
            ConfigError: A label or a language is not there.
        """
        found = self._found.survey
        for label in self.labels.values():
            if label not in found.labels:
                known = listing(f"{one} {n:,}" for one, n in sorted(found.mentions.items()))
                raise ConfigError(
                    f"entity.labels: no mention in {self.root} has the label {label}; found: "
                    f"{known or 'none'}. entity=all takes every label, "
                    "entity=custom entity.labels=[A,B] those that you name"
                )
        if not any(_role(split) == "train" for split in found.documents):
            listed = ", ".join(sorted(found.documents)) or "none"
            raise CorpusError(f"data.root={self.root}: nothing to train on; its splits: {listed}")
        order = list(ROLES)
        used = filter(_role, sorted(found.documents))
        splits = sorted(used, key=lambda split: order.index(_role(split)))
        return [self._set(split, code) for split in splits for code in self.spoken]

    def _set(self, split: str, language: str) -> CorpusSet:
        labels = sorted(self.labels.values())
        said = "+".join(labels) if len(labels) < 4 else f"{len(labels)} labels"
        return CorpusSet(language, split or _ALL, said, self.root, "ann")

    @cached_property
    def digest(self) -> str:
        """A hash over names and contents of all files that may be read, and over how they are."""
        _ = self.stamps
        total = blake2b(repr((self.format, self.language, self._asked)).encode(), digest_size=16)
        for name, path in self._files():
            try:
                said = f"{len(name)} {name} {path.stat().st_size} "
                total.update(said.encode("utf-8", "surrogateescape"))
                with opened(path) as stream:
                    while chunk := stream.read(1 << 20):
                        total.update(chunk)
            except OSError as error:
                problem = Problem(path, 0, f"cannot be read: {error.strerror}")
                raise CorpusError([problem]) from error
        return total.hexdigest()

    def files(self) -> Iterator[Path]:
        """Every file that may be read."""
        return (path for _, path in self._files())

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Every file with its name below its root, in a fixed order."""
        suffixes = sorted({*self._layout.files, *_ALSO_READ})
        for root in filter(None, (self.root, self.texts)):
            if root.is_file():
                yield "", root
                continue
            folders = folders_of(root) if root.is_dir() else ()
            found = (file for place in folders for end in suffixes for file in files_of(place, end))
            yield from sorted((file.relative_to(root).as_posix(), file) for file in found)

    @property
    def spoken(self) -> list[str]:
        """Languages of the documents in use."""
        found = sorted(self._found.survey.languages)
        if self._asked == ["all"]:
            return found
        if missing := sorted(set(self._asked) - set(found)):
            raise ConfigError(
                f"languages={','.join(self._asked)}: the corpus has no {listing(missing)}, only "
                f"{listing(found)}; data.language= says it where its files do not"
            )
        return self._asked

    def documents(self) -> Iterator[tuple[str, Document]]:
        """Role and document, in an order that only the files decide.

        Raises:
            CorpusError: Every problem of all files.
            ConfigError: As `sets`.
        """
        self.reports.clear()
        survey, says_gold = self._found.survey, "annotated" in self._layout.holds
        sets = {(one.split, one.language): one for one in self.sets}
        for split in dict.fromkeys(one.split for one in self.sets):
            how = Reading(split="" if split == _ALL else split, annotated=survey.labels)
            for _, document in self._read(how):
                one = sets.get((split, document.language))
                gold = survey.gold_of(document) if says_gold else document.annotated
                gold &= frozenset(self.labels.values())
                if one and gold:
                    report = self.reports.setdefault(one, ReadReport())
                    yield _role(one.split), _restricted(document, gold, report)

    def overview(self) -> str:
        """A table of what was read, and one of what was not."""
        table = self._found.losses.table()
        return "\n".join([super().overview(), *([as_text(table)] if len(table) > 1 else [])])

    def with_every_label(self) -> OwnCorpus:
        """The same corpus with all labels that it has."""
        return self._with({label: label for label in sorted(self._found.survey.labels)})

    def with_known_labels(self) -> OwnCorpus:
        """The same corpus with those of its labels that it has, perhaps none."""
        labels = {
            entity: label
            for entity, label in self.labels.items()
            if label in self._found.survey.labels
        }
        return self._with(labels)

    def _with(self, labels: Mapping[str, str]) -> OwnCorpus:
        """The same corpus with other labels, not read anew."""
        other = replace(self, labels=labels)
        other.__dict__["_found"] = self._found
        return other

    @cached_property
    def _found(self) -> _Found:
        losses = Losses()
        return _Found(Survey.of(self._read(Reading(losses=losses))), losses)

    def _read(self, how: Reading) -> Iterator[tuple[str, Document]]:
        how = replace(how, texts=self.texts, discontinuous=self.discontinuous)
        default = normalise_language(self.language) or UNKNOWN
        for split, document in self._layout.read(self.root, how):
            yield split, replace(document, language=document.language or default)

    @property
    def _layout(self) -> Format:
        return format_of(self.format, "data.format")

    @property
    def _asked(self) -> list[str]:
        asked = [self.languages] if isinstance(self.languages, str) else self.languages
        return sorted(map(normalise_language, asked))


def _role(split: str) -> str:
    return role_of(split) if split not in ("", _ALL) else "train"


def _restricted(document: Document, gold: frozenset[str], report: ReadReport) -> Document:
    """The document with its mentions of these labels; the report gets the counts."""
    spans = tuple(span for span in document.spans if span.label in gold)
    report.documents += 1
    report.mentions += len(spans)
    report.duplicates += len(spans) - len(set(spans))
    others = (span.label for span in document.spans if span.label not in gold)
    report.ignored_labels.update(others)
    return replace(document, spans=spans, annotated=gold)
