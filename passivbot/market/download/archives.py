"""Files of candles and trades that exchanges publish beside their APIs: where they lie, and what is in them.

=========== ===================================== ======================== =========================
exchange    host                                  files                    checksum
=========== ===================================== ======================== =========================
binance     ``data.binance.vision``               months, days: candles    ``.CHECKSUM``, SHA-256
gateio      ``download.gatedata.org``             months: candles          none
bybit       ``public.bybit.com``                  days: trades             none
=========== ===================================== ======================== =========================

Bybit's monthly files of candles (``kline_for_metatrader4``) are left alone: they end in 2024, know 23
markets, and their clock is three hours off without saying so.
"""

import gzip
import hashlib
import io
import re
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from passivbot.config.values import date_ms
from passivbot.errors import CandleError, first_line
from passivbot.market.clean import Floats
from passivbot.market.download.trades import candles_of_trades, read_trades
from passivbot.market.spans import Span, month_of, month_span
from passivbot.times import DAY_MS, MINUTE_MS

Period = Literal["month", "day"]


@dataclass(frozen=True)
class ArchiveFile:
    """One file.

    Parameters
    ----------
    url
        Where it lies.
    span
        What it is about.
    symbol
        The market's name there.
    checksum_url
        Where its SHA-256 stands; None: it has none.
    """

    url: str
    span: Span
    symbol: str
    checksum_url: str | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]

    def verify(self, content: bytes, checksum: bytes) -> None:
        """Compare a file with the checksum beside it.

        Raises
        ------
        CandleError
            It is another.
        """
        wanted = checksum.decode("ascii", "replace").split()
        found = hashlib.sha256(content).hexdigest()
        if not wanted or wanted[0].lower() != found:
            said = wanted[0] if wanted else "empty"
            raise CandleError(f"{self.name}: its SHA-256 is {found}, the one published beside it {said}")


class Archive(ABC):
    """An exchange's files."""

    exchange: ClassVar[str]
    """As the store names it."""
    periods: ClassVar[tuple[Period, ...]]
    """What files there are, longest first."""
    kind: ClassVar[Literal["candles", "trades"]] = "candles"
    """What is in them. Candles are taken first; trades only of markets that the exchange serves no more."""

    @abstractmethod
    def file(self, symbol: str, period: Period, begin_ms: int) -> ArchiveFile:
        """Return where the file of a market and a period lies, if it is there."""

    @abstractmethod
    def read(self, file: ArchiveFile, content: bytes, contract: float) -> Floats:
        """Read a file.

        Parameters
        ----------
        file, content
            Which it is, and its bytes.
        contract
            Coins of a contract.

        Returns
        -------
        float64 (n, 6): timestamp (UTC ms), open, high, low, close, volume (coins); ascending, unique, inside
        the file's period.

        Raises
        ------
        CandleError
            It is damaged, or not of the form it was in.
        """

    def symbols(self, coin: str) -> Sequence[str]:
        """Return what a coin's market may have been called there, for one that is not listed any more."""
        return ()

    def index_url(self, symbol: str) -> str:
        """Return where a list of a market's files is; only where :meth:`symbols` gives names."""
        raise NotImplementedError

    def index(self, symbol: str, content: bytes) -> list[ArchiveFile]:
        """Return a market's files out of that list, ascending; empty if there are none."""
        raise NotImplementedError

    def published_ms(self, now_ms: int) -> int:
        """Return the time before which whatever there is has been published."""
        raise NotImplementedError


class BinanceArchive(Archive):
    """USDⓈ-M futures of ``data.binance.vision``."""

    exchange = "binance"
    periods = ("month", "day")
    _ROOT = "https://data.binance.vision/data/futures/um"
    _BUCKET = "https://s3-ap-northeast-1.amazonaws.com/data.binance.vision"

    def file(self, symbol: str, period: Period, begin_ms: int) -> ArchiveFile:
        """Return where the file of a market and a period lies, if it is there."""
        folder = "monthly" if period == "month" else "daily"
        url = f"{self._ROOT}/{folder}/klines/{symbol}/1m/{symbol}-1m-{_label(period, begin_ms)}.zip"
        return ArchiveFile(url, _span(period, begin_ms), symbol, f"{url}.CHECKSUM")

    def read(self, file: ArchiveFile, content: bytes, contract: float) -> Floats:
        """Read a file: one CSV in a ZIP, with a header or without."""
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as opened:
                (name,) = opened.namelist()
                text = opened.read(name)
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError) as error:
            raise CandleError(f"{file.name}: is no ZIP of one file ({error})") from None
        rows = _read_csv(text, ("timestamp", "open", "high", "low", "close", "volume"), file.name)
        if len(rows) and rows[0, 0] > 1e14:
            rows[:, 0] = rows[:, 0] // 1000  # spot's newer files count microseconds
        return _checked(rows, file)

    def symbols(self, coin: str) -> Sequence[str]:
        """Return what a coin's market may have been called there."""
        return (f"{coin}USDT", f"1000{coin}USDT")

    def index_url(self, symbol: str) -> str:
        """Return where a list of a market's files is: the bucket behind the host tells it."""
        return f"{self._BUCKET}?delimiter=/&prefix=data/futures/um/monthly/klines/{symbol}/1m/"

    def index(self, symbol: str, content: bytes) -> list[ArchiveFile]:
        """Return a market's months."""
        names = re.findall(
            rf"/{re.escape(symbol)}-1m-(\d{{4}}-\d\d)\.zip<", content.decode("utf-8", "replace")
        )
        return [self.file(symbol, "month", month_span(name).begin_ms) for name in sorted(set(names))]

    def published_ms(self, now_ms: int) -> int:
        """Return the time before which all is published: a month's file comes on the next first Monday."""
        return month_span(month_of(now_ms - 10 * DAY_MS)).begin_ms


