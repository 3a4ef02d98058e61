"""Panels of a store against ``pyarrow.parquet.read_table`` of the same files: time, and peak memory.

Called as a program with a store it builds one panel, and prints by how much memory grew at most; see
:func:`measure`.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from _bench_time import peak_beyond
from _bench_work import SHARED

from passivbot.market import CandleFolder, generate
from passivbot.market.holding import Holding, hold
from passivbot.market.panel_cache import cached_panel
from passivbot.market.panel_file import read_panel
from passivbot.market.spans import Span
from passivbot.market.store import Store
from passivbot.market.store_panel import build_store_panel

EXCHANGE = "binance"
REAL = "perp-2025-05"
"""The set of real candles; its fifteen coins that share thirty days."""
COINS, MINUTES = 50, 2 * 365 * 1440
"""The synthetic set: fifty coins, two years."""
LIMIT_TIME, LIMIT_MEMORY = 2.0, 1.3
"""Most that a panel may take: times the time of read_table, times the size of the panel."""


def bench_data(runs: int) -> list[dict[str, Any]]:
    """Return one row per set."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="passivbot-data-") as scratch:
        for name, make in (("15 coins, perp-2025-05", _real), ("50 coins x 2 years, synthetic", _synthetic)):
            print(f"{name}: making the store …", file=sys.stderr, flush=True)
            store = Store.open(Path(scratch) / name.split()[0], create=True)
            make(store)
            rows.append(_row(store, name, runs))
    return rows


def _real(store: Store) -> None:
    folder = CandleFolder.open(SHARED / "candles" / REAL)
    first, last = 1_746_373_020_000, 1_748_964_720_000  # what fifteen coins share
    for coin in folder.coins:
        table = pq.read_table(folder.file(coin))
        stamps = table.column("timestamp").to_numpy()
        if stamps[0] <= first and stamps[-1] >= last:
            store.write(EXCHANGE, coin, table, source="shared", date="2025-07-01")


def _synthetic(store: Store) -> None:
    regimes = ("calm", "trend", "crash", "late", "gap")
    for number in range(COINS):
        coin = f"C{number:02}"
        tables, _ = generate({coin: regimes[number % 5]}, seed=number, minutes=MINUTES)
        store.write(EXCHANGE, coin, tables[coin], source="synthetic", date="2025-07-01")


def _row(store: Store, name: str, runs: int) -> dict[str, Any]:
    coins = store.coins(EXCHANGE)
    files = [path for coin in coins for path in store.files(EXCHANGE, coin)]
    holdings = _held(store, coins)
    factors = dict.fromkeys(holdings, 1.0)
    size = build_store_panel(holdings, factors, start_ms=None).table.nbytes
    minutes = sum(held.minutes for held in holdings.values())

    def panel() -> pa.Table:
        return build_store_panel(_held(store, coins), factors, start_ms=None).table

    read, build = _least([lambda: pq.read_table(files), panel], runs)
    first = time.perf_counter()
    _, path = cached_panel(store, holdings, factors, start_ms=None)
    keep = time.perf_counter() - first - build
    assert path is not None
    (again,) = _least([lambda: read_panel(path)], runs)
    command = [sys.executable, str(Path(__file__).resolve()), str(store.root)]
    peak = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) / size
    return {
        "set": name,
        "files": len(files),
        "MB on disk": sum(path.stat().st_size for path in files) / 1e6,
        "panel, MB": size / 1e6,
        "read_table, s": read,
        "panel, s": build,
        "times": build / read,
        "coin-minutes, M/s": minutes / build / 1e6,
        "keep, s": max(keep, 0.0),
        "map kept, s": again,
        "peak / panel": peak,
        "met": build <= LIMIT_TIME * read and peak <= LIMIT_MEMORY,
    }


def _held(store: Store, coins: Sequence[str]) -> dict[str, Holding]:
    found = {coin: hold(store, EXCHANGE, coin, Span(0, 2**62)) for coin in coins}
    return {coin: held for coin, held in found.items() if held is not None}


def _least(acts: Sequence[Callable[[], object]], runs: int) -> list[float]:
    """Return the least wall time of each act in seconds; they take turns, and what they made is freed."""
    least = [float("inf")] * len(acts)
    for _ in range(runs):
        for index, act in enumerate(acts):
            begin = time.perf_counter()
            made = act()
            least[index] = min(least[index], time.perf_counter() - begin)
            del made
            pa.default_memory_pool().release_unused()
    return least


def measure(root: str) -> int:
    """Return by how many bytes memory grows at most while the panel of a store is built."""
    store = Store.open(root)
    coins = store.coins(EXCHANGE)
    # What is loaded once a process, not once a panel.
    first = _held(store, coins[:1])
    build_store_panel(first, dict.fromkeys(first, 1.0), start_ms=None)
    made: list[object] = []

    def act() -> None:
        holdings = _held(store, coins)
        made.append(build_store_panel(holdings, dict.fromkeys(holdings, 1.0), start_ms=None))

    return peak_beyond(act)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
