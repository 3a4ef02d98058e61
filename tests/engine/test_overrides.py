"""Parameters of single coins: each override against a run, or a sum, that has to give the same."""

from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from passivbot.engine import BacktestResult, Engine

from .panels import RULES, Bot, Candles, bot, engine, flat, table, walk

MINUTES = 4000
COINS = {"AAA": walk(1, MINUTES), "BBB": walk(2, MINUTES), "CCC": walk(3, MINUTES)}
EAGER = {"entry_initial_ema_dist": -0.5}
NEVER_CLOSES: dict[str, float | bool] = {
    "close_grid_markup_start": 5.0,
    "close_grid_markup_end": 5.0,
    "unstuck_loss_allowance_pct": 0.0,
    "enforce_exposure_limit": False,
}


def run(
    coins: dict[str, Candles],
    both: Bot,
    overrides: dict[str, dict[str, dict[str, float | bool]]] | None = None,
) -> BacktestResult:
    return engine(coins).backtest(both, overrides, warmup_minutes=100)


def same(a: BacktestResult, b: BacktestResult) -> bool:
    return bool(a.fills == b.fills and a.equity == b.equity)


def of_coin(result: BacktestResult, coin: str) -> list[dict[str, object]]:
    return list(result.fills.filter(pc.equal(result.fills["coin"], coin)).to_pylist())


OVERRIDES: list[tuple[str, float | bool]] = [
    ("close_grid_markup_end", 0.0),
    ("close_grid_markup_start", 0.0),
    ("close_grid_qty_pct", 0.0),
    ("close_trailing_grid_ratio", -0.4),
    ("close_trailing_grid_ratio", 1.0),
    ("ema_span_0", 0.0),
    ("ema_span_1", 700.0),
    ("enforce_exposure_limit", False),
    ("enforce_exposure_limit", 0),
    ("entry_grid_double_down_factor", 0.0),
    ("entry_grid_spacing_log_span_hours", 0.0),
    ("entry_grid_spacing_log_weight", 12.0),
    ("entry_grid_spacing_pct", 0.0),
    ("entry_grid_spacing_we_weight", -2.0),
    ("entry_initial_ema_dist", 0.0),
    ("entry_initial_qty_pct", 0.0),
    ("entry_trailing_grid_ratio", 0.3),
    ("unstuck_close_pct", 0.0),
    ("unstuck_ema_dist", -0.1),
    ("unstuck_threshold", 0.0),
    ("wallet_exposure_limit", 0.0),
    ("wallet_exposure_limit", 0.3),
]


@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize(("name", "value"), OVERRIDES)
def test_overriding_the_only_coin_is_changing_the_bot(side: str, name: str, value: float | bool) -> None:
    coins = {"AAA": COINS["AAA"]}
    base = bot({"entry_grid_spacing_log_weight": 1.0}, {"entry_grid_spacing_log_weight": 1.0})
    changed: Bot = {**base, side: {**base[side], name: value}}
    overridden = run(coins, base, {"AAA": {side: {name: value}}})
    assert same(overridden, run(coins, changed))
    # Some values happen to make no difference to this walk; those below must make one.
    if name not in {"enforce_exposure_limit", "unstuck_ema_dist", "unstuck_close_pct", "unstuck_threshold"}:
        assert not same(overridden, run(coins, base))


def test_sides_are_overridden_apart_and_together() -> None:
    coins = {"AAA": COINS["AAA"]}
    base = bot({}, {})
    long: dict[str, float | bool] = {"entry_initial_qty_pct": 0.03, "ema_span_0": 200.0}
    short: dict[str, float | bool] = {"entry_initial_qty_pct": 0.05, "close_grid_qty_pct": 0.9}
    together = run(coins, base, {"AAA": {"long": long, "short": short}})
    assert same(together, run(coins, bot(long, short)))
    assert not same(together, run(coins, base, {"AAA": {"long": long}}))
    assert same(run(coins, base, {"AAA": {"long": {}, "short": {}}}), run(coins, base, {}))


def test_several_coins_each_have_their_own() -> None:
    """With fixed limits, slots for all and a balance that never moves the coins do not touch each other."""
    values = {"AAA": 0.01, "BBB": 0.02, "CCC": 0.0}
    still: dict[str, float | bool] = {**EAGER, **NEVER_CLOSES, "n_positions": 3.0}
    still |= {"wallet_exposure_limit": 0.3, "entry_grid_spacing_pct": 0.02}
    overrides: dict[str, dict[str, dict[str, float | bool]]] = {
        coin: {"long": {"entry_initial_qty_pct": value, "entry_grid_spacing_pct": value * 2}}
        for coin, value in values.items()
    }
    rules = dict.fromkeys(COINS, RULES)
    free: dict[str, Any] = {"starting_balance": 1e4, "maker_fee": 0.0}
    both = bot(still)
    result = Engine(table(COINS), rules, **free).backtest(both, overrides, warmup_minutes=100)
    for coin, override in overrides.items():
        single = Engine(table({coin: COINS[coin]}), {coin: RULES}, **free)
        alone = single.backtest(bot({**still, **override["long"]}), warmup_minutes=100)
        rows = of_coin(result, coin)
        assert len(rows) > 3
        columns = (
            "minute",
            "qty",
            "price",
            "position_size",
            "position_price",
            "order_type",
            "wallet_exposure",
        )
        assert [[row[c] for c in columns] for row in rows] == [
            [row[c] for c in columns] for row in alone.fills.to_pylist()
        ]


