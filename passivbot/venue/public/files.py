"""The archive hosts: files of candles and trades as the exchanges publish them, made of the venue's candles.

``data.binance.vision`` (with the bucket behind it, which lists files), ``public.bybit.com``,
``download.gatedata.org``. A period's file is there once the period is over at market time.
"""

import gzip
import hashlib
import io
import re
import zipfile
from datetime import UTC, datetime

import numpy as np

from passivbot.market.clean import Floats
from passivbot.market.spans import Span, month_span, months
from passivbot.times import DAY_MS, MINUTE_MS
from passivbot.venue.arithmetic import plain
from passivbot.venue.public.base import PublicDialect
from passivbot.venue.wire import Call, Reply

_NOT_FOUND = Reply(b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", 404)
_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)
_HEADER_FROM = "2022-01"
"""Binance's older files have no header."""


class BinanceFiles:
    """Months and days of candles, each with a ``.CHECKSUM``."""

    HOST = "data.binance.vision"
    BUCKET = "s3-ap-northeast-1.amazonaws.com"

    def __init__(self, dialect: PublicDialect) -> None:
        self._dialect = dialect
        self._made: dict[str, bytes] = {}
        for folder in ("monthly", "daily"):
            path = f"/data/futures/um/{folder}/klines/{{symbol}}/1m/{{name}}"
            dialect.add("archive", self.HOST, path, self._file)
        dialect.add("archive", self.BUCKET, "/data.binance.vision", self._index)

    async def _file(self, call: Call) -> Reply:
        name = call.path_params["name"]
        content = self.content(name.removesuffix(".CHECKSUM"))
        if content is None:
            return _NOT_FOUND
        if name.endswith(".CHECKSUM"):
            digest = hashlib.sha256(content).hexdigest()
            return Reply(f"{digest}  {name.removesuffix('.CHECKSUM')}\n".encode())
        return Reply(content)

    def content(self, name: str) -> bytes | None:
        """Return a file by its name, or None."""
        if name in self._made:
            return self._made[name]
        found = re.fullmatch(r"(\w+)-1m-(\d{4}-\d\d)(-\d\d)?\.zip", name)
        coin = self._dialect.coin(found[1]) if found else None
        if not found or coin is None:
            return None
        span = _day(f"{found[2]}{found[3]}") if found[3] else month_span(found[2])
        rows = _finished(self._dialect, coin, span)
        if not len(rows):
            return None
        lines = [_HEADER] if found[2] >= _HEADER_FROM else []
        for t, o, h, low, c, v in rows.tolist():
            end = int(t) + MINUTE_MS - 1
            half = f"{plain(v / 2)},{plain(v * c / 2)},0"
            prices = f"{plain(o)},{plain(h)},{plain(low)},{plain(c)},{plain(v)}"
            lines.append(f"{int(t)},{prices},{end},{plain(v * c)},{int(v > 0)},{half}")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            # Of a fixed date, so that the file and its checksum agree whenever they are asked for.
            archive.writestr(
                zipfile.ZipInfo(f"{name[:-4]}.csv"), "\n".join(lines) + "\n", zipfile.ZIP_DEFLATED
            )
        self._made[name] = packed.getvalue()
        return self._made[name]

    async def _index(self, call: Call) -> Reply:
        prefix = call.query.get("prefix", "")
        found = re.fullmatch(r"data/futures/um/monthly/klines/(\w+)/1m/", prefix)
        coin = self._dialect.coin(found[1]) if found else None
        names: list[str] = []
        if found and coin is not None:
            whole = Span(self._dialect.source.first_ms, self._dialect.source.last_ms + MINUTE_MS)
            names = [
                f"{found[1]}-1m-{month}.zip"
                for month in months(whole)
                if len(_finished(self._dialect, coin, month_span(month)))
            ]
        rows = "".join(
            f"<Contents><Key>{prefix}{name}{end}</Key></Contents>"
            for name in names
            for end in ("", ".CHECKSUM")
        )
        head = '<?xml version="1.0" encoding="UTF-8"?>'
        space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        body = f"{head}<ListBucketResult {space}><Name>data.binance.vision</Name>{rows}</ListBucketResult>"
        return Reply(body.encode())


