"""A bot at a loopback venue: real ccxt over TLS, real journal and cache, market time that the test moves."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from passivbot.config import Config
from passivbot.engine import MarketRules
from passivbot.exchanges import Exchange, ExchangeFault, connect
from passivbot.exchanges.types import Failure, Fill
from passivbot.live.bot import Bot, Parts
from passivbot.live.candles import CandleCache
from passivbot.live.clock import Clock
from passivbot.live.feed import Feed
from passivbot.live.guards import Pace, PacedCandles
from passivbot.live.ids import order_type
from passivbot.live.journal import Journal
from passivbot.live.policy import Policy
from passivbot.live.run import begin
from passivbot.live.source import Fixed
from passivbot.live.strategy import trailing_grid
from passivbot.live.watch import Report, Watch
from passivbot.ops.run import Ops
from passivbot.times import MINUTE_MS
from passivbot.venue import Core, MarketSource, Venue, VenueMarket
from passivbot.venue.account import ApiKey
from tests.exchanges.bench import credentials

START_MS = 1_746_403_200_000
ACCOUNT = "test_01"
RULES = {
    "BTC": MarketRules(qty_step=0.001, price_step=0.1, min_qty=0.001, min_cost=5.0, c_mult=1.0),
    "DOGE": MarketRules(qty_step=1.0, price_step=0.00001, min_qty=1.0, min_cost=5.0, c_mult=1.0),
}
PRICE = {"BTC": 60_000.0, "DOGE": 0.2}
# A minute of market time passes in a moment, so requests of a minute of the wall say nothing.
EAGER = Policy(
    unknown_seconds=0.0,
    requests_per_minute=10**9,
    price_tolerance=0.0,
    qty_tolerance=0.0,
    backoff_seconds=0.05,
)
BOTH = ("binanceusdm", "bybit")


def walk_source(
    minutes: int = 3000, seed: int = 1, volatility: float = 0.0015, coins: Sequence[str] = ("BTC", "DOGE")
) -> MarketSource:
    """A random walk on price steps."""
    rng = np.random.default_rng(seed)
    times = START_MS + MINUTE_MS * np.arange(minutes, dtype=np.float64)
    candles = {}
    for coin in coins:
        step = RULES[coin].price_step
        close = PRICE[coin] * np.exp(np.cumsum(rng.normal(0.0, volatility, minutes)))
        opening = np.concatenate([[PRICE[coin]], close[:-1]])
        high = np.maximum(opening, close) * (1 + np.abs(rng.normal(0.0, volatility / 2, minutes)))
        low = np.minimum(opening, close) * (1 - np.abs(rng.normal(0.0, volatility / 2, minutes)))
        on_step = [np.round(np.round(column / step) * step, 10) for column in (opening, high, low, close)]
        candles[coin] = np.stack([times, *on_step, rng.uniform(1.0, 100.0, minutes)], axis=1)
    return MarketSource(
        [VenueMarket(coin, RULES[coin], listed_ms=START_MS - 10**10) for coin in coins], candles
    )


def falling_source(at: int, by: float) -> MarketSource:
    """A walk whose price is multiplied from a minute on."""
    source = walk_source()
    candles = {}
    for coin in source.coins:
        rows = source.candles(coin, source.first_ms, source.last_ms + 1).copy()
        step = RULES[coin].price_step
        rows[at:, 1:5] = np.round(np.round(rows[at:, 1:5] * by / step) * step, 10)
        candles[coin] = rows
    return MarketSource(list(source.markets.values()), candles)


def config_of(coins: Sequence[str] = ("BTC", "DOGE"), **changes: Any) -> Config:
    """A long and short grid with short averages; ``changes`` are dotted keys with ``__`` for the dots."""
    side = {
        "close_grid_markup_start": 0.004,
        "close_grid_markup_end": 0.002,
        "close_grid_qty_pct": 0.5,
        "close_trailing_grid_ratio": 0.0,
        "entry_trailing_grid_ratio": 0.0,
        "ema_span_0": 30.0,
        "ema_span_1": 60.0,
        "entry_grid_spacing_log_span_hours": 1.0,
        "entry_grid_spacing_pct": 0.004,
        "entry_grid_double_down_factor": 1.0,
        "entry_initial_ema_dist": -0.001,
        "entry_initial_qty_pct": 0.05,
        "filter_log_range_ema_span": 20.0,
        "filter_volume_ema_span": 20.0,
        "filter_volume_drop_pct": 0.0,
        "n_positions": 2.0,
        "total_wallet_exposure_limit": 1.0,
        "unstuck_close_pct": 0.05,
        "unstuck_loss_allowance_pct": 0.02,
        "unstuck_threshold": 0.5,
        "unstuck_ema_dist": -0.01,
    }
    lists = {"long": list(coins), "short": list(coins)}
    live = {
        "approved_coins": lists,
        "minimum_coin_age_days": 0.0,
        "market_orders_allowed": False,
        "max_n_cancellations_per_batch": 1000,
        "max_n_creations_per_batch": 1000,
        "price_distance_threshold": 1000.0,
        "warmup_ratio": 1.0,
        "max_warmup_minutes": 120.0,
        "inactive_coin_candle_ttl_minutes": 0.0,
    }
    data = Config().to_dict()
    data["bot"]["long"] |= side
    data["bot"]["short"] |= side
    data["live"] |= live
    for name, value in changes.items():
        *path, last = name.split("__")
        part = data
        for step in path:
            part = part[step]
        part[last] = value
    return Config.from_dict(data)


class VenueClock:
    """Market time of the venue."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def now_ms(self) -> int:
        return self._venue.clock.now_ms

    async def wait(self, seconds: float, wake: asyncio.Event) -> None:
        await asyncio.sleep(0)


