"""Guards over the account: a balance that can't be, a loss that is enough, a pace that is too high.

A guard holds back or stops, never trades, and says what it did by its ``tell``: (guard, text).
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import aiohttp
import numpy as np
from numpy.typing import NDArray

from passivbot.exchanges.types import Market, Paging, Position
from passivbot.live.candles import Source
from passivbot.live.journal import Journal
from passivbot.live.policy import Policy
from passivbot.live.snapshot import Key

Tell = Callable[[str, str], None]

BALANCE = "balance"
LOSS = "loss_stop"
PACE = "request_budget"
_SAME = 0.01
_LOOK_SECONDS = 1.0
_BAN_SECONDS, _AGAIN_SECONDS, _LONGEST_SECONDS = 5.0, 60.0, 300.0


class BalanceGuard:
    """Believes a balance that follows from the last one and the fills; others when they are told again.

    Exchanges show an empty account for moments. The last balance is kept in the journal, so a restart in
    such a moment believes it no sooner.

    Parameters
    ----------
    journal
        Keeps the last balance.
    policy
        ``balance_jump`` and ``balance_reads``.
    tell
        Told of balances that are not believed, or are after all.
    """

    def __init__(self, journal: Journal, policy: Policy, tell: Tell) -> None:
        self._journal, self._policy, self._tell = journal, policy, tell
        kept = journal.fact("balance")
        self._last = float(kept) if kept is not None else None
        self._doubtful: list[float] = []

    def believe(self, told: float, explained: float) -> float | None:
        """Return the balance to plan by, or None as long as it is not believed.

        Parameters
        ----------
        told
            As the exchange tells it.
        explained
            Profit less fees of the fills since the last call.
        """
        expected = self._last
        if expected is not None:
            expected += explained
        if told > 0.0:
            plausible = expected is None or abs(told - expected) <= self._policy.balance_jump * abs(expected)
        else:
            # An account that is empty indeed was believed before.
            last = self._last
            plausible = last is not None and last <= 0.0 and abs(told - last) <= _SAME * abs(last)
        if not plausible:
            if self._doubtful and abs(told - self._doubtful[-1]) > _SAME * max(abs(told), 1e-9):
                self._doubtful = []
            self._doubtful.append(told)
            reads = len(self._doubtful)
            if reads < self._policy.balance_reads:
                self._tell(
                    BALANCE,
                    f"the balance went from {expected or 0.0:.10g} to {told:.10g}: nothing is sent until it "
                    f"was read {self._policy.balance_reads} times (now {reads})",
                )
                return None
            if expected is None or told != expected:
                self._tell(BALANCE, f"the balance is {told:.10g}, read {reads} times: believed")
        self._doubtful = []
        if told != self._last:
            self._last = told
            self._journal.note(BALANCE, repr(told))
        return told


class LossStop:
    """Ends all entries once the equity has fallen far enough below its peak, until a person clears it.

    Parameters
    ----------
    journal
        Keeps peak and stop.
    policy
        ``loss_stop``.
    tell
        Told of the stop.
    """

    def __init__(self, journal: Journal, policy: Policy, tell: Tell) -> None:
        self._journal, self._limit, self._tell = journal, policy.loss_stop, tell
        self._peak = float(journal.fact("equity_peak") or 0.0)
        why = journal.fact(LOSS)
        # A stop holds until a person clears it, also if the next start has another limit, or none.
        self.stopped = why is not None
        if why is not None:
            tell(LOSS, f"no entries, until --clear-loss-stop: {why}")

    def look(self, equity: float | None) -> bool:
        """Take in the equity, None if it is not known; return whether entries may be placed."""
        if self._limit is None or equity is None:
            return not self.stopped
        if equity > self._peak * 1.001:  # not every cent is worth a write
            self._peak = equity
            self._journal.note("equity_peak", repr(equity))
        if not self.stopped and self._peak > 0.0 and equity < self._peak * (1.0 - self._limit):
            self.stopped = True
            text = (
                f"the equity of {equity:.10g} is {1 - equity / self._peak:.2%} below its peak of "
                f"{self._peak:.10g}: entries are cancelled and no more placed, closes go on"
            )
            self._journal.note(LOSS, text)
            self._tell(LOSS, text)
        return not self.stopped

    @staticmethod
    def clear(journal: Journal) -> None:
        """Let entries be placed again; the peak begins anew."""
        journal.drop_facts((LOSS, "equity_peak"))


class Pace:
    """Counts requests, and says when none may be sent.

    Parameters
    ----------
    policy
        ``requests_per_minute``.
    tell
        Told when the budget is used up, or the exchange says wait.
    clock
        Monotonic seconds.
    """

    def __init__(self, policy: Policy, tell: Tell, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._tell, self._clock = policy.requests_per_minute, tell, clock
        self._sent: deque[float] = deque()
        self._until, self._blocked = -math.inf, 0.0
        self.total = 0

    def trace(self) -> aiohttp.TraceConfig:
        """Return what a session needs so that its requests are counted."""
        config = aiohttp.TraceConfig()

        async def begun(_: aiohttp.ClientSession, __: SimpleNamespace, ___: Any) -> None:
            self.note()

        config.on_request_start.append(begun)
        return config

    def note(self) -> None:
        """Count a request."""
        self.total += 1
        self._sent.append(self._clock())

    def block(self, seconds: float) -> None:
        """Send nothing for so long: the exchange said so, or what is usual where it did not.

        One that says so again right after the wait wants a longer one than it says: an address that is banned
        for minutes is told no time by some.
        """
        now = self._clock()
        if seconds >= _BAN_SECONDS and 0.0 <= now - self._until < _AGAIN_SECONDS:
            seconds = max(seconds, min(2.0 * self._blocked, _LONGEST_SECONDS))
        if now >= self._until:
            self._blocked = seconds
        self._until = max(self._until, now + seconds)
        self._tell(PACE, f"the exchange wants no request for {seconds:g} s: none is sent")

    def wait_seconds(self) -> float:
        """Return how long nothing may be sent; 0: it may."""
        now = self._clock()
        while self._sent and now - self._sent[0] >= 60.0:
            self._sent.popleft()
        wait = max(self._until - now, 0.0)
        if len(self._sent) >= self._most:
            until_free = 60.0 - (now - self._sent[len(self._sent) - self._most])
            if until_free > wait:
                wait = until_free
                self._tell(PACE, f"{len(self._sent)} requests within a minute: none for {wait:.1f} s")
        return wait


class PacedCandles:
    """Candles that wait for the request budget: a warm-up of many coins is more than a minute's.

    Parameters
    ----------
    source
        The exchange.
    pace
        Counts its requests.
    """

    def __init__(self, source: Source, pace: Pace) -> None:
        self._source, self._pace = source, pace

    @property
    def paging(self) -> Paging:
        """What the pages are like."""
        return self._source.paging

    async def candles(
        self, coin: str, since_ms: int | None = None, limit: int | None = None
    ) -> NDArray[np.float64]:
        """Return candles, as :meth:`passivbot.live.candles.Source.candles`, when the budget allows it."""
        while (wait := self._pace.wait_seconds()) > 0.0:
            await asyncio.sleep(min(wait, _LOOK_SECONDS))
        return await self._source.candles(coin, since_ms, limit)


def equity(
    wallet: float,
    positions: Mapping[Key, Position],
    prices: Mapping[str, float],
    markets: Mapping[str, Market],
) -> float | None:
    """Return the balance with the profit of open positions at these prices; None: one is not known."""
    total = wallet
    for (coin, _), position in positions.items():
        if coin not in markets:
            continue
        if coin not in prices:
            return None
        total += position.size * (prices[coin] - position.price) * markets[coin].rules.c_mult
    return total
