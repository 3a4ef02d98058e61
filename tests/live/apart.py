"""A bot in a process of its own, so that its memory is its own: told when to start and to look, by a pipe.

It is watched as ``passivbot live`` is (log, metrics, status), follows the exchange's stream, and has the time
that it is told.
"""

import asyncio
import contextlib
import gc
import multiprocessing
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import aiohttp
import psutil

from passivbot.config import Config
from passivbot.exchanges import ExchangeFault
from passivbot.exchanges.types import Failure
from passivbot.live.run import Hints
from passivbot.live.watch import Report
from passivbot.ops.run import Settings, operating
from passivbot.venue.account import ApiKey
from passivbot.venue.reach import Address
from tests.live.rig import ACCOUNT, EAGER, Rig

OrderKey = tuple[str, str, float, float]
"""Coin, side, signed quantity, price."""

_ATTEMPTS = 10


@dataclass
class Told:
    """Time that was told."""

    now_ms: int = 0


@dataclass
class AwayVenue:
    """What a rig needs of a venue that is in another process."""

    address: Address
    clock: Told = field(default_factory=Told)
    open: list[aiohttp.ClientSession] = field(default_factory=list)

    def session(self, **settings: object) -> aiohttp.ClientSession:
        """Return a session that reaches it."""
        self.open.append(self.address.session(**settings))
        return self.open[-1]

    async def leave(self) -> None:
        """Close the sessions, as the end of a bot's life does."""
        while self.open:
            await self.open.pop().close()


@dataclass(frozen=True)
class Look:
    """What a bot says after a cycle."""

    report: Report | None
    failure: Failure | None
    told: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Plan:
    """What a bot wants to rest, and where it waits."""

    orders: Mapping[OrderKey, int]
    held: frozenset[tuple[str, str]]


class BotApart:
    """The bot, from outside.

    Parameters
    ----------
    address
        Of the venue.
    name
        Of the exchange.
    key
        Of the account.
    folder
        ``journal`` is its journal.
    config
        What it trades.
    """

    def __init__(self, address: Address, name: str, key: ApiKey, folder: Path, config: Config) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=_live, args=(other, address, name, key, folder, config.to_dict()), daemon=True
        )
        self.folder = folder / "bots" / ACCOUNT

    async def __aenter__(self) -> Self:
        self._process.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._pipe.send(("end", 0))
        await asyncio.to_thread(self._process.join, 20)
        self._process.kill()

    async def start(self, now_ms: int) -> None:
        """Start, or start again as after a break: all is made anew."""
        await self._ask("start", now_ms)

    async def look(self, now_ms: int) -> Look:
        """Let it run a cycle."""
        found: Look = await self._ask("look", now_ms)
        return found

    async def plan(self, now_ms: int) -> Plan:
        """Return what its last plan was."""
        found: Plan = await self._ask("plan", now_ms)
        return found

    def memory_mb(self) -> float:
        """Return the memory that would be free without it, MiB."""
        return float(psutil.Process(self._process.pid).memory_full_info().uss) / 2**20

    async def _ask(self, what: str, now_ms: int) -> Any:
        self._pipe.send((what, now_ms))
        answer = await asyncio.to_thread(self._pipe.recv)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _live(
    pipe: Connection, address: Address, name: str, key: ApiKey, folder: Path, config: dict[str, Any]
) -> None:
    venue = AwayVenue(address)
    rig = Rig(venue, name, key, folder, Config.from_dict(config), EAGER)  # type: ignore[arg-type]
    asyncio.run(_serve(pipe, rig, venue))


async def _serve(pipe: Connection, r: Rig, venue: AwayVenue) -> None:
    settings = Settings(root=r.folder, console=None)
    async with operating(ACCOUNT, "soak", settings) as ops, contextlib.AsyncExitStack() as stream:
        r.folder, r.ops = ops.folder, ops
        while True:
            what, now_ms = await asyncio.to_thread(pipe.recv)
            if what == "end":
                break
            venue.clock.now_ms = now_ms
            answer: object = None
            try:
                if what == "start":
                    await stream.aclose()
                    await _start(r, venue, stream)
                elif what == "look":
                    answer = await _look(r)
                else:
                    assert r.bot is not None
                    assert r.bot._sender is not None
                    answer = Plan(r.planned(), frozenset(r.bot._sender.held(now_ms)))
            except Exception as error:
                answer = error
            pipe.send(answer)
        await stream.aclose()
        await r.end()
        await venue.leave()


async def _start(r: Rig, venue: AwayVenue, stream: contextlib.AsyncExitStack) -> None:
    for attempt in range(_ATTEMPTS):
        await r.end()
        await venue.leave()
        r.forget()
        gc.collect()  # as between two lives of the real loop
        try:
            bot = await r.start()
            break
        except ExchangeFault:
            if attempt == _ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.1)
    task = asyncio.create_task(Hints(bot.parts.exchange, bot.parts.watch, asyncio.Event()).follow())

    async def leave() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stream.push_async_callback(leave)


async def _look(r: Rig) -> Look:
    found = await r.look()
    told = tuple(r.told[-5:])
    del r.told[:-50], r.failed[:]
    if isinstance(found, Report):
        return Look(found, None, told)
    return Look(None, found.failure, told)
