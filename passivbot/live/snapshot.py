"""The account as the exchange tells it, read in an order in which nothing is counted twice."""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from passivbot.exchanges.base import Exchange
from passivbot.exchanges.types import Balance, OpenOrder, Position, Ticker

Key = tuple[str, str]
"""Coin and side."""


@dataclass(frozen=True)
class Snapshot:
    """The account at one moment.

    Parameters
    ----------
    orders
        All resting orders, the bot's and others'.
    positions
        By coin and side.
    balance
        As told; guards decide whether it is believed.
    tickers
        Prices of the coins that were asked for.
    taken
        Monotonic seconds at which its oldest part was asked for.
    """

    orders: tuple[OpenOrder, ...]
    positions: Mapping[Key, Position]
    balance: Balance
    tickers: Mapping[str, Ticker] = field(default_factory=dict)
    taken: float = 0.0

    @property
    def age(self) -> float:
        """Seconds since its oldest part was asked for."""
        return time.monotonic() - self.taken

    def price(self, coin: str) -> float | None:
        """Return the last price of a coin, if it is known."""
        ticker = self.tickers.get(coin)
        return None if ticker is None else ticker.last


async def take(exchange: Exchange, coins: Collection[str]) -> Snapshot:
    """Ask for everything.

    Orders come before positions: an order that fills in between then shows in both, and is cancelled or kept
    for nothing; the other way round it would show in neither and be placed again.
    """
    taken = time.monotonic()
    orders = await exchange.open_orders()
    positions, balance, tickers = await asyncio.gather(
        exchange.positions(), exchange.balance(), exchange.tickers(sorted(coins))
    )
    return Snapshot(
        orders=tuple(orders),
        positions={(position.coin, position.side): position for position in positions},
        balance=balance,
        tickers=tickers,
        taken=taken,
    )
