"""Files of other programs and of the exchanges' archives, in the layouts that these document."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from passivbot.errors import CandleError
from passivbot.market import demo_folder
from passivbot.market.export import export
from passivbot.market.importing import import_files
from passivbot.market.spans import Span, month_span
from passivbot.market.store import Store
from passivbot.market.tidy import Rules, tidy
from passivbot.times import MINUTE_MS

from .conftest import START_MS

DAY = 1440


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", create=True)


@pytest.fixture
def table() -> pa.Table:
    """Two real-looking days with awkward numbers."""
    minute = np.arange(2 * DAY)
    close = np.round(0.1 * (3 + (minute % 83)) / 7, 6) + 1e-9
    return pa.table(
        {
            "timestamp": START_MS + minute * MINUTE_MS,
            "open": close,
            "high": close * 1.1,
            "low": close / 1.1,
            "close": close,
            "volume": (minute % 13) * 0.1 + 0.1,
        }
    )


def rows(table: pa.Table) -> list[list[Any]]:
    return [list(row.values()) for row in table.to_pylist()]


def dated(table: pa.Table, unit: str = "ns") -> pa.Table:
    """As freqtrade has it: ``date`` in UTC instead of milliseconds."""
    date = table.column("timestamp").cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp(unit, "UTC"))
    return table.set_column(0, "date", date)


def binance_rows(table: pa.Table, factor: int = 1) -> list[str]:
    """A line a candle, twelve columns: open time … close, volume, close time, quote volume, …"""
    return [
        f"{r[0] * factor},{r[1]!r},{r[2]!r},{r[3]!r},{r[4]!r},{r[5]!r},{(r[0] + 59999) * factor},"
        f"{r[5] * r[4]!r},17,{r[5] / 2!r},1.0,0"
        for r in rows(table)
    ]


BINANCE_HEAD = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore"
)


def packed(name: str, text: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return sink.getvalue()


def write_format(kind: str, table: pa.Table, folder: Path) -> Path:
    """Write a file of a format as the program or archive names it, and return it."""
    match kind:
        case "freqtrade feather":
            path = folder / "BTC_USDT_USDT-1m-futures.feather"
            feather.write_feather(dated(table), path, compression="lz4")
        case "freqtrade feather, ms":
            path = folder / "BTC_USDT-1m.feather"
            feather.write_feather(dated(table, "ms"), path, compression="lz4")
        case "freqtrade json":
            path = folder / "BTC_USDT_USDT-1m-futures.json"
            path.write_text(json.dumps(rows(table)))
        case "freqtrade json.gz":
            path = folder / "BTC_USDT_USDT-1m-futures.json.gz"
            path.write_bytes(gzip.compress(json.dumps(rows(table)).encode()))
        case "binance zip":
            path = folder / "BTCUSDT-1m-2024-05.zip"
            text = "\n".join([BINANCE_HEAD, *binance_rows(table)])
            path.write_bytes(packed("BTCUSDT-1m-2024-05.csv", text))
        case "binance zip without header":
            path = folder / "BTCUSDT-1m-2024-05.zip"
            path.write_bytes(packed("BTCUSDT-1m-2024-05.csv", "\n".join(binance_rows(table)) + "\n"))
        case "binance csv, microseconds":
            path = folder / "BTCUSDT-1m-2024-05.csv"
            path.write_text("\n".join(binance_rows(table, 1000)) + "\n")
        case "bybit candles":
            path = folder / "BTCUSDT_1_2024-05-01_2024-05-31.csv.gz"
            # Their clock is three hours ahead of UTC.
            shifted = table.column("timestamp").to_numpy() + 3 * 3_600_000
            stamps = pa.array(shifted).cast(pa.timestamp("ms")).to_pylist()
            lines = [
                f"{stamp:%Y.%m.%d %H:%M},{r[1]!r},{r[2]!r},{r[3]!r},{r[4]!r},{r[5]!r}"
                for stamp, r in zip(stamps, rows(table), strict=True)
            ]
            path.write_bytes(gzip.compress("\n".join(lines).encode()))
        case "csv":
            path = folder / "BTC.csv"
            pc_csv.write_csv(table, path)
        case "csv, seconds and other names":
            path = folder / "BTCUSDT.csv"
            lines = [
                "Date,Open,High,Low,Close,Volume",
                *(f"{r[0] // 1000},{r[1]!r},{r[2]!r},{r[3]!r},{r[4]!r},{r[5]!r}" for r in rows(table)),
            ]
            path.write_text("\n".join(lines))
        case "csv, ISO times with a zone":
            path = folder / "BTCUSDT.csv"
            stamps = table.column("timestamp").cast(pa.timestamp("ms")).to_pylist()
            lines = [
                "time,open,high,low,close,volume",
                *(
                    f"{stamp:%Y-%m-%d %H:%M:%S}+00:00,{r[1]!r},{r[2]!r},{r[3]!r},{r[4]!r},{r[5]!r}"
                    for stamp, r in zip(stamps, rows(table), strict=True)
                ),
            ]
            path.write_text("\n".join(lines))
        case "parquet, other names":
            path = folder / "BTC.parquet"
            pq.write_table(dated(table).rename_columns(["Open time", "O", "H", "L", "C", "Vol"]), path)
        case "day caches":
            path = folder / "ohlcvs_binanceusdm" / "BTC"
            path.mkdir(parents=True)
            array = np.array(rows(table))
            for day in range(2):
                np.save(path / f"2024-05-0{day + 1}.npy", array[day * DAY : (day + 1) * DAY])
        case _:
            raise AssertionError(kind)
    return path


FORMATS = (
    "freqtrade feather",
    "freqtrade feather, ms",
    "freqtrade json",
    "freqtrade json.gz",
    "binance zip",
    "binance zip without header",
    "binance csv, microseconds",
    "bybit candles",
    "csv",
    "csv, seconds and other names",
    "csv, ISO times with a zone",
    "parquet, other names",
    "day caches",
)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_candles_bit_by_bit(
    store: Store, table: pa.Table, tmp_path: Path, kind: str
) -> None:
    path = write_format(kind, table, tmp_path)
    (done,) = import_files(store, [path], exchange="binance")
    assert (done.coin, done.written.added, done.defects) == ("BTC", 2 * DAY, ())
    assert store.read("binance", "BTC").equals(table)


def test_named_columns_of_a_day_cache(store: Store, table: pa.Table, tmp_path: Path) -> None:
    """The later caches: single precision, by names."""
    folder = tmp_path / "ohlcv" / "bybit" / "1m" / "ETH_USDT:USDT"
    folder.mkdir(parents=True)
    names = [("ts", "<i8"), ("o", "<f4"), ("h", "<f4"), ("l", "<f4"), ("c", "<f4"), ("bv", "<f4")]
    array = np.zeros(DAY, dtype=names)
    for (name, _), column in zip(names, table.slice(0, DAY).columns, strict=True):
        array[name] = column.to_numpy()
    np.save(folder / "2024-05-01.npy", array)
    (done,) = import_files(store, [tmp_path / "ohlcv"])
    assert (done.exchange, done.coin) == ("bybit", "ETH")
    close = store.read("bybit", "ETH").column("close").to_numpy()
    assert (close == table.column("close").to_numpy()[:DAY].astype(np.float32)).all()


def test_trades_become_candles(store: Store, tmp_path: Path) -> None:
    second = START_MS // 1000
    lines = [
        "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
    ]
    for moment, size, price in ((0.5, 1.0, 10.0), (30.25, 2.0, 12.0), (59.9, 3.0, 11.0), (185.0, 1.5, 9.0)):
        lines.append(f"{second + moment},BTCUSDT,Buy,{size},{price},PlusTick,x,0,{size},{size * price}")
    path = tmp_path / "BTCUSDT2024-05-01.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    (done,) = import_files(store, [path], exchange="bybit")
    assert done.coin == "BTC"
    table = store.read("bybit", "BTC")
    assert table.num_rows == DAY
    assert rows(table)[0] == [START_MS, 10.0, 12.0, 10.0, 11.0, 6.0]
    assert rows(table)[1] == [START_MS + MINUTE_MS, 11.0, 11.0, 11.0, 11.0, 0.0]
    assert rows(table)[3] == [START_MS + 3 * MINUTE_MS, 11.0, 11.0, 9.0, 9.0, 1.5]


def test_an_archive_is_all_that_there_is_and_another_file_is_not(
    store: Store, table: pa.Table, tmp_path: Path
) -> None:
    holey = pa.concat_tables([table.slice(0, 100), table.slice(200)])
    import_files(store, [write_format("binance zip", holey, tmp_path)], exchange="binance")
    assert store.coverage("binance", "BTC").spans == (month_span("2024-05"),)
    path = tmp_path / "ETH.csv"
    pc_csv.write_csv(holey, path)
    hole = Span(START_MS + 100 * MINUTE_MS, START_MS + 200 * MINUTE_MS)
    import_files(store, [path], exchange="binance")
    assert store.missing("binance", "ETH", START_MS, START_MS + DAY * MINUTE_MS) == (hole,)
    import_files(store, [path], exchange="binance", complete=True)
    assert store.missing("binance", "ETH", START_MS, START_MS + DAY * MINUTE_MS) == ()


@pytest.mark.parametrize("form", ["csv", "arrow", "parquet"])
def test_what_is_exported_and_imported_again_is_the_same(
    store: Store, table: pa.Table, tmp_path: Path, form: str
) -> None:
    store.write("binance", "BTC", table, source="test")
    ((path, count),) = export(store, "binance", ["BTC"], form, tmp_path / "out")
    assert (path.name, count) == (f"BTC.{form}", 2 * DAY)
    import_files(store, [tmp_path / "out"], exchange="bybit")
    assert store.read("bybit", "BTC").equals(table)
    ((_, count),) = export(store, "binance", ["BTC"], form, tmp_path / "out", end_ms=START_MS + 5 * MINUTE_MS)
    assert count == 5


@pytest.mark.parametrize("name", ["perp-2023-07", "perp-2025-05", "spot-2021-04", "spot-2024"])
def test_real_candles_there_and_back(shared_dir: Path, store: Store, tmp_path: Path, name: str) -> None:
    folder = shared_dir / "candles" / name
    done = import_files(store, [folder], exchange="binance")
    assert [one.coin for one in done] == sorted(path.stem for path in folder.glob("*.parquet"))
    assert [one.defects for one in done] == [()] * len(done)
    export(store, "binance", store.coins("binance"), "parquet", tmp_path / "out")
    for path in folder.glob("*.parquet"):
        expected = pq.read_table(path).select(["timestamp", "open", "high", "low", "close", "volume"])
        assert pq.read_table(tmp_path / "out" / path.name).equals(expected)


def test_rules_of_a_candle_folder_come_along(store: Store) -> None:
    import_files(store, [demo_folder()], exchange="binance", date="2025-01-01")
    markets = store.markets("binance")
    assert (markets.date, markets.by_coin["BTC"].rules.qty_step) == ("2025-01-01", 0.001)
    assert markets.by_coin["BTC"].maker_fee_on("binance") == 0.0002


def test_volume_in_quote_units(store: Store, table: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "BTC.csv"
    quote = np.round(table.column("volume").to_numpy() * 64.0) * 2.0
    doubled = table.set_column(4, "close", pa.array(np.full(2 * DAY, 2.0)))
    pc_csv.write_csv(doubled.set_column(5, "volume", pa.array(quote)), path)
    import_files(store, [path], exchange="binance", volume="quote")
    assert (store.read("binance", "BTC").column("volume").to_numpy() == quote / 2.0).all()


def test_defects_are_treated_by_rules_and_said(table: pa.Table) -> None:
    part = table.slice(0, 10)
    other = part.slice(3, 1).set_column(4, "close", pa.array([7.0])).set_column(2, "high", pa.array([8.0]))
    off = part.slice(4, 1).set_column(0, "timestamp", pa.array([START_MS + 4 * MINUTE_MS + 7]))
    bad = part.slice(9, 1).set_column(5, "volume", pa.array([np.nan]))
    mixed = pa.concat_tables([part.slice(2, 7), part.slice(0, 2), other, off, bad])
    clean, defects = tidy(mixed, Rules(), "a file")
    assert clean.equals(part.slice(0, 9).combine_chunks())
    assert [(defect.kind, defect.count) for defect in defects] == [
        ("minutes", 1),
        ("values", 1),
        ("unsorted", 1),
        ("duplicates", 1),
    ]
    assert str(defects[3]) == (
        "1 candle of a minute that has another: the first of them is taken, the first at 2024-05-01 00:03"
    )
    last, _ = tidy(mixed, Rules.parse(["duplicates=last"]), "a file")
    assert last.column("close")[3].as_py() == 7.0
    for kind in ("minutes", "values", "unsorted", "duplicates"):
        with pytest.raises(CandleError, match=rf"a file: 1 candle .*; --rule {kind}="):
            tidy(mixed, Rules.parse([f"{kind}=refuse"]), "a file")


def test_rules_of_values(table: pa.Table) -> None:
    part = table.slice(0, 10)
    low = part.column("low").to_numpy().copy()
    low[2] = part.column("close")[2].as_py() * 1.05
    volume = part.column("volume").to_numpy().copy()
    volume[5] = 0.0
    odd = part.set_column(3, "low", pa.array(low)).set_column(5, "volume", pa.array(volume))
    assert tidy(odd, Rules(), "x")[0].equals(odd)
    wide, (defect,) = tidy(odd, Rules.parse(["inconsistent=widen"]), "x")
    assert rows(wide)[2][2:4] == [rows(part)[2][2], rows(part)[2][4]]
    assert str(defect).startswith("1 candle with open or close outside low … high: high and low widened")
    kept, defects = tidy(odd, Rules.parse(["inconsistent=drop", "idle=drop"]), "x")
    assert kept.num_rows == 8
    assert [defect.kind for defect in defects] == ["inconsistent", "idle"]
    with pytest.raises(CandleError, match="x: 1 candle with open or close outside"):
        tidy(odd, Rules.parse(["inconsistent=refuse"]), "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("duplicate=last", "unknown defect; the nearest is duplicates"),
        ("duplicates=middle", "allowed is duplicates=first|last|refuse"),
        ("duplicates", "allowed is duplicates=first|last|refuse"),
    ],
)
def test_unknown_rules(text: str, expected: str) -> None:
    with pytest.raises(CandleError) as caught:
        Rules.parse([text])
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("BTC_USDT-5m.feather", b"", "holds candles of 5m; needed are candles of 1m"),
        ("BTCUSDT-1h-2024-05.zip", b"", "holds candles of 1h"),
        ("BTC.txt", b"x", "unknown format; readable are"),
        ("BTC.zip", b"no zip", "BTC.zip: is not readable as .zip"),
        ("BTC.csv.gz", b"no gzip", "is not readable as .csv.gz"),
        ("BTC.json.gz", gzip.compress(b"[[1, 2")[:-3], "is not readable as .json.gz"),
        ("BTC.json", b'{"a": 1}', "holds no list of candles"),
        ("BTC.feather", b"no arrow", "is not readable as .feather"),
        ("BTC.parquet", b"PAR1", "is not readable as .parquet"),
        ("BTC.npy", b"\x93NUMPY", "is not readable as .npy"),
        ("BTC.csv", b"time,open,high,low\n1,2,3,4\n", "has no column close, volume; it has time, open, high"),
        ("BTC.csv", b"1714521600000,1,1,1\n", "has 4 columns and no header"),
        (
            "BTC.csv",
            b"time,open,high,low,close,volume\n5,1,1,1,1,1\n",
            "5 is no time; needed are times after 2001",
        ),
        ("BTC.csv", b"time,open,high,low,close,volume\nyesterday,1,1,1,1,1\n", "its times are not readable"),
        (
            "BTC.csv",
            b"time,open,high,low,close,volume\n1714521600,a,1,1,1,1\n",
            "column open holds no numbers",
        ),
        ("BTC.csv", b"", "holds no candles"),
        (
            "BTC_USDT-202405.csv.gz",
            gzip.compress(b"1714521600,900,10,12,9,11\n"),
            "outside low … high in 100%",
        ),
    ],
)
def test_what_can_not_be_imported_is_named(
    store: Store, tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CandleError) as caught:
        import_files(store, [path], exchange="binance")
    assert str(caught.value).startswith(str(path))
    assert expected in str(caught.value)
    assert store.exchanges == ()


def test_candles_of_five_minutes_are_refused(store: Store, table: pa.Table, tmp_path: Path) -> None:
    pc_csv.write_csv(table.take(list(range(0, 2 * DAY, 5))), tmp_path / "BTC.csv")
    with pytest.raises(CandleError, match="its candles are of 5 minutes; needed are candles of one minute"):
        import_files(store, [tmp_path / "BTC.csv"], exchange="binance")


def test_a_thin_market_is_not_taken_for_longer_bars(store: Store, table: pa.Table, tmp_path: Path) -> None:
    minutes = sorted(np.random.default_rng(5).choice(2 * DAY, 300, replace=False).tolist())
    pc_csv.write_csv(table.take(minutes), tmp_path / "BTC.csv")
    (done,) = import_files(store, [tmp_path / "BTC.csv"], exchange="binance")
    assert done.written.added == 300


def test_places_and_names(store: Store, table: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(CandleError, match="there is no such file or folder"):
        import_files(store, [tmp_path / "none"], exchange="binance")
    with pytest.raises(CandleError, match="holds no file of a known format"):
        import_files(store, [_empty(tmp_path)], exchange="binance")
    pc_csv.write_csv(table, tmp_path / "1000PEPEUSDT.csv")
    with pytest.raises(CandleError, match="neither its name nor its folder says the exchange"):
        import_files(store, [tmp_path / "1000PEPEUSDT.csv"])
    with pytest.raises(CandleError, match="unknown exchange 'binnance'; the nearest is binance"):
        import_files(store, [tmp_path / "1000PEPEUSDT.csv"], exchange="binnance")
    (done,) = import_files(store, [tmp_path / "1000PEPEUSDT.csv"], exchange="gate")
    assert (done.exchange, done.coin) == ("gateio", "PEPE")
    (done,) = import_files(store, [tmp_path / "1000PEPEUSDT.csv"], exchange="okx", coin="XYZ")
    assert done.coin == "XYZ"


def test_a_folder_of_freqtrade(store: Store, table: pa.Table, tmp_path: Path) -> None:
    """Spot and perpetual candles of a coin stay apart; what are no minutes of trades is skipped, and said."""
    folder = tmp_path / "data" / "binance"
    (folder / "futures").mkdir(parents=True)
    feather.write_feather(dated(table.slice(0, 100)), folder / "BTC_USDT-1m.feather")
    feather.write_feather(dated(table), folder / "futures" / "BTC_USDT_USDT-1m-futures.feather")
    for name in ("BTC_USDT-5m.feather", "futures/BTC_USDT_USDT-1m-mark.feather"):
        (folder / name).write_bytes(b"")
    skipped: list[str] = []
    done = import_files(store, [tmp_path / "data"], skipped=skipped.append)
    assert [(one.exchange, one.coin, one.written.added) for one in done] == [
        ("binance", "BTC", 2 * DAY),
        ("binance-spot", "BTC", 100),
    ]
    assert [line.partition(": ")[2] for line in skipped] == [
        "holds candles of 5m; needed are candles of 1m",
        "holds mark prices, not those of trades",
    ]


def _empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "notes.txt").write_text("")
    return folder
