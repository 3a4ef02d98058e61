"""Candles at the edge of sense: hardly any, missing ones, dead coins."""

import math

import numpy as np
import pytest

from passivbot.engine import BacktestResult

from .panels import Candles, bot, engine, flat, walk

MINUTES = 4000
EAGER = {"entry_initial_ema_dist": -0.5}
"""The first entry rests at the close: it fills at once."""


def fills_of(result: BacktestResult, coin: str) -> list[dict[str, object]]:
    return [row for row in result.fills.to_pylist() if row["coin"] == coin]


@pytest.mark.parametrize("minutes", [1, 2, 3])
@pytest.mark.parametrize("btc", [False, True])
def test_hardly_any_minutes(minutes: int, btc: bool) -> None:
    prices = np.full(minutes, 50_000.0) if btc else None
    subject = engine({"AAA": walk(1, minutes), "BBB": walk(2, minutes)}, btc_usd=prices)
    result = subject.backtest(bot(EAGER, EAGER), warmup_minutes=1, coin_warmup_minutes=0)
    assert result.fills.num_rows == 0
    assert result.equity.num_rows == minutes - 1
    assert result.equity["usd"].to_pylist() == [10_000.0] * (minutes - 1)
    assert result.equity["btc"].to_pylist() == [0.2 if btc else 0.0] * (minutes - 1)
    assert result.analysis["usd"]["drawdown_worst"] == 1.0
    assert result.analysis["usd"]["adg"] == 0.0
    assert subject.last_valid == (minutes - 1, minutes - 1)


def test_the_first_fill_is_possible_in_minute_three_and_the_last_minute_has_none() -> None:
    falling = flat(5)
    falling[:, :3] = np.array([[100.0, 99.0, 98.0, 97.0, 96.0]]).T
    falling[:, 1] -= 0.5
    result = engine({"AAA": falling}).backtest(bot(EAGER), warmup_minutes=1)
    assert set(result.fills["minute"].to_pylist()) == {3}
    assert result.equity.num_rows == 4


def test_nothing_but_nan() -> None:
    nothing: Candles = np.full((MINUTES, 4), math.nan)
    subject = engine({"AAA": nothing, "BBB": nothing})
    result = subject.backtest(bot(EAGER, EAGER), warmup_minutes=10)
    assert subject.first_valid == subject.last_valid == (MINUTES - 1, MINUTES - 1)
    assert result.fills.num_rows == 0
    assert result.equity["usd"].to_pylist() == [10_000.0] * (MINUTES - 1)


def test_a_coin_of_nan_takes_no_share_of_the_exposure_limit() -> None:
    alive, dead = walk(1, MINUTES), np.full((MINUTES, 4), math.nan)
    together = engine({"AAA": alive, "ZZZ": dead}).backtest(bot({"n_positions": 2.0}), warmup_minutes=50)
    alone = engine({"AAA": alive}).backtest(bot(), warmup_minutes=50)
    assert alone.fills.num_rows == 0
    alone = engine({"AAA": alive}).backtest(bot({}), warmup_minutes=50)
    assert together.fills.num_rows > 20
    assert together.fills == alone.fills
    assert together.equity == alone.equity


def test_zero_volume_is_no_matter_to_a_single_coin() -> None:
    candles = walk(1, MINUTES)
    silent = candles.copy()
    silent[:, 3] = 0.0
    unknown = candles.copy()
    unknown[::3, 3] = math.nan
    a, b, c = (
        engine({"AAA": each}).backtest(bot({}, {}), warmup_minutes=50) for each in (candles, silent, unknown)
    )
    assert a.fills.num_rows > 20
    assert a.fills == b.fills == c.fills
    assert a.analysis == b.analysis == c.analysis


