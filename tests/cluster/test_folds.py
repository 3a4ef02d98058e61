"""Searches side by side: how many, and what becomes of their processes; what they find is in test_walk."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from cluster import folds
from cluster.folds import Ground, Searches, filling, ground
from cluster.memory import LIMIT_VARIABLE, Estimate
from cluster.prepare import Request
from cluster.walk import Fold
from passivbot.errors import EngineError, ResourceError, StudyError
from passivbot.times import DAY_MS
from tests.cluster.test_optimize import gone_within

FOLDS = [Fold(n, n * DAY_MS, (n + 7) * DAY_MS, (n + 14) * DAY_MS) for n in (1, 2, 3)]
ENDS = "raise SystemExit(0)"
WAITS = "import time; print('waits', flush=True); time.sleep(600)"
SECOND_WAITS = f"import pickle, sys\nif pickle.load(sys.stdin.buffer).fold.number > 1:\n    {WAITS}"
FAILS = "import sys; print('error: the disk is full', file=sys.stderr); sys.exit(2)"


def searches(folder: Path, count: int, said: list[str]) -> Searches:
    return Searches(Request(), folder, Ground(count, "127.0.0.1:1"), said.append)


def children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "-P" in one.cmdline()]


def test_how_many_fill_the_workers() -> None:
    assert filling(lag=20, processors=2) == 1
    assert filling(lag=20, processors=10) == 1
    assert filling(lag=20, processors=11) == 2
    assert filling(lag=20, processors=200) == 20
    assert filling(lag=1, processors=4) == 4  # each has one worker


def test_each_search_takes_candles_twice_and_a_process() -> None:
    one = Estimate.of(candles=10**9, bars=10**5, workers=2, budget=10**4, width=80, local=True)
    three = one.side_by_side(3)
    assert three.total - one.total >= 5 * one.candles + 2 * one.head
    assert three.object_store > 3 * 10**9
    assert (three.workers, three.worker, three.ray) == (one.workers, one.worker, one.ray)


def test_no_more_than_there_is_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Estimate.of(candles=10**7, bars=10**4, workers=2, budget=10**4, width=80, local=True)
    monkeypatch.setenv(LIMIT_VARIABLE, str(one.total))
    said: list[str] = []
    with (
        pytest.raises(ResourceError, match=r"--side-by-side 3: not enough memory: .*; at most 1 would fit"),
        ground(one, 8, folds=4, wanted=3, workers=2, address=None, say=said.append),
    ):
        pass
    # Nobody asked for a number: one after the other, and it is said why.
    with ground(one, 1, folds=4, wanted=None, workers=2, address=None, say=said.append) as shared:
        assert shared is None
    assert len(said) == 1
    assert said[0].startswith("note: 1 of the searches at once, not 2: not enough memory: the searches need ")


def test_all_are_searched_so_many_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folds, "_PROGRAM", "import time; time.sleep(0.5)")
    done: list[int] = []
    most = 0

    def searched(fold: Fold) -> None:
        nonlocal most
        most = max(most, len(children()))
        done.append(fold.number)

    assert searches(tmp_path, 2, []).run(FOLDS, searched)
    assert sorted(done) == [1, 2, 3]
    assert most <= 2
    assert not children()


def test_a_failed_search_is_one_line_and_no_other_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(folds, "_PROGRAM", FAILS)
    said: list[str] = []
    with pytest.raises(StudyError) as caught:
        searches(tmp_path, 1, said).run(FOLDS, lambda fold: None)
    output = tmp_path / "fold-1-1970-01-09.txt"
    assert str(caught.value) == f"fold 1: the disk is full; its output: {output}"
    assert sum("its output" in line for line in said) == 1, said
    # What it said in an earlier run is not its fault now.
    monkeypatch.setattr(folds, "_PROGRAM", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(StudyError, match="fold 1: the search ended by signal 9; its output: "):
        searches(tmp_path, 1, said).run(FOLDS, lambda fold: None)
    assert "the disk is full" in output.read_text()


def test_a_fold_that_can_not_be_judged_has_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folds, "_PROGRAM", ENDS)

    def searched(fold: Fold) -> None:
        raise EngineError("nothing to choose")

    with pytest.raises(StudyError, match="fold 1: nothing to choose"):
        searches(tmp_path, 1, []).run(FOLDS, searched)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals) -> None:
    monkeypatch.setattr(folds, "_PROGRAM", WAITS)
    outputs = [tmp_path / f"fold-{n}-1970-01-{n + 8:02d}.txt" for n in (1, 2)]

    def kill() -> None:
        while not all(output.is_file() and output.read_text() for output in outputs):
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    threading.Thread(target=kill, daemon=True).start()
    done: list[Fold] = []
    assert not searches(tmp_path, 2, []).run(FOLDS, done.append)
    assert not done
    assert not children()
    assert not (tmp_path / "fold-3-1970-01-11.txt").exists()


def test_what_is_no_fault_of_a_fold_ends_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folds, "_PROGRAM", SECOND_WAITS)

    def searched(fold: Fold) -> None:
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        searches(tmp_path, 2, []).run(FOLDS, searched)
    assert not children()


PARENT = """
import sys, time
from pathlib import Path
from cluster import folds
from tests.cluster.test_folds import FOLDS, searches
folds._PROGRAM = (
    "from cluster import folds; import time; folds._search = lambda task: time.sleep(600); folds.main()"
)
searches(Path(sys.argv[1]), 2, []).run(FOLDS, print)
"""


def test_they_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], cwd=Path(__file__).parents[2], start_new_session=True
    )
    found: list[psutil.Process] = []
    until = time.monotonic() + 60
    while len(found) < 2:
        assert time.monotonic() < until
        assert parent.poll() is None
        found = [one for one in psutil.Process(parent.pid).children() if "-P" in one.cmdline()]
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    gone_within(found, 60)
