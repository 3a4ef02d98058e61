"""The Python face of the engine: what goes in untouched, what comes out, the same every time."""

import math
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pyarrow as pa
import pytest

from passivbot.engine import (
    METRICS,
    ORDER_TYPES,
    PARAMETERS,
    SIDE_PARAMETERS,
    BacktestResult,
    Engine,
    round_significant,
)

from .panels import FIRST_MS, RULES, Bot, bits, bot, engine, random_side, table, walk

MINUTES = 4000
COINS = {"AAA": walk(1, MINUTES), "BBB": walk(2, MINUTES), "CCC": walk(3, MINUTES)}
BTC = walk(9, MINUTES, price=60_000.0, step=0.1)[:, 2]
ALL_METRICS = [*METRICS, *(f"btc_{name}" for name in METRICS)]
MONEY: dict[str, Any] = {"starting_balance": 10_000.0, "maker_fee": 0.0002}


def bots() -> list[Bot]:
    """Various bots; one never fills, one never closes and so has metrics that are not finite."""
    random = np.random.default_rng(11)
    several = [
        bot(random_side(random) | {"n_positions": 2.0}, random_side(random) | {"n_positions": 1.0})
        for _ in range(5)
    ]
    never_closes = {"close_grid_markup_start": 9.0, "close_grid_markup_end": 8.0}
    never_closes |= {"unstuck_loss_allowance_pct": 0.0, "enforce_exposure_limit": False}
    return [bot({}, {}), bot(), bot(never_closes), *several, bot(None, {"n_positions": 3.0})]


def row_of(result: BacktestResult, metrics: list[str]) -> list[float | None]:
    """What ``evaluate`` shall give for a result."""
    usd, btc = result.analysis["usd"], result.analysis["btc"]
    return [btc[name[4:]] if name.startswith("btc_") else usd[name] for name in metrics]


def same(a: BacktestResult, b: BacktestResult) -> bool:
    return bool(a.fills == b.fills and a.equity == b.equity and a.analysis == b.analysis)


def fill_minutes(result: BacktestResult) -> np.ndarray:
    return np.asarray(result.fills["minute"].to_numpy())


# -- what comes out ----------------------------------------------------------------------------------


def test_names() -> None:
    assert len(SIDE_PARAMETERS) == 29
    assert list(SIDE_PARAMETERS) == sorted(SIDE_PARAMETERS)
    assert len(PARAMETERS) == 58
    assert (PARAMETERS[0], PARAMETERS[29]) == ("long_close_grid_markup_end", "short_close_grid_markup_end")
    assert len(set(ORDER_TYPES)) == 25


def test_metrics_are_those_of_the_specification() -> None:
    """analysis-metrics §10: the names there, and the ten of §9 per unit of a side's exposure limit."""
    listed = """
        adg adg_w calmar_ratio calmar_ratio_w drawdown_worst drawdown_worst_mean_1pct
        equity_balance_diff_neg_max equity_balance_diff_neg_mean equity_balance_diff_pos_max
        equity_balance_diff_pos_mean equity_choppiness equity_choppiness_w equity_jerkiness
        equity_jerkiness_w expected_shortfall_1pct exponential_fit_error exponential_fit_error_w
        flat_btc_balance_hours gain loss_profit_ratio loss_profit_ratio_w mdg mdg_w omega_ratio
        omega_ratio_w position_held_hours_max position_held_hours_mean position_held_hours_median
        position_unchanged_hours_max positions_held_per_day sharpe_ratio sharpe_ratio_w
        sortino_ratio sortino_ratio_w sterling_ratio sterling_ratio_w total_wallet_exposure_max
        total_wallet_exposure_mean total_wallet_exposure_median volume_pct_per_day_avg
        volume_pct_per_day_avg_w
    """.split()  # noqa: SIM905
    per_exposure = [
        f"{metric}_per_exposure_{side}"
        for metric in ("adg", "adg_w", "mdg", "mdg_w", "gain")
        for side in ("long", "short")
    ]
    assert list(METRICS) == sorted(listed + per_exposure)


