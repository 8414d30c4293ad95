"""How far a prediction is, on a clock that the test turns."""

from __future__ import annotations

import logging

import pytest

from multiclin.pace import Pace, duration


class Clock:
    """Seconds that pass when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_line_comes_every_half_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    pace = Pace(100_000, bar=False, clock=clock)
    clock.now += 1000  # The model is loaded.
    pace.start()
    with caplog.at_level(logging.INFO, "multiclin.pace"):
        for _ in range(60):
            clock.now += 1
            pace.advance(200)
    assert caplog.messages == [
        "6,000 of 100,000 documents (6 %), 200 per second, 7 min 50 s left",
        "12,000 of 100,000 documents (12 %), 200 per second, 7 min 20 s left",
    ]


def test_what_an_earlier_run_has_done_is_no_part_of_the_rate() -> None:
    clock = Clock()
    pace = Pace(1000, 900, bar=False, clock=clock)
    pace.start()
    assert str(pace) == "900 of 1,000 documents (90 %)"
    clock.now += 20
    pace.advance(50)
    assert str(pace) == "950 of 1,000 documents (95 %), 2.5 per second, 20 s left"


def test_several_processes_count_no_further_than_the_end() -> None:
    pace = Pace(10, bar=False)
    pace.advance(8)
    pace.advance(8)
    assert pace.counted == "10 of 10 documents"


def test_another_process_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    pace = Pace(10, every=0, bar=False)
    pace.start(shows=False)
    with caplog.at_level(logging.INFO):
        pace.advance(5)
    assert not caplog.records


def test_a_terminal_shows_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    pace = Pace(1000, 200, bar=True)
    pace.start()
    pace.advance(300)
    pace.close()
    shown = capsys.readouterr().out
    assert "200/1000 [" in shown
    assert "documents/s" in shown


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (407, "6 min 47 s"), (7384, "2 h 3 min")],
)
def test_durations_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said
