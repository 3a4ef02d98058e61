"""From what is known to what is sent: plan, compare, and what guards leave of it. No waiting, no network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from passivbot.config import Config
from passivbot.exchanges.types import Market, OpenOrder, Position, Ticker
from passivbot.live import limits
from passivbot.live.feed import Feed
from passivbot.live.journal import Intent
from passivbot.live.ledger import Ledger
from passivbot.live.limits import Caps, Churn, Room
from passivbot.live.policy import Policy
from passivbot.live.reconcile import Resting, compare, distance, urgency
from passivbot.live.snapshot import Key
from passivbot.live.universe import Universe
from passivbot.planner import SIDES, AccountNow, CoinNow, Mode, Plan, PlannedOrder, SideNow

_NEAR = 0.001
_MARKET_WORDS = ("trailing", "unstuck", "auto_reduce")


@dataclass(frozen=True)
class Known:
    """Everything that a decision is made of.

    Parameters
    ----------
    config, policy
        The rules.
    markets
        By coin.
    tickers
        Prices by coin.
    positions
        By coin and side.
    resting
        The bot's orders.
    balance
        Believed.
    universe
        Modes.
    waiting
        Coins and sides where nothing may be placed until the next look, which comes soon: an order of unknown
        fate, a position that does not fit its fills.
    held, short
        Coins and sides where nothing, or no entry, may be placed for a minute: it was refused a moment ago.
    untouched
        Coins and sides whose orders may not even be cancelled.
    pending
        Orders of unknown fate: they may rest.
    others
        Resting orders that are not the bot's.
    cap
        Of the whole account's exposure, × balance; None: what the configuration allows.
    may_unstuck
        Whether the realised profit is known.
    now_ms
        Market time.
    """

    config: Config
    policy: Policy
    markets: Mapping[str, Market]
    tickers: Mapping[str, Ticker]
    positions: Mapping[Key, Position]
    resting: tuple[Resting, ...]
    balance: float
    universe: Universe
    now_ms: int
    waiting: frozenset[Key] = frozenset()
    held: frozenset[Key] = frozenset()
    short: frozenset[Key] = frozenset()
    untouched: frozenset[Key] = frozenset()
    pending: tuple[Intent, ...] = ()
    others: tuple[OpenOrder, ...] = ()
    cap: float | None = None
    may_unstuck: bool = True


@dataclass(frozen=True)
class Decision:
    """What is to be sent, and whether something of the plan is left for the next cycle.

    ``create`` holds each order with whether it is a market order.
    """

    plan: Plan
    cancel: tuple[Resting, ...] = ()
    create: tuple[tuple[PlannedOrder, bool], ...] = ()
    left: bool = False
    matches: bool = True
    prices: Mapping[str, float] = field(default_factory=dict)


def plan_of(known: Known, feed: Feed, ledger: Ledger) -> tuple[Plan, frozenset[Key]]:
    """Return the plan, and the coins and sides whose orders it says nothing about."""
    now: dict[str, CoinNow] = {}
    silent: set[Key] = set(known.untouched)
    for coin in feed.coins:
        ticker = known.tickers.get(coin)
        fresh = ticker is not None and feed.lag(coin, known.now_ms) <= known.policy.candle_lag_minutes
        warm = feed.is_warm(coin)
        sides = {}
        for side in SIDES:
            key = (coin, side)
            position = known.positions.get(key)
            mode = known.universe.mode(key)
            # A position is managed before its averages are warm; none is opened.
            ready = fresh and (warm or position is not None)
            if mode is Mode.MANUAL or (not ready and mode is not Mode.PANIC):
                silent.add(key)
            sides[side] = SideNow(
                mode=mode,
                preferred=key in known.universe.preferred,
                tradeable=ready or (mode is Mode.PANIC and ticker is not None),
                size=position.size if position else 0.0,
                price=position.price if position else 0.0,
                changed_ms=ledger.changed_ms(key),
            )
        bid, ask = (ticker.bid, ticker.ask) if ticker is not None else (float("nan"), float("nan"))
        now[coin] = CoinNow(bid, ask, sides["long"], sides["short"])
    realised = ledger.realised
    account = AccountNow(known.balance, realised.sum, realised.peak, known.may_unstuck)
    plan = feed.strategy.plan(account, now, known.policy.ladder)
    planned_for = set(feed.coins)
    silent |= {rest.key for rest in known.resting if rest.key[0] not in planned_for}
    return plan, frozenset(silent)


def decide(
    known: Known, feed: Feed, ledger: Ledger, churn: Churn, tell: Callable[[str, str], None]
) -> Decision:
    """Return what to send.

    Parameters
    ----------
    known
        What is known.
    feed, ledger
        Indicators, and what the fills say.
    churn
        Counts what is placed.
    tell
        Told of what guards hold back: (guard, text).
    """
    live, policy = known.config.live, known.policy
    plan, silent = plan_of(known, feed, ledger)
    prices = {coin: ticker.last for coin, ticker in known.tickers.items()}
    difference = compare(plan.orders, known.resting, silent, policy)
    cancel = sorted(
        difference.cancel,
        key=lambda rest: (distance(rest.order.price, prices.get(rest.order.coin)), rest.order.id),
    )
    most = live.max_n_cancellations_per_batch
    room = room_of(known, plan)
    ending = {rest.order.id for rest in cancel}
    staying = [rest for rest in known.resting if rest.order.id not in ending]
    if room is not None:
        take_up(room, known, [*cancel[most:], *(rest for rest in staying if rest.key in silent)])
    entries = [rest for rest in staying if not rest.reduces and rest.key not in silent]
    entries.sort(key=lambda rest: distance(rest.order.price, prices.get(rest.order.coin)))
    # A lowered cap ends what rests above it.
    cancel += limits.above_exposure(entries, room, tell)
    later = cancel[most:]
    # What is in the way of a cancelled order waits for the cancel.
    blocked = {rest.key for rest in later} | known.waiting | known.held
    wanted = sorted(difference.create, key=lambda order: urgency(order, prices))
    wanted = limits.within_reach(
        wanted, prices, live.price_distance_threshold, lambda key: key not in known.positions
    )
    create = [
        order
        for order in wanted
        if (order.coin, order.side) not in blocked
        and (order.reduces or (order.coin, order.side) not in known.short)
    ]
    create = churn.calm(create, known.now_ms)
    create = limits.within_exposure(create, room, tell)
    create = limits.within_count(create, len(known.resting) - len(cancel[:most]), policy, tell)
    now_create = create[: live.max_n_creations_per_batch]
    return Decision(
        plan=plan,
        cancel=tuple(cancel[:most]),
        create=tuple((order, at_market(order, known, prices)) for order in now_create),
        left=bool(later) or len(create) > len(now_create) or bool(known.waiting),
        matches=not cancel and not wanted,
        prices=prices,
    )


def caps_of(known: Known, plan: Plan) -> Caps:
    """Return the exposure that positions, sides and the account may reach."""
    config = known.config
    side = {}
    for name in SIDES:
        total = float(getattr(config.bot, name).total_wallet_exposure_limit)
        # A coin's own limit is not part of what the side divides among its slots.
        own = sum(
            limit
            for (coin, held_side), limit in plan.limits.items()
            if held_side == name
            and (coin, name) in plan.active
            and "wallet_exposure_limit" in config.coin_overrides.get(coin, {}).get("bot", {}).get(name, {})
        )
        side[name] = total + own
    # What others placed takes room from a cap that a person named, not from the strategy.
    account = sum(side.values()) + others_of(known)
    return Caps(plan.limits, side, account if known.cap is None else min(account, known.cap))


def others_of(known: Known) -> float:
    """Return the exposure of resting entries that are not the bot's, as a multiple of the balance."""
    total = 0.0
    for order in known.others:
        market = known.markets.get(order.coin)
        side = order.position_side or ("long" if order.qty > 0 else "short")
        if not order.reduce_only and (order.qty > 0) == (side == "long"):
            total += abs(order.left) * order.price * (market.rules.c_mult if market else 1.0)
    return total / known.balance


