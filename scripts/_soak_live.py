"""The live bot over many minutes of real candles, with random faults.

    scripts/soak live [--minutes 20000] [--seed 1] [--exchange bybit] [--candles FOLDER]

The bot runs in a process of its own against the loopback venue in this one. Each minute's exposure and orders
are checked, every 40 minutes everything, at the end every fill, and that the bot's memory is flat
(tests/live/soak.py). Ends with the figures, or at the first assertion that fails. The seed repeats faults,
SIGTERM ends it earlier.
"""

import argparse
import asyncio
import logging
import signal
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.live.real import real_source  # noqa: E402
from tests.live.soak import GROWTH_MB, Figures, soak  # noqa: E402

_SAMPLES = 40


def main() -> int:
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
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    every = max(given.minutes // _SAMPLES, 1)
    with tempfile.TemporaryDirectory(prefix="soak-live-") as folder:
        figures = asyncio.run(
            soak(
                given.exchange,
                Path(folder),
                source,
                given.minutes,
                given.seed,
                sample_minutes=every,
                progress=told,
                ended=ended.is_set,
            )
        )
    told(figures)
    print(f"faults: {dict(figures.faults)}")
    print(
        f"{figures.requests_per_minute:.1f} requests a minute of market time, at most {figures.most_requests}"
    )
    memory = [round(mb, 1) for mb in figures.memory_mb]
    print(f"the bot's memory, MiB, every {every} minutes: {memory}")
    flat = figures.growth_mb <= GROWTH_MB
    print(
        f"mean of the last quarter less that of the second: {figures.growth_mb:+.1f} MiB; "
        f"{'flat' if flat else 'NOT FLAT'}: at most {GROWTH_MB:g}"
    )
    return 0 if flat else 1


def told(figures: Figures) -> None:
    """Print a line."""
    print(
        f"{figures.minutes:,} minutes in {figures.seconds:,.0f} s: {figures.fills:,} fills, "
        f"{sum(figures.faults.values()):,} faults, {figures.restarts} restarts, {figures.checks:,} checks, "
        f"worst exposure {figures.worst_exposure:.4f} of 1, "
        f"{figures.memory_mb[-1] if figures.memory_mb else 0:.1f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
