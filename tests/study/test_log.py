import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from passivbot.errors import PassivbotError, ResourceError, StudyError
from passivbot.study import Definition, Evaluation, LogBatch, StudyLog
from passivbot.study.lock import holder
from tests.disks import mount, unmount

from .conftest import METRICS, NAMES

MakeRows = Callable[..., list[Evaluation]]


def test_bits_survive(tmp_path: Path, definition: Definition) -> None:
    metrics = np.array([np.nan, -0.0, 5e-324])
    parameters = np.array([0.1 + 0.2, 1e308, -0.0])
    with StudyLog.create(tmp_path / "s", definition) as log:
        assert log.append([Evaluation(3, parameters, metrics, "failed", "node:7", 0.25, "no memory")]) == 1
    with StudyLog.open(tmp_path / "s") as log:
        found = log.read()
        assert log.definition == definition
    assert found.parameters.tobytes() == parameters.tobytes()
    assert found.metrics.tobytes() == metrics.tobytes()
    assert (found.numbers.tolist(), found.status.tolist(), found.worker) == ([3], ["failed"], ("node:7",))
    assert (found.seconds.tolist(), found.error) == ([0.25], ("no memory",))


def test_first_result_wins(tmp_path: Path, definition: Definition, rows: MakeRows) -> None:
    with StudyLog.create(tmp_path, definition) as log:
        assert log.append(rows([0, 1])) == 2
        second = replace(rows([1])[0], metrics=np.zeros(3))
        assert log.append([second, *rows([2])]) == 1
        assert log.read().metrics[1].tobytes() == rows([1])[0].metrics.tobytes()


def test_a_batch_of_arrays_is_logged_as_its_rows_are(
    tmp_path: Path, definition: Definition, rows: MakeRows
) -> None:
    one = [*rows(range(3)), replace(rows([3])[0], status="stopped", stopped=2879)]
    one.append(replace(rows([7])[0], metrics=np.full(3, np.nan), status="failed", error="no memory"))
    batch = LogBatch(
        numbers=np.array([row.number for row in one]),
        parameters=np.array([row.parameters for row in one]),
        metrics=np.array([row.metrics for row in one]),
        status=[row.status for row in one],
        worker=[row.worker for row in one],
        seconds=np.array([row.seconds for row in one]),
        error=[row.error for row in one],
        stopped=np.array([np.nan if row.stopped is None else row.stopped for row in one]),
    )
    with StudyLog.create(tmp_path / "a", definition) as a, StudyLog.create(tmp_path / "b", definition) as b:
        assert a.append(one) == b.append_batch(batch) == 5
        assert b.append_batch(batch) == 0
        for mine, theirs in zip(_stored(a), _stored(b), strict=True):
            assert mine == theirs
        with pytest.raises(ValueError, match="status 'odd'"):
            b.append_batch(replace(batch.take(np.array([1])), status=["odd"]))
        with pytest.raises(ValueError, match=r"parameters \(1, 3\) and metrics \(1, 2\) of 1 candidates"):
            b.append_batch(replace(batch.take(np.array([1])), metrics=np.zeros((1, 2))))
        assert b.count() == 5


def _stored(log: StudyLog) -> list[tuple[object, ...]]:
    query = "SELECT number, parameters, metrics, status, worker, seconds, error, stopped FROM evaluations"
    return log._connection.execute(query).fetchall()


def test_read_after_and_by_number(tmp_path: Path, definition: Definition, rows: MakeRows) -> None:
    with StudyLog.create(tmp_path, definition) as log:
        assert len(log.read()) == 0
        assert log.read().parameters.shape == (0, len(NAMES))
        assert log.last() == -1
        log.append(rows([5, 1, 9, 3]))
        assert log.read().numbers.tolist() == [1, 3, 5, 9]
        assert log.read(after=3).numbers.tolist() == [5, 9]
        assert log.read(after=1, limit=2).numbers.tolist() == [3, 5]
        assert [chunk.numbers.tolist() for chunk in log.chunks(size=3)] == [[1, 3, 5], [9]]
        assert log.rows([9, 1]).numbers.tolist() == [1, 9]
        assert (log.count(), log.last()) == (4, 9)
        with pytest.raises(StudyError, match="candidate 4 is not in the log"):
            log.rows([1, 4])


