"""Minutes joined to longer bars.

Bars lie on the clock: one of I minutes begins at a multiple of I minutes, UTC. A bar is whole or it is not
there, so that ranges and volumes of all bars can be compared; what is left over at the ends of a coin's life
goes.
"""

import numpy as np

from passivbot.market.clean import Floats, Ints
from passivbot.times import MINUTE_MS


def whole_bars(timestamp: Ints, first: int, last: int, interval_minutes: int) -> tuple[int, int]:
    """Narrow a stretch of candles to those from the first that opens a bar to the last that closes one.

    Narrowing twice, or narrowing a stretch that ends where the bars of a longer one did, gives the same bars:
    a recorded window repeats its run.

    Parameters
    ----------
    timestamp
        Minutes of the candles, int64 (n,), UTC milliseconds, ascending.
    first, last
        Index of the first candle, and that after the last one; first < last.
    interval_minutes
        Minutes of a bar.

    Returns
    -------
    first, last
        Equal if there is no whole bar.
    """
    minute = timestamp[first:last] // MINUTE_MS % interval_minutes
    opening = np.flatnonzero(minute == 0)
    closing = np.flatnonzero(minute == interval_minutes - 1)
    if not opening.size or not closing.size or opening[0] > closing[-1]:
        return first, first
    return first + int(opening[0]), first + int(closing[-1]) + 1


def join_minutes(minutes: Floats, interval_minutes: int) -> Floats:
    """Join the minutes of a coin's life to bars.

    Parameters
    ----------
    minutes
        float64 (4, n): high, low, close and volume without a hole; n a multiple of the interval.
    interval_minutes
        Minutes of a bar.

    Returns
    -------
    float64 (4, n / interval)
        Highest high, lowest low, last close, sum of the volumes in the order of the minutes.
    """
    high, low, close, volume = minutes.reshape(len(minutes), -1, interval_minutes)
    # Not numpy's sum: its order, and so the last bit, may differ between releases.
    total = volume[:, 0].copy()
    for k in range(1, interval_minutes):
        total += volume[:, k]
    return np.stack((high.max(axis=1), low.min(axis=1), close[:, -1], total))
