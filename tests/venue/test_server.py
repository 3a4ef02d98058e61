"""The venue's server: TLS, names, faults, the log; with plain HTTP clients and with real ccxt."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import numpy as np
import pytest

from passivbot.exchanges import ExchangeFault, connect
from passivbot.exchanges.types import Failure, OpenOrder
from passivbot.times import MINUTE_MS
from passivbot.venue import Venue
from passivbot.venue.market import Clock, MarketSource, VenueMarket
from tests.exchanges.bench import RULES, START_MS, Bench, bench, flat_source

URL = "https://fapi.binance.com/fapi/v1/time"


def at_venue(action: Callable[[Venue], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        async with Venue(flat_source("binanceusdm", 2000), **settings) as venue:
            await action(venue)

    asyncio.run(run())


def at_bench(action: Callable[[Bench], Awaitable[None]], name: str = "binanceusdm") -> None:
    async def run() -> None:
        async with bench(name) as table:
            await action(table)

    asyncio.run(run())


def test_a_session_reaches_the_venue_and_nothing_else() -> None:
    async def action(venue: Venue) -> None:
        session = venue.session()
        async with session.get(URL) as reply:
            assert reply.status == 200
        for other in ("https://api.bybit.com/v5/market/time", "https://example.com/"):
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(other)

    at_venue(action)


def test_nobody_else_trusts_its_certificate() -> None:
    async def action(venue: Venue) -> None:
        port = venue.address.port
        context = ssl.create_default_context()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="fapi.binance.com")
        own = ssl.create_default_context(cadata=venue.address.authority)
        # And who trusts its authority takes only the names it was made for.
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=own, server_hostname="api.bybit.com")

    at_venue(action)


def test_what_is_not_there_is_not_found_and_said() -> None:
    async def action(venue: Venue) -> None:
        async with venue.session().get("https://fapi.binance.com/fapi/v1/nothing") as reply:
            assert reply.status == 404
            assert "no GET /fapi/v1/nothing" in await reply.text()

    at_venue(action)


def test_faults_meet_the_requests_they_fit_and_are_logged() -> None:
    async def action(venue: Venue) -> None:
        session = venue.session()
        venue.faults.add("time", "status", status=503, skip=1, times=2)
        venue.faults.add("markets", "status", status=500)
        statuses = []
        for _ in range(4):
            async with session.get(URL) as reply:
                statuses.append(reply.status)
        assert statuses == [200, 503, 503, 200]
        assert [line.fault for line in venue.seen("time")] == ["", "status", "status", ""]
        assert [fault.operation for fault in venue.faults.waiting] == ["markets"]
        assert venue.counts["binanceusdm", "time"] == 4

    at_venue(action)


@pytest.mark.parametrize("name", ["binanceusdm", "bybit"])
def test_lost_is_carried_out_and_dropped_is_not(name: str) -> None:
    async def action(b: Bench) -> None:
        b.venue.faults.add("create", "lost")
        assert (await b.place(1)).failure is Failure.UNKNOWN
        b.venue.faults.add("create", "drop")
        assert (await b.place(2)).failure is Failure.UNKNOWN
        assert [b.exchange.decode_id(o.client_id) for o in b.core.open_orders] == [b.new(1).client_id]

    at_bench(action, name)


@pytest.mark.parametrize("name", ["binanceusdm", "bybit"])
def test_late_is_done_at_once_and_delayed_is_done_late(name: str) -> None:
    async def action(b: Bench) -> None:
        for kind, placed in (("late", 1), ("delay", 0)):
            b.venue.faults.add("create", kind, seconds=1.5)
            task = asyncio.create_task(b.place(1 if kind == "late" else 2))
            for _ in range(100):  # until the request has arrived
                if len(b.venue.faults.done) == (1 if kind == "late" else 2):
                    break
                await asyncio.sleep(0.02)
            assert len(b.core.open_orders) == placed + (kind == "delay"), kind
            assert (await task).ok
        assert len(b.core.open_orders) == 2

    at_bench(action, name)


@pytest.mark.parametrize("name", ["binanceusdm", "bybit"])
def test_lists_come_truncated_and_doubled(name: str) -> None:
    async def action(b: Bench) -> None:
        await b.exchange.create([b.new(number) for number in range(1, 6)])
        b.venue.faults.add("open_orders", "truncate", keep=2)
        assert len(await b.exchange.open_orders()) == 2
        b.venue.faults.add("open_orders", "repeat")
        doubled = await b.exchange.open_orders()
        assert len(doubled) == 10
        assert len({order.id for order in doubled}) == 5
        assert len(await b.exchange.open_orders()) == 5

    at_bench(action, name)


@pytest.mark.parametrize("name", ["binanceusdm", "bybit"])
def test_the_balance_flashes(name: str) -> None:
    async def action(b: Bench) -> None:
        b.core.zero_balance_reads = 2
        read = [(await b.exchange.balance()).wallet for _ in range(3)]
        assert read == [0.0, 0.0, 100_000.0]

    at_bench(action, name)


@pytest.mark.parametrize("name", ["binanceusdm", "bybit"])
def test_revoked_unlisted_and_read_only_keys_are_turned_away(name: str) -> None:
    async def action(b: Bench) -> None:
        for spoil in ("revoked", "listed"):
            setattr(b.key, spoil, spoil == "revoked")
            with pytest.raises(ExchangeFault) as refused:
                await b.exchange.balance()
            assert refused.value.failure is Failure.AUTH
            setattr(b.key, spoil, spoil != "revoked")
        b.key.permissions = frozenset({"read"})
        assert (await b.exchange.balance()).wallet == 100_000.0
        assert (await b.place(1)).failure is Failure.AUTH
        cancelled = await b.exchange.cancel([OpenOrder("1", "", "BTC", "long", 1.0, 1.0)])
        assert cancelled[0].failure is Failure.AUTH
        assert b.core.open_orders == []

    at_bench(action, name)


@pytest.mark.parametrize("name", ["binanceusdm", "bybit"])
def test_silent_and_expired_streams_say_nothing_until_opened_anew(name: str) -> None:
    async def action(b: Bench) -> None:
        heard: list[str] = []

        async def follow() -> None:
            async for hint in b.exchange.watch():
                heard.append(hint.kind)

        async def hears(number: int, seconds: float = 1.0) -> bool:
            heard.clear()
            await b.place(number)
            for _ in range(int(seconds / 0.05)):
                if "order" in heard:
                    return True
                await asyncio.sleep(0.05)
            return False

        async def comes_back(number: int) -> bool:
            for attempt in range(20):
                if await hears(number + attempt):
                    return True
            return False

        task = asyncio.create_task(follow())
        try:
            assert await comes_back(100)
            b.venue.silence_websockets()
            assert not await hears(200)
            b.venue.silence_websockets(on=False)
            assert await comes_back(300)
            b.dialect.expire_stream_keys()
            assert not await hears(400)
            await b.exchange.resubscribe()
            assert await comes_back(500)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    at_bench(action, name)


def test_two_exchanges_share_market_and_clock_but_not_the_account() -> None:
    async def action(venue: Venue) -> None:
        key = venue.account("bybit").new_key()
        credentials = {"apiKey": key.key, "secret": key.secret}
        async with connect("bybit", credentials, session=venue.session(), rate_limit_ms=1) as there:
            outcome = await there.create([_market_order()])
            assert outcome[0].ok
        assert len(venue.core("bybit").positions) == 1
        assert venue.core("binanceusdm").positions == {}
        before = venue.clock.now_ms
        venue.advance(3)
        assert venue.clock.now_ms == before + 3 * MINUTE_MS

    at_venue(action, exchanges=("binanceusdm", "bybit"), start_ms=START_MS + 10 * MINUTE_MS)


def _market_order() -> Any:
    from passivbot.exchanges.types import NewOrder

    return NewOrder("0" * 28, "BTC", "long", 0.01, None)


def test_market_time_moves_by_whole_minutes_and_shows_no_future() -> None:
    times = START_MS + MINUTE_MS * np.arange(5, dtype=np.float64)
    rows = np.stack([times, *(np.full(5, x) for x in (10.0, 12.0, 9.0, 11.0, 3.0))], axis=1)
    source = MarketSource([VenueMarket("BTC", RULES["BTC"])], {"BTC": rows})
    clock = Clock(START_MS + 2 * MINUTE_MS + 123)
    assert clock.now_ms == START_MS + 2 * MINUTE_MS
    seen = source.seen("BTC", clock.now_ms, START_MS, START_MS + 10 * MINUTE_MS)
    assert len(seen) == 3
    assert list(seen[-1, 1:]) == [10.0, 10.0, 10.0, 10.0, 0.0], (
        "the running minute as it stands at its beginning"
    )
    more = rows.copy()
    more[:, 0] += 5 * MINUTE_MS
    source.append("BTC", np.concatenate([rows[-1:], more]))
    assert source.last_ms == START_MS + 9 * MINUTE_MS
    assert len(source.candles("BTC", START_MS, START_MS + 100 * MINUTE_MS)) == 10