def test_wrong_row_writes_nothing(tmp_path: Path, definition: Definition, rows: MakeRows) -> None:
    with StudyLog.create(tmp_path, definition) as log:
        for wrong in (
            Evaluation(7, np.zeros(2), np.zeros(3)),
            Evaluation(7, np.zeros(3), np.zeros(4)),
            Evaluation(7, np.zeros(3), np.zeros(3), status="odd"),
        ):
            with pytest.raises(ValueError, match="candidate 7"):
                log.append([*rows([0]), wrong])
        assert log.count() == 0


def test_events_and_lags(tmp_path: Path, definition: Definition) -> None:
    with StudyLog.create(tmp_path, definition) as log:
        log.change_lag(120, 32)
        log.event("worker_lost", {"worker": "w1"})
        assert log.lags() == ((0, 8), (120, 32))
    with StudyLog.open(tmp_path) as log:
        assert [e.kind for e in log.events()] == ["created", "lag", "worker_lost"]
        with pytest.raises(StudyError, match="reading only"):
            log.event("no")
        with pytest.raises(StudyError, match="reading only"):
            log.append([])


def test_existing_and_missing_study(tmp_path: Path, definition: Definition) -> None:
    StudyLog.create(tmp_path, definition).close()
    with pytest.raises(StudyError, match="the study exists; --resume"):
        StudyLog.create(tmp_path, definition)
    with pytest.raises(StudyError, match=r"not a study: there is no study\.sqlite"):
        StudyLog.open(tmp_path / "nowhere")


