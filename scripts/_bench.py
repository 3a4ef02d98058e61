"""Benchmarks of the engine and of the search on the real candles beside the project.

Called by ``scripts/bench``. Prints a table, and with ``--json FILE`` writes the figures too; the method
stands in ``docs/benchmarks.md``.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from passivbot.engine import Engine, MarketRules
from passivbot.market import CandleFolder, build_panel
from passivbot.market.clean import MINUTE_MS

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

DAILY = ("adg", "drawdown_worst", "loss_profit_ratio", "position_held_hours_mean", "sharpe_ratio")
"""Metrics that the engine gets from fills and daily equity."""

STUDIES = (
    ("spot-2024", None, "nsga2", 2000),
    ("spot-2024", None, "sobol", 2000),
    ("spot-2024", None, "tpe", 200),
    ("perp-2025-05", "AVAX,BCH,BNB,BTC,ENA,ETC,ETH,LAYER,LINK,LTC,SOL,SUI,XLM,XMR,XRP", "nsga2", 3000),
    ("perp-2025-05", "AVAX,BCH,BNB,BTC,ENA,ETC,ETH,LAYER,LINK,LTC,SOL,SUI,XLM,XMR,XRP", "tpe", 300),
)
"""Candle set, coins (None: all), search, candidates."""

_FINISHED = re.compile(
    r"finished: ([\d,]+) candidates in ([\d.]+) s, ([\d.]+)/s; ([\d.]+)% .* engine, (\d+) µs"
)
_FRONT = re.compile(r"front of (\d+) from .*?([\d,]+) of them feasible; hypervolume ([\d.]+)")


def fixed_work(file: Path) -> tuple[Engine, Mapping[str, Any], int]:
    """Return the engine of a file of fixed work, its content, and the valid coin-minutes of a run."""
    work = json.loads(file.read_text())
    folder = CandleFolder.open(SHARED / "candles" / work["candles"])
    first, last = work["first_minute_ms"], work["last_minute_ms"]
    panel = build_panel(folder, work["coins"], start_ms=first, end_ms=last)
    rules = MarketRules(**work["market_rules"])
    engine = Engine(
        panel.table,
        dict.fromkeys(panel.coins, rules),
        starting_balance=work["starting_balance"],
        maker_fee=work["maker_fee"],
    )
    if panel.first_ms != first or panel.last_ms != first + (last - first) // MINUTE_MS * MINUTE_MS:
        sys.exit(f"error: {file}: the candles do not span its window")
    valid = sum(b - a + 1 for a, b in zip(engine.first_valid, engine.last_valid, strict=True))
    return engine, work, valid


def thread_seconds(act: Callable[[], object], runs: int) -> float:
    """Return the least CPU time of this thread over some runs."""
    least = np.inf
    for _ in range(runs):
        begin = time.thread_time()
        act()
        least = min(least, time.thread_time() - begin)
    return float(least)


def bench_engine(runs: int) -> list[dict[str, Any]]:
    """Time the fixed work: metrics only, and with fills and equity kept."""
    rows = []
    for file in sorted((SHARED / "bench").glob("*.json")):
        engine, work, valid = fixed_work(file)
        bots = work["bots"]
        fills = [engine.backtest(bot).fills.num_rows for bot in bots]
        seconds = sum(thread_seconds(partial(engine.evaluate, [bot], DAILY), runs) for bot in bots)
        kept = sum(thread_seconds(partial(engine.backtest, bot), runs) for bot in bots)
        rows.append(
            {
                "work": file.stem,
                "coin-minutes": valid * len(bots),
                "fills": sum(fills),
                "fills as recorded": fills == work["fills"],
                "seconds": seconds,
                "M coin-min/s": valid * len(bots) / seconds / 1e6,
                "ns a coin-min": seconds / (valid * len(bots)) * 1e9,
                "seconds, all kept": kept,
                "reference's seconds": sum(work["reference_seconds"]),
                "ratio": sum(work["reference_seconds"]) / seconds,
            }
        )
    return rows


def bench_study(only: str | None) -> list[dict[str, Any]]:
    """Run the main job with two workers and read off what it prints."""
    rows = []
    for candles, coins, search, count in STUDIES:
        if only and only not in (candles, search):
            continue
        with tempfile.TemporaryDirectory() as folder:
            command = [
                sys.executable,
                "-m",
                "passivbot",
                "optimize",
                str(ROOT / "configs" / "quickstart.json"),
            ]
            command += [
                "--candles",
                str(SHARED / "candles" / candles),
                "--search",
                search,
                "--iters",
                str(count),
            ]
            command += ["--workers", "2", "--seed", "7", "--study", f"{folder}/study"]
            command += ["--coins", coins] if coins else []
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            finished, front = _FINISHED.search(done.stdout), _FRONT.search(done.stdout)
            if done.returncode or not finished or not front:
                sys.exit(f"error: {' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        rows.append(
            {
                "candles": candles,
                "search": search,
                "candidates": count,
                "seconds": float(finished[2]),
                "candidates/s": float(finished[3]),
                "in engine": f"{finished[4]} %",
                "beside it": f"{finished[5]} µs",
                "feasible": int(front[2].replace(",", "")),
                "front": int(front[1]),
                "hypervolume": float(front[3]),
            }
        )
    return rows


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _cpuinfo().splitlines() if line.startswith("model name")),
        "?",
    )
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "processor": model,
        "cores": psutil.cpu_count(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "load": round(psutil.getloadavg()[0], 2),
    }


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def show(rows: list[dict[str, Any]]) -> None:
    """Print rows as a table."""
    table = Table(*(rows[0] if rows else ()))
    for row in rows:
        table.add_row(
            *(f"{value:,.4g}" if isinstance(value, float) else str(value) for value in row.values())
        )
    Console(width=200).print(table)


def main() -> int:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("engine", "study"))
    parser.add_argument(
        "--runs", type=int, default=5, help="engine: runs of each configuration; the least counts"
    )
    parser.add_argument("--only", help="study: a candle set or a search")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    if not (SHARED / "candles").is_dir():
        print("error: the benchmarks need the candles in shared/ beside the project", file=sys.stderr)
        return 2
    here = machine()
    print(", ".join(f"{key} {value}" for key, value in here.items()))
    rows = bench_engine(options.runs) if options.what == "engine" else bench_study(options.only)
    show(rows)
    if options.json:
        options.json.write_text(json.dumps({"machine": here, options.what: rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
