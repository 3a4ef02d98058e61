"""Panels of a store: the bits of a candle folder, the choice of exchanges by hand, growth by a day."""

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passivbot.errors import CandleError
from passivbot.market import CandleFolder, Panel, build_panel, panel_cache
from passivbot.market.choose import Choice, choose
from passivbot.market.holding import Holding, hold
from passivbot.market.panel_cache import cached_panel, kept
from passivbot.market.panel_file import panel_file, read_panel
from passivbot.market.spans import Span
from passivbot.market.store import Store
from passivbot.market.store_panel import build_store_panel, coverages
from passivbot.times import MINUTE_MS
from tests.disks import mount, unmount

from .conftest import START_MS

DAY = 1440


def candles(minutes: Iterable[int], price: float = 10.0, volume: float = 3.0) -> pa.Table:
    minute = np.array(list(minutes), dtype=np.int64)
    close = price + (minute % 89) * 0.013
    return pa.table(
        {
            "timestamp": START_MS + minute * MINUTE_MS,
            "open": close,
            "high": close + 0.5,
            "low": close - 0.25,
            "close": close,
            "volume": volume + (minute % 5) * 0.7,
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", create=True)


def put(store: Store, exchange: str, coin: str, table: pa.Table) -> None:
    store.write(exchange, coin, table, source="test", date="2025-01-02")


def window(first: int, last: int) -> Span:
    return Span(START_MS + first * MINUTE_MS, START_MS + last * MINUTE_MS)


def holdings(store: Store, coins: Iterable[str], span: Span, interval: int = 1) -> dict[str, Holding]:
    found = {coin: hold(store, "binance", coin, span, interval_minutes=interval) for coin in coins}
    return {coin: held for coin, held in found.items() if held is not None}


def same_as_folder(store: Store, folder: Path, span: Span, interval: int = 1) -> None:
    opened = CandleFolder.open(folder)
    bar_ms = interval * MINUTE_MS
    held = holdings(store, opened.coins, Span(span.begin_ms // bar_ms * bar_ms, span.end_ms), interval)

    def from_folder() -> Panel:
        return build_panel(
            opened,
            opened.coins,
            start_ms=span.begin_ms,
            end_ms=span.end_ms - 1,
            interval_minutes=interval,
        )

    if not held:  # too few for a whole bar
        with pytest.raises(CandleError, match="no candles between"):
            from_folder()
        return
    expected = from_folder()
    panel = build_store_panel(
        held, dict.fromkeys(held, 1.0), start_ms=span.begin_ms, interval_minutes=interval
    )
    assert panel.digest == expected.digest
    for name in ("coins", "first_ms", "requested_start_ms", "first_valid", "last_valid", "interval_minutes"):
        assert getattr(panel, name) == getattr(expected, name)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_store_gives_the_bits_of_a_folder(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Holes within and between months, windows that cut months, longer bars."""
    root = tmp_path_factory.mktemp("both")
    (root / "folder").mkdir()
    store = Store.open(root / "store", create=True)
    month = 31 * DAY
    for coin in ("AAA", "BBB"):
        around = data.draw(st.sets(st.integers(month - 90, month + 90), min_size=3))
        minutes = sorted({*around, *range(data.draw(st.integers(0, 20)), data.draw(st.integers(21, 130)))})
        pq.write_table(candles(minutes), root / "folder" / f"{coin}.parquet")
        put(store, "binance", coin, candles(minutes))
    first = data.draw(st.integers(0, 40))
    last = data.draw(st.integers(month + 80, month + 120))
    interval = data.draw(st.sampled_from([1, 1, 5, 15]))
    same_as_folder(store, root / "folder", window(first, last), interval)


@pytest.mark.parametrize("name", ["perp-2023-07", "perp-2025-05", "spot-2021-04", "spot-2024"])
def test_real_candles_give_the_bits_of_their_folder(shared_dir: Path, tmp_path: Path, name: str) -> None:
    folder = CandleFolder.open(shared_dir / "candles" / name)
    store = Store.open(tmp_path / "store", create=True)
    for coin in folder.coins[:6]:
        put(store, "binance", coin, pq.read_table(folder.file(coin)))
    coins = folder.coins[:6]
    expected = build_panel(folder, coins)
    held = holdings(store, coins, Span(0, 2**50))
    panel = build_store_panel(held, dict.fromkeys(held, 1.0), start_ms=None)
    assert (panel.digest, panel.first_valid, panel.last_valid) == (
        expected.digest,
        expected.first_valid,
        expected.last_valid,
    )


def chosen(store: Store, coins: list[str], exchanges: list[str], span: Span, **more: Any) -> Choice:
    return choose(
        store,
        coins,
        exchanges,
        span,
        coin_begin_ms=more.pop("coin_begin_ms", {}),
        gap_tolerance_minutes=more.pop("gap_tolerance_minutes", 120.0),
        coverages=coverages(store, exchanges, coins),
    )


def test_the_exchange_with_more_minutes_is_chosen_and_then_that_with_more_volume(store: Store) -> None:
    put(store, "binance", "AAA", candles(range(100)))
    put(store, "bybit", "AAA", candles(range(99), volume=50.0))
    put(store, "binance", "BBB", candles(range(100)))
    put(store, "bybit", "BBB", candles(range(100), volume=3.1))
    put(store, "bybit", "CCC", candles(range(50)))
    choice = chosen(store, ["AAA", "BBB", "CCC", "DDD"], ["binance", "bybit"], window(0, 200))
    assert {coin: held.exchange for coin, held in choice.holdings.items()} == {
        "AAA": "binance",
        "BBB": "bybit",
        "CCC": "bybit",
    }
    assert choice.refused == {"DDD": "no candles in the window"}
    assert choice.notes[0] == "candles: AAA from binance; BBB, CCC from bybit"
    # The window decides, not the file: binance's last minute lies outside.
    inside = chosen(store, ["AAA"], ["binance", "bybit"], window(0, 99))
    assert inside.holdings["AAA"].exchange == "bybit"


def test_filled_holes_count_as_minutes_and_large_ones_discard(store: Store) -> None:
    put(store, "binance", "AAA", candles([*range(10), *range(129, 200)]))
    put(store, "bybit", "AAA", candles(range(150)))
    choice = chosen(store, ["AAA"], ["binance", "bybit"], window(0, 300))
    assert choice.holdings["AAA"].exchange == "binance"
    choice = chosen(store, ["AAA"], ["binance", "bybit"], window(0, 300), gap_tolerance_minutes=119.0)
    assert choice.holdings["AAA"].exchange == "bybit"
    assert choice.notes[0] == (
        "AAA is not taken from binance: a hole of 119 minutes after 2024-05-01 00:09, "
        "above the tolerance of 119"
    )
    choice = chosen(store, ["AAA"], ["binance"], window(0, 300), gap_tolerance_minutes=119.0)
    assert choice.holdings == {}
    assert choice.refused["AAA"].startswith("it has no usable candles: binance: a hole of 119 minutes")


def quote_by_day(table: pa.Table, first_ms: int, last_ms: int) -> dict[int, float]:
    sums: dict[int, float] = {}
    for row in table.to_pylist():
        if first_ms <= row["timestamp"] < last_ms:
            day = row["timestamp"] // 86_400_000
            sums[day] = sums.get(day, 0.0) + row["volume"] * row["close"]
    return sums


def test_volumes_are_normalised_by_the_mean_ratio_of_common_days(store: Store) -> None:
    """By hand, minute by minute: days that all exchanges have, of coins that all have, a mean over coins."""
    length = 4 * DAY
    tables = {
        ("binance", "AAA"): candles(range(length + 1), volume=9.0),
        ("bybit", "AAA"): candles(range(300, length), volume=2.0),
        ("binance", "BBB"): candles(range(length + 1), volume=7.0),
        ("bybit", "BBB"): candles(range(2 * DAY, length), volume=3.0),
        ("bybit", "CCC"): candles(range(length + 1), volume=1.0),
    }
    for (exchange, coin), table in tables.items():
        put(store, exchange, coin, table)
    span = window(100, length + 1)
    choice = chosen(store, ["AAA", "BBB", "CCC"], ["binance", "bybit"], span)
    ratios = []
    for coin in ("AAA", "BBB"):
        one, two = (quote_by_day(tables[exchange, coin], *span) for exchange in ("binance", "bybit"))
        days = sorted(set(one) & set(two))
        ratios.append(sum(one[day] for day in days) / sum(two[day] for day in days))
    expected = (ratios[0] + ratios[1]) / 2.0
    assert choice.factors == pytest.approx({"AAA": 1.0, "BBB": 1.0, "CCC": expected}, rel=1e-12)
    assert choice.notes[-1] == f"volumes of bybit are multiplied by {expected:.6g}, to compare with binance"
    panel = build_store_panel(choice.holdings, choice.factors, start_ms=None)
    plain = build_store_panel(choice.holdings, dict.fromkeys(choice.factors, 1.0), start_ms=None)
    factor = choice.factors["CCC"]
    assert (panel.column("CCC", "volume") == plain.column("CCC", "volume") * factor).all()
    assert (panel.column("CCC", "close") == plain.column("CCC", "close")).all()
    assert (panel.column("AAA", "volume") == plain.column("AAA", "volume")).all()


def test_the_other_direction_is_one_over_the_ratio_and_the_last_of_equals_is_the_reference(
    store: Store,
) -> None:
    put(store, "binance", "AAA", candles(range(2001), volume=9.0))
    put(store, "bybit", "AAA", candles(range(2000), volume=1.0))
    put(store, "bybit", "BBB", candles(range(2001), volume=2.0))
    choice = chosen(store, ["AAA", "BBB"], ["binance", "bybit"], window(0, 2001))
    one, two = (
        quote_by_day(store.read(exchange, "AAA"), *window(0, 2001)) for exchange in ("binance", "bybit")
    )
    assert choice.factors == pytest.approx(
        {"AAA": sum(two.values()) / sum(one.values()), "BBB": 1.0}, rel=1e-12
    )


def test_without_a_common_coin_volumes_stay_and_that_is_said(store: Store) -> None:
    put(store, "binance", "AAA", candles(range(100)))
    put(store, "bybit", "BBB", candles(range(100)))
    choice = chosen(store, ["AAA", "BBB"], ["binance", "bybit"], window(0, 100))
    assert set(choice.factors.values()) == {1.0}
    assert "no coin lies on every exchange" in choice.notes[-1]


def test_only_the_last_sixty_days_are_compared(store: Store) -> None:
    early, late = range(1000), range(100 * DAY, 100 * DAY + 1000)
    for exchange, volumes in (("binance", (1.0, 8.0)), ("bybit", (9.0, 2.0))):
        for part, volume in zip((early, late), volumes, strict=True):
            put(store, exchange, "AAA", candles(part, volume=volume))
    put(store, "binance", "AAA", candles([100 * DAY + 1000]))
    put(store, "bybit", "BBB", candles(range(50)))
    choice = chosen(
        store, ["AAA", "BBB"], ["binance", "bybit"], window(0, 101 * DAY), gap_tolerance_minutes=1e9
    )
    late_span = window(100 * DAY, 100 * DAY + 1440)
    one, two = (quote_by_day(store.read(exchange, "AAA"), *late_span) for exchange in ("binance", "bybit"))
    ratio = sum(one.values()) / sum(two.values())
    assert ratio > 1.0
    assert choice.factors["AAA"] == pytest.approx(1.0 / ratio, rel=1e-12)  # bybit came last of equals


def test_age_holds_a_coin_back(store: Store) -> None:
    put(store, "binance", "AAA", candles(range(100)))
    choice = chosen(
        store, ["AAA"], ["binance"], window(0, 100), coin_begin_ms={"AAA": START_MS + 40 * MINUTE_MS}
    )
    assert (choice.holdings["AAA"].first_ms, choice.holdings["AAA"].minutes) == (
        START_MS + 40 * MINUTE_MS,
        60,
    )


def equal(one: Panel, two: Panel) -> bool:
    """All but where it lies and the notes."""
    return one.digest == two.digest and all(
        getattr(one, f.name) == getattr(two, f.name)
        for f in dataclasses.fields(Panel)
        if f.name not in ("table", "notes")
    )


def test_a_kept_panel_is_mapped_and_equal(store: Store) -> None:
    put(store, "binance", "AAA", candles([*range(500), *range(520, 50_000)]))
    held = holdings(store, ["AAA"], window(0, 60_000))
    fresh = build_store_panel(held, {"AAA": 1.0}, start_ms=START_MS)
    first, path = cached_panel(store, held, {"AAA": 1.0}, start_ms=START_MS)
    assert path is not None
    before = pa.total_allocated_bytes()
    again, same = cached_panel(store, held, {"AAA": 1.0}, start_ms=START_MS + 60_000)
    assert pa.total_allocated_bytes() - before < 100_000  # its columns lie in the file
    assert same == path
    assert equal(first, fresh)
    assert first.notes == fresh.notes == again.notes
    assert again.digest == fresh.digest
    assert again.requested_start_ms == START_MS + 60_000


def test_a_rotten_kept_panel_is_made_anew(store: Store) -> None:
    put(store, "binance", "AAA", candles(range(5000)))
    held = holdings(store, ["AAA"], window(0, 6000))
    panel, path = cached_panel(store, held, {"AAA": 1.0}, start_ms=None)
    assert path is not None
    digest = panel.digest
    del panel
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CandleError, match="its content is not that of its digest"):
        read_panel(path)
    again, _ = cached_panel(store, held, {"AAA": 1.0}, start_ms=None)
    assert again.digest == digest
    assert read_panel(path).digest == digest


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_a_day_more_gives_what_a_fresh_panel_is(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Months that are the same are taken over, whatever holes lie at their edges, and whatever the factor."""
    store = Store.open(tmp_path_factory.mktemp("store"), create=True)
    last = data.draw(st.integers(32 * DAY, 62 * DAY))
    holes = data.draw(st.sets(st.integers(30 * DAY, 32 * DAY), max_size=30))
    minutes = [minute for minute in range(0, last + DAY) if minute not in holes]
    factor = data.draw(st.sampled_from([1.0, 1.7]))
    put(store, "binance", "AAA", candles([minute for minute in minutes if minute < last]))
    put(store, "binance", "BBB", candles(range(last)))
    span = window(data.draw(st.integers(0, 50)), last + data.draw(st.integers(-1500, 0)))
    held = holdings(store, ["AAA", "BBB"], span)
    cached_panel(store, held, {"AAA": factor, "BBB": 1.0}, start_ms=None)
    put(store, "binance", "AAA", candles([minute for minute in minutes if minute >= last]))
    put(store, "binance", "CCC", candles(range(last)))
    held = holdings(store, ["AAA", "BBB", "CCC"], Span(span.begin_ms, window(0, last + DAY).end_ms))
    factors = {"AAA": factor, "BBB": 2.0, "CCC": 1.0}
    grown, _ = cached_panel(store, held, factors, start_ms=None)
    assert equal(grown, build_store_panel(held, factors, start_ms=None))


def test_growing_decodes_only_the_months_that_changed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, "binance", "AAA", candles(range(70 * DAY)))
    cached_panel(store, holdings(store, ["AAA"], window(0, 90 * DAY)), {"AAA": 1.0}, start_ms=None)
    put(store, "binance", "AAA", candles(range(70 * DAY, 71 * DAY)))
    decoded = []
    decode = Holding.decode

    def counted(self: Holding, out: Any, path: Path, facts: Any) -> None:
        decoded.append(facts.month)
        decode(self, out, path, facts)

    monkeypatch.setattr(Holding, "decode", counted)
    held = holdings(store, ["AAA"], window(0, 90 * DAY))
    grown, _ = cached_panel(store, held, {"AAA": 1.0}, start_ms=None)
    assert decoded == ["2024-07"]
    assert grown.digest == build_store_panel(held, {"AAA": 1.0}, start_ms=None).digest


def test_panels_that_were_not_used_for_longest_make_room(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "binance", "AAA", candles(range(5000)))
    monkeypatch.setattr(panel_cache, "MOST_BYTES", 400_000)
    paths = []
    for last in (4000, 4100, 4200):
        held = holdings(store, ["AAA"], window(0, last))
        _, path = cached_panel(store, held, {"AAA": 1.0}, start_ms=None)
        assert path is not None
        os.utime(path, (last, last))
        paths.append(path)
    assert [path for path, _ in kept(store)] == paths[1:]


def test_a_store_on_a_full_disk_still_runs(store: Store) -> None:
    put(store, "binance", "AAA", candles(range(30_000)))
    panels = store.root / ".panels"
    panels.mkdir()
    mount(panels, "-t", "tmpfs", "-o", "size=100k", "tmpfs")
    try:
        held = holdings(store, ["AAA"], window(0, 30_000))
        panel, path = cached_panel(store, held, {"AAA": 1.0}, start_ms=None)
        assert path is None
        assert "the panel could not be kept: " in panel.notes[-1]
        assert "the disk is full" in panel.notes[-1]
        assert panel.bars == 30_000
        assert list(panels.iterdir()) == []
    finally:
        unmount(panels)


def test_a_panel_of_a_folder_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    pq.write_table(candles([*range(300), 310]), tmp_path / "folder" / "AAA.parquet")
    panel = build_panel(CandleFolder.open(tmp_path / "folder"), ["AAA"], gap_tolerance_minutes=5.0)
    path = panel_file(panel, tmp_path / "panels")
    assert path.name == f"{panel.digest}.arrow"
    assert panel_file(panel, tmp_path / "panels") == path
    again = read_panel(path)
    assert equal(again, panel)
    assert again.notes == panel.notes
    assert again.table.equals(panel.table)
    with pytest.raises(CandleError, match="there is no such panel"):
        read_panel(tmp_path / "none.arrow")
    with pytest.raises(CandleError, match="is no panel"):
        read_panel(tmp_path / "folder" / "AAA.parquet")


def test_a_damaged_month_is_named(store: Store) -> None:
    put(store, "binance", "AAA", candles(range(40_000)))
    (path,) = store.files("binance", "AAA")
    held = holdings(store, ["AAA"], window(0, 40_000))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(CandleError, match=r"2024-05\.parquet: is damaged"):
        build_store_panel(held, {"AAA": 1.0}, start_ms=None)


def test_inconsistent_candles_and_filled_holes_are_said(store: Store) -> None:
    table = candles([*range(10), *range(15, 30)])
    high = table.column("high").to_numpy().copy()
    high[3] = 1.0
    put(store, "binance", "AAA", table.set_column(2, "high", pa.array(high)))
    panel = build_store_panel(holdings(store, ["AAA"], window(0, 30)), {"AAA": 1.0}, start_ms=None)
    assert panel.notes == (
        "holes filled: AAA 5 minutes in 1, the largest 5 after 2024-05-01 00:09",
        "candles with open or close outside low … high, left as they are: AAA 1",
    )
