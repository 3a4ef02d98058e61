"""Locks on files: one holder, named to the others; a glance at them keeps nobody out."""

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from passivbot.errors import LiveError
from passivbot.lock import Lock, holder


def lock(path: Path) -> Lock:
    return Lock(path, lambda other: f"taken by {other}", LiveError)


def test_one_holder_whom_the_others_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    assert holder(path) is None
    held = lock(path)
    with pytest.raises(LiveError, match=f"taken by pid {os.getpid()} on "):
        lock(path)
    assert (holder(path) or "").startswith(f"pid {os.getpid()} on ")
    held.close()
    held.close()
    assert holder(path) is None
    lock(path).close()


def test_who_only_looks_keeps_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)

    def look() -> None:
        time.sleep(0.02)
        os.close(descriptor)

    looker = threading.Thread(target=look)
    looker.start()
    lock(path).close()
    looker.join()


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(LiveError, match=r"no/a\.lock: can't be written \(No such file or directory\)"):
        lock(tmp_path / "no" / "a.lock")
