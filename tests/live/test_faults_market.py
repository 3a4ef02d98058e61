"""Faults of candles, rules and markets: numbers as in the list of docs/live.md."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from passivbot.engine import MarketRules
from passivbot.times import MINUTE_MS
from passivbot.venue import MarketSource
from tests.live.rig import BOTH, RULES, START_MS, Rig, config_of, counts, rig, walk_source

pytestmark = pytest.mark.parametrize("name", BOTH)


async def traded(r: Rig, minutes: int = 3) -> None:
    """Start, and trade for some minutes."""
    await r.start()
    await r.settle()
    await r.minutes(minutes)


def patchy_source() -> MarketSource:
    """A walk with minutes missing in the warm-up and later, and minutes without volume."""
    source = walk_source()
    candles = {}
    rng = np.random.default_rng(3)
    for coin in source.coins:
        rows = source.candles(coin, source.first_ms, source.last_ms + 1).copy()
        rows[rng.random(len(rows)) < 0.1, 5] = 0.0
        keep = rng.random(len(rows)) > 0.05
        keep[0] = True
        candles[coin] = rows[keep]
    return MarketSource(list(source.markets.values()), candles)


async def test_fault_25_missing_and_zero_volume_candles(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path, source=patchy_source()) as r:
        await traded(r, 15)
        r.check()
        # The gaps of the exchange are none for the averages.
        for coin in ("BTC", "DOGE"):
            start, rows = r.cache.load(coin, 0)
            known = r.feed.strategy.next_ms(coin)
            assert known is not None
            assert start + len(rows) * MINUTE_MS == known
            assert np.isfinite(rows).all()


async def test_fault_25_late_candles_hold_entries_back(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await traded(r, 2)
        r.venue.faults.add("candles", "truncate", keep=0, times=10**6)
        for _ in range(5):
            r.venue.advance()
            await r.look()
        before = {order.id for order in r.core.open_orders}
        await r.look()
        assert {order.id for order in r.core.open_orders} <= before
        assert r.feed.lag("BTC", r.venue.clock.now_ms) >= 4
        r.venue.faults.clear()
        await r.settle()
        assert r.feed.lag("BTC", r.venue.clock.now_ms) == 0
        r.check()


async def test_fault_25_candles_that_fail_are_told(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await traded(r, 1)
        r.venue.faults.add("candles", "status", status=502, body={}, times=2)
        r.venue.advance()
        await r.look()
        assert "candles" in counts(r.told)
        await r.settle()
        r.check()


async def test_fault_26_tick_lot_and_minimum_change(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await traded(r, 1)
        coarse = MarketRules(qty_step=0.002, price_step=0.5, min_qty=0.004, min_cost=50.0, c_mult=1.0)
        r.venue.source.change("BTC", rules=coarse)
        known = {order.id for order in r.core.open_orders}
        for _ in range(20):
            r.venue.advance()
            await r.look()
            if "rules" in counts(r.told):
                break
        assert r.exchange is not None
        assert r.exchange.markets["BTC"].rules.price_step == 0.5
        r.venue.advance(2)
        await r.settle()
        new = [o for o in r.core.open_orders if o.coin == "BTC" and o.id not in known]
        assert new
        assert all(abs(o.price / 0.5 - round(o.price / 0.5)) < 1e-9 for o in new)
        r.check()


async def test_fault_27_delisting(name: str, tmp_path: Path) -> None:
    """A market that closes: its orders are left alone, the other coin goes on."""
    async with rig(name, tmp_path) as r:
        await traded(r, 2)
        r.venue.source.change("DOGE", active=False)
        for _ in range(62):
            r.venue.advance()
        for _ in range(6):
            await r.look()
        assert any("closed" in text or "no entry" in text for _, text in r.told)
        placed = len([o for o in r.core.orders.values() if o.coin == "DOGE"])
        for _ in range(3):
            r.venue.advance()
            for _ in range(3):
                await r.look()
        assert len([o for o in r.core.orders.values() if o.coin == "DOGE"]) == placed
        assert any(o.coin == "BTC" for o in r.core.open_orders)
        assert r.bot is not None


async def test_fault_27_reduce_only_market(name: str, tmp_path: Path) -> None:
    """Entries are refused: the bot stops trying for a while, closes go on."""
    async with rig(name, tmp_path) as r:
        r.core.create(client_id="", coin="DOGE", side="buy", qty=2000.0, price=None, position_side="long")
        await r.start()
        r.core.refuse_reason["DOGE"] = "inactive"
        await r.look()
        r.core.refuse_reason.clear()
        for _ in range(6):
            await r.look()
        assert "market" in counts(r.told)
        assert {o.closes for o in r.core.open_orders if o.coin == "DOGE"} == {True}
        assert any(not o.closes for o in r.core.open_orders if o.coin == "BTC")
        r.venue.advance(61)
        await r.settle()
        assert any(not o.closes for o in r.core.open_orders if o.coin == "DOGE")
        r.check()


async def test_fault_27_maintenance(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await traded(r, 1)
        before = r.resting()
        r.venue.faults.add("*", "error", name="maintenance", times=6)
        r.venue.advance()
        sent = r.sent
        while r.venue.faults.waiting:
            await r.look()
        assert r.failed
        assert r.sent == sent or before
        await r.settle()
        r.check()


async def test_a_young_coin_and_one_that_is_too_dear_are_not_entered(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    source = walk_source()
    source.change("DOGE", listed_ms=START_MS - 86_400_000)
    source.change("BTC", rules=replace(RULES["BTC"], min_cost=5000.0))
    config = config_of(live__minimum_coin_age_days=2.0)
    async with rig(name, tmp_path, source=source, config=config) as r:
        await r.start()
        for _ in range(3):
            await r.look()
        assert not r.core.orders
        assert r.bot is not None
        assert r.bot.universe is not None
        reasons = r.bot.universe.reasons
        assert "least cost" in reasons["BTC", "long"]
        assert "listed" in reasons["DOGE", "long"] or name == "none"
        said = [record.getMessage() for record in caplog.records if "not entered" in record.getMessage()]
        assert len(said) == 1, "once, not in each cycle"
        assert f"BTC long: {reasons['BTC', 'long']}" in said[0]
