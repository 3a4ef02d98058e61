import itertools
import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passivbot.errors import CandleError, ResourceError
from passivbot.market.listings import Market
from passivbot.market.spans import Span, minus, month_span, months, union
from passivbot.market.store import Store, exchange_name, is_store
from passivbot.times import MINUTE_MS
from tests.disks import mount, unmount

from .conftest import START_MS

DAY = 1440 * MINUTE_MS
DATE = "2025-01-02"


def candles(minutes: Any, price: float = 10.0, start_ms: int = START_MS) -> pa.Table:
    """Candles of some minutes after the start; every value depends on its minute."""
    minute = np.array(list(minutes), dtype=np.int64)
    close = price + (minute % 97) * 0.01
    return pa.table(
        {
            "timestamp": start_ms + minute * MINUTE_MS,
            "open": close,
            "high": close + 0.5,
            "low": close - 0.5,
            "close": close,
            "volume": 1.0 + minute % 7,
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", create=True)


def write(store: Store, table: pa.Table, **more: Any) -> Any:
    return store.write("binance", "BTC", table, **({"source": "test", "date": DATE} | more))


def span(first: int, last: int) -> Span:
    return Span(START_MS + first * MINUTE_MS, START_MS + last * MINUTE_MS)


def test_what_is_written_is_read(store: Store) -> None:
    table = candles(range(60 * 1440))
    written = write(store, table, symbol="BTC/USDT:USDT")
    assert (written.added, written.changed, written.removed) == (86_400, 0, 0)
    assert written.months == ("2024-05", "2024-06")
    assert store.read("binance", "BTC").equals(table)
    assert store.read("binanceusdm", "BTC", *span(100, 200)).equals(table[100:200])
    assert store.read("binance", "BTC", *span(100, 200), columns=["close"]).column_names == [
        "timestamp",
        "close",
    ]
    (store.root / "notes").mkdir()
    assert (store.exchanges, store.coins("binance"), store.coins("bybit")) == (("binance",), ("BTC",), ())
    coverage = store.coverage("binance", "BTC")
    assert (coverage.rows, coverage.symbol) == (86_400, "BTC/USDT:USDT")
    assert (coverage.first_ms, coverage.last_ms) == (START_MS, START_MS + 86_399 * MINUTE_MS)
    assert coverage.spans == (span(0, 86_400),)


def test_files_lie_by_exchange_coin_and_month_and_any_reader_can_read_them(store: Store) -> None:
    write(store, candles(range(60 * 1440)))
    files = store.files("binance", "BTC")
    assert [str(path.relative_to(store.root)) for path in files] == [
        "binance/BTC/2024-05.parquet",
        "binance/BTC/2024-06.parquet",
    ]
    assert pq.read_table(files[1]).replace_schema_metadata(None).equals(candles(range(31 * 1440, 60 * 1440)))
    assert pq.ParquetFile(files[0]).metadata.row_group(0).column(4).compression == "ZSTD"


def test_absent_is_not_the_same_as_never_asked_for(store: Store) -> None:
    write(store, candles([0, 1, 2, 10, 11]), spans=[span(-5, 20)])
    assert store.missing("binance", "BTC", *span(-10, 30)) == (span(-10, -5), span(20, 30))
    # Five minutes without a candle may be a hole; a day is the time before the listing.
    assert store.coverage("binance", "BTC").listed_ms is None
    write(store, candles([]), spans=[span(-1440, -5)])
    assert store.coverage("binance", "BTC").listed_ms == START_MS
    store.write("binance", "ETH", candles([0, 1, 2, 10, 11]), source="import", date=DATE)
    assert store.missing("binance", "ETH", *span(0, 12)) == (span(3, 10),)
    assert store.coverage("binance", "ETH").listed_ms is None


def test_an_empty_answer_is_kept(store: Store) -> None:
    write(store, candles([]), spans=[span(0, 1440)])
    coverage = store.coverage("binance", "BTC")
    assert (coverage.rows, coverage.first_ms, coverage.spans) == (0, None, (span(0, 1440),))
    assert store.missing("binance", "BTC", *span(0, 1440)) == ()


def test_a_later_answer_replaces_the_earlier_one(store: Store) -> None:
    write(store, candles(range(100)))
    written = write(store, candles([50, 51, 60], price=20.0), spans=[span(50, 61)], date="2025-01-03")
    assert (written.added, written.changed, written.removed) == (0, 3, 8)
    table = store.read("binance", "BTC")
    assert table.num_rows == 92
    assert table.column("close").to_numpy()[50] == candles([50], price=20.0).column("close")[0].as_py()
    (facts,) = store.coverage("binance", "BTC").months
    assert [(part.span, part.date) for part in facts.fetched] == [
        (span(0, 50), DATE),
        (span(50, 61), "2025-01-03"),
        (span(61, 100), DATE),
    ]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_bytes_do_not_depend_on_the_order_of_the_steps(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """What a download killed and resumed leaves is what one that ran through leaves."""
    cuts = sorted(data.draw(st.sets(st.integers(1, 2999), max_size=6)))
    edges = [0, *cuts, 3000]
    steps = data.draw(st.permutations(list(itertools.pairwise(edges))))
    kept = [minute for minute in range(3000) if minute % 11]
    start = month_span("2024-06").begin_ms - 1500 * MINUTE_MS
    stores = [Store.open(tmp_path_factory.mktemp("store"), create=True) for _ in range(2)]
    whole = Span(start, start + 3000 * MINUTE_MS)
    write(stores[0], candles(kept, start_ms=start), spans=[whole])
    for first, last in steps:
        part = candles([m for m in kept if first <= m < last], start_ms=start)
        write(stores[1], part, spans=[Span(start + first * MINUTE_MS, start + last * MINUTE_MS)])
    one, other = ([path.read_bytes() for path in store.files("binance", "BTC")] for store in stores)
    assert one == other


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"timestamp": [1, 0]}, "minutes are not ascending"),
        ({"timestamp": [0, 0]}, "minutes are not ascending"),
        ({"timestamp": [0.5, 1]}, "minutes are not ascending whole minutes"),
        ({"close": [10.0, 0.0]}, "close is 0.0 at timestamp 1714521660000"),
        ({"high": [np.nan, 11.0]}, "high is nan at timestamp 1714521600000"),
        ({"volume": [-1.0, 1.0]}, "volume is -1.0"),
        ({"volume": None}, "have not the store's columns"),
        ({"open": pa.array([None, 1.0])}, "a value is null"),
    ],
)
def test_what_is_no_candle_is_refused_and_nothing_is_written(
    store: Store, change: dict[str, Any], expected: str
) -> None:
    columns = {name: column.to_numpy() for name, column in zip(*_columns(candles([0, 1])), strict=True)}
    if "timestamp" in change:
        change = {"timestamp": (START_MS + np.array(change["timestamp"]) * MINUTE_MS).astype(np.int64)}
    table = pa.table({name: value for name, value in (columns | change).items() if value is not None})
    with pytest.raises(CandleError, match=expected):
        write(store, table)
    assert store.coins("binance") == ()


