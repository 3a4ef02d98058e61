"""The driver with real actors: the log does not depend on workers, batches or accidents."""

import io
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.pace import Pace
from passivbot.errors import ClusterError, EngineError
from passivbot.study import StudyLog
from passivbot.study.study import Study, write_records
from tests.cluster.toy import Silent, Stillborn, Toy, Unmakeable, content, create, metrics_of, run

pytestmark = pytest.mark.usefixtures("ray_cluster")

BUDGET = 150


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, ray_cluster: object) -> list[Any]:
    """The log of one worker that gets one candidate at a time."""
    with create(tmp_path_factory.mktemp("reference") / "s") as log:
        outcome = run(log, workers=1, batch=1, budget=BUDGET)
        assert outcome.finished
        found = content(log)
    assert [row[0] for row in found] == list(range(BUDGET))
    return found


def pareto_bytes(log: StudyLog) -> str:
    study = Study(log)
    stream = io.StringIO()
    write_records(study.members().records(), stream)
    return stream.getvalue()


@pytest.mark.parametrize(("workers", "batch"), [(2, None), (3, 2), (1, 7)])
def test_same_log_with_any_workers_and_batches(
    tmp_path: Path, reference: list[Any], workers: int, batch: int | None
) -> None:
    with create(tmp_path / "s") as log:
        display = Silent()
        outcome = run(log, workers=workers, batch=batch, budget=BUDGET, display=display)
        assert outcome.finished
        assert outcome.evaluated == BUDGET
        assert content(log) == reference
        assert max(p.in_flight for p in display.shown) <= log.definition.lag + log.definition.block
        assert [event.kind for event in log.events()] == ["created", "finished"]
        told = log.events()[-1].payload
        front = Study(log).front()
        assert (told["front"], told["hypervolume"]) == (len(front), front.hypervolume)


def test_metrics_belong_to_their_candidate(reference: list[Any]) -> None:
    parameters = np.stack([np.frombuffer(row[1]) for row in reference])
    metrics = np.stack([np.frombuffer(row[2]) for row in reference])
    assert np.array_equal(metrics_of(parameters), metrics)


def test_stopped_and_resumed_is_the_same_study(tmp_path: Path, reference: list[Any]) -> None:
    """Stopped twice, and once with results missing in the middle, as after a kill of the driver."""

    class Stopping(Silent):
        def show(self, progress: Any, *, last: bool = False) -> None:
            super().show(progress, last=last)
            if progress.logged >= self.at and not last:
                os.kill(os.getpid(), signal.SIGTERM)

        at = 40

    with create(tmp_path / "s") as log:
        display = Stopping()
        outcome = run(log, Toy(seconds=0.02), budget=BUDGET, display=display)
        assert not outcome.finished
        assert 40 <= log.count() < BUDGET
        assert display.shown[-1].stopping
        assert log.events()[-1].kind == "stopped"
    with StudyLog.open(tmp_path / "s", write=True) as log:
        last = log.last()
        log._connection.execute(
            "DELETE FROM evaluations WHERE number IN (?, ?, ?)", (last - 4, last - 3, last)
        )
        display = Stopping()
        display.at = 60
        # Slow enough that the display, which is shown twice a second, sees it before the end.
        assert not run(log, Toy(seconds=0.1), workers=3, budget=BUDGET, display=display).finished
    with StudyLog.open(tmp_path / "s", write=True) as log:
        assert run(log, workers=1, budget=BUDGET).finished
        assert content(log) == reference


def test_larger_budget_continues_the_same_stream(tmp_path: Path, reference: list[Any]) -> None:
    with create(tmp_path / "s") as log:
        assert run(log, budget=70).finished
        assert log.count() == 70
        assert run(log, budget=BUDGET).finished
        assert content(log) == reference


def test_a_study_of_scheme_1_goes_on_with_it(tmp_path: Path, reference: list[Any]) -> None:
    """As studies did whose children were made one at a time."""
    found = []
    for workers, first in ((1, BUDGET), (3, 60)):
        with create(tmp_path / str(workers) / "s", scheme=1) as log:
            run(log, workers=workers, budget=first)
        with StudyLog.open(tmp_path / str(workers) / "s", write=True) as log:
            assert log.definition.scheme == 1
            assert run(log, workers=workers, budget=BUDGET).finished
            found.append(content(log))
    assert found[0] == found[1]
    start = 24  # one population of Sobol points, the same in both schemes
    assert found[0][:start] == reference[:start]
    assert found[0][start:] != reference[start:]


def test_equal_studies_print_the_same_front(tmp_path: Path) -> None:
    printed = []
    for workers in (1, 2):
        with create(tmp_path / str(workers) / "s") as log:
            run(log, workers=workers, budget=BUDGET)
            printed.append(pareto_bytes(log))
    assert printed[0] == printed[1]
    assert printed[0].count("candidate") > 3


def test_killed_worker_loses_nothing(tmp_path: Path, reference: list[Any]) -> None:
    """SIGKILL from outside, in mid-run, of a worker that is evaluating."""
    killed: list[int] = []

    def kill() -> None:
        reader = StudyLog.open(tmp_path / "s")
        with reader:
            while reader.count() < 30:
                time.sleep(0.02)
            pid = int(reader.read().worker[-1].rpartition("/")[2])
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    with create(tmp_path / "s") as log:
        thread = threading.Thread(target=kill)
        thread.start()
        display = Silent()
        outcome = run(log, Toy(seconds=0.02), budget=BUDGET, display=display)
        thread.join()
        assert killed
        assert outcome.finished
        assert content(log) == reference
        lost = [event for event in log.events() if event.kind == "worker_lost"]
        assert [event.payload["cause"] for event in lost] == ["its worker process died"]
        assert any("was lost" in text for text in display.said)


