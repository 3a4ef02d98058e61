"""The bot at a venue that replays candles, against the backtest of the same configuration over them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from passivbot.config import Config
from passivbot.config.warmup import warmup_minutes
from passivbot.engine import Engine
from passivbot.live.ids import order_type
from passivbot.live.policy import Policy
from passivbot.times import MINUTE_MS
from passivbot.venue import MarketSource
from tests.live.real import real_source
from tests.live.rig import EAGER, START_MS, config_of, rig, walk_source

EXACT = replace(EAGER, ladder=500)
BALANCE = 10_000.0


@dataclass(frozen=True)
class Filled:
    """One fill, as both sides tell it."""

    minute_ms: int
    coin: str
    type: str
    qty: float
    price: float
    size: float
    position_price: float
    balance: float


def backtest_fills(source: MarketSource, config: Config, first_ms: int, end_ms: int) -> list[Filled]:
    """What the engine does over the venue's candles."""
    columns: dict[str, Any] = {"timestamp": np.arange(first_ms, end_ms, MINUTE_MS, dtype=np.int64)}
    for coin in source.coins:
        rows = source.candles(coin, first_ms, end_ms)
        assert len(rows) == len(columns["timestamp"])
        high, low, close, volume = rows[:, 2], rows[:, 3], rows[:, 4], rows[:, 5]
        columns |= {
            f"{coin}.high": high,
            f"{coin}.low": low,
            f"{coin}.close": close,
            f"{coin}.volume": volume * close,
        }
    markets = {coin: source.market(coin).rules for coin in source.coins}
    engine = Engine(pa.table(columns), markets, starting_balance=BALANCE, maker_fee=0.0002)
    warmup, coins = warmup_minutes(config, engine.coins)
    result = engine.backtest(config.bot.to_engine(), config.engine_overrides(engine.coins), warmup, coins)
    return [
        Filled(
            first_ms + row["minute"] * MINUTE_MS,
            row["coin"],
            row["order_type"],
            row["qty"],
            row["price"],
            row["position_size"],
            row["position_price"],
            row["balance"],
        )
        for row in result.fills.to_pylist()
    ]


async def live_fills(
    name: str, folder: Path, source: MarketSource, config: Config, policy: Policy, start: int, minutes: int
) -> list[Filled]:
    """What the bot does at the venue; nothing may make a guard speak."""
    async with rig(
        name, folder, source=source, config=config, policy=policy, start_minute=start, balance=BALANCE
    ) as r:
        # The backtest's book has one price, the close; these dialects' have a step between bid and ask.
        r.venue.faults.add("tickers", "edit", times=10**9, edit=one_price)
        await r.start()
        await r.settle()
        await r.minutes(minutes)
        assert r.told == []
        found = []
        for execution in r.core.executions:
            sign = 1.0 if execution.side == "buy" else -1.0
            kind = order_type(execution.client_id)
            assert kind is not None
            found.append(
                Filled(
                    execution.time_ms // MINUTE_MS * MINUTE_MS,
                    execution.coin,
                    kind,
                    sign * execution.qty,
                    execution.price,
                    execution.size_after,
                    execution.price_after,
                    execution.balance_after,
                )
            )
        return found


def one_price(body: Any) -> Any:
    """A ticker answer whose best ask is its best bid."""
    rows = body["result"]["list"] if isinstance(body, dict) and "result" in body else []
    for row in rows:
        row["ask1Price"] = row["bid1Price"]
    for row in body if isinstance(body, list) else []:
        if "askPrice" in row:
            row["askPrice"] = row["bidPrice"]
    return body


def close_to(a: Filled, b: Filled) -> bool:
    """The same fill: same minute, coin, type, quantity and price; money to the digits that exchanges tell."""
    same = (a.minute_ms, a.coin, a.type, a.qty, a.price) == (b.minute_ms, b.coin, b.type, b.qty, b.price)
    money = [(a.size, b.size), (a.balance, b.balance)]
    if a.size:
        money.append((a.position_price, b.position_price))
    return same and np.allclose(*zip(*money, strict=True), rtol=1e-9, atol=1e-6)


VARIANTS: dict[str, dict[str, Any]] = {
    "grid": {},
    "trailing": {
        "bot__long__entry_trailing_grid_ratio": 0.5,
        "bot__long__entry_trailing_threshold_pct": 0.003,
        "bot__long__entry_trailing_retracement_pct": 0.001,
        "bot__long__close_trailing_grid_ratio": 1.0,
        "bot__long__close_trailing_threshold_pct": 0.002,
        "bot__long__close_trailing_retracement_pct": 0.0005,
        "bot__short__entry_trailing_grid_ratio": -0.4,
        "bot__short__entry_trailing_threshold_pct": 0.002,
        "bot__short__entry_trailing_retracement_pct": 0.001,
    },
    "one slot for two coins": {"bot__long__n_positions": 1.0, "bot__short__n_positions": 1.0},
    "own limit, reduced above it": {
        "coin_overrides": {"DOGE": {"bot": {"long": {"wallet_exposure_limit": 0.3}}}},
        "bot__long__entry_initial_qty_pct": 0.3,
    },
}


@pytest.mark.parametrize(
    ("name", "variant"), [*(("bybit", variant) for variant in VARIANTS), ("binanceusdm", "trailing")]
)
async def test_the_bot_makes_the_fills_of_the_backtest(name: str, variant: str, tmp_path: Path) -> None:
    config = config_of(**VARIANTS[variant])
    minutes, source = 150, walk_source(minutes=400, seed=7, volatility=0.002)
    warmup, _ = warmup_minutes(config, source.coins)
    start = warmup + 2
    expected = backtest_fills(source, config, START_MS, START_MS + (start + minutes + 1) * MINUTE_MS)
    found = await live_fills(name, tmp_path, source, config, EXACT, start, minutes)
    assert len(expected) > 20
    kinds = {fill.type for fill in expected}
    assert any("close" in kind for kind in kinds)
    assert any("entry_grid" in kind for kind in kinds)
    for a, b in zip(expected, found, strict=False):
        assert close_to(a, b), f"\nbacktest {a}\nlive     {b}"
    assert len(found) == len(expected)


REAL = ("BTC", "DOGE", "ETH", "XRP")
LIVELY_MINUTE = 10_400


async def test_on_real_candles_too(shared_dir: Path, tmp_path: Path) -> None:
    """Two slots for four coins, in an hour and a half of July 2023 in which much happened."""
    whole = real_source(shared_dir / "candles" / "perp-2023-07", REAL, LIVELY_MINUTE + 400)
    first_ms = whole.first_ms + LIVELY_MINUTE * MINUTE_MS
    source = MarketSource(
        list(whole.markets.values()),
        {coin: whole.candles(coin, first_ms, whole.last_ms + 1) for coin in REAL},
    )
    config = config_of(REAL)
    start, minutes = warmup_minutes(config, REAL)[0] + 2, 90
    expected = backtest_fills(source, config, first_ms, first_ms + (start + minutes + 1) * MINUTE_MS)
    found = await live_fills("bybit", tmp_path, source, config, EXACT, start, minutes)
    assert len(expected) > 20
    for a, b in zip(expected, found, strict=False):
        assert close_to(a, b), f"\nbacktest {a}\nlive     {b}"
    assert len(found) == len(expected)
