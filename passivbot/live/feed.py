"""Keeps a strategy fed: minutes from the disk and the exchange, for the coins that need them now."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping

from passivbot.config import Config
from passivbot.engine import MarketRules
from passivbot.exchanges.errors import ExchangeFault
from passivbot.exchanges.types import Failure
from passivbot.live import candles
from passivbot.live.candles import CandleCache, Source
from passivbot.live.clock import minute_of
from passivbot.live.strategy import Factory, Strategy, warmup
from passivbot.times import MINUTE_MS

log = logging.getLogger(__name__)

_AT_ONCE = 4
_SERIOUS = (Failure.RATE_LIMIT, Failure.AUTH, Failure.MAINTENANCE, Failure.CLOCK)


class Feed:
    """The candles of a bot.

    Parameters
    ----------
    source
        The exchange.
    cache
        Minutes on the disk.
    factory
        Makes the strategy.
    trouble
        Told what could not be had, a coin at a time: (coin, why).
    """

    def __init__(
        self, source: Source, cache: CandleCache, factory: Factory, trouble: Callable[[str, str], None]
    ) -> None:
        self._source, self._cache, self._factory, self._trouble = source, cache, factory, trouble
        self._strategy: Strategy | None = None
        self._warmup: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self._close: dict[str, float] = {}
        self._asked_ms: dict[str, int] = {}

    @property
    def strategy(self) -> Strategy:
        """The strategy; there is one after :meth:`start`."""
        if self._strategy is None:
            raise RuntimeError("the feed has not been started")
        return self._strategy

    @property
    def coins(self) -> tuple[str, ...]:
        """Coins of the strategy."""
        return () if self._strategy is None else self._strategy.coins

    async def start(self, config: Config, markets: Mapping[str, MarketRules], now_ms: int) -> None:
        """Make the strategy anew and feed it all that it needs: at the start, and for another configuration.

        Parameters
        ----------
        config
            The configuration.
        markets
            Rules of the coins.
        now_ms
            Market time.
        """
        coins = sorted(markets)
        total, _ = warmup(config, coins)
        needed = candles.warmup_start(now_ms, total)
        log.info("warm-up: candles are read", extra={"coins": len(coins), "minutes": total})
        oldest = minute_of(now_ms) - self._kept(config, total) * MINUTE_MS
        known = {coin: self._cache.load(coin, oldest) for coin in coins}
        # A stretch on the disk counts if it reaches back far enough, and forth; else the coin begins anew.
        reached = max(needed, candles.oldest(self._source, now_ms) - 1)
        known = {
            coin: (start, rows)
            for coin, (start, rows) in known.items()
            if len(rows) and start <= needed and start + len(rows) * MINUTE_MS > reached
        }
        self.prime(config, markets, min([needed, *(start for start, _ in known.values())]))
        for coin, (start, rows) in known.items():
            self.absorb(coin, start, rows)
        self._needed = needed
        await self.update(coins, now_ms)

    def prime(self, config: Config, markets: Mapping[str, MarketRules], first_ms: int) -> None:
        """Make the strategy anew, over candles from ``first_ms`` on that are still to come."""
        total, self._warmup = warmup(config, sorted(markets))
        self._strategy = self._factory(config, markets, first_ms=first_ms, kept=self._kept(config, total))
        self._close, self._asked_ms, self._first = {}, {}, {}
        self._needed = first_ms

    @staticmethod
    def _kept(config: Config, warmup_minutes: int) -> int:
        return max(int(config.live.max_memory_candles_per_symbol), warmup_minutes + 2)

    async def update(self, coins: Iterable[str], now_ms: int) -> None:
        """Ask for the minutes of these coins that are over and not known.

        Raises
        ------
        ExchangeFault
            Of a kind that concerns the whole account. What fails for one coin is only told.
        """
        due = [coin for coin in coins if self._next(coin) < minute_of(now_ms)]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(coin: str) -> None:
            async with gate:
                await self._update(coin, now_ms)

        results = await asyncio.gather(*(one(coin) for coin in due), return_exceptions=True)
        for coin, result in zip(due, results, strict=True):
            if isinstance(result, ExchangeFault) and result.failure not in _SERIOUS:
                self._trouble(coin, result.text)
            elif isinstance(result, BaseException):
                raise result
        if self._cache.problem is not None:
            self._trouble("", self._cache.problem)
            self._cache.problem = None

    async def _update(self, coin: str, now_ms: int) -> None:
        start = self._next(coin)
        self._asked_ms[coin] = now_ms
        first, rows = await candles.fetch(self._source, coin, start, now_ms, self._close.get(coin))
        if len(rows):
            self.absorb(coin, first, rows)
            self._cache.store(coin, first, rows)

    def absorb(self, coin: str, start_ms: int, rows: candles.Rows) -> None:
        """Feed the strategy with minutes of a coin."""
        self.strategy.absorb(coin, start_ms, rows)
        self._first.setdefault(coin, start_ms)
        self._close[coin] = float(rows[-1, 2])

    def _next(self, coin: str) -> int:
        known = self.strategy.next_ms(coin)
        return self._needed if known is None else known

    def due(self, active: Collection[str], now_ms: int, idle_minutes: float) -> list[str]:
        """Return the coins whose minutes should be asked for: the active ones, others now and then."""
        idle = idle_minutes * MINUTE_MS
        return [
            coin
            for coin in self.coins
            if coin in active or now_ms - self._asked_ms.get(coin, -(2**62)) >= idle
        ]

    def lag(self, coin: str, now_ms: int) -> int:
        """Return how many minutes that are over are not known."""
        known = self.strategy.next_ms(coin)
        return 2**31 if known is None else (minute_of(now_ms) - known) // MINUTE_MS

    def is_warm(self, coin: str) -> bool:
        """Return whether enough minutes of a coin are known (trading-semantics §2.2)."""
        return self.missing(coin) == 0

    def missing(self, coin: str) -> int | None:
        """Return how many minutes a coin's averages still need; None: it has no candles."""
        known, first = self.strategy.next_ms(coin), self._first.get(coin)
        if known is None or first is None:
            return None
        warm_ms = first + (self._warmup.get(coin, 0) + 1) * MINUTE_MS
        return max(warm_ms - known, 0) // MINUTE_MS

    def close(self, coin: str) -> float | None:
        """Return the last known close."""
        return self._close.get(coin)

    def forget(self, now_ms: int, minutes: int) -> None:
        """Remove minutes from the disk that are older than so many."""
        self._cache.forget(now_ms - minutes * MINUTE_MS)
