"""The bot, killed at random points: ``scripts/soak kills`` at length, ``test_soak.py`` a seeded part."""

import asyncio
import contextlib
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passivbot.times import MINUTE_MS
from passivbot.venue import MarketSource, Venue
from tests.live.rig import EAGER, Rig, config_of, twins


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
