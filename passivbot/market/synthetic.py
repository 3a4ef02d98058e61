"""Seeded synthetic candles: realistic enough to trade on, the same on every machine.

Random bits come from the counter-based generator Philox, keyed by (seed, coin), and everything after them is
additions, multiplications, comparisons and roundings of one operation each: no library function whose last
bit may differ between machines.

A path is made of anchors every twelve hours, which the regime sets, joined by straight lines, and a bridge of
clustered, correlated and sometimes jumping noise between them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from passivbot.engine import MarketRules
from passivbot.errors import CandleError, located
from passivbot.market.clean import Floats, Ints
from passivbot.market.folder import MARKETS, CandleFolder
from passivbot.times import MINUTE_MS

REGIMES = ("calm", "trend", "crash", "late", "gap")
"""What a coin may do: swing sideways; climb; crash and half recover; be listed late; lack minutes."""

_SEGMENT = 720
"""Minutes between two anchors."""
_SQRT3 = 1.7320508075688772


@dataclass(frozen=True)
class Market:
    """A kind of coin: where its price starts, what its exchange accepts, how much is traded.

    Parameters
    ----------
    price
        First price, quote per base.
    decimals
        Decimal places of prices; the price step is their last digit.
    rules
        Market rules.
    turnover
        Typical quote volume of a minute.
    """

    price: float
    decimals: int
    rules: MarketRules
    turnover: float


MARKET_KINDS = (
    Market(64000.0, 1, MarketRules(0.001, 0.1, 0.001, 5.0, 1.0), 2.0e6),
    Market(3100.0, 2, MarketRules(0.001, 0.01, 0.001, 5.0, 1.0), 1.1e6),
    Market(148.0, 3, MarketRules(0.01, 0.001, 0.01, 5.0, 1.0), 4.0e5),
    Market(14.2, 3, MarketRules(0.1, 0.001, 0.1, 5.0, 1.0), 9.0e4),
    Market(0.61, 4, MarketRules(1.0, 0.0001, 1.0, 5.0, 1.0), 1.6e5),
    Market(0.1342, 5, MarketRules(1.0, 0.00001, 1.0, 5.0, 1.0), 1.2e5),
)
"""Kinds of coins, from dear to cheap; the i-th coin of a set is of kind i modulo 6."""


def generate(
    regimes: Mapping[str, str], *, seed: int, minutes: int, start_ms: int = 1_740_960_000_000
) -> tuple[dict[str, pa.Table], dict[str, MarketRules]]:
    """Make candles of some coins.

    Parameters
    ----------
    regimes
        Coin → one of :data:`REGIMES`.
    seed
        At least 0; a coin's candles depend on it, the coin's place and its regime, not on the other coins.
    minutes
        Length of the period, at least 1. A late coin begins after a quarter of it.
    start_ms
        First minute, UTC milliseconds; default 2025-03-03 00:00.

    Returns
    -------
    candles
        Coin → table of a candle file: ``timestamp`` (int64), ``open``, ``high``, ``low``, ``close`` on price
        steps and ``volume`` in base units (float64).
    rules
        Coin → market rules.

    Raises
    ------
    CandleError
        Unknown regime.
    """
    common = _noise(_bits(seed, 0), minutes)
    tables, rules = {}, {}
    for place, (coin, regime) in enumerate(regimes.items()):
        if regime not in REGIMES:
            raise CandleError(located("synthetic candles", coin, regime, ", ".join(REGIMES)))
        market = MARKET_KINDS[place % len(MARKET_KINDS)]
        tables[coin] = _candles(market, regime, _bits(seed, place + 1), common, start_ms)
        rules[coin] = market.rules
    return tables, rules


def write_folder(
    path: str | Path,
    tables: Mapping[str, pa.Table],
    rules: Mapping[str, MarketRules] | None = None,
    *,
    maker_fee: float | None = None,
) -> CandleFolder:
    """Write a candle folder and open it.

    Parameters
    ----------
    path
        The folder; made where it is missing.
    tables
        Coin → table of a candle file.
    rules, maker_fee
        Content of ``markets.json``; without both none is written.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    for coin, table in tables.items():
        pq.write_table(
            table,
            folder / f"{coin}.parquet",
            compression="zstd",
            compression_level=19,
            use_dictionary=["open", "high", "low", "close", "volume"],
            column_encoding={"timestamp": "DELTA_BINARY_PACKED"},
        )
    if rules is not None or maker_fee is not None:
        document: dict[str, object] = {} if maker_fee is None else {"maker_fee": maker_fee}
        document |= {coin: asdict(rule) for coin, rule in (rules or {}).items()}
        (folder / MARKETS).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return CandleFolder.open(folder)


def _bits(seed: int, stream: int) -> np.random.Philox:
    return np.random.Philox(key=np.array([seed, stream], dtype=np.uint64))


