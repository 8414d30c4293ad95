"""What a run says of itself: tables for the console and the model card, official scores first.

Nothing of a document's text is shown. The page of a run is `analysis.report`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multiclin.bundle import Model
from multiclin.ceiling import REASONS, Ceiling
from multiclin.module import Scored
from multiclin.scoring.official import Score
from multiclin.tables import as_markdown, as_text, flat_rows, in_markdown


def score_rows(scored: Mapping[str, Sequence[Scored]]) -> list[list[str]]:
    """Official scores per split, label and language."""
    rows = [["split", "label", "language", "documents", "gold", "P", "R", "F1", "character F1"]]
    for split, documents in scored.items():
        groups: dict[tuple[str, str], list[Scored]] = {}
        for one in documents:
            for label in sorted(one.gold.annotated):
                for language in ("all", one.gold.language or "?"):
                    groups.setdefault((label, language), []).append(one)
        languages = {language for _, language in groups}
        for (label, language), members in sorted(groups.items()):
            if language == "all" or len(languages) > 2:
                total = Score.total(one.score_of(label) for one in members)
                rows.append([split, label, language, f"{len(members):,}", *_scores(total)])
    return rows


def _scores(total: Score) -> list[str]:
    strict = total.strict
    shares = (strict.precision, strict.recall, strict.f1, total.overlap.f1)
    return [f"{strict.tp + strict.fn:,}", *(f"{share:.4f}" for share in shares)]


def ceiling_rows(ceilings: Mapping[str, Mapping[str, Ceiling]]) -> list[list[str]]:
    """Gold that cannot be reached, by split, language and reason, and the best F1 left."""
    rows = [["split", "language", "gold", *REASONS, "cut by windows"]]
    rows[0] += ["F1 unsnapped", "best recall", "best F1"]
    for split, languages in ceilings.items():
        for language, one in sorted(languages.items()):
            lost = [f"{one.lost[reason]:,}" for reason in REASONS]
            shares = (one.raw.f1, one.snapped.recall, one.snapped.f1)
            best = [f"{share:.4f}" for share in shares]
            rows.append([split, language, f"{one.gold:,}", *lost, f"{one.split:,}", *best])
    return rows


def score_table(scored: Mapping[str, Sequence[Scored]]) -> str:
    """Official scores as a table for the console."""
    return as_text(score_rows(scored))


def ceiling_table(ceilings: Mapping[str, Mapping[str, Ceiling]]) -> str:
    """The recall ceiling as a table for the console."""
    return as_text(ceiling_rows(ceilings))


def model_card(model: Model) -> str:
    """The bundle's README.md."""
    about = model.about
    labels = in_markdown(", ".join(model.recipe.labels))
    scores = [["score", "value"]]
    scores += [[name, f"{value:.4f}"] for name, value in sorted(about.get("scores", {}).items())]
    measured = "Not scored yet."
    if len(scores) > 1:
        rule = "Strict micro-F1 by the official rule of MultiClinNER."
        measured = f"{rule}\n\n{as_markdown(scores)}"
    facts = [["fact", "value"], *flat_rows({k: v for k, v in about.items() if k != "scores"})]
    return (
        f"# {labels} in clinical text\n\n"
        "A token-classification model made with multiclin. It marks mentions of "
        f"{labels} with character offsets.\n\n"
        "    python predict.py ckpt=THIS_FOLDER input=TEXTS output=PREDICTIONS\n\n"
        f"## Scores\n\n{measured}\n\n## Made from\n\n{as_markdown(facts)}\n\n"
        "## Limits\n\nFor research. Not a medical device: every mention needs a human reader "
        "before it decides anything about a patient. Texts of other languages or kinds than those "
        "named above will be read worse.\n"
    )
