"""The panel: the candles of some coins on one axis of consecutive bars, as the engine reads them.

One Arrow table: ``timestamp`` (int64, UTC milliseconds) and, per coin in ascending order, ``COIN.high``,
``.low``, ``.close`` and ``.volume`` (float64; quote volume). NaN outside a coin's life; inside it no bar
is missing. A bar is a minute, or several whole minutes joined (:mod:`passivbot.market.join`).
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from passivbot.errors import CandleError
from passivbot.market.clean import Floats, Gaps, Ints, find_gaps, load, read_closes, read_timestamps
from passivbot.market.folder import CandleFolder
from passivbot.market.join import join_minutes, whole_bars
from passivbot.times import MINUTE_MS, utc

FIELDS = ("high", "low", "close", "volume")


@dataclass(frozen=True, eq=False)
class Panel:
    """Candles of several coins, ready for the engine; make one with :func:`build_panel`.

    Parameters
    ----------
    table
        ``timestamp`` and the four columns of each coin; T rows, one chunk a column, no nulls.
    coins
        Ascending.
    interval_minutes
        Minutes of a bar.
    first_ms
        Timestamp of the first bar, UTC milliseconds.
    requested_start_ms
        No order is placed before it (trading-semantics §7.2); at least ``first_ms``.
    first_valid, last_valid
        Per coin, index of its first and last bar (inclusive).
    notes
        What was done to the candles that the user may want to know, one line each.
    digest
        SHA-256 over coins, timestamps and the bytes of every column: equal digests, equal candles.
    """

    table: pa.Table = field(repr=False)
    coins: tuple[str, ...]
    interval_minutes: int
    first_ms: int
    requested_start_ms: int
    first_valid: tuple[int, ...]
    last_valid: tuple[int, ...]
    notes: tuple[str, ...]
    digest: str

    @property
    def bars(self) -> int:
        """Number of bars T."""
        return int(self.table.num_rows)

    @property
    def minutes(self) -> int:
        """Number of minutes that the bars cover."""
        return self.bars * self.interval_minutes

    @property
    def last_ms(self) -> int:
        """Timestamp of the last minute of the last bar, UTC milliseconds."""
        return self.first_ms + (self.minutes - 1) * MINUTE_MS

    @property
    def timestamp(self) -> Ints:
        """Timestamps, int64 (T,), UTC milliseconds; a view of the table."""
        values: Ints = self.table.column("timestamp").chunk(0).to_numpy()
        return values

    def column(self, coin: str, field: str) -> Floats:
        """Return one column, float64 (T,); a view of the table. ``field`` is one of :data:`FIELDS`."""
        values: Floats = self.table.column(f"{coin}.{field}").chunk(0).to_numpy()
        return values


def panel_bytes(bars: int, coins: int) -> int:
    """Return the size of a panel's columns in bytes: 8 a bar and 32 a bar and coin."""
    return bars * (8 + 8 * len(FIELDS) * coins)


