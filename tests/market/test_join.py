"""Minutes joined to longer bars."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passivbot.errors import CandleError
from passivbot.market import CandleFolder, Panel, build_panel, carried_forward
from passivbot.market.join import join_minutes, whole_bars
from passivbot.times import MINUTE_MS

from .conftest import START_MS, Write, folder_of

FIELDS = ("high", "low", "close", "volume")


def rows_of(panel: Panel, coin: str = "BTC") -> list[tuple[float, ...]]:
    return list(zip(*(panel.column(coin, field).tolist() for field in FIELDS), strict=True))


def test_a_bar_is_the_join_of_its_minutes(write: Write, tmp_path: Path) -> None:
    close = np.array([10.0, 10.5, 11.0, 10.0, 9.5, 10.0, 11.5, 11.0, 10.5, 10.0])
    high, low = close + 0.5, close - 0.25
    high[2], low[7] = 20.0, 5.0
    volume = np.arange(1.0, 11.0)
    write("BTC", range(10), close=close, high=high, low=low, volume=volume, open=None)
    panel = build_panel(CandleFolder.open(tmp_path), ["BTC"], interval_minutes=5)
    quote = (volume * close).tolist()
    assert rows_of(panel) == [(20.0, 9.25, 9.5, sum(quote[:5])), (12.0, 5.0, 10.0, sum(quote[5:]))]
    assert panel.timestamp.tolist() == [START_MS, START_MS + 5 * MINUTE_MS]
    assert (panel.interval_minutes, panel.bars, panel.minutes) == (5, 2, 10)
    assert (panel.first_ms, panel.last_ms) == (START_MS, START_MS + 9 * MINUTE_MS)
    assert all(column.num_chunks == 1 and column.null_count == 0 for column in panel.table.columns)


def test_bars_lie_on_the_clock_and_are_whole(write: Write, tmp_path: Path) -> None:
    write("BTC", range(7, 33))  # bars at 15 alone
    write("ETH", range(15, 61))  # at 15, 30 and 45; minute 60 is left over
    panel = build_panel(CandleFolder.open(tmp_path), ["BTC", "ETH"], interval_minutes=15)
    assert panel.timestamp.tolist() == [START_MS + minute * MINUTE_MS for minute in (15, 30, 45)]
    assert (panel.first_valid, panel.last_valid) == ((0, 0), (0, 2))
    assert np.isnan(panel.column("BTC", "close")).tolist() == [False, True, True]


def test_a_coin_without_a_whole_bar_is_left_out(write: Write, tmp_path: Path) -> None:
    write("BTC", range(120))
    write("ETH", range(10, 100))
    folder = CandleFolder.open(tmp_path)
    panel = build_panel(folder, ["BTC", "ETH"], interval_minutes=60)
    assert (panel.coins, panel.bars) == (("BTC",), 2)
    assert panel.notes == ("ETH is left out: its candles in the window make no whole bar of 60 minutes",)
    with pytest.raises(CandleError, match="no candles between"):
        build_panel(folder, ["ETH"], interval_minutes=60)


def test_holes_are_filled_before_minutes_are_joined(write: Write, tmp_path: Path) -> None:
    minutes = [0, 1, 2, 14]
    close = np.array([10.0, 11.0, 10.0, 9.5])
    write("BTC", minutes, close=close, volume=np.array([1.0, 2.0, 4.0, 2.0]))
    panel = build_panel(CandleFolder.open(tmp_path), ["BTC"], interval_minutes=5)
    assert rows_of(panel) == [(12.0, 9.0, 10.0, 72.0), (10.0, 10.0, 10.0, 0.0), (12.0, 9.0, 9.5, 19.0)]


def test_prices_at_the_end_of_bars(write: Write, tmp_path: Path) -> None:
    write("BTC", [7, 8, 16], close=np.array([10.0, 11.0, 9.5]))
    folder = CandleFolder.open(tmp_path)
    prices, notes = carried_forward(folder, "BTC", START_MS, 4, 5)
    assert prices.tolist() == [10.0, 11.0, 11.0, 9.5]
    assert notes == ("BTC has no price in the first 5 minutes of the window: its first one is used there",)
    with pytest.raises(CandleError, match="comes after the end of the window, 2024-05-01 00:04"):
        carried_forward(folder, "BTC", START_MS, 1, 5)


def slow_bars(minutes: list[int], closes: list[float], interval: int) -> dict[int, tuple[float, ...]]:
    """Bar → values, by the words of the documents, minute by minute."""
    opening = [minute for minute in minutes if minute % interval == 0]
    closing = [minute for minute in minutes if minute % interval == interval - 1]
    if not opening or not closing:
        return {}
    known, bars = dict(zip(minutes, closes, strict=True)), {}
    for begin in range(opening[0], closing[-1], interval):
        high, low, volume = -np.inf, np.inf, 0.0
        for minute in range(begin, begin + interval):
            if minute in known:
                last = known[minute]
                high, low, volume = max(high, last + 1.0), min(low, last - 1.0), volume + 3.0 * last
            else:
                high, low = max(high, last), min(low, last)
        bars[begin] = (high, low, last, volume)
    return bars


@settings(max_examples=80, deadline=None)
@given(st.data(), st.sampled_from([2, 5, 15, 60]))
def test_joining_equals_the_words(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, interval: int
) -> None:
    minutes = sorted(data.draw(st.sets(st.integers(0, 200), min_size=1, max_size=150)))
    closes = data.draw(st.lists(st.floats(2.0, 1e5), min_size=len(minutes), max_size=len(minutes)))
    folder = folder_of(tmp_path_factory.mktemp("candles"), minutes, closes)
    expected = slow_bars(minutes, closes, interval)
    if not expected:
        with pytest.raises(CandleError):
            build_panel(folder, ["BTC"], interval_minutes=interval)
        return
    panel = build_panel(folder, ["BTC"], interval_minutes=interval)
    found = dict(zip(((panel.timestamp - START_MS) // MINUTE_MS).tolist(), rows_of(panel), strict=True))
    assert found == expected
    # The window of a panel gives the panel again, wherever the candles have holes.
    again = build_panel(
        folder, ["BTC"], start_ms=panel.first_ms, end_ms=panel.last_ms, interval_minutes=interval
    )
    assert again.digest == panel.digest


def test_warm_up_and_window_in_bars(write: Write, tmp_path: Path) -> None:
    write("BTC", range(400))
    start, end = START_MS + 130 * MINUTE_MS, START_MS + 300 * MINUTE_MS
    panel = build_panel(
        CandleFolder.open(tmp_path),
        ["BTC"],
        start_ms=start,
        end_ms=end,
        warmup_minutes=20,
        interval_minutes=60,
    )
    assert panel.requested_start_ms == start
    assert (panel.first_ms, panel.last_ms) == (START_MS + 60 * MINUTE_MS, end - MINUTE_MS)


def test_volumes_are_added_in_the_order_of_the_minutes() -> None:
    volume = [1e16, 1.0, 1.0, 1.0, -1e16, 3.0]
    minutes = np.array([[1.0] * 6, [1.0] * 6, [1.0] * 6, volume])
    assert join_minutes(minutes, 6)[3].tolist() == [((((1e16 + 1.0) + 1.0) + 1.0) - 1e16) + 3.0]


def test_minutes_need_no_narrowing() -> None:
    stamps = START_MS + MINUTE_MS * np.array([3, 4, 9])
    assert whole_bars(stamps, 1, 3, 1) == (1, 3)
    assert whole_bars(stamps, 0, 3, 5) == (0, 0)
