"""What the public dialects share: bars of several minutes, contracts, what was traded in a day."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from passivbot.market.clean import Floats
from passivbot.times import DAY_MS, MINUTE_MS
from passivbot.venue.arithmetic import plain
from passivbot.venue.market import VenueMarket
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Handler, Reply


class PublicDialect(ABC):
    """The public side of one exchange: candles up to market time, of what the venue lists."""

    exchange: ClassVar[str]
    """ccxt's name."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.source = venue.source
        self.clock = venue.clock
        self.install()

    @abstractmethod
    def install(self) -> None:
        """Add the endpoints to the venue."""

    @abstractmethod
    def symbol(self, coin: str) -> str:
        """Return the exchange's name of a coin's perpetual."""

    @abstractmethod
    def limited(self, seconds: float) -> Reply:
        """Return the exchange's own answer to too many requests."""

    @abstractmethod
    def refused(self, message: str) -> Reply:
        """Return the exchange's own answer to a request it can't make sense of."""

    def add(self, operation: str, host: str, path: str, handler: Handler, method: str = "GET") -> None:
        """Add one endpoint."""
        self.venue.route(self.exchange, operation, host, method, path, handler)

    def coin(self, symbol: str) -> str | None:
        """Return the coin of the exchange's name of a market, or None if nothing is listed by it."""
        return next((coin for coin in self.source.coins if self.symbol(coin) == symbol), None)

    def listed(self) -> Iterator[VenueMarket]:
        """Yield the markets, in the order of the coins."""
        for coin in self.source.coins:
            yield self.source.market(coin)

    def bars(self, coin: str, step_ms: int, start_ms: int, end_ms: int) -> Floats:
        """Return the bars that begin in ``start_ms`` ≤ t < ``end_ms`` as they look at market time.

        Returns
        -------
        float64 (n, 6): timestamp, open, high, low, close, volume (coins). A bar without a minute is left out;
        the last may be unfinished.
        """
        now = self.clock.now_ms
        if step_ms == MINUTE_MS:
            return self.source.seen(coin, now, start_ms, end_ms)
        begin = -(-start_ms // step_ms) * step_ms
        end = -(-end_ms // step_ms) * step_ms
        rows = self.source.seen(coin, now, begin, end)
        if not len(rows):
            return rows
        bar = rows[:, 0] // step_ms
        first = np.concatenate(([0], np.flatnonzero(np.diff(bar)) + 1))
        last = np.concatenate((first[1:], [len(rows)])) - 1
        return np.stack(
            (
                bar[first] * step_ms,
                rows[first, 1],
                np.maximum.reduceat(rows[:, 2], first),
                np.minimum.reduceat(rows[:, 3], first),
                rows[last, 4],
                np.add.reduceat(rows[:, 5], first),
            ),
            axis=1,
        )

    def contracts(self, coin: str, coins: float) -> float:
        """Return a number of coins as contracts, to the quantity step."""
        rules = self.source.market(coin).rules
        return float(plain(round(coins / rules.c_mult / rules.qty_step) * rules.qty_step))

    def turnover(self, coin: str) -> tuple[float, float]:
        """Return what was traded in the last 24 hours: coins, and quote currency."""
        rows = self.source.day(coin, self.clock.now_ms)
        return float(rows[:, 5].sum()), float((rows[:, 5] * rows[:, 4]).sum())

    def extremes(self, coin: str) -> tuple[float, float, float, float]:
        """Return open, high, low and last price of the last 24 hours."""
        last = self.source.last_price(coin, self.clock.now_ms)
        rows = self.source.day(coin, self.clock.now_ms)
        if not len(rows):
            return last, last, last, last
        return float(rows[0, 1]), float(rows[:, 2].max()), float(rows[:, 3].min()), last


def number(call: Call, name: str) -> int | None:
    """Return a whole number of the query, or None where it is not given."""
    text = call.query.get(name, "")
    return int(text) if text else None


INTERVAL_MS = {
    "1": MINUTE_MS,
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "1H": 60 * MINUTE_MS,
    "60": 60 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "4H": 240 * MINUTE_MS,
    "240": 240 * MINUTE_MS,
    "D": DAY_MS,
    "1d": DAY_MS,
    "1Dutc": DAY_MS,
    "1440": DAY_MS,
}
"""Lengths of bars by all the exchanges' names of them; the lengths that are asked for here."""


def decimals(step: float) -> int:
    """Return how many decimal places a step has."""
    return len(plain(step).partition(".")[2])
