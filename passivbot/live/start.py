"""From names to a running bot: keys, exchange, journal, watching, loop."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from passivbot import versions as current
from passivbot.errors import ConfigError, LiveError, located
from passivbot.exchanges import Exchange, connect
from passivbot.exchanges.base import Credentials
from passivbot.live import candles, journal
from passivbot.live.bot import Bot, Parts
from passivbot.live.candles import CandleCache
from passivbot.live.clock import Clock, WallClock
from passivbot.live.feed import Feed
from passivbot.live.guards import LossStop, Pace, PacedCandles
from passivbot.live.journal import Journal
from passivbot.live.lock import lock_account
from passivbot.live.policy import Policy
from passivbot.live.run import Restarts, begin, run, some, supervise
from passivbot.live.source import FileSource, PromotedSource, Source
from passivbot.live.strategy import DEFAULT, Factory, find
from passivbot.live.watch import Watch
from passivbot.ops.keys import Keys, resolve
from passivbot.ops.run import Settings, operating
from passivbot.ops.status import bot_folder

Session = Callable[[aiohttp.TraceConfig], aiohttp.ClientSession]


@dataclass(frozen=True)
class Order:
    """What a bot is asked to do.

    Parameters
    ----------
    account
        Whose keys.
    source
        Configuration.
    settings
        How it is watched; its ``root`` holds the bot's folder.
    policy
        Limits.
    strategy
        Name of the strategy.
    dry_run
        Plan, send nothing.
    cycles
        End after so many cycles; None: never.
    clear_loss_stop
        Let entries be placed again after a loss stop.
    session
        What requests go through; None: a session of its own.
    clock
        Time.
    follow
        Listen to the exchange's stream.
    rate_limit_ms
        Least time between two requests; None: as the exchange asks for.
    stop
        Ends the bot when it is set, as the signals do; None: these alone.
    """

    account: str
    source: Source
    settings: Settings
    policy: Policy = field(default_factory=Policy)
    strategy: str = DEFAULT
    dry_run: bool = False
    cycles: int | None = None
    clear_loss_stop: bool = False
    session: Session | None = None
    clock: Clock = field(default_factory=WallClock)
    follow: bool = True
    rate_limit_ms: float | None = None
    stop: asyncio.Event | None = None


def open_source(name: str, root: Path = current.LIVE) -> Source:
    """Return the configuration that a name means: a promoted one, else a file.

    Raises
    ------
    ConfigError
        It is neither.
    """
    if current.exists(name, root):
        return PromotedSource(name, root)
    path = Path(name)
    if path.is_file():
        return FileSource(path)
    known = ", ".join(current.names(root)) or "none yet"
    raise ConfigError(
        located("the command line", "NAME", name, f"a configuration file, or a live configuration ({known})")
    )


async def trade(order: Order, keys: Keys | None = None) -> None:
    """Run a bot until it is asked to end by SIGINT or SIGTERM.

    Parameters
    ----------
    order
        What to do.
    keys
        Of the account; None: looked up.

    Raises
    ------
    PassivbotError
        What a person has to mend; the bot stopped.
    """
    if isinstance(order.source, PromotedSource) and order.source.account != order.account:
        raise LiveError(
            located("the command line", "--account", order.account, order.source.account)
            + f", for which {order.source.label} was checked; promote it for another account"
        )
    keys = keys or resolve(order.account)
    factory = find(order.strategy)
    stop = order.stop or asyncio.Event()
    # Before the log and the status are opened: those of the bot that runs are not touched.
    with closing(lock_account(bot_folder(order.account, order.settings.root), order.account)):
        await _trade(order, keys, factory, stop)


async def _trade(order: Order, keys: Keys, factory: Factory, stop: asyncio.Event) -> None:
    async with operating(order.account, order.source.name, order.settings) as ops:
        book = Journal(ops.folder / journal.FILE, order.account)
        try:
            if order.clear_loss_stop:
                LossStop.clear(book)
            watch = Watch(book, ops)
            watch.now_ms = order.clock.now_ms()
            watch.version(order.source.label, order.source.version)

            async def life() -> None:
                async with connected(order, keys, watch) as (exchange, pace):
                    ops.metrics.requests.set_function(lambda: float(pace.total))
                    cache = CandleCache(ops.folder / candles.FILE)
                    try:
                        feed = Feed(PacedCandles(exchange, pace), cache, factory, watch.candles)
                        bot = Bot(
                            Parts(
                                exchange,
                                order.source,
                                book,
                                feed,
                                order.clock,
                                order.policy,
                                pace,
                                watch,
                                order.dry_run,
                            )
                        )
                        await begin(bot, order.clock, stop)
                        if order.cycles is None:
                            await run(bot, stop, follow=order.follow)
                        else:
                            await some(bot, order.cycles, stop)
                    finally:
                        cache.close()

            restarts = Restarts(book, order.source.now.live.max_n_restarts_per_day)
            with ending_on_signals(stop):
                await supervise(life, restarts, watch, order.clock, stop)
        except Exception as error:
            ops.health.stop(str(error))
            ops.alerts.send("stopped", f"the bot stopped: {error}", matter="stopped")
            raise
        finally:
            book.close()


@asynccontextmanager
async def connected(order: Order, keys: Keys, watch: Watch) -> AsyncIterator[tuple[Exchange, Pace]]:
    """Give an open exchange whose requests are counted."""
    pace = Pace(order.policy, watch.tell)
    make = order.session or _session
    session = make(pace.trace())
    try:
        credentials: Credentials = keys.credentials()
        exchange = connect(
            keys.exchange, credentials, session=session, rate_limit_ms=order.rate_limit_ms, timeout_s=10.0
        )
        async with exchange:
            yield exchange, pace
    finally:
        if order.session is None:
            await session.close()


def _session(trace: aiohttp.TraceConfig) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(trace_configs=[trace])


@contextmanager
def ending_on_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set ``stop`` on SIGINT and SIGTERM."""
    loop = asyncio.get_running_loop()
    wanted = (signal.SIGINT, signal.SIGTERM)
    for number in wanted:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in wanted:
            loop.remove_signal_handler(number)
