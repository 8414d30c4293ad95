"""Which documents of a corpus are trained on, validated on and tested on.

Validation comes from the release's own validation sets in the languages that have one, else from
cases taken out of the training sets; both, and the test sets, are restricted to the languages of
`evaluate_on` (Spanish by default, paper section 2.3). A fold, or a list of ids, is taken out of the
training sets in any case, and the release's validation sets are then not used at all. A fraction is
taken of what is left to train on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from multiclin.corpus.replay import REPLAYED
from multiclin.corpus.source import ROLES, evaluation_languages
from multiclin.corpus.splits import (
    Header,
    Split,
    first_cases,
    folds,
    read_keys,
    split_cases,
    split_listed,
)
from multiclin.errors import ConfigError
from multiclin.store import Entry


@dataclass(frozen=True, slots=True)
class Splitting:
    """How documents are shared out to training, validation and test.

    Attributes:
        share: Share of the training cases of a language that become validation where the corpus
            has no validation set in it; 0 trains on everything.
        seed: Seed of that choice.
        evaluate_on: Languages to validate and test on; None: Spanish where there is some, else
            all.
        ids: File of document ids, one per line, that are the validation instead.
        keep_translations: Whether other-language versions of validation cases are trained on.
        fold: Which fold of the training cases is the validation instead, from 0; None: a share.
        folds: Number of folds.
        fraction: Share of the training cases of each language to train on, and the seed that
            chooses them (`first_cases`); None: all.
        replayed_on: As `evaluate_on`, of an older corpus that is replayed.

    Raises:
        ConfigError: The fold is none of the folds, both it and `ids` choose the validation, or the
            fraction is none.
    """

    share: float = 0.1
    seed: int = 13
    evaluate_on: str | Sequence[str] | None = None
    ids: Path | None = None
    keep_translations: bool = False
    fold: int | None = None
    folds: int = 5
    fraction: tuple[float, int] | None = None
    replayed_on: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.fraction is not None and not 0 < self.fraction[0] <= 1:
            raise ConfigError(f"data.fraction={self.fraction[0]} must be above 0 and at most 1")
        if self.fold is None:
            return
        if self.ids is not None:
            raise ConfigError(
                f"fold={self.fold} and data.validation.ids={self.ids} both choose the validation "
                "documents; give one of them"
            )
        if not 0 <= self.fold < self.folds:
            raise ConfigError(
                f"fold={self.fold} is none of the {self.folds} folds; give a number from 0 to "
                f"{self.folds - 1}, or more folds with data.validation.folds"
            )

    @property
    def of_release(self) -> bool:
        """Whether validation sets of the release are the validation, where there are some."""
        return self.ids is None and self.fold is None


def share_out(entries: Sequence[Entry], splitting: Splitting) -> dict[str, list[int]]:
    """Numbers of the documents to train, validate and test on.

    Args:
        entries: All documents with their roles; replayed ones have none here.
        splitting: How to share them out.

    Returns:
        `train`, `validation` and `test`; documents of no use (other languages in validation and
        test sets, translations of validation cases) are in none.
    """
    numbers = _shared({n: one for n, one in enumerate(entries) if one.split in ROLES}, splitting)
    if splitting.fraction is not None:
        headers = {number: _header(entries[number]) for number in numbers["train"]}
        kept = first_cases(headers.values(), *splitting.fraction)
        numbers["train"] = [n for n, one in headers.items() if (one.language, one.case) in kept]
    return numbers


def share_out_replayed(entries: Sequence[Entry], splitting: Splitting) -> dict[str, list[int]]:
    """Numbers of the documents of an older corpus to replay, and to see what was forgotten.

    They are what an ordinary training on that corpus trains and tests on; where it has no test set
    its validation shows what was forgotten.

    Returns:
        `train` and `test`, both empty where no document is replayed.
    """
    older = {
        number: entry._replace(split=entry.split.removeprefix(REPLAYED))
        for number, entry in enumerate(entries)
        if entry.split.startswith(REPLAYED)
    }
    if not older:
        return {"train": [], "test": []}
    asked = evaluation_languages(
        splitting.replayed_on,
        sorted({entry.language for entry in older.values()}),
        "data.replay.evaluate_on",
    )
    numbers = _shared(older, replace(splitting, evaluate_on=asked, ids=None, fold=None))
    return {"train": numbers["train"], "test": numbers["test"] or numbers["validation"]}


def _header(entry: Entry) -> Header:
    return Header(entry.id, entry.language, entry.case)


def _shared(entries: Mapping[int, Entry], splitting: Splitting) -> dict[str, list[int]]:
    """Numbers of documents, by what they are for."""
    spoken = sorted({entry.language for entry in entries.values()})
    evaluated = evaluation_languages(splitting.evaluate_on, spoken)
    training = [_header(entry) for entry in entries.values() if entry.split == "train"]
    provided = {entry.language for entry in entries.values() if entry.split == "validation"}
    split = split_training(training, splitting, evaluated, provided)
    chosen = {header.key for header in split.validation}
    aside = chosen | {header.key for header in split.unused}
    numbers: dict[str, list[int]] = {role: [] for role in ROLES}
    for number, entry in entries.items():
        key = _header(entry).key
        if entry.split == "train":
            if key not in aside:
                numbers["train"].append(number)
            elif key in chosen:
                numbers["validation"].append(number)
        elif entry.language in evaluated and (entry.split == "test" or splitting.of_release):
            numbers[entry.split].append(number)
    return numbers


def split_training(
    training: Sequence[Header],
    splitting: Splitting,
    evaluated: Sequence[str],
    provided: Collection[str],
) -> Split:
    """Take the validation out of the training documents: listed ones, a fold, or a share.

    Args:
        training: The training documents.
        splitting: How to share them out.
        evaluated: Languages to validate on.
        provided: Those that the release has validation sets in; a share leaves them alone.
    """
    keep = splitting.keep_translations
    trained = {header.language for header in training}
    languages = [code for code in evaluated if code in trained]
    if splitting.ids is not None:
        listed = read_keys(splitting.ids, training)
        return split_listed(training, listed, keep_translations=keep)
    if splitting.fold is None:
        return split_cases(
            training,
            share=splitting.share,
            seed=splitting.seed,
            languages=[code for code in languages if code not in provided],
            keep_translations=keep,
        )
    if not languages:
        raise ConfigError(
            f"fold={splitting.fold}: no training documents in {', '.join(evaluated)}, to be cut "
            "into folds; data.validation.evaluate_on chooses the languages"
        )
    return folds(
        training,
        splitting.folds,
        seed=splitting.seed,
        languages=languages,
        keep_translations=keep,
    )[splitting.fold]
