"""The live bot, killed with SIGKILL at random points and started again.

    scripts/soak kills [--kills 200] [--seed 1] [--exchange bybit] [--candles FOLDER]

After every kill no order may rest twice; after every fifth a bot takes over and everything is checked
(tests/live/kills.py).
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.live.kills import Kills, kill_often  # noqa: E402
from tests.live.real import real_source  # noqa: E402


def main() -> None:
    """Run, and print figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--exchange", default="bybit")
    parser.add_argument("--longest", type=float, default=2.0, help="Longest life, seconds.")
    parser.add_argument("--candles", type=Path, default=ROOT.parent / "shared" / "candles" / "perp-2023-07")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    source = real_source(given.candles, ("BTC", "DOGE"), 40_000)
    with tempfile.TemporaryDirectory(prefix="soak-kills-") as folder:
        told(
            kill_often(
                given.exchange,
                Path(folder),
                source,
                given.kills,
                given.seed,
                longest=given.longest,
                progress=told,
            )
        )


def told(figures: Kills) -> None:
    """Print a line."""
    print(
        f"{figures.kills} kills in {figures.seconds:,.0f} s: {figures.orders:,} orders, "
        f"{figures.fills:,} fills, {figures.checks} whole checks, {figures.adopted:,} orders adopted",
        flush=True,
    )


if __name__ == "__main__":
    main()
