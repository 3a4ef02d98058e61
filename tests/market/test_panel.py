import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passivbot.errors import CandleError
from passivbot.market import CandleFolder, build_panel, carried_forward, panel_bytes
from passivbot.times import MINUTE_MS

from .conftest import START_MS, Write, folder_of


def test_columns_are_what_the_engine_reads(write: Write, tmp_path: Path) -> None:
    write("ETH", [0, 1, 2])
    write("BTC", [1, 2, 3, 4])
    panel = build_panel(CandleFolder.open(tmp_path), ["ETH", "BTC"])
    assert panel.coins == ("BTC", "ETH")
    assert panel.table.column_names == [
        "timestamp",
        *(f"BTC.{field}" for field in ("high", "low", "close", "volume")),
        *(f"ETH.{field}" for field in ("high", "low", "close", "volume")),
    ]
    assert {str(kind) for kind in panel.table.schema.types[1:]} == {"double"}
    assert all(column.num_chunks == 1 and column.null_count == 0 for column in panel.table.columns)
    assert panel.timestamp.tolist() == [START_MS + minute * MINUTE_MS for minute in range(5)]
    assert (panel.first_ms, panel.last_ms, panel.minutes) == (START_MS, START_MS + 4 * MINUTE_MS, 5)
    assert (panel.first_valid, panel.last_valid) == ((1, 0), (4, 2))
    assert np.isnan(panel.column("BTC", "close")).tolist() == [True, False, False, False, False]
    assert np.isnan(panel.column("ETH", "volume")).tolist() == [False, False, False, True, True]
    assert panel.table.nbytes == panel_bytes(5, 2)


def test_missing_minutes_repeat_the_close_without_volume(write: Write, tmp_path: Path) -> None:
    write("BTC", [0, 1, 4], close=np.array([10.0, 11.0, 9.5]), volume=np.array([1.0, 2.0, 4.0]))
    panel = build_panel(CandleFolder.open(tmp_path), ["BTC"])
    assert panel.column("BTC", "high").tolist() == [12.0, 12.0, 11.0, 11.0, 12.0]
    assert panel.column("BTC", "low").tolist() == [9.0, 9.0, 11.0, 11.0, 9.0]
    assert panel.column("BTC", "close").tolist() == [10.0, 11.0, 11.0, 11.0, 9.5]
    assert panel.column("BTC", "volume").tolist() == [10.0, 22.0, 0.0, 0.0, 38.0]
    assert panel.notes == ()


def test_large_holes_are_filled_and_noted(write: Write, tmp_path: Path) -> None:
    write("BTC", [0, 120, 241, 243])
    panel = build_panel(CandleFolder.open(tmp_path), ["BTC"], gap_tolerance_minutes=120.0)
    assert panel.notes == (
        "BTC: 3 holes filled, 240 minutes; the largest is 120 minutes after 2024-05-01 02:00, "
        "above the tolerance of 120",
    )
    assert not np.isnan(panel.column("BTC", "close")).any()
    assert build_panel(CandleFolder.open(tmp_path), ["BTC"], gap_tolerance_minutes=121.0).notes == ()


def test_minutes_that_no_coin_has_stay_on_the_axis(write: Write, tmp_path: Path) -> None:
    write("BTC", [0, 1])
    write("ETH", [5, 6])
    panel = build_panel(CandleFolder.open(tmp_path), ["BTC", "ETH"])
    assert panel.minutes == 7
    assert (panel.first_valid, panel.last_valid) == ((0, 5), (1, 6))


def test_window_and_warmup(write: Write, tmp_path: Path) -> None:
    write("BTC", range(100))
    folder = CandleFolder.open(tmp_path)
    start, end = START_MS + 50 * MINUTE_MS, START_MS + 59 * MINUTE_MS
    panel = build_panel(folder, ["BTC"], start_ms=start, end_ms=end, warmup_minutes=20)
    assert (panel.first_ms, panel.last_ms) == (START_MS + 30 * MINUTE_MS, end)
    assert panel.requested_start_ms == start
    early = build_panel(folder, ["BTC"], start_ms=START_MS - 10 * MINUTE_MS, warmup_minutes=20)
    assert (early.first_ms, early.requested_start_ms, early.minutes) == (START_MS, START_MS, 100)
    uneven = build_panel(folder, ["BTC"], start_ms=start + 30_000)
    assert (uneven.first_ms, uneven.requested_start_ms) == (start, start + 30_000)


def test_a_hole_at_the_edge_of_the_window_is_not_filled_from_before(write: Write, tmp_path: Path) -> None:
    write("BTC", [0, 1, 8, 9])
    panel = build_panel(CandleFolder.open(tmp_path), ["BTC"], start_ms=START_MS + 5 * MINUTE_MS)
    assert (panel.first_ms, panel.minutes) == (START_MS + 8 * MINUTE_MS, 2)


def test_coin_without_candles_in_the_window_is_left_out(write: Write, tmp_path: Path) -> None:
    write("BTC", range(10))
    write("ETH", range(5))
    panel = build_panel(CandleFolder.open(tmp_path), ["BTC", "ETH"], start_ms=START_MS + 6 * MINUTE_MS)
    assert panel.coins == ("BTC",)
    assert panel.notes == ("ETH is left out: no candles in the window",)


