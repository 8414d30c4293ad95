"""Tables, files and counts of a search."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from pathlib import Path

from optuna.trial import TrialState

from multiclin.hpo.summary import (
    Confirmed,
    best_rows,
    best_table,
    best_trial,
    failures,
    headings,
    ranked,
    saved_by_pruning,
    summary_table,
    trial_rows,
    write_trials,
)
from tests.hpo.studies import study_of, trial

COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
RATE, EPOCHS = "optim.learning_rate", "trainer.max_epochs"


def test_a_row_says_all_that_is_known_of_a_trial() -> None:
    about = {"steps": 40, "seconds": 12.5, "memory": "batch 16 x 1 -> 8 x 2", "retry_of": 3}
    study = study_of(trial(COMPLETE, 0.75, {RATE: 1e-5}, {0.5: 0.4, 1.25: 0.75}, **about))
    assert trial_rows(study) == [
        {
            "number": 0,
            "state": "complete",
            "value": 0.75,
            "epochs": 1.25,
            "steps": 40,
            "seconds": 12.5,
            "start": "2026-11-20T09:00:00",
            RATE: 1e-5,
            "retry_of": 3,
            "memory": "batch 16 x 1 -> 8 x 2",
            "reason": None,
        }
    ]


def test_all_rows_have_the_parameters_of_all_trials() -> None:
    waiting = trial(TrialState.WAITING)
    study = study_of(trial(FAIL, params={RATE: 1e-4}), trial(PRUNED, params={EPOCHS: 3}), waiting)
    columns, rows = summary_table(study)
    assert columns[6:10] == ["start", RATE, EPOCHS, "retry_of"]
    assert [row[7:9] for row in rows] == [[1e-4, None], [None, 3], [None, None]]


def test_trials_csv_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    study = study_of(
        trial(COMPLETE, 0.1 + 0.2, {RATE: 1e-5}),
        trial(FAIL, reason='out of memory, at "batch" 1'),
    )
    write_trials(study, path)
    write_trials(study, path)  # A search that goes on replaces it.
    with path.open(encoding="utf-8", newline="") as stream:
        first, second = csv.DictReader(stream)
    assert (float(first["value"]), float(first[RATE])) == (0.1 + 0.2, 1e-5)
    assert (second["state"], second["value"]) == ("fail", "")
    assert second["reason"] == 'out of memory, at "batch" 1'


def test_a_study_without_trials_gives_empty_tables(tmp_path: Path) -> None:
    study = study_of()
    write_trials(study, tmp_path / "trials.csv")
    assert (tmp_path / "trials.csv").read_text("utf-8") == ""
    assert summary_table(study) == ([], [])
    assert best_trial(study) is None
    assert failures(study) == []
    assert saved_by_pruning(study) == (0.0, 0.0)
    assert best_table(study) == "no trial is complete\n0 finished: 0 complete, 0 pruned"


def test_only_a_complete_trial_is_the_best() -> None:
    pruned = trial(PRUNED, 0.9, epochs={1: 0.9})
    study = study_of(pruned, trial(COMPLETE, 0.5), trial(COMPLETE, 0.6, epochs={1: 0.95}))
    assert [one.number for one in ranked(study)] == [2, 1]


def test_of_equal_trials_the_earlier_is_the_best() -> None:
    study = study_of(trial(COMPLETE, 0.5), trial(COMPLETE, 0.7), trial(COMPLETE, 0.7))
    assert [one.number for one in ranked(study)] == [1, 2, 0]


def test_the_smallest_value_is_the_best_where_it_is_minimized() -> None:
    study = study_of(trial(COMPLETE, 0.5), trial(COMPLETE, 0.3), direction="minimize")
    assert [one.number for one in ranked(study)] == [1, 0]


def test_confirmed_trials_stand_above_by_their_mean() -> None:
    study = study_of(*(trial(COMPLETE, value) for value in (0.70, 0.74, 0.73, 0.76)))
    confirmed = [
        Confirmed(1, {13: 0.70, 14: 0.72}),
        Confirmed(2, {13: 0.73, 14: 0.73}),
        Confirmed(3, {}),  # Every seed failed, which confirms nothing.
    ]
    assert [one.number for one in ranked(study, confirmed)] == [2, 1, 3, 0]


def test_mean_and_deviation_of_a_sample() -> None:
    two = Confirmed(0, {13: 0.70, 14: 0.74})
    # Each is 0.02 from the mean: sqrt((0.0004 + 0.0004) / (2 - 1)) = 0.0283.
    assert str(two) == "0.7200 ± 0.0283"
    one = Confirmed(0, {13: 0.70})
    assert math.isnan(one.deviation)
    assert str(one) == "0.7000"


def test_headings_are_short_unless_two_are_alike() -> None:
    assert headings([RATE, "optim.ratio", "head.ratio", "model"]) == {
        RATE: "learning_rate",
        "optim.ratio": "optim.ratio",
        "head.ratio": "head.ratio",
        "model": "model",
    }


def test_the_table_for_the_console() -> None:
    study = study_of(
        trial(COMPLETE, 0.51234, {RATE: 0.00012345}, {2: 0.51234}),
        trial(COMPLETE, 0.61, {RATE: 1e-5}, {2.5: 0.61}),
        trial(PRUNED, params={RATE: 1e-4}),
        trial(FAIL, reason="NaN"),
        trial(FAIL, interrupted=True),
        trial(TrialState.RUNNING),
    )
    assert best_table(study).splitlines() == [
        "trial   value  epochs  learning_rate",
        "    1  0.6100     2.5          1e-05",
        "    0  0.5123       2       0.000123",
        "3 finished: 2 complete, 1 pruned; 1 failed, 1 interrupted, 1 running",
    ]


def test_the_table_has_a_column_for_confirmed_trials_and_a_length() -> None:
    study = study_of(*(trial(COMPLETE, value) for value in (0.5, 0.6, 0.7)))
    assert best_rows(study, 2, [Confirmed(1, {13: 0.5, 14: 0.5})]) == [
        ["trial", "value", "mean ± deviation", "epochs"],
        ["1", "0.6000", "0.5000 ± 0.0000", ""],
        ["2", "0.7000", "", ""],
    ]


def test_failures_have_a_reason_and_say_who_took_over() -> None:
    study = study_of(
        trial(COMPLETE, 0.5),
        trial(FAIL, reason="CUDA out of memory"),
        trial(FAIL, reason="its process ended", interrupted=True),
        trial(COMPLETE, 0.6, retry_of=2),
        trial(FAIL),
    )
    assert failures(study) == [
        "trial 1: CUDA out of memory",
        "trial 2: its process ended (tried again as trial 3)",
        "trial 4: no reason is known",
    ]


def test_pruning_saves_what_pruned_trials_did_not_do() -> None:
    study = study_of(
        trial(COMPLETE, 0.5, {EPOCHS: 4}, {4: 0.5}),
        trial(COMPLETE, 0.5, {EPOCHS: 6}, {2: 0.5}),  # Stopped early by itself: 2 either way.
        trial(PRUNED, 0.1, {EPOCHS: 5}, {1: 0.1}),
        trial(PRUNED, 0.1, epochs={0.5: 0.1}),  # The setting of the study: 3.
        trial(FAIL, params={EPOCHS: 6}, epochs={1: 0.2}),  # Would have failed all the same.
        max_epochs=3,
    )
    assert saved_by_pruning(study) == (4 + 2 + 1 + 0.5, 4 + 2 + 5 + 3)


def test_a_study_without_a_number_of_epochs_saves_nothing() -> None:
    study = study_of(trial(PRUNED, 0.1, epochs={1: 0.1}))
    assert saved_by_pruning(study) == (1.0, 1.0)


def test_importing_it_loads_neither_plotly_nor_torch() -> None:
    code = (
        "import sys, multiclin.hpo.summary, multiclin.hpo.tuned\n"
        "print(*sorted({'plotly', 'torch'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
