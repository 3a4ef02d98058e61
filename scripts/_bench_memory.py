"""Peak memory of ``evaluate`` beyond the panel and the prepared tables, in a process of its own.

Called as a program it measures one panel and prints JSON; see :func:`measure`.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from _bench_time import peak_beyond
from _bench_work import DAILY, synthetic, with_random_bots

from passivbot.engine import METRICS

TARGET_MB = 64.0
"""Most that a batch of 64 may need."""

PANELS = ((4, 60_000), (15, 43_200), (20, 525_600), (60, 520_000))
"""Coins and minutes; the last is 1 GB."""


def bench_memory() -> list[dict[str, Any]]:
    """Return one row per panel and set of metrics."""
    rows: list[dict[str, Any]] = []
    for coins, minutes in PANELS:
        print(f"{coins} coins x {minutes:,} minutes …", file=sys.stderr, flush=True)
        command = [sys.executable, str(Path(__file__).resolve()), str(coins), str(minutes)]
        rows += json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return rows


def measure(coins: int, minutes: int) -> list[dict[str, Any]]:
    """Measure a batch of 64 over a synthetic panel, for daily metrics and for all of them.

    Beyond means: beyond what the process holds when panel, tables and candidates are ready.
    """
    work = with_random_bots(synthetic(coins, minutes, (), f"{coins} coins x {minutes:,} minutes"), 64)
    panel = sum(work.table[name].nbytes for name in work.table.column_names)
    prepared = work.prepared.nbytes
    rows = []
    for name, metrics in (("daily", DAILY), ("all", METRICS)):
        peak = peak_beyond(work.evaluation(work.bots, metrics)) / 1e6
        rows.append(
            {
                "panel": work.name,
                "panel, MB": panel / 1e6,
                "prepared, MB": prepared / 1e6,
                "share": prepared / panel,
                "metrics": name,
                "peak beyond, MB": peak,
                "target, MB": TARGET_MB,
                "met": peak < TARGET_MB and prepared <= 0.3 * panel,
            }
        )
    return rows


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
