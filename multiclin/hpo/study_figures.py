"""The figures of a search: optuna.visualization, dressed for a page that is light or dark.

Optuna draws; what is changed here is what its users stumble over: dotted names of parameters,
steps instead of epochs, pruned trials that look like all others. Where a figure would say nothing,
a sentence stands in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

import optuna
from optuna import Study
from optuna.distributions import IntDistribution
from optuna.importance import FanovaImportanceEvaluator
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import (
    plot_intermediate_values,
    plot_optimization_history,
    plot_parallel_coordinate,
    plot_param_importances,
    plot_slice,
    plot_timeline,
)
from plotly.colors import sample_colorscale  # type: ignore[import-untyped]

from multiclin.figures import BLUE, GREEN, GREY, ORANGE, RED, Section, dressed, whole_axis
from multiclin.hpo.study import EPOCH
from multiclin.hpo.summary import headings, parameter_names

COLOR_SCALE = [[0.0, "#b0b0b0"], [1.0, BLUE]]
STATE_COLORS = {"complete": BLUE, "pruned": GREY, "failed": RED, "running": GREEN, "waiting": GREY}


def sections(study: Study, objective: str) -> Iterator[Section]:
    """All figures of a study, in the order of the page.

    Args:
        study: A study with one objective and any number of trials.
        objective: Its name, for the axes.
    """
    study = _readable(study)
    yield _history(study, objective)
    yield _intermediate(study, objective)
    yield _parallel(study, objective)
    yield _importances(study, objective)
    yield _slices(study, objective)
    yield _timeline(study)


def _readable(study: Study) -> Study:
    """A copy in memory with short names of parameters and without user attributes."""
    trials = study.get_trials()
    names = {
        name: short.replace("_", " ") for name, short in headings(parameter_names(trials)).items()
    }
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # It would announce a new study.
    try:
        copy = optuna.create_study(direction=study.direction)
    finally:
        optuna.logging.set_verbosity(verbosity)
    for trial in trials:
        # In this order: the parameters are checked against the distributions.
        spaces = {names[name]: space for name, space in trial.distributions.items()}
        values = {names[name]: value for name, value in trial.params.items()}
        trial.distributions, trial.params, trial.user_attrs = spaces, values, {}
    copy.add_trials(trials)
    return copy


def _complete(study: Study) -> list[FrozenTrial]:
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial for trial in trials if trial.value is not None and isfinite(trial.value)]


def _history(study: Study, objective: str) -> Section:
    title = "History"
    if not _complete(study):
        return Section(title, "No trial is complete.", [])
    figure = dressed(plot_optimization_history(study, target_name=objective))
    values, best, *_ = figure.data
    values.update(name="complete trial", marker={"color": BLUE, "size": 8})
    best.update(name="best so far", line={"color": ORANGE, "shape": "hv"})
    values.hovertemplate = "trial %{x}: %{y:.4f}<extra></extra>"
    best.hovertemplate = "best until trial %{x}: %{y:.4f}<extra></extra>"
    figure.data = (values, best)
    figure.update_layout(xaxis={"title": "trial", **whole_axis(0, len(study.trials) - 1)})
    return Section(title, "Complete trials, and the best value until each.", [figure])


def _intermediate(study: Study, objective: str) -> Section:
    title = "Validations"
    states = (TrialState.PRUNED, TrialState.COMPLETE, TrialState.RUNNING)
    trials = study.get_trials(deepcopy=False, states=states)
    trials = [trial for trial in trials if trial.intermediate_values]
    if not trials:
        return Section(title, "No trial has been validated.", [])
    figure = dressed(plot_intermediate_values(study))
    legend: set[str] = set()
    for trial, line in zip(trials, figure.data, strict=True):  # Optuna draws them in this order.
        state = trial.state.name.lower()
        pruned = trial.state is TrialState.PRUNED
        color = STATE_COLORS[state]
        line.update(
            x=[step / EPOCH for step in line.x],
            name=state,
            legendgroup=state,
            showlegend=state not in legend,
            line={"color": color, "dash": "dot" if pruned else "solid", "width": 1.5},
            marker={
                "color": color,
                "size": 5,
                "symbol": "x" if pruned else "circle",
                "maxdisplayed": 0,  # All of them.
            },
            hovertemplate=f"trial {trial.number}, {state}<br>epoch %{{x}}: %{{y:.4f}}"
            "<extra></extra>",
        )
        legend.add(state)
    figure.update_layout(showlegend=True, xaxis_title="epoch", yaxis_title=objective)
    return Section(title, "Each line is a trial. Pruned ones are grey and dotted.", [figure])


_TOO_FEW = "Fewer than two trials are complete, so there is nothing to compare."


def _parallel(study: Study, objective: str) -> Section:
    title = "Parallel coordinates"
    complete = _complete(study)
    if len(complete) < 2:
        return Section(title, _TOO_FEW, [])
    figure = dressed(plot_parallel_coordinate(study, target_name=objective), height=420)
    figure.data = figure.data[:-1]  # The colour bar: the first axis says it already.
    for line in figure.data:
        share = line.y[0] if study.direction is StudyDirection.MAXIMIZE else 1 - line.y[0]
        line.opacity = 0.9
        line.line = {"color": sample_colorscale(COLOR_SCALE, share)[0], "width": 1 + 2 * share}
    whole = {
        place
        for place, name in enumerate(sorted(parameter_names(complete)), start=1)
        if all(isinstance(trial.params.get(name, 0), int) for trial in complete)
    }
    figure.layout.annotations = [
        tick for tick in figure.layout.annotations if tick.x not in whole or "." not in tick.text
    ]  # Optuna divides every axis by four, an axis of whole numbers too.
    # Whole names, one word a line; Optuna cuts them, in the order of the alphabet.
    names = [objective, *sorted(parameter_names(complete))]
    words = [name.replace(" ", "<br>") for name in names]
    figure.update_layout(xaxis={"ticktext": words, "showgrid": False}, margin={"t": 24, "b": 72})
    about = "Each line is a complete trial; the bluer, the better."
    return Section(title, about, [figure], "wide")


def _importances(study: Study, objective: str) -> Section:
    title = "Importances"
    complete = _complete(study)
    if len(complete) < 2:
        return Section(title, _TOO_FEW, [])
    if len({trial.value for trial in complete}) < 2:
        return Section(title, "All complete trials have the same value: nothing to explain.", [])
    try:
        figure = plot_param_importances(
            study, FanovaImportanceEvaluator(seed=0), target_name=objective
        )
    except RuntimeError:  # What fANOVA raises where no parameter divides the trials.
        return Section(title, "No parameter varies between the complete trials.", [])
    if not figure.data:
        return Section(title, "No parameter is common to all complete trials.", [])
    bars = len(figure.data[0].y)
    figure = dressed(figure, height=120 + 32 * bars)
    figure.update_traces(marker_color=BLUE)
    figure.update_layout(xaxis_title="share of the variance", yaxis_title=None, margin_r=48)
    about = f"fANOVA over {len(complete)} complete trials; of a few trials it is a hint at most."
    return Section(title, about, [figure])


def _slices(study: Study, objective: str) -> Section:
    title = "Slices"
    complete = _complete(study)
    if len(complete) < 2:
        return Section(title, _TOO_FEW, [])
    figures = []
    for name in parameter_names(complete):
        figure = dressed(plot_slice(study, [name], target_name=objective), height=280)
        figure.update_traces(
            marker={"colorscale": COLOR_SCALE, "showscale": False, "size": 8},
            # Optuna colours the points by the number of their trial.
            hovertemplate="trial %{marker.color}<br>%{x}: %{y:.4f}<extra></extra>",
        )
        # Powers of ten instead of the prefixes of units: 10^-4, not 100µ.
        figure.update_layout(xaxis_exponentformat="power")
        space = next(one.distributions[name] for one in complete if name in one.params)
        if isinstance(space, IntDistribution) and not space.log:
            figure.update_layout(xaxis=whole_axis(space.low, space.high))
        figures.append(figure)
    about = "Each point is a complete trial: grey the first, blue the last."
    return Section(title, about, figures, "several")


def _timeline(study: Study) -> Section:
    title = "Timeline"
    trials = study.get_trials(deepcopy=False)
    if all(trial.datetime_start is None for trial in trials):
        return Section(title, "No trial has started.", [])
    figure = dressed(plot_timeline(study), height=160 + 14 * len(trials))
    for bars in figure.data:
        state = "failed" if bars.name == "FAIL" else bars.name.lower()
        bars.update(name=state, marker_color=STATE_COLORS[state], text=None)
        bars.hovertemplate = f"trial %{{y}}, {state}<extra></extra>"
    scale = whole_axis(0, len(trials) - 1)
    scale["range"].reverse()  # The first trial at the top.
    figure.update_layout(xaxis_title=None, yaxis={"title": "trial", **scale})
    return Section(title, "When each trial ran.", [figure])
