"""The bot at every exchange's dialect: it enters, closes, starts again, and what rests is the plan."""

from pathlib import Path

import pytest

from passivbot.exchanges import NAMES
from passivbot.venue import MarketSource, VenueMarket
from tests.exchanges.bench import rules_of
from tests.live.rig import START_MS, counts, rig, walk_source


def walk_of(name: str, minutes: int = 3000, seed: int = 1) -> MarketSource:
    """A random walk over two markets with the steps and contracts of an exchange."""
    walk, rules = walk_source(minutes, seed), rules_of(name)
    candles = {}
    for coin in walk.coins:
        rows = walk.candles(coin, walk.first_ms, walk.last_ms + 1).copy()
        step = rules[coin].price_step
        rows[:, 1:5] = ((rows[:, 1:5] / step).round() * step).round(10)
        candles[coin] = rows
    return MarketSource([VenueMarket(c, rules[c], listed_ms=START_MS - 10**10) for c in walk.coins], candles)


@pytest.mark.parametrize("name", NAMES)
async def test_the_bot_trades_at(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path, source=walk_of(name)) as r:
        await r.start()
        await r.settle()
        r.check()
        for _ in range(60):
            await r.minutes(1)
            if len(r.core.executions) >= 6:
                break
        r.check()
        assert len(r.core.executions) >= 6
        assert not r.failed
        assert not counts(r.told)
        orders = set(r.resting())
        await r.start()
        await r.settle()
        assert set(r.resting()) == orders
        r.check()
