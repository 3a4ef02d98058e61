"""What a batch needs beside the candles: a bound, whatever the panel's size."""

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from passivbot.config import ParameterSpace, load_config
from passivbot.config.resources import configs_dir
from passivbot.engine import METRICS, Engine

from .panels import RULES, table, walk

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")

COINS, MINUTES = 10, 500_000
BOUND = 64_000_000
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


@pytest.fixture(scope="module")
def candles() -> pa.Table:
    base = walk(3, MINUTES)
    return table({f"C{n:02d}": base * (1.0 + 0.5 * n) for n in range(COINS)})


@pytest.fixture(scope="module")
def engine(candles: pa.Table) -> Engine:
    markets = {f"C{n:02d}": RULES for n in range(COINS)}
    prepared = Engine(candles, markets, starting_balance=10_000.0, maker_fee=0.0002).prepare()
    return Engine(candles, markets, starting_balance=10_000.0, maker_fee=0.0002, prepared=prepared)


def test_the_measure_sees_a_copy(candles: pa.Table) -> None:
    close = candles["C00.close"].to_numpy()
    assert peak_beyond(close.copy) > 0.9 * close.nbytes


@pytest.mark.parametrize("metrics", [DAILY, METRICS], ids=["daily", "all"])
def test_a_batch_of_64_stays_under_64_mb(candles: pa.Table, engine: Engine, metrics: tuple[str, ...]) -> None:
    """The panel is much larger: nothing may copy it, and no run's series may pile up."""
    assert candles.nbytes > 2 * BOUND
    config = load_config(configs_dir() / "quickstart.json").config
    space = ParameterSpace.from_config(config)
    random = np.random.default_rng(5).random((64, 58))
    vectors = space.enforce(space.low + random * (space.high - space.low))
    template = config.bot.to_engine()
    assert peak_beyond(lambda: engine.evaluate_matrix(vectors, template, metrics)) < BOUND


def test_tables_are_at_most_30_percent_of_the_panel(candles: pa.Table, engine: Engine) -> None:
    assert engine.prepare().nbytes <= 0.3 * candles.nbytes
