"""Long runs of the bot: random faults over many minutes, and kills at random points.

``scripts/soak live`` and ``scripts/soak kills`` run them at length, ``test_soak.py`` a seeded part.
"""

import asyncio
import contextlib
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from passivbot.exchanges.types import Failure
from passivbot.market.clean import MINUTE_MS
from passivbot.venue import MarketSource, Venue
from tests.live.rig import EAGER, Rig, VenueClock, config_of

FAULTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("create", "lost", {}),
    ("create", "unknown", {}),
    ("create", "drop", {}),
    ("create", "reverse", {}),
    ("create", "error", {"name": "server"}),
    ("create", "error", {"name": "timeout"}),
    ("create", "error", {"name": "funds"}),
    ("create", "error", {"name": "reduce_only"}),
    ("create", "limit", {"seconds": 0.05}),
    ("cancel", "lost", {}),
    ("cancel", "unknown", {}),
    ("cancel", "error", {"name": "gone"}),
    ("cancel", "error", {"name": "server"}),
    ("open_orders", "truncate", {"keep": 2}),
    ("open_orders", "repeat", {}),
    ("open_orders", "status", {"status": 502, "body": {}}),
    ("positions", "status", {"status": 502, "body": {}}),
    ("positions", "cut", {}),
    ("balance", "status", {"status": 503, "body": {}}),
    ("balance", "cut", {}),
    ("fills", "truncate", {"keep": 0}),
    ("fills", "repeat", {}),
    ("fills", "reverse", {}),
    ("candles", "truncate", {"keep": 0}),
    ("candles", "status", {"status": 502, "body": {}}),
    ("tickers", "drop", {}),
    ("*", "limit", {"seconds": 0.05}),
    ("*", "error", {"name": "maintenance"}),
    ("*", "error", {"name": "clock"}),
)
"""What goes wrong, one of these every few minutes."""

_CHECK_MINUTES = 40
_LOOKS = 6
_PART_MINUTES = 500


@dataclass
class Figures:
    """What a run came to."""

    minutes: int = 0
    cycles: int = 0
    orders: int = 0
    fills: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    checks: int = 0
    restarts: int = 0
    worst_exposure: float = 0.0
    requests_per_minute: float = 0.0
    memory_mb: list[float] = field(default_factory=list)
    seconds: float = 0.0


def twins(r: Rig) -> list[tuple[str, str, float, float]]:
    """Orders of the bot that rest twice."""
    return [key for key, times in r.resting().items() if times > 1]


async def soak(
    name: str,
    folder: Path,
    source: MarketSource,
    minutes: int,
    seed: int,
    *,
    start_minute: int = 200,
    progress: Callable[[Figures], None] = lambda _: None,
) -> Figures:
    """Trade for many minutes while things go wrong.

    After each minute: no order rests twice, exposure within its limit. Every 40 minutes the faults rest, the
    plan has to stand within some cycles, and journal and venue have to agree on every order and fill.
    """
    chance = random.Random(seed)
    figures = Figures()
    began = time.perf_counter()
    start_ms = source.first_ms + start_minute * MINUTE_MS
    config = config_of(source.coins, bot__long__n_positions=3.0, bot__short__n_positions=3.0)
    async with Venue(source, [name], start_ms=start_ms, balance=10_000.0, keep_log=1000) as venue:
        r = Rig(venue, name, venue.account(name).new_key(), folder, config, EAGER)
        venue.core(name).forget_after = 2000
        try:
            await r.start()
            while figures.minutes < minutes:
                await _minute(r, chance, figures)
                if figures.minutes % _CHECK_MINUTES == 0:
                    await _check(r, figures)
                if chance.random() < 0.002:
                    figures.restarts += 1
                    await r.start()
                if figures.minutes % _PART_MINUTES == 0:
                    figures.memory_mb.append(psutil.Process().memory_info().rss / 2**20)
                    figures.seconds = time.perf_counter() - began
                    progress(figures)
            await _check(r, figures)
            figures.memory_mb.append(psutil.Process().memory_info().rss / 2**20)
        finally:
            await r.end()
        figures.cycles, figures.orders, figures.failed = r.cycles, r.sent, len(r.failed)
        figures.requests_per_minute = sum(venue.counts.values()) / max(figures.minutes, 1)
    figures.seconds = time.perf_counter() - began
    return figures


async def _minute(r: Rig, chance: random.Random, figures: Figures) -> None:
    while chance.random() < 0.2:
        operation, kind, settings = chance.choice(FAULTS)
        r.venue.faults.add(operation, kind, times=chance.choice((1, 1, 2, 3)), **settings)
        figures.faults[f"{operation} {kind}"] += 1
    if chance.random() < 0.01:
        r.core.zero_balance_reads = chance.choice((1, 2))
        figures.faults["balance flash"] += 1
    if chance.random() < 0.1:
        r.core.partial_share = chance.choice((None, 0.5))
    figures.fills += len(r.venue.advance())
    figures.minutes += 1
    for _ in range(_LOOKS):
        report = await r.look()
        assert not twins(r), (twins(r), r.told[-5:])
        if getattr(report, "settled", False) and not getattr(report, "again", True):
            break
    assert Failure.AUTH not in r.failed
    worst = max(r.exposure().values())
    figures.worst_exposure = max(figures.worst_exposure, worst)
    assert worst <= 1.0 * (1 + r.policy.exposure_slack) + 0.02, (worst, r.told[-5:])
    del r.told[:-50]


