"""The first cycle of a bot with another configuration, planned by the bot itself and not sent."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from passivbot.config import Config
from passivbot.errors import LiveError, PromotionError
from passivbot.exchanges import Exchange
from passivbot.live.bot import Bot, Parts
from passivbot.live.candles import CandleCache
from passivbot.live.clock import Clock
from passivbot.live.decide import Decision
from passivbot.live.feed import Feed
from passivbot.live.guards import Pace
from passivbot.live.journal import FILE as JOURNAL
from passivbot.live.journal import Journal
from passivbot.live.policy import Policy
from passivbot.live.source import Fixed
from passivbot.live.strategy import trailing_grid
from passivbot.live.watch import Watch
from passivbot.ops.redact import redacted
from passivbot.ops.status import bot_folder
from passivbot.promotion.account import Plan

_ATTEMPTS = 3
_CYCLES = 3
_ALL = 10_000
_MOST_NOTES = 20


class DryPlanner:
    """Plans with the bot's own loop over a copy of its journal; the exchange is only asked.

    Parameters
    ----------
    account
        Name of the account.
    cap
        Largest exposure that the bot will be held to, × balance.
    root
        Folder of the live configurations.
    clock
        Time.
    """

    def __init__(self, account: str, cap: float, root: Path, clock: Clock) -> None:
        self._account, self._root = account, root
        self._policy = replace(Policy(), max_exposure=cap)
        self._clock = clock

    async def __call__(self, exchange: Exchange, config: Config) -> Plan:
        """Return what the bot would send in its first cycle.

        Raises
        ------
        PromotionError
            The bot would not start, or its first cycles come to no plan.
        ExchangeFault
            The exchange could not be asked.
        """
        for left in reversed(range(_ATTEMPTS)):
            try:
                return await self._plan(exchange, config)
            except LiveError as error:
                # An order that the running bot placed after its journal was copied looks like another bot's.
                if not left:
                    raise PromotionError(f"the bot would not start with this: {error}") from error
        raise AssertionError

    async def _plan(self, exchange: Exchange, config: Config) -> Plan:
        with tempfile.TemporaryDirectory(prefix="passivbot-plan-") as name:
            folder = Path(name)
            _copy(bot_folder(self._account, self._root) / JOURNAL, folder / JOURNAL)
            notes: list[str] = []
            journal = Journal(folder / JOURNAL, self._account)
            cache = CandleCache(folder / "candles.sqlite")
            try:
                watch = _Notes(journal, notes)
                feed = Feed(exchange, cache, trailing_grid, watch.candles)
                pace = Pace(self._policy, watch.tell)
                # All of the plan, however many cycles it takes to send.
                source = Fixed(_in_one_batch(config), "the new configuration")
                parts = Parts(exchange, source, journal, feed, self._clock, self._policy, pace, watch, True)
                decision = await _decided(Bot(parts), notes)
            finally:
                journal.close()
                cache.close()
        live = config.live
        at_once = (
            f"sent by at most {live.max_n_cancellations_per_batch} cancels and "
            f"{live.max_n_creations_per_batch} creates a cycle"
        )
        return _plan_of(decision, [*dict.fromkeys(notes)][:_MOST_NOTES], at_once)


class _Notes(Watch):
    """Keeps what guards say, for the plan."""

    def __init__(self, journal: Journal, notes: list[str]) -> None:
        super().__init__(journal)
        self._notes = notes

    def tell(self, guard: str, text: str) -> None:
        self._notes.append(redacted(f"{guard}: {text}"))


async def _decided(bot: Bot, notes: Sequence[str]) -> Decision:
    await bot.start()
    for _ in range(_CYCLES):
        report = await bot.cycle()
        if report.outcome == "ok" and bot.decision is not None:
            return bot.decision
    raise PromotionError(f"the bot comes to no plan: {'; '.join(notes) or report.outcome}")


def _in_one_batch(config: Config) -> Config:
    update = {"max_n_cancellations_per_batch": _ALL, "max_n_creations_per_batch": _ALL}
    return config.model_copy(update={"live": config.live.model_copy(update=update)})


def _plan_of(decision: Decision, notes: Sequence[str], at_once: str) -> Plan:
    cancels = tuple(
        f"{rest.order.coin} {rest.type} {rest.order.left:.10g} at {rest.order.price:.10g}"
        for rest in decision.cancel
    )
    creates = tuple(
        f"{order.coin} {order.type} {order.qty:.10g} at "
        + ("the market" if market else f"{order.price:.10g}")
        for order, market in decision.create
    )
    return Plan(cancels, creates, (*notes, at_once))


def _copy(source: Path, target: Path) -> None:
    """Copy a journal that a bot may be writing; none is there before its first start."""
    if not source.is_file():
        return
    with (
        contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as old,
        contextlib.closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)
