"""Tables that engines of several processes share."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passivbot.config import ParameterSpace, load_config
from passivbot.config.resources import configs_dir
from passivbot.engine import METRICS, Engine, MarketRules
from passivbot.errors import EngineError

PANELS = Path(__file__).parent.parent / "fixtures" / "parity" / "panels"
RULES = MarketRules(qty_step=0.001, price_step=0.001, min_qty=0.001, min_cost=5.0, c_mult=1.0)


def engine(candles: pa.Table, prepared: pa.Table | None = None, btc_usd: np.ndarray | None = None) -> Engine:
    coins = sorted({name.partition(".")[0] for name in candles.column_names if "." in name})
    return Engine(
        candles,
        dict.fromkeys(coins, RULES),
        starting_balance=10_000.0,
        maker_fee=0.0002,
        btc_usd=btc_usd,
        prepared=prepared,
    )


@pytest.fixture(scope="module")
def candles() -> pa.Table:
    return pq.read_table(PANELS / "listings.parquet").combine_chunks()


def evaluate(of: Engine) -> bytes:
    config = load_config(configs_dir() / "quickstart.json").config
    space = ParameterSpace.from_config(config)
    random = np.random.default_rng(5).random((6, 58))
    vectors = space.enforce(space.low + random * (space.high - space.low))
    return of.evaluate_matrix(vectors, config.bot.to_engine(), METRICS).tobytes()


def test_given_tables_give_the_same_bits(candles: pa.Table) -> None:
    prepared = engine(candles).prepare()
    assert evaluate(engine(candles, prepared)) == evaluate(engine(candles))


def test_tables_are_used_where_they_lie(candles: pa.Table, tmp_path: Path) -> None:
    """From a mapped file, as from shared memory."""
    prepared = engine(candles).prepare()
    with (
        pa.OSFile(str(tmp_path / "prepared.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, prepared.schema) as out,
    ):
        out.write_table(prepared)
    with pa.memory_map(str(tmp_path / "prepared.arrow")) as source:
        mapped = pa.ipc.open_file(source).read_all()
        before = pa.total_allocated_bytes()
        assert evaluate(engine(candles, mapped)) == evaluate(engine(candles))
        assert pa.total_allocated_bytes() == before


def test_tables_are_less_than_a_third_of_the_candles(candles: pa.Table) -> None:
    columns = [name for name in candles.column_names if not name.endswith(".open")]
    assert engine(candles).prepare().nbytes < 0.3 * candles.select(columns).nbytes


def test_tables_of_other_candles_are_refused(candles: pa.Table) -> None:
    prepared = engine(candles).prepare()
    with pytest.raises(EngineError, match="the prepared tables are not those of these candles"):
        engine(candles.slice(0, 5_000), prepared)
    with pytest.raises(EngineError, match=r"prepared: allowed is what Engine\.prepare returned"):
        engine(candles, candles)


def test_candles_with_holes_have_no_tables(candles: pa.Table) -> None:
    coin = next(name for name in candles.column_names if name.endswith(".close"))
    close = candles[coin].to_numpy().copy()
    valid = np.flatnonzero(np.isfinite(close))
    close[valid[100]] = np.nan
    holed = candles.set_column(candles.column_names.index(coin), coin, pa.array(close))
    prepared = engine(holed).prepare()
    assert prepared["regular"].to_pylist() == [False]
    assert evaluate(engine(holed, prepared)) == evaluate(engine(holed))


def test_tables_serve_collateral_in_btc_too(candles: pa.Table) -> None:
    btc_usd = np.linspace(30_000.0, 40_000.0, candles.num_rows)
    prepared = engine(candles).prepare()
    assert prepared["regular"].to_pylist() == [True]
    assert evaluate(engine(candles, prepared, btc_usd)) == evaluate(engine(candles, btc_usd=btc_usd))
