"""From the orders that rest to those that should: what to cancel, what to place, what to leave."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from passivbot.exchanges.types import OpenOrder
from passivbot.live.policy import Policy
from passivbot.live.snapshot import Key
from passivbot.planner import PlannedOrder

_EXACT = 1e-9
_STRICT = ("panic", "unstuck")
"""Orders that are never left standing for one that is only like them."""


@dataclass(frozen=True)
class Resting:
    """A resting order of the bot."""

    order: OpenOrder
    side: str
    type: str

    @property
    def key(self) -> Key:
        """Coin and side."""
        return self.order.coin, self.side

    @property
    def reduces(self) -> bool:
        """Whether it makes its position smaller."""
        return self.type.startswith("close")


@dataclass(frozen=True)
class Difference:
    """What has to be done: cancel, place, and what fits as it is."""

    cancel: tuple[Resting, ...]
    create: tuple[PlannedOrder, ...]
    kept: tuple[tuple[PlannedOrder, Resting], ...]


def compare(
    planned: Sequence[PlannedOrder], resting: Sequence[Resting], held_back: Collection[Key], policy: Policy
) -> Difference:
    """Compare a plan with what rests: exact matches first, then those within the tolerance.

    Parameters
    ----------
    planned
        What should rest.
    resting
        What rests.
    held_back
        Coins and sides that nothing is known or decided about: their orders stay as they are.
    policy
        Tolerances.
    """
    wanted: dict[Key, list[PlannedOrder]] = defaultdict(list)
    there: dict[Key, list[Resting]] = defaultdict(list)
    for order in planned:
        if (order.coin, order.side) not in held_back:
            wanted[order.coin, order.side].append(order)
    for one in resting:
        if one.key not in held_back:
            there[one.key].append(one)
    cancel: list[Resting] = []
    create: list[PlannedOrder] = []
    kept: list[tuple[PlannedOrder, Resting]] = []
    for key in sorted(set(wanted) | set(there)):
        left, rest = wanted[key], there[key]
        for price, qty in ((_EXACT, _EXACT), (policy.price_tolerance, policy.qty_tolerance)):
            exact = price == _EXACT
            unmatched = []
            for order in left:
                found = next((r for r in rest if _fits(order, r, price, qty, exact)), None)
                if found is None:
                    unmatched.append(order)
                else:
                    rest.remove(found)
                    kept.append((order, found))
            left = unmatched
        create += left
        cancel += rest
    return Difference(tuple(cancel), tuple(create), tuple(kept))


def _fits(order: PlannedOrder, rest: Resting, price: float, qty: float, exact: bool) -> bool:
    if abs(rest.order.price - order.price) > price * order.price:
        return False
    left = rest.order.left
    if abs(left - order.qty) > qty * abs(order.qty) or order.reduces != rest.type.startswith("close"):
        return False
    return exact or not any(word in name for word in _STRICT for name in (order.type, rest.type))


def urgency(order: PlannedOrder, prices: Mapping[str, float]) -> tuple[int, float, str, str]:
    """Return the sort key of orders to place: what limits loss, closes, entries; nearest first."""
    first = 0 if any(word in order.type for word in ("panic", "auto_reduce", "unstuck")) else 1
    rank = first if order.reduces else 2
    return rank, distance(order.price, prices.get(order.coin)), order.coin, order.side


def distance(price: float, market: float | None) -> float:
    """Return how far a price is from the market, as a fraction; infinite if the market is not known."""
    return abs(price - market) / market if market else float("inf")