def test_a_limit_of_zero_keeps_a_coin_out() -> None:
    both = bot({**EAGER, "n_positions": 3.0}, {**EAGER, "n_positions": 3.0})
    result = run(COINS, both, {"BBB": {"long": {"wallet_exposure_limit": 0.0}}})
    types = {row["order_type"] for row in of_coin(result, "BBB")}
    assert types
    assert all(str(name).endswith("_short") for name in types)
    assert {row["order_type"] for row in of_coin(result, "AAA")} > types
    nowhere = {
        coin: {"long": {"wallet_exposure_limit": 0}, "short": {"wallet_exposure_limit": 0}} for coin in COINS
    }
    assert run(COINS, both, nowhere).fills.num_rows == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [0.0, 0.05, 0.9])
def test_a_limit_of_one_coin_leaves_the_dynamic_limit_of_the_others(limit: float) -> None:
    # 0.9 over three slots is 0.3 each; 1 % of that opens a position, at the price that stands still.
    panel = {coin: flat(300) for coin in ("AAA", "BBB", "CCC")}
    for candles in panel.values():
        candles[150:, 1] = 99.0
    side = {**EAGER, **NEVER_CLOSES, "n_positions": 3.0, "total_wallet_exposure_limit": 0.9}
    side |= {"entry_initial_qty_pct": 0.01, "entry_grid_spacing_pct": 0.5}
    overrides: dict[str, dict[str, dict[str, float | bool]]] = {
        "BBB": {"long": {"wallet_exposure_limit": limit}}
    }
    result = Engine(
        table(panel), dict.fromkeys(panel, RULES), starting_balance=10_000.0, maker_fee=0.0
    ).backtest(bot(side), overrides, warmup_minutes=100)
    first = {row["coin"]: row["qty"] for row in reversed(result.fills.to_pylist())}
    expected = {coin: 10_000 * 0.3 * 0.01 / 100 for coin in ("AAA", "CCC")}
    if limit > 0:
        expected["BBB"] = 10_000 * limit * 0.01 / 100
    assert first == pytest.approx(expected)
    assert {row["price"] for row in result.fills.to_pylist()} == {100.0}


def falls(low: float) -> Candles:
    """100 until minute 200, then 90, with one deep low in minute 250."""
    candles = flat(400)
    candles[200:, 0] = candles[200:, 2] = candles[200:, 1] = 90.0
    candles[150, 1] = 99.0
    candles[250, 1] = low
    return candles


@pytest.mark.parametrize(
    ("weight", "spacing", "minute", "price"),
    [
        # The position takes 10 % of its limit: the distance is spacing × (1 + 0.1 × weight), at least 0.
        (0.0, 0.2, 250, 80.0),
        (5.0, 0.2, 250, 70.0),
        (-2.0, 0.2, 250, 84.0),
        (0.0, 0.05, 200, 95.0),
        (-20.0, 0.2, 200, 100.0),
    ],
)
def test_re_entry_of_an_overridden_coin(weight: float, spacing: float, minute: int, price: float) -> None:
    coins = {"AAA": falls(60.0), "BBB": falls(60.0)}
    side = {**EAGER, **NEVER_CLOSES, "n_positions": 2.0, "total_wallet_exposure_limit": 2.0}
    side |= {"entry_grid_spacing_pct": 0.4, "entry_grid_spacing_we_weight": 0.0}
    overrides: dict[str, dict[str, dict[str, float | bool]]] = {
        "BBB": {"long": {"entry_grid_spacing_we_weight": weight, "entry_grid_spacing_pct": spacing}}
    }
    subject = Engine(table(coins), dict.fromkeys(coins, RULES), starting_balance=10_000.0, maker_fee=0.0)
    result = subject.backtest(bot(side), overrides, warmup_minutes=100)
    a, b = of_coin(result, "AAA"), of_coin(result, "BBB")
    assert [(row["minute"], row["price"], row["qty"]) for row in a[:1]] == [(150, 100.0, 10.0)]
    assert [(row["minute"], row["price"], row["qty"]) for row in b[:1]] == [(150, 100.0, 10.0)]
    # 0.9 × the position, but at least the first entry's cost at the new price.
    assert (b[1]["minute"], b[1]["price"]) == (minute, price)
    assert b[1]["qty"] == pytest.approx(max(9.0, round(1000 / price, 3)))
    # The coin without overrides is bought at 60 only if the price trades below it, and 60 is not below 60.
    assert len(a) == 1


