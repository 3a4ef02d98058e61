"""Published files as the exchanges have them: what is read, and what is refused."""

import gzip
import hashlib
import io
import zipfile

import numpy as np
import pytest

from passivbot.errors import CandleError
from passivbot.market.download.archives import ARCHIVES, Archive, ArchiveFile
from passivbot.market.download.trades import candles_of_trades, read_trades
from passivbot.market.spans import Span
from passivbot.times import DAY_MS, MINUTE_MS
from tests.download.harness import ms

BINANCE, BYBIT, GATE = (ARCHIVES[name] for name in ("binance", "bybit", "gateio"))
DAY = ms("2024-03-05")
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore\n"
)
LINES = (
    "1709596800000,68245.70,68257.00,68180.10,68190.60,321.465,1709596859999,21932321.53,4500,150.1,1.0,0\n"
    "1709596860000,68190.60,68210.00,68170.00,68199.90,150.002,1709596919999,10229000.00,2200,80.0,1.0,0\n"
)


def zipped(text: str, name: str = "BTCUSDT-1m-2024-03-05.csv") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return packed.getvalue()


def file(archive: Archive, symbol: str = "BTCUSDT", period: str = "day", begin_ms: int = DAY) -> ArchiveFile:
    return archive.file(symbol, period, begin_ms)  # type: ignore[arg-type]


def test_where_the_files_lie() -> None:
    month = file(BINANCE, period="month", begin_ms=ms("2024-02"))
    root = "https://data.binance.vision/data/futures/um"
    assert month.url == f"{root}/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-02.zip"
    assert month.checksum_url == f"{month.url}.CHECKSUM"
    assert month.span == Span(ms("2024-02-01"), ms("2024-03-01"))
    assert file(BINANCE).url == f"{root}/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-03-05.zip"
    assert file(BYBIT).url == "https://public.bybit.com/trading/BTCUSDT/BTCUSDT2024-03-05.csv.gz"
    gate = file(GATE, "BTC_USDT", "month", ms("2024-12"))
    assert gate.url == (
        "https://download.gatedata.org/futures_usdt/candlesticks_1m/202412/BTC_USDT-202412.csv.gz"
    )
    assert gate.span == Span(ms("2024-12-01"), ms("2025-01-01"))


@pytest.mark.parametrize("text", [HEADER + LINES, LINES])
def test_binance_files_with_a_header_and_without(text: str) -> None:
    rows = BINANCE.read(file(BINANCE), zipped(text), 1.0)
    assert rows.tolist() == [
        [DAY, 68245.7, 68257.0, 68180.1, 68190.6, 321.465],
        [DAY + MINUTE_MS, 68190.6, 68210.0, 68170.0, 68199.9, 150.002],
    ]


def test_binance_files_in_microseconds() -> None:
    text = LINES.replace("1709596800000,", "1709596800000000,").replace("1709596860000,", "1709596860000000,")
    assert BINANCE.read(file(BINANCE), zipped(text), 1.0)[:, 0].tolist() == [DAY, DAY + MINUTE_MS]


def test_gate_files_are_turned_around_and_counted_in_coins() -> None:
    text = "1709251200,1637,0.1651,0.1659,0.1644,0.1656\n1709251260,10,0.165,0.1651,0.165,0.1651\n"
    found = GATE.read(file(GATE, "0G_USDT", "month", ms("2024-03")), gzip.compress(text.encode()), 10.0)
    assert found.tolist() == [
        [ms("2024-03-01"), 0.1656, 0.1659, 0.1644, 0.1651, 16370.0],
        [ms("2024-03-01") + MINUTE_MS, 0.1651, 0.1651, 0.165, 0.165, 100.0],
    ]


def line(**changes: str) -> str:
    values = dict(zip(HEADER.strip().split(","), LINES.splitlines()[0].split(","), strict=True)) | changes
    return ",".join(values.values()) + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>Bad Gateway</html>", "is no ZIP"),
        (zipped(LINES)[:60], "is no ZIP"),
        (zipped("a,b\nc,d\n"), "is no table of candles"),
        (zipped(line(open_time="1709510400000")), "a time outside its period"),
        (zipped(line(open_time="1709596800001")), "a time off the minute"),
        (zipped(line(close="")), "a value that is no number"),
        (zipped(line(low="0")), "a price that is not above 0"),
        (zipped(line(high="1")), "a high below the low"),
        (zipped(line(volume="-1")), "a negative volume"),
        (zipped(LINES + line(close="68190.61")), "two candles of one minute"),
    ],
)
def test_a_damaged_file_is_refused_with_its_name(content: bytes, message: str) -> None:
    with pytest.raises(CandleError, match=r"BTCUSDT-1m-2024-03-05\.zip: ") as caught:
        BINANCE.read(file(BINANCE), content, 1.0)
    assert message in str(caught.value)


