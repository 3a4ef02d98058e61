"""Checks and gap filling of one coin's candles (trading-semantics §7.4, steps 4 and 5).

A candle file is checked as a whole before anything of it is used: a wrong row outside the asked window is
still a sign that the file is not what it should be.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from passivbot.errors import CandleError

MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS
PRICES = ("open", "high", "low", "close")
REQUIRED = ("timestamp", "high", "low", "close", "volume")
"""Columns a candle file must have; ``open`` is checked where it is there, further columns are left alone."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Candles:
    """The checked candles of one coin.

    Parameters
    ----------
    timestamp
        int64 (n,), UTC milliseconds of the minute's start; ascending, unique, on the minute.
    high, low, close
        float64 (n,), quote per base; finite and positive.
    volume
        float64 (n,), base units; finite and not negative.
    """

    timestamp: Ints
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


def utc(timestamp_ms: int) -> str:
    """Return a timestamp as a person reads it."""
    try:
        return f"{datetime.fromtimestamp(timestamp_ms / 1000, UTC):%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError, OSError):
        return f"timestamp {timestamp_ms}"


def read_timestamps(path: Path) -> Ints:
    """Read and check the minutes of one candle file.

    Returns
    -------
    int64 (n,), n ≥ 1; UTC milliseconds, ascending, unique, on the minute.

    Raises
    ------
    CandleError
        The file can't be read, its columns are not those of a candle file, or a minute is null, off the
        minute, duplicated or unsorted; names the file and the first offending timestamp.
    """
    return _minutes(path, _read(path, ["timestamp"]))


def read_candles(path: Path) -> Candles:
    """Read and check one candle file.

    Raises
    ------
    CandleError
        As :func:`read_timestamps`; or a value is null, NaN, infinite, zero or negative (volume may be zero),
        high is below low, or open or close lies outside low … high; names the file and the first offending
        timestamp.
    """
    table = _read(path, ["timestamp", *PRICES, "volume"])
    timestamp = _minutes(path, table)
    columns: dict[str, Floats] = {}
    for name in table.column_names[1:]:
        column = table.column(name)
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy()))
            raise CandleError(f"{path}: {name} is null at {_stamp(timestamp, row)}")
        columns[name] = column.to_numpy()
    if np.isnan(columns["close"]).all():
        raise CandleError(f"{path}: every close is NaN; the coin has no candles")
    for name, values in columns.items():
        if name == "volume":
            wrong, allowed = ~(np.isfinite(values) & (values >= 0)), "a finite number of at least 0"
        else:
            wrong, allowed = ~(np.isfinite(values) & (values > 0)), "a finite number above 0"
        if wrong.any():
            row = int(np.argmax(wrong))
            raise CandleError(
                f"{path}: {name} is {values[row]} at {_stamp(timestamp, row)}; allowed is {allowed}"
            )
    high, low = columns["high"], columns["low"]
    if (high < low).any():
        row = int(np.argmax(high < low))
        raise CandleError(f"{path}: high {high[row]} is below low {low[row]} at {_stamp(timestamp, row)}")
    for name in ("open", "close"):
        values = columns.get(name, high)
        wrong = (values > high) | (values < low)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise CandleError(
                f"{path}: {name} {values[row]} lies outside low {low[row]} … high {high[row]} "
                f"at {_stamp(timestamp, row)}"
            )
    return Candles(timestamp, high, low, columns["close"], columns["volume"])


def _stamp(timestamp: Ints, row: int) -> str:
    """Time and number of a row's timestamp, so that it can be found in the file."""
    return f"{utc(int(timestamp[row]))} (timestamp {timestamp[row]})"


