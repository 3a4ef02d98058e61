"""Paper trading: the live bot, whole, against the venue instead of an exchange.

The bot is the one that trades: real client library, journal, guards. The venue plays the exchange on
loopback; its market are recorded candles, as fast as the bot can work, or the minutes of a real exchange as
they end, by its public candles alone. Orders are matched as in the backtest (:mod:`passivbot.venue.core`).
"""

import asyncio
import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import aiohttp
import numpy as np

from passivbot.errors import ConfigError
from passivbot.exchanges import Exchange
from passivbot.exchanges.errors import ExchangeFault
from passivbot.live.candles import Rows, fetch, warmup_start
from passivbot.live.clock import Clock
from passivbot.live.policy import Policy
from passivbot.live.source import Source
from passivbot.live.start import Order, trade
from passivbot.live.strategy import warmup
from passivbot.market.clean import Floats
from passivbot.ops.keys import Keys
from passivbot.ops.run import Settings
from passivbot.times import HOUR_MS, MINUTE_MS, utc
from passivbot.venue.market import MarketSource, VenueMarket
from passivbot.venue.orders import Execution
from passivbot.venue.server import Venue

ACCOUNT = "paper"
FILLS = "fills.csv"

_MINUTE_S = 5.0
"""A wait of at least so many seconds is one for the next minute; a shorter one is not."""
_SHORT_WAITS = 30
"""After so many short waits in one minute market time goes on all the same."""
_PUBLISHED_S = 1.5
"""After a minute's end: an exchange needs a moment to publish its candle."""
_LATE_S = 10.0
"""How long a candle of the minute that ended is waited for."""
_QUIET_MS = HOUR_MS
"""A coin that was not traded for so long is told of."""
_TRIES = 5
"""Of a coin's candles for the warm-up."""
_PROGRESS_S = 5.0
_KEPT_MINUTES = 10_080
_UNHURRIED = 10**9
_COUNT_CONTRACTS = ("okx", "gate", "kucoinfutures")


@dataclass(frozen=True)
class Done:
    """How far a replay is: market time now, at the beginning and at the end, UTC ms; fills; equity."""

    now_ms: int
    begin_ms: int
    end_ms: int
    fills: int
    equity: float


Progress = Callable[[Done], None]


class Replay:
    """The bot's clock over recorded candles: where it would wait for the next minute, that minute passes.

    Parameters
    ----------
    venue
        Whose time it is.
    stop
        Set when the candles end.
    until_ms
        Market time at which it ends; None: with the last candle.
    speed
        Minutes a second; None: as fast as the bot can work.
    progress
        Told every few seconds how far it is.
    """

    def __init__(
        self,
        venue: Venue,
        stop: asyncio.Event,
        until_ms: int | None = None,
        speed: float | None = None,
        progress: Progress | None = None,
    ) -> None:
        last = venue.source.last_ms + MINUTE_MS
        self._venue, self._stop, self._speed = venue, stop, speed
        self._until = last if until_ms is None else min(until_ms, last)
        self._short = 0
        self._begin, self._progress = venue.clock.now_ms, progress
        self._told = time.monotonic()

    def now_ms(self) -> int:
        """Return the venue's market time."""
        return self._venue.clock.now_ms

    async def wait(self, seconds: float, wake: asyncio.Event) -> None:
        """Let a minute pass, or a moment if it was asked for less."""
        self._short += 1
        await asyncio.sleep(0)
        if (seconds < _MINUTE_S and self._short < _SHORT_WAITS) or self._stop.is_set():
            return
        self._short = 0
        if self._speed is not None:
            await asyncio.sleep(1.0 / self._speed)
        self._venue.advance()
        if self._progress is not None and time.monotonic() - self._told >= _PROGRESS_S:
            self._told = time.monotonic()
            core = self._venue.core()
            done = Done(self.now_ms(), self._begin, self._until, len(core.executions), core.equity())
            self._progress(done)
        if self.now_ms() >= self._until:
            self._stop.set()


