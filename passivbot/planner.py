"""Typed face of the engine's live planner: the orders that the backtest simulates, for an account of now."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from passivbot import _engine
from passivbot.engine import Bot, MarketRules, Overrides
from passivbot.errors import EngineError

SIDES = ("long", "short")


class Mode(IntEnum):
    """What the bot does on one side of a coin."""

    MANUAL = 0
    """Nothing; the position takes no slot."""
    NORMAL = 1
    """Trade if selected."""
    GRACEFUL_STOP = 2
    """Manage the position to its end, open no other."""
    TP_ONLY = 3
    """Take profits, enter no more."""
    PANIC = 4
    """Close at the book."""


class Indicators(NamedTuple):
    """Averages of one coin and side; NaN before the first candle."""

    upper: float
    lower: float
    volume: float
    log_range: float
    hourly_log_range: float


@dataclass(frozen=True, slots=True)
class SideNow:
    """One side of a coin.

    Parameters
    ----------
    mode
        What to do.
    preferred
        Takes a slot before any coin that is ranked.
    tradeable
        Orders may be placed.
    size, price
        Position: size in coins or contracts, negative for short; average entry price.
    changed_ms
        Time of the position's last fill, UTC ms; None: not known, trailing begins with the first candle.
    """

    mode: Mode = Mode.MANUAL
    preferred: bool = False
    tradeable: bool = True
    size: float = 0.0
    price: float = 0.0
    changed_ms: int | None = None


@dataclass(frozen=True, slots=True)
class CoinNow:
    """A coin: best bid and ask, and both sides. Without a finite price > 0 nothing is planned for it."""

    bid: float = float("nan")
    ask: float = float("nan")
    long: SideNow = SideNow()
    short: SideNow = SideNow()


@dataclass(frozen=True, slots=True)
class AccountNow:
    """The account.

    Parameters
    ----------
    balance
        Balance that orders are sized by, in quote currency.
    realised_sum, realised_peak
        Realised profit before fees over the known history, and the highest it has been, at least 0.
    may_unstuck
        False: no unstuck close, whatever the allowance.
    """

    balance: float
    realised_sum: float = 0.0
    realised_peak: float = 0.0
    may_unstuck: bool = True


class PlannedOrder(NamedTuple):
    """An order that should rest: quantity > 0 buys, < 0 sells."""

    coin: str
    side: str
    type: str
    qty: float
    price: float

    @property
    def reduces(self) -> bool:
        """It can only make the position smaller."""
        return self.type.startswith("close")


@dataclass(frozen=True)
class Plan:
    """What should rest at the exchange.

    ``orders`` stand by side and coin, closes before entries; ``limits`` are the exposure limits of the
    positions, ``active`` the coins that hold a slot, both by (coin, side).
    """

    orders: tuple[PlannedOrder, ...] = ()
    limits: Mapping[tuple[str, str], float] = field(default_factory=dict)
    active: frozenset[tuple[str, str]] = frozenset()


_NOWHERE = -np.inf


class Planner:
    """The trailing-grid strategy over coins that candles are fed to.

    Parameters
    ----------
    markets
        Rules by coin; the coins are numbered ascending.
    bot
        Parameters of both sides.
    coin_overrides
        Parameters that single coins replace.
    first_ms
        Start of the first minute of any coin, UTC ms: the minute 0 of a backtest over the same candles.
    kept
        Minutes that stay known for trailing.

    Raises
    ------
    EngineError
        Rules or parameters that can't be used.
    """

    def __init__(
        self,
        markets: Mapping[str, MarketRules],
        bot: Bot,
        coin_overrides: Overrides | None = None,
        *,
        first_ms: int,
        kept: int = 20_000,
    ) -> None:
        self.coins: tuple[str, ...] = tuple(sorted(markets))
        self._number = {coin: i for i, coin in enumerate(self.coins)}
        rules = [astuple(markets[coin]) for coin in self.coins]
        self._planner = _engine.Planner(self.coins, rules, bot, coin_overrides, int(first_ms), int(kept))

    def next_ms(self, coin: str) -> int | None:
        """Return the start of the minute that a coin needs next; None before its first candle."""
        return self._planner.next_ms(self._of(coin))

    def set_rules(self, coin: str, rules: MarketRules) -> None:
        """Replace the rules of a coin."""
        self._planner.set_rules(self._of(coin), astuple(rules))

    def absorb(self, coin: str, start_ms: int, candles: ArrayLike) -> None:
        """Take in consecutive minutes of a coin.

        Parameters
        ----------
        coin
            Its name.
        start_ms
            Start of the first of them, UTC ms; the minute after the last known one.
        candles
            (n, 4): high, low, close, quote volume.

        Raises
        ------
        EngineError
            They do not follow those that are known.
        """
        rows = np.ascontiguousarray(candles, dtype=np.float64)
        if rows.ndim != 2:
            raise EngineError(f"candles has {rows.ndim} dimensions; allowed are 2")
        self._planner.absorb(self._of(coin), int(start_ms), rows)

    def indicators(self) -> dict[tuple[str, str], Indicators]:
        """Return the averages by (coin, side)."""
        values = self._planner.indicators().tolist()
        return {
            (coin, side): Indicators(*values[i][s])
            for i, coin in enumerate(self.coins)
            for s, side in enumerate(SIDES)
        }

    def plan(self, account: AccountNow, now: Mapping[str, CoinNow], ladder: int = 500) -> Plan:
        """Return the orders that should rest now.

        Parameters
        ----------
        account
            The account.
        now
            What is known of each coin; coins that are absent get no order.
        ladder
            Most orders in one list of entries or closes.
        """
        table = [_row(now.get(coin, _UNKNOWN)) for coin in self.coins]
        rows = np.array(table, dtype=np.float64).reshape(len(table), 14)
        orders, limits, active = self._planner.plan(
            float(account.balance),
            float(account.realised_sum),
            float(account.realised_peak),
            account.may_unstuck,
            rows,
            ladder,
        )
        keys = [(coin, side) for coin in self.coins for side in SIDES]
        return Plan(
            orders=tuple(
                PlannedOrder(self.coins[i], "long" if kind.endswith("long") else "short", kind, qty, price)
                for i, kind, qty, price in orders
            ),
            limits=dict(zip(keys, limits.ravel().tolist(), strict=True)),
            active=frozenset(key for key, holds in zip(keys, active.ravel(), strict=True) if holds),
        )

    def _of(self, coin: str) -> int:
        try:
            return self._number[coin]
        except KeyError:
            raise EngineError(f"{coin} is not a coin of this plan; there are {list(self.coins)}") from None


_UNKNOWN = CoinNow()


def _row(coin: CoinNow) -> Sequence[float]:
    row = [coin.bid, coin.ask]
    for side in (coin.long, coin.short):
        changed = _NOWHERE if side.changed_ms is None else float(side.changed_ms)
        row += [side.mode, side.preferred, side.tradeable, side.size, side.price, changed]
    return row
