"""Sends cancels and orders: journalled first, cancels before creates, outcomes taken for what they mean."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from passivbot.errors import LiveError
from passivbot.exchanges.base import Exchange
from passivbot.exchanges.types import Failure, NewOrder, Outcome, Position
from passivbot.live.clock import minute_of
from passivbot.live.fate import Fates
from passivbot.live.guards import Pace
from passivbot.live.journal import Intent, Journal, State
from passivbot.live.reconcile import Resting
from passivbot.live.snapshot import Key
from passivbot.planner import PlannedOrder
from passivbot.times import HOUR_MS, MINUTE_MS

log = logging.getLogger(__name__)
Tell = Callable[[str, str], None]

_STATES: Mapping[Failure, State] = {Failure.EXISTS: "open", Failure.UNKNOWN: "unknown"}
_CLOSED_MS = HOUR_MS


@dataclass
class Sent:
    """What was sent in a cycle.

    Parameters
    ----------
    cancelled, created
        Orders that ended, and that rest (or filled) now.
    dirty
        Coins and sides where something came out otherwise: looked at again before anything is placed.
    failures
        How often each kind of failure came.
    """

    cancelled: int = 0
    created: int = 0
    dirty: set[Key] = field(default_factory=set)
    failures: dict[Failure, int] = field(default_factory=dict)


class Sender:
    """Sends for one account.

    Parameters
    ----------
    exchange, journal, fates, pace
        Of the bot.
    tell
        Told of refusals that a person should know.
    note
        Told of every outcome: (``create`` or ``cancel``, outcome).
    """

    def __init__(
        self,
        exchange: Exchange,
        journal: Journal,
        fates: Fates,
        pace: Pace,
        tell: Tell,
        note: Callable[[str, str], None],
    ) -> None:
        self._exchange, self._journal, self._fates, self._pace = exchange, journal, fates, pace
        self._tell, self._note = tell, note
        self._held: dict[Key, int] = {}
        self._short: dict[Key, int] = {}
        self._useless: dict[Key, int] = {}
        self._closed: dict[str, int] = {}
        self.stop_asked = False
        """No further batch: the process has to end."""
        self.stale_rules = False
        """An order was not acceptable by the rules at hand: they are read again."""
        self.wrong_mode = False
        """The account is in another position mode: it is set again."""
        self.clock_off = False
        """The clock is off: it is measured again."""

    def held(self, now_ms: int) -> set[Key]:
        """Return coins and sides whose orders were refused a moment ago, as they would be again."""
        self._held = {key: until for key, until in self._held.items() if until > now_ms}
        return set(self._held)

    def short(self, now_ms: int) -> set[Key]:
        """Return coins and sides that there was no margin for a moment ago: no entry, but closes."""
        self._short = {key: until for key, until in self._short.items() if until > now_ms}
        return set(self._short)

    def restricted(self, now_ms: int) -> frozenset[str]:
        """Return coins whose market took no entry a while ago."""
        self._closed = {coin: until for coin, until in self._closed.items() if until > now_ms}
        return frozenset(self._closed)

    async def cancel(self, orders: Sequence[Resting], now_ms: int) -> Sent:
        """End orders."""
        sent = Sent()
        if not orders or self.stop_asked or self._pace.wait_seconds() > 0.0:
            sent.dirty |= {rest.key for rest in orders}
            return sent
        self._journal.cancelling((rest.order.client_id for rest in orders), now_ms)
        outcomes = await self._exchange.cancel([rest.order for rest in orders])
        changes: list[tuple[str, State, str, str]] = []
        for rest, outcome in zip(orders, outcomes, strict=True):
            if outcome.failure is None:
                sent.cancelled += 1
                changes.append((rest.order.client_id, "ended", outcome.order_id, "cancelled"))
            else:
                # Gone: it filled, or was cancelled by somebody; the next look tells.
                sent.dirty.add(rest.key)
                self._failed("cancel", rest.key, rest.reduces, outcome, sent, now_ms)
            self._note("cancel", outcome.failure or "ok")
        self._journal.settle(changes, now_ms)
        return sent

    async def create(
        self,
        orders: Sequence[tuple[PlannedOrder, bool]],
        now_ms: int,
        *,
        post_only: bool,
        step: int,
    ) -> Sent:
        """Place orders, ``step`` in one go; between two of them the process may be asked to stop.

        Parameters
        ----------
        orders
            Each with whether it is a market order.
        now_ms
            Market time.
        post_only
            Limit orders that would trade at once are refused.
        step
            Orders in one batch.
        """
        sent = Sent()
        for start in range(0, len(orders), max(step, 1)):
            if self.stop_asked or self._pace.wait_seconds() > 0.0:
                sent.dirty |= {(order.coin, order.side) for order, _ in orders[start:]}
                break
            part = [
                (order, market)
                for order, market in orders[start : start + max(step, 1)]
                if (order.coin, order.side) not in sent.dirty
            ]
            if part:
                await self._create(part, now_ms, post_only, sent)
        return sent

    async def _create(
        self, orders: Sequence[tuple[PlannedOrder, bool]], now_ms: int, post_only: bool, sent: Sent
    ) -> None:
        intents = self._journal.intend(
            [(order, None if market else order.price) for order, market in orders], now_ms
        )
        # Two alike orders of one plan have one id: the second waits for the first.
        requests = {intent.id: _request(intent, post_only) for intent in intents}
        self._fates.sent(requests)
        outcomes = await self._exchange.create(list(requests.values()))
        changes: list[tuple[str, State, str, str]] = []
        for request, outcome in zip(requests.values(), outcomes, strict=True):
            key: Key = (request.coin, request.position_side)
            state: State = "open" if outcome.failure is None else _STATES.get(outcome.failure, "refused")
            changes.append((request.client_id, state, outcome.order_id, outcome.text))
            if outcome.ok:
                sent.created += 1
            if outcome.failure is not None:
                self._failed("create", key, request.reduce_only, outcome, sent, now_ms)
            self._note("create", outcome.failure or "ok")
        self._journal.settle(changes, now_ms)

    def _failed(
        self, action: str, key: Key, reduces: bool, outcome: Outcome, sent: Sent, now_ms: int
    ) -> None:
        failure = outcome.failure
        if failure is None or failure is Failure.EXISTS:
            return
        # Each minute has a cycle: by then the same may be taken.
        next_minute = minute_of(now_ms) + MINUTE_MS
        sent.failures[failure] = sent.failures.get(failure, 0) + 1
        first = key not in sent.dirty
        sent.dirty.add(key)
        facts = {"coin": key[0], "side": key[1], "failure": str(failure), "text": outcome.text}
        log.info("%s was not carried out", action, extra=facts)
        if failure is Failure.AUTH:
            raise LiveError(
                f"the exchange does not accept this key any more ({outcome.text}); the bot stops and leaves "
                "its orders. Check the key's permissions and addresses, then start it again"
            )
        if failure is Failure.RATE_LIMIT:
            self._pace.block(outcome.retry_after_s or 0.0)
        elif failure is Failure.CLOCK:
            self.clock_off = True
        elif failure is Failure.MODE:
            self.wrong_mode = True
            self._tell("position_mode", f"{key[0]}: the account is in another position mode ({outcome.text})")
        elif failure is Failure.CLOSED:
            self._closed[key[0]] = now_ms + _CLOSED_MS
            self._tell(
                "market", f"{key[0]}: the market takes no entry ({outcome.text}); only closes for an hour"
            )
            if action == "create" and reduces and first and self._again(key, next_minute):
                # Nor closes, as it seems: whether it is traded at all stands among the rules.
                self._held[key] = next_minute
                self.stale_rules = True
        elif action == "create" and failure is Failure.REDUCE_ONLY:
            # Once, its position was closed a moment ago; again, somebody else's orders close it already.
            if first and self._again(key, next_minute):
                self._held[key] = next_minute
                self._tell("refused", f"{key[0]} {key[1]}: {outcome.text}; it waits for the next minute")
        elif action == "create" and failure is Failure.FUNDS:
            (self._held if reduces else self._short)[key] = next_minute
            what = "it waits" if reduces else "its entries wait"
            self._tell("margin", f"{key[0]} {key[1]}: not enough margin; {what} for the next minute")
        elif action == "create" and failure is Failure.REFUSED:
            self._held[key] = next_minute
            self.stale_rules = True
            self._tell(
                "refused",
                f"{key[0]} {key[1]}: {outcome.text}; rules are read again, it waits for the next minute",
            )

    def _again(self, key: Key, next_minute: int) -> bool:
        """Note that a close was refused; tell whether one was in another cycle not long ago."""
        before = self._useless.get(key, 0)
        self._useless[key] = next_minute + MINUTE_MS
        return next_minute <= before


def _request(intent: Intent, post_only: bool) -> NewOrder:
    return NewOrder(
        client_id=intent.id,
        coin=intent.coin,
        position_side="long" if intent.side == "long" else "short",
        qty=intent.qty,
        price=intent.price,
        reduce_only=intent.type.startswith("close"),
        post_only=post_only and intent.price is not None,
    )


def moved(before: Mapping[Key, Position], after: Iterable[Position], keys: Collection[Key]) -> set[Key]:
    """Return those of the coins and sides whose position is not what it was."""
    now: dict[Key, float] = {(position.coin, position.side): position.size for position in after}
    return {key for key in keys if now.get(key, 0.0) != (before[key].size if key in before else 0.0)}
