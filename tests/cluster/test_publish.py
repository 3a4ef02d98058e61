"""What a study tells the board and hears from it; the board itself is tried in test_several."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster import publish
from cluster.board import KEPT_SECONDS, KINDS, STALE_SECONDS, Board, Hearing, Notice, key
from cluster.display import Progress, progress_of
from cluster.nodes import Machine
from cluster.publish import Publisher, Wishes
from cluster.reach import state_text
from passivbot.config import Scoring
from passivbot.study import Evaluation, Front, StudyLog
from passivbot.study.study import study_id
from tests.cluster.toy import config, create, metrics_of

PROGRESS = Progress(
    elapsed=2.0,
    logged=40,
    budget=150,
    left=110,
    failed=1,
    stopped=0,
    in_flight=8,
    workers=2,
    workers_ready=2,
    workers_lost=0,
    rate=20.0,
    front=5,
    feasible=30,
    hypervolume=0.5,
    best=(),
    engine_share=0.9,
    batch=4,
    lag=8,
    held_back=0.0,
    feeding_lag=16,
    head_bytes=1,
    worker_bytes=2,
    shared_bytes=3,
    stopping=False,
)


class Memory(Board):
    """A board of one process; may be made to hang or to fail."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.hanging = threading.Event()
        self.hanging.set()
        self.broken = False
        self.later = 0.0
        self.looks = 0
        self._hearing = Hearing(lambda: time.monotonic() + self.later)

    def put(self, kind: str, study: str, value: bytes) -> None:
        self._be_there()
        self.kept[key(kind, study)] = value

    def get(self, kind: str, study: str) -> bytes | None:
        self._be_there()
        return self.kept.get(key(kind, study))

    def studies(self) -> list[Notice]:
        self._be_there()
        found = [Notice.from_json(v) for k, v in sorted(self.kept.items()) if k.startswith(b"study/")]
        self.looks += 1
        return [self._hearing(notice) for notice in found]

    def forget(self, study: str) -> None:
        for kind in KINDS:
            self.kept.pop(key(kind, study), None)

    def pass_time(self, seconds: float) -> None:
        """Let time pass for the reader, who looks again and again meanwhile."""
        for _ in range(4):
            self.later += seconds / 4
            before = self.looks
            wait_for(lambda before=before: self.looks >= before + 2)  # type: ignore[misc]

    def _be_there(self) -> None:
        self.hanging.wait(30)
        if self.broken:
            raise ConnectionError("the head is gone")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "SECONDS", 0.02)
    monkeypatch.setattr(publish, "_FRONT_SECONDS", 0.05)
    monkeypatch.setattr(publish, "_CLOSING_SECONDS", 1.0)
    monkeypatch.setattr(
        publish, "machines", lambda: [Machine("a", "10.0.0.1", "a", 6, 0), Machine("b", "", "b", 2, 0)]
    )


@pytest.fixture
def log(tmp_path: Path) -> Iterator[StudyLog]:
    with create(tmp_path / "my study") as log:
        vectors = np.random.default_rng(1).random((40, 4))
        log.append(Evaluation(n, vectors[n], metrics_of(vectors[n : n + 1])[0]) for n in range(40))
        yield log


def front_of(log: StudyLog) -> Front:
    return Front.of(log, Scoring.from_config(config()))


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def told(board: Memory) -> Notice:
    [notice] = [one for one in board.studies() if one.name == "my study"]
    return notice


def test_ids_are_unique_and_plain() -> None:
    one = study_id(Path("/a/my study"), "h")
    assert one.startswith("my-study-")
    assert len({one, study_id(Path("/b/my study"), "h"), study_id(Path("/a/my study"), "g")}) == 3
    assert study_id(Path("/a/…"), "h").startswith("study-")