async def _check(r: Rig, figures: Figures) -> None:
    """Let the faults rest; everything has to come right."""
    r.venue.faults.clear()
    r.core.zero_balance_reads = 0
    for _ in range(3):
        # What was refused waits for a minute.
        figures.fills += len(r.venue.advance())
        figures.minutes += 1
        for _ in range(_LOOKS):
            await r.look()
    await r.settle(40)
    resting, planned = r.resting(), r.planned()
    waiting = {key for key, _ in _held(r)}
    assert {k: v for k, v in resting.items() if k[:2] not in waiting} == {
        k: v for k, v in planned.items() if k[:2] not in waiting
    }, (resting, planned, r.told[-5:])
    r.check_orders()
    r.check_positions()
    figures.checks += 1


def _held(r: Rig) -> list[tuple[tuple[str, str], int]]:
    assert r.bot is not None
    sender = r.bot._sender
    assert sender is not None
    return [(key, 0) for key in sender.held(r.venue.clock.now_ms)]


# ---- kills


class SharedClock:
    """Market time that the process of the venue shows."""

    def __init__(self, shown: Any) -> None:
        self._shown = shown

    def now_ms(self) -> int:
        return int(self._shown.value)

    async def wait(self, seconds: float, wake: asyncio.Event) -> None:
        await asyncio.sleep(0.005)


class VenueThread:
    """A venue in a thread of its own, so that the main thread can fork bots."""

    def __init__(self, make: Callable[[], Venue]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.venue = make()
        self.do(self.venue.__aenter__())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine beside the venue and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def close(self) -> None:
        """End it."""
        self.do(self.venue.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


def _live_once(r: Rig, shown: Any) -> None:
    """A bot's whole life in a process of its own: start, then cycles until it is killed."""

    async def life() -> None:
        await r.start(clock=SharedClock(shown))
        while True:
            await r.look()

    os.close(2)
    with contextlib.suppress(BaseException):
        asyncio.run(life())
    os._exit(0)


@dataclass
class Kills:
    """What a run of kills came to."""

    kills: int = 0
    before_start: int = 0
    checks: int = 0
    adopted: int = 0
    fills: int = 0
    orders: int = 0
    seconds: float = 0.0


def kill_often(
    name: str,
    folder: Path,
    source: MarketSource,
    kills: int,
    seed: int,
    *,
    check_every: int = 5,
    longest: float = 0.8,
    progress: Callable[[Kills], None] = lambda _: None,
) -> Kills:
    """Kill the bot with SIGKILL at random points and start it again.

    After every kill no order may rest twice. After every fifth a bot in this process takes over: it has to
    adopt what rests, and journal and venue have to agree on each order, fill and position.
    """
    chance = random.Random(seed)
    figures, began = Kills(), time.perf_counter()
    context = multiprocessing.get_context("fork")
    shown = context.Value("q", source.first_ms + 200 * MINUTE_MS)
    thread = VenueThread(lambda: Venue(source, [name], start_ms=shown.value, balance=10_000.0, keep_log=1000))
    venue = thread.venue
    config = config_of(source.coins)
    r = Rig(venue, name, venue.account(name).new_key(), folder, config, EAGER)

    async def advance() -> int:
        fills = len(venue.advance())
        shown.value = venue.clock.now_ms
        return fills

    async def take_over() -> None:
        await r.start()
        before = {order.id for order in r.core.open_orders}
        await r.settle(40)
        figures.adopted += len(before & {order.id for order in r.core.open_orders})
        assert r.resting() == r.planned()
        r.check_orders()
        r.check_positions()
        await r.end()
        figures.checks += 1

    try:
        while figures.kills < kills:
            child = context.Process(target=_live_once, args=(r, shown), daemon=True)
            child.start()
            until = time.monotonic() + chance.uniform(0.02, longest)
            while time.monotonic() < until:
                time.sleep(min(chance.uniform(0.02, 0.1), max(until - time.monotonic(), 0.0)))
                figures.fills += thread.do(advance())
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            child.join(20)
            figures.kills += 1
            assert not twins(r), twins(r)
            figures.orders = len(r.core.orders)
            if figures.kills % check_every == 0:
                thread.do(take_over())
                figures.seconds = time.perf_counter() - began
                progress(figures)
        thread.do(take_over())
    finally:
        thread.close()
    figures.seconds = time.perf_counter() - began
    return figures


__all__ = ["FAULTS", "Figures", "Kills", "VenueClock", "kill_often", "soak"]
