"""The bot: one cycle after another, each from a fresh snapshot to what has to be sent."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from passivbot.config import Config
from passivbot.errors import LiveError
from passivbot.exchanges.base import Exchange
from passivbot.exchanges.errors import ExchangeFault
from passivbot.exchanges.types import Failure, Fill, Market
from passivbot.live import setup, snapshot
from passivbot.live.clock import Clock, WallClock, unless
from passivbot.live.decide import Decision, Known, decide
from passivbot.live.fate import Fates
from passivbot.live.feed import Feed
from passivbot.live.guards import BalanceGuard, LossStop, Pace, equity
from passivbot.live.journal import Journal
from passivbot.live.ledger import Ledger
from passivbot.live.limits import Churn
from passivbot.live.policy import Policy
from passivbot.live.send import Sender, moved
from passivbot.live.snapshot import Key, Snapshot
from passivbot.live.source import Source
from passivbot.live.universe import Universe, leverage, survey
from passivbot.live.watch import Report, Watch
from passivbot.planner import SIDES, Mode
from passivbot.times import DAY_MS, HOUR_MS, MINUTE_MS

log = logging.getLogger(__name__)

_AGAIN_MS = 300_000
_OVERLAP_MS = 120_000
_KEPT_DAYS = 90
_DRIFT_LOOKS = 3
_WATCHFUL_MS = 15 * MINUTE_MS


@dataclass
class Parts:
    """What a bot is made of; see the classes."""

    exchange: Exchange
    source: Source
    journal: Journal
    feed: Feed
    clock: Clock
    policy: Policy
    pace: Pace
    watch: Watch
    dry_run: bool = False


class Bot:
    """Trades one account by one configuration.

    :meth:`start` once, then :meth:`cycle` as often as something may have changed.

    Parameters
    ----------
    parts
        What it works with.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.config: Config = parts.source.now
        self._balance = BalanceGuard(parts.journal, parts.policy, parts.watch.tell)
        self._loss = LossStop(parts.journal, parts.policy, parts.watch.tell)
        self._churn = Churn(parts.policy, parts.watch.tell)
        self._leverages = setup.Leverages(parts.exchange, parts.watch.tell)
        self._ledger = Ledger()
        self._before: dict[Key, float] | None = None
        self._new: list[Fill] = []
        self._drifting: dict[Key, int] = defaultdict(int)
        self._active: frozenset[Key] = frozenset()
        self._fed: tuple[object, ...] = ()
        self._traded: set[Key] = set()
        self._explained = 0.0
        self._sizes: dict[Key, float] = {}
        self._watchful_until_ms = 0
        self._due_ms: dict[str, int] = {}
        self._memory_due = 0.0
        self._stop = asyncio.Event()
        self._fates: Fates | None = None
        self._sender: Sender | None = None
        self.decision: Decision | None = None
        """Of the last cycle."""
        self.universe = Universe()
        """Of the last cycle."""

    # ---- life

    async def start(self) -> None:
        """Check the key, set up the account, read the history, feed the strategy.

        Raises
        ------
        LiveError
            The account is not as it has to be.
        ExchangeFault
            The exchange could not be asked.
        """
        p = self.parts
        await self._set_clock()
        now = p.watch.now_ms = p.clock.now_ms()
        await setup.check_permissions(p.exchange)
        if not p.dry_run:
            await setup.set_up_account(p.exchange)
        self._fates = Fates(p.exchange, p.journal, p.policy, now)
        self._sender = Sender(p.exchange, p.journal, self._fates, p.pace, p.watch.tell, p.watch.sent)
        days = self.config.live.pnls_max_lookback_days
        since = now - int(days * DAY_MS)
        self._ledger = Ledger(p.journal.fills(since), self._c_mult)
        self._traded = p.journal.traded()
        await self._read_fills(since, now)
        self._explained = 0.0
        self._due_ms = {
            "markets": now + HOUR_MS,
            "permissions": now + int(p.policy.permissions_hours * HOUR_MS),
            "fills": now + int(p.policy.fills_minutes * MINUTE_MS),
            "forget": now,
        }
        await self._feed((), now)

    def stop(self) -> None:
        """Send no further batch: the process has to end. What is being sent is still taken note of.

        A cycle that waits for candles, as for the warm-up of another configuration, ends at once.
        """
        self._stop.set()
        if self._sender is not None:
            self._sender.stop_asked = True

    async def cycle(self) -> Report:
        """Look, plan, send.

        Raises
        ------
        LiveError
            The bot must not go on.
        ExchangeFault
            The exchange could not be asked; nothing is lost, the next cycle looks again.
        """
        p = self.parts
        began = time.perf_counter()
        now = p.watch.now_ms = p.clock.now_ms()
        wait = p.pace.wait_seconds()
        if wait > 0.0:
            return self._end(Report("paced", again=True), began)
        try:
            return await self._cycle(now, began)
        except ExchangeFault as fault:
            p.watch.failure(fault.failure, fault.text)
            self._end(Report(str(fault.failure), again=True), began)
            if fault.failure is Failure.AUTH:
                raise LiveError(
                    f"{p.exchange.name} does not accept this key any more ({fault.text}); the bot stops and "
                    "leaves its orders. Check the key's permissions and addresses, then start it again"
                ) from fault
            if fault.failure is Failure.RATE_LIMIT:
                p.pace.block(fault.retry_after_s or 0.0)
                return Report(str(fault.failure), again=True)
            if fault.failure is Failure.CLOCK:
                await self._set_clock()
            raise

    async def _cycle(self, now: int, began: float) -> Report:
        p = self.parts
        if isinstance(p.clock, WallClock) and p.clock.stepped:
            # By a clock that was set ahead, the minute that runs would be taken for over.
            await self._set_clock()
            now = p.watch.now_ms = p.clock.now_ms()
        await self._renew(now)
        seen = await snapshot.take(p.exchange, self._priced())
        fates, sender = self._running()
        changed = self._changed(seen)
        # A drifting position waits for fills that the history did not have yet.
        if now >= self._due_ms["fills"] or changed or self._drifting or fates.missing(seen):
            await self._read_fills(self._fills_since(now), now)
            minutes = 1.0 if now < self._watchful_until_ms else p.policy.fills_minutes
            self._due_ms["fills"] = now + int(minutes * MINUTE_MS)
        new, self._new = self._new, []
        balance = self._balance.believe(seen.balance.wallet, self._explained)
        self._explained = 0.0
        if balance is None:
            return self._end(Report("balance", fills=len(new), again=True), began)
        accounts = await fates.account(seen, self._fills_by_id(), now)
        self._traded |= {rest.key for rest in accounts.resting}
        prices = {coin: ticker.last for coin, ticker in seen.tickers.items()}
        entries = self._loss.look(equity(balance, seen.positions, prices, p.exchange.markets))
        universe = self.universe = survey(
            self.config,
            p.exchange.markets,
            {key: position.size for key, position in seen.positions.items()},
            own=self._is_own,
            restricted=sender.restricted(now),
            price=seen.price,
            balance=balance,
            now_ms=now,
            resting={rest.key for rest in accounts.resting},
            entries=entries,
            hedge=p.exchange.hedge,
            forced=p.policy.mode,
        )
        touched = {coin for coin, _ in seen.positions} | {rest.order.coin for rest in accounts.resting}
        # Nothing is on its way here, so nothing is lost by an end.
        if not await unless(self._stop, self._feed(touched, now)):
            return self._end(Report("stopped", fills=len(new)), began)
        drifting = self._drift(seen, now)
        known = Known(
            config=self.config,
            policy=p.policy,
            markets=p.exchange.markets,
            tickers=seen.tickers,
            positions=seen.positions,
            resting=accounts.resting,
            balance=balance,
            universe=universe,
            now_ms=now,
            pending=accounts.pending,
            others=accounts.manual,
            cap=self._cap(),
            waiting=accounts.open | drifting,
            held=frozenset(sender.held(now)),
            short=frozenset(sender.short(now)),
            may_unstuck=self._ledger.complete and not drifting,
        )
        decided = time.perf_counter()
        decision = self.decision = decide(known, p.feed, self._ledger, self._churn, p.watch.tell)
        own = time.perf_counter() - decided
        self._active = decision.plan.active
        p.watch.idle(self._idle(seen, now))
        report = Report(
            planned=len(decision.plan.orders),
            resting=len(accounts.resting),
            fills=len(new),
            settled=decision.matches,
            own_seconds=own,
            again=decision.left,
        )
        if not p.dry_run:
            report = await self._send(decision, seen, now, report)
        else:
            self._log_plan(decision)
        return self._end(report, began, seen, balance)

    async def _send(self, decision: Decision, seen: Snapshot, now: int, report: Report) -> Report:
        p = self.parts
        _, sender = self._running()
        cancelled = await sender.cancel(decision.cancel, now)
        if p.pace.wait_seconds() > 0.0:
            # Not even a question is allowed now.
            return replace(report, cancelled=cancelled.cancelled, again=True, settled=False)
        dirty = set(cancelled.dirty)
        keys = {rest.key for rest in decision.cancel} - dirty
        if keys and decision.create:
            # An order may have filled in part before it ended.
            dirty |= moved(seen.positions, await p.exchange.positions(), keys)
        create = []
        for order, market in decision.create:
            if (order.coin, order.side) in dirty:
                continue
            if not order.reduces:
                if dirty:
                    # What was to make room for it may still fill, or has.
                    continue
                wanted = leverage(self.config, order.coin, p.exchange.markets[order.coin])
                if not await self._leverages.ready(order.coin, wanted, now):
                    continue
            create.append((order, market))
        if seen.age > p.policy.snapshot_seconds and create:
            p.watch.tell("stale", f"the snapshot is {seen.age:.0f} s old: nothing is placed by it")
            return replace(report, cancelled=cancelled.cancelled, again=True, settled=False)
        live = self.config.live
        created = await sender.create(
            create,
            now,
            post_only=live.time_in_force == "post_only",
            step=live.max_n_creations_per_batch,
        )
        for order, _ in create:
            self._churn.note((order.coin, order.side), now)
            self._traded.add((order.coin, order.side))
        sent = bool(decision.cancel or create)
        return replace(
            report,
            cancelled=cancelled.cancelled,
            created=created.created,
            again=report.again or sent or bool(dirty) or bool(created.dirty),
            settled=report.settled and not sent,
        )

    def _end(
        self, report: Report, began: float, seen: Snapshot | None = None, balance: float = 0.0
    ) -> Report:
        plan = self.decision.plan if self.decision is not None else None
        facts = {
            "configuration": self.parts.source.label,
            "version": self.parts.source.version,
            "dry_run": self.parts.dry_run,
            "max_exposure": self._cap(),
            "loss_stop": self._loss.stopped,
            "mode": self.parts.policy.mode.name.lower() if self.parts.policy.mode is not None else None,
        }
        self.parts.watch.cycle(
            report, time.perf_counter() - began, seen, balance, plan, self.parts.exchange.markets, facts
        )
        return report

    def _idle(self, seen: Snapshot, now: int) -> dict[Key, str]:
        """Return why approved coins are not entered, as far as it is not the strategy's choice."""
        feed, universe = self.parts.feed, self.universe
        reasons = dict(universe.reasons)
        for key, mode in universe.modes.items():
            coin = key[0]
            if mode is not Mode.NORMAL or key in seen.positions:
                continue
            missing = feed.missing(coin)
            if missing is None:
                reasons[key] = "it has no candles"
            elif missing:
                reasons[key] = f"its averages need {missing} more minutes of candles"
            elif (lag := feed.lag(coin, now)) > self.parts.policy.candle_lag_minutes:
                reasons[key] = f"its candles are {lag} minutes behind"
        return reasons

    def _cap(self) -> float | None:
        """Return the cap of the account's exposure: the lower of the person's and the promoted version's."""
        caps = [cap for cap in (self.parts.policy.max_exposure, self.parts.source.cap) if cap is not None]
        return min(caps, default=None)

    def _log_plan(self, decision: Decision) -> None:
        for rest in decision.cancel:
            log.info(
                "would cancel", extra={"coin": rest.order.coin, "side": rest.side, "price": rest.order.price}
            )
        for order, market in decision.create:
            facts = {"coin": order.coin, "type": order.type, "qty": order.qty, "price": order.price}
            log.info("would place", extra=facts | {"market": market})

    # ---- between cycles

    async def _renew(self, now: int) -> None:
        """Take over what changed: configuration, rules, modes, clock, permissions."""
        p = self.parts
        _, sender = self._running()
        config = p.source.poll(p.watch.tell)
        if config is not None:
            self.config = config
            p.watch.version(p.source.label, p.source.version)
        if sender.clock_off:
            await self._set_clock()
            sender.clock_off = False
        if sender.wrong_mode and not p.dry_run:
            await setup.set_up_account(p.exchange)
            sender.wrong_mode = False
        if sender.stale_rules:
            sender.stale_rules = False
            self._due_ms["markets"] = now
        await self._when_due("markets", now, HOUR_MS, self._read_markets)
        every = int(p.policy.permissions_hours * HOUR_MS)
        await self._when_due("permissions", now, every, lambda: setup.check_permissions(p.exchange))
        if time.monotonic() >= self._memory_due:
            p.watch.memory()
            self._memory_due = time.monotonic() + self.config.live.memory_snapshot_interval_minutes * 60.0
        if now >= self._due_ms["forget"]:
            self._forget(now)
            self._due_ms["forget"] = now + DAY_MS

    async def _when_due(
        self, what: str, now: int, every_ms: int, work: Callable[[], Awaitable[None]]
    ) -> None:
        """Do what is done now and then; if the exchange does not answer that, trading goes on without."""
        if now < self._due_ms[what]:
            return
        try:
            await work()
        except ExchangeFault as fault:
            if fault.failure in (Failure.RATE_LIMIT, Failure.AUTH, Failure.CLOCK):
                raise
            self._due_ms[what] = now + _AGAIN_MS
            self.parts.watch.tell(what, f"can't be read ({fault.text}); tried again in five minutes")
        else:
            self._due_ms[what] = now + every_ms

    async def _read_markets(self) -> None:
        p = self.parts
        before = dict(p.exchange.markets)
        await p.exchange.reload_markets()
        self._tell_changes(before, p.exchange.markets)
        await self._set_clock()

    async def _set_clock(self) -> None:
        """Measure how far the clock is off; a market that is replayed has a time of its own."""
        ahead = await self.parts.exchange.clock_difference_ms()
        if isinstance(self.parts.clock, WallClock):
            self.parts.clock.measured(ahead)

    def _tell_changes(self, before: Mapping[str, Market], after: Mapping[str, Market]) -> None:
        for coin in self.parts.feed.coins:
            old, new = before.get(coin), after.get(coin)
            if new is None or (old is not None and old.active and not new.active):
                self.parts.watch.tell("market", f"{coin}: its market is closed; its orders are left alone")
            elif old is not None and old.rules != new.rules:
                self.parts.feed.strategy.set_rules(coin, new.rules)
                self.parts.watch.tell("rules", f"{coin}: its rules changed to {new.rules}")

    def _forget(self, now: int) -> None:
        p = self.parts
        days = max(self.config.live.pnls_max_lookback_days, _KEPT_DAYS)
        p.journal.forget(now - int(days * DAY_MS))
        p.feed.forget(now, int(self.config.live.max_disk_candles_per_symbol_per_tf))
        self._ledger.drop(now - int(self.config.live.pnls_max_lookback_days * DAY_MS))
        self._before = None

    def _running(self) -> tuple[Fates, Sender]:
        if self._fates is None or self._sender is None:
            raise RuntimeError("the bot has not been started")
        return self._fates, self._sender

    # ---- candles

    async def _feed(self, held: Iterable[str], now: int) -> None:
        """Bring the strategy's candles up to date; make it anew if its coins or parameters changed."""
        p = self.parts
        listed = p.exchange.markets
        coins = {coin for side in SIDES for coin in self.config.live.approved(side, listed) & listed.keys()}
        # Coins that were traded once stay: a strategy is not made anew for every fill.
        coins |= {coin for coin in (*held, *p.feed.coins) if coin in listed}
        rules = {coin: listed[coin].rules for coin in sorted(coins)}
        wanted = (
            self.config.to_dict()["bot"],
            self.config.coin_overrides,
            self.config.live.warmup_ratio,
            tuple(rules),
        )
        if wanted != self._fed:
            await p.feed.start(self.config, rules, now)
            self._fed = wanted
            return
        active = {coin for coin, _ in self._active}
        idle = self.config.live.inactive_coin_candle_ttl_minutes
        await p.feed.update(p.feed.due(active, now, idle), now)

    def _priced(self) -> list[str]:
        return [coin for coin in self.parts.feed.coins if coin in self.parts.exchange.markets]

    # ---- fills

    def _is_own(self, key: Key) -> bool:
        # Not every exchange tells whose order a fill was of; the journal knows the orders.
        return key in self._traded or self._ledger.is_own(key)

    def _c_mult(self, coin: str) -> float:
        market = self.parts.exchange.markets.get(coin)
        return 1.0 if market is None else market.rules.c_mult

    def _fills_since(self, now: int) -> int:
        last = self._ledger.last_ms
        oldest = now - int(self.config.live.pnls_max_lookback_days * DAY_MS)
        return oldest if last is None else max(last - _OVERLAP_MS, oldest)

    async def _read_fills(self, since: int, now: int) -> None:
        p = self.parts
        fills = await p.exchange.fills(since, now + MINUTE_MS)
        new = p.journal.add_fills(fills)
        self._ledger.add(new)
        self._explained += sum((fill.pnl or 0.0) - fill.fee for fill in new)
        self._new = [*self._new, *new]
        p.watch.filled(new)

    def _fills_by_id(self) -> dict[str, list[Fill]]:
        """Return the fills of orders that may rest, by client order id and by the exchange's."""
        found: dict[str, list[Fill]] = defaultdict(list)
        live = {name for intent in self.parts.journal.live() for name in (intent.id, intent.exchange_id)}
        # Nothing is no name: an order has none before its answer came, nor has many a fill an id of ours.
        for fill in self._ledger.of_orders(live - {""}):
            for name in {fill.client_id, fill.order_id} - {""}:
                found[name].append(fill)
        return found

    def _changed(self, seen: Snapshot) -> bool:
        sizes = {key: position.size for key, position in seen.positions.items()}
        changed = sizes != self._sizes
        self._sizes = sizes
        return changed

    def _drift(self, seen: Snapshot, now: int) -> frozenset[Key]:
        """Return positions that do not fit their fills yet. After some looks the exchange's word is taken.

        Its fills may still come: for a while they are read each minute.
        """
        if self._before is None:
            sizes = {key: position.size for key, position in seen.positions.items()}
            self._before = {key: size - self._ledger.size(key) for key, size in sizes.items()}
        drifting = self._ledger.drift(seen.positions, self._before)
        for key in list(self._drifting):
            if key not in drifting:
                del self._drifting[key]
        for key in drifting:
            self._drifting[key] += 1
            if self._drifting[key] >= _DRIFT_LOOKS:
                size = seen.positions[key].size if key in seen.positions else 0.0
                self.parts.watch.tell(
                    "history",
                    f"{key[0]} {key[1]}: its fills do not give its size of {size:.10g}: taken as it is",
                )
                self._before[key] = size - self._ledger.size(key)
                del self._drifting[key]
                self._watchful_until_ms = now + _WATCHFUL_MS
                self._due_ms["fills"] = min(self._due_ms["fills"], now + MINUTE_MS)
        return frozenset(self._drifting)
