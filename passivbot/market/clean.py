"""Checks and gap filling of one coin's candles (trading-semantics §7.4, steps 4 and 5).

A candle file is checked as a whole before anything of it is used: a wrong row outside the asked window is
still a sign that the file is not what it should be.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from passivbot.errors import CandleError, first_line
from passivbot.times import MINUTE_MS, utc

PRICES = ("open", "high", "low", "close")
REQUIRED = ("timestamp", "high", "low", "close", "volume")
"""Columns a candle file must have; ``open`` is checked where it is there, further columns are left alone."""

_BATCH_ROWS = 131_072

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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


def read_batches(path: Path, timestamp: Ints) -> Iterator[tuple[int, dict[str, Floats]]]:
    """Read and check the prices and volumes of one candle file, a stretch at a time.

    Parameters
    ----------
    path
        The file.
    timestamp
        Its minutes, from :func:`read_timestamps`.

    Yields
    ------
    row
        First row of the stretch.
    columns
        ``high``, ``low``, ``close`` (quote per base), ``volume`` (base units) and ``open`` where the file has
        it; float64, finite; prices positive, volumes not negative.

    Raises
    ------
    CandleError
        The file can't be read; or a value is null, NaN, infinite, zero or negative (volume may be zero), high
        is below low, or open or close lies outside low … high; names the file and the first offending
        timestamp.
    """
    row = 0
    with _opened(path) as file:
        present = [name for name in (*PRICES, "volume") if name in file.schema_arrow.names]
        # One thread: coins are read side by side, each by a thread of its own.
        for batch in file.iter_batches(_BATCH_ROWS, columns=present, use_threads=False):
            columns: dict[str, Floats] = {}
            for name in present:
                column = batch.column(name)
                if column.null_count:
                    first = row + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
                    raise CandleError(f"{path}: {name} is null at {_stamp(timestamp, first)}")
                columns[name] = column.to_numpy()
            _check(path, timestamp[row : row + batch.num_rows], columns)
            yield row, columns
            row += batch.num_rows


def read_closes(path: Path) -> tuple[Ints, Floats]:
    """Return the minutes (int64 (n,), UTC milliseconds) and closes (float64 (n,)) of one candle file.

    Raises
    ------
    CandleError
        As :func:`read_timestamps` and :func:`read_batches`.
    """
    timestamp = read_timestamps(path)
    close = np.empty(timestamp.size)
    for row, columns in read_batches(path, timestamp):
        close[row : row + columns["close"].size] = columns["close"]
    return timestamp, close


def _check(path: Path, timestamp: Ints, columns: dict[str, Floats]) -> None:
    for name, values in columns.items():
        if name == "volume":
            wrong, allowed = ~(np.isfinite(values) & (values >= 0)), "a finite number of at least 0"
        else:
            wrong, allowed = ~(np.isfinite(values) & (values > 0)), "a finite number above 0"
        if wrong.any():
            if np.isnan(columns["close"]).all() and np.isnan(_read(path, ["close"]).column("close")).all():
                raise CandleError(f"{path}: every close is NaN; the coin has no candles")
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


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a candle file, look at its schema, and name it in what goes wrong inside."""
    try:
        with pq.ParquetFile(path) as file:
            _check_schema(path, file.schema_arrow)
            if file.metadata.num_rows == 0:
                raise CandleError(f"{path}: holds no candles")
            yield file
    except (pa.ArrowException, OSError) as error:
        # The first line: the rest is a stack of C++ frames.
        cause = first_line(error)
        raise CandleError(f"{path}: is not a readable Parquet file ({cause})") from None


def _read(path: Path, columns: list[str]) -> pa.Table:
    with _opened(path) as file:
        return file.read(columns=columns, use_threads=False)


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


def load(path: Path, rows: slice, out: Floats, start: int) -> None:
    """Read a coin's candles into a panel's columns; fill holes and turn base volume into quote volume.

    A missing minute inside the coin's life gets high = low = close = the previous close and volume 0; then
    volume = base volume × close of the same minute (trading-semantics §7.4, steps 4 and 5).

    Parameters
    ----------
    path
        The candle file.
    rows
        Its rows to use, at least one; all of it is checked.
    out
        float64 (4, T), filled with NaN: high, low, close, volume. Only the minutes of the life are written.
    start
        Index in ``out`` of the first row.

    Raises
    ------
    CandleError
        As :func:`read_timestamps` and :func:`read_batches`.
    """
    timestamp = read_timestamps(path)
    first_ms = timestamp[rows.start]
    for row, columns in read_batches(path, timestamp):
        begin, end = max(rows.start, row), min(rows.stop, row + columns["close"].size)
        if begin >= end:
            continue
        index = (timestamp[begin:end] - first_ms) // MINUTE_MS + start
        # Without a hole a slice does what an array of indices does, several times as fast.
        whole = int(index[-1] - index[0]) + 1 == index.size
        where: slice | Ints = slice(int(index[0]), int(index[-1]) + 1) if whole else index
        for field, name in enumerate(("high", "low", "close")):
            out[field, where] = columns[name][begin - row : end - row]
        out[3, where] = columns["volume"][begin - row : end - row] * columns["close"][begin - row : end - row]
    minutes = int(timestamp[rows.stop - 1] - first_ms) // MINUTE_MS + 1
    if minutes > rows.stop - rows.start:
        fill(out[:, start : start + minutes])


def fill(life: Floats) -> None:
    """Fill the holes, NaN, of a coin's life, float64 (4, n); its first minute is none."""
    high, low, close, volume = life
    missing = np.isnan(close)
    last_known = np.maximum.accumulate(np.where(missing, 0, np.arange(close.size)))[missing]
    high[missing] = low[missing] = close[missing] = close[last_known]
    volume[missing] = 0.0
