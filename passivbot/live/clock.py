"""Time as the bot sees it, and waiting that something can cut short."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Protocol

from passivbot.times import MINUTE_MS

_STEP_SECONDS = 0.5


class Clock(Protocol):
    """What the bot asks for the time: the wall's, or that of a market that is replayed."""

    def now_ms(self) -> int:
        """Return the market's time, UTC ms."""
        ...

    async def wait(self, seconds: float, wake: asyncio.Event) -> None:
        """Wait, or until ``wake`` is set."""
        ...


class WallClock:
    """Real time as the exchange has it: by a clock that is ahead, minutes would be over too soon."""

    def __init__(self) -> None:
        self.ahead_ms = 0
        """How far this machine's clock is ahead of the exchange's."""
        self._offset = _offset()

    def measured(self, ahead_ms: int) -> None:
        """Go by what was measured just now."""
        self.ahead_ms, self._offset = ahead_ms, _offset()

    @property
    def stepped(self) -> bool:
        """Whether this machine's clock was set, or the machine slept, since that was measured."""
        return abs(_offset() - self._offset) > _STEP_SECONDS

    def now_ms(self) -> int:
        """Return UTC ms."""
        return int(time.time() * 1000) - self.ahead_ms

    async def wait(self, seconds: float, wake: asyncio.Event) -> None:
        """Wait, or until ``wake`` is set."""
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await wake.wait()
        except TimeoutError:
            pass


def _offset() -> float:
    """Return what only a step of the wall's clock changes."""
    return time.time() - time.monotonic()


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Await ``work``, or cancel it as soon as ``stop`` is set; tell whether it was done."""
    tasks = [asyncio.create_task(work), asyncio.create_task(stop.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if tasks[0].cancelled():
        return False
    tasks[0].result()
    return True


def minute_of(ms: int) -> int:
    """Return the start of the minute."""
    return ms // MINUTE_MS * MINUTE_MS
