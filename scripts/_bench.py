"""Benchmarks of the engine and of the search.

Called by ``scripts/bench``. Prints tables, and with ``--json FILE`` writes the figures too; the method
stands in ``docs/benchmarks.md``.
"""

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from _bench_cluster import bench_cluster
from _bench_data import bench_data
from _bench_engine import bench_engine
from _bench_live import bench_live
from _bench_memory import bench_memory
from _bench_page import bench_page
from _bench_scale import bench_scale
from _bench_scaling import bench_scaling
from _bench_start import bench_start
from _bench_study import bench_study
from _bench_work import ROOT, SHARED
from rich.console import Console
from rich.table import Table

from passivbot.engine import INSTRUCTION_SETS


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
        "instructions": " ".join(INSTRUCTION_SETS),
        "commit": commit.stdout.strip(),
        "load": round(psutil.getloadavg()[0], 2),
    }


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table."""
    table = Table(*(rows[0] if rows else ()), title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    Console(width=220).print(table)


def show_markdown(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table of a Markdown document."""
    lines = [list(rows[0]), ["---"] * len(rows[0])] if rows else []
    lines += [[_cell(value) for value in row.values()] for row in rows]
    print(f"\n{title}\n", *(f"| {' | '.join(line)} |" for line in lines), sep="\n")


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value or "")


def main() -> int:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument(
        "what",
        choices=("cluster", "data", "engine", "live", "memory", "page", "scale", "scaling", "start", "study"),
    )
    parser.add_argument(
        "--runs",
        type=int,
        default=5,
        help="cluster, data, engine, scaling, start: runs of a measurement; the least counts",
    )
    parser.add_argument("--only", help="study: a candle set or a search; page: a number of candidates")
    parser.add_argument(
        "--candidates",
        type=int,
        metavar="N",
        help="scale: one run of N candidates in place of those over workers",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--markdown", action="store_true", help="print tables as docs/benchmarks.md has them")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error(f"--runs is {options.runs}; allowed is a whole number from 1 on")
    if options.what not in ("live", "memory", "page", "scale", "start") and not (SHARED / "candles").is_dir():
        print("error: the benchmarks need the candles in shared/ beside the project", file=sys.stderr)
        return 2
    here = machine()
    print(", ".join(f"{key} {value}" for key, value in here.items()))
    if options.what == "engine":
        tables = bench_engine(options.runs)
    elif options.what == "scale":
        tables = bench_scale(options.candidates)
    else:
        rows = {
            "cluster": lambda: bench_cluster(options.runs),
            "data": lambda: bench_data(options.runs),
            "live": lambda: bench_live(options.runs),
            "memory": bench_memory,
            "page": lambda: bench_page(options.only),
            "scaling": lambda: bench_scaling(options.runs),
            "start": lambda: bench_start(options.runs),
            "study": lambda: bench_study(options.only),
        }[options.what]()
        tables = {options.what: rows}
    for title, rows in tables.items():
        (show_markdown if options.markdown else show)(title, rows)
    if options.json:
        options.json.write_text(json.dumps({"machine": here, **tables}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
