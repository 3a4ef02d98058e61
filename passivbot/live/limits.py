"""Guards over single orders: exposure, number, pace, distance. What does not pass is not placed."""

import math
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from passivbot.exchanges.types import Market, Position
from passivbot.live.policy import Policy
from passivbot.live.reconcile import Resting, distance
from passivbot.live.snapshot import Key
from passivbot.planner import SIDES, PlannedOrder

EXPOSURE = "exposure"
ORDERS = "order_count"
CHURN = "churn"
Tell = Callable[[str, str], None]
_WINDOW_MS = 60_000


@dataclass(frozen=True)
class Caps:
    """Limits of exposure, as multiples of the balance: by position, by side, of the whole account."""

    position: Mapping[Key, float]
    side: Mapping[str, float]
    account: float


class Room:
    """The exposure that is left if everything that rests fills.

    Parameters
    ----------
    positions, markets
        Of the account.
    caps
        What may be reached.
    balance
        Quote coin, above 0.
    policy
        ``exposure_slack``.
    others
        Exposure of resting entries that are not the bot's: the account's cap alone is for them too.

    Notes
    -----
    A position may exceed its cap by rounding, and by one smallest order: exchanges take nothing smaller. What
    it takes above its cap by that does not count a second time in those of its side and of the account. What
    has no cap of its own counts whole.
    """

    def __init__(
        self,
        positions: Mapping[Key, Position],
        markets: Mapping[str, Market],
        caps: Caps,
        balance: float,
        policy: Policy,
        others: float = 0.0,
    ) -> None:
        self._markets, self._caps, self._balance, self._others = markets, caps, balance, others
        self._slack = 1.0 + policy.exposure_slack
        self._held = {
            (coin, side): self._cost(coin, position.size, position.price)
            for (coin, side), position in positions.items()
        }
        self._used: dict[Key, float] = defaultdict(float, self._held)
        self._sides = dict.fromkeys(SIDES, 0.0)
        for key, value in self._held.items():
            self._sides[key[1]] += self._counted(key, value)

    def count(self, key: Key, qty: float, price: float) -> None:
        """Take up the room of an order that may fill."""
        more = self._cost(key[0], qty, price)
        self._sides[key[1]] += self._step(key, more)
        self._used[key] += more

    def take(self, key: Key, qty: float, price: float) -> bool:
        """Take up the room of an entry if there is enough; return whether there was."""
        market = self._markets.get(key[0])
        if market is None:
            return False
        rules = market.rules
        least = max(rules.min_cost, (rules.min_qty + rules.qty_step) * price * rules.c_mult) / self._balance
        more = self._cost(key[0], qty, price)
        step = self._step(key, more)
        fits = (
            self._used[key] + more <= self._caps.position.get(key, 0.0) * self._slack + 2 * least
            and self._sides[key[1]] + step <= self._caps.side[key[1]] * self._slack
            and self._others + sum(self._sides.values()) + step <= self._caps.account * self._slack
        )
        if fits:
            self.count(key, qty, price)
        return fits

    def _cost(self, coin: str, qty: float, price: float) -> float:
        market = self._markets.get(coin)
        return abs(qty) * price * (market.rules.c_mult if market else 1.0) / self._balance

    def _counted(self, key: Key, value: float) -> float:
        return max(self._held.get(key, 0.0), min(value, self._caps.position.get(key, math.inf)))

    def _step(self, key: Key, more: float) -> float:
        return self._counted(key, self._used[key] + more) - self._counted(key, self._used[key])


def within_exposure(orders: Sequence[PlannedOrder], room: Room | None, tell: Tell) -> list[PlannedOrder]:
    """Return the orders that there is room for, in the order given; without any: those that reduce."""
    passed = [
        order
        for order in orders
        if order.reduces or (room is not None and room.take((order.coin, order.side), order.qty, order.price))
    ]
    if len(passed) < len(orders):
        tell(
            EXPOSURE,
            f"{len(orders) - len(passed)} entries would take the exposure above its limit: not placed",
        )
    return passed


def above_exposure(resting: Sequence[Resting], room: Room | None, tell: Tell) -> list[Resting]:
    """Return the resting entries that there is no room for, in the order given: a cap was lowered."""
    above = [
        rest for rest in resting if room is None or not room.take(rest.key, rest.order.left, rest.order.price)
    ]
    if above:
        tell(EXPOSURE, f"{len(above)} resting entries would take the exposure above its limit: cancelled")
    return above


def within_count(
    orders: Sequence[PlannedOrder], resting: int, policy: Policy, tell: Tell
) -> list[PlannedOrder]:
    """Return as many of the orders, most urgent first, as the account may hold."""
    room = max(policy.open_orders - resting, 0)
    if len(orders) > room:
        tell(ORDERS, f"{resting} orders rest, at most {policy.open_orders} may: {len(orders) - room} wait")
    return list(orders[:room])


def within_reach(
    orders: Sequence[PlannedOrder],
    prices: Mapping[str, float],
    threshold: float,
    flat: Callable[[Key], bool],
) -> list[PlannedOrder]:
    """Leave out first entries that are far from the market, and what would follow them.

    They move with the averages every minute, and most are never met (``live.price_distance_threshold``).
    """
    far = {
        (order.coin, order.side)
        for order in orders
        if "entry_initial" in order.type and distance(order.price, prices.get(order.coin)) > threshold
    }
    return [
        order
        for order in orders
        if order.reduces
        or (order.coin, order.side) not in far
        or (not flat((order.coin, order.side)) and "entry_initial" not in order.type)
    ]


class Churn:
    """Holds a coin and side back that places orders again and again.

    Parameters
    ----------
    policy
        ``creates_per_minute``.
    tell
        Told of it.
    """

    def __init__(self, policy: Policy, tell: Tell) -> None:
        self._most, self._tell = policy.creates_per_minute, tell
        self._made: dict[Key, deque[int]] = defaultdict(deque)

    def note(self, key: Key, now_ms: int) -> None:
        """Count an order that was placed."""
        self._made[key].append(now_ms)

    def calm(self, orders: Sequence[PlannedOrder], now_ms: int) -> list[PlannedOrder]:
        """Return the orders of the coins and sides that may place more now; what limits loss always may."""
        passed = []
        room: dict[Key, int] = {}
        for order in orders:
            key = (order.coin, order.side)
            if key not in room:
                made = self._made[key]
                while made and now_ms - made[0] >= _WINDOW_MS:
                    made.popleft()
                room[key] = self._most - len(made)
            if order.reduces and "grid" not in order.type:
                passed.append(order)
            elif room[key] > 0:
                room[key] -= 1
                passed.append(order)
            elif room[key] == 0:
                room[key] = -1
                self._tell(CHURN, f"{order.coin} {order.side}: {self._most} orders within a minute, it waits")
        return passed
