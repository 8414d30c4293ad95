"""Which documents of a corpus are trained on, validated on and tested on.

Validation comes from the release's own validation sets in the languages that have one, else from
cases taken out of the training sets; both, and the test sets, are restricted to the languages of
`evaluate_on` (Spanish by default, paper section 2.3). A fold, or a list of ids, is taken out of the
training sets in any case, and the release's validation sets are then not used at all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from multiclin.corpus.source import evaluation_languages
from multiclin.corpus.splits import (
    Header,
    Split,
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

    Raises:
        ConfigError: The fold is none of the folds, or both it and `ids` choose the validation.
    """

    share: float = 0.1
    seed: int = 13
    evaluate_on: str | Sequence[str] | None = None
    ids: Path | None = None
    keep_translations: bool = False
    fold: int | None = None
    folds: int = 5

    def __post_init__(self) -> None:
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
        entries: All documents with their roles.
        splitting: How to share them out.

    Returns:
        `train`, `validation` and `test`; documents of no use (other languages in validation and
        test sets, translations of validation cases) are in none.
    """
    spoken = sorted({entry.language for entry in entries})
    evaluated = evaluation_languages(splitting.evaluate_on, spoken)
    roles = [entry.split for entry in entries]
    headers = [Header(entry.id, entry.language, entry.case) for entry in entries]
    training = [header for header, role in zip(headers, roles, strict=True) if role == "train"]
    provided = {entry.language for entry in entries if entry.split == "validation"}
    split = split_training(training, splitting, evaluated, provided)
    chosen = {header.key for header in split.validation}
    aside = chosen | {header.key for header in split.unused}
    numbers: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for number, (header, role) in enumerate(zip(headers, roles, strict=True)):
        if role == "train":
            if header.key not in aside:
                numbers["train"].append(number)
            elif header.key in chosen:
                numbers["validation"].append(number)
        elif header.language in evaluated and (role == "test" or splitting.of_release):
            numbers[role].append(number)
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