def test_zero_volume_keeps_a_coin_out_of_the_selection() -> None:
    busy, silent = walk(1, MINUTES, volatility=0.0005), walk(2, MINUTES, volatility=0.005)
    silent[:, 3] = 0.0
    coins = {"AAA": busy, "BBB": silent}
    half = bot({**EAGER, "filter_volume_drop_pct": 0.5})
    assert set(engine(coins).backtest(half, warmup_minutes=50).fills["coin"].to_pylist()) == {"AAA"}
    all_of_them = bot({**EAGER, "filter_volume_drop_pct": 0.0})
    first = engine(coins).backtest(all_of_them, warmup_minutes=50).fills["coin"][0].as_py()
    assert first == "BBB"


def test_a_gap_inside_a_coins_life() -> None:
    candles = walk(1, MINUTES)
    candles[1500:1700] = math.nan
    subject = engine({"AAA": candles})
    result = subject.backtest(bot({**EAGER, "close_grid_markup_start": 0.5}, None), warmup_minutes=50)
    minutes = result.fills["minute"].to_numpy()
    assert subject.first_valid + subject.last_valid == (0, MINUTES - 1)
    assert not ((minutes >= 1500) & (minutes < 1701)).any()
    assert minutes.min() < 1500
    assert minutes.max() > 1700
    balance = [row["balance"] for row in result.fills.to_pylist() if row["minute"] < 1500][-1]
    equity = result.equity["usd"].to_numpy()
    # A position without a price counts nothing.
    assert set(equity[1500:1700].tolist()) == {balance}
    assert np.isfinite(equity).all()
    assert equity[1499] != balance


def test_a_coin_that_is_listed_late_and_one_that_is_delisted() -> None:
    early, late = walk(1, 6000), walk(2, 6000)
    early[2500:] = math.nan
    late[:2000] = math.nan
    coins = {"AAA": early, "BBB": late}
    subject = engine(coins)
    assert subject.first_valid == (0, 2000)
    assert subject.last_valid == (2499, 5999)
    hold = {**EAGER, "n_positions": 2.0, "close_grid_markup_start": 5.0, "close_grid_markup_end": 5.0}
    hold |= {"unstuck_loss_allowance_pct": 0.0, "enforce_exposure_limit": False}
    result = subject.backtest(bot(hold), warmup_minutes=100)
    first, second = fills_of(result, "AAA"), fills_of(result, "BBB")
    assert 100 < int(first[0]["minute"]) < 120  # type: ignore[call-overload]
    assert 2100 < int(second[0]["minute"]) < 2120  # type: ignore[call-overload]
    # The delisted coin's position never closes (its close of the last minute can't fill) and keeps counting.
    assert all(row["order_type"] != "close_unstuck_long" for row in first)
    for row in second:
        held = float(first[-1]["position_size"]) * float(first[-1]["position_price"])  # type: ignore[arg-type]
        share = held / float(row["balance"])  # type: ignore[arg-type]
        assert row["total_wallet_exposure"] == pytest.approx(float(row["wallet_exposure"]) + share)  # type: ignore[arg-type]
    # After the delisting equity leaves the coin out.
    equity, last = result.equity["usd"].to_numpy(), second[-1]
    value = float(last["position_size"]) * (late[5998, 2] - float(last["position_price"]))  # type: ignore[arg-type]
    assert equity[5998] == pytest.approx(float(last["balance"]) + value)  # type: ignore[arg-type]


def test_an_end_within_a_day_of_the_panels_end_is_no_delisting() -> None:
    candles = walk(1, MINUTES)
    candles[MINUTES - 1399 :] = math.nan
    subject = engine({"AAA": candles})
    assert subject.last_valid == (MINUTES - 1400,)
    result = subject.backtest(bot(EAGER, EAGER), warmup_minutes=50)
    assert result.fills.num_rows > 20
    assert result.fills["minute"].to_numpy().max() <= MINUTES - 1400


def test_prices_of_one_step_are_never_bought() -> None:
    cheap = flat(500, 0.01)
    cheap[::2, 0] = 0.02
    cheap[1::3, 1] = 0.005
    assert engine({"AAA": cheap}).backtest(bot(EAGER), warmup_minutes=20).fills.num_rows == 0