def _columns(table: pa.Table) -> tuple[list[str], list[pa.ChunkedArray]]:
    return table.column_names, table.columns


def test_a_candle_outside_what_was_fetched_is_refused(store: Store) -> None:
    with pytest.raises(CandleError, match="lies outside the stretches"):
        write(store, candles([0, 5]), spans=[span(0, 5)])


def test_rotten_bits_are_seen_when_candles_are_read(store: Store) -> None:
    write(store, candles(range(40_000)))
    (path,) = store.files("binance", "BTC")
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(CandleError, match=r"2024-05\.parquet: is damaged .*`passivbot data repair`"):
        store.read("binance", "BTC")


def test_other_content_under_the_same_facts_is_no_match(store: Store) -> None:
    """A tool that rewrites a file and keeps its metadata does not pass for the store."""
    write(store, candles(range(100)))
    (path,) = store.files("binance", "BTC")
    table = pq.read_table(path)
    metadata = table.schema.metadata
    close = table.column("close").to_numpy().copy()
    close[5] += 0.01
    changed = table.set_column(4, "close", pa.array(close)).replace_schema_metadata(metadata)
    pq.write_table(changed, path)
    with pytest.raises(CandleError, match="its checksum is not that of its content"):
        write(store, candles([200]))
    pq.write_table(table.slice(0, 50).replace_schema_metadata(metadata), path)
    with pytest.raises(CandleError, match="it holds 50 candles, its facts say 100"):
        store.read("binance", "BTC")
    pq.write_table(table.replace_schema_metadata(None), path)
    with pytest.raises(CandleError, match="its facts are not readable"):
        store.coverage("binance", "BTC")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CandleError, match="is damaged"):
        store.coverage("binance", "BTC")


def _write_part(root: str, number: int) -> None:
    store = Store.open(root)
    for step in range(6):
        first = (step * 4 + number) * 50
        write(store, candles(range(first, first + 50)))


