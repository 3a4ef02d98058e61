"""Random runs of one coin: every fill and every equity value is the one of the transcription, to the bit."""

from functools import cache
from itertools import product

import numpy as np
import pytest

from passivbot.engine import ORDER_TYPES, BacktestResult, Engine, MarketRules

from .oracle import Oracle
from .oracle_orders import dec10, lin, nint, round_down, round_near, round_up
from .panels import FIRST_MS, bot, random_side, table, walk

MARKETS = (
    MarketRules(qty_step=0.001, price_step=0.01, min_qty=0.001, min_cost=5.0, c_mult=1.0),
    MarketRules(qty_step=1.0, price_step=0.05, min_qty=1.0, min_cost=1.0, c_mult=0.1),
    MarketRules(qty_step=0.1, price_step=0.1, min_qty=0.5, min_cost=20.0, c_mult=1.0),
)
SEEDS = range(40)


@pytest.mark.parametrize(
    ("n", "step", "near", "up", "down"),
    [
        (0.15, 0.1, 0.1, 0.2, 0.1),
        (0.25, 0.1, 0.3, 0.3, 0.2),
        (2.5, 1.0, 3.0, 3.0, 2.0),
        (-2.5, 1.0, -3.0, -2.0, -3.0),
        (100.005, 0.01, 100.01, 100.01, 100.0),
        (1234.5678, 0.001, 1234.568, 1234.568, 1234.567),
    ],
)
def test_oracle_rounds_as_the_appendix_says(
    n: float, step: float, near: float, up: float, down: float
) -> None:
    assert (round_near(n, step), round_up(n, step), round_down(n, step)) == (near, up, down)


def test_oracle_numbers() -> None:
    assert [nint(x) for x in (2.5, -2.5, 0.49999999999999994, 1e300)] == [3.0, -3.0, 0.0, 1e300]
    assert dec10(0.12345678905) == 0.1234567891
    assert lin(1.5, 1.0, 2.0, 10.0, 20.0) == 15.0


@cache
def run(seed: int, interval: int = 1) -> tuple[BacktestResult, Oracle]:
    """One random bot on one random walk, by the engine and by the transcription.

    Spans of the bots begin at 2 minutes, so that with long bars many are shorter than a bar. Of the walks on
    longer bars half begin on the clock's bars, half between them.
    """
    random = np.random.default_rng(seed)
    candles = walk(seed, int(random.integers(2000, 4000)), volatility=float(random.uniform(0.0005, 0.003)))
    first_ms = FIRST_MS // (60_000 * interval) * 60_000 * interval if seed % 2 else FIRST_MS
    rules = MARKETS[seed % len(MARKETS)]
    both = bot(random_side(random), random_side(random))
    if seed % 4 == 1:
        both["long"]["wallet_exposure_limit"] = 0.5
    if seed % 4 == 2:
        both["short"]["wallet_exposure_limit"] = 0.0
    if seed % 5 == 0:
        both["long"]["entry_grid_spacing_log_weight"] = float(random.uniform(0, 20))
    balance, warmup = float(random.choice([200.0, 10_000.0])), int(random.integers(0, 200))
    engine = Engine(
        table({"XXX": candles}, first_ms, interval),
        {"XXX": rules},
        starting_balance=balance,
        maker_fee=0.0002,
    )
    rows = [(high, low, close) for high, low, close, _ in candles.tolist()]
    # A warm-up of 0 stands for the longest span; the transcription knows given warm-ups only.
    warmup = max(warmup, 1)
    oracle = Oracle(
        rows,
        first_ms,
        "XXX",
        rules,
        both,
        starting_balance=balance,
        maker_fee=0.0002,
        warmup=warmup,
        interval=interval,
    )
    return engine.backtest(both, warmup_minutes=warmup), oracle


@pytest.mark.parametrize(
    ("seed", "interval"), [*((seed, 1) for seed in SEEDS), *product(range(8), (5, 15, 60)), (0, 4), (1, 12)]
)
def test_fills_and_equity_are_those_of_the_transcription(seed: int, interval: int) -> None:
    result, oracle = run(seed, interval)
    fills = [tuple(row.values()) for row in result.fills.to_pylist()]
    for ours, theirs in zip(fills, oracle.fills, strict=False):
        assert ours == theirs
    assert len(fills) == len(oracle.fills)
    assert result.equity["usd"].to_pylist() == oracle.equity
    assert result.equity["minute"].to_pylist() == [interval * k for k in range(len(oracle.equity))]


@pytest.mark.parametrize("interval", [5, 15, 60])
def test_the_runs_on_longer_bars_trade(interval: int) -> None:
    assert sum(len(run(seed, interval)[1].fills) for seed in range(8)) > 500


def test_the_random_runs_use_every_kind_of_order() -> None:
    used = {fill[12] for seed in SEEDS for fill in run(seed)[1].fills}
    assert used == {name for name in ORDER_TYPES if "panic" not in name and name != "empty"}