def test_a_notice_says_what_the_study_does(log: StudyLog) -> None:
    board = Memory()
    publisher = Publisher(board, log, weight=2.0, metrics=None)
    first = told(board)
    assert (first.state, first.weight, first.pid, first.folder) == (
        "starting",
        2.0,
        os.getpid(),
        str(log.folder),
    )
    assert first.live
    assert board.get("definition", first.id) == log.definition.to_json().encode()
    publisher.exchange(PROGRESS, front_of(log), demand=7)
    wait_for(lambda: told(board).state == "running")
    notice = told(board)
    assert (notice.demand, notice.workers) == (7, 2)
    assert progress_of(notice.progress) == PROGRESS
    publisher.exchange(replace(PROGRESS, stopping=True), front_of(log), demand=7)
    wait_for(lambda: told(board).state == "stopping")
    publisher.state = "stopped"
    publisher.close()
    assert told(board).state == "stopped"
    assert not told(board).live


def test_the_front_goes_along_as_the_page_shows_it(log: StudyLog) -> None:
    board = Memory()
    publisher = Publisher(board, log, metrics=None)
    front = front_of(log)
    publisher.exchange(PROGRESS, front, demand=0)
    wait_for(lambda: board.get("front", publisher.id) is not None)
    data = json.loads(board.get("front", publisher.id) or b"")
    assert data["front"]["candidate"] == front.numbers.tolist()
    assert data["objectives"] == ["adg", "drawdown_worst", "position_held_hours_mean"]
    publisher.close()


