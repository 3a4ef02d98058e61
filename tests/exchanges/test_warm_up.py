"""Candles for a warm-up, by each exchange's pages: whole, also of a young coin, or as far as it has them."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from passivbot.exchanges import NAMES
from passivbot.live.candles import CandleCache
from passivbot.live.feed import Feed
from passivbot.live.strategy import trailing_grid
from passivbot.times import MINUTE_MS
from passivbot.venue import MarketSource, VenueMarket
from tests.exchanges.bench import START_MS, Bench, bench, flat_source, rules_of
from tests.live.rig import config_of

_YOUNG = 8 * 1440
"""Minutes before the young coin was listed."""
_NOW = START_MS + (_YOUNG + 700) * MINUTE_MS
_KEPT = {"gate": 9900, "hyperliquid": 4900}
"""Minutes that are asked for where not all are kept."""


def source_of(name: str) -> MarketSource:
    """BTC with another volume in every minute, and DOGE, which is listed late."""
    source = flat_source(name)
    rows = {coin: source.candles(coin, source.first_ms, source.last_ms + 1) for coin in source.coins}
    rows["BTC"][:, 5] = 1.0 + np.arange(len(rows["BTC"]))
    rows["DOGE"] = rows["DOGE"][_YOUNG:]
    born = {"BTC": START_MS, "DOGE": START_MS + _YOUNG * MINUTE_MS}
    rules = rules_of(name)
    return MarketSource([VenueMarket(coin, rules[coin], listed_ms=born[coin]) for coin in rules], rows)


@pytest.mark.parametrize("warmup", [5000, 11_000])
@pytest.mark.parametrize("name", NAMES)
def test_a_warm_up_has_every_minute_that_there_is(name: str, warmup: int, tmp_path: Path) -> None:
    async def scene(b: Bench) -> None:
        b.venue.clock.now_ms = _NOW
        told: list[str] = []
        cache = CandleCache(tmp_path / "candles.sqlite")
        feed = Feed(b.exchange, cache, trailing_grid, lambda coin, why: told.append(f"{coin}: {why}"))
        config = config_of(
            live__max_warmup_minutes=float(warmup),
            live__max_memory_candles_per_symbol=20_000.0,
            bot__long__ema_span_0=float(warmup),
        )
        rules = {coin: market.rules for coin, market in b.exchange.markets.items()}
        await feed.start(config, rules, _NOW)
        assert not told
        assert (feed.lag("BTC", _NOW), feed.lag("DOGE", _NOW)) == (0, 0)
        assert cache.load("DOGE", 0)[0] == START_MS + _YOUNG * MINUTE_MS
        start, minutes = cache.load("BTC", 0)
        assert (_NOW - start) // MINUTE_MS == min(warmup + 2, _KEPT.get(name, warmup + 2))
        # No minute was skipped and filled in.
        volumes = minutes[:, 3] / minutes[:, 2]
        assert np.diff(volumes) == pytest.approx(1.0)
        assert feed.is_warm("BTC") is (warmup + 2 <= _KEPT.get(name, warmup + 2))
        assert not feed.is_warm("DOGE")
        cache.close()

    async def run() -> None:
        async with bench(name, source_of(name)) as table:
            await scene(table)

    asyncio.run(run())