def test_the_same_candle_twice_is_one() -> None:
    assert len(BINANCE.read(file(BINANCE), zipped(LINES + LINES), 1.0)) == 2


def test_a_checksum_is_compared() -> None:
    content = zipped(LINES)
    good = f"{hashlib.sha256(content).hexdigest()}  BTCUSDT-1m-2024-03-05.zip\n".encode()
    file(BINANCE).verify(content, good)
    for wrong in (good.replace(good[:1], b"x"), b"", b"<html>"):
        with pytest.raises(CandleError, match=r"its SHA-256 is \w{64}, the one published beside it"):
            file(BINANCE).verify(content, wrong)


def test_indexes_tell_all_files_of_a_market() -> None:
    bucket = b"".join(
        f"<Contents><Key>data/futures/um/monthly/klines/LUNAUSDT/1m/LUNAUSDT-1m-{m}.zip{end}</Key></Contents>".encode()
        for m in ("2021-02", "2021-01")
        for end in ("", ".CHECKSUM")
    )
    assert [f.name for f in BINANCE.index("LUNAUSDT", bucket)] == [
        "LUNAUSDT-1m-2021-01.zip",
        "LUNAUSDT-1m-2021-02.zip",
    ]
    page = b'<a href="LUNAUSDT2021-10-19.csv.gz">LUNAUSDT2021-10-19.csv.gz</a>'
    assert [f.span for f in BYBIT.index("LUNAUSDT", page)] == [Span(ms("2021-10-19"), ms("2021-10-20"))]
    assert BYBIT.index("LUNAUSDT", b"<html>Not Found</html>") == []


TRADES = (
    "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional,RPI\n"
    "{0}.0547,BTCUSDT,Buy,0.5,100.0,ZeroPlusTick,a,0,0,0,0\n"
    "{0}.9,BTCUSDT,Sell,0.25,99.0,MinusTick,b,0,0,0,0\n"
    "{1}.1,BTCUSDT,Buy,1,103.5,PlusTick,c,0,0,0,0\n"
)


def test_trades_become_candles_that_open_at_the_last_close() -> None:
    first, second = DAY // 1000 + 60, DAY // 1000 + 240
    content = TRADES.format(first, second).encode()
    rows = candles_of_trades(*read_trades(content, "x"), Span(DAY, DAY + DAY_MS))
    assert len(rows) == 1439  # the minute before the first trade has no candle
    assert rows[0].tolist() == [DAY + MINUTE_MS, 100.0, 100.0, 99.0, 99.0, 0.75]
    assert rows[1].tolist() == [DAY + 2 * MINUTE_MS, 99.0, 99.0, 99.0, 99.0, 0.0]
    assert rows[3].tolist() == [DAY + 4 * MINUTE_MS, 99.0, 103.5, 99.0, 103.5, 1.0]
    assert rows[-1].tolist() == [DAY + DAY_MS - MINUTE_MS, 103.5, 103.5, 103.5, 103.5, 0.0]


def test_older_files_of_trades_begin_with_the_last() -> None:
    """Trades of one instant too: the file's order, turned around."""
    lines = TRADES.format(DAY // 1000, DAY // 1000).replace(".9,", ".0547,").splitlines()
    turned = "\n".join([lines[0], *reversed(lines[1:])])
    span = Span(DAY, DAY + DAY_MS)
    forward = candles_of_trades(*read_trades("\n".join(lines).encode(), "x"), span)
    np.testing.assert_array_equal(candles_of_trades(*read_trades(turned.encode(), "x"), span), forward)


def test_what_is_no_file_of_trades_is_refused() -> None:
    for content in (b"", b"<html>", gzip.compress(b"<html>")):
        with pytest.raises(CandleError, match=r"BTCUSDT2024-03-05\.csv\.gz: is no"):
            BYBIT.read(file(BYBIT), content, 1.0)


def test_a_day_without_trades_has_no_candles() -> None:
    content = gzip.compress(TRADES.splitlines()[0].encode() + b"\n")
    assert BYBIT.read(file(BYBIT), content, 1.0).shape == (0, 6)
