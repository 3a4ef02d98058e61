"""Candles as files: fetched once a machine, whole or not at all, and read where they are mapped."""

import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cluster.panels import KEPT_SECONDS, MappedCandles, require_place
from passivbot.disk import PART
from passivbot.errors import CandleError, ResourceError
from tests.disks import mount, unmount

ROWS = 20_000
TABLE = pa.table({"timestamp": np.arange(ROWS), "A.high": np.arange(ROWS) / 3.0})
TABLES = pa.table({"numbers": pa.array([[1.0, 2.0], [3.0]])})
BTC = np.arange(ROWS) * 1.5


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Caches":
    return Caches(tmp_path, monkeypatch)


class Caches:
    """Caches of several machines, in one of which this process works."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._monkeypatch = folder, monkeypatch
        self.store = folder / "store"

    def on(self, machine: str) -> Path:
        self._monkeypatch.setenv("PASSIVBOT_CACHE", str(self.folder / machine))
        return self.folder / machine / "panels"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


@pytest.mark.parametrize("uri", [False, True])
def test_another_machine_reads_the_same_bytes(caches: Caches, uri: bool) -> None:
    store = caches.store.as_uri() if uri else str(caches.store)
    head = caches.on("head")
    candles = MappedCandles.place(TABLE, BTC, TABLES, store)
    assert len(names(head)) == 3
    assert names(caches.store) == names(head)
    node = caches.on("node")
    table, btc_usd, tables = candles.read()
    assert names(node) == names(head)
    assert table.equals(TABLE)
    assert tables.equals(TABLES)
    assert btc_usd is not None
    assert np.array_equal(btc_usd, BTC)
    assert not btc_usd.flags.writeable
    for column in table.columns:
        assert column.num_chunks == 1
        assert column.chunk(0).buffers()[1].address % 8 == 0
    assert candles.nbytes == TABLE.nbytes + BTC.nbytes + TABLES.nbytes


def test_without_a_store_only_the_machine_itself_has_them(caches: Caches) -> None:
    caches.on("head")
    candles = MappedCandles.place(TABLE, None, TABLES, None)
    assert candles.read()[1] is None
    caches.on("node")
    with pytest.raises(CandleError, match=r"\.arrow: is missing, and no place .*--panels"):
        candles.read()


@pytest.mark.parametrize("damage", ["shortened", "altered", "missing"])
def test_damaged_file_is_not_taken(caches: Caches, damage: str) -> None:
    caches.on("head")
    candles = MappedCandles.place(TABLE, None, TABLES, str(caches.store))
    path = caches.store / candles.table.name
    if damage == "shortened":
        os.truncate(path, 1000)
    elif damage == "altered":
        with path.open("r+b") as file:
            file.seek(5000)
            file.write(b"other")
    else:
        path.unlink()
    node = caches.on("node")
    message = "can't be fetched" if damage == "missing" else "is damaged: .* bytes of SHA-256"
    with pytest.raises(CandleError, match=message):
        candles.read()
    assert candles.table.name not in names(node)
    assert not [name for name in names(node) if name.endswith(PART)]


def test_half_a_file_in_the_cache_is_fetched_again(caches: Caches) -> None:
    caches.on("head")
    candles = MappedCandles.place(TABLE, None, TABLES, str(caches.store))
    node = caches.on("node")
    candles.read()
    os.truncate(node / candles.table.name, 100)
    (node / f".{candles.table.name}.1{PART}").write_bytes(b"what a killed worker left")
    assert candles.read()[0].equals(TABLE)
    assert not [name for name in names(node) if name.endswith(PART)]


def _fetch(candles: MappedCandles, store: Path, results: "multiprocessing.Queue[int]") -> None:
    table, _, _ = candles.read()
    for path in store.iterdir():
        path.unlink(missing_ok=True)
    results.put(table.num_rows)


def test_workers_of_a_machine_fetch_once(caches: Caches) -> None:
    """The store is emptied as soon as one of them has read: nobody could fetch a second time."""
    caches.on("head")
    candles = MappedCandles.place(TABLE, BTC, TABLES, str(caches.store))
    node = caches.on("node")
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_fetch, args=(candles, caches.store, results)) for _ in range(4)]
    for process in processes:
        process.start()
    try:
        assert [results.get(timeout=60) for _ in processes] == [ROWS] * 4
    finally:
        for process in processes:
            process.join(60)
    assert len(names(node)) == 3


def test_what_nobody_used_for_long_is_removed(caches: Caches) -> None:
    head = caches.on("head")
    old = MappedCandles.place(TABLE, None, TABLES, None)
    long_ago = time.time() - KEPT_SECONDS - 60
    os.utime(head / old.table.name, (long_ago, long_ago))
    new = MappedCandles.place(TABLE.slice(0, 10), None, TABLES, None)
    assert names(head) == sorted([new.table.name, new.prepared.name])


def test_same_candles_are_uploaded_once(caches: Caches) -> None:
    caches.on("head")
    candles = MappedCandles.place(TABLE, None, TABLES, str(caches.store))
    before = (caches.store / candles.table.name).stat()
    assert MappedCandles.place(TABLE, None, TABLES, str(caches.store)) == candles
    assert (caches.store / candles.table.name).stat().st_ino == before.st_ino


@pytest.mark.parametrize("place", ["nothing://here", "/proc/panels"])
def test_place_that_cannot_be_written_is_refused_at_once(place: str) -> None:
    with pytest.raises(CandleError, match=f"--panels {place}: can't be written"):
        require_place(place)


def test_full_disk_of_a_node_is_said_and_leaves_nothing(caches: Caches, tmp_path: Path) -> None:
    caches.on("head")
    candles = MappedCandles.place(TABLE, None, TABLES, str(caches.store))
    disk = tmp_path / "node"
    disk.mkdir()
    mount(disk, "-t", "tmpfs", "-o", "size=64k", "tmpfs")
    try:
        node = caches.on("node")
        with pytest.raises(ResourceError, match="the disk is full"):
            candles.read()
        assert names(node) == []
    finally:
        unmount(disk)
