"""What became of the bot's orders: every one that may rest is accounted for, or its coin and side wait."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from passivbot.errors import LiveError
from passivbot.exchanges.base import Exchange
from passivbot.exchanges.types import Fill, OpenOrder
from passivbot.live.ids import is_own, order_type
from passivbot.live.journal import Intent, Journal, State
from passivbot.live.policy import Policy
from passivbot.live.reconcile import Resting
from passivbot.live.snapshot import Key, Snapshot

_MARGIN_MS = 5_000
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Accounts:
    """The orders of the account.

    Parameters
    ----------
    resting
        The bot's.
    manual
        Others': left alone.
    open
        Coins and sides with an order of unknown fate: nothing is placed there.
    pending
        Those orders, as far as they may rest.
    """

    resting: tuple[Resting, ...]
    manual: tuple[OpenOrder, ...]
    open: frozenset[Key]
    pending: tuple[Intent, ...] = ()


class Fates:
    """Follows the bot's orders.

    Parameters
    ----------
    exchange
        Asked for single orders that neither rest nor filled.
    journal
        Knows the orders.
    policy
        ``unknown_seconds``.
    started_ms
        Market time at which this bot started: a later order with an id of this form that is not in the
        journal was placed by another bot.
    """

    def __init__(self, exchange: Exchange, journal: Journal, policy: Policy, started_ms: int) -> None:
        self._exchange, self._journal, self._policy = exchange, journal, policy
        self._started_ms = started_ms
        self._begun = time.monotonic()
        self._sent: dict[str, float] = {}

    def sent(self, names: Iterable[str]) -> None:
        """Note that orders are being sent now."""
        now = time.monotonic()
        self._sent |= dict.fromkeys(names, now)

    def missing(self, snapshot: Snapshot) -> bool:
        """Return whether an order that rested is not told any more, or has filled in part."""
        told = {order.client_id: order for order in snapshot.orders}
        return any(
            intent.id not in told or told[intent.id].filled > 0
            for intent in self._journal.live()
            if intent.coin in self._exchange.markets
        )

    async def account(self, snapshot: Snapshot, fills: Mapping[str, list[Fill]], now_ms: int) -> Accounts:
        """Account for every order.

        Parameters
        ----------
        snapshot
            What the exchange tells.
        fills
            Known fills by client order id, and by the exchange's order id.
        now_ms
            Market time.

        Raises
        ------
        LiveError
            Another bot trades this account.
        ExchangeFault
            The exchange could not be asked.
        """
        live = {intent.id: intent for intent in self._journal.live()}
        by_exchange_id = {intent.exchange_id: intent for intent in live.values() if intent.exchange_id}
        resting: list[Resting] = []
        manual: list[OpenOrder] = []
        open_keys: set[Key] = set()
        pending: list[Intent] = []
        changes: list[tuple[str, State, str, str]] = []
        seen: set[str] = set()
        for order in snapshot.orders:
            intent = live.get(order.client_id) or by_exchange_id.get(order.id)
            if intent is None:
                intent = self._stranger(order)
            if intent is None:
                manual.append(order)
                continue
            if intent.id in seen:  # told twice
                continue
            seen.add(intent.id)
            if intent.state != "open" or intent.exchange_id != order.id:
                changes.append((intent.id, "open", order.id, ""))
            if order.left:
                resting.append(Resting(order, intent.side, intent.type))
        for intent in live.values():
            if intent.id in seen:
                continue
            if intent.coin not in self._exchange.markets:
                # The exchange does not list the market any more, nor its orders: nothing can be asked, nor
                # placed. Should the market come back, they are looked up.
                continue
            found, state, why = await self._look(intent, fills)
            if found is not None and found.left:
                # The list was not complete.
                resting.append(Resting(found, intent.side, intent.type))
                open_keys.add((intent.coin, intent.side))
                if intent.state != "open":
                    changes.append((intent.id, "open", found.id, ""))
            elif state is None:
                open_keys.add((intent.coin, intent.side))
                pending.append(intent)
            else:
                changes.append((intent.id, state, "", why))
                if why != "filled" and not intent.cancelling:
                    # Its fills may be on their way: the position is looked at once more.
                    open_keys.add((intent.coin, intent.side))
        self._journal.settle(changes, now_ms)
        self._sent = {name: at for name, at in self._sent.items() if name in live}
        return Accounts(tuple(resting), tuple(manual), frozenset(open_keys), tuple(pending))

    async def _look(
        self, intent: Intent, fills: Mapping[str, list[Fill]]
    ) -> tuple[OpenOrder | None, State | None, str]:
        """Return the order if it rests, else what became of it; neither: not known yet."""
        # Before its answer came an order has no exchange's id; fills without any are not its own.
        known = fills.get(intent.id) or (fills.get(intent.exchange_id) if intent.exchange_id else None) or []
        filled = sum(fill.qty for fill in known)
        if known and abs(filled - intent.qty) <= _TOLERANCE * abs(intent.qty):
            return None, "ended", "filled"
        order = await self._exchange.order(intent.coin, intent.id)
        if order is not None:
            return (order, None, "") if order.left else (None, "ended", "filled or cancelled")
        # What was taken a moment ago may not be told everywhere yet: given up now, it would be placed twice.
        age = time.monotonic() - self._sent.get(intent.id, self._begun)
        if age < self._policy.unknown_seconds:
            return None, None, ""
        return None, "ended", "gone" if intent.state == "open" else "never arrived"

    def _stranger(self, order: OpenOrder) -> Intent | None:
        """Return the intent of an order that is not in the journal but the bot's; None: somebody else's."""
        kind = order_type(order.client_id)
        if kind is None:
            return None
        side = "long" if kind.endswith("long") else "short"
        known = self._journal.order(order.client_id)
        if known is not None:
            return known  # it was given up too early
        if not is_own(order.client_id, self._journal.account, order.coin, side, order.price, order.qty):
            return None
        if order.created_ms > self._started_ms + _MARGIN_MS:
            raise LiveError(
                f"another bot trades this account: it placed {order.client_id} ({kind} of {order.coin}); "
                "this one stops and leaves everything as it is"
            )
        intent = Intent(
            order.client_id,
            order.coin,
            side,
            kind,
            order.qty,
            order.price,
            "open",
            order.id,
            order.created_ms,
            order.created_ms,
            False,
        )
        self._journal.adopt(intent)
        return intent
