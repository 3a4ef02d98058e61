"""Which coins are traded, and in which mode each side of each is."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from passivbot.config import Config
from passivbot.exchanges.types import Market
from passivbot.live.snapshot import Key
from passivbot.planner import SIDES, Mode
from passivbot.times import DAY_MS

_MODES: Mapping[str, Mode] = {
    "n": Mode.NORMAL,
    "normal": Mode.NORMAL,
    "m": Mode.MANUAL,
    "manual": Mode.MANUAL,
    "gs": Mode.GRACEFUL_STOP,
    "graceful_stop": Mode.GRACEFUL_STOP,
    "graceful-stop": Mode.GRACEFUL_STOP,
    "t": Mode.TP_ONLY,
    "tp": Mode.TP_ONLY,
    "tp_only": Mode.TP_ONLY,
    "tp-only": Mode.TP_ONLY,
    "p": Mode.PANIC,
    "panic": Mode.PANIC,
}


@dataclass(frozen=True)
class Universe:
    """What is traded now.

    Parameters
    ----------
    modes
        By coin and side; what is absent is left alone.
    preferred
        Coins and sides that a configuration forces to trade: they take slots first.
    reasons
        Why an approved coin is not traded.
    """

    modes: Mapping[Key, Mode] = field(default_factory=dict)
    preferred: frozenset[Key] = frozenset()
    reasons: Mapping[Key, str] = field(default_factory=dict)

    def mode(self, key: Key) -> Mode:
        """Return the mode of a coin and side."""
        return self.modes.get(key, Mode.MANUAL)


def forced_mode(config: Config, coin: str, side: str) -> Mode | None:
    """Return the mode that a configuration forces on a coin and side; None: none."""
    override: Mapping[str, Any] = config.coin_overrides.get(coin, {}).get("live", {})
    text = override.get(f"forced_mode_{side}") or getattr(config.live, f"forced_mode_{side}")
    return _MODES.get(str(text).strip().lower())


def leverage(config: Config, coin: str, market: Market) -> int:
    """Return the leverage to set for a coin: whole, and within what its market allows."""
    wanted = float(
        config.coin_overrides.get(coin, {}).get("live", {}).get("leverage") or config.live.leverage
    )
    most = float("inf") if market.max_leverage is None else market.max_leverage
    return max(1, int(min(wanted, most)))


def position_limit(config: Config, coin: str, side: str, candidates: int) -> float:
    """Return the exposure limit of one position: its own, or the side's by the number of slots."""
    own = config.coin_overrides.get(coin, {}).get("bot", {}).get(side, {}).get("wallet_exposure_limit", -1.0)
    if own >= 0.0:
        return float(own)
    bot = config.bot.side(side)
    slots = min(bot.slots, candidates)
    return bot.total_wallet_exposure_limit / slots if slots > 0 else 0.0


def least_cost(market: Market, price: float) -> float:
    """Return the cost of the smallest order at a price, in quote currency."""
    rules = market.rules
    return max(rules.min_cost, max(rules.min_qty, rules.qty_step) * price * rules.c_mult)


def survey(
    config: Config,
    listed: Mapping[str, Market],
    held: Mapping[Key, float],
    *,
    own: Callable[[Key], bool],
    restricted: frozenset[str],
    price: Callable[[str], float | None],
    balance: float,
    now_ms: int,
    resting: Collection[Key] = (),
    entries: bool = True,
    hedge: bool = True,
    forced: Mode | None = None,
) -> Universe:
    """Decide the mode of each coin and side.

    Parameters
    ----------
    config
        The configuration.
    listed
        Markets by coin.
    held
        Sizes of open positions.
    own
        Whether the bot has traded a coin and side.
    restricted
        Coins whose market takes only orders that reduce.
    price
        Last price of a coin, if known.
    balance
        Balance that orders are sized by.
    now_ms
        Market time.
    resting
        Coins and sides where orders of the bot rest.
    entries
        False: no side enters anything.
    hedge
        False: a coin can't be held long and short at once; the side that is held, else long, is traded.
    forced
        Mode of every coin and side that is not somebody else's; None: what the configuration says.
    """
    modes: dict[Key, Mode] = {}
    preferred: set[Key] = set()
    reasons: dict[Key, str] = {}
    for side in SIDES:
        wanted = config.live.approved(side, listed) & listed.keys()
        enabled = config.bot.side(side).trades
        known = {coin for coin, other in (*held, *resting) if other == side}
        for coin in sorted(wanted | known):
            key = (coin, side)
            market = listed.get(coin)
            holds = key in held
            if market is None or not market.active:
                reasons[key] = "its market is closed"
                continue
            # A position on a coin that was never approved and that the bot never traded is somebody else's.
            if coin not in wanted and holds and not own(key):
                reasons[key] = "its position is not the bot's"
                continue
            mode = forced_mode(config, coin, side) if forced is None else forced
            if mode is not None:
                modes[key] = mode
                if mode is Mode.NORMAL:
                    preferred.add(key)
                if mode is Mode.NORMAL and not enabled:
                    modes[key] = Mode.GRACEFUL_STOP
            elif coin not in wanted or not enabled:
                # Without a position that only ends what rests there.
                left_alone = holds and not config.live.auto_gs
                modes[key] = Mode.MANUAL if left_alone else Mode.GRACEFUL_STOP
            else:
                why = _unfit(config, market, side, len(wanted), price(coin), balance, now_ms)
                if why is None:
                    modes[key] = Mode.NORMAL
                else:
                    reasons[key] = why
                    modes[key] = Mode.GRACEFUL_STOP
            if modes[key] in (Mode.NORMAL, Mode.GRACEFUL_STOP) and (coin in restricted or not entries):
                modes[key] = Mode.TP_ONLY
                preferred.discard(key)
    if not hedge:
        for coin, side in list(modes):
            other = (coin, "short" if side == "long" else "long")
            if other in held or (side == "short" and (coin, side) not in held and other in modes):
                modes[coin, side] = Mode.MANUAL
                preferred.discard((coin, side))
    return Universe(modes, frozenset(preferred), reasons)


def _unfit(
    config: Config,
    market: Market,
    side: str,
    candidates: int,
    price: float | None,
    balance: float,
    now_ms: int,
) -> str | None:
    """Return why no position may be opened on an approved coin; None: it may."""
    live = config.live
    if market.listed_ms is not None and live.minimum_coin_age_days > 0.0:
        days = (now_ms - market.listed_ms) / DAY_MS
        if days < live.minimum_coin_age_days:
            return f"it is listed for {days:.1f} days, less than live.minimum_coin_age_days"
    if price is None:
        return "it has no price"
    if live.filter_by_min_effective_cost:
        override = config.coin_overrides.get(market.coin, {}).get("bot", {}).get(side, {})
        share = override.get("entry_initial_qty_pct", getattr(config.bot, side).entry_initial_qty_pct)
        first = balance * position_limit(config, market.coin, side, candidates) * share
        least = least_cost(market, price)
        if first < least:
            return f"its first entry of {first:.4g} is below the least cost of {least:.4g}"
    return None