def test_values_per_exposure() -> None:
    both = bot({"total_wallet_exposure_limit": 0.5}, {"total_wallet_exposure_limit": 2.0})
    result = engine(COINS, btc_usd=BTC).backtest(both, {"AAA": {"long": {"wallet_exposure_limit": 0.1}}}, 50)
    for analysis in result.analysis.values():
        for metric in ("adg", "adg_w", "mdg", "mdg_w", "gain"):
            value = analysis[metric]
            assert value is not None
            assert analysis[f"{metric}_per_exposure_long"] == value / 0.5
            assert analysis[f"{metric}_per_exposure_short"] == value / 2.0
    only_long = engine(COINS).backtest(bot({}), warmup_minutes=50).analysis["usd"]
    assert only_long["adg"] != 0.0
    assert only_long["adg_per_exposure_short"] == 0.0


def test_tables_have_the_columns_of_the_parity_cases() -> None:
    result = engine(COINS).backtest(bot({}, {}), warmup_minutes=100)
    double = pa.float64()
    assert result.fills.schema == pa.schema(
        [
            ("minute", pa.int64()),
            ("coin", pa.string()),
            *[(name, double) for name in ("pnl", "fee_paid", "balance", "balance_btc", "balance_usd")],
            *[(name, double) for name in ("btc_price", "qty", "price", "position_size", "position_price")],
            ("order_type", pa.string()),
            ("wallet_exposure", double),
            ("total_wallet_exposure", double),
        ]
    )
    assert result.equity.schema == pa.schema([("minute", pa.int64()), ("usd", double), ("btc", double)])
    assert result.equity["minute"].to_pylist() == list(range(MINUTES - 1))
    assert result.fills.num_rows > 50
    assert set(result.fills["order_type"].to_pylist()) <= set(ORDER_TYPES)


def test_coins_are_those_of_the_markets_ascending() -> None:
    panel = table({"CCC": COINS["CCC"], "AAA": COINS["AAA"], "BBB": COINS["BBB"]})
    subject = Engine(panel, {"CCC": RULES, "AAA": RULES}, **MONEY)
    assert subject.coins == ("AAA", "CCC")
    assert subject.minutes == MINUTES
    other = engine({"AAA": COINS["AAA"], "CCC": COINS["CCC"]})
    both = bot({"n_positions": 2.0}, {})
    assert same(subject.backtest(both, warmup_minutes=50), other.backtest(both, warmup_minutes=50))


def test_open_prices_and_other_columns_do_not_matter() -> None:
    panel = table(COINS).append_column("AAA.open", pa.array(COINS["AAA"][:, 2]))
    panel = panel.append_column("note", pa.array(["x"] * MINUTES))
    rules = dict.fromkeys(COINS, RULES)
    a, b = Engine(panel, rules, **MONEY), engine(COINS)
    assert same(a.backtest(bot({}), warmup_minutes=50), b.backtest(bot({}), warmup_minutes=50))


def test_usd_and_btc_sets_are_equal_without_collateral() -> None:
    result = engine(COINS).backtest(bot({}, {}), warmup_minutes=100)
    assert result.analysis["usd"] == result.analysis["btc"]
    assert all(value is None or type(value) is float for value in result.analysis["usd"].values())
    assert set(result.fills["btc_price"].to_pylist()) == {1.0}
    assert set(result.fills["balance_btc"].to_pylist()) == {0.0}


def test_btc_prices_of_one_are_usd_mode() -> None:
    plain = engine(COINS).backtest(bot({}, {}), warmup_minutes=100)
    ones = engine(COINS, btc_usd=np.ones(MINUTES)).backtest(bot({}, {}), warmup_minutes=100)
    assert same(plain, ones)
    almost = np.ones(MINUTES)
    almost[-1] = math.nextafter(1.0, 2.0)
    collateral = engine(COINS, btc_usd=almost).backtest(bot({}, {}), warmup_minutes=100)
    assert collateral.equity["btc"][0].as_py() == 10_000.0
    assert plain.equity["btc"][0].as_py() == 0.0


