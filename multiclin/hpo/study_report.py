"""`report.html`: a search on one page.

Nothing in it comes from a document, so it can leave the hospital. (Issue 3.)
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from optuna import Study
from optuna.trial import FrozenTrial

from multiclin.figures import STYLE, as_section, script
from multiclin.hpo.study_figures import sections
from multiclin.hpo.summary import (
    Confirmed,
    best_rows,
    best_trial,
    count_line,
    failures,
    saved_by_pruning,
)
from multiclin.hpo.tuned import train_command
from multiclin.pages import write_page
from multiclin.tables import as_html

_STYLE = """
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.5rem; margin: 0 }
dt { color: var(--soft) } dd { margin: 0; min-width: 0; overflow-wrap: anywhere }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0 } dd { margin-bottom: .5rem } }
"""


def write_report(study: Study, path: Path, confirmed: Sequence[Confirmed] = ()) -> None:
    """Write the page of a study; an older one is replaced.

    Args:
        study: A study with one objective, and any number of trials in any state.
        path: The file. `best.yaml` is expected beside it.
        confirmed: Trials trained again over several seeds.

    Raises:
        OutputError: It cannot be written.
    """
    objective = str(study.user_attrs.get("objective", "objective"))
    rows = best_rows(study, confirmed=confirmed)
    body = [_facts(study, path, confirmed), "<h2>Best trials</h2>"]
    rows[0] = [heading.replace("_", " ") for heading in rows[0]]  # Which may break into lines.
    body += [as_html(rows) if rows[1:] else "<p>No trial is complete.</p>"]
    if lines := failures(study):
        items = "".join(f"<li>{escape(line)}</li>" for line in lines)
        body += [f"<h2>Failures</h2><ul>{items}</ul>"]
    body += [as_section(section) for section in sections(study, objective)]
    title = f"Search: {study.study_name}"
    write_page(path, title, "".join(body), style=STYLE + _STYLE, script=script())


def _facts(study: Study, path: Path, confirmed: Sequence[Confirmed]) -> str:
    """What the search was, as a list of terms; values are escaped here."""
    objective = str(study.user_attrs.get("objective", "objective"))
    facts = {"objective": f"{objective}, {study.direction.name.lower()}d"}
    if best := best_trial(study, confirmed):
        facts["best value"] = f"{best.value:.4f} (trial {best.number})"
        again = next((one for one in confirmed if one.trial == best.number and one.scores), None)
        if again:
            facts["trained again"] = f"{again} over seeds {', '.join(map(str, again.scores))}"
    facts["trials"] = count_line(study)
    done, unpruned = saved_by_pruning(study)
    if done < unpruned:
        share = 1 - done / unpruned
        facts["pruning"] = f"saved {share:.0%} of the epochs ({done:.1f} of {unpruned:.1f} done)"
    facts["time in trials"] = _duration(sum(map(_seconds, study.get_trials(deepcopy=False))))
    codes = {"found by": str(study.user_attrs.get("command", ""))}
    if best:
        codes["train with it"] = train_command(study, path.with_name("best.yaml"))
    items = {term: escape(value) for term, value in facts.items()}
    items |= {term: f"<code>{escape(value)}</code>" for term, value in codes.items() if value}
    return (
        f"<dl>{''.join(f'<dt>{term}</dt><dd>{value}</dd>' for term, value in items.items())}</dl>"
    )


def _seconds(trial: FrozenTrial) -> float:
    """Time of training, or of the whole trial where that is not known."""
    if (known := trial.user_attrs.get("seconds")) is not None:
        return float(known)
    return trial.duration.total_seconds() if trial.duration else 0.0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
