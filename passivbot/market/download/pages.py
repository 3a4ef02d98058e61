"""A stretch of minute candles out of an exchange's pages, whatever its pages are like.

Exchanges give candles by pages that may come in any order, overlap, repeat, or end early. An answer can
prove that candles are there; that some are not there it can only claim. So what a page lacks is asked for
again until two answers in a row agree, and only then counts as a minute that the exchange does not have.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from passivbot.market.clean import Floats, Ints
from passivbot.market.spans import Span, minus, runs
from passivbot.times import DAY_MS, MINUTE_MS

Ask = Callable[[str, int, int], Awaitable[Floats]]
"""(interval, since in UTC milliseconds, number of candles) → candles, float64 (n, 6): timestamp, open, high,
low, close, volume; in any order."""

NONE: Floats = np.empty((0, 6))


class Page(NamedTuple):
    """What is known after some answers.

    Parameters
    ----------
    span
        Asked for whole: minutes of it without a candle are ones that the exchange does not have.
    rows
        Its candles, float64 (n, 6), ascending, unique.
    """

    span: Span
    rows: Floats


@dataclass
class Pager:
    """Reads one market's candles.

    Parameters
    ----------
    ask
        One question.
    size
        Most candles of an answer.
    settled_ms
        Minutes from here on may still come late: if they lack, they are missing, not absent.
    days
        Most daily candles of an answer.
    senseless
        Counts candles that make no sense (no finite positive price, high below low, two of one minute that
        differ) and kept being sent so.
    """

    ask: Ask
    size: int
    settled_ms: int
    days: int
    senseless: int = field(default=0, init=False)

    async def pages(self, span: Span) -> AsyncIterator[Page]:
        """Yield the stretch piece by piece, ascending. Pieces may leave out unsettled minutes."""
        cursor = span.begin_ms
        while cursor < span.end_ms:
            window = Span(cursor, min(span.end_ms, cursor + self.size * MINUTE_MS))
            rows = await self._complete(window)
            cursor = window.end_ms
            if not len(rows) and cursor < span.end_ms:
                # Nothing at all: before the listing, after the delisting, a long outage. Days tell how far.
                found = await self.first_day(Span(cursor, span.end_ms))
                cursor = max(cursor, span.end_ms if found is None else found)
            for settled in self._settled(Span(window.begin_ms, cursor), rows[:, 0].astype(np.int64)):
                inside = (rows[:, 0] >= settled.begin_ms) & (rows[:, 0] < settled.end_ms)
                yield Page(settled, rows[inside])

    async def first_day(self, span: Span) -> int | None:
        """Return a minute near the first candle of the stretch and not after it; None: there is none."""
        # Days of some exchanges begin at another hour than midnight UTC: the one before may reach into it.
        begin = span.begin_ms // DAY_MS * DAY_MS - DAY_MS
        while begin < span.end_ms:
            for _ in range(2):
                days = (await self.ask("1d", begin, self.days))[:, 0]
                days = days[(days > span.begin_ms - DAY_MS) & (days < span.end_ms)]
                if days.size:
                    return max(span.begin_ms, int(days.min()))
            begin += self.days * DAY_MS
        return None

    async def _complete(self, window: Span) -> Floats:
        """Return the candles of a window that fits one page, asked for until answers agree."""
        rows, wrong = _sound(await self.ask("1m", window.begin_ms, window.minutes), window)
        while holes := minus(window, runs(rows[:, 0].astype(np.int64))):
            begin = holes[0].begin_ms
            count = (window.end_ms - begin) // MINUTE_MS
            more, wrong = _sound(await self.ask("1m", begin, count), window)
            known = rows[:, 0]
            new = more[~np.isin(more[:, 0], known)]
            if not len(new):
                self.senseless += wrong
                break
            rows = np.concatenate((rows, new))
            rows = rows[np.argsort(rows[:, 0], kind="stable")]
        return rows

    def _settled(self, span: Span, stamps: Ints) -> tuple[Span, ...]:
        """Return the stretch without the unsettled minutes that have no candle."""
        if span.end_ms <= self.settled_ms:
            return (span,)
        settled = Span(span.begin_ms, max(span.begin_ms, self.settled_ms))
        late = Span(settled.end_ms, span.end_ms)
        there = [run for run in runs(stamps[stamps >= late.begin_ms])]
        return minus(span, minus(late, there))


def _sound(rows: Floats, window: Span) -> tuple[Floats, int]:
    """Return the candles of a window that make sense, ascending and unique, and how many minutes do not."""
    rows = rows[(rows[:, 0] >= window.begin_ms) & (rows[:, 0] < window.end_ms)]
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    prices = rows[:, 1:5]
    good = (
        np.isfinite(rows).all(axis=1)
        & (prices > 0).all(axis=1)
        & (rows[:, 5] >= 0)
        & (rows[:, 2] >= rows[:, 3])
        & (rows[:, 0] % MINUTE_MS == 0)
    )
    # The same candle twice is one; two that differ are none, and are asked for again.
    same_minute = np.diff(rows[:, 0]) == 0
    differs = same_minute & (np.diff(rows, axis=0) != 0).any(axis=1)
    torn = np.unique(rows[1:, 0][differs])
    good &= ~np.isin(rows[:, 0], torn)
    first = np.concatenate(([True], ~same_minute))[: len(rows)]
    return rows[good & first], int(np.unique(rows[~good, 0]).size)
