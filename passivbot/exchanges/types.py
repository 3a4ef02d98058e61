"""What an adapter takes and gives: the same for every exchange.

Quantities are in contracts of ``rules.c_mult`` coins, as the engine counts them; signed ones are positive for
buying and for long. Times are UTC milliseconds.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

from passivbot.engine import MarketRules

PositionSide = Literal["long", "short"]
MarginMode = Literal["cross", "isolated"]

CLIENT_ID_DIGITS = 28
"""Client order ids are this many lower-case hexadecimal digits, on every exchange: what the narrowest of them
takes. An adapter adds what its exchange wants around them."""


class Failure(StrEnum):
    """What an error means for who asked; the words of the table in :mod:`passivbot.exchanges.errors`."""

    RETRY = "retry"
    """Nothing was done; ask again later."""
    UNKNOWN = "unknown outcome"
    """A write may have been carried out: look before sending it again."""
    EXISTS = "already there"
    """The client order id is taken: the order was placed before."""
    GONE = "gone"
    """The order has ended."""
    RATE_LIMIT = "rate limit"
    """Too many requests: send nothing before ``retry_after_s``."""
    FUNDS = "insufficient funds"
    """Not enough margin."""
    AUTH = "not authorised"
    """The key is unknown, revoked, may not do this, or not from this address. It won't pass by waiting."""
    CLOCK = "clock"
    """The request's time is outside the exchange's window."""
    MAINTENANCE = "maintenance"
    """The exchange is closed for now."""
    WOULD_CROSS = "post-only would cross"
    """The order would have traded at once."""
    REDUCE_ONLY = "nothing to reduce"
    """There is no position that it could make smaller."""
    REFUSED = "refused"
    """This order is not acceptable: minimum, step, price limit …"""
    UNCHANGED = "unchanged"
    """The setting is so already."""
    BUSY = "busy"
    """The setting can't change while there are positions or orders."""
    MODE = "position mode"
    """The order does not fit the account's position mode."""
    CLOSED = "market closed"
    """The market is not traded, or only to reduce."""


@dataclass(frozen=True)
class Market:
    """One perpetual market.

    Parameters
    ----------
    coin
        As configurations name it.
    symbol
        As ccxt names it.
    rules
        Steps and minima.
    maker_fee, taker_fee
        Fractions of the cost.
    active
        Whether it is traded.
    listed_ms
        When trading began; None: not known.
    max_leverage
        None: not known.
    """

    coin: str
    symbol: str
    rules: MarketRules
    maker_fee: float
    taker_fee: float
    active: bool
    listed_ms: int | None = None
    max_leverage: float | None = None


class Paging(NamedTuple):
    """What the pages of an exchange's candles are like.

    Parameters
    ----------
    size
        Candles that one answer holds, at the best ratio of candles to request weight.
    kept
        It has the last so many minutes only; None: all since the listing.
    days
        Daily candles that one answer holds; None: as many as minutes.
    """

    size: int
    kept: int | None = None
    days: int | None = None


@dataclass(frozen=True)
class Balance:
    """The account's money.

    Parameters
    ----------
    wallet
        Quote currency, realised: without the profit of open positions, and not smaller for open orders.
    equity
        With unrealised profit, as far as the exchange tells; None: it does not.
    """

    wallet: float
    equity: float | None = None


@dataclass(frozen=True)
class Position:
    """An open position; ``size`` is positive for long, negative for short."""

    coin: str
    side: PositionSide
    size: float
    price: float
    leverage: float | None = None
    margin_mode: MarginMode | None = None


@dataclass(frozen=True)
class OpenOrder:
    """A resting order.

    Parameters
    ----------
    id
        The exchange's.
    client_id
        As :class:`NewOrder` had it, if the order is of such a form; else the exchange's text, maybe empty.
    position_side
        None: the exchange does not tell (one-way mode).
    qty
        Whole quantity, signed.
    filled
        Of it, absolute.
    """

    id: str
    client_id: str
    coin: str
    position_side: PositionSide | None
    qty: float
    price: float
    filled: float = 0.0
    reduce_only: bool = False
    created_ms: int = 0

    @property
    def left(self) -> float:
        """What can still fill, signed."""
        return self.qty - (self.filled if self.qty > 0 else -self.filled)


@dataclass(frozen=True, slots=True)
class Fill:
    """One fill; ``qty`` is signed, ``fee`` is what was paid (negative: a rebate).

    ``pnl`` is the realised profit before fees; None: the exchange does not tell, or not yet.
    """

    id: str
    order_id: str
    client_id: str
    coin: str
    position_side: PositionSide | None
    qty: float
    price: float
    fee: float
    pnl: float | None
    time_ms: int


@dataclass(frozen=True)
class NewOrder:
    """An order to be placed.

    Parameters
    ----------
    client_id
        :data:`CLIENT_ID_DIGITS` lower-case hexadecimal digits.
    qty
        Signed; not 0.
    price
        On the market's price step; None: a market order.
    """

    client_id: str
    coin: str
    position_side: PositionSide
    qty: float
    price: float | None
    reduce_only: bool = False
    post_only: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of one order of a batch.

    ``failure`` is None if the exchange took it; :attr:`Failure.EXISTS` means it had taken it before.
    """

    client_id: str
    order_id: str = ""
    failure: Failure | None = None
    text: str = ""
    retry_after_s: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the order is placed (or ended) now, by this request or an earlier one."""
        return self.failure in (None, Failure.EXISTS)


@dataclass(frozen=True)
class Ticker:
    """Best prices and the last one."""

    bid: float
    ask: float
    last: float


@dataclass(frozen=True)
class Permissions:
    """What a key may do; None: the exchange does not tell.

    ``addresses``: IP addresses it is bound to; empty: any.
    """

    trade: bool | None
    withdraw: bool | None
    addresses: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Hint:
    """Something changed: worth a look. Nothing is decided by what a hint says."""

    kind: Literal["order", "position", "connected", "lost"]
    coin: str = ""
    text: str = ""