def _uniform(bits: np.random.Philox, count: int) -> Floats:
    """Numbers in [0, 1) from raw bits, which no release of numpy may change."""
    raw = np.asarray(bits.random_raw(count), dtype=np.uint64)
    numbers: Floats = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return numbers


def _noise(bits: np.random.Philox, count: int) -> Floats:
    """Nearly normal numbers of variance 1 (a sum of four uniform ones), every 400th four times as large."""
    u = _uniform(bits, 5 * count).reshape(5, count)
    noise = (((u[0] + u[1]) + (u[2] + u[3])) - 2.0) * _SQRT3
    jumping: Floats = np.where(u[4] < 0.0025, noise * 4.0, noise)
    return jumping


def _joined(anchors: Floats, every: int, count: int) -> Floats:
    """Straight lines through anchors that stand ``every`` minutes apart; float64 (count,)."""
    minute = np.arange(count)
    left = minute // every
    share = (minute - left * every) / every
    line: Floats = anchors[left] + (anchors[left + 1] - anchors[left]) * share
    return line


def _anchors(regime: str, bits: np.random.Philox, count: int) -> Floats:
    """Relative price at every anchor; the first is 1."""
    swing = (_uniform(bits, count) - 0.5) * 0.05
    step = np.arange(count) / max(count - 1, 1)
    level = np.ones(count)
    if regime == "trend":
        level = 1.0 + step * 0.35
    elif regime == "crash":
        # Down by 38 % within a day after 55 % of the period, then half of it back.
        fall = np.clip((step * (count - 1) - np.floor(0.55 * (count - 1))) / 2.0, 0.0, 1.0)
        back = np.clip((step - 0.65) / 0.35, 0.0, 1.0)
        level = 1.0 - fall * 0.38 + back * 0.19
    anchors: Floats = level * (1.0 + swing)
    anchors /= anchors[0]
    return anchors


def _candles(market: Market, regime: str, bits: np.random.Philox, common: Floats, start_ms: int) -> pa.Table:
    count = common.size
    segments = count // _SEGMENT + 2
    own = _noise(bits, count)
    # Calm and lively hours, the same share of noise from the market and from the coin.
    lively = _uniform(bits, count // 60 + 2)
    sigma = 0.0004 + 0.0011 * _joined(lively * lively * lively, 60, count)
    walk = np.cumsum(sigma * ((common + own) * 0.7071067811865476))
    bridge = walk - _joined(_at_segments(walk, segments), _SEGMENT, count)
    price = market.price * (_joined(_anchors(regime, bits, segments), _SEGMENT, count) * (1.0 + bridge))

    # Prices as whole numbers of price steps; dividing by a power of ten gives the nearest decimal number.
    scale = 10.0**market.decimals
    close = np.maximum(np.rint(price * scale), 1.0)
    open_ = np.concatenate((close[:1], close[:-1]))
    wick = _uniform(bits, 2 * count).reshape(2, count)
    reach = sigma * (close * 0.9)
    high = np.maximum(open_, close) + np.floor(reach * wick[0] * wick[0])
    low = np.maximum(np.minimum(open_, close) - np.floor(reach * wick[1] * wick[1]), 1.0)

    # More is traded where the price moves; lots of the quantity step, coarse enough to compress well.
    moved = (high - low) / (close * sigma)
    crowd = _uniform(bits, count)
    lot = market.turnover / market.price / 64.0
    steps = max(np.rint(lot / market.rules.qty_step), 1.0)
    lots = np.rint((0.2 + moved * moved * 0.5) * (0.25 + 1.5 * crowd * crowd) * 64.0)
    volume = np.minimum(lots, 4000.0) * steps

    qty_scale = np.rint(1.0 / market.rules.qty_step)
    kept = _kept(regime, bits, count)
    return pa.table(
        {
            "timestamp": start_ms + kept * MINUTE_MS,
            "open": open_[kept] / scale,
            "high": high[kept] / scale,
            "low": low[kept] / scale,
            "close": close[kept] / scale,
            "volume": volume[kept] / qty_scale,
        }
    )


def _at_segments(walk: Floats, segments: int) -> Floats:
    """Values of a walk at the anchors; beyond its end the last one."""
    return walk[np.minimum(np.arange(segments) * _SEGMENT, walk.size - 1)]


def _kept(regime: str, bits: np.random.Philox, count: int) -> Ints:
    """Minutes that have a candle."""
    minute: Ints = np.arange(count, dtype=np.int64)
    if regime == "late":
        return minute[count // 4 :]
    if regime != "gap":
        return minute
    # One hole above the usual tolerance of 120 minutes, and one of 1 … 30 minutes in every five days.
    holes = [(count // 3, 150)]
    for hole in range(count // 7200 + 1):
        where, length = _uniform(bits, 2)
        holes.append((int(hole * 7200 + where * 7000), 1 + int(length * 30.0)))
    missing = np.zeros(count, dtype=np.bool_)
    for begin, length in holes:
        missing[max(begin, 1) : begin + length] = True
    missing[-1] = False
    return minute[~missing]
