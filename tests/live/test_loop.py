"""The loop around the cycles: when the next one comes, what a stream has to tell, the end."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from passivbot.live.run import begin, pause_after, run, some
from passivbot.live.watch import Report
from passivbot.times import MINUTE_MS
from tests.live.rig import BOTH, Rig, VenueClock, config_of, counts, rig

both = pytest.mark.parametrize("name", BOTH)


@pytest.mark.parametrize(
    ("began", "ended", "due"),
    [
        (20.0, 21.0, 61.5),
        (1.5, 2.0, 61.5),
        (0.4, 0.6, 1.5),  # woken before the exchange had the candle
        (0.4, 4.0, 4.0),
        (59.9, 60.5, 61.5),
        (59.9, 63.0, 63.0),  # the minute ended while it looked
        (0.0, 0.0, 61.5),  # market time, whose candles are there
    ],
)
def test_each_minute_has_a_cycle_that_sees_its_candle(began: float, ended: float, due: float) -> None:
    minute = 1_746_403_200_000

    def at(seconds: float) -> int:
        return minute + round(seconds * 1000)

    pace, clock = SimpleNamespace(wait_seconds=lambda: 0.0), SimpleNamespace(now_ms=lambda: at(ended))
    bot: Any = SimpleNamespace(parts=SimpleNamespace(pace=pace, clock=clock))
    assert pause_after(Report(), bot, at(began)) == pytest.approx(due - ended)


class Woken(VenueClock):
    """Market time that moves when the bot waits for the next minute and nothing wakes it."""

    def __init__(self, r: Rig, minutes: int, stop: asyncio.Event) -> None:
        super().__init__(r.venue)
        self.left, self.stop, self.waiting = minutes, stop, asyncio.Event()

    async def wait(self, seconds: float, wake: asyncio.Event) -> None:
        self.waiting.set()
        try:
            async with asyncio.timeout(0.5):
                await wake.wait()
                return
        except TimeoutError:
            pass
        finally:
            self.waiting.clear()
        if seconds >= MINUTE_MS / 2000:
            self.left -= 1
            self._venue.advance()
        if self.left == 0:
            self.stop.set()


@both
@pytest.mark.parametrize("silent", [False, True])
async def test_a_stream_that_tells_of_fills_is_kept(name: str, silent: bool, tmp_path: Path) -> None:
    """The bot sends nothing here, so all that the stream tells of is the fill."""
    async with rig(name, tmp_path, dry_run=True) as r:
        bot = await r.start()
        stop = asyncio.Event()
        clock = bot.parts.clock = Woken(r, 5, stop)
        task = asyncio.create_task(run(bot, stop))
        while clock.left > 4:
            await asyncio.sleep(0.02)
        await clock.waiting.wait()
        r.venue.silence_websockets(silent)
        r.core.create(client_id="", coin="BTC", side="buy", qty=0.01, price=None, position_side="long")
        async with asyncio.timeout(60):
            await task
        assert len(r.journal.fills()) == 1
        assert ("websocket" in counts(r.told)) is silent, r.told


async def test_an_end_that_is_asked_for_does_not_wait_for_the_warm_up(tmp_path: Path) -> None:
    async with rig("binanceusdm", tmp_path) as r:
        bot = await r.start(timeout_s=600.0)
        r.venue.faults.add("permissions", "delay", seconds=600.0, times=10**6)
        stop = asyncio.Event()
        task = asyncio.create_task(begin(bot, VenueClock(r.venue), stop))
        await asyncio.sleep(0.5)
        assert not task.done()
        stop.set()
        async with asyncio.timeout(60.0):
            await task
        await some(bot, 3, stop)
        await run(bot, stop)
        assert not r.core.open_orders


@pytest.mark.parametrize("cycles", [None, 5])
async def test_nor_for_the_warm_up_of_another_version(cycles: int | None, tmp_path: Path) -> None:
    """What was found until then is in the books, what rests stays, and the next start goes on."""
    async with rig("binanceusdm", tmp_path) as r:
        bot = await r.start(timeout_s=600.0)
        await r.settle()
        resting = {order.client_id for order in r.core.open_orders}
        r.core.fill(next(order.id for order in r.core.open_orders if not order.closes))
        slow = r.venue.faults.add("candles", "delay", seconds=600.0, times=10**6)
        assert r.source is not None
        r.config = config_of(bot__long__ema_span_1=150.0, live__max_warmup_minutes=150.0)
        r.source.change(r.config)
        stop = asyncio.Event()
        work = run(bot, stop, follow=False) if cycles is None else some(bot, cycles, stop)
        task = asyncio.create_task(work)
        async with asyncio.timeout(60.0):
            while not slow.met:
                await asyncio.sleep(0.02)
            assert bot.config is r.config
            assert not task.done()
            stop.set()
            await task
        assert {order.client_id for order in r.core.open_orders} < resting
        assert len(r.journal.fills()) == len(r.core.executions) == 1
        r.check_books()
        r.venue.faults.clear()
        await r.start()
        await r.settle()
        r.check()
