"""A download that is killed at random moments, and started again, ends with the same bytes."""

import asyncio
import random
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passivbot.market.spans import Span
from passivbot.market.store import PANELS, Store
from passivbot.times import DAY_MS, MINUTE_MS
from passivbot.venue import Venue
from tests.conftest import ROOT
from tests.download.harness import ms, stored, truth, venue_of, without

BEGIN = ms("2025-03-20")
SPAN = Span(BEGIN - DAY_MS, BEGIN + 14 * DAY_MS + 700 * MINUTE_MS)
COINS = ("BTC", "ETH")
_PATIENCE_S = 240


async def start(venue: Venue, folder: Path, root: Path, exchange: str) -> asyncio.subprocess.Process:
    words = [str(root), exchange, ",".join(COINS), *map(str, SPAN)]
    return await begin(venue, folder, words)


async def begin(venue: Venue, folder: Path, words: list[str], **more: Any) -> asyncio.subprocess.Process:
    authority = folder / "authority.pem"
    authority.write_text(venue.address.authority)
    where = ["-m", "tests.download.child", str(venue.address.port), str(authority)]
    return await asyncio.create_subprocess_exec(sys.executable, *where, *words, cwd=ROOT, **more)


def content(root: Path) -> dict[str, bytes]:
    """Every file of a store but locks."""
    files = (path for path in root.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(root)): path.read_bytes() for path in files if PANELS not in path.parts}


def readable(root: Path) -> None:
    """Whatever moment it was: each file is whole, as it was or as it will be."""
    store = Store(root)
    for exchange in store.exchanges:
        for coin in store.coins(exchange):
            store.read(exchange, coin)


@pytest.mark.parametrize(("exchange", "seed"), [("binanceusdm", 1), ("bybit", 2)])
def test_a_killed_download_resumes_to_the_same_bytes(exchange: str, seed: int, tmp_path: Path) -> None:
    """Months, days, pages, two coins, a hole; SIGKILL at seeded numbers of requests and a breath later."""
    chance = random.Random(seed)
    rows = {
        coin: without(truth(exchange, BEGIN, 15 * 1440, coin_number=i), BEGIN + 5 * DAY_MS + 7_200_000, 90)
        for i, coin in enumerate(COINS)
    }

    async def whole(venue: Venue) -> int:
        process = await start(venue, tmp_path, tmp_path / "whole", exchange)
        assert await asyncio.wait_for(process.wait(), _PATIENCE_S) == 0
        return len(venue.log)

    async def killed(venue: Venue, requests: int) -> int:
        kills = 0
        for _ in range(4):
            process = await start(venue, tmp_path, tmp_path / "killed", exchange)
            wait = asyncio.create_task(process.wait())
            stop_at = len(venue.log) + chance.randint(3, requests * 2 // 3)
            while not wait.done() and len(venue.log) < stop_at:
                await asyncio.sleep(0.002)
            await asyncio.wait([wait], timeout=chance.random() * 0.1)
            if not wait.done():
                process.kill()
                kills += 1
            await asyncio.wait_for(wait, _PATIENCE_S)
            readable(tmp_path / "killed")
        process = await start(venue, tmp_path, tmp_path / "killed", exchange)
        assert await asyncio.wait_for(process.wait(), _PATIENCE_S) == 0
        return kills

    async def run() -> int:
        async with venue_of([exchange], rows) as venue:
            requests = await whole(venue)
        async with venue_of([exchange], rows) as venue:
            return await killed(venue, requests)

    kills = asyncio.run(run())
    assert kills >= 2
    left, right = content(tmp_path / "whole"), content(tmp_path / "killed")
    assert sorted(left) == sorted(right)
    assert [name for name in left if left[name] != right[name]] == []
    store = Store(tmp_path / "killed")
    for coin in COINS:
        name = "binance" if exchange == "binanceusdm" else exchange
        inside = int((rows[coin][:, 0] < SPAN.end_ms).sum())
        assert store.read(name, coin).num_rows == inside
        assert store.missing(name, coin, *SPAN) == ()


def test_two_downloads_at_a_time_share_a_store(tmp_path: Path) -> None:
    """The same coins, side by side, in two processes: the candles are there once, and no file is torn."""
    rows = {coin: truth("bybit", BEGIN, 15 * 1440, coin_number=i) for i, coin in enumerate(COINS)}

    async def run() -> None:
        async with venue_of(["bybit"], rows) as venue:
            started = [await start(venue, tmp_path, tmp_path / "s", "bybit") for _ in range(2)]
            assert [await asyncio.wait_for(p.wait(), _PATIENCE_S) for p in started] == [0, 0]

    asyncio.run(run())
    store = Store(tmp_path / "s")
    for coin in COINS:
        inside = rows[coin][rows[coin][:, 0] < SPAN.end_ms]
        np.testing.assert_array_equal(stored(store, "bybit", coin)[:, :5], inside[:, :5])
        assert store.missing("bybit", coin, *SPAN) == ()


def test_ctrl_c_says_that_it_goes_on_from_there(tmp_path: Path) -> None:
    """SIGINT while the venue lets it wait: the pages before are in the store, exit code 130, no traceback."""
    rows = {"BTC": truth("bybit", BEGIN, 15 * 1440)}
    words = [
        "-e",
        "bybit",
        "-s",
        "BTC",
        "--from",
        "2025-03-20",
        "--to",
        "2025-04-01",
        "--store",
        str(tmp_path / "s"),
    ]

    async def run() -> tuple[int | None, str]:
        async with venue_of(["bybit"], rows) as venue:
            venue.faults.add("candles", "delay", skip=6, seconds=20.0, times=10**6)
            pipe = asyncio.subprocess.PIPE
            process = await begin(venue, tmp_path, ["command", "data", "download", *words], stderr=pipe)
            while venue.counts["bybit", "candles"] < 6 and process.returncode is None:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.5)
            process.send_signal(signal.SIGINT)
            _, said = await asyncio.wait_for(process.communicate(), _PATIENCE_S)
            return process.returncode, said.decode()

    code, said = asyncio.run(run())
    assert code == 130, said
    assert "stopped; what was fetched is in the store, and the same command goes on from there" in said
    assert "Traceback" not in said
    kept = stored(Store(tmp_path / "s"), "bybit", "BTC")
    assert len(kept) >= 1000
    np.testing.assert_array_equal(kept[:, :5], rows["BTC"][: len(kept), :5])
