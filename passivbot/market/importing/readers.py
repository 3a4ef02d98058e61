"""One reader a format: from a file to the store's columns, rows as they stand in the file.

=========  ===================================================================================================
feather    freqtrade: ``date`` (timestamp, UTC), ``open`` … ``volume``; any Arrow file with named columns
json       freqtrade: ``[[milliseconds, open, high, low, close, volume], …]``, also ``.json.gz``
csv        with a header, by name; without one: Binance's archive (12 columns), six columns, Bybit's candles
           (``2024.05.01 03:00,open, …``, UTC+3); Bybit's trades become candles. Also ``.csv.gz`` and ``.zip``
npy        passivbot's day caches: six columns, or named ones (``ts, o, h, l, c, bv``)
parquet    any with named columns
=========  ===================================================================================================
"""

import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pyarrow.feather as feather
import pyarrow.parquet as pq

from passivbot.errors import CandleError, first_line
from passivbot.market.download.trades import candles_of_trades, read_trades
from passivbot.market.importing.columns import by_name, typed
from passivbot.market.month import COLUMNS, SCHEMA, inconsistent
from passivbot.market.spans import Span
from passivbot.times import DAY_MS, HOUR_MS

_BINANCE_COLUMNS = 12
_ODD_SHARE = 0.05
"""Share of candles that contradict themselves above which the columns are wrong, not the candles."""
_BYBIT_TIME = re.compile(r"\d{4}\.\d{2}\.\d{2} \d{2}:\d{2}")
_TRADES = ("timestamp", "symbol", "side", "size", "price")


def read_feather(path: Path) -> pa.Table:
    """Read freqtrade's feather files, or any Arrow file."""
    return by_name(feather.read_table(path, memory_map=False), str(path))


def read_parquet(path: Path) -> pa.Table:
    """Read any Parquet file with named columns."""
    return by_name(pq.ParquetFile(path).read(), str(path))


def read_json(path: Path) -> pa.Table:
    """Read freqtrade's JSON, packed or not."""
    content = path.read_bytes()
    rows = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    if not isinstance(rows, list) or not all(
        isinstance(row, list) and len(row) >= len(COLUMNS) for row in rows
    ):
        raise CandleError(f"{path}: holds no list of candles [time, open, high, low, close, volume]")
    return _six([[row[column] for row in rows] for column in range(len(COLUMNS))], str(path))


def read_npy(path: Path) -> pa.Table:
    """Read a day cache of passivbot."""
    array = np.load(path, allow_pickle=False)
    if array.dtype.names:
        return by_name(
            pa.table({name: np.ascontiguousarray(array[name]) for name in array.dtype.names}), str(path)
        )
    if array.ndim != 2 or array.shape[1] < len(COLUMNS):
        shape = " × ".join(map(str, array.shape))
        raise CandleError(f"{path}: is an array of {shape}; needed are six columns: timestamp … volume")
    return _six([np.ascontiguousarray(array[:, column]) for column in range(len(COLUMNS))], str(path))


def read_csv(path: Path) -> pa.Table:
    """Read a CSV file: with a header by its names, without one by its number of columns."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    return _csv(content, str(path))


def read_zip(path: Path) -> pa.Table:
    """Read the CSV files of an archive's zip."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
        if not names:
            raise CandleError(f"{path}: holds no CSV file")
        return pa.concat_tables([_csv(archive.read(name), f"{path}: {name}") for name in names])


def _six(columns: list[object], what: str) -> pa.Table:
    try:
        made = {
            name: pa.chunked_array([pa.array(values)]) for name, values in zip(COLUMNS, columns, strict=True)
        }
    except pa.ArrowException as error:
        raise CandleError(f"{what}: holds no numbers ({first_line(error)})") from None
    return _in_order(typed(made, what), what) if len(made["timestamp"]) else SCHEMA.empty_table()


