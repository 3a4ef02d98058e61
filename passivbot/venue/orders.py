"""What an account of a venue holds: orders, fills, positions; and why the venue refuses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Side = Literal["buy", "sell"]
PositionSide = Literal["long", "short"]
MarginMode = Literal["cross", "isolated"]
Status = Literal["open", "partial", "filled", "canceled", "rejected", "expired"]
Why = Literal[
    "duplicate",
    "gone",
    "funds",
    "post_only",
    "reduce_only",
    "min_qty",
    "min_cost",
    "price_step",
    "qty_step",
    "leverage",
    "inactive",
    "too_many",
    "position_mode",
    "no_change",
    "busy",
    "symbol",
    "invalid",
]
"""Why a venue refuses; each dialect says it by its own code."""


class Refused(Exception):
    """The venue refuses a request."""

    def __init__(self, why: Why, text: str) -> None:
        super().__init__(text)
        self.why = why


@dataclass
class Order:
    """One order; quantities are absolute, in contracts."""

    id: int
    client_id: str
    coin: str
    side: Side
    position_side: PositionSide
    qty: float
    price: float
    market: bool
    post_only: bool
    reduce_only: bool
    created_ms: int
    updated_ms: int
    filled: float = 0.0
    cost: float = 0.0
    fee: float = 0.0
    status: Status = "open"
    hedged: bool = True

    @property
    def left(self) -> float:
        """What is not filled."""
        return self.qty - self.filled

    @property
    def average(self) -> float:
        """Average fill price; 0 if nothing is filled."""
        return self.cost / self.filled if self.filled else 0.0

    @property
    def resting(self) -> bool:
        """Whether it can still fill."""
        return self.status in ("open", "partial")

    @property
    def closes(self) -> bool:
        """Whether it makes its position smaller."""
        return (self.side == "sell") == (self.position_side == "long")


@dataclass(frozen=True)
class Execution:
    """One fill; ``qty`` is absolute, ``fee`` is what was paid (positive)."""

    id: int
    order_id: int
    client_id: str
    coin: str
    side: Side
    position_side: PositionSide
    qty: float
    price: float
    fee: float
    pnl: float
    maker: bool
    time_ms: int
    hedged: bool
    size_after: float
    price_after: float
    balance_after: float

    @property
    def closes(self) -> bool:
        """Whether it made its position smaller."""
        return (self.side == "sell") == (self.position_side == "long")


@dataclass
class Held:
    """A position; ``size`` is positive for long and negative for short."""

    coin: str
    side: PositionSide
    size: float
    price: float
    opened_ms: int
    updated_ms: int


Event = tuple[Literal["order", "fill", "position", "balance"], Order | Execution | Held | float]
Listener = Callable[[Event], None]


@dataclass
class CoinSettings:
    """What is set for one coin."""

    leverage: float = 20.0
    margin_mode: MarginMode = "cross"