class GateArchive(Archive):
    """USDT perpetuals of ``download.gatedata.org``; volumes are contracts."""

    exchange = "gateio"
    periods = ("month",)
    _ROOT = "https://download.gatedata.org/futures_usdt/candlesticks_1m"

    def file(self, symbol: str, period: Period, begin_ms: int) -> ArchiveFile:
        """Return where the file of a market and a period lies, if it is there."""
        month = _label("month", begin_ms).replace("-", "")
        url = f"{self._ROOT}/{month}/{symbol}-{month}.csv.gz"
        return ArchiveFile(url, _span(period, begin_ms), symbol)

    def read(self, file: ArchiveFile, content: bytes, contract: float) -> Floats:
        """Read a file: CSV without a header, times in seconds."""
        columns = ("timestamp", "volume", "close", "high", "low", "open")
        rows = _read_csv(_unzipped(content, file.name), columns, file.name)[:, [0, 5, 3, 4, 2, 1]]
        rows[:, 0] *= 1000
        rows[:, 5] *= contract
        return _checked(rows, file)


class BybitArchive(Archive):
    """Trades of ``public.bybit.com``, joined to candles."""

    exchange = "bybit"
    periods = ("day",)
    kind = "trades"
    _ROOT = "https://public.bybit.com/trading"

    def file(self, symbol: str, period: Period, begin_ms: int) -> ArchiveFile:
        """Return where the file of a market and a period lies, if it is there."""
        name = f"{symbol}{_label('day', begin_ms)}.csv.gz"
        return ArchiveFile(f"{self._ROOT}/{symbol}/{name}", _span("day", begin_ms), symbol)

    def read(self, file: ArchiveFile, content: bytes, contract: float) -> Floats:
        """Read a file and join its trades to candles."""
        trades = read_trades(_unzipped(content, file.name), file.name)
        return _checked(candles_of_trades(*trades, file.span), file)

    def symbols(self, coin: str) -> Sequence[str]:
        """Return what a coin's market may have been called there."""
        return (f"{coin}USDT", f"1000{coin}USDT", f"{coin}1000USDT")

    def index_url(self, symbol: str) -> str:
        """Return where a list of a market's files is: the host shows its folders."""
        return f"{self._ROOT}/{symbol}/"

    def index(self, symbol: str, content: bytes) -> list[ArchiveFile]:
        """Return a market's days."""
        pattern = rf">{re.escape(symbol)}(\d{{4}}-\d\d-\d\d)\.csv\.gz<"
        days = sorted(set(re.findall(pattern, content.decode("utf-8", "replace"))))
        return [self.file(symbol, "day", date_ms(day)) for day in days]

    def published_ms(self, now_ms: int) -> int:
        """Return the time before which all is published: a day's file comes a day later."""
        return now_ms // DAY_MS * DAY_MS - 2 * DAY_MS


ARCHIVES: dict[str, Archive] = {
    archive.exchange: archive for archive in (BinanceArchive(), GateArchive(), BybitArchive())
}
"""Exchange, as the store names it → its files."""


def _label(period: Period, begin_ms: int) -> str:
    return f"{datetime.fromtimestamp(begin_ms // 1000, UTC):{'%Y-%m' if period == 'month' else '%Y-%m-%d'}}"


def _span(period: Period, begin_ms: int) -> Span:
    return Span(begin_ms, begin_ms + DAY_MS) if period == "day" else month_span(month_of(begin_ms))


def _unzipped(content: bytes, name: str) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise CandleError(f"{name}: is no gzip file ({error})") from None


def _read_csv(text: bytes, columns: Sequence[str], name: str) -> Floats:
    """Read the first columns of a CSV, with a header or without, as float64 (n, columns)."""
    if not text.strip():
        return np.empty((0, len(columns)))
    try:
        table = csv.read_csv(
            io.BytesIO(text),
            read_options=csv.ReadOptions(
                autogenerate_column_names=True, skip_rows=int(not text.lstrip()[:1].isdigit())
            ),
            convert_options=csv.ConvertOptions(
                include_columns=[f"f{i}" for i in range(len(columns))],
                column_types={f"f{i}": pa.float64() for i in range(len(columns))},
            ),
        )
    except (pa.ArrowException, KeyError) as error:
        raise CandleError(f"{name}: is no table of candles ({first_line(error)})") from None
    return np.stack([column.to_numpy() for column in table.columns], axis=1)


def _checked(rows: Floats, file: ArchiveFile) -> Floats:
    """Return candles ascending, each once.

    Raises
    ------
    CandleError
        A time lies outside the file's period or off the minute, a minute has two different candles, or a
        value makes no sense.
    """
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    stamps, prices = rows[:, 0], rows[:, 1:5]
    same = np.diff(stamps) == 0
    torn = same & (np.diff(rows, axis=0) != 0).any(axis=1)
    problems = {
        "a time outside its period": (stamps < file.span.begin_ms) | (stamps >= file.span.end_ms),
        "a time off the minute": stamps % MINUTE_MS != 0,
        "a value that is no number": ~np.isfinite(rows).all(axis=1),
        "a price that is not above 0": ~(prices > 0).all(axis=1),
        "a negative volume": rows[:, 5] < 0,
        "a high below the low": rows[:, 2] < rows[:, 3],
        "two candles of one minute": torn,
    }
    for what, wrong in problems.items():
        if wrong.any():
            raise CandleError(f"{file.name}: holds {what} (row {int(np.argmax(wrong))} of {len(rows)})")
    unique: Floats = rows[np.append(~same, True)[: len(rows)]]
    return unique
