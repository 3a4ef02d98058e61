"""One exchange as a source of candles: the connected client and its pace."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import numpy as np

from passivbot.exchanges.base import Exchange
from passivbot.exchanges.errors import ExchangeFault
from passivbot.market.clean import Floats
from passivbot.market.download.pace import FIRST_CONTACT, Pace
from passivbot.market.download.pages import Pager
from passivbot.market.rules import listings
from passivbot.market.store import exchange_name
from passivbot.times import MINUTE_MS

_SETTLING_MS = 60 * MINUTE_MS
"""A candle younger than this may still come."""

Answer = TypeVar("Answer")


class Source:
    """A connected exchange.

    Parameters
    ----------
    exchange
        Its adapter; opened by :meth:`open`.
    pace
        How fast and how patiently it is asked.
    """

    def __init__(self, exchange: Exchange, pace: Pace) -> None:
        self.exchange = exchange
        self.pace = pace
        self.store_name = exchange_name(exchange.name)
        self.paging = exchange.paging
        self.now_ms = 0
        self.settled_ms = 0

    async def open(self, machine_ms: int) -> None:
        """Load the markets and learn the exchange's time.

        Parameters
        ----------
        machine_ms
            This machine's time, UTC milliseconds.

        Raises
        ------
        ExchangeFault
            It can't be reached.
        """
        await self.pace.ask(self.exchange.open, FIRST_CONTACT)
        self.listings = listings(self.exchange)
        # Which minute is finished, the exchange's clock decides; what is late, the slower of both clocks.
        said = machine_ms
        if self.exchange.client.has.get("fetchTime"):
            said = int(await self.ask(lambda: self.exchange.client.fetch_time()))
        self.now_ms = said // MINUTE_MS * MINUTE_MS
        self.settled_ms = min(self.now_ms, machine_ms) // MINUTE_MS * MINUTE_MS - _SETTLING_MS

    async def ask(self, request: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the answer of a request of the client library."""

        async def question() -> Answer:
            try:
                return await request()
            except asyncio.CancelledError:
                raise
            except ExchangeFault:
                raise
            except Exception as error:
                raise self.exchange.classified(error, write=False) from error

        return await self.pace.ask(question)

    def pager(self, coin: str) -> Pager:
        """Return a reader of a coin's candles, volumes in coins."""
        market = self.exchange.market(coin)
        unit = self.exchange.candle_volume_unit(market)

        async def ask(interval: str, since_ms: int, count: int) -> Floats:
            async def request() -> Floats:
                client = self.exchange.client
                return _table(await client.fetch_ohlcv(market.symbol, interval, since_ms, count), unit)

            return await self.ask(request)

        size = self.paging.size
        return Pager(ask, size, self.settled_ms, self.paging.days or size)

    def oldest_ms(self) -> int:
        """Return the first minute that the exchange still has; 0 where it keeps all."""
        return self.now_ms - self.paging.kept * MINUTE_MS if self.paging.kept else 0

    async def turnovers(self) -> dict[str, float]:
        """Return what was traded in the last 24 hours, in quote currency, by coin.

        Raises
        ------
        ExchangeFault
            The exchange does not say.
        """
        symbols = [market.symbol for market in self.exchange.markets.values() if market.active]
        tickers = await self.ask(lambda: self.exchange.client.fetch_tickers(symbols))
        rows = self.exchange.client.markets
        return {
            coin: _turnover(tickers.get(market.symbol) or {}, rows[market.symbol])
            for coin, market in self.exchange.markets.items()
            if market.active
        }


def _table(rows: Any, unit: float) -> Floats:
    """Return candles of the client library as float64 (n, 6); what is no number is NaN."""
    table = np.array([[np.nan if v is None else v for v in row] for row in rows], dtype=np.float64)
    table = table.reshape(-1, 6)
    table[:, 5] *= unit
    return table


def _turnover(ticker: dict[str, Any], row: dict[str, Any]) -> float:
    quote, base, last = (ticker.get(key) for key in ("quoteVolume", "baseVolume", "last"))
    if quote:
        return float(quote)
    if base and last:
        return float(base) * float(last)
    # KuCoin's tickers have no volume; its markets have.
    return float((row.get("info") or {}).get("turnoverOf24h") or 0.0)
