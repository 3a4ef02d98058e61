"""The loop: a cycle at each minute and whenever something happened; failures, restarts, and the end."""

import asyncio
import gc
import json
import logging
from collections.abc import Awaitable, Callable

from passivbot.errors import LiveError, PassivbotError
from passivbot.exchanges.base import Exchange
from passivbot.exchanges.errors import ExchangeFault
from passivbot.exchanges.types import Failure
from passivbot.live.bot import Bot
from passivbot.live.clock import Clock, unless
from passivbot.live.journal import Journal
from passivbot.live.watch import Report, Watch
from passivbot.times import DAY_MS, MINUTE_MS

log = logging.getLogger(__name__)

_CANDLE_MS = 1_500
"""After the minute's end: exchanges need a moment to publish its candle."""
_LONG_MS = 1_800_000
"""A life of so long had an exchange that answers."""
_OUTAGES = (Failure.RETRY, Failure.UNKNOWN, Failure.MAINTENANCE, Failure.RATE_LIMIT)
_MOST_DOUBLINGS = 4
_STREAM_SECONDS = 5.0
_BURST_SECONDS = 0.2
"""A fill comes with several messages; one cycle is for all of them."""
STREAM = "websocket"


class Hints:
    """Wakes the loop when the exchange's stream says that something changed. Nothing else depends on it.

    Parameters
    ----------
    exchange
        Of the bot.
    watch
        Told when the stream breaks or says nothing.
    wake
        Set by each hint.
    """

    def __init__(self, exchange: Exchange, watch: Watch, wake: asyncio.Event) -> None:
        self._exchange, self._watch, self._wake = exchange, watch, wake
        self.count = 0
        # The first look finds what happened before there was a stream.
        self._since = -1
        self._untold: int | None = None

    async def follow(self) -> None:
        """Follow the stream until cancelled, whatever happens to it."""
        while True:
            try:
                await self._follow()
            except Exception as error:
                self._watch.websocket(False)
                self._watch.tell(STREAM, f"the stream broke ({type(error).__name__}: {error}); opened anew")
            await asyncio.sleep(_STREAM_SECONDS)

    async def _follow(self) -> None:
        up = False
        async for hint in self._exchange.watch():
            if hint.kind == "lost":
                if up:
                    self._watch.websocket(False)
                    self._watch.tell(STREAM, f"the stream broke ({hint.text}); orders are read by REST")
                up = False
                continue
            if not up:
                self._watch.websocket(True)
                up = True
            self.count += 1
            self._wake.set()

    def found(self, fills: int, count: int) -> None:
        """Note what a cycle found: fills since the cycle before, of which the stream has to tell, too.

        Parameters
        ----------
        fills
            How many.
        count
            Hints that had come when the cycle began.
        """
        self._untold = self._since if fills and self.count == self._since else None
        self._since = count

    async def check(self) -> None:
        """Take a stream that still has not told of the last cycle's fills for dead: make it anew.

        To be asked after the pause: a hint may come some moments later than the answer by REST.
        """
        if self._untold == self.count:
            self._watch.tell(STREAM, "the stream said nothing of a fill; it is opened anew")
            await self._exchange.resubscribe()
        self._untold = None


async def begin(bot: Bot, clock: Clock, stop: asyncio.Event) -> None:
    """Start a bot; wait and try again where the exchange asks for patience.

    Candles of many coins take minutes: ``stop`` cuts that short, and the bot is not started then.

    Raises
    ------
    LiveError
        The account is not as it has to be.
    ExchangeFault
        It fails again and again.
    """
    policy = bot.parts.policy
    for attempt in range(policy.failures):
        try:
            await unless(stop, bot.start())
        except ExchangeFault as fault:
            bot.parts.watch.failure(fault.failure)
            if fault.failure is Failure.AUTH:
                raise LiveError(
                    f"{bot.parts.exchange.name} does not accept this key ({fault.text})"
                ) from fault
            if attempt == policy.failures - 1 or stop.is_set():
                raise
            log.warning("start failed: %s", fault)
            pause = policy.backoff_seconds * 2 ** min(attempt, _MOST_DOUBLINGS)
            await clock.wait(max(pause, fault.retry_after_s or 0.0), stop)
        else:
            return


