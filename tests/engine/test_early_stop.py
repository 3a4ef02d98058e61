"""Limits at the Python face: where a run stops, what is left of it, and what is refused.

That each path stops at the very day a whole run says is tested in ``engine-rs/core/tests/early_stop.rs``.
"""

import math
from typing import Any

import numpy as np
import pytest

from passivbot.engine import METRICS, STOPPED_MINUTE, WATCHED_METRICS, BacktestResult, Engine
from passivbot.errors import EngineError

from .panels import Candles, bits, bot, engine, flat, walk

DAY = 1440
MINUTES = 6 * DAY
COINS = {"AAA": walk(4, MINUTES), "BBB": walk(14, MINUTES)}
BTC = walk(9, MINUTES, price=60_000.0, step=0.1)[:, 2]
BUSY = bot({"n_positions": 2.0, "total_wallet_exposure_limit": 2.0}, {})
WARMUP = 100


def crash() -> Candles:
    """Quiet for a day, then a fall to a tenth."""
    candles = flat(MINUTES)
    price = np.full(MINUTES, 100.0)
    price[: DAY + 100] += 0.5 * np.sin(np.arange(DAY + 100) / 10)
    price[DAY + 100 : DAY + 200] = np.linspace(100, 10, 100)
    price[DAY + 200 :] = 10
    price = np.round(price, 2)
    before = np.concatenate([price[:1], price[:-1]])
    candles[:, 0], candles[:, 1], candles[:, 2] = np.maximum(price, before), np.minimum(price, before), price
    return candles


def assert_prefix(part: BacktestResult, whole: BacktestResult) -> None:
    """What a stopped run left is what the whole run had up to that minute."""
    assert part.stopped is not None
    assert part.stopped % DAY == DAY - 1
    assert part.equity == whole.equity.slice(0, part.stopped + 1)
    count = int((whole.fills["minute"].to_numpy() <= part.stopped).sum())
    assert 1 < part.fills.num_rows == count < whole.fills.num_rows


def a_limit_broken_early(subject: Engine, metric: str) -> tuple[dict[str, float], BacktestResult]:
    whole = subject.backtest(BUSY, warmup_minutes=WARMUP)
    assert whole.stopped is None
    value = whole.analysis["btc" if metric.startswith("btc_") else "usd"][metric.removeprefix("btc_")]
    assert value is not None
    assert value > 0
    return {metric: value * 0.2}, whole


@pytest.mark.parametrize("metric", [name for name in WATCHED_METRICS if name != "flat_btc_balance_hours"])
def test_run_stops_at_the_end_of_the_day_that_breaks_a_limit(metric: str) -> None:
    subject = engine(COINS)
    limits, whole = a_limit_broken_early(subject, metric)
    part = subject.backtest(BUSY, warmup_minutes=WARMUP, limits=limits)
    assert_prefix(part, whole)
    assert_metrics(subject, part, limits)
    found = part.analysis["usd"][metric]
    assert found is not None
    assert found > limits[metric]


@pytest.mark.parametrize("metric", ["btc_drawdown_worst", "flat_btc_balance_hours"])
def test_limits_in_btc(metric: str) -> None:
    subject = engine(COINS, btc_usd=BTC)
    limits, whole = a_limit_broken_early(subject, metric)
    part = subject.backtest(BUSY, warmup_minutes=WARMUP, limits=limits)
    assert_prefix(part, whole)
    assert_metrics(subject, part, limits)


def assert_metrics(subject: Engine, part: BacktestResult, limits: dict[str, float]) -> None:
    """``evaluate`` gives the same minute and bits, asked for daily figures or for all metrics."""
    for names in (["adg", "drawdown_worst"], list(METRICS)):
        row = subject.evaluate([BUSY], [STOPPED_MINUTE, *names], warmup_minutes=WARMUP, limits=limits)[0]
        assert row[0] == part.stopped
        assert bits(row[1:]) == bits([part.analysis["usd"][name] for name in names])


