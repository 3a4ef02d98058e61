"""The download of a market that its exchange lists.

First files of candles that the exchange publishes, whole months before days; then its API for the rest, which
also decides what is nowhere.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from passivbot.errors import CandleError
from passivbot.exchanges.errors import ExchangeFault
from passivbot.market.clean import Floats
from passivbot.market.download.archives import Period
from passivbot.market.download.pages import Pager
from passivbot.market.download.target import NONE, Missing, Target, minutes, without
from passivbot.market.download.web import ArchiveHost
from passivbot.market.spans import Span, month_span, months, runs, union, within
from passivbot.times import DAY_MS, MINUTE_MS, utc

API, ARCHIVE = "api", "archive"
"""Sources as the store names them."""

NOT_YET = "not there yet"
"""Why minutes of the last hour may be missing."""

_MONTH_FROM = 5 * 1440
_DAY_FROM = 1000
"""Missing minutes from which on a file of a month or a day is worth it."""
_FLUSH_ROWS, _FLUSH_S = 10_000, 10.0
"""Candles of pages that are gathered before they are written, and for how long: a kill loses no more."""


@dataclass
class Job:
    """One market.

    Parameters
    ----------
    target
        Where candles go.
    pager
        Reads the API.
    now_ms
        The exchange's time.
    oldest_ms
        First minute that the API still has.
    archive
        The exchange's files of candles; None: there are none, or they are not wanted.
    market_id
        The market's name in the archive.
    contract
        Coins of a contract.
    listing_ms
        When the exchange says it listed the market; None: it does not.
    """

    target: Target
    pager: Pager
    now_ms: int
    oldest_ms: int = 0
    archive: ArchiveHost | None = None
    market_id: str = ""
    contract: float = 1.0
    listing_ms: int | None = None
    _first_ms: int = field(default=0, init=False)

    async def run(self) -> list[Missing]:
        """Fetch what is missing; return what could not be.

        Raises
        ------
        ResourceError
            The disk is full; what was written before stays.
        CandleError
            A file of the store is damaged or can't be written.
        """
        target = self.target
        missing = await target.missing()
        trouble: ExchangeFault | None = None
        if missing:
            try:
                await self._listing(missing[0].begin_ms)
                if self.archive:
                    await self._files(self.archive)
                await self._pages()
            except ExchangeFault as fault:
                trouble = fault
            await self._say_begin(missing[0])
            if self.pager.senseless:
                target.note(f"candles that made no sense, left out: {self.pager.senseless}")
        target.told.finished(target.exchange, target.coin)
        return [
            Missing(target.exchange, target.coin, span, self._why(span, trouble))
            for span in (await target.missing() if missing else ())
        ]

    def _why(self, span: Span, trouble: ExchangeFault | None) -> str:
        if trouble is not None:
            return trouble.text
        if span.begin_ms < self.oldest_ms:
            kept = (self.now_ms - self.oldest_ms) // MINUTE_MS
            return f"the exchange keeps only the last {kept} minutes" + (
                " and publishes no file of it" if self.archive else ""
            )
        return NOT_YET

    async def _say_begin(self, asked: Span) -> None:
        """Say that there is nothing in what was asked for, or nothing at its beginning."""
        target = self.target
        first = await target.first_ms()
        listed = f"; listed at {utc(self.listing_ms)}" if self.listing_ms else ""
        if first is None or first >= target.wanted.end_ms:
            if within(target.wanted, await target.missing()) != (target.wanted,):
                target.note(f"the exchange has no candles in {target.wanted}{listed}")
        elif self._first_ms > asked.begin_ms and first > asked.begin_ms:
            target.note(f"candles begin at {utc(first)}{listed}")

    async def _listing(self, begin_ms: int) -> None:
        """Learn where the market's candles begin, so that nothing is looked for before."""
        target = self.target
        known = await target.first_ms()
        self._first_ms = begin_ms
        if known is None or known > begin_ms:
            first = await self.pager.first_day(Span(begin_ms, target.wanted.end_ms))
            self._first_ms = target.wanted.end_ms if first is None else first

    # ---- files

    async def _files(self, host: ArchiveHost) -> None:
        """Take what the archive has: a month's file where enough of it is missing, else its days' files."""
        wanted = within(Span(self._first_ms, self.target.wanted.end_ms), await self.target.missing())
        names = sorted({name for span in wanted for name in months(span)})
        try:
            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(self._month(host, name, wanted))
        except BaseExceptionGroup as errors:
            # A full disk, or a damaged file of the store.
            raise errors.exceptions[0] from None

    async def _month(self, host: ArchiveHost, name: str, wanted: Sequence[Span]) -> None:
        span = month_span(name)
        missing = within(span, wanted)
        whole = "month" in host.archive.periods and span.end_ms <= self.now_ms
        if whole and minutes(missing) >= _MONTH_FROM:
            missing = without(missing, await self._file(host, "month", span.begin_ms, missing))
        if "day" not in host.archive.periods or not missing:
            return
        for day in range(missing[0].begin_ms // DAY_MS * DAY_MS, missing[-1].end_ms, DAY_MS):
            lacks = within(Span(day, day + DAY_MS), missing)
            if day + DAY_MS <= self.now_ms and minutes(lacks) >= _DAY_FROM:
                await self._file(host, "day", day, lacks)

    async def _file(
        self, host: ArchiveHost, period: Period, begin_ms: int, missing: Sequence[Span]
    ) -> tuple[Span, ...]:
        """Take what is missing out of one file; return what it had of that."""
        try:
            rows = await host.candles(host.archive.file(self.market_id, period, begin_ms), self.contract)
        except CandleError as error:
            # Most likely the API has it too.
            self.target.note(f"archive: {error}")
            return ()
        except ExchangeFault as fault:
            self.target.told.note(self.target.exchange, "", f"archive: {fault.text}")
            return ()
        if rows is None:
            return ()
        # What a file lacks the API is asked for.
        there = runs(rows[:, 0].astype(np.int64))
        spans = union(part for span in there for part in within(span, missing))
        await self.target.write(rows, spans, ARCHIVE)
        return spans

    # ---- the API

    async def _pages(self) -> None:
        for span in await self.target.missing():
            # Days say that nothing is before the listing, also where minutes are not kept for so long.
            before = Span(span.begin_ms, min(max(span.begin_ms, self._first_ms), span.end_ms))
            await self.target.write(NONE, [before], API)
            begin = max(before.end_ms, self.oldest_ms)
            if begin < span.end_ms:
                await self._read(Span(begin, span.end_ms))

    async def _read(self, span: Span) -> None:
        """Read a stretch, written in pieces; what was read before an error is written too."""
        rows: list[Floats] = []
        spans: list[Span] = []
        written = time.monotonic()
        target = self.target
        try:
            async for page in self.pager.pages(span):
                rows.append(page.rows)
                spans.append(page.span)
                target.told.done(target.exchange, target.coin, page.span.minutes)
                if sum(map(len, rows)) >= _FLUSH_ROWS or time.monotonic() - written > _FLUSH_S:
                    await target.write(np.concatenate(rows), spans, API, tell=False)
                    rows, spans, written = [], [], time.monotonic()
        finally:
            if spans:
                await target.write(np.concatenate(rows), spans, API, tell=False)
