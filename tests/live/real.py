"""Real candles as a venue's market."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from passivbot.engine import MarketRules
from passivbot.venue import MarketSource, VenueMarket

REAL_RULES = {
    "BTC": MarketRules(qty_step=0.001, price_step=0.1, min_qty=0.001, min_cost=5.0, c_mult=1.0),
    "DOGE": MarketRules(qty_step=1.0, price_step=0.00001, min_qty=1.0, min_cost=5.0, c_mult=1.0),
    "ETH": MarketRules(qty_step=0.001, price_step=0.01, min_qty=0.001, min_cost=5.0, c_mult=1.0),
    "XRP": MarketRules(qty_step=0.1, price_step=0.0001, min_qty=0.1, min_cost=5.0, c_mult=1.0),
}
"""Steps and minima as they were on Binance then."""


def real_source(folder: Path, coins: Sequence[str], minutes: int) -> MarketSource:
    """Return a market of so many minutes that all coins have.

    Parameters
    ----------
    folder
        Candle folder.
    coins
        Some of :data:`REAL_RULES`.
    minutes
        From the first minute on that all have.
    """
    columns = ("timestamp", "open", "high", "low", "close", "volume")
    tables = {}
    for coin in coins:
        table = pq.read_table(folder / f"{coin}.parquet", columns=list(columns))
        tables[coin] = np.stack(
            [table.column(name).to_numpy().astype(np.float64) for name in columns], axis=1
        )
    first = max(rows[0, 0] for rows in tables.values())
    candles = {coin: rows[rows[:, 0] >= first][:minutes] for coin, rows in tables.items()}
    markets = [VenueMarket(coin, REAL_RULES[coin], listed_ms=int(first) - 10**10) for coin in coins]
    return MarketSource(markets, candles)
