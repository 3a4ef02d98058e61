"""What the bot tells of itself: to the log and the journal, and to whoever watches it."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil  # type: ignore[import-untyped]

from passivbot.exchanges.types import Fill, Market
from passivbot.live.journal import Journal
from passivbot.live.snapshot import Key, Snapshot
from passivbot.ops.run import Ops
from passivbot.planner import SIDES, Plan

log = logging.getLogger(__name__)
_REPEAT_MS = 300_000
_NUMBERS = re.compile(r"\d{12,}")
_MOST = 6


@dataclass(frozen=True)
class Report:
    """One cycle.

    Parameters
    ----------
    outcome
        ``ok``, or what kept it from sending anything.
    planned, resting, cancelled, created, fills
        Orders and fills.
    again
        Something is left to do: the next cycle comes soon.
    settled
        What rests is what was planned.
    own_seconds
        Planning and comparison, without the network.
    """

    outcome: str = "ok"
    planned: int = 0
    resting: int = 0
    cancelled: int = 0
    created: int = 0
    fills: int = 0
    again: bool = False
    settled: bool = False
    own_seconds: float = 0.0


class Watch:
    """Tells.

    Parameters
    ----------
    journal
        Keeps what guards did.
    ops
        Metrics, alerts, health; None: nobody watches.
    """

    def __init__(self, journal: Journal, ops: Ops | None = None) -> None:
        self._journal, self._ops = journal, ops
        self._told: dict[tuple[str, str], int] = {}
        self._idle: Mapping[Key, str] = {}
        self.now_ms = 0

    def tell(self, guard: str, text: str) -> None:
        """A guard did something; the same words are told at most every five minutes."""
        # Exchanges put the time and the request's number into their words: the same said again is the same.
        key = guard, _NUMBERS.sub("…", text)
        last = self._told.get(key)
        if last is not None and 0 <= self.now_ms - last < _REPEAT_MS:
            return
        self._told = {other: ms for other, ms in self._told.items() if self.now_ms - ms < _REPEAT_MS}
        self._told[key] = self.now_ms
        log.warning("guard %s: %s", guard, text)
        self._journal.tripped(guard, text, self.now_ms)
        if self._ops is not None:
            self._ops.tripped(guard, text)

    def idle(self, reasons: Mapping[Key, str]) -> None:
        """Say why coins are not entered: in the log when one comes or goes, in the status always."""
        fresh = [f"{' '.join(key)}: {why}" for key, why in reasons.items() if key not in self._idle]
        again = [" ".join(key) for key in self._idle if key not in reasons]
        if fresh:
            log.info("not entered: %s", few(fresh, "; "))
        if again:
            log.info("may be entered again: %s", few(again, ", "))
        self._idle = dict(reasons)

    def sent(self, action: str, outcome: str) -> None:
        """An order was sent."""
        if self._ops is not None:
            self._ops.metrics.orders.labels(action, outcome).inc()

    def failure(self, kind: str, text: str = "") -> None:
        """The exchange failed; several times in a row are an alert."""
        if self._ops is not None:
            self._ops.metrics.exchange_errors.labels(kind).inc()
            self._ops.alerts.failed("a request to the exchange", text or kind)

    def memory(self) -> None:
        """Note the process's memory."""
        log.info("memory", extra={"mb": round(psutil.Process().memory_info().rss / 2**20)})

    def websocket(self, up: bool) -> None:
        """The stream of hints came or went."""
        if self._ops is not None:
            self._ops.metrics.websocket_up.labels("orders").set(float(up))
            if not up:
                self._ops.alerts.send("disconnected", "the stream of hints broke; REST goes on", matter="ws")

    def version(self, label: str, number: int | None) -> None:
        """Another configuration is traded from now on."""
        log.info("configuration taken over: %s", label)
        if self._ops is not None:
            if number is not None:
                self._ops.metrics.version.set(number)
            self._ops.alerts.send("version", f"trades {label} now", matter=label)

    def filled(self, fills: list[Fill]) -> None:
        """New fills."""
        for fill in fills:
            facts = {
                "coin": fill.coin,
                "qty": fill.qty,
                "price": fill.price,
                "pnl": fill.pnl,
                "client_id": fill.client_id,
            }
            log.info("fill", extra=facts)
            if self._ops is not None:
                self._ops.metrics.fills.labels(fill.coin, fill.position_side or "").inc()
                self._ops.metrics.realised_profit.inc((fill.pnl or 0.0) - fill.fee)

    def cycle(
        self,
        report: Report,
        seconds: float,
        snapshot: Snapshot | None = None,
        balance: float = 0.0,
        plan: Plan | None = None,
        markets: Mapping[str, Market] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """End of a cycle."""
        extra = {
            "planned": report.planned,
            "cancelled": report.cancelled,
            "placed": report.created,
            "fills": report.fills,
            "ms": round(seconds * 1000, 1),
        }
        log.debug("cycle %s", report.outcome, extra=extra)
        if self._ops is None:
            return
        metrics = self._ops.metrics
        metrics.cycles.labels(report.outcome).inc()
        metrics.cycle_seconds.observe(seconds)
        if report.outcome != "ok":
            return
        self._ops.alerts.succeeded("a request to the exchange")
        metrics.own_seconds.observe(report.own_seconds)
        metrics.balance.set(balance)
        positions = []
        totals = dict.fromkeys(SIDES, 0.0)
        metrics.exposure.clear()
        for (coin, side), position in (snapshot.positions if snapshot else {}).items():
            c_mult = markets[coin].rules.c_mult if markets and coin in markets else 1.0
            exposure = abs(position.size) * position.price * c_mult / balance if balance > 0 else 0.0
            metrics.exposure.labels(coin, side).set(exposure)
            totals[side] += exposure
            positions.append(f"{coin} {side} {position.size:.10g} at {position.price:.10g} ({exposure:.1%})")
        for side, total in totals.items():
            metrics.total_exposure.labels(side).set(total)
        metrics.open_orders.set(report.resting)
        self._ops.health.beat(
            positions=positions,
            exposure=round(sum(totals.values()), 6),
            balance=balance,
            open_orders=report.resting,
            active=sorted(" ".join(key) for key in plan.active) if plan else [],
            idle=[f"{' '.join(key)}: {why}" for key, why in self._idle.items()],
            guards=[
                f"{guard}: {text}"
                for (guard, text), ms in self._told.items()
                if self.now_ms - ms < _REPEAT_MS
            ],
            last_cycle=extra,
            **(facts or {}),
        )

    def candles(self, coin: str, why: str) -> None:
        """Candles could not be had; ``coin`` is empty where it concerns all."""
        self.tell("candles", f"{coin}: {why}" if coin else why)

    def restarted(self, count: int, error: BaseException) -> None:
        """The loop broke and is made anew."""
        self.tell(
            "restart", f"the loop broke ({type(error).__name__}: {error}); restart {count} within a day"
        )
        if self._ops is not None:
            self._ops.metrics.restarts.inc()

    def unreachable(self, why: str, pause: float) -> None:
        """The exchange can't be traded at; that is waited out."""
        self.tell("outage", f"the exchange can't be reached ({why}); tried again in {pause:g} s")


def few(texts: Sequence[str], between: str) -> str:
    """Return the first of many texts in one line, and how many more there are."""
    more = len(texts) - _MOST
    return between.join(texts[:_MOST]) + (f"{between}and {more} more" if more > 0 else "")
