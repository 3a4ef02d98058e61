"""Guards over single orders: exposure, number, pace, distance. What does not pass is not placed."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
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


def within_exposure(
    orders: Sequence[PlannedOrder],
    resting: Iterable[Resting],
    positions: Mapping[Key, Position],
    markets: Mapping[str, Market],
    caps: Caps,
    balance: float,
    policy: Policy,
    tell: Tell,
) -> list[PlannedOrder]:
    """Return the orders that keep within all caps if everything that rests fills, in the order given.

    A position may exceed its cap by rounding, and by one smallest order: exchanges take nothing smaller.
    """
    if balance <= 0.0:
        return [order for order in orders if order.reduces]
    used: dict[Key, float] = defaultdict(float)
    held: dict[Key, float] = {}

    def cost(coin: str, qty: float, price: float) -> float:
        market = markets.get(coin)
        return abs(qty) * price * (market.rules.c_mult if market else 1.0) / balance

    for (coin, side), position in positions.items():
        held[coin, side] = used[coin, side] = cost(coin, position.size, position.price)
    for rest in resting:
        if not rest.type.startswith("close"):
            used[rest.key] += cost(rest.order.coin, rest.order.left, rest.order.price)

    def counted(key: Key, value: float) -> float:
        # What a position takes above its cap by rounding does not count a second time.
        return max(held.get(key, 0.0), min(value, caps.position.get(key, 0.0)))

    sides = dict.fromkeys(SIDES, 0.0)
    for key, value in used.items():
        sides[key[1]] += counted(key, value)
    passed, dropped = [], 0
    slack = 1.0 + policy.exposure_slack
    for order in orders:
        if order.reduces:
            passed.append(order)
            continue
        key = (order.coin, order.side)
        more = cost(order.coin, order.qty, order.price)
        rules = markets[order.coin].rules
        least = max(rules.min_cost, (rules.min_qty + rules.qty_step) * order.price * rules.c_mult) / balance
        total = used[key] + more
        step = counted(key, total) - counted(key, used[key])
        fits = (
            total <= caps.position.get(key, 0.0) * slack + 2 * least
            and sides[order.side] + step <= caps.side[order.side] * slack
            and sum(sides.values()) + step <= caps.account * slack
        )
        if fits:
            used[key] = total
            sides[order.side] += step
            passed.append(order)
        else:
            dropped += 1
    if dropped:
        tell(EXPOSURE, f"{dropped} entries would take the exposure above its limit: not placed")
    return passed


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
