"""Candles out of trades, where an archive has only these (Bybit)."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from passivbot.errors import CandleError, first_line
from passivbot.market.clean import Floats, Ints
from passivbot.market.spans import Span
from passivbot.times import MINUTE_MS


def read_trades(content: bytes, what: str) -> tuple[Ints, Floats, Floats]:
    """Read a day of Bybit's trades: CSV with a header, columns ``timestamp`` (seconds), ``price``, ``size``.

    Returns
    -------
    minute, price, size
        int64 (n,) UTC milliseconds of the minute's start; float64 (n,) quote per base; float64 (n,) base
        units. In the order in which they were traded.

    Raises
    ------
    CandleError
        It is no such file.
    """
    try:
        table = csv.read_csv(
            io.BytesIO(content),
            convert_options=csv.ConvertOptions(
                include_columns=["timestamp", "price", "size"],
                column_types={name: pa.float64() for name in ("timestamp", "price", "size")},
            ),
        )
    except (pa.ArrowException, KeyError) as error:
        raise CandleError(f"{what}: is no file of trades ({first_line(error)})") from None
    seconds, price, size = (table.column(name).to_numpy() for name in ("timestamp", "price", "size"))
    if seconds.size and seconds[0] > seconds[-1]:
        # Older files begin with the last trade; turned first, trades of one instant keep their order.
        seconds, price, size = seconds[::-1], price[::-1], size[::-1]
    order = np.argsort(seconds, kind="stable")
    minute = np.floor(seconds[order] / 60).astype(np.int64) * MINUTE_MS
    return minute, price[order], size[order]


def candles_of_trades(minute: Ints, price: Floats, size: Floats, span: Span) -> Floats:
    """Join the trades of a day to minute candles, as Bybit's own are.

    A candle opens at the close of the one before; the first of the file, whose predecessor is not in it, at
    its first trade. A minute without a trade repeats the close with volume 0. Minutes before the first trade
    have no candle.

    Parameters
    ----------
    minute, price, size
        From :func:`read_trades`.
    span
        The day.

    Returns
    -------
    float64 (n, 6): timestamp, open, high, low, close, volume (base units), from the first traded minute to
    the end of the day.
    """
    inside = (minute >= span.begin_ms) & (minute < span.end_ms)
    minute, price, size = minute[inside], price[inside], size[inside]
    if not minute.size:
        return np.empty((0, 6))
    first = np.concatenate(([0], np.flatnonzero(np.diff(minute)) + 1))
    last = np.concatenate((first[1:], [minute.size])) - 1
    begin = int(minute[0])
    count = (span.end_ms - begin) // MINUTE_MS
    place = (minute[first] - begin) // MINUTE_MS
    traded = np.zeros(count, dtype=np.int64)
    traded[place] = np.arange(place.size)
    traded = np.maximum.accumulate(traded)
    rows = np.empty((count, 6))
    rows[:, 0] = begin + np.arange(count) * MINUTE_MS
    rows[:, 4] = price[last][traded]
    rows[0, 1] = price[0]
    rows[1:, 1] = rows[:-1, 4]
    rows[:, 2] = rows[:, 3] = rows[:, 1]
    rows[place, 2] = np.maximum(np.maximum.reduceat(price, first), rows[place, 1])
    rows[place, 3] = np.minimum(np.minimum.reduceat(price, first), rows[place, 1])
    rows[:, 5] = 0.0
    rows[place, 5] = np.add.reduceat(size, first)
    return rows