def test_re_entry_of_an_overridden_short() -> None:
    candles = flat(400)
    candles[150, 0] = 101.0
    candles[250, 0] = 131.0
    coins = {"AAA": candles, "BBB": candles}
    side = {**EAGER, **NEVER_CLOSES, "n_positions": 2.0, "total_wallet_exposure_limit": 2.0}
    side |= {"entry_grid_spacing_pct": 0.4, "entry_grid_spacing_we_weight": 0.0}
    side |= {"close_grid_markup_start": 0.9, "close_grid_markup_end": 0.9}
    subject = Engine(table(coins), dict.fromkeys(coins, RULES), starting_balance=10_000.0, maker_fee=0.0)
    result = subject.backtest(
        bot(None, side), {"AAA": {"short": {"entry_grid_spacing_pct": 0.3}}}, warmup_minutes=100
    )
    a, b = of_coin(result, "AAA"), of_coin(result, "BBB")
    assert [(row["minute"], row["price"], row["qty"]) for row in a] == [
        (150, 100.0, -10.0),
        (250, 130.0, -10.0),
    ]
    # 0.9 × the position would be 9; a first entry at the close would be 10, and a re-entry is no smaller.
    assert [(row["minute"], row["price"], row["qty"]) for row in b] == [(150, 100.0, -10.0)]


@pytest.mark.parametrize("side", ["long", "short"])
def test_enforcement_of_one_coin(side: str) -> None:
    """First entries are 5 % above the limit, 1 % is tolerated: a coin that is told to gives the rest back."""
    greedy: dict[str, float | bool] = {**EAGER, **NEVER_CLOSES, "n_positions": 2.0}
    greedy |= {"entry_initial_qty_pct": 1.05, "close_grid_markup_start": 0.9, "close_grid_markup_end": 0.9}
    both = bot(greedy) if side == "long" else bot(None, greedy)
    result = run(
        {"AAA": COINS["AAA"], "BBB": COINS["BBB"]}, both, {"BBB": {side: {"enforce_exposure_limit": True}}}
    )
    assert {row["order_type"] for row in of_coin(result, "BBB")} >= {f"close_auto_reduce_{side}"}
    assert f"close_auto_reduce_{side}" not in {row["order_type"] for row in of_coin(result, "AAA")}
    reduced = [row for row in of_coin(result, "BBB") if row["order_type"] == f"close_auto_reduce_{side}"]
    assert float(reduced[0]["wallet_exposure"]) == pytest.approx(0.5 * 1.01, abs=1e-3)  # type: ignore[arg-type]
    off = run({"BBB": COINS["BBB"]}, both, {"BBB": {side: {"enforce_exposure_limit": 0.0}}})
    assert "close_auto_reduce" not in " ".join(off.fills["order_type"].to_pylist())


def test_side_wide_parameters_are_those_of_the_first_coin() -> None:
    """§3: slots, the side's limit, the volume filter and the allowance are read from coin 0."""
    base = bot({**EAGER, "n_positions": 3.0})
    names: dict[str, float | bool] = {
        "n_positions": 1.0,
        "total_wallet_exposure_limit": 0.2,
        "filter_volume_drop_pct": 0.9,
        "unstuck_loss_allowance_pct": 0.0,
    }
    plain = run(COINS, base)
    assert same(run(COINS, base, {"BBB": {"long": names}}), plain)
    first = run(COINS, base, {"AAA": {"long": names}})
    assert same(first, run(COINS, bot({**EAGER, **names})))
    assert not same(first, plain)


def test_overrides_are_the_same_in_a_batch() -> None:
    overrides: dict[str, dict[str, dict[str, float | bool]]] = {
        "AAA": {"long": {"wallet_exposure_limit": 0.0}, "short": {"entry_initial_qty_pct": 0.01}},
        "CCC": {"short": {"enforce_exposure_limit": False, "ema_span_0": 1500.0}},
    }
    both = [bot({"n_positions": float(n)}, {"n_positions": float(4 - n)}) for n in range(1, 4)]
    subject = engine(COINS)
    gains = subject.evaluate(both, ["gain", "adg"], coin_overrides=overrides)
    for each, row in zip(both, gains, strict=True):
        usd = subject.backtest(each, overrides).analysis["usd"]
        assert row.tolist() == [usd["gain"], usd["adg"]]
    assert not np.array_equal(gains, subject.evaluate(both, ["gain", "adg"]))