@pytest.mark.parametrize("as_arrow", [False, True])
def test_btc_collateral(as_arrow: bool) -> None:
    subject = engine(COINS, btc_usd=pa.array(BTC) if as_arrow else BTC)
    result = subject.backtest(bot({}, {}), warmup_minutes=100)
    usd, btc = result.equity["usd"].to_numpy(), result.equity["btc"].to_numpy()
    assert usd[0] == 10_000.0
    assert btc[0] == 10_000.0 / BTC[0]
    np.testing.assert_allclose(btc, usd / BTC[:-1], rtol=1e-12)
    minutes = fill_minutes(result)
    assert result.fills["btc_price"].to_pylist() == BTC[minutes].tolist()
    assert result.analysis["usd"]["gain"] != result.analysis["btc"]["gain"]
    hours = result.analysis["usd"]["flat_btc_balance_hours"]
    assert hours is not None
    assert hours > 0
    assert result.analysis["btc"]["flat_btc_balance_hours"] == 0.0


# -- time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minute", [0, 500, 1501])
def test_requested_start(minute: int) -> None:
    subject = engine({"AAA": COINS["AAA"]}, requested_start_ms=FIRST_MS + minute * 60_000)
    result = subject.backtest(bot({"entry_initial_ema_dist": -0.5}), warmup_minutes=20)
    # With the band far below the price the first entry rests at the close: it fills a few minutes later.
    first = max(minute, 21)
    assert first < fill_minutes(result)[0] < first + 10


def test_requested_start_within_a_minute_is_the_next_one() -> None:
    at = FIRST_MS + 500 * 60_000
    late, next_minute = (
        engine({"AAA": COINS["AAA"]}, requested_start_ms=ms).backtest(bot({}), warmup_minutes=20)
        for ms in (at + 1, at + 60_000)
    )
    assert same(late, next_minute)


def test_warm_up_is_derived_from_the_longest_span() -> None:
    subject = engine(COINS)
    both = bot({"ema_span_0": 700.25}, {"entry_grid_spacing_log_span_hours": 2.5})
    both["long"]["entry_grid_spacing_log_span_hours"] = 1.0
    assert same(subject.backtest(both), subject.backtest(both, warmup_minutes=701))
    overrides = {"BBB": {"short": {"entry_grid_spacing_log_span_hours": 20.0}}}
    assert same(subject.backtest(both, overrides), subject.backtest(both, overrides, warmup_minutes=1200))
    assert same(
        subject.backtest(both, coin_warmup_minutes=30),
        subject.backtest(both, warmup_minutes=701, coin_warmup_minutes=30),
    )
    assert same(
        subject.backtest(both, warmup_minutes=0),
        subject.backtest(both, warmup_minutes=701, coin_warmup_minutes=0),
    )


def test_each_coin_has_its_own_warm_up() -> None:
    subject = engine(COINS)
    both = bot({"n_positions": 3.0, "entry_initial_ema_dist": -0.5})
    warmup = {"AAA": 50, "BBB": 2000, "CCC": 1000}
    result = subject.backtest(both, warmup_minutes=10, coin_warmup_minutes=warmup)
    coins = np.array(result.fills["coin"].to_pylist())
    first = {coin: int(fill_minutes(result)[coins == coin][0]) for coin in warmup}
    # A coin that still warms up may take a slot and leave it unused, so only the last one starts at once.
    assert 50 < first["AAA"] < 1000 < first["CCC"] < 2000 < first["BBB"] < 2020
    as_array = subject.backtest(both, warmup_minutes=10, coin_warmup_minutes=[[50, 2000, 1000]])  # type: ignore[arg-type]
    assert same(result, as_array)


# -- the same every time -----------------------------------------------------------------------------


