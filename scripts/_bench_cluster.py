"""What a second worker brings: evaluations a second with two workers against one, by turns in one run."""

import re
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from _bench_work import ROOT, SHARED

CANDIDATES = 6000
"""Enough that the seconds in which Ray's own processes are still starting are few among them."""
POPULATIONS = (60, 300)
"""Of the quick start, and of the template. A third of it may be in flight, which bounds the batches."""

_FINISHED = re.compile(r"finished: [\d,]+ candidates in [\d.]+ s, ([\d.]+)/s; ([\d.]+)% ")


def bench_cluster(rounds: int) -> list[dict[str, Any]]:
    """Run the same studies with one worker and with two, as often; return a row for each."""
    return [row for population in POPULATIONS for row in _population(population, rounds)]


def _population(population: int, rounds: int) -> list[dict[str, Any]]:
    rates: dict[int, list[float]] = {1: [], 2: []}
    shares: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(rounds):
        for workers in (1, 2) if turn % 2 == 0 else (2, 1):
            rate, share = _run(workers, population)
            rates[workers].append(rate)
            shares[workers].append(share)
    return [
        {
            "population": population,
            "workers": workers,
            "evaluations/s": statistics.median(rates[workers]),
            "least": min(rates[workers]),
            "most": max(rates[workers]),
            "in engine": f"{statistics.median(shares[workers])} %",
            "times one": statistics.median(rates[workers]) / statistics.median(rates[1]),
        }
        for workers in rates
    ]


def _run(workers: int, population: int) -> tuple[float, float]:
    """Return evaluations a second and the percentage of time in the engine, as the program prints them."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "passivbot", "optimize", str(ROOT / "configs" / "quickstart.json")]
        command += ["--candles", str(SHARED / "candles" / "spot-2024"), "--search", "nsga2"]
        command += ["--iters", str(CANDIDATES), "--seed", "7", "--workers", str(workers)]
        command += ["--optimize.population_size", str(population)]
        command += ["--study", f"{folder}/study"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        finished = _FINISHED.search(done.stdout)
        if done.returncode or not finished:
            sys.exit(f"error: {' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return float(finished[1]), float(finished[2])
