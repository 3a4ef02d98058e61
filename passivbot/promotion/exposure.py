"""The most that a configuration can put at risk, and the least that an account must hold for it.

An entry is cropped where it would take a position above 1.01 × its limit, but never below the smallest order
(trading-semantics §9.1, `crop`), and none is made from 0.999 × the limit on. So a position ends at most at
the larger of 1.01 L and 0.999 L + smallest order ÷ balance.

Costs and balances are in the quote coin, exposures and limits × balance.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from passivbot.config import Config
from passivbot.config.schema import SIDES, Side
from passivbot.live.policy import Policy
from passivbot.live.universe import position_limit
from passivbot.promotion.checks import Check, check

DEFAULT_CAP = 2.0
"""Largest worst-case exposure of both sides together, × balance, unless another is named."""
SLACK = Policy.exposure_slack
"""Fraction by which the worst case may exceed the cap, as the bot's guard allows it: limits that add up to
the cap end above it by the crop."""
CROP = 1.01
FULL = 0.999

Coins = Mapping[Side, Sequence[str]]
"""Side → coins that it may enter."""
Least = Mapping[str, float]
"""Coin → cost of the exchange's smallest order."""
Small = Mapping[tuple[str, Side], float]
"""(coin, side) whose first entry is below the smallest order → the balance it needs."""


@dataclass(frozen=True)
class Worst:
    """Worst-case exposure ÷ balance of each side, and the positions that make it."""

    sides: Mapping[Side, float]
    positions: Mapping[Side, Sequence[tuple[str, float]]]

    @property
    def total(self) -> float:
        """Both sides together: in hedge mode they can be full at once."""
        return sum(self.sides.values())


def limits_of(config: Config, side: Side, coins: Sequence[str]) -> dict[str, float]:
    """Return coin → wallet exposure limit: its own, else the side's ÷ slots (trading-semantics §11)."""
    if not coins or not config.bot.side(side).trades:
        return {}
    return {coin: position_limit(config, coin, side, len(coins)) for coin in coins}


def worst_case(
    config: Config, coins: Coins, least: Least | None = None, balance: float | None = None
) -> Worst:
    """Return the largest exposure that full positions in all slots make.

    Without ``least`` or ``balance``, which only an account tells, smallest orders count for nothing.
    """
    sides: dict[Side, float] = {}
    positions: dict[Side, Sequence[tuple[str, float]]] = {}
    for side in SIDES:
        full = {}
        for coin, limit in limits_of(config, side, coins[side]).items():
            smallest = (least or {}).get(coin, 0.0) / balance if balance else 0.0
            full[coin] = max(CROP * limit, FULL * limit + smallest) if limit > 0 else 0.0
        slots = min(config.bot.side(side).slots, len(coins[side]))
        largest = sorted(full.items(), key=lambda item: (-item[1], item[0]))[:slots]
        sides[side], positions[side] = sum(w for _, w in largest), largest
    return Worst(sides, positions)


def exposure_within(config: Config, worst: Worst, cap: float) -> Check:
    """Check the worst case against the cap, and against the leverage that the account will have."""
    leverage = config.live.leverage
    sides = ", ".join(f"{side} {value:.4g}" for side, value in worst.sides.items())
    text = f"at worst {worst.total:.4g} × balance ({sides}), cap {cap:g}, leverage {leverage:g}"
    holds = worst.total <= cap * (1.0 + SLACK)
    if not holds:
        text += "; --max-exposure names another cap"
    elif worst.total > leverage:
        holds, text = False, f"{text}: the margin does not suffice; set live.leverage higher"
    if not worst.total:
        holds, text = False, f"{text}: no side may enter anything"
    return check("worst-case exposure", holds, text, cap=cap, leverage=leverage, sides=dict(worst.sides))


def too_small(config: Config, coins: Coins, least: Least, balance: float) -> dict[tuple[str, Side], float]:
    """Return the first entries that are below the exchange's smallest order, see :data:`Small`."""
    found: dict[tuple[str, Side], float] = {}
    for side in SIDES:
        overrides = config.engine_overrides(coins[side])
        for coin, limit in limits_of(config, side, coins[side]).items():
            own = overrides.get(coin, {}).get(side, {})
            share = float(own.get("entry_initial_qty_pct", config.bot.side(side).entry_initial_qty_pct))
            if limit * share > 0 and balance * limit * share < least.get(coin, 0.0):
                found[coin, side] = least[coin] / (limit * share)
    return found


def entered(config: Config, coins: Coins, small: Collection[tuple[str, Side]]) -> dict[Side, list[str]]:
    """Return side → coins that will be entered, as ``live.filter_by_min_effective_cost`` says."""
    filtered = config.live.filter_by_min_effective_cost
    return {side: [c for c in coins[side] if not (filtered and (c, side) in small)] for side in SIDES}


def entries_possible(config: Config, coins: Coins, small: Small, balance: float) -> Check:
    """Check that the first entries are at least as large as the exchange's smallest orders.

    A coin below it is left alone where ``live.filter_by_min_effective_cost`` is on; without that filter its
    entries would be larger than the strategy means them.
    """
    count = sum(
        1 for side in SIDES for coin in limits_of(config, side, coins[side]) if (coin, side) not in small
    )
    filtered = config.live.filter_by_min_effective_cost
    text = f"balance {balance:,.2f}; {count} first entries are large enough"
    needed = {f"{coin} {side}": need for (coin, side), need in sorted(small.items())}
    if needed:
        text += (
            f", {len(needed)} are not ({_some(needed)}): all would be from a balance of "
            f"{max(needed.values()):,.2f} on"
        )
        if filtered:
            text += "; these coins are left alone"
    holds = count > 0 and (filtered or not needed)
    return check("minimum cost", holds, text, balance=balance, entered=count, needed=needed)


def _some(names: Mapping[str, float], most: int = 6) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
