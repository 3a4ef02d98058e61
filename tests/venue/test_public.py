"""The public dialects through the real, unpatched client library, over TLS, at the exchanges' URLs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt.async_support as ccxt
import numpy as np
import pytest

from passivbot.engine import MarketRules
from passivbot.market.clean import Floats
from passivbot.market.synthetic import generate
from passivbot.times import DAY_MS, MINUTE_MS
from passivbot.venue import MarketSource, Venue, VenueMarket
from passivbot.venue.server import EXCHANGES

START_MS = 1_740_960_000_000
CONTRACTS = {"okx": 0.01, "gate": 0.0001, "kucoinfutures": 0.001}
QUOTE = {"hyperliquid": "USDC"}


def rules_at(exchange: str) -> MarketRules:
    """Rules of BTC as an exchange can say them."""
    c_mult = CONTRACTS.get(exchange, 1.0)
    qty_step = 1.0 if c_mult < 1 else 0.001
    return MarketRules(qty_step, 0.1, qty_step, 5.0, c_mult)


def source(exchange: str, minutes: int = 3 * 1440, *, active: bool = True) -> MarketSource:
    """Candles of BTC whose volumes are whole contracts of the exchange."""
    tables, _ = generate({"BTC": "calm"}, seed=5, minutes=minutes, start_ms=START_MS)
    rows = np.stack([tables["BTC"].column(name).to_numpy() for name in tables["BTC"].column_names], axis=1)
    rules = rules_at(exchange)
    contracts = np.maximum(np.round(rows[:, 5] / rules.c_mult / rules.qty_step), 1.0)
    rows = rows.astype(np.float64)
    rows[:, 5] = [float(format(n * rules.qty_step * rules.c_mult, ".8f")) for n in contracts]
    return MarketSource([VenueMarket("BTC", rules, listed_ms=START_MS, active=active)], {"BTC": rows})


def ask(exchange: str, venue: Venue, action: Callable[[Any], Awaitable[Any]]) -> Any:
    """Run one action of the library's client for an exchange against the venue."""

    async def run() -> Any:
        async with venue:
            client = getattr(ccxt, exchange)({"session": venue.session(), "enableRateLimit": False})
            try:
                return await action(client)
            finally:
                await client.close()

    return asyncio.run(run())


def symbol_at(exchange: str) -> str:
    quote = QUOTE.get(exchange, "USDT")
    return f"BTC/{quote}:{quote}"


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_markets_say_steps_minima_contract_and_fees(exchange: str) -> None:
    venue = Venue(source(exchange), (exchange,), private=False)
    market = ask(exchange, venue, lambda client: client.load_markets())[symbol_at(exchange)]
    rules = rules_at(exchange)
    assert market["swap"] is True
    assert market["linear"] is True
    assert market["active"] is True
    assert market["contractSize"] == rules.c_mult
    assert market["precision"]["amount"] == rules.qty_step
    assert market["precision"]["price"] in (rules.price_step, 1.0)  # hyperliquid: five significant digits
    assert market["maker"] is not None
    if exchange not in ("bitget", "hyperliquid"):
        assert market["created"] == START_MS


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_candles_are_those_of_the_source_up_to_market_time(exchange: str) -> None:
    venue = Venue(source(exchange), (exchange,), start_ms=START_MS + 2 * DAY_MS, private=False)
    begin = START_MS + 2 * DAY_MS - 150 * MINUTE_MS
    params = {"until": begin + 100 * MINUTE_MS} if exchange == "hyperliquid" else {}
    rows = ask(
        exchange,
        venue,
        lambda client: client.fetch_ohlcv(symbol_at(exchange), "1m", begin, 100, params),
    )
    got: Floats = np.array(rows, dtype=np.float64)[:99]
    wanted = venue.source.candles("BTC", begin, begin + 99 * MINUTE_MS)
    factor = CONTRACTS.get(exchange, 1.0) if exchange != "okx" else 1.0
    np.testing.assert_array_equal(got[:, :5], wanted[:, :5])
    np.testing.assert_allclose(got[:, 5] * factor, wanted[:, 5], rtol=1e-12)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_daily_candles_join_the_minutes(exchange: str) -> None:
    venue = Venue(source(exchange), (exchange,), start_ms=START_MS + 3 * DAY_MS, private=False)
    rows = ask(
        exchange,
        venue,
        lambda client: client.fetch_ohlcv(symbol_at(exchange), "1d", START_MS - 3 * DAY_MS, 6),
    )
    whole = [row for row in rows if row[0] < START_MS + 3 * DAY_MS]
    assert [row[0] for row in whole] == [START_MS + day * DAY_MS for day in range(3)]
    first = venue.source.candles("BTC", START_MS, START_MS + DAY_MS)
    assert whole[0][1:5] == [first[0, 1], first[:, 2].max(), first[:, 3].min(), first[-1, 4]]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_tickers_say_what_was_traded_in_a_day(exchange: str) -> None:
    venue = Venue(source(exchange), (exchange,), start_ms=START_MS + 2 * DAY_MS, private=False)
    symbol = symbol_at(exchange)
    tickers = ask(exchange, venue, lambda client: client.fetch_tickers([symbol]))
    assert tickers[symbol]["last"] == venue.source.last_price("BTC", START_MS + 2 * DAY_MS)
    day = venue.source.day("BTC", START_MS + 2 * DAY_MS)
    quote = tickers[symbol]["quoteVolume"]
    if quote is not None:
        assert quote == pytest.approx((day[:, 5] * day[:, 4]).sum(), rel=1e-9)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_time_is_the_server_s_and_may_be_wrong(exchange: str) -> None:
    venue = Venue(source(exchange), (exchange,), private=False)
    venue.skew_ms = -3_600_000
    assert abs(ask(exchange, venue, lambda client: client.fetch_time()) - venue.wall_ms()) < 30_000


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_too_many_requests_have_the_library_s_classes(exchange: str) -> None:
    venue = Venue(source(exchange), (exchange,), private=False)
    venue.faults.add("candles", "limit", seconds=7.0)

    async def action(client: Any) -> str:
        await client.load_markets()
        with pytest.raises((ccxt.DDoSProtection, ccxt.RateLimitExceeded)):
            await client.fetch_ohlcv(symbol_at(exchange), "1m", START_MS, 10)
        return "limited"

    assert ask(exchange, venue, action) == "limited"


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_delisted_market_is_gone_or_inactive(exchange: str) -> None:
    venue = Venue(source(exchange, active=False), (exchange,), private=False)

    async def action(client: Any) -> Any:
        try:
            return await client.load_markets()
        except ccxt.BaseError:
            return {}

    market = ask(exchange, venue, action).get(symbol_at(exchange))
    assert market is None or market["active"] is False


def test_gate_refuses_candles_that_are_too_old() -> None:
    venue = Venue(source("gate", minutes=9 * 1440), ("gate",), start_ms=START_MS + 9 * DAY_MS, private=False)

    async def action(client: Any) -> None:
        with pytest.raises(ccxt.BadRequest, match="too long ago"):
            await client.fetch_ohlcv("BTC/USDT:USDT", "1m", START_MS, 10)

    ask("gate", venue, action)
