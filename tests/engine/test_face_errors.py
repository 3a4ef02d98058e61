"""What the engine refuses, and in which words."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from passivbot.engine import METRICS, Engine, MarketRules
from passivbot.errors import EngineError, PassivbotError

from .panels import FIRST_MS, RULES, bot, engine, table, walk

CANDLES = {"AAA": walk(1, 50), "BBB": walk(2, 50)}
TABLE = table(CANDLES)
MONEY: dict[str, Any] = {"starting_balance": 1000.0, "maker_fee": 0.0002}
BOTH = bot({}, {})
CONSECUTIVE = "allowed are consecutive minutes"


def message_of(action: Callable[[], object]) -> str:
    with pytest.raises(EngineError) as caught:
        action()
    assert isinstance(caught.value, PassivbotError)
    text = str(caught.value)
    assert "\n" not in text
    return text


def build(candles: pa.Table = TABLE, coins: tuple[str, ...] = ("AAA",), **changes: Any) -> Engine:
    rules = changes.pop("rules", RULES)
    return Engine(candles, {coin: rules for coin in coins}, **{**MONEY, **changes})


def replaced(name: str, column: Any) -> pa.Table:
    return TABLE.set_column(TABLE.column_names.index(name), name, column)


def with_null() -> pa.Array:
    return pa.array([None, *range(49)], pa.float64())


def at_minutes(minutes: list[int]) -> pa.Table:
    return replaced("timestamp", pa.array(FIRST_MS + 60_000 * np.array(minutes, dtype=np.int64)))


@pytest.mark.parametrize(
    ("candles", "message"),
    [
        (
            pa.concat_tables([TABLE.slice(0, 20), TABLE.slice(20)]),
            "candles: the table has 2 chunks a column; allowed is one (Table.combine_chunks makes it so)",
        ),
        (
            replaced("AAA.low", pa.chunked_array([CANDLES["AAA"][:20, 1], CANDLES["AAA"][20:, 1]])),
            "candles: the table has 2 chunks a column; allowed is one (Table.combine_chunks makes it so)",
        ),
        (TABLE.slice(0, 0), "candles: the table has no row; at least one minute is needed"),
        (
            replaced("AAA.close", with_null()),
            "candles: column AAA.close has nulls; outside a coin's life it must be NaN",
        ),
        (
            replaced("timestamp", pa.array([None, *range(49)], pa.int64())),
            "candles: column timestamp has nulls; outside a coin's life it must be NaN",
        ),
        (TABLE.drop_columns(["AAA.volume"]), "candles: column AAA.volume is missing"),
        (TABLE.drop_columns(["timestamp"]), "candles: column timestamp is missing"),
        (
            replaced("AAA.high", pa.array(CANDLES["AAA"][:, 0].astype(np.float32))),
            "candles: column AAA.high is Float32; allowed is float64",
        ),
        (
            replaced("AAA.high", pa.array(["1"] * 50)),
            "candles: column AAA.high is Utf8; allowed is float64",
        ),
        (
            replaced("timestamp", pa.array(np.arange(50, dtype=np.float64))),
            "candles: column timestamp is Float64; allowed is int64 (UTC milliseconds)",
        ),
        (
            at_minutes([*range(7), *range(8, 51)]),
            f"candles: timestamp 1700000520000 follows 1700000400000 at row 7; {CONSECUTIVE}",
        ),
        (
            at_minutes([0, 1, 2, 2, *range(4, 50)]),
            f"candles: timestamp 1700000160000 follows 1700000160000 at row 3; {CONSECUTIVE}",
        ),
        (
            at_minutes([*range(49, -1, -1)]),
            f"candles: timestamp 1700002920000 follows 1700002980000 at row 1; {CONSECUTIVE}",
        ),
    ],
)
def test_candles(candles: pa.Table, message: str) -> None:
    assert message_of(lambda: build(candles)) == message


def test_a_fault_in_a_coin_that_does_not_take_part_is_no_fault() -> None:
    assert build(replaced("AAA.close", with_null()), ("BBB",)).coins == ("BBB",)


def test_empty_markets() -> None:
    expected = "markets is empty; the rules of at least one coin are needed"
    assert message_of(lambda: Engine(TABLE, {}, **MONEY)) == expected
    assert message_of(lambda: build(coins=("AAA", "ZZZ"))) == "candles: column ZZZ.high is missing"


@pytest.mark.parametrize(
    ("rule", "value", "message"),
    [
        ("qty_step", 0.0, "qty_step is 0; allowed is a finite number > 0"),
        ("price_step", -0.1, "price_step is -0.1; allowed is a finite number > 0"),
        ("c_mult", math.nan, "c_mult is NaN; allowed is a finite number > 0"),
        ("min_qty", -1.0, "min_qty is -1; allowed is a finite number >= 0"),
        ("min_cost", math.inf, "min_cost is inf; allowed is a finite number >= 0"),
    ],
)
def test_market_rules(rule: str, value: float, message: str) -> None:
    rules = {"qty_step": 0.1, "price_step": 0.1, "min_qty": 0.1, "min_cost": 1.0, "c_mult": 1.0, rule: value}
    assert message_of(lambda: build(rules=MarketRules(**rules))) == f"market rules of AAA: {message}"


@pytest.mark.parametrize("rule", ["min_qty", "min_cost"])
def test_minimums_may_be_zero(rule: str) -> None:
    rules = {"qty_step": 0.1, "price_step": 0.1, "min_qty": 0.1, "min_cost": 1.0, "c_mult": 1.0, rule: 0.0}
    assert build(rules=MarketRules(**rules)).minutes == 50


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"starting_balance": 0.0}, "starting_balance is 0; allowed is a finite number > 0"),
        ({"starting_balance": -5.0}, "starting_balance is -5; allowed is a finite number > 0"),
        ({"starting_balance": math.nan}, "starting_balance is NaN; allowed is a finite number > 0"),
        ({"maker_fee": math.inf}, "maker_fee is inf; allowed is a finite number"),
        ({"btc_usd": np.ones(49)}, "btc_usd has 49 prices; allowed is one a candle, 50"),
        ({"btc_usd": [1.0]}, "btc_usd has 1 prices; allowed is one a candle, 50"),
        (
            {"btc_usd": [*[5e4] * 20, math.nan, *[5e4] * 29]},
            "btc_usd at row 20 is NaN; allowed is a finite price > 0",
        ),
        ({"btc_usd": np.zeros(50)}, "btc_usd at row 0 is 0; allowed is a finite price > 0"),
    ],
)
def test_amounts(changes: dict[str, Any], message: str) -> None:
    assert message_of(lambda: build(**changes)) == message


def changed(side: str, **changes: Any) -> dict[str, dict[str, Any]]:
    return {**BOTH, side: {**BOTH[side], **changes}}


def lacking(side: str, name: str) -> dict[str, dict[str, Any]]:
    return {**BOTH, side: {key: value for key, value in BOTH[side].items() if key != name}}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (changed("long", colour=1.0), "bot.long.colour is not a parameter of the strategy"),
        (lacking("short", "n_positions"), "bot.short.n_positions is missing"),
        (lacking("long", "enforce_exposure_limit"), "bot.long.enforce_exposure_limit is missing"),
        (
            changed("long", ema_span_0=math.nan),
            "bot.long.ema_span_0 is NaN; allowed is a finite number",
        ),
        (
            changed("short", n_positions=math.inf),
            "bot.short.n_positions is inf; allowed is a finite number",
        ),
        (
            changed("short", n_positions="two"),
            "bot.short.n_positions is 'two'; allowed is a number",
        ),
        (changed("short", n_positions=None), "bot.short.n_positions is None; allowed is a number"),
        (changed("long", ema_span_1=-1.0), "bot.long.ema_span_1 is -1; allowed is a number >= 0"),
        ({"long": BOTH["long"]}, "bot.short is missing"),
        ({**BOTH, "both": {}}, "bot.both is not a side; allowed are long and short"),
        (3, 'bot is 3; allowed is {"long": {…}, "short": {…}}'),
    ],
)
def test_bots(wrong: Any, message: str) -> None:
    subject = engine(CANDLES)
    assert message_of(lambda: subject.backtest(wrong)) == message
    assert message_of(lambda: subject.evaluate([BOTH, wrong], ["adg"])) == message
    vector = np.zeros((1, 58))
    assert message_of(lambda: subject.evaluate_matrix(vector, wrong, ["adg"])) == message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"ZZZ": {"long": {}}}, "coin_overrides.ZZZ is not a coin of this run"),
        (
            {"AAA": {"both": {}}},
            "coin_overrides.AAA.both is not a side; allowed are long and short",
        ),
        (
            {"AAA": {"long": {"colour": 1.0}}},
            "coin_overrides.AAA.long.colour is not a parameter of the strategy",
        ),
        (
            {"AAA": {"short": {"ema_span_0": math.nan}}},
            "coin_overrides.AAA.short.ema_span_0 is NaN; allowed is a finite number",
        ),
        (
            {"AAA": {"short": {"ema_span_0": -2}}},
            "coin_overrides.AAA.short.ema_span_0 is -2; allowed is a number >= 0",
        ),
        (
            {"AAA": {"short": {"ema_span_0": "long"}}},
            "coin_overrides.AAA.short.ema_span_0 is 'long'; allowed is a number",
        ),
        ([1], "coin_overrides is [1]; allowed is coin → side → parameter → value"),
    ],
)
def test_overrides(overrides: Any, message: str) -> None:
    subject = engine(CANDLES)
    assert message_of(lambda: subject.backtest(BOTH, overrides)) == message
    assert message_of(lambda: subject.evaluate([BOTH], ["adg"], coin_overrides=overrides)) == message


@pytest.mark.parametrize("name", ["profit", "btc_profit", "btc_btc_adg", "", "ADG"])
def test_metrics(name: str) -> None:
    assert message_of(lambda: engine(CANDLES).evaluate([BOTH], ["adg", name])) == (
        f'metric "{name}" is unknown; allowed are the names in passivbot.engine.METRICS, '
        "btc_ before them for the BTC set"
    )


def test_metric_names_are_ascending_and_those_of_the_analysis() -> None:
    analysis = engine(CANDLES).backtest(BOTH).analysis
    assert list(METRICS) == sorted(METRICS) == list(analysis["usd"]) == list(analysis["btc"])


@pytest.mark.parametrize(
    ("warmup", "message"),
    [
        ({"warmup_minutes": -1}, "a warm-up is -1 minutes; allowed is a whole number >= 0"),
        ({"warmup_minutes": 1.5}, "a warm-up is 1.5; allowed are whole minutes"),
        (
            {"warmup_minutes": [1, 2, 3]},
            "warm-up has shape (3,); allowed is one number or shape (2,)",
        ),
        (
            {"coin_warmup_minutes": np.zeros((2, 3), int)},
            "warm-up has shape (2, 3); allowed is one number or shape (2, 2)",
        ),
        (
            {"coin_warmup_minutes": np.zeros((3, 2), int)},
            "warm-up has shape (3, 2); allowed is one number or shape (2, 2)",
        ),
        ({"coin_warmup_minutes": -7}, "a warm-up is -7 minutes; allowed is a whole number >= 0"),
        (
            {"coin_warmup_minutes": {"AAA": 1, "CCC": 2}},
            "coin_warmup_minutes: unknown coins ['CCC'], missing coins ['BBB']; allowed is one number for "
            "each of ['AAA', 'BBB']",
        ),
    ],
)
def test_warmups(warmup: dict[str, Any], message: str) -> None:
    subject = engine(CANDLES)
    assert message_of(lambda: subject.evaluate([BOTH, BOTH], ["adg"], **warmup)) == message


def test_matrices() -> None:
    subject = engine(CANDLES)
    ones = np.ones(58)
    assert message_of(lambda: subject.evaluate_matrix(ones, BOTH, ["adg"])) == (
        "parameters has 1 dimensions; allowed are 2"
    )
    assert message_of(lambda: subject.evaluate_matrix(np.ones((3, 57)), BOTH, ["adg"])) == (
        "parameters has 57 columns; allowed are 58"
    )
    wrong = np.ones((3, 58))
    wrong[2, 29] = math.nan
    assert message_of(lambda: subject.evaluate_matrix(wrong, BOTH, ["adg"])) == (
        "row 2 of the parameters: short_close_grid_markup_end is NaN; allowed is a finite number"
    )
    wrong[1, 7] = -3.0
    assert message_of(lambda: subject.evaluate_matrix(wrong[:2], BOTH, ["adg"])) == (
        "row 1 of the parameters: long.ema_span_0 is -3; allowed is a number >= 0"
    )


def test_nothing_to_evaluate() -> None:
    subject = engine(CANDLES)
    assert subject.evaluate([], ["adg"]).shape == (0, 1)
    assert subject.evaluate([BOTH], []).shape == (1, 0)
    assert subject.evaluate_matrix(np.empty((0, 58)), BOTH, ["adg", "btc_adg"]).shape == (0, 2)
