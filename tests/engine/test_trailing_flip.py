"""The trailing-flip strategy against a transcription of its specification, every field to the bit.

``Flip`` is written from the text of trailing-flip alone; the section numbers are those of that document.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from passivbot.engine import trailing_flip
from passivbot.errors import EngineError

from .panels import Candles, bits, walk

COLUMNS = ["minute", "pnl", "fee_paid", "balance", "qty", "price"]
COLUMNS += ["position_size", "position_price", "upnl", "order_type"]

PARAMETERS: dict[str, float] = {
    "initial_qty_pct": 0.1,
    "double_down_factor": 1.5,
    "wallet_exposure_limit": 2.0,
    "trailing_threshold_pct_profit": 0.004,
    "trailing_retracement_pct_profit": 0.001,
    "trailing_threshold_pct_loss": 0.004,
    "trailing_retracement_pct_loss": 0.001,
    "fee_rate": 0.0002,
    "adx_scale_higher_width": 1.5,
    "adx_scale_lower_width": 0.5,
    "max_flips_per_cycle": 3,
}


class Flip:
    """§2: the state, and everything that happens to it."""

    def __init__(self, p: Mapping[str, float]) -> None:
        self.p = p
        self.balance = 100.0
        self.qty, self.price = 0.0, 0.0
        self.order = (0.0, 0.0)
        self.flips = 0
        self.fills: list[list[Any]] = []
        self.equity: list[float] = []
        self.reset()

    def reset(self) -> None:
        self.max_open, self.min_since_max = 0.0, math.inf
        self.min_open, self.max_since_min = math.inf, 0.0

    def step(self, i: int, high: float, low: float, close: float, adx_1: float, adx_2: float) -> None:
        """§3."""
        qty, price = self.order
        if (qty > 0 and low < price) or (qty < 0 and high > price):
            self.execute(i, qty, price)
            self.reset()
        else:
            self.track(high, low, close)
        scale = 1.0
        if adx_1 > 30 and adx_2 > 25:
            scale = self.p["adx_scale_higher_width"]
        elif adx_1 < 20 and adx_2 < 20:
            scale = self.p["adx_scale_lower_width"]
        order, upnl, flip = self.next_order(high, low, close, scale)
        most = self.p["max_flips_per_cycle"]
        if flip and most > 0:
            self.flips += 1
        if most > 0 and self.flips >= most:
            order, self.flips = (-self.qty, close), 0
        self.order = order
        self.equity.append(self.balance + upnl)
        if self.fills and self.fills[-1][0] == i:
            self.fills[-1][8] = upnl

    def track(self, high: float, low: float, close: float) -> None:
        """trading-semantics §10."""
        if low < self.min_open:
            self.min_open, self.max_since_min = low, close
        else:
            self.max_since_min = max(self.max_since_min, high)
        if high > self.max_open:
            self.max_open, self.min_since_max = high, close
        else:
            self.min_since_max = min(self.min_since_max, low)

    def execute(self, i: int, q: float, p: float) -> None:
        """§4."""
        if self.qty == 0 or self.qty * q > 0:
            self.fill(i, q, p, 0.0, "entry")
            return
        closed = min(abs(self.qty), abs(q))
        if self.qty > 0:
            signed, pnl = -closed, closed * (p - self.price)
        else:
            signed, pnl = closed, closed * (self.price - p)
        self.fill(i, signed, p, pnl, "close")
        rest = q - signed
        if rest != 0:
            self.fill(i, rest, p, 0.0, "entry")

    def fill(self, i: int, f: float, p: float, pnl: float, kind: str) -> None:
        long = (f > 0) == (kind == "entry")
        self.qty, self.price = merged(self.qty, self.price, f, p)
        fee = abs(f) * p * self.p["fee_rate"]
        self.balance = self.balance + (pnl - fee)
        name = f"{kind}_{'long' if long else 'short'}"
        self.fills.append([i, pnl, fee, self.balance, f, p, self.qty, self.price, 0.0, name])

    def next_order(
        self, high: float, low: float, close: float, scale: float
    ) -> tuple[tuple[float, float], float, bool]:
        """§5."""
        p, size, price = self.p, self.qty, self.price
        tp = p["trailing_threshold_pct_profit"] * scale
        rp = p["trailing_retracement_pct_profit"] * scale
        tl = p["trailing_threshold_pct_loss"] * scale
        rl = p["trailing_retracement_pct_loss"] * scale
        if size == 0:
            order = ((self.balance / close) * p["initial_qty_pct"], close) if close != 0 else (0.0, 0.0)
            return order, 0.0, False
        if size > 0:
            upnl = abs(size) * 1 * (low - price)
            profit = close >= price * (1 + tp) and self.min_since_max <= self.max_open * (1 - rp)
            loss = close < price * (1 - tl) and self.max_since_min >= self.min_open * (1 + rl)
        else:
            upnl = abs(size) * 1 * (price - high)
            profit = close <= price * (1 - tp) and self.max_since_min >= self.min_open * (1 + rp)
            loss = close >= price * (1 + tl) and self.min_since_max <= self.max_open * (1 - rl)
        if profit:
            return (-size, close), upnl, False
        if loss:
            return (self.clipped(-size - size * p["double_down_factor"], close), close), upnl, True
        return (0.0, 0.0), upnl, False

    def clipped(self, q: float, close: float) -> float:
        """§6, with the position that §4 makes of the order."""
        closed = min(abs(self.qty), abs(q))
        signed = -closed if self.qty > 0 else closed
        qty, price = merged(self.qty, self.price, signed, close)
        if q - signed != 0:
            qty, price = merged(qty, price, q - signed, close)
        used = abs(qty) * price / self.balance if self.balance != 0 else 0.0
        limit = self.p["wallet_exposure_limit"]
        return q - (qty - qty * (limit / used)) if used > limit else q


def merged(size: float, price: float, f: float, p: float) -> tuple[float, float]:
    """§4, position update."""
    if f == 0:
        return size, price
    if size == 0:
        return f, p
    if size * f > 0:
        return size + f, (abs(size) * price + abs(f) * p) / (abs(size) + abs(f))
    if abs(f) < abs(size):
        return size + f, price
    return (0.0, 0.0) if abs(f) == abs(size) else (size + f, p)


def both(
    candles: Candles, adx: np.ndarray, parameters: Mapping[str, float]
) -> tuple[list[list[Any]], list[float]]:
    """Run engine and transcription, compare them, return what they agree on."""
    ours = trailing_flip(candles, adx[:, 0], adx[:, 1], parameters)
    flip = Flip(parameters)
    for i, (row, trend) in enumerate(zip(candles.tolist(), adx.tolist(), strict=True)):
        flip.step(i, *row[:3], *trend)
    assert ours.fills.column_names == COLUMNS
    rows = [list(row.values()) for row in ours.fills.to_pylist()]
    assert len(rows) == len(flip.fills)
    for a, b in zip(rows, flip.fills, strict=True):
        assert (a[0], a[9], bits(a[1:9])) == (b[0], b[9], bits(b[1:9]))
    assert bits(ours.equity) == bits(flip.equity)
    return flip.fills, flip.equity


def calm(minutes: int) -> np.ndarray:
    """Trend strengths that scale nothing."""
    return np.full((minutes, 2), 22.0)


@pytest.mark.parametrize("seed", range(40))
def test_random_runs_agree(seed: int) -> None:
    random = np.random.default_rng(seed)
    candles = walk(seed, 1500, volatility=float(random.uniform(0.0005, 0.003)))
    adx = random.uniform(10, 40, (30, 2)).repeat(50, axis=0)
    uniform = random.uniform
    parameters = {
        "initial_qty_pct": uniform(0.01, 0.5),
        "double_down_factor": float(random.choice([0.0, 1.0, uniform(0.1, 3)])),
        "wallet_exposure_limit": uniform(0.2, 3),
        "trailing_threshold_pct_profit": uniform(-0.001, 0.008),
        "trailing_retracement_pct_profit": uniform(0, 0.004),
        "trailing_threshold_pct_loss": uniform(0, 0.008),
        "trailing_retracement_pct_loss": uniform(0, 0.004),
        "fee_rate": float(random.choice([0.0, 0.0002, -0.0001])),
        "adx_scale_higher_width": uniform(0.5, 2),
        "adx_scale_lower_width": uniform(0.5, 2),
        "max_flips_per_cycle": int(random.integers(0, 5)),
    }
    fills, _ = both(candles, adx, parameters)
    assert len(fills) > 10
    assert {row[9] for row in fills} >= {"entry_long", "close_long"}


def ups_and_downs(*prices: float) -> Candles:
    """Candles that go straight from one price to the next, with a wick of a cent either way."""
    ends = np.array(prices)
    starts = np.concatenate([ends[:1], ends[:-1]])
    high, low = np.maximum(starts, ends) + 0.01, np.minimum(starts, ends) - 0.01
    return np.column_stack([high, low, ends, np.ones(len(ends))])


FALL_AND_REBOUND = ups_and_downs(100, 100, 97, 98, 98, 98)


def test_opens_long_and_flips_short_in_one_candle() -> None:
    parameters = {**PARAMETERS, "max_flips_per_cycle": 0, "fee_rate": 0.0, "wallet_exposure_limit": 9.0}
    fills, equity = both(FALL_AND_REBOUND, calm(6), parameters)
    assert [(row[0], row[9], row[4]) for row in fills] == [
        (1, "entry_long", 0.1),
        (4, "close_long", -0.1),
        (4, "entry_short", -0.1 - 0.1 * 1.5 + 0.1),
    ]
    # Bought at 100, sold at 98. Of two fills of a candle the second has the unrealised loss (high 98.01).
    assert fills[1][1] == pytest.approx(-0.2)
    assert fills[1][8] == 0.0
    assert fills[2][8] == pytest.approx(-0.15 * 0.01)
    assert equity[0] == 100.0
    assert equity[-1] == pytest.approx(99.8 - 0.15 * 0.01)


def test_flip_is_clipped_to_the_exposure_limit() -> None:
    parameters = {**PARAMETERS, "max_flips_per_cycle": 0, "fee_rate": 0.0, "wallet_exposure_limit": 0.05}
    fills, _ = both(FALL_AND_REBOUND, calm(6), parameters)
    # 5 % of the balance of 100, before the loss is taken, at 98.
    assert fills[2][4] == pytest.approx(-5 / 98)


def test_flip_at_its_limit_closes_without_reversing() -> None:
    fills, _ = both(FALL_AND_REBOUND, calm(6), {**PARAMETERS, "max_flips_per_cycle": 1})
    assert [(row[0], row[9], row[6]) for row in fills[:2]] == [(1, "entry_long", 0.1), (4, "close_long", 0.0)]


def test_flips_count_candles_on_which_the_condition_holds() -> None:
    # The flip order of minute 3 (sell at 98) does not fill in minute 4, whose high is 98; the condition holds
    # again, and the second candle closes the position.
    candles = np.array(
        [
            [100.01, 99.99, 100, 1],
            [100.01, 99.99, 100, 1],
            [100.01, 96.99, 97, 1],
            [98.01, 96.99, 98, 1],
            [98.00, 97.50, 97.9, 1],
            [98.50, 97.50, 98.0, 1],
            [98.50, 97.50, 98.0, 1],
        ],
        dtype=float,
    )
    fills, _ = both(candles, calm(7), {**PARAMETERS, "max_flips_per_cycle": 2})
    assert [(row[0], row[9], row[6]) for row in fills[:2]] == [(1, "entry_long", 0.1), (5, "close_long", 0.0)]


def test_fees_are_paid_on_every_fill() -> None:
    fills, _ = both(FALL_AND_REBOUND, calm(6), {**PARAMETERS, "fee_rate": 0.01, "max_flips_per_cycle": 0})
    paid = [row[2] for row in fills]
    assert paid == [abs(row[4]) * row[5] * 0.01 for row in fills]
    assert fills[-1][3] == pytest.approx(100 - 0.2 - sum(paid))


def test_strong_and_weak_trends_scale_the_distances() -> None:
    strong, weak = np.full((6, 2), 40.0), np.full((6, 2), 10.0)
    parameters = {**PARAMETERS, "adx_scale_higher_width": 100.0, "max_flips_per_cycle": 0}
    assert len(both(FALL_AND_REBOUND, strong, parameters)[0]) == 1
    assert len(both(FALL_AND_REBOUND, weak, parameters)[0]) == 3


@pytest.mark.parametrize("minutes", [0, 1, 2, 3])
def test_short_series(minutes: int) -> None:
    fills, equity = both(walk(1, 10)[:minutes], calm(minutes), PARAMETERS)
    assert len(equity) == minutes
    assert len(fills) <= max(0, minutes - 1)


def test_missing_and_worthless_minutes() -> None:
    candles = walk(3, 600)
    candles[100:130] = math.nan
    candles[300:310, :3] = 0.0
    fills, _ = both(candles, calm(600), PARAMETERS)
    assert fills[-1][0] > 130


def test_a_table_of_one_coin_is_an_array() -> None:
    candles = walk(5, 500)
    coin = pa.table({f"XXX.{name}": candles[:, i] for i, name in enumerate(("high", "low", "close"))})
    adx = calm(500)
    a = trailing_flip(candles, adx[:, 0], adx[:, 1], PARAMETERS)
    b = trailing_flip(coin, adx[:, 0], adx[:, 1], PARAMETERS)
    assert a.fills == b.fills
    assert a.equity.tolist() == b.equity.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1.0}, "parameter colour is unknown; allowed are initial_qty_pct, double_down_factor, "),
        ({"fee_rate": math.nan}, "parameter fee_rate is NaN; allowed is a finite number"),
        (
            {"max_flips_per_cycle": 1.5},
            "parameter max_flips_per_cycle is 1.5; allowed is a whole number >= 0",
        ),
        ({"max_flips_per_cycle": -1}, "parameter max_flips_per_cycle is -1; allowed is a whole number >= 0"),
    ],
)
def test_refused_parameters(changes: dict[str, float], message: str) -> None:
    with pytest.raises(EngineError) as caught:
        trailing_flip(walk(1, 10), calm(10)[:, 0], calm(10)[:, 1], {**PARAMETERS, **changes})
    assert str(caught.value).startswith(message)


def test_refused_series() -> None:
    missing = {name: value for name, value in PARAMETERS.items() if name != "fee_rate"}
    adx = calm(10)[:, 0]
    with pytest.raises(EngineError, match=r"^parameter fee_rate is missing$"):
        trailing_flip(walk(1, 10), adx, adx, missing)
    with pytest.raises(EngineError, match=r"^candles has shape \(10, 2\); allowed is \(T, 4\)"):
        trailing_flip(walk(1, 10)[:, :2], adx, adx, PARAMETERS)
    with pytest.raises(EngineError, match="adx_2"):
        trailing_flip(walk(1, 10), adx, adx[:9], PARAMETERS)
    two = pa.table({"A.high": [1.0], "B.high": [1.0]})
    with pytest.raises(EngineError, match=r"the table has the coins \['A', 'B'\]; allowed is one"):
        trailing_flip(two, adx[:1], adx[:1], PARAMETERS)
