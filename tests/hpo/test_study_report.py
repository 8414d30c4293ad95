"""The page of a search."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from optuna import Study
from optuna.trial import TrialState

from multiclin.figures import Section
from multiclin.hpo.study_figures import sections
from multiclin.hpo.study_report import write_report
from multiclin.hpo.summary import Confirmed
from tests.hpo.studies import paper_study, study_of, trial

COMPLETE = TrialState.COMPLETE
RATE = "optim.learning_rate"
TOO_FEW = "Fewer than two trials are complete, so there is nothing to compare."


def page_of(study: Study, folder: Path, **arguments: Any) -> str:  # noqa: ANN401
    """The page without plotly.js, which is the only long script."""
    path = folder / "report.html"
    write_report(study, path, **arguments)
    page = path.read_text("utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert sum(len(script) > 1_000_000 for script in scripts) == 1, "plotly.js, once"
    return page.replace(max(scripts, key=len), "")


def figures_of(study: Study) -> dict[str, Section]:
    return {section.title: section for section in sections(study, "val/seqeval_f1")}


@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_a_study_of_any_size_has_its_page(tmp_path: Path, count: int) -> None:
    page = page_of(paper_study(count), tmp_path)
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles[-6:] == [
        "History",
        "Validations",
        "Parallel coordinates",
        "Importances",
        "Slices",
        "Timeline",
    ]
    assert not re.search(r"\b(NaN|Infinity|nan)\b", page)
    # Six slices and one of each other kind; a study of one trial has nothing to compare.
    assert page.count("Plotly.newPlot(") == {0: 0, 1: 3, 2: 11, 20: 11}[count]


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    page = page_of(paper_study(20), tmp_path)
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
    assert not re.search(r"<(link|img|iframe)|\ssrc=", page)


def test_the_page_says_what_was_found(tmp_path: Path) -> None:
    study = study_of(
        trial(COMPLETE, 0.5, epochs={4: 0.5}, seconds=3725.0),
        trial(COMPLETE, 0.61239, epochs={4: 0.6}, seconds=0.0),
        trial(TrialState.PRUNED, 0.1, epochs={1: 0.1}, seconds=0.0),
        trial(TrialState.FAIL, reason="<NaN> in the loss", seconds=0.0),
        max_epochs=4,
    )
    page = page_of(study, tmp_path, confirmed=[Confirmed(1, {13: 0.5, 14: 0.5})])
    assert "<dd>val/seqeval_f1, maximized</dd>" in page
    assert "<dd>0.6124 (trial 1)</dd>" in page
    assert "<dd>0.5000 ± 0.0000 over seeds 13, 14</dd>" in page
    assert "<dd>3 finished: 2 complete, 1 pruned; 1 failed</dd>" in page
    assert "saved 25% of the epochs (9.0 of 12.0 done)" in page
    assert "<dd>1 h 2 min</dd>" in page
    assert f"entity=disease tuned={tmp_path / 'best.yaml'}</code>" in page
    assert "<li>trial 3: &lt;NaN&gt; in the loss</li>" in page


def test_pruned_trials_are_marked_and_the_axis_counts_epochs() -> None:
    study = study_of(
        trial(COMPLETE, 0.5, epochs={0.5: 0.3, 1: 0.5}),
        trial(TrialState.PRUNED, 0.2, epochs={0.5: 0.2}),
        trial(TrialState.PRUNED, 0.1, epochs={0.5: 0.1}),
    )
    (figure,) = figures_of(study)["Validations"].figures
    assert [tuple(line.x) for line in figure.data] == [(0.5, 1.0), (0.5,), (0.5,)]
    assert [line.line.dash for line in figure.data] == ["solid", "dot", "dot"]
    assert [line.name for line in figure.data if line.showlegend] == ["complete", "pruned"]
    assert "trial 1, pruned" in figure.data[1].hovertemplate


def test_parameters_have_short_names_and_the_learning_rate_a_log_axis() -> None:
    found = figures_of(paper_study(20))
    axes = {one.layout.xaxis.title.text: one.layout.xaxis for one in found["Slices"].figures}
    names = ["learning rate", "weight decay", "warmup ratio", "batch size", "max epochs"]
    assert list(axes) == [*names, "accumulate grad batches"]
    assert axes["learning rate"].type == "log"
    (bars,) = found["Importances"].figures[0].data
    assert sorted(bars.y) == sorted(axes)


def test_the_best_trial_is_the_bluest_line_also_where_small_is_good() -> None:
    values = (0.2, 0.1, 0.3)
    trials = [trial(COMPLETE, value, {RATE: value / 1000}) for value in values]
    (figure,) = figures_of(study_of(*trials, direction="minimize"))["Parallel coordinates"].figures
    widest = max(figure.data, key=lambda line: line.line.width)
    assert widest.y[0] == 0.0  # The lowest point of the first axis, the objective.


@pytest.mark.parametrize(
    ("study", "reason"),
    [
        (study_of(), TOO_FEW),
        (study_of(trial(COMPLETE, 0.5, {RATE: 1e-5}), trial(TrialState.PRUNED, 0.4)), TOO_FEW),
        (
            study_of(*(trial(COMPLETE, 0.5, {RATE: rate}) for rate in (1e-5, 1e-4))),
            "All complete trials have the same value: nothing to explain.",
        ),
        (
            study_of(*(trial(COMPLETE, value, {RATE: 1e-5}) for value in (0.5, 0.6))),
            "No parameter varies between the complete trials.",
        ),
        (
            study_of(trial(COMPLETE, 0.5), trial(COMPLETE, 0.6, {RATE: 1e-5})),
            "No parameter is common to all complete trials.",
        ),
    ],
    ids=["none", "one", "same value", "same parameters", "nothing in common"],
)
def test_importances_that_cannot_be_told_are_a_sentence(study: Study, reason: str) -> None:
    found = figures_of(study)["Importances"]
    assert (found.about, found.figures) == (reason, [])


def test_trials_of_every_state_and_values_that_are_no_number_are_drawn(tmp_path: Path) -> None:
    study = study_of(
        trial(TrialState.FAIL),
        trial(COMPLETE, float("inf"), {"model": "mrbert_es"}, {1: float("nan")}),
        trial(COMPLETE, 0.5, {"model": "mrbert_biomed"}, {1: 0.5}),
        trial(COMPLETE, 0.6, {"model": "mrbert_es"}, {1: 0.6}),
        trial(TrialState.RUNNING, params={"model": "mrbert_es"}, epochs={0.5: 0.1}),
        trial(TrialState.WAITING),
        direction="minimize",
    )
    page = page_of(study, tmp_path)
    assert not re.search(r"\b(NaN|Infinity|nan)\b", page)
    (figure,) = figures_of(study)["Timeline"].figures
    assert Counter({bars.name: len(bars.y) for bars in figure.data}) == (
        {"failed": 1, "complete": 3, "running": 1, "waiting": 1}
    )


def test_the_study_itself_is_left_as_it_was() -> None:
    study = paper_study(3)
    before = json.dumps([one.params | one.user_attrs for one in study.trials])
    list(sections(study, "F1"))
    assert json.dumps([one.params | one.user_attrs for one in study.trials]) == before