@pytest.mark.parametrize("btc", [None, BTC], ids=["usd", "btc"])
def test_evaluations_are_backtests_to_the_bit(btc: np.ndarray | None) -> None:
    subject = engine(COINS, btc_usd=btc)
    overrides = {"BBB": {"long": {"entry_initial_qty_pct": 0.07}, "short": {"wallet_exposure_limit": 0.3}}}
    several = bots()
    results = [subject.backtest(each, overrides) for each in several]
    expected = [bits(row_of(result, ALL_METRICS)) for result in results]
    assert any(value is None for result in results for value in row_of(result, ALL_METRICS))
    assert sum(result.fills.num_rows for result in results) > 500
    matrix = subject.evaluate(several, ALL_METRICS, coin_overrides=overrides)
    assert matrix.dtype == np.float64
    assert [bits(row) for row in matrix] == expected
    backwards = subject.evaluate(several[::-1], ALL_METRICS, coin_overrides=overrides)
    assert [bits(row) for row in backwards[::-1]] == expected
    for each, row in zip(several, expected, strict=True):
        assert bits(subject.evaluate([each], ALL_METRICS, coin_overrides=overrides)[0]) == row
    # The seventh name of a batch of another composition and order of metrics.
    few = ["gain", "btc_adg", "gain"]
    mixed = subject.evaluate([*several, *several], few, coin_overrides=overrides)
    assert [bits(row) for row in mixed] == [bits(row_of(result, few)) for result in [*results, *results]]


def test_vectors_are_bots() -> None:
    subject = engine(COINS)
    several = bots()
    vectors = np.array(
        [
            [float(each[side][name]) for side in ("long", "short") for name in SIDE_PARAMETERS]
            for each in several
        ]
    )
    for extra in (
        {"enforce_exposure_limit": True},
        {"enforce_exposure_limit": 0.0, "wallet_exposure_limit": 0.4},
    ):
        template: Bot = {side: {**several[0][side], **extra} for side in ("long", "short")}
        bots_of_template: list[Bot] = [{side: {**each[side], **extra} for side in each} for each in several]
        a = subject.evaluate_matrix(vectors, template, ALL_METRICS)
        b = subject.evaluate(bots_of_template, ALL_METRICS)
        assert a.tobytes() == b.tobytes()
    transposed = np.asfortranarray(vectors)
    assert subject.evaluate_matrix(transposed, template, ALL_METRICS).tobytes() == b.tobytes()


def test_candidates_have_their_own_warm_up() -> None:
    subject = engine(COINS)
    several = bots()[:4]
    warmup = np.array([30, 300, 900, 10])
    coin_warmup = np.arange(12).reshape(4, 3) * 150
    matrix = subject.evaluate(several, ALL_METRICS, warmup_minutes=warmup, coin_warmup_minutes=coin_warmup)
    only_global = subject.evaluate(several, ALL_METRICS, warmup_minutes=warmup.astype(np.int32))
    for i, each in enumerate(several):
        per_coin = dict(zip(subject.coins, coin_warmup[i].tolist(), strict=True))
        result = subject.backtest(each, None, int(warmup[i]), per_coin)
        assert bits(matrix[i]) == bits(row_of(result, ALL_METRICS))
        result = subject.backtest(each, None, int(warmup[i]))
        assert bits(only_global[i]) == bits(row_of(result, ALL_METRICS))
    assert matrix.tobytes() != only_global.tobytes()


def test_two_engines_agree() -> None:
    for each in bots():
        a, b = (engine(COINS).backtest(each, warmup_minutes=60) for _ in range(2))
        assert same(a, b)
        assert [bits(a.equity["usd"].to_numpy())] == [bits(b.equity["usd"].to_numpy())]


# -- memory and threads ------------------------------------------------------------------------------


def test_candles_are_read_where_they_lie(tmp_path: Path) -> None:
    columns = COINS["AAA"].T.copy()
    panel = pa.table(
        {
            "timestamp": pa.array(FIRST_MS + 60_000 * np.arange(MINUTES)),
            **{f"AAA.{n}": pa.array(columns[i]) for i, n in enumerate(("high", "low", "close", "volume"))},
        }
    )
    assert panel["AAA.close"].chunk(0).buffers()[1].address == columns[2].ctypes.data
    subject = Engine(panel, {"AAA": RULES}, **MONEY)
    before = subject.backtest(bot({}), warmup_minutes=50)
    columns[:3] *= 2  # Nobody else may do this: an engine's candles must not change. It shows where they are.
    after = subject.backtest(bot({}), warmup_minutes=50)
    assert after.fills["price"][0].as_py() == pytest.approx(2 * before.fills["price"][0].as_py(), rel=1e-3)