async def run(bot: Bot, stop: asyncio.Event, *, follow: bool = True) -> None:
    """Run cycles until ``stop`` is set.

    Parameters
    ----------
    bot
        Started.
    stop
        Ends the loop: after the batch that is being sent, and without waiting for a warm-up.
    follow
        Listen to the exchange's stream.

    Raises
    ------
    LiveError
        A guard stopped the bot.
    ExchangeFault
        Too many cycles failed in a row.
    """
    clock, policy, watch = bot.parts.clock, bot.parts.policy, bot.parts.watch
    wake = asyncio.Event()
    hints = Hints(bot.parts.exchange, watch, wake)
    tasks = [asyncio.create_task(_ending(bot, stop, wake))]
    if follow:
        tasks.append(asyncio.create_task(hints.follow()))
    failures = 0
    try:
        while not stop.is_set():
            wake.clear()
            await hints.check()
            began, count = clock.now_ms(), hints.count
            try:
                report = await bot.cycle()
            except ExchangeFault as fault:
                failures += 1
                log.warning("cycle failed: %s", fault)
                if failures >= policy.failures:
                    raise
                await clock.wait(policy.backoff_seconds * 2 ** min(failures - 1, _MOST_DOUBLINGS), stop)
                continue
            failures = 0
            if follow and report.outcome == "ok":
                hints.found(report.fills, count)
            await clock.wait(pause_after(report, bot, began), wake)
            if wake.is_set() and not stop.is_set():
                await asyncio.sleep(_BURST_SECONDS)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def some(bot: Bot, cycles: int, stop: asyncio.Event) -> None:
    """Run a number of cycles, fewer if ``stop`` is set."""
    ending = asyncio.create_task(_ending(bot, stop, asyncio.Event()))
    try:
        for _ in range(cycles):
            if stop.is_set():
                return
            await bot.cycle()
    finally:
        ending.cancel()


def pause_after(report: Report, bot: Bot, began_ms: int) -> float:
    """Return how many seconds to wait after a cycle, unless something happens.

    Parameters
    ----------
    report
        What came of it.
    bot
        Whose budget, delay and clock count.
    began_ms
        Market time at which it began: of a minute that ended since, it has not seen the candle.
    """
    wait = bot.parts.pace.wait_seconds()
    if wait > 0.0:
        return wait
    if report.again:
        return float(bot.config.live.execution_delay_seconds)
    late = began_ms % MINUTE_MS
    # A replayed market stands at the minute's start, and has its candle.
    due = began_ms - late + _CANDLE_MS + (0 if 0 < late < _CANDLE_MS else MINUTE_MS)
    return max(due - bot.parts.clock.now_ms(), 0) / 1000


async def _ending(bot: Bot, stop: asyncio.Event, wake: asyncio.Event) -> None:
    await stop.wait()
    bot.stop()
    wake.set()


class Restarts:
    """The restart budget: how often a day the loop may be made anew after it broke.

    Parameters
    ----------
    journal
        Keeps the times, so that a service manager's restarts count too.
    most
        ``live.max_n_restarts_per_day``.
    """

    def __init__(self, journal: Journal, most: int) -> None:
        self._journal, self._most = journal, most

    def spend(self, now_ms: int, why: str) -> int:
        """Note a restart; return how many there were within a day.

        Raises
        ------
        LiveError
            There were too many.
        """
        times = [ms for ms in json.loads(self._journal.fact("restarts") or "[]") if 0 <= now_ms - ms < DAY_MS]
        times.append(now_ms)
        self._journal.note("restarts", json.dumps(times))
        if len(times) > self._most:
            raise LiveError(
                f"the bot broke {len(times)} times within a day, at most live.max_n_restarts_per_day = "
                f"{self._most} are allowed; it stops and leaves its orders. The last time: {why}"
            )
        return len(times)


async def supervise(
    attempt: Callable[[], Awaitable[None]],
    restarts: Restarts,
    watch: Watch,
    clock: Clock,
    stop: asyncio.Event,
) -> None:
    """Run ``attempt`` until it ends by itself; make it anew when it breaks, with growing pauses.

    An exchange that does not answer, or is closed, is waited out for as long as it takes: that is no fault of
    the bot, and what it holds is looked after as soon as that is possible.

    Parameters
    ----------
    attempt
        A whole life: connect, start, run. What a user has to mend (:class:`PassivbotError`) ends it.
    restarts
        The budget; outages cost nothing of it.
    watch
        Told of each restart.
    clock
        Waits.
    stop
        Ends the pauses.

    Raises
    ------
    LiveError
        The budget is spent.
    """
    outages = 0
    while not stop.is_set():
        began = clock.now_ms()
        try:
            await attempt()
        except PassivbotError:
            raise
        except Exception as error:  # whatever it is: the exchange and the journal know where things stand
            watch.now_ms = clock.now_ms()
            if isinstance(error, ExchangeFault) and error.failure in _OUTAGES:
                outages = outages + 1 if clock.now_ms() - began < _LONG_MS else 1
                # A ban may be longer than any pause of ours, and begin anew with each request.
                pause = max(restart_pause(outages), error.retry_after_s or 0.0)
                watch.unreachable(error.text, pause)
            else:
                log.exception("the loop broke")
                count = restarts.spend(clock.now_ms(), f"{type(error).__name__}: {error}")
                watch.restarted(count, error)
                pause = restart_pause(count)
        else:
            return
        # What a life leaves behind refers to itself, and is much: it would stay for hours.
        gc.collect()
        await clock.wait(pause, stop)


def restart_pause(count: int) -> float:
    """Return the pause before a restart, in seconds: 5, 10, 20 … 300."""
    return float(min(5 * 2 ** min(count - 1, 8), 300))