def test_candidate_that_kills_its_workers_fails_alone(tmp_path: Path, reference: list[Any]) -> None:
    with create(tmp_path / "s", search="sobol") as log:
        outcome = run(log, Toy(ill=0.95, illness="kill"), budget=60, batch=8)
        assert outcome.finished
        rows = log.read()
        ill = rows.parameters[:, 0] > 0.95
        assert 1 <= ill.sum() <= 6
        assert (rows.status[ill] == "failed").all()
        assert (rows.status[~ill] == "ok").all()
        for i in np.flatnonzero(ill):
            assert "its worker process died" in str(rows.error[i])
        assert np.isnan(rows.metrics[ill]).all()
        assert np.array_equal(rows.metrics[~ill], metrics_of(rows.parameters[~ill]))


def test_candidate_that_raises_fails_alone(tmp_path: Path) -> None:
    with create(tmp_path / "s", search="sobol") as log:
        display = Silent()
        assert run(log, Toy(ill=0.8, illness="raise"), budget=60, batch=8, display=display).finished
        rows = log.read()
        ill = rows.parameters[:, 0] > 0.8
        assert ill.any()
        assert (rows.status == np.where(ill, "failed", "ok")).all()
        assert {rows.error[i] for i in np.flatnonzero(ill)} == {"ValueError: the candidate is ill"}
        assert {rows.error[i] for i in np.flatnonzero(~ill)} == {None}
        assert np.array_equal(rows.metrics[~ill], metrics_of(rows.parameters[~ill]))
        assert display.shown[-1].failed == ill.sum()
        assert not [event for event in log.events() if event.kind == "worker_lost"]


def test_stopped_candidates_are_logged_with_their_minute_and_never_scored(tmp_path: Path) -> None:
    """Whatever workers and batches, and cut off in between: the same study."""
    found = []
    for workers, batch, first in ((1, 1, BUDGET), (3, None, 60)):
        with create(tmp_path / str(workers) / "s") as log:
            display = Silent()
            toy = Toy(hopeless=0.6)
            stopped = run(log, toy, workers=workers, batch=batch, budget=first, display=display).stopped
            assert display.shown[-1].stopped == stopped > 0
        with StudyLog.open(tmp_path / str(workers) / "s", write=True) as log:
            assert run(log, toy, workers=workers, batch=batch, budget=BUDGET, display=display).finished
            rows = log.read()
            hopeless = rows.parameters[:, 0] > 0.6
            assert (rows.status == np.where(hopeless, "stopped", "ok")).all()
            minutes = np.floor(1e5 * rows.parameters[:, 0])
            expected = [int(m) if h else None for m, h in zip(minutes, hopeless, strict=True)]
            assert list(rows.stopped) == expected
            assert np.array_equal(rows.metrics, metrics_of(rows.parameters))
            assert not [text for text in display.said if "failed" in text]
            members = Study(log).members().numbers
            assert len(members)
            assert not hopeless[np.isin(rows.numbers, members)].any()
            # The search turns away from them: fewer in the second half.
            assert hopeless[BUDGET // 2 :].sum() < hopeless[: BUDGET // 2].sum()
            found.append((content(log), rows.stopped))
    assert found[0] == found[1]


def test_missed_deadline_takes_the_batch_back(tmp_path: Path, reference: list[Any]) -> None:
    with create(tmp_path / "s") as log:
        toy = Toy(ill=0.5, illness="hang", once=tmp_path / "hung")
        pace = Pace(2, 8, floor_seconds=4.0, unmeasured_seconds=4.0)
        assert run(log, toy, budget=BUDGET, pace=pace).finished
        assert (tmp_path / "hung").exists()
        assert content(log) == reference
        lost = [event.payload["cause"] for event in log.events() if event.kind == "worker_lost"]
        assert lost == ["no result within 4 s"]


def test_workers_that_cannot_be_made_end_the_run(tmp_path: Path) -> None:
    with create(tmp_path / "s") as log:
        with pytest.raises(EngineError, match="ValueError: there are no candles here"):
            run(log, Unmakeable())
        with pytest.raises(ClusterError, match="workers do not start: its worker process died"):
            run(log, Stillborn())


def test_small_lag_is_named_as_what_holds_the_workers_back(tmp_path: Path) -> None:
    with create(tmp_path / "s", lag=1) as log:
        display = Silent()
        assert run(log, Toy(seconds=0.05), workers=3, budget=BUDGET, display=display).finished
        assert max(p.in_flight for p in display.shown) <= log.definition.lag + log.definition.block
        hints = [p.hint() for p in display.shown]
        assert any(hint and "lag 1 holds them back; --lag " in hint for hint in hints)


def test_lag_holds_also_without_a_search_that_learns(tmp_path: Path) -> None:
    with create(tmp_path / "s", search="random") as log:
        assert run(log, budget=40, workers=3).finished
        assert log.count() == 40


def test_lag_changed_on_resume_counts_from_there(tmp_path: Path) -> None:
    """Two runs with the same change of the lag are the same study, whatever their workers."""
    from cluster.run import change_lag

    found = []
    for workers in (1, 3):
        with create(tmp_path / str(workers) / "s") as log:
            run(log, workers=workers, budget=60)
            change_lag(log, 30)
            change_lag(log, 40)
            run(log, workers=workers, budget=BUDGET)
            assert log.lags() == ((0, log.definition.lag), (60, 30), (60, 40))
            found.append(content(log))
    assert found[0] == found[1]
