"""What a batch needs beside the candles, in a process of its own (``python -m tests.engine.batch_peak``).

In the process of the tests, what others left behind would be part of the measure.
"""

import ctypes
import gc
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from passivbot.config import ParameterSpace, load_config
from passivbot.config.resources import configs_dir
from passivbot.engine import METRICS, Engine

from .panels import RULES, table, walk

COINS, MINUTES = 25, 200_000
BATCH = 64
DAILY = ("adg", "drawdown_worst", "loss_profit_ratio", "position_held_hours_mean", "sharpe_ratio")


def status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


def peak_beyond(act: Callable[[], object]) -> int:
    """Growth of the resident memory at its highest; what was freed before is given back first."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    act()
    return status("VmHWM") - before


def main() -> None:
    base = walk(3, MINUTES)
    candles = table({f"C{n:02d}": base * (1.0 + 0.5 * n) for n in range(COINS)})
    markets = {f"C{n:02d}": RULES for n in range(COINS)}
    prepared = Engine(candles, markets, starting_balance=10_000.0, maker_fee=0.0002).prepare()
    engine = Engine(candles, markets, starting_balance=10_000.0, maker_fee=0.0002, prepared=prepared)
    config = load_config(configs_dir() / "quickstart.json").config
    space = ParameterSpace.from_config(config)
    random = np.random.default_rng(5).random((BATCH, 58))
    vectors = space.enforce(space.low + random * (space.high - space.low))
    template = config.bot.to_engine()
    close = candles["C00.close"].to_numpy()
    print(
        json.dumps(
            {
                "panel": candles.nbytes,
                "tables": prepared.nbytes,
                "column": close.nbytes,
                "a copy of a column": peak_beyond(close.copy),
                "daily": peak_beyond(lambda: engine.evaluate_matrix(vectors, template, DAILY)),
                "all": peak_beyond(lambda: engine.evaluate_matrix(vectors, template, METRICS)),
            }
        )
    )


if __name__ == "__main__":
    main()
