"""A whole download: connects, keeps market rules, chooses coins, runs all markets side by side."""

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import certifi

from passivbot.errors import CandleError, ConfigError, ExchangeError
from passivbot.exchanges.errors import ExchangeFault
from passivbot.exchanges.registry import connect
from passivbot.market.download.archives import ARCHIVES, ArchiveFile
from passivbot.market.download.choose import choose_coins
from passivbot.market.download.job import NOT_YET, Job
from passivbot.market.download.pace import Pace, Patience
from passivbot.market.download.remains import Remains
from passivbot.market.download.request import WHERE, Request
from passivbot.market.download.source import Source
from passivbot.market.download.target import Missing, Target, Told
from passivbot.market.download.web import ArchiveHost
from passivbot.market.folder import listed
from passivbot.market.spans import Span
from passivbot.market.store import Store, exchange_name
from passivbot.times import DAY_MS, utc

_COINS_AT_ONCE = 8
"""Markets of an exchange that are fetched side by side; the exchange's rate limit is what bounds them."""

_WAIT_TOLD_S = 2.0
"""A shorter wait is not worth a line."""
_TIMEOUT_S = 30.0
"""After which a request counts as not answered; a list of markets may take a while."""
_ARCHIVE_PATIENCE = Patience(total_s=60.0, silence_s=120.0)
"""The API has what an archive does not give."""

Sessions = Callable[[], aiohttp.ClientSession]


