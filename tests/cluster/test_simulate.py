"""The stand-in for Ray: the head's own code over it gives the study that real workers give."""

import gc
import time
from pathlib import Path

import numpy as np
import pytest

from cluster.batch import Batch, Done
from cluster.display import Progress
from cluster.nodes import Machine
from cluster.pace import Pace
from cluster.pool import Pool
from cluster.run import drive
from cluster.search import Lagged
from cluster.simulate import Simulated, Sleeper
from passivbot.config import Scoring
from tests.cluster.toy import METRICS, WIDTH, Silent, config, content, create, problem, settings

OBJECTIVES = ((0, -1), (1, 1), (3, 1))


class Watching(Silent):
    """Notes what the simulated workers have done."""

    def __init__(self, simulated: Simulated) -> None:
        super().__init__()
        self.simulated = simulated
        self.worked: list[tuple[float, float]] = []
        self.frozen = 0

    def show(self, progress: Progress, *, last: bool = False) -> None:
        super().show(progress, last=last)
        self.frozen = gc.get_freeze_count()
        self.worked.append((time.monotonic(), self.simulated.worked()))


def simulate(
    folder: Path, workers: int, budget: int, lag: int, seconds_each: float
) -> tuple[Watching, list[object]]:
    simulated = Simulated.of(workers, cpus=8)
    display = Watching(simulated)
    with create(folder, lag=lag) as log:
        outcome = drive(
            log,
            problem(),
            settings(lag=lag),
            Scoring.from_config(config()),
            Sleeper(seconds_each, WIDTH, OBJECTIVES),
            budget=budget,
            workers=None,
            display=display,
            actors=simulated,
        )
        assert outcome.finished
        return display, content(log)


def test_workers_change_nothing_in_the_log(tmp_path: Path) -> None:
    _, one = simulate(tmp_path / "one", 1, 300, 40, 0.001)
    display, many = simulate(tmp_path / "many", 20, 300, 40, 0.001)
    assert one == many
    assert max(progress.workers_ready for progress in display.shown) == 20


def test_collections_leave_the_libraries_alone_while_a_study_runs(tmp_path: Path) -> None:
    before = gc.get_freeze_count()
    display, _ = simulate(tmp_path / "s", 3, 60, 40, 0.001)
    assert display.frozen > before + 10_000
    assert gc.get_freeze_count() == 0


def test_only_machines_that_work_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = Simulated.of(1)
    there = simulated.machines()
    monkeypatch.setattr(simulated, "machines", lambda: there)
    told: list[str] = []
    sleeper = Sleeper(0.001, WIDTH, OBJECTIVES)
    pool = Pool(sleeper, WIDTH, 1, lambda batch: 60.0, say=told.append, actors=simulated)
    worker = Machine(f"{8:056x}", "10.0.1.0", "worker", 2, 10**9)
    there = [*there, worker, Machine(f"{9:056x}", "10.0.1.1", "driver", 0, 10**9)]
    pool.resize(2)  # and look at the cluster at once
    pool.wait(0.0)
    there = there[:1]
    pool.resize(3)
    pool.wait(0.0)
    assert told == ["machine worker (10.0.1.0) joined: 2 processors", "machine worker (10.0.1.0) was lost"]


def busy(patience: float) -> Pool:
    """Return a pool of two workers, ready, with nothing to do."""
    sleeper = Sleeper(0.05, WIDTH, OBJECTIVES)
    pool = Pool(
        sleeper, WIDTH, 2, lambda batch: 60.0, patience=lambda count: patience, actors=Simulated.of(2)
    )
    while pool.ready < 2:
        pool.wait(0.1)
    return pool


def hand_in(pool: Pool, *sizes: int) -> None:
    first = 0
    for size in sizes:
        pool.hand_in(Batch(tuple(range(first, first + size)), np.zeros((size, 4))))
        first += size


def lengths(pool: Pool) -> list[int]:
    return [len(event.batch) for event in pool.wait(10.0) if isinstance(event, Done)]


def test_replies_are_taken_together_while_all_have_another_batch() -> None:
    pool = busy(5.0)
    hand_in(pool, 1, 3, 40, 40)
    assert sorted(lengths(pool)) == [1, 3]


def test_patience_ends() -> None:
    pool = busy(0.05)
    hand_in(pool, 1, 20, 40, 40)
    assert lengths(pool) == [1]


def test_no_reply_lies_while_somebody_could_run_dry() -> None:
    pool = busy(5.0)
    hand_in(pool, 1, 20, 40)  # who has the batch of twenty has nothing else
    assert lengths(pool) == [1]


def test_first_candidates_are_made_while_workers_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    ask_block, wait = Lagged.ask_block, Pool.wait
    asked: list[int] = []

    def noted(search: Lagged, *given: float) -> object:
        found = ask_block(search, *given)  # type: ignore[arg-type]
        asked.append(len(found[0]))
        return found

    def watched(pool: Pool, seconds: float) -> object:
        seen.append((pool.ready, len(asked)))
        return wait(pool, seconds)

    monkeypatch.setattr(Lagged, "ask_block", noted)
    monkeypatch.setattr(Pool, "wait", watched)
    simulate(tmp_path / "s", 2, 40, 20, 0.001)
    assert seen[0] == (0, 1)
    assert asked[0] > 0


def test_evaluations_are_those_of_the_sleeper(tmp_path: Path) -> None:
    with create(tmp_path / "s") as log:
        sleeper = Sleeper(0.001, WIDTH, OBJECTIVES)
        scoring = Scoring.from_config(config())
        drive(
            log,
            problem(),
            settings(),
            scoring,
            sleeper,
            budget=60,
            workers=None,
            display=Silent(),
            actors=Simulated.of(3),
        )
        rows = log.read()
        assert np.array_equal(rows.metrics, sleeper.evaluate(rows.parameters).metrics)
        assert (rows.metrics[:, METRICS.index("loss_profit_ratio")] == 0.5).all()


def test_time_is_real_and_no_worker_does_two_things_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    display, _ = simulate(tmp_path / "s", 10, 400, 200, 0.02)
    seconds = time.monotonic() - began
    assert seconds > 400 * 0.02 / 10 * 0.5
    for at, worked in display.worked:
        assert 0 <= worked <= 10 * (at - began)
    assert display.worked[-1][1] == pytest.approx(400 * 0.02, rel=0.5)


def test_part_of_a_batch_goes_only_to_who_has_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due comes by the search's blocks of 8, which batches of 5 do not divide."""
    sent: list[tuple[int, int, int]] = []
    sizes: list[int] = []
    size_of, hand_in = Pace.batch_size, Pool.hand_in

    def noted_size(pace: Pace, lag: int, left: int) -> int:
        sizes.append(size_of(pace, lag, left))
        return sizes[-1]

    def noted(pool: Pool, batch: Batch) -> None:
        sent.append((len(batch), sizes[-1], pool.idle))
        hand_in(pool, batch)

    monkeypatch.setattr(Pace, "batch_size", noted_size)
    monkeypatch.setattr(Pool, "hand_in", noted)
    simulate(tmp_path / "s", 2, 400, 20, 0.002)
    assert all(length == wanted for length, wanted, idle in sent if not idle)
    assert sum(length == 5 for length, _, _ in sent) > 20