def test_an_engine_over_200_mb_takes_no_memory() -> None:
    minutes = 200_000_000 // (5 * 8)
    columns = {
        f"AAA.{name}": pa.array(np.full(minutes, 100.0)) for name in ("high", "low", "close", "volume")
    }
    stamps = pa.array(FIRST_MS + 60_000 * np.arange(minutes, dtype=np.int64))
    panel = pa.table({"timestamp": stamps, **columns})
    assert panel.nbytes == 200_000_000
    addresses = [column.chunk(0).buffers()[1].address for column in panel.columns]
    process, allocated = psutil.Process(), pa.total_allocated_bytes()
    resident = process.memory_info().rss
    engines = [Engine(panel, {"AAA": RULES}, **MONEY) for _ in range(3)]
    assert process.memory_info().rss - resident < 20_000_000
    assert pa.total_allocated_bytes() - allocated < 100_000
    assert [column.chunk(0).buffers()[1].address for column in panel.columns] == addresses
    assert engines[0].last_valid == (minutes - 1,)


def test_the_engine_keeps_its_candles() -> None:
    subject = engine(COINS)  # The table has no other owner.
    expected = subject.backtest(bot({}), warmup_minutes=50)
    garbage = [np.full(MINUTES, -1.0) for _ in range(50)]
    assert same(subject.backtest(bot({}), warmup_minutes=50), expected)
    assert len(garbage) == 50


def test_a_slice_of_a_table_is_a_table() -> None:
    part = table(COINS).slice(700, 2500)
    whole = table({coin: candles[700:3200] for coin, candles in COINS.items()}, FIRST_MS + 700 * 60_000)
    rules = dict.fromkeys(COINS, RULES)
    a, b = (Engine(each, rules, **MONEY).backtest(bot({}, {}), warmup_minutes=50) for each in (part, whole))
    assert same(a, b)


def test_a_mapped_arrow_file(tmp_path: Path) -> None:
    path = tmp_path / "panel.arrow"
    panel = table(COINS)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, panel.schema) as writer:
        writer.write_table(panel)
    allocated = pa.total_allocated_bytes()
    with pa.memory_map(str(path)) as source:
        mapped = pa.ipc.open_file(source).read_all()
        subject = Engine(mapped, dict.fromkeys(COINS, RULES), **MONEY)
        assert pa.total_allocated_bytes() - allocated < 100_000
        result = subject.backtest(bot({}, {}), warmup_minutes=50)
    assert same(result, engine(COINS).backtest(bot({}, {}), warmup_minutes=50))


def test_other_threads_run_during_an_evaluation() -> None:
    subject = engine(COINS)
    inside, done = threading.Event(), threading.Event()

    def evaluate() -> None:
        inside.set()
        subject.evaluate([bot({}, {})] * 5000, ["adg"], warmup_minutes=50)
        done.set()

    thread = threading.Thread(target=evaluate)
    thread.start()
    inside.wait()
    turns = 0
    while not done.is_set():
        time.sleep(0.001)
        turns += 1
    thread.join()
    # Kept out, this thread would come to its turn once, when all is over.
    assert turns > 5


def test_threads_share_an_engine() -> None:
    subject = engine(COINS)
    several = bots()
    expected = subject.evaluate(several, ALL_METRICS)
    found: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: found.append(subject.evaluate(several, ALL_METRICS)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.tobytes() for each in found] == [expected.tobytes()] * 4


# -- small things ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (123456.5, 3, 123000.0),
        (0.00012345678, 4, 0.0001235),
        (-98765.4321, 6, -98765.4),
        (0.1, 2, 0.1),
        (1e-12, 3, 0.0),
        (0.0, 3, 0.0),
        (math.inf, 3, math.inf),
    ],
)
def test_round_significant(value: float, digits: int, expected: float) -> None:
    assert round_significant(value, digits).tolist() == expected
    assert round_significant([[value, value]], digits).tolist() == [[expected, expected]]