def _in_order(table: pa.Table, what: str) -> pa.Table:
    """Return candles whose columns had no names, if their values fit the order that was taken for granted.

    Raises
    ------
    CandleError
        Too many have an open or a close outside low … high, as Gate's archive would, which has volume, close,
        high, low, open.
    """
    share = float(np.mean(inconsistent(table))) if table.num_rows else 0.0
    if share > _ODD_SHARE:
        raise CandleError(
            f"{what}: open or close lies outside low … high in {share:.0%} of the candles; without names the "
            "columns have to be time, open, high, low, close, volume"
        )
    return table


def _csv(content: bytes, what: str) -> pa.Table:
    head = content.split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    if not head:
        return SCHEMA.empty_table()
    cells = [cell.strip().strip('"').lower() for cell in head.split(",")]
    if any(cell.isalpha() for cell in cells):
        if set(_TRADES) <= set(cells):
            return _of_trades(content, what)
        return by_name(pc_csv.read_csv(io.BytesIO(content)), what)
    names = [f"c{column}" for column in range(len(cells))]
    table = pc_csv.read_csv(io.BytesIO(content), read_options=pc_csv.ReadOptions(column_names=names))
    if len(cells) == len(COLUMNS) and _BYBIT_TIME.fullmatch(cells[0]):
        columns = [_bybit_times(content), *table.columns[1:]]
    elif len(cells) == len(COLUMNS) or len(cells) >= _BINANCE_COLUMNS:
        columns = table.columns[: len(COLUMNS)]
    else:
        raise CandleError(
            f"{what}: has {len(cells)} columns and no header; known without one are six columns (time, open, "
            f"high, low, close, volume) and Binance's {_BINANCE_COLUMNS}"
        )
    return _in_order(typed(dict(zip(COLUMNS, columns, strict=True)), what), what)


def _bybit_times(content: bytes) -> pa.ChunkedArray:
    """Return the times of Bybit's candles for MetaTrader 4, UTC; their clock is that of UTC+3."""
    texts = [line.split(",", 1)[0].strip() for line in content.decode().splitlines() if line.strip()]
    local = pa.array(texts).cast(pa.string())
    times = pc.strptime(local, format="%Y.%m.%d %H:%M", unit="ms")
    return pa.chunked_array([pc.subtract(times.cast(pa.int64()), pa.scalar(3 * HOUR_MS, pa.int64()))])


def _of_trades(content: bytes, what: str) -> pa.Table:
    """Return the candles of whole days of trades."""
    minute, price, size = read_trades(content, what)
    if not minute.size:
        return SCHEMA.empty_table()
    days = Span(int(minute[0]) // DAY_MS * DAY_MS, (int(minute[-1]) // DAY_MS + 1) * DAY_MS)
    rows = candles_of_trades(minute, price, size, days)
    return pa.table(
        [rows[:, 0].astype(np.int64), *(rows[:, column] for column in range(1, 6))], schema=SCHEMA
    )


READERS: Mapping[str, Callable[[Path], pa.Table]] = {
    ".feather": read_feather,
    ".arrow": read_feather,
    ".json": read_json,
    ".json.gz": read_json,
    ".csv": read_csv,
    ".csv.gz": read_csv,
    ".zip": read_zip,
    ".npy": read_npy,
    ".parquet": read_parquet,
}
"""Ending → reader."""


def ending_of(path: Path) -> str | None:
    """Return the ending by which a file is read; None for others."""
    name = path.name.lower()
    return next((end for end in sorted(READERS, key=len, reverse=True) if name.endswith(end)), None)


def read(path: Path) -> pa.Table:
    """Read one file into the store's columns, rows as they stand there.

    Raises
    ------
    CandleError
        Another format, or a file that is damaged or holds something else; names it.
    """
    ending = ending_of(path)
    if ending is None:
        raise CandleError(f"{path}: unknown format; readable are {', '.join(sorted(READERS))}")
    try:
        return READERS[ending](path)
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, pa.ArrowException) as error:
        cause = first_line(error)
        raise CandleError(f"{path}: is not readable as {ending} ({cause})") from None
