"""The estimate before a run, and its refusals."""

from collections import namedtuple
from pathlib import Path

import pytest

from cluster import memory
from cluster.memory import LIMIT_VARIABLE, Estimate, available_memory, plasma_folder
from passivbot.errors import ResourceError


def estimate(candles: int = 10**9, workers: int = 4) -> Estimate:
    return Estimate.of(candles=candles, bars=500_000, workers=workers, budget=100_000, width=80, local=True)


def test_candles_count_once_and_workers_each() -> None:
    assert estimate(2 * 10**9).total - estimate(10**9).total == 10**9
    assert estimate(workers=5).total - estimate(workers=4).total == estimate().worker
    assert estimate().object_store > 10**9


def test_what_fits_is_let_through() -> None:
    estimate().require(estimate().total)


def test_refusal_has_the_figures_and_what_would_fit() -> None:
    needed = estimate()
    with pytest.raises(ResourceError) as caught:
        needed.require(needed.total - 1)
    message = str(caught.value)
    assert "candles 1.0 GB once" in message
    assert "4 workers of" in message
    assert "--workers 3 would fit" in message
    with pytest.raises(ResourceError, match="fewer coins or a shorter window"):
        needed.require(10**6)


def test_limit_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, "123456")
    assert available_memory() == 123456
    monkeypatch.setenv(LIMIT_VARIABLE, "2 GB")
    with pytest.raises(ResourceError, match=f"{LIMIT_VARIABLE} is '2 GB'; allowed is a number of bytes"):
        available_memory()


def test_limit_of_the_control_group_counts(tmp_path: Path) -> None:
    assert memory._control_group(tmp_path) == []
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert memory._control_group(tmp_path) == [600000]
    # Pages of files that nobody uses any more are free for whoever wants them.
    (tmp_path / "memory.stat").write_text("anon 100000\ninactive_file 250000\nactive_file 50000\n")
    assert memory._control_group(tmp_path) == [850000]
    (tmp_path / "memory.stat").unlink()
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._control_group(tmp_path) == []


def test_limit_of_an_older_kernel_s_control_group_counts(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("1000000\n")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text("900000\n")
    (tmp_path / "memory" / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 300000\n")
    assert memory._control_group(tmp_path) == [400000]


def test_store_goes_where_there_is_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Room of the two folders as in a container; statvfs is the one thing that can't be had for real here."""
    shared, temporary = tmp_path / "shm", tmp_path / "tmp"
    room = {shared: 64 * 2**20, temporary: 10**9}
    found = namedtuple("found", "f_bavail f_frsize")
    monkeypatch.setattr(memory.tempfile, "gettempdir", lambda: str(temporary))
    monkeypatch.setattr(memory.os, "statvfs", lambda folder: found(room[Path(folder)], 1))
    assert plasma_folder(10**6, shared) is None
    assert plasma_folder(10**8, shared) == temporary
    with pytest.raises(ResourceError, match=r"needs 2\.0 GB; .*67 MB free.*--shm-size"):
        plasma_folder(2 * 10**9, shared)
