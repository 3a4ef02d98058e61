"""What a store has of one market in a window: measured from the facts of its files, decoded into a panel.

Minutes are read only of months that have holes; of the others first and last candle say everything.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from passivbot.market.clean import Floats, Gaps, Ints, find_gaps
from passivbot.market.join import whole_bars
from passivbot.market.month import Facts, MonthReader, read_table
from passivbot.market.spans import Span
from passivbot.market.store import Coverage, Store
from passivbot.times import DAY_MS, MINUTE_MS


@dataclass(frozen=True)
class Holding:
    """The candles of a market in a window; make one with :func:`hold`.

    Parameters
    ----------
    exchange, coin
        The market.
    window
        Where it was looked; half open, UTC milliseconds.
    first_ms, last_ms
        First and last candle that is used.
    gaps
        Holes between them.
    months
        File and facts of each month with candles in the window, ascending.
    """

    exchange: str
    coin: str
    window: Span
    first_ms: int
    last_ms: int
    gaps: Gaps
    months: tuple[tuple[Path, Facts], ...] = field(repr=False)

    @property
    def minutes(self) -> int:
        """Minutes from the first to the last candle: its coverage, once holes are filled."""
        return (self.last_ms - self.first_ms) // MINUTE_MS + 1

    @property
    def used(self) -> Span:
        """From the first candle to the end of the last."""
        return Span(self.first_ms, self.last_ms + MINUTE_MS)

    def day_volumes(self, window: Span | None = None) -> dict[int, float]:
        """Return the quote volume of each day with candles: day (UTC milliseconds of its start) → sum.

        Parameters
        ----------
        window
            Candles outside it do not count; None: the candles that are used.
        """
        span = self.used if window is None else window
        begin, end = max(span.begin_ms, self.first_ms), min(span.end_ms, self.last_ms + MINUTE_MS)
        volumes: dict[int, float] = {}
        for path, facts in self.months:
            for day, (_, volume) in facts.days.items():
                if day >= end or day + DAY_MS <= begin:
                    continue
                # A day of which the window has a part is added up anew.
                cut = day < begin or day + DAY_MS > end
                value = _volume(path, max(day, begin), min(day + DAY_MS, end)) if cut else volume
                if value is not None:
                    volumes[day] = value
        return volumes

    def decode(self, out: Floats, path: Path, facts: Facts) -> None:
        """Decode one month into the columns of the market's life.

        Parameters
        ----------
        out
            float64 (4, :attr:`minutes`): high, low, close, quote volume. Minutes of the month that have no
            candle become NaN.
        """
        begin = max(facts.first_ms, self.first_ms)
        end = min(facts.last_ms, self.last_ms) + MINUTE_MS
        target: Floats = out[:, (begin - self.first_ms) // MINUTE_MS : (end - self.first_ms) // MINUTE_MS]
        rows = slice((begin - facts.first_ms) // MINUTE_MS, (end - facts.first_ms) // MINUTE_MS)
        where: slice | Ints = slice(None)
        with MonthReader(path, facts) as month:
            if not facts.whole:
                timestamp = month.read("timestamp")
                rows = slice(*np.searchsorted(timestamp, (begin, end)).tolist())
                target.fill(np.nan)
                where = (timestamp[rows] - begin) // MINUTE_MS
            # One column at a time: little more than the panel is ever in memory.
            for field, name in enumerate(("high", "low", "close")):
                target[field, where] = month.read(name)[rows]
            target[3, where] = month.read("volume")[rows] * target[2, where]

    def empty(self) -> Iterator[slice]:
        """Give the minutes of the life that lie between the candles of one month and of the next."""
        for (_, before), (_, after) in pairwise(self.months):
            first = (before.last_ms - self.first_ms) // MINUTE_MS + 1
            last = (after.first_ms - self.first_ms) // MINUTE_MS
            if first < last:
                yield slice(first, last)


def hold(
    store: Store,
    exchange: str,
    coin: str,
    window: Span,
    *,
    interval_minutes: int = 1,
    coverage: Coverage | None = None,
) -> Holding | None:
    """Measure what a store has of a market in a window; None if there is no candle, or no whole bar.

    Parameters
    ----------
    window
        Half open, UTC milliseconds.
    interval_minutes
        Minutes of a bar: the life is narrowed to whole bars (:mod:`passivbot.market.join`).
    coverage
        What :meth:`Store.coverage` gave; None: it is read.

    Raises
    ------
    CandleError
        A file is damaged.
    """
    known = store.coverage(exchange, coin) if coverage is None else coverage
    folder = store.folder(exchange, coin)
    months = [
        (folder / f"{facts.month}.parquet", facts)
        for facts in known.months
        if facts.rows and facts.first_ms < window.end_ms and facts.last_ms >= window.begin_ms
    ]
    unbroken = _unbroken(months, window) if interval_minutes == 1 else None
    if unbroken is not None:
        first_ms, last_ms, gaps = unbroken
    else:
        stamps = _stamps(months, window)
        if interval_minutes > 1 and stamps.size:
            stamps = stamps[slice(*whole_bars(stamps, 0, stamps.size, interval_minutes))]
        if not stamps.size:
            return None
        first_ms, last_ms, gaps = int(stamps[0]), int(stamps[-1]), find_gaps(stamps)
    return Holding(
        exchange=folder.parent.name,
        coin=coin,
        window=window,
        first_ms=first_ms,
        last_ms=last_ms,
        gaps=gaps,
        months=tuple(m for m in months if m[1].last_ms >= first_ms and m[1].first_ms <= last_ms),
    )


def _unbroken(months: list[tuple[Path, Facts]], window: Span) -> tuple[int, int, Gaps] | None:
    """Return first and last minute in a window if no minute between them is missing: no file is read."""
    whole = all(facts.whole for _, facts in months)
    if (
        not months
        or not whole
        or any(b.first_ms - a.last_ms != MINUTE_MS for (_, a), (_, b) in pairwise(months))
    ):
        return None
    first_ms = max(months[0][1].first_ms, -(-window.begin_ms // MINUTE_MS) * MINUTE_MS)
    last_ms = min(months[-1][1].last_ms, (window.end_ms - 1) // MINUTE_MS * MINUTE_MS)
    return (first_ms, last_ms, Gaps(0, 0, 1, first_ms)) if first_ms <= last_ms else None


def _stamps(months: list[tuple[Path, Facts]], window: Span) -> Ints:
    """Return the minutes of the candles in a window; read where a month has holes, made where it has none."""
    parts: list[Ints] = []
    for path, facts in months:
        if facts.whole:
            begin = max(facts.first_ms, -(-window.begin_ms // MINUTE_MS) * MINUTE_MS)
            end = min(facts.last_ms + MINUTE_MS, window.end_ms)
            parts.append(np.arange(begin, end, MINUTE_MS, dtype=np.int64))
        else:
            stamps: Ints = read_table(path, ["timestamp"])[0].column("timestamp").to_numpy()
            parts.append(stamps[slice(*np.searchsorted(stamps, window).tolist())])
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _volume(path: Path, begin_ms: int, end_ms: int) -> float | None:
    """Return the quote volume of a stretch of one month; None without candles."""
    table, _ = read_table(path, ["timestamp", "close", "volume"])
    stamps: Ints = table.column("timestamp").to_numpy()
    rows = slice(*np.searchsorted(stamps, (begin_ms, end_ms)).tolist())
    quote = table.column("volume").to_numpy()[rows] * table.column("close").to_numpy()[rows]
    return float(np.cumsum(quote)[-1]) if quote.size else None