def test_newer_foreign_and_damaged_files(tmp_path: Path, definition: Definition, rows: MakeRows) -> None:
    with StudyLog.create(tmp_path, definition) as log:
        log.append(rows(range(100)))
    path = tmp_path / "study.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=3")
    connection.close()
    with pytest.raises(StudyError, match="format 3, written by a newer version"):
        StudyLog.open(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id=1")
    connection.close()
    with pytest.raises(StudyError, match="not the log of a study"):
        StudyLog.open(tmp_path)
    path.write_bytes(b"not a database at all, but long enough to be read as a header" * 40)
    with pytest.raises(StudyError, match=r"study\.sqlite: damaged, or not a study"):
        StudyLog.open(tmp_path)


def old_log(folder: Path, definition: Definition, rows: list[Evaluation]) -> None:
    """A log as format 1 had it: nothing was said of stopping candidates early."""
    with StudyLog.create(folder, definition) as log:
        log.append(rows)
    with sqlite3.connect(folder / "study.sqlite") as connection:
        connection.execute("ALTER TABLE evaluations DROP COLUMN stopped")
        connection.execute("UPDATE meta SET value = json_remove(value, '$.stop_early')")
        connection.execute("PRAGMA user_version=1")
    connection.close()


def test_log_of_format_1_is_read_and_continued(
    tmp_path: Path, definition: Definition, rows: MakeRows
) -> None:
    old_log(tmp_path, definition, rows(range(3)))
    with StudyLog.open(tmp_path) as log:
        assert log.read().stopped == (None,) * 3
        assert log.definition == definition
    stopped = replace(rows([3])[0], status="stopped", stopped=2879)
    with StudyLog.open(tmp_path, write=True) as log:
        log.append([stopped])
        assert log.read().stopped == (None, None, None, 2879)
    for write in (False, True):
        with StudyLog.open(tmp_path, write=write) as log:
            assert log.read().stopped == (None, None, None, 2879)
            assert log.statuses() == {"ok": 3, "stopped": 1}


def test_two_writers(tmp_path: Path, definition: Definition) -> None:
    log = StudyLog.create(tmp_path, definition)
    message = rf"{tmp_path}: study already in use by pid {os.getpid()} on {os.uname().nodename}"
    with pytest.raises(StudyError, match=message):
        StudyLog.open(tmp_path, write=True)
    script = (
        "import sys; from passivbot.study import StudyLog; from passivbot.errors import StudyError\n"
        "try: StudyLog.open(sys.argv[1], write=True)\n"
        "except StudyError as e: print(e)\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == message
    assert holder(tmp_path) == f"pid {os.getpid()} on {os.uname().nodename}"
    log.close()
    assert holder(tmp_path) is None
    StudyLog.open(tmp_path, write=True).close()


def test_children_do_not_keep_the_lock(tmp_path: Path, definition: Definition) -> None:
    log = StudyLog.create(tmp_path, definition)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        log.close()
        StudyLog.open(tmp_path, write=True).close()
    finally:
        child.communicate(b"\n")


def test_reader_beside_writer(tmp_path: Path, definition: Definition, rows: MakeRows) -> None:
    """A reader sees whole batches only, never blocks the writer and never fails."""
    writer = StudyLog.create(tmp_path, definition)
    seen: list[int] = []
    failures: list[BaseException] = []
    stop = threading.Event()

    def follow() -> None:
        try:
            with StudyLog.open(tmp_path) as reader:
                while not stop.is_set():
                    seen.append(len(reader.read()))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    for batch in range(61):
        if batch % 20 == 0:  # on a loaded machine the reader may not get to run at all meanwhile
            while not failures and (not seen or seen[-1] < batch * 10):
                time.sleep(0.01)
        if batch < 60:
            writer.append(rows(range(batch * 10, batch * 10 + 10)))
    stop.set()
    thread.join()
    writer.close()
    assert not failures
    assert all(count % 10 == 0 for count in seen)
    assert sorted(seen) == seen
    assert {0, 200, 400, 600} <= set(seen)


WRITER = """
import sys
import numpy as np
from passivbot.study import StudyLog, Evaluation
log = StudyLog.open(sys.argv[1], write=True)
start = log.last() + 1
print("open", flush=True)
for batch in range(10**9):
    log.append(
        Evaluation(n, np.full(3, float(n)), np.full(3, -float(n)), worker="w" * 50)
        for n in range(start + batch * 7, start + batch * 7 + 7)
    )
    print(start + batch * 7 + 6, flush=True)
"""


def test_kill_9_loses_no_committed_row_and_tears_none(tmp_path: Path, definition: Definition) -> None:
    StudyLog.create(tmp_path, definition).close()
    for attempt in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(0.02 + 0.013 * attempt)
        process.send_signal(signal.SIGKILL)
        acknowledged = [int(line) for line in process.stdout.read().split("\n")[:-1]]
        process.wait()
        process.stdout.close()
        with StudyLog.open(tmp_path) as log:
            found = log.read()
        assert found.numbers.tolist() == list(range(len(found)))
        assert len(found) % 7 == 0
        assert len(found) > max(acknowledged, default=-1)
        assert np.array_equal(found.parameters, np.repeat(found.numbers[:, None], 3, 1))
        assert np.array_equal(found.metrics, -np.repeat(found.numbers[:, None], 3, 1))
    assert len(found) > 100
    check = sqlite3.connect(tmp_path / "study.sqlite")
    assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    check.close()


def test_full_disk(small_disk: Path, definition: Definition, rows: MakeRows) -> None:
    folder = small_disk / "s"
    log = StudyLog.create(folder, definition)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(300_000))
    written = 0
    failure = None
    while failure is None:
        try:
            log.append(rows(range(written, written + 50), worker="w" * 100))
            written += 50
        except ResourceError as error:
            failure = str(error)
    assert failure.startswith(f"{folder}/study.sqlite: the disk is full")
    assert written > 0
    # Nothing half-written, for this process, for a reader beside it, and after a crash.
    assert log.read().numbers.tolist() == list(range(written))
    with StudyLog.open(folder) as reader:
        assert reader.count() == written
    crashed = small_disk.parent / "crashed"
    crashed.mkdir()
    for name in ("study.sqlite", "study.sqlite-wal"):
        (crashed / name).write_bytes((folder / name).read_bytes())
    with StudyLog.open(crashed) as reader:
        assert reader.read().numbers.tolist() == list(range(written))
    # With room again the same log goes on.
    filler.unlink()
    log.append(rows(range(written, written + 50)))
    log.close()
    with StudyLog.open(folder, write=True) as log:
        assert log.count() == written + 50


def test_full_disk_at_the_start(small_disk: Path, definition: Definition) -> None:
    (small_disk / "filler").write_bytes(bytes(1 << 20))
    with pytest.raises(ResourceError, match=r"the disk is full"):
        StudyLog.create(small_disk / "s", definition)
    (small_disk / "filler").write_bytes(bytes((1 << 20) - 16384))
    with pytest.raises(ResourceError, match=r"the disk is full"):
        StudyLog.create(small_disk / "s", definition)
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_full_disk_still_opens(small_disk: Path, definition: Definition, rows: MakeRows) -> None:
    """A log whose writer was killed has no index for its WAL; with no room for one it is read from a copy."""
    log = StudyLog.create(small_disk / "s", definition)
    log.append(rows(range(20)))
    (small_disk / "t").mkdir()
    for name in ("study.sqlite", "study.sqlite-wal"):
        (small_disk / "t" / name).write_bytes((small_disk / "s" / name).read_bytes())
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "filler").write_bytes(bytes(1 << 20))
    with StudyLog.open(small_disk / "t") as reader:
        assert reader.count() == 20
    with pytest.raises(ResourceError, match="the disk is full"):
        StudyLog.open(small_disk / "t", write=True)
    log.close()