class Following:
    """The bot's clock along a real market: market time moves when the venue has the minute's candles.

    Parameters
    ----------
    venue
        Whose time it is.
    exchange
        Where the candles come from; public requests only.
    world
        Real time.
    tell
        Told what could not be had.
    stop
        Candles are not waited for once it is set.
    """

    def __init__(
        self,
        venue: Venue,
        exchange: Exchange,
        world: Clock,
        tell: Callable[[str], None],
        stop: asyncio.Event | None = None,
    ) -> None:
        self._venue, self._exchange, self._world, self._tell = venue, exchange, world, tell
        self._stop = stop or asyncio.Event()
        first = min(venue.source.newest_ms(coin) for coin in venue.source.coins)
        # A run may go on for months: what a new start of the strategy needs, and the last days.
        self._most = (first - venue.source.first_ms) // MINUTE_MS + _KEPT_MINUTES
        self._known = {coin: venue.source.newest_ms(coin) for coin in venue.source.coins}
        """Opening of each coin's last candle that the exchange sent; what is later is assumed."""
        self._quiet: set[str] = set()

    def now_ms(self) -> int:
        """Return the venue's market time: the end of the last minute it has."""
        return self._venue.clock.now_ms

    async def wait(self, seconds: float, wake: asyncio.Event) -> None:
        """Wait for real, then take over the minutes that ended meanwhile."""
        if seconds >= _MINUTE_S:  # for the next minute, which market time does not tell
            seconds = (MINUTE_MS - self._world.now_ms() % MINUTE_MS) / 1000 + _PUBLISHED_S
        await self._world.wait(seconds, wake)
        ended = self._world.now_ms() // MINUTE_MS * MINUTE_MS
        if ended <= self.now_ms():
            return
        await self._catch_up(ended)
        while self.now_ms() < ended:
            self._venue.advance()

    async def _catch_up(self, ended: int) -> None:
        missing = set(self._venue.source.coins)
        silent: set[str] = set()
        for attempt in range(5):
            for coin in sorted(missing):
                try:
                    reached = await self._take(coin, ended)
                except ExchangeFault as fault:
                    self._tell(f"{coin}: {fault.text}")
                    silent.add(coin)
                    continue
                silent.discard(coin)
                if reached:
                    missing.discard(coin)
            if not missing or self._stop.is_set():
                return
            if attempt < 4:
                await self._world.wait(_LATE_S / 5, self._stop)
        for coin in missing - silent:
            self._stand_still(coin, ended)
        if silent:
            self._tell(
                f"no candle of the minute yet: {', '.join(sorted(silent))}; no order there can fill in it"
            )

    async def _take(self, coin: str, ended: int) -> bool:
        """Take over what the exchange has of a coin by now; tell whether that is all until ``ended``."""
        source, known = self._venue.source, self._known[coin]
        close = source.last_price(coin, ended)
        first, rows = await fetch(self._exchange, coin, known + MINUTE_MS, ended, close)
        if not len(rows):
            return False
        assumed = (source.newest_ms(coin) - known) // MINUTE_MS
        if rows[:assumed, 3].any():
            self._tell(f"{coin}: candles came late, after {utc(known)}; no order there filled in them")
        source.append(coin, _table(first, rows), self._most)
        self._known[coin] = source.newest_ms(coin)
        self._quiet.discard(coin)
        return self._known[coin] >= ended - MINUTE_MS

    def _stand_still(self, coin: str, ended: int) -> None:
        """Take a coin for not traded since its last candle; should candles of that time come, they count."""
        source, first = self._venue.source, self._known[coin] + MINUTE_MS
        close = source.last_price(coin, ended)
        rows = np.tile([close, close, close, 0.0], ((ended - first) // MINUTE_MS, 1))
        source.append(coin, _table(first, rows), self._most)
        if ended - first >= _QUIET_MS and coin not in self._quiet:
            self._quiet.add(coin)
            self._tell(f"{coin}: no candle since {utc(first)}; it stays at its last price")


@dataclass(frozen=True)
class Result:
    """What a paper run left.

    Parameters
    ----------
    minutes
        Market time that passed.
    balance, equity
        At the end, quote currency.
    start_balance
        At the beginning.
    fills
        In order.
    open_orders, positions
        At the end.
    """

    minutes: int
    start_balance: float
    balance: float
    equity: float
    fills: Sequence[Execution]
    open_orders: int
    positions: int


async def replay(
    source: Source,
    market: MarketSource,
    exchange: str,
    settings: Settings,
    *,
    balance: float,
    start_ms: int | None = None,
    minutes: int | None = None,
    speed: float | None = None,
    policy: Policy | None = None,
    progress: Progress | None = None,
) -> Result:
    """Trade recorded candles.

    Parameters
    ----------
    source
        Configuration.
    market
        Candles and rules.
    exchange
        Whose dialect the venue speaks.
    settings
        How the bot is watched; its folder is the run's.
    balance
        At the beginning, quote currency.
    start_ms
        Market time at the beginning; None: as soon as the warm-up is over.
    minutes
        How long; None: to the last candle.
    speed
        Minutes a second; None: as fast as it goes.
    policy
        Limits; the budget of requests is left out, as market time is not real.
    progress
        Told every few seconds how far it is.

    Raises
    ------
    ConfigError
        There are no candles after the beginning.
    """
    _check_contracts(market, exchange)
    needed, _ = warmup(source.now, list(market.coins))
    begin = market.first_ms + (max(needed, 1) + 2) * MINUTE_MS if start_ms is None else start_ms
    if begin > market.last_ms:
        have = (market.last_ms - market.first_ms) // MINUTE_MS + 1
        raise ConfigError(
            f"the candles end before paper trading can begin: they are {have} minutes, of which the "
            f"warm-up takes {needed}; give more candles, or set live.max_warmup_minutes"
        )
    until = None if minutes is None else begin + minutes * MINUTE_MS
    stop = asyncio.Event()
    chosen = replace(
        policy or Policy(), requests_per_minute=_UNHURRIED, unknown_seconds=0.0, backoff_seconds=0.05
    )
    async with Venue(market, [exchange], start_ms=begin, balance=balance, keep_log=1000) as venue:
        clock = Replay(venue, stop, until, speed, progress)
        order = _order(venue, source, settings, chosen, clock, stop, follow=False)
        await trade(order, _keys(venue, exchange))
        return _result(venue, begin, balance)


async def follow(
    source: Source,
    coins: Sequence[str],
    outside: Exchange,
    settings: Settings,
    world: Clock,
    *,
    balance: float,
    tell: Callable[[str], None],
    stop: asyncio.Event | None = None,
    policy: Policy | None = None,
) -> Result:
    """Trade the minutes of a real exchange as they end.

    Parameters
    ----------
    source
        Configuration.
    coins
        Markets to take over.
    outside
        The exchange, open; only its public side is used.
    settings
        How the bot is watched; its folder is the run's.
    world
        Real time.
    balance
        At the beginning, quote currency.
    tell
        Told what could not be had.
    stop
        Ends it when set; SIGINT and SIGTERM do too.
    policy
        Limits.
    """
    needed, _ = warmup(source.now, list(coins))
    begin = world.now_ms() // MINUTE_MS * MINUTE_MS
    tell(f"warm-up: {needed:,} minutes of {', '.join(coins)} are read from {outside.name}")
    market = await _history(outside, coins, warmup_start(begin, needed), begin, world, tell)
    stop = stop or asyncio.Event()
    async with Venue(market, [outside.name], start_ms=begin, balance=balance, keep_log=10_000) as venue:
        clock = Following(venue, outside, world, tell, stop)
        order = _order(venue, source, settings, policy or Policy(), clock, stop, follow=True)
        await trade(order, _keys(venue, outside.name))
        return _result(venue, begin, balance)


def write_fills(path: Path, fills: Sequence[Execution]) -> None:
    """Write fills as a table, one a line."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Execution)])
        writer.writerows(astuple(fill) for fill in fills)


def _check_contracts(market: MarketSource, exchange: str) -> None:
    """Refuse contracts of several coins where the exchange's dialect counts coins."""
    if exchange in _COUNT_CONTRACTS:
        return
    for coin in market.coins:
        c_mult = market.market(coin).rules.c_mult
        if c_mult != 1.0:
            raise ConfigError(
                f"a contract of {coin} has {c_mult:g} coins by these candles' rules, and {exchange} counts "
                f"coins; choose --exchange {', '.join(_COUNT_CONTRACTS)}"
            )


async def _history(
    outside: Exchange,
    coins: Sequence[str],
    start_ms: int,
    now_ms: int,
    world: Clock,
    tell: Callable[[str], None],
) -> MarketSource:
    """Return the market as it is now; a coin without candles begins at its last price."""

    async def candles_of(coin: str) -> tuple[int, Rows]:
        for attempt in range(_TRIES):
            try:
                return await fetch(outside, coin, start_ms, now_ms, None)
            except ExchangeFault as fault:
                if attempt == _TRIES - 1:
                    raise
                tell(f"{coin}: {fault.text}; tried again")
                await world.wait(max(2.0**attempt, fault.retry_after_s or 0.0), asyncio.Event())
        raise AssertionError

    found = {coin: await candles_of(coin) for coin in coins}
    prices = await outside.tickers([coin for coin, (_, rows) in found.items() if not len(rows)])
    markets: list[VenueMarket] = []
    candles = {}
    for coin, (first, rows) in found.items():
        if not len(rows):
            if coin not in prices:
                tell(f"{coin}: {outside.name} has neither candles of it nor a price; it is left out")
                continue
            tell(f"{coin}: {outside.name} has no candles of it for the warm-up; its averages begin now")
            price = prices[coin].last
            first, rows = now_ms - MINUTE_MS, np.array([[price, price, price, 0.0]])
        candles[coin] = _table(first, rows)
        known = outside.market(coin)
        markets.append(
            VenueMarket(
                coin,
                known.rules,
                known.maker_fee,
                known.taker_fee,
                known.max_leverage or 100.0,
                known.listed_ms or VenueMarket.listed_ms,
                known.active,
            )
        )
    if not markets:
        raise ConfigError(f"{outside.name} has neither candles nor prices of {', '.join(coins)}")
    return MarketSource(markets, candles)


def _table(first_ms: int, rows: Rows) -> Floats:
    """Return the bot's minutes as the venue's candles. Opens are not kept; nothing is decided by them."""
    times = first_ms + MINUTE_MS * np.arange(len(rows), dtype=np.float64)
    high, low, close, volume = (rows[:, column] for column in range(4))
    return np.stack([times, close, high, low, close, volume / np.maximum(close, 1e-12)], axis=1)


def _order(
    venue: Venue,
    source: Source,
    settings: Settings,
    policy: Policy,
    clock: Clock,
    stop: asyncio.Event,
    *,
    follow: bool,
) -> Order:
    def session(trace: aiohttp.TraceConfig) -> aiohttp.ClientSession:
        return venue.session(trace_configs=[trace])

    return Order(
        getattr(source, "account", ACCOUNT),
        source,
        settings,
        policy=policy,
        session=session,
        clock=clock,
        follow=follow,
        rate_limit_ms=1,
        stop=stop,
    )


def _keys(venue: Venue, exchange: str) -> Keys:
    key = venue.account(exchange).new_key()
    entry = {
        "exchange": exchange,
        "key": key.key,
        "secret": key.secret,
        "passphrase": key.password,
        "wallet_address": f"0x{key.key}",
        "private_key": f"0x{key.secret}",
    }
    return Keys(ACCOUNT, entry, "the paper venue")


def _result(venue: Venue, begin: int, balance: float) -> Result:
    core = venue.core()
    return Result(
        minutes=(venue.clock.now_ms - begin) // MINUTE_MS,
        start_balance=balance,
        balance=core.balance,
        equity=core.equity(),
        fills=tuple(core.executions),
        open_orders=len(core.open_orders),
        positions=len(core.positions),
    )
