"""What is shown of a run."""

import io
from dataclasses import replace

from rich.console import Console

from cluster.display import Best, LiveDisplay, PlainDisplay, Progress, make_display, megabytes
from cluster.search import Settings

PROGRESS = Progress(
    elapsed=75.0,
    logged=400,
    budget=1000,
    left=600,
    stopped=3,
    failed=1,
    in_flight=16,
    workers=2,
    workers_ready=2,
    workers_lost=0,
    rate=10.0,
    front=12,
    feasible=99,
    hypervolume=0.5,
    best=(Best("adg", 0.002), Best("drawdown_worst", 0.1)),
    engine_share=0.93,
    batch=8,
    lag=33,
    held_back=0.0,
    feeding_lag=80,
    head_bytes=160_000_000,
    worker_bytes=210_000_000,
    shared_bytes=4_000_000,
    stopping=False,
)


def test_line_has_all_figures() -> None:
    stream = io.StringIO()
    PlainDisplay(stream).show(PROGRESS)
    line = stream.getvalue()
    assert line.count("\n") == 1
    for part in (
        "400/1000",
        "10.0/s",
        "1 min 00 s left",
        "front 12",
        "99 feasible",
        "hypervolume 0.5",
        "best adg 0.002",
        "best drawdown_worst 0.1",
        "engine 93%",
        "candles 4.0 MB shared",
        "failed 1",
    ):
        assert part in line


def test_lines_come_often_at_first_then_every_minute() -> None:
    display = PlainDisplay(io.StringIO())
    display._started = 0.0
    times = []
    for second in range(400):
        if display.due(second):
            times.append(second)
            display._shown += 1
    assert times == [2, 5, 10, 20, 30, 60, 120, 180, 240, 300, 360]


def test_nothing_feasible_is_said() -> None:
    assert replace(PROGRESS, front=0, feasible=0).front_text() == "nothing feasible yet"


def test_hint_names_the_lag_that_would_feed_the_workers() -> None:
    assert PROGRESS.hint() is None
    hint = replace(PROGRESS, held_back=0.25).hint()
    assert hint == (
        "workers idle 25% of the time: lag 33 holds them back; --lag 80 would feed them, and costs the "
        "search nothing from a population of 240 on"
    )
    free = Settings.for_population(240, seed=1).lag
    assert free == 80, "up to there a lag costs nothing"


def test_table_on_a_terminal_has_all_figures() -> None:
    stream = io.StringIO()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=140, color_system=None), "study s")
    display.say("worker 1 was lost")
    display.show(replace(PROGRESS, held_back=0.25), last=True)
    display.close()
    text = stream.getvalue()
    for part in (
        "study s",
        "400 of 1,000",
        "10.0 evaluations/s",
        "12 (of 99",
        "0.50000",
        "best adg",
        "lag 33",
    ):
        assert part in text
    assert "worker 1 was lost" in text
    assert "--lag 80 would feed them" in text


def test_a_file_gets_lines() -> None:
    assert isinstance(make_display(io.StringIO(), "s"), PlainDisplay)


def test_units() -> None:
    assert [megabytes(n) for n in (12, 5_500, 80_000_000, 1_230_000_000)] == [
        "12 B",
        "5.5 kB",
        "80 MB",
        "1.2 GB",
    ]