def test_processes_that_write_one_market_do_not_lose_candles(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_part, args=(str(store.root), n)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert store.read("binance", "BTC").equals(candles(range(1200)))
    assert store.coverage("binance", "BTC").spans == (span(0, 1200),)


def test_leftovers_of_a_killed_writer_are_taken_away(store: Store) -> None:
    write(store, candles([0]))
    part = store.folder("binance", "BTC") / ".2024-05.parquet.4711.part"
    part.write_bytes(b"half")
    assert store.read("binance", "BTC").num_rows == 1
    write(store, candles([1]))
    assert not part.exists()


def test_full_disk_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(disk, "-t", "tmpfs", "-o", "size=300k", "tmpfs")
    try:
        store = Store.open(disk / "store", create=True)
        noise = np.random.default_rng(3).random(40_000)
        table = candles(range(5000))
        write(store, table)
        large = candles(range(5000, 44_000))
        large = large.set_column(5, "volume", pa.array(noise[:39_000]))
        with pytest.raises(ResourceError, match=r"2024-05\.parquet: the disk is full .*; what was written"):
            write(store, large)
        assert store.read("binance", "BTC").equals(table)
        assert [path.name for path in store.folder("binance", "BTC").glob(".*.part")] == []
    finally:
        unmount(disk)


def test_names_of_exchanges() -> None:
    assert [exchange_name(name) for name in ("binanceusdm", "Gate", "kucoinfutures", "binance-spot")] == [
        "binance",
        "gateio",
        "kucoin",
        "binance-spot",
    ]
    with pytest.raises(CandleError, match="unknown exchange 'binnance'; the nearest is binance; known are"):
        exchange_name("binnance")
    with pytest.raises(CandleError, match=r"unknown exchange '\.\./up'"):
        exchange_name("../up")


def test_unknown_coin_names_the_nearest(store: Store) -> None:
    write(store, candles([0]))
    with pytest.raises(CandleError, match="has no candles of BTCC on binance; the nearest is BTC"):
        store.read("binance", "BTCC")
    with pytest.raises(CandleError, match="is not the name of a coin"):
        store.read("binance", "../BTC")


def test_folders_that_are_no_store(tmp_path: Path) -> None:
    with pytest.raises(CandleError, match="there is no store; `passivbot data download`"):
        Store.open(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(CandleError, match="is a file; a store is a folder"):
        Store.open(tmp_path / "file", create=True)
    (tmp_path / "BTC.parquet").write_bytes(b"")
    with pytest.raises(CandleError, match="is a candle folder, not a store"):
        Store.open(tmp_path, create=True)
    store = Store.open(tmp_path / "store", create=True)
    assert is_store(store.root)
    (store.root / "store.json").write_text('{"format": 2}')
    with pytest.raises(CandleError, match="format is 2; this program reads 1"):
        Store.open(store.root)


def test_place_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Store.open(create=True)
    assert is_store(tmp_path / "candles")
    monkeypatch.setenv("PASSIVBOT_STORE", str(tmp_path / "shared"))
    with pytest.raises(CandleError, match="shared: there is no store"):
        Store.open()


def test_markets_are_kept_by_day_where_they_change(store: Store) -> None:
    market = Market(symbol="BTC/USDT:USDT", qty_step=0.001, price_step=0.1, min_cost=100.0, maker_fee=0.0002)
    assert store.markets("binance").date == ""
    assert store.write_markets("binance", {"BTC": market}, "2025-01-01")
    assert not store.write_markets("binance", {"BTC": market}, "2025-01-02")
    dearer = Market(**{**market.__dict__, "min_cost": 5.0})
    assert store.write_markets("binance", {"BTC": dearer}, "2025-01-03")
    assert store.markets("binance").by_coin == {"BTC": dearer}
    assert (store.markets("binance", "2025-01-02").date, store.markets("binance", "2024-12-31").date) == (
        "2025-01-01",
        "",
    )
    assert store.market("binance", "BTC") == ("2025-01-03", dearer)
    assert store.write_markets("binance", {"ETH": market}, "2025-01-04")
    assert "BTC" not in store.markets("binance").by_coin
    assert store.market("binance", "BTC") == ("2025-01-03", dearer), "it is not listed any more"
    assert store.market("binance", "XRP") is store.market("bybit", "BTC") is None
    assert store.coins("binance") == ()
    (store.root / "binance/.markets/2025-01-04.json").write_text("{")
    with pytest.raises(CandleError, match=r"2025-01-04\.json: is not readable"):
        store.markets("binance")
    assert json.loads((store.root / "binance/.markets/2025-01-01.json").read_text())["BTC"]["min_cost"] == 100


def test_rules_of_a_market_follow_the_specification() -> None:
    plain = Market(symbol="X", qty_step=0.1, price_step=0.01, min_qty=0.01)
    assert (plain.rules.min_qty, plain.rules.min_cost, plain.rules.c_mult) == (0.1, 0.01, 1.0)
    assert Market(symbol="X", qty_step=0.1, price_step=0.01, min_qty=0.5).rules.min_qty == 0.5
    assert (plain.maker_fee_on("binance"), plain.maker_fee_on("bybit")) == (None, 0.0002)


def test_spans() -> None:
    assert union([Span(5, 7), Span(0, 2), Span(2, 3), Span(6, 9), Span(4, 4)]) == (Span(0, 3), Span(5, 9))
    assert minus(Span(0, 10), [Span(2, 3), Span(5, 20), Span(-3, 1)]) == (Span(1, 2), Span(3, 5))
    assert months(Span(month_span("2023-12").begin_ms + 1, month_span("2024-02").begin_ms + 1)) == (
        "2023-12",
        "2024-01",
        "2024-02",
    )
    assert str(Span(START_MS, START_MS + 2 * DAY)) == "2024-05-01 … 2024-05-02"
    assert str(Span(START_MS, START_MS + DAY)) == "2024-05-01"
    assert str(span(0, 61)) == "2024-05-01 00:00 … 2024-05-01 01:00"