def room_of(known: Known, plan: Plan) -> Room | None:
    """Return the room for entries beside the positions; None: there is no balance."""
    if known.balance <= 0.0:
        return None
    caps = caps_of(known, plan)
    return Room(known.positions, known.markets, caps, known.balance, known.policy, others_of(known))


def take_up(room: Room, known: Known, resting: Sequence[Resting]) -> None:
    """Count the entries that rest, or may, and are not decided about here."""
    for rest in resting:
        if not rest.reduces:
            room.count(rest.key, rest.order.left, rest.order.price)
    for intent in known.pending:
        ticker = known.tickers.get(intent.coin)
        price = intent.price if intent.price is not None else ticker.last if ticker is not None else 0.0
        if not intent.type.startswith("close"):
            room.count((intent.coin, intent.side), intent.qty, price)


def at_market(order: PlannedOrder, known: Known, prices: Mapping[str, float]) -> bool:
    """Return whether an order is sent as a market order.

    Panic always is; where ``live.market_orders_allowed`` says so, also what should fill now, at the price.
    """
    if "panic" in order.type:
        return True
    live = known.config.live
    if not live.market_orders_allowed or live.time_in_force == "post_only":
        return False
    near = distance(order.price, prices.get(order.coin)) < _NEAR
    return near and any(word in order.type for word in _MARKET_WORDS)
