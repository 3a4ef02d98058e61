"""The candles exist once a node: what a worker has for itself does not grow with them."""

import numpy as np
import psutil
import pyarrow as pa
import pytest

from cluster.candles import SharedCandles, panel_bytes
from cluster.pool import Batch, Done, Pool
from cluster.prepare import logged_metrics
from cluster.workers import EngineFactory
from passivbot.backtest import Candidates
from passivbot.config import ParameterSpace, load_config
from passivbot.config.resources import configs_dir
from passivbot.engine import Engine, MarketRules

pytestmark = pytest.mark.usefixtures("ray_cluster")

MINUTES = 60_000
METRICS = logged_metrics(())


def panel(coins: int, minutes: int = MINUTES) -> pa.Table:
    """A random walk a coin, float64, consecutive minutes."""
    random = np.random.default_rng(1)
    columns: dict[str, pa.Array] = {
        "timestamp": pa.array(
            np.arange(minutes, dtype=np.int64) * 60_000 + 1_700_000_000_000 // 60_000 * 60_000
        )
    }
    for index in range(coins):
        close = 100 * np.exp(np.cumsum(random.normal(0, 5e-4, minutes)))
        noise = np.abs(random.normal(0, 5e-4, minutes))
        for name, values in (
            ("high", close * (1 + noise)),
            ("low", close * (1 - noise)),
            ("close", close),
            ("volume", random.random(minutes) * 1e5),
        ):
            columns[f"C{index:02d}.{name}"] = pa.array(values)
    return pa.table(columns)


def factory(table: pa.Table) -> EngineFactory:
    config = load_config(configs_dir() / "quickstart.json").config
    coins = sorted({name.partition(".")[0] for name in table.column_names if "." in name})
    rules = MarketRules(qty_step=0.001, price_step=0.01, min_qty=0.001, min_cost=5.0, c_mult=1.0)
    markets = {coin: rules for coin in coins}
    engine = Engine(table, markets, starting_balance=10_000.0, maker_fee=0.0002)
    return EngineFactory(
        candles=SharedCandles.place(table, None, engine.prepare()),
        markets=markets,
        starting_balance=10_000.0,
        maker_fee=0.0002,
        requested_start_ms=int(table.column("timestamp")[0].as_py()),
        candidates=Candidates.of(config, coins),
        metrics=METRICS,
    )


def candidates(count: int) -> np.ndarray:
    space = ParameterSpace.from_config(load_config(configs_dir() / "quickstart.json").config)
    random = np.random.default_rng(2)
    return np.asarray(space.enforce(space.low + random.random((count, 58)) * (space.high - space.low)))


def evaluated(table: pa.Table, vectors: np.ndarray) -> tuple[np.ndarray, int]:
    """Evaluate in one worker; return metrics and its private memory, as the kernel counts it."""
    pool = Pool(factory(table), len(METRICS), 1, lambda batch: 300.0)
    try:
        while not pool.wants():
            pool.wait(0.1)
        pool.hand_in(Batch(tuple(range(len(vectors))), vectors))
        while not (events := pool.wait(1.0)):
            pass
        assert isinstance(events[0], Done)
        assert not events[0].reply.errors
        pid = pool.processes()[0][1]
        return events[0].reply.metrics, int(psutil.Process(pid).memory_full_info().uss)
    finally:
        pool.close()


def test_private_memory_does_not_grow_with_the_panel() -> None:
    small, large = panel(4), panel(60)
    difference = panel_bytes(large, None) - panel_bytes(small, None)
    assert difference > 100_000_000
    vectors = candidates(2)
    _, private = evaluated(small, vectors)
    _, more = evaluated(large, vectors)
    assert more - private < 0.2 * difference


def test_worker_gives_what_an_engine_of_ones_own_gives() -> None:
    """Bit for bit, over the shared copy as over the table it was made from."""
    table, vectors = panel(2, 20_000), candidates(6)
    metrics, _ = evaluated(table, vectors)
    setup = factory(table)
    engine = Engine(
        table,
        setup.markets,
        starting_balance=setup.starting_balance,
        maker_fee=setup.maker_fee,
        requested_start_ms=setup.requested_start_ms,
    )
    for vector, row in zip(vectors, metrics, strict=True):
        alone = setup.candidates.evaluate(engine, vector[None, :], METRICS)
        assert alone[0].tobytes() == row.tobytes()


def test_shared_table_is_a_view_of_aligned_memory(ray_cluster: object) -> None:
    """Read where it lies: 64-byte aligned buffers, one chunk a column."""
    candles, tables = panel(1, 5_000), pa.table({"numbers": pa.array([[1.0, 2.0]])})
    table, btc_usd, prepared = SharedCandles.place(candles, np.arange(5_000.0), tables).read()
    assert prepared.equals(tables)
    assert btc_usd is not None
    assert not btc_usd.flags.writeable
    for column in table.columns:
        assert column.num_chunks == 1
        assert column.chunk(0).buffers()[1].address % 64 == 0
