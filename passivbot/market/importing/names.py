"""What a file's name and place say of its candles: coin, exchange, period, length of a bar."""

import re
from dataclasses import dataclass
from pathlib import Path

from passivbot.config.coins import coin_of
from passivbot.errors import CandleError
from passivbot.market.spans import Span, month_of, month_span
from passivbot.market.store import EXCHANGES, exchange_name
from passivbot.times import DAY_MS

_PERIOD = r"(?P<period>\d{4}-\d{2}(?:-\d{2})?)"
_PATTERNS = (
    # freqtrade: BTC_USDT_USDT-1m-futures.feather, BTC_USDT-1m.json.gz
    re.compile(r"(?P<pair>[^-]+?)-(?P<bar>\d+[smhdwMy])(?:-(?P<kind>\w+))?"),
    # Binance's archive: BTCUSDT-1m-2024-05.zip
    re.compile(rf"(?P<symbol>[^-]+?)-(?P<bar>\d+[smhdwMy])-{_PERIOD}"),
    # Bybit's archives: BTCUSDT_1_2024-05-01_2024-05-31.csv.gz, BTCUSDT2024-05-01.csv.gz
    re.compile(r"(?P<symbol>[^_]+?)_(?P<minutes>\d+)_\d{4}-\d{2}-\d{2}_\d{4}-\d{2}-\d{2}"),
    re.compile(r"(?P<symbol>[A-Z0-9]+?)(?P<day>\d{4}-\d{2}-\d{2})"),
    # Day caches: BTC/2024-05-01.npy
    re.compile(r"(?P<day>\d{4}-\d{2}-\d{2})"),
)
_ENDINGS = (".gz", ".zip", ".csv", ".json", ".feather", ".parquet", ".npy", ".arrow")


@dataclass(frozen=True)
class Named:
    """What a name says; None where it says nothing.

    Parameters
    ----------
    coin
        The coin.
    exchange
        Name in the store; with the label ``-spot`` where the name is that of a spot pair.
    period
        The whole month or day of an archive's file.
    """

    coin: str
    exchange: str | None
    period: Span | None


def named(path: Path) -> Named:
    """Read a file's name.

    Raises
    ------
    CandleError
        It says that the file has bars of another length than a minute, or prices of another kind.
    """
    stem = path.name
    while stem.lower().endswith(_ENDINGS):
        stem = stem[: stem.rindex(".")]
    match = next((found for pattern in _PATTERNS if (found := pattern.fullmatch(stem))), None)
    groups = match.groupdict() if match else {}
    bar = groups.get("bar") or (f"{groups['minutes']}m" if groups.get("minutes") else "1m")
    if bar != "1m":
        raise CandleError(f"{path}: holds candles of {bar}; needed are candles of 1m")
    if groups.get("kind") not in (None, "futures", "spot"):
        raise CandleError(f"{path}: holds {groups['kind']} prices, not those of trades")
    symbol = groups.get("pair") or groups.get("symbol") or (path.parent.name if groups.get("day") else stem)
    period = groups.get("period")
    exchange = _exchange(path)
    # A pair of two parts is freqtrade's name of a spot market; perpetuals have a third one.
    if exchange in EXCHANGES and symbol.count("_") == 1 and groups.get("pair"):
        exchange = f"{exchange}-spot"
    return Named(_coin(symbol), exchange, _span(period) if period else None)


def _coin(symbol: str) -> str:
    """Return the coin of a symbol in any of the forms: ``BTC_USDT_USDT``, ``BTCUSDT``, ``BTC``."""
    return coin_of(symbol.split("_")[0] if "_" in symbol else symbol)


def _exchange(path: Path) -> str | None:
    for part in reversed(path.resolve().parts[:-1]):
        try:
            return exchange_name(part.removeprefix("ohlcvs_"))
        except CandleError:
            continue
    return None


def _span(period: str) -> Span:
    if len(period) == len("YYYY-MM"):
        return month_span(period)
    month = month_span(period[:7])
    begin = month.begin_ms + (int(period[8:]) - 1) * DAY_MS
    if month_of(begin) != period[:7]:
        raise CandleError(f"{period}: is no day")
    return Span(begin, begin + DAY_MS)
