"""The live bot over many minutes of real candles, with random faults.

    scripts/soak live [--minutes 20000] [--seed 1] [--exchange bybit] [--candles FOLDER]

Each minute's exposure and orders are checked, every 40 minutes everything (tests/live/soak.py). Ends with the
figures, or at the first assertion that fails; the seed repeats the faults.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.live.real import real_source  # noqa: E402
from tests.live.soak import Figures, soak  # noqa: E402


def main() -> None:
    """Run, and print figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--exchange", default="bybit")
    parser.add_argument("--candles", type=Path, default=ROOT.parent / "shared" / "candles" / "perp-2023-07")
    parser.add_argument("--coins", default="BTC,DOGE,XRP")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    source = real_source(given.candles, given.coins.split(","), given.minutes + 3000)
    with tempfile.TemporaryDirectory(prefix="soak-live-") as folder:
        figures = asyncio.run(
            soak(given.exchange, Path(folder), source, given.minutes, given.seed, progress=told)
        )
    told(figures)
    print(f"faults: {dict(figures.faults)}")
    memory = [round(mb) for mb in figures.memory_mb]
    print(f"memory, MiB, every 500 minutes: {memory}")


def told(figures: Figures) -> None:
    """Print a line."""
    print(
        f"{figures.minutes:,} minutes in {figures.seconds:,.0f} s: {figures.fills:,} fills, "
        f"{sum(figures.faults.values()):,} faults, {figures.restarts} restarts, {figures.checks:,} checks, "
        f"worst exposure {figures.worst_exposure:.4f} of 1, "
        f"{figures.memory_mb[-1] if figures.memory_mb else 0:.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
