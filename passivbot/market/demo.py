"""The embedded demo candles: six synthetic coins, fourteen days, part of the package.

They carry the names of well-known coins, so that shipped configurations apply to them, but nothing in them is
market data. ``write_demo(demo_folder())`` writes them again.
"""

from pathlib import Path

from passivbot.market.folder import CandleFolder
from passivbot.market.synthetic import generate, write_folder

SEED = 20250303
MINUTES = 14 * 1440
MAKER_FEE = 0.0002
REGIMES = {"BTC": "calm", "ETH": "trend", "SOL": "crash", "LINK": "late", "XRP": "gap", "DOGE": "calm"}
"""Coin → regime."""


def demo_folder() -> Path:
    """Return the folder of the embedded demo candles."""
    return Path(__file__).resolve().parent / "demo_candles"


def write_demo(path: str | Path) -> CandleFolder:
    """Write the demo candles to a folder; the embedded ones were made so."""
    tables, rules = generate(REGIMES, seed=SEED, minutes=MINUTES)
    return write_folder(path, tables, rules, maker_fee=MAKER_FEE)