@dataclass(frozen=True)
class Report:
    """What came of a download.

    Parameters
    ----------
    missing
        What was asked for and could not be fetched.
    added, changed
        Candles that are new in the store, and that have other values than before.
    markets
        Number of markets.
    unreached
        Exchanges that were left out since they did not answer.
    """

    missing: tuple[Missing, ...]
    added: int
    changed: int
    markets: int
    unreached: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all that was asked for is there."""
        return not self.missing and not self.unreached


async def download(
    request: Request,
    store: Store,
    told: Told,
    *,
    sessions: Sessions | None = None,
    patience: Patience | None = None,
    rate_limit_ms: float | None = None,
) -> Report:
    """Bring candles and market rules from exchanges into a store.

    Whatever was fetched is in the store when this ends, however it ends.

    Parameters
    ----------
    request
        What is wanted.
    store
        Where it goes.
    told
        Hears how it goes.
    sessions
        Makes the sessions that requests go through; None: :func:`plain_session`.
    patience
        How long failing requests are tried again.
    rate_limit_ms
        Least time between two requests to an exchange; None: as the client library has it.

    Raises
    ------
    ExchangeError
        No exchange can be reached, or none lists a coin that was named.
    ConfigError
        No coin is left, or no time.
    CandleError, ResourceError
        The store can't be written, or the disk is full.
    """
    async with AsyncExitStack() as stack:
        plan = _Plan(request, store, told, patience)
        session = await stack.enter_async_context((sessions or plain_session)())
        for name in request.exchanges:
            exchange = connect(name, session=session, rate_limit_ms=rate_limit_ms, timeout_s=_TIMEOUT_S)
            stack.push_async_callback(exchange.close)
            pace = Pace(name, patience=patience, on_wait=plan.wait_of(exchange_name(name)))
            plan.sources.append(Source(exchange, pace))
        await plan.open()
        for source in plan.sources:
            archive = ARCHIVES.get(source.store_name) if request.archives else None
            if archive:
                pace = Pace(
                    archive.exchange,
                    patience=patience or _ARCHIVE_PATIENCE,
                    on_wait=plan.wait_of(archive.exchange),
                )
                plan.hosts[source.store_name] = ArchiveHost(archive, session, pace)
        return await plan.run()


def plain_session() -> aiohttp.ClientSession:
    """Return a session with pooled connections, by way of the proxy that the environment names, if any."""
    # The authorities that the client library trusts too: not every machine has some of its own.
    trusted = ssl.create_default_context(cafile=certifi.where())
    connector = aiohttp.TCPConnector(ssl=trusted, limit_per_host=16)
    return aiohttp.ClientSession(connector=connector, trust_env=True)


class _Plan:
    def __init__(self, request: Request, store: Store, told: Told, patience: Patience | None) -> None:
        self.request = request
        self.store = store
        self.told = told
        self.sources: list[Source] = []
        self.hosts: dict[str, ArchiveHost] = {}
        self.missing: list[Missing] = []
        self._unreached: dict[str, str] = {}
        self._quiet_until = 0.0

    def wait_of(self, exchange: str) -> Callable[[float, str], None]:
        """Return what tells of an exchange's waits."""

        def tell(seconds: float, why: str) -> None:
            # Many questions wait at a time, most of them shortly; one line now and then is enough.
            if seconds >= _WAIT_TOLD_S and time.monotonic() >= self._quiet_until:
                self._quiet_until = time.monotonic() + _WAIT_TOLD_S
                self.told.note(exchange, "", f"waits {seconds:.1f} s: {why}")

        return tell

    async def open(self) -> None:
        """Connect all exchanges, keep their market rules; those that can't be reached are left out."""
        machine_ms = int(time.time() * 1000)
        results = await asyncio.gather(
            *(source.open(machine_ms) for source in self.sources), return_exceptions=True
        )
        reached: list[Source] = []
        failed: dict[str, str] = {}
        for source, result in zip(self.sources, results, strict=True):
            if isinstance(result, ExchangeFault):
                failed[source.store_name] = result.text
            elif isinstance(result, BaseException):
                raise result
            else:
                reached.append(source)
                await asyncio.to_thread(self.store.write_markets, source.store_name, source.listings)
                if (self.request.end_ms or 0) > source.now_ms + DAY_MS:
                    self.told.note(
                        source.store_name, "", f"--to lies ahead; it is {utc(source.now_ms)} there"
                    )
        if not reached:
            name, why = next(iter(failed.items()))
            names = " and ".join(failed)
            raise ExchangeError(f"{names} can't be reached, nothing was changed; {name}: {why}")
        for name, why in failed.items():
            self.told.note(name, "", f"can't be reached, left out: {why}")
        self._unreached = failed
        self.sources = reached

    async def run(self) -> Report:
        """Run all markets; see :func:`download`."""
        coins, files = await choose_coins(self.request.coins, self.sources, self.hosts, self.told)
        jobs: list[Job | Remains] = []
        slots = {source.store_name: asyncio.Semaphore(_COINS_AT_ONCE) for source in self.sources}
        for source in self.sources:
            for coin in coins:
                left = files.get((source.store_name, coin))
                job = self._remains(source, coin, left) if left else self._job(source, coin)
                jobs += [job] if job is not None else []
        if not jobs:
            raise ConfigError(f"{WHERE}: no exchange named has candles of {listed(coins)} in that time")

        async def one(job: Job | Remains) -> None:
            target = job.target
            async with slots[target.exchange]:
                try:
                    found = await job.run()
                except CandleError as error:
                    # A damaged file of the store is this market's trouble alone.
                    found = [Missing(target.exchange, target.coin, target.wanted, str(error))]
            for missing in found:
                self._miss(missing)

        # All at first, so that the time left is that of the whole.
        await asyncio.gather(*(job.target.plan() for job in jobs))
        try:
            async with asyncio.TaskGroup() as group:
                for job in jobs:
                    group.create_task(one(job))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        self._miss_unreached(coins)
        return Report(
            tuple(sorted(self.missing)),
            sum(job.target.added for job in jobs),
            sum(job.target.changed for job in jobs),
            len(jobs),
            tuple(self._unreached),
        )

    def _miss(self, missing: Missing) -> None:
        """Take down what could not be fetched; up to now, the very last minutes often can't yet."""
        if self.request.end_ms is None and missing.why == NOT_YET:
            self.told.note(missing.exchange, missing.coin, f"{NOT_YET}: {missing.span}")
        else:
            self.missing.append(missing)

    def _miss_unreached(self, coins: Sequence[str]) -> None:
        """Take down what exchanges that did not answer may have had."""
        end_ms = self.request.end_ms or max(source.now_ms for source in self.sources)
        for name, why in self._unreached.items():
            for coin in coins:
                begin_ms = self._begin(name, coin)
                if begin_ms is not None and begin_ms < end_ms:
                    spans = self.store.missing(name, coin, begin_ms, end_ms)
                    self.missing += [Missing(name, coin, span, why) for span in spans]

    # ---- jobs

    def _wanted(self, source: Source, coin: str) -> bool:
        return not self.request.coins.stored or coin in self.store.coins(source.store_name)

    def _remains(self, source: Source, coin: str, files: Sequence[ArchiveFile]) -> Remains | None:
        if not self._wanted(source, coin):
            return None
        host = self.hosts[source.store_name]
        target = self._target(source, coin, files[0].symbol, files[0].span.begin_ms)
        return Remains(target, host, files, host.archive.published_ms(source.now_ms))

    def _job(self, source: Source, coin: str) -> Job | None:
        if not self._wanted(source, coin):
            return None
        if coin not in source.exchange.markets:
            self.told.note(source.store_name, coin, "not listed there, left out")
            return None
        market = source.exchange.market(coin)
        if not market.active:
            self.told.note(source.store_name, coin, "delisted: candles end where its trading ended")
        target = self._target(source, coin, market.symbol, None)
        if not target.wanted.minutes:
            return None
        host = self.hosts.get(source.store_name)
        return Job(
            target,
            source.pager(coin),
            source.now_ms,
            source.oldest_ms(),
            host if host and host.archive.kind == "candles" else None,
            str(source.exchange.client.markets[market.symbol]["id"]),
            market.rules.c_mult,
            source.listings[coin].listing_ms,
        )

    def _target(self, source: Source, coin: str, symbol: str, first_ms: int | None) -> Target:
        begin_ms = self._begin(source.store_name, coin)
        if begin_ms is None:
            begin_ms = first_ms
        if begin_ms is None:
            raise ConfigError(
                f"{WHERE}: --from is needed: {self.store.root} has no candles of {coin} on "
                f"{source.store_name} to go on from"
            )
        end_ms = min(source.now_ms, self.request.end_ms or source.now_ms)
        span = Span(begin_ms, max(begin_ms, end_ms))
        return Target(self.store, source.store_name, coin, symbol, span, self.told)

    def _begin(self, exchange: str, coin: str) -> int | None:
        if self.request.begin_ms is not None:
            return self.request.begin_ms
        spans: Sequence[Span] = self.store.coverage(exchange, coin).spans
        return spans[0].begin_ms if spans else None