def test_the_front_of_the_end_is_sent_however_short_ago_another_was(
    log: StudyLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_FRONT_SECONDS", 600.0)
    board = Memory()
    publisher = Publisher(board, log, metrics=None)
    scoring = Scoring.from_config(config())
    rows = log.read()
    objectives, _, total = scoring.evaluate(log.definition.metrics, rows.metrics)
    front = Front(3, population=24)
    front.add(rows.numbers[:20], objectives[:20], total[:20])
    publisher.exchange(PROGRESS, front, demand=0)
    wait_for(lambda: board.get("front", publisher.id) is not None)
    before = front.numbers.tolist()
    front.add(rows.numbers[20:], objectives[20:], total[20:])
    publisher.exchange(PROGRESS, front, demand=0)
    publisher.close()
    assert front.numbers.tolist() != before
    sent = json.loads(board.get("front", publisher.id) or b"")
    assert sent["front"]["candidate"] == front.numbers.tolist()


def test_studies_that_ended_long_ago_are_forgotten(log: StudyLog) -> None:
    board = Memory()
    now = time.time()
    one = Notice(id="old", name="o", folder="/o", host="h", pid=1, state="finished", updated=now)
    ages = {"old": KEPT_SECONDS + 60, "lost": KEPT_SECONDS + 60, "lately": KEPT_SECONDS - 60}
    for name, age in ages.items():
        state = "running" if name == "lost" else "finished"
        board.put("study", name, replace(one, id=name, updated=now - age, state=state).to_json())
        board.put("front", name, b"{}")
    publisher = Publisher(board, log, metrics=None)
    publisher.close()
    assert {notice.id for notice in board.studies()} == {"lately", publisher.id}
    assert board.get("front", "old") is None
    assert board.get("front", "lately") == b"{}"


def test_wishes_are_heard(log: StudyLog) -> None:
    board = Memory()
    board.put("control", study_id(log.folder, socket.gethostname()), b'{"stop": true, "weight": 9}')
    publisher = Publisher(board, log, metrics=None)
    assert publisher.wishes == Wishes()  # those were of an earlier run
    board.put("control", publisher.id, b'{"weight": 3}')
    wait_for(lambda: told(board).weight == 3.0)
    assert not publisher.wishes.stop
    board.put("control", publisher.id, b'{"stop": true}')
    wait_for(lambda: publisher.exchange(PROGRESS, front_of(log), 0).stop)
    publisher.close()


@pytest.mark.parametrize("skew", [0.0, 1e3, -1e3])
def test_a_share_is_taken_beside_studies_that_run(skew: float, log: StudyLog) -> None:
    """Whatever the clock of their machines says."""
    board = Memory()
    publisher = Publisher(board, log, weight=3.0, metrics=None)
    assert publisher.wishes.workers is None
    now = time.time()
    other = Notice(
        id="other",
        name="o",
        folder="/o",
        host="h",
        pid=1,
        state="running",
        weight=1.0,
        updated=now + skew,
        started=1.0,
    )
    board.put("study", "other", other.to_json())
    board.pass_time(1.0)
    board.put("study", "other", replace(other, updated=now + skew + 1.0).to_json())
    wait_for(lambda: publisher.wishes.workers == 6)
    board.pass_time(STALE_SECONDS)
    wait_for(lambda: publisher.wishes.workers is None)
    board.put("study", "other", replace(other, updated=now + skew + 2.0, demand=1).to_json())
    wait_for(lambda: publisher.wishes.workers == 7)
    board.put("study", "other", replace(other, state="finished").to_json())
    wait_for(lambda: publisher.wishes.workers is None)
    publisher.close()


def test_a_single_look_goes_by_the_stamp_and_listens_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Memory()
    now = time.time()
    one = Notice(id="runs", name="r", folder="/r", host="h", pid=1, state="running", updated=now)
    kept = {
        "runs": one,
        "behind": replace(one, id="behind", updated=now - 60),
        "dead": replace(one, id="dead", updated=now - 90),
    }

    def tell() -> None:
        for name, notice in kept.items():
            board.put("study", name, notice.to_json())

    def sleep(seconds: float) -> None:
        board.later += seconds
        kept["behind"] = replace(kept["behind"], updated=now - 60 + seconds)
        tell()

    tell()
    with monkeypatch.context() as patched:
        patched.setattr("cluster.board.time.sleep", sleep)
        found = {notice.id: notice for notice in board.heard()}
    assert [name for name, notice in found.items() if notice.live] == ["behind", "runs"]
    assert state_text(found["dead"]).startswith("lost (silent for 9")
    assert b"silent" not in found["dead"].to_json()


def test_a_board_that_hangs_or_fails_is_never_noticed(
    log: StudyLog, caplog: pytest.LogCaptureFixture
) -> None:
    board = Memory()
    publisher = Publisher(board, log, metrics=None)
    front = front_of(log)
    board.hanging.clear()
    time.sleep(0.1)
    before = time.monotonic()
    for _ in range(100):
        publisher.exchange(PROGRESS, front, 0)
    assert time.monotonic() - before < 5
    board.broken = True
    board.hanging.set()
    time.sleep(0.2)
    publisher.exchange(PROGRESS, front, 0)
    assert (
        len([r for r in caplog.records if "the head is gone" in r.getMessage()]) <= 3
    )  # once for each thing
    board.broken = False
    wait_for(lambda: told(board).state == "running")
    publisher.close()
    assert told(board).state == "failed"


def test_a_study_that_ends_by_an_error_has_failed(log: StudyLog, monkeypatch: pytest.MonkeyPatch) -> None:
    board = Memory()
    monkeypatch.setattr(publish, "Board", lambda: board)
    monkeypatch.setattr(publish, "Metrics", None)
    with pytest.raises(ZeroDivisionError), publish.published(log, 1.0):
        raise ZeroDivisionError
    assert told(board).state == "failed"


def test_adding_to_a_front_does_not_change_its_snapshot(log: StudyLog) -> None:
    scoring = Scoring.from_config(config())
    rows = log.read()
    objectives, _, total = scoring.evaluate(log.definition.metrics, rows.metrics)
    front = Front(3, population=24)
    front.add(rows.numbers[:30], objectives[:30], total[:30])
    snapshot = front.snapshot()
    expected = snapshot.numbers.tolist(), snapshot.hypervolume, [part.tolist() for part in snapshot.history]
    front.add(rows.numbers[30:], objectives[30:] - 1.0, np.zeros(10))
    assert front.numbers.tolist() != expected[0]
    assert (snapshot.numbers.tolist(), snapshot.hypervolume) == expected[:2]
    assert [part.tolist() for part in snapshot.history] == expected[2]