def test_read_only_mount(tmp_path: Path, definition: Definition, rows: MakeRows) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    with StudyLog.create(source / "closed", definition) as log:
        log.append(rows(range(5)))
    running = StudyLog.create(source / "running", definition)
    running.append(rows(range(7)))
    (source / "killed").mkdir()
    for name in ("study.sqlite", "study.sqlite-wal"):
        (source / "killed" / name).write_bytes((source / "running" / name).read_bytes())
    target.mkdir()
    mount(target, "--bind", "-o", "ro", str(source))
    try:
        for name, count in (("closed", 5), ("running", 7), ("killed", 7)):
            with StudyLog.open(target / name) as reader:
                assert reader.count() == count
        with pytest.raises(StudyError, match=r"study\.lock: can't be written \(Read-only file system\)"):
            StudyLog.open(target / "closed", write=True)
        with pytest.raises(StudyError, match=r"can't be written \(Read-only file system\)"):
            StudyLog.create(target / "new", definition)
        with pytest.raises(StudyError, match=r"can't be written \(Read-only file system\)"):
            StudyLog.create(target, definition)
    finally:
        unmount(target)
        running.close()


def test_failed_creation_leaves_no_log(tmp_path: Path, definition: Definition) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        StudyLog.create(tmp_path / "a" / "s", replace(definition, scenario={"fee": float("nan")}))
    assert not (tmp_path / "a" / "s").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(PassivbotError, match="file: can't be written"):
        StudyLog.create(tmp_path / "file", definition)


def test_definition_round_trip_and_differences(definition: Definition) -> None:
    again = Definition.from_json(definition.to_json(), file="f")
    assert again == definition
    assert again.difference(definition) is None
    assert again.difference(replace(definition, created="later", lag=64)) is None
    changed = json.loads(json.dumps(definition.config))
    changed["optimize"]["iters"] = 5000
    changed["_note"] = "mine"
    assert definition.difference(replace(definition, config=changed)) is None
    changed["optimize"]["scoring"] = ["adg"]
    difference = definition.difference(replace(definition, config=changed, seed=1))
    assert str(difference) == ('config.optimize.scoring is ["adg"], the study has ["adg","drawdown_worst"]')
    with pytest.raises(StudyError, match=f"studies/x: .* seed is 3, the study has {2**70 + 1}; resume"):
        definition.require_same(replace(definition, seed=3), "studies/x")
    moved = replace(definition, scenario={**definition.scenario, "candles": "elsewhere"})
    assert definition.difference(moved) is None
    assert "scenario.digest" in str(
        definition.difference(replace(definition, scenario={**moved.scenario, "digest": "d2"}))
    )
    assert "scenario.digest is absent" in str(
        definition.difference(replace(definition, scenario={"coins": ["BTC", "ETH"]}))
    )
    with pytest.raises(StudyError, match="f: the definition of the study can't be read"):
        Definition.from_json("{}", file="f")


def test_metric_names_are_part_of_the_definition(definition: Definition) -> None:
    assert definition.difference(replace(definition, metrics=METRICS[:2])) is not None
    stepped = replace(definition, space=replace(definition.space, step=(0.0, 0.5, 0.0)))
    assert Definition.from_json(stepped.to_json(), file="s") == stepped
    assert definition.difference(stepped) is not None
    older = json.loads(definition.to_json())
    del older["space"]["step"]
    assert Definition.from_json(json.dumps(older), file="s").difference(definition) is None
    # Studies from before there were longer bars ran on minutes.
    minutes = replace(definition, scenario={**definition.scenario, "interval_minutes": 1})
    assert definition.difference(minutes) is None
    longer = replace(definition, scenario={**definition.scenario, "interval_minutes": 5})
    assert str(definition.difference(longer)) == "scenario.interval_minutes is 5, the study has 1"
    assert (definition.interval_minutes, longer.interval_minutes) == (1, 5)
    assert definition.space.free == NAMES[:2]