@dataclass
class Rig:
    """A venue, an account on it, and a bot that can be started again."""

    venue: Venue
    name: str
    key: ApiKey
    folder: Path
    config: Config
    policy: Policy = EAGER
    dry_run: bool = False
    told: list[tuple[str, str]] = field(default_factory=list)
    bot: Bot | None = None
    source: Fixed | None = None
    exchange: Exchange | None = None
    cycles: int = 0
    sent: int = 0
    failed: list[Failure] = field(default_factory=list)
    starts: int = 0
    ops: Ops | None = None

    @property
    def core(self) -> Core:
        return self.venue.core(self.name)

    async def start(self, *, clock: Clock | None = None, **settings: Any) -> Bot:
        """Make a bot over what lies in the folder, as a process that starts would."""
        await self.end()
        journal = Journal(self.folder / "journal.sqlite", ACCOUNT)
        watch = Watch(journal, self.ops)
        tell = watch.tell

        def told(guard: str, text: str) -> None:
            self.told.append((guard, text))
            tell(guard, text)

        watch.tell = told  # type: ignore[method-assign]
        pace = Pace(self.policy, told)
        self.exchange = connect(
            self.name,
            credentials(self.name, self.key),
            session=self.venue.session(trace_configs=[pace.trace()]),
            rate_limit_ms=1,
            **{"timeout_s": 3.0, **settings},
        )
        await self.exchange.open()
        self.source = Fixed(self.config)
        cache = CandleCache(self.folder / "candles.sqlite")
        paced = PacedCandles(self.exchange, pace)
        feed = Feed(paced, cache, trailing_grid, lambda coin, why: told("candles", f"{coin} {why}"))
        self.journal, self.cache, self.feed = journal, cache, feed
        parts = Parts(
            self.exchange,
            self.source,
            journal,
            feed,
            clock or VenueClock(self.venue),
            self.policy,
            pace,
            watch,
            self.dry_run,
        )
        self.bot = Bot(parts)
        self.starts += 1
        await begin(self.bot, parts.clock, asyncio.Event())
        return self.bot

    async def end(self) -> None:
        """Leave as a process that is killed: nothing is tidied up at the exchange."""
        if self.bot is not None and self.exchange is not None:
            self.journal.close()
            self.cache.close()
            await self.exchange.close()
            self.bot = None

    def forget(self) -> None:
        """Let go of a bot that ended."""
        self.exchange = self.source = None
        for name in ("journal", "cache", "feed"):
            self.__dict__.pop(name, None)

    async def settle(self, most: int = 25) -> Report:
        """Run cycles in one minute until what rests is what is planned; failed ones are tried again."""
        report: object = None
        for _ in range(most):
            report = await self.look()
            if isinstance(report, Report) and report.settled and not report.again:
                return report
        raise AssertionError(f"nothing settled within {most} cycles: {report}; {self.told[-5:]}")

    async def look(self) -> Report | ExchangeFault:
        """One cycle, as the loop runs it: a failure is waited out."""
        assert self.bot is not None
        self.cycles += 1
        try:
            report = await self.bot.cycle()
        except ExchangeFault as fault:
            self.failed.append(fault.failure)
            return fault
        self.sent += report.created + report.cancelled
        wait = self.bot.parts.pace.wait_seconds()
        if wait:
            await asyncio.sleep(min(wait, 3.0))
        return report

    async def minutes(self, count: int = 1) -> None:
        """Let market time pass, settled in each minute."""
        for _ in range(count):
            self.venue.advance()
            await self.settle()

    async def until_met(self, most: int = 40) -> None:
        """Let market time pass until every queued fault has met a request."""
        for _ in range(most):
            if not self.venue.faults.waiting:
                return
            await self.minutes(1)
        raise AssertionError(f"no request met {self.venue.faults.waiting}")

    # ---- the four assertions

    def resting(self) -> dict[tuple[str, str, float, float], int]:
        """The venue's open orders of the bot: (coin, side, signed quantity, price) → how often."""
        found: dict[tuple[str, str, float, float], int] = {}
        for order in self.core.open_orders:
            sign = 1.0 if order.side == "buy" else -1.0
            key = (order.coin, order.position_side, round(sign * order.left, 9), round(order.price, 9))
            found[key] = found.get(key, 0) + 1
        return found

    def planned(self) -> dict[tuple[str, str, float, float], int]:
        """The orders of the bot's last plan."""
        assert self.bot is not None
        assert self.bot.decision is not None
        found: dict[tuple[str, str, float, float], int] = {}
        for order in self.bot.decision.plan.orders:
            key = (order.coin, order.side, round(order.qty, 9), round(order.price, 9))
            found[key] = found.get(key, 0) + 1
        return found

    def exposure(self) -> dict[str, float]:
        """Exposure of each side at the venue."""
        sums = {"long": 0.0, "short": 0.0}
        for held in self.core.positions.values():
            c_mult = self.venue.source.market(held.coin).rules.c_mult
            sums[held.side] += abs(held.size) * held.price * c_mult / self.core.balance
        return sums

    def check(self) -> None:
        """What holds after every fault: plan, exposure, requests, and nothing lost."""
        assert self.bot is not None
        resting, planned = self.resting(), self.planned()
        assert resting == planned, (set(resting.items()) ^ set(planned.items()), self.told[-5:])
        for side, exposure in self.exposure().items():
            limit = getattr(self.bot.config.bot, side).total_wallet_exposure_limit
            assert exposure <= limit * (1 + self.policy.exposure_slack), (side, exposure)
        requests = sum(self.venue.counts.values())
        budget = 80 * self.starts + 20 * self.cycles + 4 * self.sent
        assert requests <= budget, f"{requests} requests, {budget} would do: {self.venue.counts}"
        self.check_books()

    def check_books(self) -> None:
        """The journal has each order that rests and each fill, once."""
        self.check_orders()
        self.check_positions()
        told = sorted((e.coin, e.position_side, e.qty, e.price) for e in self.core.executions)
        kept = sorted(
            (fill.coin, self.side_of(fill), abs(fill.qty), fill.price) for fill in self.journal.fills()
        )
        assert kept == told

    def check_positions(self) -> None:
        """The fills of the journal add up to the venue's positions."""
        sums: dict[tuple[str, str], float] = {}
        for fill in self.journal.fills():
            key = (fill.coin, self.side_of(fill))
            sums[key] = sums.get(key, 0.0) + fill.qty
        held = {key: value.size for key, value in self.core.positions.items()}
        for key in set(sums) | set(held):
            assert abs(sums.get(key, 0.0) - held.get(key, 0.0)) < 1e-6 * max(1.0, abs(held.get(key, 0.0))), (
                key
            )

    def check_orders(self) -> None:
        """The journal has exactly the orders that rest."""
        mine = {o.client_id[-28:] for o in self.core.open_orders if order_type(o.client_id[-28:]) is not None}
        live = {intent.id for intent in self.journal.live()}
        assert mine == live, mine ^ live

    def side_of(self, fill: Fill) -> str:
        """The side of a kept fill."""
        kind = order_type(fill.client_id)
        return fill.position_side or ("long" if str(kind).endswith("long") else "short")


@asynccontextmanager
async def rig(
    name: str,
    folder: Path,
    *,
    source: MarketSource | None = None,
    config: Config | None = None,
    policy: Policy = EAGER,
    start_minute: int = 200,
    balance: float = 10_000.0,
    **settings: Any,
) -> AsyncIterator[Rig]:
    """A venue and an account; the bot is started by the test."""
    source = source or walk_source()
    start_ms = source.first_ms + start_minute * MINUTE_MS
    async with Venue(source, [name], start_ms=start_ms, balance=balance) as venue:
        made = Rig(
            venue, name, venue.account(name).new_key(), folder, config or config_of(), policy, **settings
        )
        try:
            yield made
        finally:
            await made.end()


def twins(r: Rig) -> list[tuple[str, str, float, float]]:
    """Orders of the bot that rest twice."""
    return [key for key, times in r.resting().items() if times > 1]


def counts(told: Sequence[tuple[str, str]]) -> Mapping[str, int]:
    """How often each guard spoke."""
    return {guard: sum(1 for other, _ in told if other == guard) for guard, _ in told}
