"""How long a user waits before a command does anything."""

import subprocess
import sys
import time
from typing import Any

from _bench_work import ROOT

COMMANDS = (
    ("an empty Python program", ["-c", "pass"]),
    ("passivbot --help", ["-m", "passivbot", "--help"]),
    ("passivbot optimize --help", ["-m", "passivbot", "optimize", "--help"]),
    (
        "passivbot config check quickstart.json",
        ["-m", "passivbot", "config", "check", "configs/quickstart.json"],
    ),
)


def bench_start(runs: int) -> list[dict[str, Any]]:
    """Return the least wall time of some commands, in turn, so that a busy machine is busy for all."""
    seconds = {name: float("inf") for name, _ in COMMANDS}
    for _ in range(runs):
        for name, arguments in COMMANDS:
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    empty = seconds[COMMANDS[0][0]]
    return [
        {"command": name, "seconds": taken, "x empty program": taken / empty}
        for name, taken in seconds.items()
    ]
