"""What a second worker brings: evaluations a second with two workers against one, by turns in one run."""

import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _bench_work import ROOT, SHARED, YEAR

from passivbot.market.synthetic import generate, write_folder

POPULATIONS = (60, 300)
"""Of the quick start, and of the template. A third of it may be in flight, which bounds the batches."""


@dataclass(frozen=True)
class _Search:
    """A study: its candles and its size.

    Attributes
    ----------
    candles
        Folder.
    candidates
        Enough that the seconds in which Ray's own processes are still starting are few among them.
    """

    name: str
    candles: Path
    population: int
    candidates: int


_FINISHED = re.compile(r"finished: [\d,]+ candidates in [\d.]+ s, ([\d.]+)/s; ([\d.]+)% ")


def bench_cluster(rounds: int) -> list[dict[str, Any]]:
    """Run the same studies with one worker and with two, as often; return a row for each."""
    small = [_Search("spot-2024", SHARED / "candles" / "spot-2024", size, 6000) for size in POPULATIONS]
    rows = [row for search in small for row in _rows(search, rounds)]
    with tempfile.TemporaryDirectory() as folder:
        regimes = {f"C{n:02d}": ("calm", "trend", "crash")[n % 3] for n in range(20)}
        tables, rules = generate(regimes, seed=7, minutes=YEAR)
        write_folder(Path(folder), tables, rules, maker_fee=0.0002)
        return rows + _rows(_Search("20 synthetic coins, a year", Path(folder), 300, 3000), rounds)


def _rows(search: _Search, rounds: int) -> list[dict[str, Any]]:
    rates: dict[int, list[float]] = {1: [], 2: []}
    shares: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(rounds):
        for workers in (1, 2) if turn % 2 == 0 else (2, 1):
            rate, share = _run(workers, search)
            rates[workers].append(rate)
            shares[workers].append(share)
    return [
        {
            "candles": search.name,
            "population": search.population,
            "workers": workers,
            "evaluations/s": statistics.median(rates[workers]),
            "least": min(rates[workers]),
            "most": max(rates[workers]),
            "in engine": f"{statistics.median(shares[workers])} %",
            "times one": statistics.median(rates[workers]) / statistics.median(rates[1]),
        }
        for workers in rates
    ]


def _run(workers: int, search: _Search) -> tuple[float, float]:
    """Return evaluations a second and the percentage of time in the engine, as the program prints them."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "passivbot", "optimize", str(ROOT / "configs" / "quickstart.json")]
        command += ["--candles", str(search.candles), "--search", "nsga2"]
        command += ["--iters", str(search.candidates), "--seed", "7", "--workers", str(workers)]
        command += ["--optimize.population_size", str(search.population)]
        command += ["--study", f"{folder}/study"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        finished = _FINISHED.search(done.stdout)
        if done.returncode or not finished:
            sys.exit(f"error: {' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return float(finished[1]), float(finished[2])
