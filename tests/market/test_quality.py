"""What check finds, what repair and prune do, and what the commands of ``passivbot data`` say."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq
import pytest

from passivbot.cli.main import main
from passivbot.errors import CandleError
from passivbot.market.listings import Market
from passivbot.market.quality import check, day_shares, market_names
from passivbot.market.repair import prune, repair
from passivbot.market.spans import Span
from passivbot.market.store import Store
from passivbot.market.tidy import Rules
from passivbot.times import MINUTE_MS
from tests.disks import mount, unmount

from .conftest import START_MS

DAY = 1440


def candles(minutes: Any, price: float = 10.0) -> pa.Table:
    minute = np.array(list(minutes), dtype=np.int64)
    close = price * (1.0 + 0.01 * np.sin(minute / 50.0))
    return pa.table(
        {
            "timestamp": START_MS + minute * MINUTE_MS,
            "open": close,
            "high": close * 1.001,
            "low": close * 0.999,
            "close": close,
            "volume": 1.0 + minute % 3,
        }
    )


def with_values(table: pa.Table, **changes: dict[int, float]) -> pa.Table:
    for name, values in changes.items():
        column = table.column(name).to_numpy().copy()
        for row, value in values.items():
            column[row] = value
        table = table.set_column(table.column_names.index(name), name, pa.array(column))
    return table


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    return Store.open("candles", create=True)


def put(store: Store, exchange: str, coin: str, table: pa.Table, **more: Any) -> None:
    store.write(exchange, coin, table, **({"source": "test", "date": "2025-01-02"} | more))


def span(first: int, last: int) -> Span:
    return Span(START_MS + first * MINUTE_MS, START_MS + last * MINUTE_MS)


def one(store: Store, exchange: str = "binance", coin: str = "BTC") -> Any:
    (report,) = check(store, [(exchange, coin)])
    return report


def rot(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x21
    path.write_bytes(content)


def test_holes_are_absent_or_never_fetched(store: Store) -> None:
    put(store, "binance", "BTC", candles([*range(100), *range(130, 300)]), spans=[span(0, 300)])
    put(store, "binance", "BTC", candles(range(2000, 2100)))
    report = one(store)
    assert (report.rows, report.absent, report.unfetched) == (370, 30, (span(300, 2000),))
    assert report.findings == ("never fetched: 1,700 minutes: 2024-05-01 05:00 … 2024-05-02 09:19",)
    assert report.coverage == pytest.approx(370 / 2100)
    shares = day_shares(report, [START_MS - DAY * MINUTE_MS, START_MS, START_MS + DAY * MINUTE_MS])
    assert shares == [None, 270 / 1440, 100 / 1440]


def test_values_that_are_odd_are_counted(store: Store) -> None:
    odd = with_values(candles(range(200)), high={3: 1.0}, volume={5: 0.0, 6: 0.0})
    put(store, "binance", "BTC", odd)
    report = one(store)
    assert (report.inconsistent, report.idle, report.outliers) == (1, 2, None)
    assert report.findings == ("open or close outside low … high: 1 candle",)


def test_outliers_are_those_that_another_exchange_does_not_have(store: Store) -> None:
    """Also where its contract is of a thousand coins; a move that both make is none."""
    both = {50: 13.0}
    put(store, "binance", "BTC", with_values(candles(range(300)), high={**both, 80: 12.0}, low={90: 8.0}))
    put(store, "bybit", "BTC", with_values(candles(range(300), price=10_000.0), high={50: 13_000.0}))
    report = one(store)
    assert report.outliers == 2
    assert report.findings == ("more than 5% from another exchange: 2 candles",)
    assert one(store, "bybit").outliers == 2
    put(store, "okx", "ETH", candles(range(10)))
    assert one(store, "okx", "ETH").outliers is None
    store.files("bybit", "BTC")[0].write_bytes(b"")
    assert one(store).outliers is None


def test_damage_is_found_wherever_it_lies(store: Store) -> None:
    put(store, "binance", "BTC", candles(range(70 * DAY)))
    first, second, third = store.files("binance", "BTC")
    rot(first)
    table = pq.read_table(second)
    changed = with_values(table.replace_schema_metadata(None), close={7: 11.1})
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), second)
    third.write_bytes(b"")
    report = one(store)
    assert [path.name for path in report.damaged] == ["2024-05.parquet", "2024-06.parquet", "2024-07.parquet"]
    assert "its checksum is not that of its content" in report.damaged[second]
    assert len(report.findings) == 3


def test_a_file_in_the_place_of_another_is_found(store: Store) -> None:
    put(store, "binance", "BTC", candles(range(100)))
    put(store, "binance", "ETH", candles(range(100)))
    (mine,), (other,) = store.files("binance", "BTC"), store.files("binance", "ETH")
    mine.write_bytes(other.read_bytes())
    assert "it is of binance ETH 2024-05, which its place contradicts" in one(store).findings[0]


def test_repair_puts_damage_aside_and_the_rest_stays(store: Store) -> None:
    put(store, "binance", "BTC", candles(range(40 * DAY)))
    first, second = store.files("binance", "BTC")
    before = second.read_bytes()
    rot(first)
    reports = check(store, [("binance", "BTC")])
    acts = repair(store, reports, Rules(), act=False)
    assert first.exists()
    assert [act.path for act in acts] == [first]
    assert repair(store, reports, Rules(), act=True) == acts
    assert store.files("binance", "BTC") == (second,)
    assert second.read_bytes() == before
    assert (first.parent / ".2024-05.parquet.damaged").exists()
    assert store.missing("binance", "BTC", START_MS, START_MS + 40 * DAY * MINUTE_MS) == (span(0, 31 * DAY),)
    assert one(store).findings == ()


def test_repair_treats_what_rules_name_and_says_so_ever_after(store: Store) -> None:
    odd = with_values(candles(range(200)), high={3: 1.0, 80: 12.0}, volume={5: 0.0})
    put(store, "binance", "BTC", odd)
    put(store, "bybit", "BTC", candles(range(200)))
    names = [("binance", "BTC")]
    assert repair(store, check(store, names), Rules(), act=True) == ()
    rules = Rules.parse(["inconsistent=widen", "idle=drop", "outliers=drop"])
    texts = [act.text for act in repair(store, check(store, names), rules, act=True)]
    assert texts == [
        "1 candle with open or close outside low … high: high and low widened",
        "1 candle without volume: left out",
        "2 candles far from another exchange's: left out",
    ]
    table = store.read("binance", "BTC")
    kept = [minute for minute in range(200) if minute not in (3, 5, 80)]
    assert table.equals(candles(range(200)).take(kept).combine_chunks())
    # The exchange has nothing better: no download would bring them.
    assert store.missing("binance", "BTC", *span(0, 200)) == ()
    report = one(store)
    assert (report.repairs, report.findings) == (tuple(texts), ())
    put(store, "binance", "BTC", candles(range(200, 210)))
    assert one(store).repairs == tuple(texts)


def test_prune(store: Store) -> None:
    put(store, "binance", "BTC", candles(range(70 * DAY)))
    put(store, "bybit", "BTC", candles(range(10)))
    files = store.files("binance", "BTC")
    july = START_MS + 61 * DAY * MINUTE_MS
    gone = prune(store, [("binance", "BTC")], before_ms=july, panels=False, act=False)
    assert [path for path, _ in gone] == list(files[:2])
    assert store.files("binance", "BTC") == files
    prune(store, [("binance", "BTC")], before_ms=july, panels=False, act=True)
    assert store.files("binance", "BTC") == files[2:]
    prune(store, [("bybit", "BTC")], before_ms=None, panels=False, act=True)
    assert store.coins("bybit") == ()


def test_names_of_markets(store: Store) -> None:
    put(store, "binance", "BTC", candles(range(3)))
    put(store, "binance", "ETH", candles(range(3)))
    put(store, "bybit", "ETH", candles(range(3)))
    assert market_names(store) == (("binance", "BTC"), ("binance", "ETH"), ("bybit", "ETH"))
    assert market_names(store, ["bybit"]) == (("bybit", "ETH"),)
    assert market_names(store, (), ["BTCUSDT"]) == (("binance", "BTC"),)
    with pytest.raises(CandleError, match="has no candles of ETC on binance; the nearest is ETH"):
        market_names(store, ["binance"], ["ETC"])
    with pytest.raises(CandleError, match="has no candles of okx; it has binance, bybit"):
        market_names(store, ["okx"])


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*args: str) -> tuple[int, str, str]:
        code = main(["data", *args])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_commands_from_import_to_export(store: Store, run: Any, tmp_path: Path) -> None:
    table = candles(range(3 * DAY))
    mixed = pa.concat_tables([table.slice(100), table.slice(0, 101)])
    pc_csv.write_csv(mixed, "BTCUSDT.csv")
    code, out, _ = run("import", "BTCUSDT.csv", "--exchange", "binance")
    assert code == 0
    assert "binance BTC: 4,320 candles added; 2024-05-01 00:00 … 2024-05-03 23:59, 1 files" in out
    assert "binance BTC: 1 candle of a minute that has another: the first of them is taken" in out
    assert "before an earlier one: sorted" in out
    store.write_markets(
        "binance",
        {
            "BTC": Market(
                symbol="BTC/USDT:USDT", qty_step=0.001, price_step=0.1, min_cost=100.0, maker_fee=0.0002
            )
        },
        "2025-01-01",
    )
    code, out, _ = run("list")
    assert code == 0
    assert re.search(r"binance +BTC +2024-05-01 00:00 +2024-05-03 23:59 +4,320 +100.00%", out)
    code, out, _ = run("show", "binance", "BTC")
    assert re.search(r"2024-05 +import \.csv +4,320", out)
    assert "market rules of 2025-01-01: BTC/USDT:USDT: quantity step 0.001, price step 0.1" in out
    assert "maker fee 0.0002" in out
    code, out, _ = run("check", "--html", "page/q.html")
    assert code == 0
    assert "nothing to look at" in out
    code, out, _ = run(
        "export", "--exchange", "binance", "--out", "csv", "--from", "2024-05-02", "--to", "2024-05-02"
    )
    assert (code, out) == (0, "csv/BTC.csv: 1,440 candles\n")
    exported = pc_csv.read_csv("csv/BTC.csv").cast(table.schema)
    assert exported.equals(table.slice(DAY, DAY))


def test_commands_of_a_damaged_store(store: Store, run: Any) -> None:
    put(store, "binance", "BTC", candles(range(40 * DAY)))
    rot(store.files("binance", "BTC")[0])
    code, out, _ = run("check")
    assert code == 1
    assert "binance BTC: damaged: 2024-05.parquet: is damaged" in out
    code, out, err = run("repair")
    assert code == 1
    assert "put aside as .2024-05.parquet.damaged" in out
    assert "`passivbot data download --exchange binance --coins BTC --from 2024-05-01 --to 2024-05-31`" in out
    assert "nothing was changed; --yes does it" in err
    assert run("repair", "--yes")[0] == 0
    code, out, _ = run("repair", "--yes")
    assert (code, out) == (0, "candles: nothing to repair\n")
    code, out, _ = run("prune")
    assert code == 1
    assert out.splitlines()[0].endswith(".2024-05.parquet.damaged")
    assert run("prune", "--yes")[0] == 0
    assert run("prune", "--yes")[1] == "0 files, 0.0 MB removed\n"
    assert run("prune", "--before", "2030-01-01", "--yes")[0] == 0
    assert store.coins("binance") == ()


def test_the_page_shows_what_is_covered(store: Store, run: Any) -> None:
    put(store, "binance", "BTC", candles(range(2 * DAY)))
    put(store, "binance", "<b>", candles([*range(100), *range(200, 300)]))
    assert run("check", "--html", "q.html")[0] == 1
    text = Path("q.html").read_text()
    assert "2 markets, 3,080 candles; 1 with something to look at" in text
    assert "never fetched: 100 minutes: 2024-05-01 01:40 … 2024-05-01 03:19" in text
    assert "binance <b>" not in text
    assert "&lt;b&gt;" in text
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=", text)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["list", "--exchange", "binnance"], "unknown exchange 'binnance'; the nearest is binance"),
        (["show", "binance", "BTCC"], "has no candles of BTCC on binance; the nearest is BTC"),
        (["check", "--coins", "XYZ"], "has no candles of XYZ on binance"),
        (["repair", "--rule", "idle=maybe"], "--rule idle=maybe: allowed is idle=keep|drop"),
        (["prune", "--before", "soon"], "--before is 'soon'; allowed is a day such as 2023-01-31"),
        (
            ["export", "-e", "binance", "--out", "x", "--format", "xls"],
            "--format is 'xls'; allowed is csv, arrow",
        ),
        (
            ["export", "-e", "binance", "--out", "x", "--from", "2024-06-01", "--to", "2024-05-01"],
            "ends before",
        ),
        (
            ["export", "-e", "binance", "--out", "x", "--from", "2025-06-01"],
            "has no candles of BTC on binance in",
        ),
        (["import", "none.csv"], "none.csv: there is no such file or folder"),
        (["list", "--store", "none"], "none: there is no store; `passivbot data download` or"),
    ],
)
def test_bad_input_is_one_line(store: Store, run: Any, args: list[str], expected: str) -> None:
    put(store, "binance", "BTC", candles(range(10)))
    code, _, err = run(*args)
    assert code == 2
    assert err.startswith("error: ")
    assert expected in err
    assert len(err.splitlines()) == 1


def test_a_full_disk_ends_an_import_with_a_message(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(1).random((3, 40_000)) * 0.001
    table = candles(range(40_000))
    for number, name in enumerate(("open", "close", "volume")):
        place = table.column_names.index(name)
        value = table.column(name).to_numpy() * (
            1.0 + (noise[number] if name == "volume" else noise[number] / 2)
        )
        table = table.set_column(place, name, pa.array(value))
    pc_csv.write_csv(table, "BTCUSDT.csv")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(disk, "-t", "tmpfs", "-o", "size=300k", "tmpfs")
    try:
        code, _, err = run("import", "BTCUSDT.csv", "-e", "binance", "--store", "disk/store")
        assert code == 2
        assert "2024-05.parquet: the disk is full" in err
        assert len(err.splitlines()) == 1
        assert Store.open("disk/store").coins("binance") == ()
    finally:
        unmount(disk)