class BybitFiles:
    """Days of trades, and an index of them."""

    HOST = "public.bybit.com"

    def __init__(self, dialect: PublicDialect) -> None:
        self._dialect = dialect
        dialect.add("archive", self.HOST, "/trading/{symbol}/{name}", self._file)

    async def _file(self, call: Call) -> Reply:
        symbol, name = call.path_params["symbol"], call.path_params["name"]
        coin = self._dialect.coin(symbol)
        if coin is None:
            return _NOT_FOUND
        if not name:
            return Reply(self._index(symbol, coin))
        found = re.fullmatch(rf"{symbol}(\d{{4}}-\d\d-\d\d)\.csv\.gz", name)
        rows = _finished(self._dialect, coin, _day(found[1])) if found else np.empty((0, 6))
        if not len(rows) or not (rows[:, 5] > 0).any():
            return _NOT_FOUND
        return Reply(gzip.compress("\n".join(_trades(symbol, rows)).encode(), mtime=0))

    def _index(self, symbol: str, coin: str) -> bytes:
        source = self._dialect.source
        days = range(source.first_ms // DAY_MS * DAY_MS, source.last_ms, DAY_MS)
        names = [
            f"{symbol}{datetime.fromtimestamp(day / 1000, UTC):%Y-%m-%d}.csv.gz"
            for day in days
            if len(_finished(self._dialect, coin, Span(day, day + DAY_MS)))
        ]
        rows = "".join(f'<li><a href="{name}">{name}</a></li>' for name in names)
        return f"<!DOCTYPE html><html><body><ul>{rows}</ul></body></html>".encode()


class GateFiles:
    """Months of candles, volumes in contracts."""

    HOST = "download.gatedata.org"

    def __init__(self, dialect: PublicDialect) -> None:
        self._dialect = dialect
        dialect.add("archive", self.HOST, "/futures_usdt/candlesticks_1m/{month}/{name}", self._file)

    async def _file(self, call: Call) -> Reply:
        month, name = call.path_params["month"], call.path_params["name"]
        coin = self._dialect.coin(name.removesuffix(f"-{month}.csv.gz"))
        rows = np.empty((0, 6))
        if coin is not None and re.fullmatch(r"\d{6}", month):
            rows = _finished(self._dialect, coin, month_span(f"{month[:4]}-{month[4:]}"))
        if coin is None or not len(rows):
            return _NOT_FOUND
        lines = [
            f"{int(t) // 1000},{plain(self._dialect.contracts(coin, v))},"
            f"{plain(c)},{plain(h)},{plain(low)},{plain(o)}"
            for t, o, h, low, c, v in rows.tolist()
        ]
        return Reply(gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0))


def _day(text: str) -> Span:
    begin = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000
    return Span(begin, begin + DAY_MS)


def _finished(dialect: PublicDialect, coin: str, span: Span) -> Floats:
    """Return a period's candles; none before it is over."""
    if span.end_ms > dialect.clock.now_ms:
        return np.empty((0, 6))
    return dialect.source.candles(coin, *span)


def _trades(symbol: str, rows: Floats) -> list[str]:
    """Return trades that the candles are made of: open, low, high, close, a quarter of the volume each."""
    lines = [
        "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
    ]
    for t, o, h, low, c, v in rows[rows[:, 5] > 0].tolist():
        for place, price in enumerate((o, low, h, c)):
            second = int(t) // 1000 + 13 * place
            lines.append(
                f"{second}.{1000 + place},{symbol},Buy,{plain(v / 4)},{plain(price)},ZeroPlusTick,"
                f"00000000-0000-0000-0000-{second:012d},{plain(v / 4 * price * 1e8)},{plain(v / 4)},"
                f"{plain(v / 4 * price)}"
            )
    return lines
