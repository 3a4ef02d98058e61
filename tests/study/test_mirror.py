"""A study's copy elsewhere: complete bits, whatever is cut off when; and the study back from it."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from passivbot.errors import StudyError
from passivbot.study import Definition, Evaluation, StudyLog, mirror
from passivbot.study.mirror import Mirror, Place, restore
from tests.disks import mount, unmount

MakeRows = Callable[..., list[Evaluation]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "SECONDS", 0.05)
    monkeypatch.setattr(mirror, "_COST", 0.5)


def stored(log: StudyLog) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """All of a log but what tells where it has been."""
    connection = log._connection
    return (
        connection.execute("SELECT * FROM evaluations ORDER BY number").fetchall(),
        connection.execute("SELECT at, kind, payload FROM events WHERE kind != 'restored'").fetchall(),
    )


def restored(uri: str, folder: Path) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    found, count = restore(uri, folder)
    assert found == folder
    with StudyLog.open(folder) as log:
        assert log.count() == count
        return stored(log)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_mirror_has_every_bit_and_event(tmp_path: Path, definition: Definition, rows: MakeRows) -> None:
    said: list[str] = []
    uri = f"file://{tmp_path}/mirrors/a"
    with StudyLog.create(tmp_path / "a", definition) as log:
        keeping = Mirror(log, uri, said.append)
        odd = replace(rows([3])[0], metrics=np.array([np.nan, -0.0, 5e-324]), status="failed", error="ill €")
        log.append([*rows([0, 1, 5]), odd])
        wait_for(lambda: bool(Place(uri).files("rows")))
        log.change_lag(6, 12)
        log.append([replace(rows([4])[0], status="stopped", stopped=2879)])
        log.append(rows([2]))
        keeping.close()
        assert restored(uri, tmp_path / "b") == stored(log)
        assert keeping.uri == uri
    assert not said
    with StudyLog.open(tmp_path / "b", write=True) as log:
        assert log.definition == definition
        assert log.lags() == ((0, 8), (6, 12))
        assert log.append(rows([3, 6])) == 1
        assert log.events()[-1].kind == "restored"


def test_small_files_become_one(
    tmp_path: Path, definition: Definition, rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "_MERGE", 4)
    monkeypatch.setattr(mirror, "_AT_ONCE", 10)
    uri = str(tmp_path / "m")
    with StudyLog.create(tmp_path / "a", definition) as log:
        keeping = Mirror(log, uri, print)
        for start in range(0, 300, 30):
            log.append(rows(range(start, start + 30)))
            time.sleep(0.06)
        keeping.close()
        files = Place(uri).files("rows")
        assert 1 <= len(files) <= 7
        assert sum(len(Place(uri).table(name)) for name in files) == 300
        assert restored(uri, tmp_path / "b") == stored(log)


def test_a_mirror_is_continued_by_the_next_run(
    tmp_path: Path, definition: Definition, rows: MakeRows
) -> None:
    uri = str(tmp_path / "m")
    with StudyLog.create(tmp_path / "a", definition) as log:
        keeping = Mirror(log, uri, print)
        log.append(rows([0, 1, 4]))
        keeping.close()
        log.append(rows([2]))
    with StudyLog.open(tmp_path / "a", write=True) as log:
        keeping = Mirror(log, uri, print)
        keeping.close()
        files = Place(uri).files("rows")
        assert [len(Place(uri).table(name)) for name in files] == [3, 1]
        assert restored(uri, tmp_path / "b") == stored(log)


def test_what_is_no_mirror_or_another_studys_is_refused(
    tmp_path: Path, definition: Definition, rows: MakeRows
) -> None:
    uri = str(tmp_path / "m")
    with StudyLog.create(tmp_path / "a", definition) as log:
        Mirror(log, uri, print).close()
        with pytest.raises(StudyError, match="pole://x/y: not a place for a mirror"):
            Mirror(log, "pole://x/y", print)
    with StudyLog.create(tmp_path / "other", replace(definition, seed=5)) as log:
        with pytest.raises(StudyError, match="holds the mirror of another study"):
            Mirror(log, uri, print)
        (tmp_path / "file").write_text("")
        with pytest.raises(StudyError, match="file/m: the mirror can't be reached"):
            Mirror(log, str(tmp_path / "file" / "m"), print)
    with pytest.raises(StudyError, match=r"nowhere: no mirror of a study: there is no mirror\.json"):
        restore(str(tmp_path / "nowhere"), tmp_path / "b")
    with pytest.raises(StudyError, match="other: the study exists"):
        restore(uri, tmp_path / "other")
    head = tmp_path / "m" / "mirror.json"
    head.write_text(head.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(StudyError, match="has format 2, written by a newer version"):
        restore(uri, tmp_path / "b")
    head.write_text("{}")
    with pytest.raises(StudyError, match=r"mirror\.json: not of a mirror"):
        restore(uri, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_damaged_mirror_leaves_no_study(tmp_path: Path, definition: Definition, rows: MakeRows) -> None:
    uri = str(tmp_path / "m")
    with StudyLog.create(tmp_path / "a", definition) as log:
        keeping = Mirror(log, uri, print)
        log.append(rows(range(50)))
        keeping.close()
    [name] = Place(uri).files("rows")
    whole = (tmp_path / "m" / name).read_bytes()
    (tmp_path / "m" / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StudyError, match="the mirror can't be reached"):
        restore(uri, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_full_place_is_named_and_caught_up_with_later(
    tmp_path: Path, small_disk: Path, definition: Definition, rows: MakeRows
) -> None:
    said: list[str] = []
    uri = str(small_disk / "m")
    with StudyLog.create(tmp_path / "a", definition) as log:
        keeping = Mirror(log, uri, said.append)
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        log.append(rows(range(500)))
        wait_for(lambda: bool(said))
        assert f"mirror {uri}: can't be written, trying again: " in said[0]
        ballast.unlink()
        wait_for(lambda: len(said) > 1)
        assert said[1:] == [f"mirror {uri}: up to date again"]
        keeping.close()
        assert len(said) == 2
        assert restored(uri, tmp_path / "b") == stored(log)
        assert not list((small_disk / "m" / "rows").glob("*.part"))


def test_a_place_that_is_gone_does_not_hold_up_the_end(
    tmp_path: Path, definition: Definition, rows: MakeRows
) -> None:
    said: list[str] = []
    target = tmp_path / "share"
    target.mkdir()
    mount(target, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
    with StudyLog.create(tmp_path / "a", definition) as log:
        try:
            keeping = Mirror(log, str(target / "m"), said.append)
            mount(target, "-o", "remount,ro", "tmpfs")
            log.append(rows(range(5)))
            keeping.close()
        finally:
            unmount(target)
    assert "can't be written, trying again" in said[0]
    assert said[-1].endswith(f"not up to date; the study itself is complete in {tmp_path / 'a'}")


WRITER = """
import sys
import numpy as np
from passivbot.study import Evaluation, StudyLog, mirror
mirror.SECONDS, mirror._COST, mirror._MERGE = 0.02, 0.1, 5
log = StudyLog.open(sys.argv[1], write=True)
keeping = mirror.Mirror(log, sys.argv[2], print)
last = log.last()
for batch in range(10**9):
    # the later ones of a batch first, as results come in
    first = last + 1 + batch * 7
    for part in (range(first + 4, first + 7), range(first, first + 4)):
        log.append(Evaluation(n, np.full(3, float(n)), np.full(3, -float(n))) for n in part)
    if batch == 3:
        print("open", flush=True)