def build_panel(
    folder: CandleFolder,
    coins: Sequence[str],
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    warmup_minutes: int = 0,
    gap_tolerance_minutes: float = 120.0,
    coin_start_ms: Mapping[str, int] | None = None,
    union_of: Sequence[str] | None = None,
    interval_minutes: int = 1,
) -> Panel:
    """Build the panel of some coins of a folder.

    Each coin is cleaned by trading-semantics §7.4 (steps 4, 5), except that a hole above the tolerance does
    not discard the coin: a folder is the user's own choice of candles, so every hole is filled and the large
    ones are noted. Files are read a stretch at a time straight into the panel's columns; little else than the
    panel is ever in memory (with longer bars, the minutes of the few coins that are being read).

    Parameters
    ----------
    folder
        Where the candles lie.
    coins
        Coins of the run, in any order. Those without candles in the window are left out and noted.
    start_ms, end_ms
        Requested first and last minute (inclusive), UTC milliseconds; None: as far as the candles go.
    warmup_minutes
        Minutes before the start that the panel also holds, rounded up to bars, as far as there are candles.
    gap_tolerance_minutes
        Holes with a larger difference between neighbouring timestamps are noted.
    coin_start_ms
        Candles of a coin before this time are left out (a coin's age, §7.4 step 3).
    union_of
        Coins whose candles span the axis; None: the coins of the run. They must contain these.
    interval_minutes
        Minutes of a bar, a divisor of 60. Bars begin at multiples of it on the clock (UTC) and are whole: a
        coin lives from its first candle that opens a bar to its last one that closes one.

    Raises
    ------
    CandleError
        Unknown coin, a file that is not usable, or no candles in the window.
    """
    wanted = sorted(set(coins))
    if not wanted:
        raise CandleError(f"{folder.path}: no coins are chosen")
    bar_ms = interval_minutes * MINUTE_MS
    earliest = max(0, ((start_ms or 0) - warmup_minutes * MINUTE_MS) // bar_ms * bar_ms)
    spanning, notes = _find_lives(
        folder,
        sorted({*wanted, *(union_of or ())}),
        wanted,
        earliest,
        end_ms,
        coin_start_ms or {},
        interval_minutes,
    )
    lives = {coin: spanning[coin] for coin in wanted if coin in spanning}
    # Candles of the warm-up alone are no window: nothing may be traded in them.
    if not any(start_ms is None or life.last_ms >= start_ms for life in lives.values()):
        raise CandleError(_no_overlap(folder, wanted, start_ms, end_ms))
    first_ms = min(life.first_ms for life in spanning.values())
    bars = (max(life.last_ms for life in spanning.values()) - first_ms) // bar_ms + 1

    def columns_of(coin: str) -> tuple[Floats, list[str]]:
        life = lives[coin]
        block = np.full((len(FIELDS), bars), np.nan)
        start = (life.first_ms - first_ms) // bar_ms
        if interval_minutes == 1:
            load(folder.file(coin), life.rows, block, start)
        else:
            minutes = np.full((len(FIELDS), (life.last_ms - life.first_ms) // MINUTE_MS + 1), np.nan)
            load(folder.file(coin), life.rows, minutes, 0)
            joined = join_minutes(minutes, interval_minutes)
            block[:, start : start + joined.shape[1]] = joined
        return block, column_digests(block)

    # Decoding, checking and hashing release the GIL.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        loaded = dict(zip(lives, pool.map(columns_of, lives), strict=True))
    # Arrow keeps what it freed; the panel is meant to be all that stays.
    pa.default_memory_pool().release_unused()
    for coin, life in lives.items():
        note = _gap_note(coin, life.gaps, gap_tolerance_minutes)
        if note:
            notes.append(note)
    return assemble(
        loaded,
        {coin: (life.first_ms, life.last_ms) for coin, life in lives.items()},
        first_ms=first_ms,
        bars=bars,
        interval_minutes=interval_minutes,
        start_ms=start_ms,
        notes=notes,
    )


def column_digests(block: Floats) -> list[str]:
    """Return the SHA-256 of each row of a coin's block, float64 (4, T), as :func:`assemble` takes them."""
    return [hashlib.sha256(row.data).hexdigest() for row in block]


def digest_of(timestamp: Ints, sums: Mapping[str, Sequence[str]]) -> str:
    """Return the digest of a panel from its minutes, int64 (T,), and each coin's :func:`column_digests`."""
    digest = hashlib.sha256(b"panel 1\0" + hashlib.sha256(timestamp.data).digest())
    for coin, totals in sums.items():
        for name, total in zip(FIELDS, totals, strict=True):
            digest.update(f"{coin}\0{name}\0{total}\0".encode())
    return digest.hexdigest()


def assemble(
    loaded: Mapping[str, tuple[Floats, list[str]]],
    lives: Mapping[str, tuple[int, int]],
    *,
    first_ms: int,
    bars: int,
    interval_minutes: int,
    start_ms: int | None,
    notes: Sequence[str],
) -> Panel:
    """Make a panel of its columns.

    Parameters
    ----------
    loaded
        Coin, ascending → its block, float64 (4, T), and what :func:`column_digests` gave for it.
    lives
        Coin → first and last minute with candles, UTC milliseconds.
    first_ms, bars, interval_minutes
        The axis.
    start_ms
        The requested start; None: the first bar.
    notes
        One line each.
    """
    bar_ms = interval_minutes * MINUTE_MS
    timestamp = np.arange(first_ms, first_ms + bars * bar_ms, bar_ms, dtype=np.int64)
    columns = {"timestamp": pa.array(timestamp)}
    for coin, (block, _) in loaded.items():
        for name, row in zip(FIELDS, block, strict=True):
            columns[f"{coin}.{name}"] = pa.array(row, from_pandas=False)
    return Panel(
        table=pa.table(columns),
        coins=tuple(loaded),
        interval_minutes=interval_minutes,
        first_ms=first_ms,
        requested_start_ms=first_ms if start_ms is None else max(start_ms, first_ms),
        first_valid=tuple((lives[coin][0] - first_ms) // bar_ms for coin in loaded),
        last_valid=tuple((lives[coin][1] - first_ms) // bar_ms for coin in loaded),
        notes=tuple(notes),
        digest=digest_of(timestamp, {coin: sums for coin, (_, sums) in loaded.items()}),
    )


def carried_forward(
    folder: CandleFolder, coin: str, first_ms: int, bars: int, interval_minutes: int = 1
) -> tuple[Floats, tuple[str, ...]]:
    """Return a coin's closes on an axis, each bar with the last price known at its end (§7.4 step 8).

    Bars before the coin's first candle have the first known price.

    Returns
    -------
    prices
        float64 (bars,), no NaN.
    notes
        A line where prices had to be carried over more than a day, or backwards.

    Raises
    ------
    CandleError
        The folder has no such coin, or none of its candles lies before the end of the axis.
    """
    timestamp, close = read_closes(folder.file(coin))
    last_ms = first_ms + bars * interval_minutes * MINUTE_MS - MINUTE_MS
    if timestamp[0] > last_ms:
        raise CandleError(
            f"{folder.file(coin)}: its first candle, {utc(int(timestamp[0]))}, "
            f"comes after the end of the window, {utc(last_ms)}"
        )
    return carry(coin, timestamp, close, first_ms, bars, interval_minutes)


def carry(
    coin: str, timestamp: Ints, close: Floats, first_ms: int, bars: int, interval_minutes: int
) -> tuple[Floats, tuple[str, ...]]:
    """Do what :func:`carried_forward` does with closes that were read.

    Parameters
    ----------
    timestamp, close
        int64 (n,), ascending, UTC milliseconds, and float64 (n,); the first lies before the end of the axis.
    """
    bar_ms = interval_minutes * MINUTE_MS
    # The last minute of each bar.
    axis = first_ms + bar_ms - MINUTE_MS + bar_ms * np.arange(bars, dtype=np.int64)
    known = np.searchsorted(timestamp, axis, "right") - 1
    notes = []
    early = int(np.count_nonzero(known < 0)) * interval_minutes
    if early:
        notes.append(
            f"{coin} has no price in the first {early} minutes of the window: its first one is used there"
        )
    known = np.maximum(known, 0)
    oldest = int((axis - timestamp[known]).max()) // MINUTE_MS
    if oldest > 1440:
        notes.append(
            f"{coin} has no price for {oldest} minutes of the window: the last known one is used there"
        )
    return close[known], tuple(notes)


@dataclass(frozen=True)
class _Life:
    """The part of a coin's file that lies in the window."""

    rows: slice
    first_ms: int
    last_ms: int
    gaps: Gaps


def _find_lives(
    folder: CandleFolder,
    coins: Sequence[str],
    wanted: Sequence[str],
    earliest: int,
    end_ms: int | None,
    coin_start_ms: Mapping[str, int],
    interval_minutes: int,
) -> tuple[dict[str, _Life], list[str]]:
    """Return the lives of the coins that have candles in the window, and notes about the wanted ones."""
    lives: dict[str, _Life] = {}
    notes: list[str] = []
    for coin in coins:
        timestamp = read_timestamps(folder.file(coin))
        begin = max(earliest, coin_start_ms.get(coin, 0))
        first = int(np.searchsorted(timestamp, begin, "left"))
        last = timestamp.size if end_ms is None else int(np.searchsorted(timestamp, end_ms, "right"))
        too_young = begin > earliest and first > 0 and timestamp[first - 1] >= earliest
        why = f"it is old enough only from {utc(begin)} on" if too_young else "no candles in the window"
        if first < last:
            first, last = whole_bars(timestamp, first, last, interval_minutes)
            why = f"its candles in the window make no whole bar of {interval_minutes} minutes"
        if first < last:
            used = timestamp[first:last]
            lives[coin] = _Life(slice(first, last), int(used[0]), int(used[-1]), find_gaps(used))
            note = f"{coin} takes part from {utc(int(used[0]))} on: before that it is too young"
        else:
            note = f"{coin} is left out: {why}"
        if coin in wanted and (too_young or first >= last):
            notes.append(note)
    return lives, notes


def _no_overlap(folder: CandleFolder, coins: Sequence[str], start_ms: int | None, end_ms: int | None) -> str:
    files = [read_timestamps(folder.file(coin)) for coin in coins]
    have = f"{utc(min(int(file[0]) for file in files))} to {utc(max(int(file[-1]) for file in files))}"
    asked_from = "their beginning" if start_ms is None else utc(start_ms)
    asked_to = "their end" if end_ms is None else utc(end_ms)
    return (
        f"{folder.path}: no candles between {asked_from} and {asked_to}; "
        f"those of the chosen coins run from {have}"
    )


def _gap_note(coin: str, gaps: Gaps, tolerance: float) -> str | None:
    if gaps.largest <= tolerance:
        return None
    holes = "1 hole" if gaps.count == 1 else f"{gaps.count} holes"
    return (
        f"{coin}: {holes} filled, {gaps.minutes} minutes; the largest is {gaps.largest - 1} minutes after "
        f"{utc(gaps.largest_from_ms)}, above the tolerance of {tolerance:g}"
    )
