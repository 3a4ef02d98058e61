"""What the tests of adapters share: a venue with two quiet markets, an account, an adapter pointed at it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from passivbot.engine import MarketRules
from passivbot.exchanges import Exchange, connect
from passivbot.exchanges.types import NewOrder, Outcome
from passivbot.times import MINUTE_MS
from passivbot.venue import Core, MarketSource, Venue, VenueMarket
from passivbot.venue.account import ApiKey
from passivbot.venue.dialects.base import Dialect
from passivbot.venue.dialects.hyperliquid import address_of

START_MS = 1_746_403_200_000
DAYS = 9
RULES = {
    "BTC": MarketRules(qty_step=0.001, price_step=0.1, min_qty=0.001, min_cost=5.0, c_mult=1.0),
    "DOGE": MarketRules(qty_step=1.0, price_step=0.00001, min_qty=1.0, min_cost=5.0, c_mult=1.0),
}
PRICE = {"BTC": 60_000.0, "DOGE": 0.2}
CONTRACTS = {"BTC": 0.001, "DOGE": 10.0}
"""Coins a contract has, on exchanges that count contracts."""


def rules_of(name: str) -> dict[str, MarketRules]:
    """The rules of an exchange's two markets: some count coins, some contracts."""
    if name == "hyperliquid":  # five significant digits
        return {**RULES, "BTC": replace(RULES["BTC"], price_step=1.0)}
    if name not in ("okx", "gate", "kucoinfutures"):
        return RULES
    return {
        coin: replace(rules, qty_step=1.0, min_qty=1.0, c_mult=CONTRACTS[coin])
        for coin, rules in RULES.items()
    }


def flat_source(name: str, minutes: int = DAYS * 1440) -> MarketSource:
    """Two coins whose price swings by a tenth of a percent about a constant."""
    times = START_MS + MINUTE_MS * np.arange(minutes, dtype=np.float64)
    candles = {}
    for coin, price in PRICE.items():
        rows = np.empty((minutes, 6))
        rows[:, 0] = times
        rows[:, 1] = rows[:, 4] = price
        rows[:, 2], rows[:, 3] = price * 1.001, price * 0.999
        rows[:, 5] = 12.0
        candles[coin] = rows
    rules = rules_of(name)
    return MarketSource([VenueMarket(coin, rules[coin], listed_ms=START_MS) for coin in rules], candles)


@dataclass
class Bench:
    """One adapter at one venue."""

    venue: Venue
    exchange: Exchange
    key: ApiKey
    name: str

    @property
    def core(self) -> Core:
        return self.venue.core(self.name)

    @property
    def dialect(self) -> Dialect:
        return self.venue.dialects[self.name]

    def lots(self, coin: str, coins: float) -> float:
        """A number of coins as the exchange counts them."""
        return round(coins / self.venue.source.market(coin).rules.c_mult, 6)

    def new(self, number: int, coin: str = "BTC", **changes: Any) -> NewOrder:
        """A long entry well below the market, with a client order id made of a number."""
        order: dict[str, Any] = {
            "client_id": f"{number:028x}",
            "coin": coin,
            "position_side": "long",
            "qty": self.lots(coin, 0.01 if coin == "BTC" else 1000.0),
            "price": 59_000.0 if coin == "BTC" else 0.19,
        }
        return NewOrder(**{**order, **changes})

    async def place(self, number: int, coin: str = "BTC", **changes: Any) -> Outcome:
        (outcome,) = await self.exchange.create([self.new(number, coin, **changes)])
        return outcome

    async def hold(self, side: str = "long", coin: str = "BTC", qty: float | None = None) -> None:
        """Open a position by a market order."""
        size = self.lots(coin, qty or (0.01 if coin == "BTC" else 1000.0))
        outcome = await self.place(
            0xFFFF00 + len(self.core.executions),
            coin,
            position_side=side,
            qty=size if side == "long" else -size,
            price=None,
        )
        assert outcome.ok, outcome


def credentials(name: str, key: ApiKey) -> dict[str, str]:
    """A venue's key as ccxt wants it."""
    if name == "hyperliquid":
        # The account's own key may withdraw; that of an API wallet may not.
        own = "withdraw" in key.permissions
        return {
            "walletAddress": f"0x{address_of(key.secret) if own else key.key}",
            "privateKey": f"0x{key.secret}",
        }
    return {"apiKey": key.key, "secret": key.secret, "password": key.password}


@asynccontextmanager
async def bench(name: str, source: MarketSource | None = None, **settings: Any) -> AsyncIterator[Bench]:
    async with Venue(
        source or flat_source(name), [name], start_ms=START_MS + 1440 * MINUTE_MS, **settings
    ) as venue:
        key = venue.account(name).new_key()
        exchange = connect(
            name, credentials(name, key), session=venue.session(), rate_limit_ms=1, timeout_s=5.0
        )
        async with exchange:
            yield Bench(venue, exchange, key, name)
