"""The main job, a search of fixed length, as ``passivbot optimize`` itself reports it."""

import re
import subprocess
import sys
import tempfile
from typing import Any

from _bench_work import ROOT, SHARED

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