def test_age_of_a_coin(write: Write, tmp_path: Path) -> None:
    write("BTC", range(10))
    write("ETH", range(10))
    folder = CandleFolder.open(tmp_path)
    panel = build_panel(folder, ["BTC", "ETH"], coin_start_ms={"ETH": START_MS + 4 * MINUTE_MS})
    assert panel.first_valid == (0, 4)
    assert panel.notes == ("ETH takes part from 2024-05-01 00:04 on: before that it is too young",)
    panel = build_panel(folder, ["BTC", "ETH"], coin_start_ms={"ETH": START_MS + 10 * MINUTE_MS})
    assert panel.coins == ("BTC",)
    assert panel.notes == ("ETH is left out: it is old enough only from 2024-05-01 00:10 on",)


def test_axis_of_more_coins_than_the_run(write: Write, tmp_path: Path) -> None:
    write("BTC", range(3, 6))
    write("ETH", range(9))
    panel = build_panel(CandleFolder.open(tmp_path), ["BTC"], union_of=["BTC", "ETH"])
    assert panel.coins == ("BTC",)
    assert (panel.minutes, panel.first_valid, panel.last_valid) == (9, (3,), (5,))


def test_open_may_be_missing_and_more_columns_may_be_there(write: Write, tmp_path: Path) -> None:
    write("BTC", open=None, trades=["many"] * 5)
    assert build_panel(CandleFolder.open(tmp_path), ["BTC"]).minutes == 5


def test_row_groups_do_not_matter(write: Write, tmp_path: Path) -> None:
    path = write("BTC", [*range(100), *range(150, 400)])
    whole = build_panel(CandleFolder.open(tmp_path), ["BTC"])
    pq.write_table(pq.read_table(path), path, row_group_size=7)
    assert build_panel(CandleFolder.open(tmp_path), ["BTC"]).digest == whole.digest


def test_digest_follows_every_value(write: Write, tmp_path: Path) -> None:
    def digest() -> str:
        return build_panel(CandleFolder.open(tmp_path), ["BTC"]).digest

    close = np.full(5, 10.0)
    write(close=close)
    first = digest()
    assert digest() == first
    close[3] = math.nextafter(10.0, 11.0)
    write(close=close)
    assert digest() != first
    write("BTC", range(1, 6), close=np.full(5, 10.0))
    assert digest() != first
    write("ETH", close=np.full(5, 10.0))
    assert build_panel(CandleFolder.open(tmp_path), ["ETH"]).digest != first


def slow_panel(minutes: list[int], close: list[float]) -> list[tuple[float, float, float, float]]:
    """The rule of the parity cases, minute by minute."""
    rows, known = {}, dict(zip(minutes, close, strict=True))
    last = close[0]
    for minute in range(minutes[0], minutes[-1] + 1):
        if minute in known:
            last = known[minute]
            rows[minute] = (last + 1.0, last - 1.0, last, 3.0 * last)
        else:
            rows[minute] = (last, last, last, 0.0)
    return list(rows.values())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_filling_equals_the_rule_minute_by_minute(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    minutes = sorted(data.draw(st.sets(st.integers(0, 60), min_size=1)))
    close = data.draw(st.lists(st.floats(2.0, 1e5), min_size=len(minutes), max_size=len(minutes)))
    panel = build_panel(folder_of(tmp_path_factory.mktemp("candles"), minutes, close), ["BTC"])
    columns = [panel.column("BTC", field).tolist() for field in ("high", "low", "close", "volume")]
    assert list(zip(*columns, strict=True)) == slow_panel(minutes, close)


def test_prices_carried_forward(write: Write, tmp_path: Path) -> None:
    write("BTC", [2, 3, 6], close=np.array([10.0, 11.0, 9.5]))
    folder = CandleFolder.open(tmp_path)
    prices, notes = carried_forward(folder, "BTC", START_MS, 9)
    assert prices.tolist() == [10.0, 10.0, 10.0, 11.0, 11.0, 11.0, 9.5, 9.5, 9.5]
    assert notes == ("BTC has no price in the first 2 minutes of the window: its first one is used there",)
    later, notes = carried_forward(folder, "BTC", START_MS + 5 * MINUTE_MS, 2000)
    assert later[:3].tolist() == [11.0, 9.5, 9.5]
    assert notes == ("BTC has no price for 1998 minutes of the window: the last known one is used there",)
    with pytest.raises(
        CandleError, match=r"BTC\.parquet: its first candle, 2024-05-01 00:02, comes after the end"
    ):
        carried_forward(folder, "BTC", START_MS, 2)


@pytest.mark.parametrize("candles", ["perp-2023-07", "perp-2025-05", "spot-2021-04", "spot-2024"])
def test_panels_of_the_parity_cases(shared_dir: Path, candles: str) -> None:
    folder = CandleFolder.open(shared_dir / "candles" / candles)
    for case in sorted((shared_dir / "parity" / "real").glob(f"{candles}-*.case.json"))[:3]:
        facts = json.loads(case.read_text())
        panel = build_panel(folder, facts["coins"], union_of=folder.coins)
        assert list(panel.coins) == facts["coins"]
        assert panel.first_ms == facts["first_timestamp_ms"]
        assert list(panel.first_valid) == facts["first_valid"]
        assert list(panel.last_valid) == facts["last_valid"]
        equity = pq.read_table(case.with_name(case.name.replace(".case.json", ".equity.parquet")))
        assert equity["minute"][-1].as_py() <= panel.minutes - 2 < equity["minute"][-1].as_py() + 60
