"""Columns of many names and units, turned into the store's."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from passivbot.errors import CandleError, first_line
from passivbot.market.month import COLUMNS, SCHEMA

_NAMES: Mapping[str, tuple[str, ...]] = {
    "timestamp": ("timestamp", "open_time", "opentime", "time", "date", "datetime", "start", "ts", "t"),
    "open": ("open", "o", "open_price"),
    "high": ("high", "h", "high_price"),
    "low": ("low", "l", "low_price"),
    "close": ("close", "c", "close_price"),
    "volume": ("volume", "vol", "v", "base_volume", "volume_base", "bv"),
}
# A time as a number is in the unit that puts it between 2001 and 2286.
_UNITS = ((1e9, 1e10, 1000.0), (1e12, 1e13, 1.0), (1e15, 1e16, 1e-3), (1e18, 1e19, 1e-6))


def by_name(table: pa.Table, what: str) -> pa.Table:
    """Return the store's columns of a table, found by their names; ``open`` may be missing.

    Raises
    ------
    CandleError
        A column is missing, or is not what its name says.
    """
    found: dict[str, pa.ChunkedArray] = {}
    there = {name.strip().lower().replace(" ", "_"): name for name in reversed(table.column_names)}
    for column, names in _NAMES.items():
        name = next((there[name] for name in names if name in there), None)
        if name is not None:
            found[column] = table.column(name)
    missing = [name for name in COLUMNS if name not in found and name != "open"]
    if missing:
        raise CandleError(
            f"{what}: has no column {', '.join(missing)}; "
            f"it has {', '.join(table.column_names[:12]) or 'none'}"
        )
    # Without an open a candle begins where it ends: nothing computes with it.
    found.setdefault("open", found["close"])
    return typed(found, what)


def typed(columns: Mapping[str, pa.ChunkedArray], what: str) -> pa.Table:
    """Return columns in the store's types: times of any unit as UTC milliseconds, numbers as float64.

    Raises
    ------
    CandleError
        A column can't be turned into its type.
    """
    made = [milliseconds(columns["timestamp"], what)]
    for name in COLUMNS[1:]:
        try:
            made.append(columns[name].cast(pa.float64()))
        except pa.ArrowException as error:
            raise CandleError(f"{what}: column {name} holds no numbers ({first_line(error)})") from None
    return pa.table(made, schema=SCHEMA)


def milliseconds(column: pa.ChunkedArray, what: str) -> pa.ChunkedArray:
    """Return times as int64 UTC milliseconds; they may be timestamps, texts, or numbers of any unit."""
    kind = column.type
    try:
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            column = _parsed(column)
            kind = column.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return column.cast(pa.timestamp("ms", kind.tz if pa.types.is_timestamp(kind) else None)).cast(
                pa.int64()
            )
        numbers = column.cast(pa.float64()).to_numpy()
        if not numbers.size:
            return column.cast(pa.int64())
        known = numbers[np.isfinite(numbers)]
        usual = float(np.median(known)) if known.size else np.nan
        unit = next((unit for low, high, unit in _UNITS if low <= usual < high), None)
        if unit is None:
            raise CandleError(f"{what}: {usual:g} is no time; needed are times after 2001")
        if pa.types.is_integer(kind):
            whole = column.cast(pa.int64())
            if unit == 1.0:
                return whole
            factor = pa.scalar(round(unit if unit > 1 else 1 / unit), pa.int64())
            return pc.multiply(whole, factor) if unit > 1 else pc.divide(whole, factor)
        return pa.chunked_array([pa.array(np.rint(numbers * unit), from_pandas=True).cast(pa.int64())])
    except pa.ArrowException as error:
        raise CandleError(f"{what}: its times are not readable ({first_line(error)})") from None


def _parsed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts as times: numbers, ISO dates, with a zone or in UTC."""
    first = next((text for text in column.to_pylist() if text), "")
    if first.replace(".", "", 1).isdigit():
        return column.cast(pa.float64()) if "." in first else column.cast(pa.int64())
    try:
        return column.cast(pa.timestamp("ms"))
    except pa.ArrowException:
        return column.cast(pa.timestamp("ms", "UTC"))
