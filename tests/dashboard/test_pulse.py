"""Rates and workers over the time in which a study ran."""

import numpy as np

from passivbot.study import Event, Rows
from passivbot.study.serve.pulse import Pulse


def rows(logged: list[float], workers: list[str] | None = None) -> Rows:
    count = len(logged)
    return Rows(
        numbers=np.arange(count),
        parameters=np.zeros((count, 1)),
        metrics=np.zeros((count, 1)),
        status=np.full(count, "ok"),
        worker=tuple(workers or ["w"] * count),
        seconds=np.zeros(count),
        error=(None,) * count,
        logged=np.array(logged),
        stopped=(None,) * count,
    )


def started(*at: float) -> list[Event]:
    return [Event(t, "resumed" if index else "created", {}) for index, t in enumerate(at)]


def test_evaluations_and_workers_of_each_second() -> None:
    pulse = Pulse(started(100.0))
    pulse.add(rows([100.1, 100.2, 101.5, 103.0], ["a", "b", "a", "c"]))
    assert pulse.series() == {"seconds": [0.0, 1.0, 2.0], "rate": [2.0, 1.0, 0.0], "workers": [2, 1, 0]}


def test_pauses_between_runs_are_left_out_in_any_order() -> None:
    pulse = Pulse(started(100.0, 90_000.0))
    pulse.add(rows([90_001.5, 90_000.5, 90_002.0]))
    pulse.add(rows([100.5, 101.5]))
    assert pulse.series()["rate"] == [1.0, 1.0, 1.0, 1.0]


def test_the_start_of_a_run_does_not_count() -> None:
    pulse = Pulse(started(100.0))
    pulse.add(rows([107.0, 108.0, 109.0]))
    assert pulse.series()["rate"] == [1.0, 1.0]


def test_long_studies_have_wide_bins() -> None:
    pulse = Pulse(started(0.0))
    for start in range(0, 10_000, 500):
        pulse.add(rows([start + 0.5 + step for step in range(500)]))
    series = pulse.series()
    assert 60 <= len(series["seconds"]) <= 120
    assert set(series["rate"]) == {1.0}
    assert series["seconds"][1] == 128.0


def test_a_sample_stands_for_all() -> None:
    pulse = Pulse(started(0.0), weight=10)
    pulse.add(rows([0.5, 1.5]))
    assert pulse.series()["rate"] == [10.0]


def test_without_rows_or_events() -> None:
    assert Pulse().series() == {"seconds": [], "rate": [], "workers": []}
    alone = Pulse()
    alone.add(rows([5.0]))
    assert alone.series()["rate"] == [1.0]