def test_equity_that_is_gone_stops_a_run_without_any_limit() -> None:
    subject = engine({"AAA": crash()})
    reckless = bot(
        {"total_wallet_exposure_limit": 3.0, "entry_initial_qty_pct": 1.0, "unstuck_loss_allowance_pct": 0.0}
    )
    whole = subject.backtest(reckless, warmup_minutes=WARMUP)
    assert whole.stopped is None
    assert whole.equity["usd"].to_numpy().min() < 0
    part = subject.backtest(reckless, warmup_minutes=WARMUP, limits={})
    assert part.stopped == 2 * DAY - 1
    assert part.equity == whole.equity.slice(0, 2 * DAY)
    drawdown = part.analysis["usd"]["drawdown_worst"]
    assert drawdown is not None
    assert drawdown > 1


def test_batch_stops_each_candidate_alone() -> None:
    subject = engine(COINS)
    bots = [bot({"total_wallet_exposure_limit": limit}, {}) for limit in np.linspace(0.05, 3, 23).tolist()]
    metrics = [STOPPED_MINUTE, "adg", "drawdown_worst", "position_held_hours_mean"]
    drawdown = subject.evaluate(bots, metrics, warmup_minutes=WARMUP)[:, 2]
    limits = {"drawdown_worst": float(np.quantile(drawdown, 0.3))}
    together = subject.evaluate(bots, metrics, warmup_minutes=WARMUP, limits=limits)
    alone = [subject.evaluate([b], metrics, warmup_minutes=WARMUP, limits=limits)[0] for b in bots]
    assert together.tobytes() == np.stack(alone).tobytes()
    stopped = np.isfinite(together[:, 0])
    assert 3 < stopped.sum() < 20
    # No candidate that keeps the limit is stopped, and none that is stopped keeps it.
    assert (drawdown[stopped] > limits["drawdown_worst"]).all()
    whole = subject.evaluate(bots, metrics, warmup_minutes=WARMUP)
    assert whole[~stopped].tobytes() == together[~stopped].tobytes()


def test_limits_that_are_kept_change_nothing() -> None:
    subject = engine(COINS)
    whole = subject.backtest(BUSY, warmup_minutes=WARMUP)
    wide = subject.backtest(BUSY, warmup_minutes=WARMUP, limits={"drawdown_worst": 9.0})
    assert whole.stopped is wide.stopped is None
    assert (whole.fills, whole.equity, whole.analysis) == (wide.fills, wide.equity, wide.analysis)
    row = subject.evaluate([BUSY], ["adg", STOPPED_MINUTE], warmup_minutes=WARMUP)[0]
    assert bits(row) == bits([whole.analysis["usd"]["adg"], None])


ALLOWED = (
    "allowed are drawdown_worst, equity_balance_diff_neg_max, equity_balance_diff_pos_max, "
    "flat_btc_balance_hours, position_held_hours_max, position_unchanged_hours_max, "
    "total_wallet_exposure_max, btc_ before them for the BTC set"
)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"adg": 0.1}, f'a run can\'t be stopped by a limit of "adg"; {ALLOWED}'),
        ({"btc_gain": 2}, f'a run can\'t be stopped by a limit of "btc_gain"; {ALLOWED}'),
        ({"drawdown": 0.1}, f'a run can\'t be stopped by a limit of "drawdown"; {ALLOWED}'),
        ({"drawdown_worst": math.nan}, "the limit of drawdown_worst is NaN; allowed is a finite number"),
        (
            {"drawdown_worst": "low"},
            "limits is {'drawdown_worst': 'low'}; allowed is a mapping of metrics to numbers",
        ),
        ([0.1], "limits is [0.1]; allowed is a mapping of metrics to numbers"),
    ],
)
def test_what_is_refused(limits: Any, message: str) -> None:
    subject = engine(COINS)
    for call in (
        lambda: subject.backtest(BUSY, limits=limits),
        lambda: subject.evaluate([BUSY], ["adg"], limits=limits),
        lambda: subject.evaluate_matrix(np.ones((1, 58)), BUSY, ["adg"], limits=limits),
    ):
        with pytest.raises(EngineError) as caught:
            call()
        assert str(caught.value) == message