def _minutes(path: Path, table: pa.Table) -> Ints:
    column = table.column("timestamp")
    if column.null_count:
        raise CandleError(f"{path}: timestamp is null in row {int(np.argmax(column.is_null().to_numpy()))}")
    timestamp: Ints = column.to_numpy()
    off = timestamp % MINUTE_MS != 0
    if off.any():
        row = int(np.argmax(off))
        raise CandleError(
            f"{path}: {_stamp(timestamp, row)} is not the start of a minute; allowed are UTC milliseconds"
        )
    step = np.diff(timestamp)
    if (step <= 0).any():
        row = int(np.argmax(step <= 0)) + 1
        what = (
            "is there twice" if step[row - 1] == 0 else "comes after a later minute; the file must be sorted"
        )
        raise CandleError(f"{path}: {_stamp(timestamp, row)} {what}")
    return timestamp


def _read(path: Path, columns: list[str]) -> pa.Table:
    """Read those of some columns that a file has, after a look at its schema."""
    try:
        with pq.ParquetFile(path) as file:
            _check_schema(path, file.schema_arrow)
            present = [name for name in columns if name in file.schema_arrow.names]
            # One thread: coins are read side by side, each by a thread of its own.
            table = file.read(columns=present, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        # The first line: the rest is a stack of C++ frames.
        cause = (str(error) or type(error).__name__).splitlines()[0]
        raise CandleError(f"{path}: is not a readable Parquet file ({cause})") from None
    if table.num_rows == 0:
        raise CandleError(f"{path}: holds no candles")
    return table.select(present)


def _check_schema(path: Path, schema: pa.Schema) -> None:
    for name in REQUIRED:
        if name not in schema.names:
            found = ", ".join(schema.names) or "none"
            raise CandleError(
                f"{path}: has no column {name}; needed are {', '.join(REQUIRED)}; found: {found}"
            )
    for field in schema:
        allowed = {"timestamp": pa.int64()}.get(field.name, pa.float64())
        if field.name in (*REQUIRED, "open") and field.type != allowed:
            raise CandleError(f"{path}: column {field.name} is {field.type}; allowed is {allowed}")


@dataclass(frozen=True)
class Gaps:
    """Minutes that were missing inside a coin's life and were filled.

    Parameters
    ----------
    count
        Number of holes.
    minutes
        Missing minutes in all of them.
    largest
        Largest difference between neighbouring timestamps, in minutes (1: no hole).
    largest_from_ms
        Timestamp of the last candle before the largest hole.
    """

    count: int
    minutes: int
    largest: int
    largest_from_ms: int


def find_gaps(timestamp: Ints) -> Gaps:
    """Measure the holes between ascending minutes (int64 (n,), n ≥ 1, UTC milliseconds)."""
    step = np.diff(timestamp) // MINUTE_MS
    if step.size == 0 or (step == 1).all():
        return Gaps(0, 0, 1, int(timestamp[0]))
    widest = int(np.argmax(step))
    return Gaps(
        count=int(np.count_nonzero(step > 1)),
        minutes=int((step - 1).sum()),
        largest=int(step[widest]),
        largest_from_ms=int(timestamp[widest]),
    )


def fill(candles: Candles, rows: slice, out: Floats, start: int) -> None:
    """Write candles into a panel's columns, filling holes and turning base volume into quote volume.

    A missing minute inside the coin's life gets high = low = close = the previous close and volume 0; then
    volume = base volume × close of the same minute (trading-semantics §7.4, steps 4 and 5).

    Parameters
    ----------
    candles
        Checked candles.
    rows
        The rows to use; at least one.
    out
        float64 (4, T): high, low, close, volume; only the minutes of the coin's life are written.
    start
        Index in ``out`` of the first row.
    """
    timestamp = candles.timestamp[rows]
    index = (timestamp - timestamp[0]) // MINUTE_MS
    minutes = int(index[-1]) + 1
    high, low, close, volume = out[:, start : start + minutes]
    if minutes == index.size:
        high[:] = candles.high[rows]
        low[:] = candles.low[rows]
        close[:] = candles.close[rows]
        np.multiply(candles.volume[rows], close, out=volume)
        return
    close[:] = np.repeat(candles.close[rows], np.diff(index, append=minutes))
    high[:] = close
    low[:] = close
    high[index] = candles.high[rows]
    low[index] = candles.low[rows]
    volume[:] = 0.0
    volume[index] = candles.volume[rows] * candles.close[rows]
