"""Candles of bars longer than a minute, as Python passes them and gets results back."""

import numpy as np
import pyarrow as pa
import pytest

from passivbot.engine import METRICS, STOPPED_MINUTE, Engine
from passivbot.errors import EngineError

from .panels import FIRST_MS, RULES, Bot, Candles, bits, bot, joined, table, walk

DAY = 1440
START_MS = FIRST_MS // 3_600_000 * 3_600_000
COINS = ("AAA", "BBB", "CCC")
INTERVALS = (5, 15, 60)
ALLOWED = "allowed are bars of 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60 minutes"
BOT: Bot = bot({"ema_span_0": 150.0, "ema_span_1": 400.0, "n_positions": 2.0}, {"ema_span_0": 150.0})


def minutes_of(days: int = 20) -> dict[str, Candles]:
    return {coin: walk(seed, days * DAY, volatility=0.001) for seed, coin in enumerate(COINS)}


def engine(coins: dict[str, Candles], interval: int, **options: object) -> Engine:
    return Engine(
        table({coin: joined(candles, interval) for coin, candles in coins.items()}, START_MS, interval),
        dict.fromkeys(coins, RULES),
        starting_balance=10_000.0,
        maker_fee=0.0002,
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def coins() -> dict[str, Candles]:
    return minutes_of()


@pytest.mark.parametrize("interval", [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60])
def test_the_timestamps_say_the_interval(coins: dict[str, Candles], interval: int) -> None:
    subject = engine(coins, interval)
    assert subject.interval_minutes == interval
    assert (subject.bars, subject.minutes) == (20 * DAY // interval, 20 * DAY)
    assert (subject.first_valid, subject.last_valid) == ((0,) * 3, (20 * DAY - interval,) * 3)


def test_one_candle_is_a_minute() -> None:
    candles = {"AAA": walk(0, 1)}
    subject = Engine(table(candles), {"AAA": RULES}, starting_balance=1.0, maker_fee=0.0)
    assert (subject.interval_minutes, subject.bars, subject.minutes) == (1, 1, 1)


@pytest.mark.parametrize(
    ("minutes", "message"),
    [
        (
            [0, 7, 14, 21],
            f"candles: timestamps are 420000 milliseconds apart; {ALLOWED}",
        ),
        (
            [0, 120, 240],
            f"candles: timestamps are 7200000 milliseconds apart; {ALLOWED}",
        ),
        (
            [0, 5, 10, 20, 25],
            f"candles: timestamp {START_MS + 1_200_000} follows {START_MS + 600_000} at row 3; allowed are "
            "consecutive bars of 5 minutes",
        ),
        (
            [0, 5, 6, 7, 8],
            f"candles: timestamp {START_MS + 300_000} follows {START_MS} at row 1; allowed are consecutive "
            "minutes",
        ),
    ],
)
def test_uneven_timestamps_are_refused(minutes: list[int], message: str) -> None:
    stamps = pa.array(START_MS + 60_000 * np.array(minutes, dtype=np.int64))
    candles = table({"AAA": walk(0, len(minutes))}).set_column(0, "timestamp", stamps)
    with pytest.raises(EngineError) as caught:
        Engine(candles, {"AAA": RULES}, starting_balance=1.0, maker_fee=0.0)
    assert str(caught.value) == message


@pytest.mark.parametrize("interval", INTERVALS)
def test_results_are_in_minutes(coins: dict[str, Candles], interval: int) -> None:
    result = engine(coins, interval).backtest(BOT, warmup_minutes=1000, coin_warmup_minutes=0)
    minute = result.fills["minute"].to_numpy()
    assert len(minute) > 20
    assert (minute % interval == 0).all()
    assert minute.min() > 1000
    assert minute.max() <= 20 * DAY - 2 * interval
    equity = result.equity["minute"].to_numpy()
    assert equity.tolist() == list(range(0, 20 * DAY - interval, interval))
    # Holding times follow from the fills' minutes.
    opened: dict[tuple[str, str], int] = {}
    held = []
    rows = [(f["minute"], (f["coin"], f["order_type"].rpartition("_")[2]), f["position_size"])
            for f in result.fills.to_pylist()]  # fmt: skip
    for at, key, size in rows:
        since = opened.setdefault(key, at)
        if size == 0:
            held.append(at - since)
            del opened[key]
    held += [rows[-1][0] - since for since in opened.values()]
    usd = result.analysis["usd"]
    assert usd["position_held_hours_max"] == max(held) / 60
    assert usd["position_held_hours_mean"] == sum(held) / (len(held) * 60)
    assert usd["positions_held_per_day"] == len(held) / (len(equity) / (DAY / interval))


@pytest.mark.parametrize("interval", INTERVALS)
def test_daily_metrics_are_of_days(coins: dict[str, Candles], interval: int) -> None:
    result = engine(coins, interval).backtest(BOT)
    usd = result.equity["usd"].to_numpy()
    bars = DAY // interval
    last = [usd[k : k + bars][-1] for k in range(0, len(usd), bars)]
    lowest = [usd[k : k + bars].min() for k in range(0, len(usd), bars)]
    assert len(last) == 20
    smoothed = last[0]
    for value in last[1:]:
        smoothed = 0.5 * value + 0.5 * smoothed
    found = result.analysis["usd"]
    assert found["gain"] == smoothed / last[0]
    assert found["mdg"] == np.median(np.diff(last) / last[:-1])
    level = np.cumprod(np.concatenate([[1.0], 1 + np.diff(lowest) / lowest[:-1]]))
    worst = (1 - level / np.maximum.accumulate(level)).max()
    assert found["drawdown_worst"] == pytest.approx(worst, rel=1e-9)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("collateral", [False, True])
def test_a_batch_has_the_bits_of_single_runs(
    coins: dict[str, Candles], interval: int, collateral: bool
) -> None:
    bars = 20 * DAY // interval
    btc_usd = np.linspace(30_000, 40_000, bars) if collateral else None
    first = engine(coins, interval, btc_usd=btc_usd)
    subject = engine(coins, interval, btc_usd=btc_usd, prepared=first.prepare())
    bots = [BOT, bot({"ema_span_0": 1000.0}), bot(None, {"filter_volume_ema_span": 10.0})]
    names = [*METRICS, *(f"btc_{name}" for name in METRICS)]
    daily = [name for name in names if "_w" not in name and "total_wallet" not in name and "diff" not in name]
    for metrics in (names, daily):
        matrix = subject.evaluate(bots, metrics, warmup_minutes=333)
        for row, one in zip(matrix, bots, strict=True):
            analysis = first.backtest(one, warmup_minutes=333).analysis
            values = [
                analysis["btc"][name[4:]] if name.startswith("btc_") else analysis["usd"][name]
                for name in metrics
            ]
            assert bits(row) == bits(values)


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_lost_run_stops_with_the_last_minute_of_a_day(coins: dict[str, Candles], interval: int) -> None:
    subject = engine(coins, interval)
    whole = subject.backtest(BOT)
    worst = whole.analysis["usd"]["drawdown_worst"]
    assert worst is not None
    limits = {"drawdown_worst": worst / 2}
    part = subject.backtest(BOT, limits=limits)
    assert part.stopped is not None
    assert part.stopped % DAY == DAY - 1
    bars = (part.stopped + 1) // interval
    assert part.equity.equals(whole.equity.slice(0, bars))
    minute = whole.fills["minute"].to_numpy()
    assert part.fills.equals(whole.fills.slice(0, int((minute <= part.stopped).sum())))
    assert 0 < part.fills.num_rows < whole.fills.num_rows
    names = ["drawdown_worst", STOPPED_MINUTE]
    assert subject.evaluate([BOT], names, limits=limits).tolist() == [
        [part.analysis["usd"]["drawdown_worst"], part.stopped]
    ]


@pytest.mark.parametrize("interval", INTERVALS)
def test_coarse_runs_are_near_the_fine_one(coins: dict[str, Candles], interval: int) -> None:
    """A slow bot does about the same on longer bars: a wrong unit somewhere would be far off."""
    slow = bot(
        {
            "ema_span_0": 900.0,
            "ema_span_1": 1400.0,
            "close_grid_markup_start": 0.03,
            "close_grid_markup_end": 0.02,
            "entry_grid_spacing_pct": 0.03,
        }
    )
    fine = engine(coins, 1).backtest(slow, warmup_minutes=1400)
    coarse = engine(coins, interval).backtest(slow, warmup_minutes=1400)
    assert fine.fills.num_rows > 20
    assert 0.5 < coarse.fills.num_rows / fine.fills.num_rows < 1.2
    for name in ("position_held_hours_mean", "positions_held_per_day", "volume_pct_per_day_avg"):
        one, other = fine.analysis["usd"][name], coarse.analysis["usd"][name]
        assert one is not None
        assert other == pytest.approx(one, rel=0.5), name


def test_warm_up_is_in_minutes(coins: dict[str, Candles]) -> None:
    """Derived or given as the longest span: the same; and rounded up to bars."""
    subject = engine(coins, 15)
    both = bot({"ema_span_1": 801.0})
    longest = 24 * 60
    derived, given = subject.backtest(both), subject.backtest(both, warmup_minutes=longest)
    assert derived.fills.equals(given.fills)
    assert derived.fills["minute"][0].as_py() > longest
    uneven, even = (subject.backtest(both, warmup_minutes=minutes) for minutes in (1501, 1515))
    assert uneven.fills.equals(even.fills)
    assert uneven.fills["minute"][0].as_py() > 1515


def test_nothing_before_the_requested_start(coins: dict[str, Candles]) -> None:
    start = START_MS + 4000 * 60_000
    fills = engine(coins, 60, requested_start_ms=start).backtest(BOT, warmup_minutes=60).fills
    # 4000 minutes end inside of a bar: orders from the next one on, fills from that after it.
    assert fills["minute"].to_numpy().min() >= 4020 + 60
