"""What ends a study: candidates, hours, a front that does not grow."""

import time
from pathlib import Path

import numpy as np
import pytest

from cluster.budget import Budget, parse_until, resumed, spent_seconds
from cluster.run import drive
from passivbot.config import Scoring
from passivbot.errors import ConfigError
from passivbot.study import Event, Front, StudyLog
from passivbot.study.stall import POPULATIONS, Stall
from tests.cluster.toy import Silent, Toy, config, content, create, problem, settings

RULE = Stall(0.3, 0.02)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hypervolume-stalls", Stall()),
        ("hypervolume-stalls:0.1", Stall(0.1)),
        ("hypervolume-stalls:0.1:0.005", Stall(0.1, 0.005)),
        ("never", None),
    ],
)
def test_rules_are_read(text: str, expected: Stall | None) -> None:
    assert parse_until(text) == expected
    if expected:
        assert Stall.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["", "stalls", "hypervolume-stalls:", "hypervolume-stalls:1", "hypervolume-stalls:0.1:0",
             "hypervolume-stalls:0.1:0.1:3", "hypervolume-stalls:nan"]
)  # fmt: skip
def test_other_rules_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--until is .*; allowed is hypervolume-stalls, or "):
        parse_until(text)


def test_a_rule_holds_when_little_was_gained_lately() -> None:
    told = np.array([10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
    flat = np.array([0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 1.0, 1.0, 1.0])
    rule = Stall(share=0.2, gain=0.005)
    assert rule.holds(told, flat, 20)
    assert not rule.holds(told, flat, 21)  # less than five populations
    assert not rule.holds(told[:-1], flat[:-1], 10)  # from 70 of 90 on it grew by a hundredth
    assert not rule.holds(told, np.zeros(10), 1)  # nothing is feasible
    assert not Stall(0.5, 0.01).holds(told, flat, 20)


def test_the_budget_of_a_resumed_study_is_what_is_given_else_what_it_had() -> None:
    stored = Budget(500, 2.0, RULE)
    events = [Event(0.0, "created", {}), Event(1.0, "budget", stored.payload())]

    def again(*, ended: bool = False, **given: object) -> Budget:
        more = [Event(2.0, "stalled", {"told": 200, "ends": 240})] if ended else []
        wanted = {"iters": None, "hours": None, "until": None, **given}
        return resumed([*events, *more], default=7, **wanted)  # type: ignore[arg-type]

    assert again() == stored
    assert again(iters=900) == Budget(900, 2.0, RULE)
    assert again(hours=3.0) == Budget(500, 3.0, RULE)
    assert again(until="never") == Budget(500, 2.0, None)
    assert again(ended=True) == Budget(240, 2.0, None)
    assert again(ended=True, iters=900) == Budget(900, 2.0, None)
    assert again(ended=True, until=str(Stall(0.1))) == Budget(500, 2.0, Stall(0.1))
    assert resumed(events[:1], iters=None, hours=None, until=None, default=7) == Budget(7)
    older = [Event(1.0, "budget", {"iters": 60})]
    assert resumed(older, iters=None, hours=None, until=None, default=7) == Budget(60)


def stalling(
    log: StudyLog, *, workers: int, budget: int = 5000, toy: Toy | None = None, **more: object
) -> Silent:
    display = Silent()
    outcome = drive(
        log,
        problem(),
        settings(),
        Scoring.from_config(config()),
        toy or Toy(),
        budget=budget,
        workers=workers,
        display=display,
        **more,  # type: ignore[arg-type]
    )
    assert outcome.finished
    return display


@pytest.mark.usefixtures("ray_cluster")
def test_a_stalled_study_ends_with_the_same_candidates_whatever_the_workers(tmp_path: Path) -> None:
    found = []
    for workers in (1, 3):
        with create(tmp_path / str(workers) / "s") as log:
            display = stalling(log, workers=workers, until=RULE)
            [event] = [event for event in log.events() if event.kind == "stalled"]
            told, ends = event.payload["told"], event.payload["ends"]
            definition = log.definition
            assert told >= POPULATIONS * definition.population
            assert ends == told + definition.lag + definition.block == log.count() < 5000
            assert any("has stopped growing" in text for text in display.said)
            assert display.shown[-1].budget == ends
            found.append(content(log))
            # The rule holds there, and held nowhere before.
            scoring = Scoring.from_config(config())
            front = Front(3, population=definition.population, stall=RULE)
            rows = log.read()
            front.add_rows(rows, definition.metrics, scoring)
            assert front.stalled == told
    assert found[0] == found[1]


@pytest.mark.usefixtures("ray_cluster")
def test_a_rule_changes_no_candidate_and_a_cut_off_study_ends_at_the_same_one(tmp_path: Path) -> None:
    with create(tmp_path / "a") as log:
        stalling(log, workers=2, until=RULE)
        ends = log.count()
        expected = content(log)
    with create(tmp_path / "b") as log:
        stalling(log, workers=2, budget=ends + 100)
        assert content(log)[:ends] == expected
    with create(tmp_path / "c") as log:
        stalling(log, workers=2, budget=ends - 20, until=RULE)
        assert not [event for event in log.events() if event.kind == "stalled"]
    with StudyLog.open(tmp_path / "c", write=True) as log:
        stalling(log, workers=1, until=RULE)
        assert content(log) == expected


@pytest.mark.usefixtures("ray_cluster")
def test_hours_end_a_study_and_count_over_its_runs(tmp_path: Path) -> None:
    before = time.monotonic()
    with create(tmp_path / "s") as log:
        assert spent_seconds(log) == 0.0
        toy = Toy(seconds=0.05)
        display = stalling(log, workers=2, toy=toy, seconds=1.5)
        ran = time.monotonic() - before
        count = log.count()
        assert 0 < count < 5000
        assert display.shown[-1].left > 0
        first = spent_seconds(log)
        assert 0 < first <= ran
        log.event("resumed", {"logged": count})
        time.sleep(0.3)
        assert spent_seconds(log) == first  # a run without results took no time
        budget = Budget(5000, hours=first / 3600 + 1)
        assert budget.seconds_left(log) == pytest.approx(3600, abs=1e-6)
