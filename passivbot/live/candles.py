"""Candles for the indicators: from the disk, then from the exchange, minute by minute without a gap.

The minutes are prepared as for a backtest (trading-semantics §7.4): a minute that the exchange leaves out has
the price before it and no volume, and volume is in quote currency. A minute is taken only when it is over.
"""

import contextlib
import sqlite3
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from passivbot.exchanges.types import Paging
from passivbot.live.clock import minute_of
from passivbot.times import MINUTE_MS

FILE = "candles.sqlite"
Rows = NDArray[np.float64]
"""(n, 4): high, low, close, quote volume of consecutive minutes."""

_PAGES = 500
_SPAN = 100
"""Every exchange has at least so many minutes on a page."""
_HOLES = 10
"""So many empty pages are enough for one look; the next one goes on."""


class Source(Protocol):
    """Where candles come from: :class:`passivbot.exchanges.base.Exchange`."""

    @property
    def paging(self) -> Paging:
        """What its pages are like."""
        ...

    async def candles(
        self, coin: str, since_ms: int | None = None, limit: int | None = None
    ) -> NDArray[np.float64]:
        """Return (n, 6): timestamp, open, high, low, close, volume in coins; oldest first."""
        ...


class CandleCache:
    """Minutes on the disk, so that a restart continues its averages where they were.

    It is a convenience: a file that is damaged is set aside and made anew, and a full disk only costs it.

    Parameters
    ----------
    path
        Its file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        """What went wrong last; None: nothing."""
        try:
            self._db = self._open()
        except sqlite3.Error as error:
            self.problem = f"{path} was damaged and is made anew ({error})"
            for ending in ("", "-wal", "-shm"):
                with contextlib.suppress(OSError):
                    Path(f"{path}{ending}").replace(f"{path}{ending}.damaged")
            self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("its pages do not fit together")
            db.execute(
                "CREATE TABLE IF NOT EXISTS minutes (coin TEXT, ms INTEGER, high REAL, low REAL, close REAL, "
                "volume REAL, PRIMARY KEY (coin, ms)) WITHOUT ROWID"
            )
        except BaseException:
            db.close()
            raise
        return db

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def load(self, coin: str, since_ms: int) -> tuple[int, Rows]:
        """Return (start, minutes) of the last unbroken stretch from ``since_ms`` on; possibly none."""
        try:
            rows = self._db.execute(
                "SELECT ms, high, low, close, volume FROM minutes WHERE coin = ? AND ms >= ? ORDER BY ms",
                (coin, since_ms),
            ).fetchall()
        except sqlite3.Error as error:
            self.problem = f"{self.path} can't be read ({error})"
            rows = []
        table = np.array(rows, dtype=np.float64).reshape(-1, 5)
        breaks = np.flatnonzero(np.diff(table[:, 0]) != MINUTE_MS)
        if breaks.size:
            table = table[breaks[-1] + 1 :]
        return (int(table[0, 0]) if len(table) else since_ms), np.ascontiguousarray(table[:, 1:])

    def store(self, coin: str, start_ms: int, rows: Rows) -> None:
        """Keep minutes."""
        values = [(coin, start_ms + i * MINUTE_MS, *row) for i, row in enumerate(rows.tolist())]
        try:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR REPLACE INTO minutes VALUES (?, ?, ?, ?, ?, ?)", values)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self.problem = f"{self.path} can't be written ({error})"
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

    def forget(self, before_ms: int) -> None:
        """Remove older minutes."""
        try:
            self._db.execute("DELETE FROM minutes WHERE ms < ?", (before_ms,))
        except sqlite3.Error as error:
            self.problem = f"{self.path} can't be written ({error})"


def cleaned(table: NDArray[np.float64], start_ms: int, end_ms: int, before: float | None) -> tuple[int, Rows]:
    """Bring what an exchange sent into consecutive minutes.

    Parameters
    ----------
    table
        (n, 6) as of :class:`Source`, in any order, minutes doubled or missing.
    start_ms, end_ms
        Kept are minutes that begin in ``start_ms`` ≤ t < ``end_ms``.
    before
        Close of the minute before ``start_ms``, if it is known; else they begin with the first candle.

    Returns
    -------
    (start, minutes)
        Up to the last candle that was sent: what is not there yet may still come.
    """
    usable = np.isfinite(table[:, 2:5]).all(axis=1) & (table[:, 2:5] > 0).all(axis=1)
    usable &= (table[:, 0] >= start_ms) & (table[:, 0] < end_ms) & (table[:, 0] % MINUTE_MS == 0)
    table = table[usable]
    if not len(table):
        return start_ms, np.empty((0, 4))
    # The last of several candles of one minute is the newest.
    times, last = np.unique(table[::-1, 0], return_index=True)
    table = table[::-1][last]
    first = start_ms if before is not None else int(times[0])
    count = (int(times[-1]) - first) // MINUTE_MS + 1
    rows = np.full((count, 4), np.nan)
    places = ((times - first) // MINUTE_MS).astype(np.intp)
    high = np.maximum(table[:, 2], table[:, 3])
    low = np.minimum(table[:, 2], table[:, 3])
    volume = np.where(np.isfinite(table[:, 5]), np.maximum(table[:, 5], 0.0), 0.0) * table[:, 4]
    rows[places] = np.stack([high, low, table[:, 4], volume], axis=1)
    price = before
    for i in np.flatnonzero(np.isnan(rows[:, 2])):
        price = rows[i - 1, 2] if i else before
        rows[i] = (price, price, price, 0.0)
    return first, rows


async def fetch(
    source: Source, coin: str, start_ms: int, now_ms: int, before: float | None
) -> tuple[int, Rows]:
    """Return the minutes of a coin from ``start_ms`` on that are over at ``now_ms``.

    Parameters
    ----------
    source
        The exchange.
    coin
        Its name.
    start_ms, now_ms
        Span of time.
    before
        As of :func:`cleaned`.
    """
    end = minute_of(now_ms)
    pages: list[NDArray[np.float64]] = []
    since = max(start_ms, oldest(source, now_ms))
    holes = 0
    for _ in range(_PAGES):
        if since >= end:
            break
        limit = max(min(source.paging.size, (end - since) // MINUTE_MS + 1), 2)
        page = await _page(source, coin, since, limit)
        if not len(page):
            holes += 1
            if holes > _HOLES:
                break
            since = await _next(source, coin, since, end)
            continue
        pages.append(page)
        since = int(page[:, 0].max()) + MINUTE_MS
    table = np.concatenate(pages) if pages else np.empty((0, 6))
    return cleaned(table, start_ms, end, before)


def oldest(source: Source, now_ms: int) -> int:
    """Return the first minute that an exchange still has; 0 where it keeps all."""
    kept = source.paging.kept
    # It goes on to the next minute while it is asked.
    return 0 if kept is None else minute_of(now_ms) - (kept - _SPAN) * MINUTE_MS


async def _page(source: Source, coin: str, since_ms: int, limit: int) -> NDArray[np.float64]:
    page = await source.candles(coin, since_ms, limit)
    return page[page[:, 0] >= since_ms]


async def _next(source: Source, coin: str, empty_ms: int, end_ms: int) -> int:
    """Return the time from which on there are candles again, ``end_ms`` if there are none.

    Some exchanges answer not by the first candles from a time on, but by those of the minutes that fit on a
    page: by nothing, of the time before a coin was listed, or of hours in which it was not traded.

    Parameters
    ----------
    source, coin
        As of :func:`fetch`.
    empty_ms
        From here on a page was empty; that is asked once more, since it may have been a moment's.
    end_ms
        Of what is sought.
    """
    if len(await _page(source, coin, empty_ms, _SPAN)):
        return empty_ms
    low, high = empty_ms, end_ms - _SPAN * MINUTE_MS
    if high <= low or not len(await _page(source, coin, high, _SPAN)):
        return end_ms
    while high - low > _SPAN * MINUTE_MS:
        middle = minute_of((low + high) // 2)
        if len(await _page(source, coin, middle, _SPAN)):
            high = middle
        else:
            low = middle
    return high


def warmup_start(now_ms: int, warmup_minutes: int) -> int:
    """Return the first minute that a bot needs which starts now.

    With it, the first plan is the first that a backtest makes over the same candles: the last complete
    minute is then number ``warmup + 1`` (trading-semantics §7.2).
    """
    return minute_of(now_ms) - (max(warmup_minutes, 1) + 2) * MINUTE_MS