"""


def test_kill_9_at_any_time_leaves_a_mirror_to_go_on_from(tmp_path: Path, definition: Definition) -> None:
    """The writer and its folder are lost each time; the study goes on from the mirror."""
    uri = str(tmp_path / "m")
    folder = tmp_path / "s"
    StudyLog.create(folder, definition).close()
    before = -1
    for attempt in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, folder, uri], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        files = len(Place(uri).files("rows"))
        wait_for(lambda files=files: len(Place(uri).files("rows")) != files)  # type: ignore[misc]
        time.sleep(0.05 + 0.037 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        shutil.rmtree(folder)
        restore(uri, folder)
        with StudyLog.open(folder) as log:
            found = log.read()
            assert found.numbers[-1] > before
            before = int(found.numbers[-1])
            # what a candidate may depend on is there before it: no more than a batch is out of order
            assert len(found) >= before + 1 - 7 * (attempt + 1)
            assert (found.parameters[:, 0] == found.numbers).all()
            assert (found.metrics[:, 0] == -found.numbers).all()


def test_writer_does_not_wait_for_the_mirror(tmp_path: Path, definition: Definition, rows: MakeRows) -> None:
    """A place that does not answer keeps nothing from being logged."""
    release = threading.Event()

    class Stuck(Place):
        def write(self, name: str, content: object) -> None:
            if name.startswith("rows"):
                release.wait(60)
            super().write(name, content)  # type: ignore[arg-type]

    with StudyLog.create(tmp_path / "a", definition) as log:
        keeping = Mirror(log, str(tmp_path / "m"), print)
        keeping._place = Stuck(str(tmp_path / "m"))
        for start in range(0, 500, 50):
            log.append(rows(range(start, start + 50)))
        assert log.count() == 500
        assert not release.is_set()
        release.set()
        keeping.close()
        assert restored(str(tmp_path / "m"), tmp_path / "b") == stored(log)
