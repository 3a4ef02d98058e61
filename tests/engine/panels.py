"""Small candle tables and bots that the tests of this room share."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passivbot.engine import Engine, MarketRules

FIRST_MS = 1_700_000_040_000
"""A minute within an hour: the first hourly bucket is a part of one."""

RULES = MarketRules(qty_step=0.001, price_step=0.01, min_qty=0.001, min_cost=5.0, c_mult=1.0)

Candles = NDArray[np.float64]
"""Shape (T, 4): high, low, close, volume."""


def table(coins: Mapping[str, Candles], first_ms: int = FIRST_MS, interval: int = 1) -> pa.Table:
    """The table an engine reads, of bars of ``interval`` minutes."""
    bars = len(next(iter(coins.values())))
    columns = {"timestamp": pa.array(first_ms + 60_000 * interval * np.arange(bars, dtype=np.int64))}
    for coin, candles in coins.items():
        for index, name in enumerate(("high", "low", "close", "volume")):
            columns[f"{coin}.{name}"] = pa.array(np.ascontiguousarray(candles[:, index]))
    return pa.table(columns)


def walk(
    seed: int, minutes: int, *, price: float = 100.0, volatility: float = 0.002, step: float = 0.01
) -> Candles:
    """A random walk with quiet and wild stretches, on price steps; every tenth minute without a trade."""
    random = np.random.default_rng(seed)
    wildness = np.exp(np.repeat(random.normal(0, 0.7, minutes // 60 + 1), 60)[:minutes])
    moves = random.normal(0, volatility, minutes) * wildness
    moves[random.random(minutes) < 0.003] *= 8
    close = np.maximum(np.round(price * np.exp(np.cumsum(moves)) / step), 1) * step
    before = np.concatenate([close[:1], close[:-1]])
    wick = np.abs(random.normal(0, volatility, (2, minutes))) * wildness
    high = np.ceil(np.maximum(close, before) * (1 + wick[0]) / step) * step
    low = np.maximum(np.floor(np.minimum(close, before) * (1 - wick[1]) / step), 1) * step
    volume = random.exponential(1e5, minutes)
    quiet = np.flatnonzero(random.random(minutes) < 0.1)
    for k in quiet[quiet > 0]:
        high[k] = low[k] = close[k] = close[k - 1]
        volume[k] = 0.0
    return np.stack([np.maximum(high, close), np.minimum(low, close), close, volume], axis=1)


def joined(candles: Candles, interval: int) -> Candles:
    """Bars of ``interval`` minutes, by the book; minutes left over at the end go."""
    bars = []
    for k in range(0, len(candles) - interval + 1, interval):
        part = candles[k : k + interval]
        bars.append([part[:, 0].max(), part[:, 1].min(), part[-1, 2], sum(part[:, 3].tolist())])
    return np.array(bars)


def flat(minutes: int, price: float = 100.0) -> Candles:
    """A price that never moves."""
    return np.column_stack([np.full((minutes, 3), price), np.full(minutes, 1000.0)])


SIDE: dict[str, float | bool] = {
    "close_grid_markup_end": 0.004,
    "close_grid_markup_start": 0.008,
    "close_grid_qty_pct": 0.3,
    "close_trailing_grid_ratio": 0.0,
    "close_trailing_qty_pct": 0.4,
    "close_trailing_retracement_pct": 0.002,
    "close_trailing_threshold_pct": 0.004,
    "ema_span_0": 30.0,
    "ema_span_1": 90.0,
    "enforce_exposure_limit": True,
    "entry_grid_double_down_factor": 0.9,
    "entry_grid_spacing_log_span_hours": 24.0,
    "entry_grid_spacing_log_weight": 0.0,
    "entry_grid_spacing_pct": 0.01,
    "entry_grid_spacing_we_weight": 0.5,
    "entry_initial_ema_dist": -0.002,
    "entry_initial_qty_pct": 0.1,
    "entry_trailing_double_down_factor": 0.9,
    "entry_trailing_grid_ratio": 0.0,
    "entry_trailing_retracement_pct": 0.002,
    "entry_trailing_threshold_pct": 0.005,
    "filter_log_range_ema_span": 60.0,
    "filter_volume_drop_pct": 0.0,
    "filter_volume_ema_span": 60.0,
    "n_positions": 1.0,
    "total_wallet_exposure_limit": 1.0,
    "unstuck_close_pct": 0.05,
    "unstuck_ema_dist": 0.0,
    "unstuck_loss_allowance_pct": 0.02,
    "unstuck_threshold": 0.7,
}
"""A busy side: all thirty parameters but the exposure limit of a coin, which is dynamic then."""

OFF: dict[str, float | bool] = {**SIDE, "n_positions": 0.0, "total_wallet_exposure_limit": 0.0}

Bot = dict[str, dict[str, float | bool]]


def bot(
    long: Mapping[str, float | bool] | None = None, short: Mapping[str, float | bool] | None = None
) -> Bot:
    """A bot: changes to a busy side, or None for a side that is off."""
    return {
        "long": OFF | {} if long is None else SIDE | dict(long),
        "short": OFF | {} if short is None else SIDE | dict(short),
    }


def random_side(random: np.random.Generator) -> dict[str, float | bool]:
    """Any parameters that a search could meet, and some that it would not."""

    def ratio() -> float:
        return float(random.choice([0.0, 0.0, 1.0, -1.0, *random.uniform(-1, 1, 5)]))

    def at_times(value: float, other: float, share: float = 0.2) -> float:
        return other if random.random() < share else value

    uniform = random.uniform
    return {
        "close_grid_markup_end": uniform(0.0, 0.02),
        "close_grid_markup_start": uniform(0.0, 0.02),
        "close_grid_qty_pct": at_times(uniform(0.02, 1.0), float(random.choice([-0.1, 1.0]))),
        "close_trailing_grid_ratio": ratio(),
        "close_trailing_qty_pct": uniform(0.02, 1.0),
        "close_trailing_retracement_pct": at_times(uniform(0.0005, 0.01), 0.0),
        "close_trailing_threshold_pct": at_times(uniform(0.0005, 0.01), float(random.choice([0.0, -0.01]))),
        "ema_span_0": uniform(2, 200),
        "ema_span_1": uniform(2, 200),
        "enforce_exposure_limit": bool(random.random() < 0.5),
        "entry_grid_double_down_factor": uniform(0.05, 2.5),
        "entry_grid_spacing_log_span_hours": at_times(uniform(1, 30), 0.0),
        "entry_grid_spacing_log_weight": 0.0,
        "entry_grid_spacing_pct": uniform(0.001, 0.02),
        "entry_grid_spacing_we_weight": uniform(-1, 3),
        "entry_initial_ema_dist": uniform(-0.01, 0.003),
        "entry_initial_qty_pct": uniform(0.005, 0.3),
        "entry_trailing_double_down_factor": uniform(0.05, 2.5),
        "entry_trailing_grid_ratio": ratio(),
        "entry_trailing_retracement_pct": at_times(uniform(0.0005, 0.01), 0.0),
        "entry_trailing_threshold_pct": at_times(uniform(-0.002, 0.01), -0.01),
        "filter_log_range_ema_span": uniform(2, 200),
        "filter_volume_drop_pct": 0.0,
        "filter_volume_ema_span": uniform(2, 200),
        "n_positions": at_times(uniform(0.5, 4), 0.2, 0.1),
        "total_wallet_exposure_limit": uniform(0.1, 3),
        "unstuck_close_pct": uniform(0.005, 0.2),
        "unstuck_ema_dist": uniform(-0.02, 0.005),
        "unstuck_loss_allowance_pct": at_times(uniform(0.001, 0.05), 0.0),
        "unstuck_threshold": uniform(0.2, 0.9),
    }


def engine(coins: Mapping[str, Candles], **changes: Any) -> Engine:
    """An engine with the same rules for every coin."""
    options: dict[str, Any] = {"starting_balance": 10_000.0, "maker_fee": 0.0002, **changes}
    rules = options.pop("rules", RULES)
    return Engine(table(coins), {coin: rules for coin in coins}, **options)


def bits(values: Sequence[float | None] | NDArray[np.float64]) -> list[bytes]:
    """Eight bytes a value; None is the one NaN that the engine writes."""
    return [struct.pack("<d", float("nan") if value is None else value) for value in values]
