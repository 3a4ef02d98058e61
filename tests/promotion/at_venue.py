"""A venue in a thread of its own, so that commands that run an event loop can be called beside it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from passivbot.exchanges import Exchange, connect
from passivbot.exchanges.base import Credentials
from passivbot.times import DAY_MS
from passivbot.venue import Core, MarketSource, Venue
from passivbot.venue.account import ApiKey

T = TypeVar("T")


class AtVenue:
    """A running venue and the exchange's name that is traded there."""

    def __init__(self, venue: Venue, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.venue, self.name, self._loop = venue, name, loop
        self.key: ApiKey = venue.account(name).new_key()

    @property
    def core(self) -> Core:
        return self.venue.core(self.name)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the venue's loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def now_ms(self) -> int:
        return self.venue.clock.now_ms

    async def wait(self, seconds: float, wake: asyncio.Event) -> None:
        await asyncio.sleep(0)

    def environment(self, account: str, key: ApiKey | None = None) -> dict[str, str]:
        """The account's keys as variables."""
        key, start = key or self.key, f"PASSIVBOT_ACCOUNT_{account.upper()}"
        found = {f"{start}_EXCHANGE": self.name, f"{start}_KEY": key.key, f"{start}_SECRET": key.secret}
        return {**found, f"{start}_PASSPHRASE": key.password}

    @asynccontextmanager
    async def connect(self, name: str, credentials: Credentials | None = None) -> AsyncIterator[Exchange]:
        """In place of ``passivbot.exchanges.connect``: the same by a session that reaches only the venue."""
        session = self.venue.session()
        self.venue._sessions.remove(session)  # it belongs to the caller's loop, and is closed there
        async with session, connect(name, credentials, session=session, rate_limit_ms=1) as exchange:
            yield exchange

    def writes(self) -> list[str]:
        """Private requests that would have changed something."""
        return [line.operation for line in self.venue.seen() if line.kind == "write"]


@contextmanager
def at_venue(
    candles: Path, *, name: str = "binanceusdm", day: float = 13.0, balance: float = 10_000.0
) -> Iterator[AtVenue]:
    """A venue that replays a candle folder from some day on."""
    source = MarketSource.from_folder(candles)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="venue", daemon=True)
    thread.start()
    names: Sequence[str] = [name]
    start_ms = source.first_ms + int(day * DAY_MS)

    async def enter() -> Venue:
        return await Venue(source, names, start_ms=start_ms, balance=balance).__aenter__()

    venue = asyncio.run_coroutine_threadsafe(enter(), loop).result(60)
    try:
        yield AtVenue(venue, name, loop)
    finally:
        asyncio.run_coroutine_threadsafe(venue.__aexit__(None, None, None), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
