"""Layers, normalisation, findings, and that loading twice is loading once."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passivbot.config import Config, load_config
from passivbot.config.load import load_mapping
from passivbot.config.resources import configs_dir
from passivbot.config.schema import BOUNDS, SIDES, BotSide
from passivbot.config.scoring import METRIC_WEIGHTS
from passivbot.errors import ConfigError

from .conftest import Write

HERE = Path("c.json")


def load(sets: tuple[str, ...] = (), /, **sections: Any) -> Config:
    return load_mapping({"bot": {}, "live": {}} | sections, HERE, sets=sets).config


def findings(sets: tuple[str, ...] = (), /, **sections: Any) -> list[str]:
    return [str(f) for f in load_mapping({"bot": {}, "live": {}} | sections, HERE, sets=sets).findings]


def test_layers_in_order(write: Write) -> None:
    path = write(
        backtest={"starting_balance": 1, "start_date": "2022", "end_date": "2023"}, live={"user": "file"}
    )
    loaded = load_config(
        path,
        sets=["backtest.starting_balance=2", "backtest.end_date=2024", "live.user=set"],
        options={"backtest.starting_balance": "3"},
    )
    backtest = loaded.config.backtest
    assert (backtest.starting_balance, backtest.end_date, backtest.start_date) == (3.0, "2024", "2022")
    assert backtest.gap_tolerance_ohlcvs_minutes == 120.0
    assert (loaded.config.live.user, loaded.source, loaded.findings) == ("set", str(path), ())


def test_without_a_file_it_is_the_template() -> None:
    template, named = load_config(None).config, load_config(configs_dir() / "template.json").config
    assert template.live.base_config_path == "template.json"
    one, other = template.to_dict(), named.to_dict()
    assert one["live"].pop("base_config_path") != other["live"].pop("base_config_path")
    assert one == other
    assert len(template.live.approved_coins["long"]) == 23


def test_hjson(tmp_path: Path) -> None:
    path = tmp_path / "c.hjson"
    path.write_text(
        """{
  # a comment
  bot: {long: {ema_span_0: 123, n_positions: 2.5,}, short: {}}
  live: {approved_coins: ["BTC", "ETH",], /* both sides */ leverage: 3}
  optimize: {scoring: ["mdg", "adg"]}
}"""
    )
    config = load_config(path).config
    assert (config.bot.long.ema_span_0, config.bot.long.n_positions, config.live.leverage) == (
        123.0,
        3.0,
        3.0,
    )
    assert config.live.approved_coins == {"long": ("BTC", "ETH"), "short": ("BTC", "ETH")}
    assert config.optimize.scoring == ("adg", "mdg")


def test_private_keys_are_kept_everywhere() -> None:
    raw = {
        "_note": {"a": [1]},
        "bot": {"_b": 1, "long": {"_c": "x"}},
        "live": {"_d": None},
        "optimize": {"_e": 2},
    }
    data = load(**raw).to_dict()
    assert data["_note"] == {"a": [1]}
    assert (data["bot"]["_b"], data["bot"]["long"]["_c"], data["live"]["_d"]) == (1, "x", None)
    assert data["optimize"]["_e"] == 2
    assert findings(**raw) == []
    assert Config.from_dict(data).to_dict() == data
    assert "_c" not in Config.from_dict(data).bot.to_engine()["long"]


@pytest.mark.parametrize(
    ("sections", "finding"),
    [
        (
            {"backtest": {"strat_date": "2024"}},
            "c.json: backtest.strat_date: is unknown and left out (nearest known key: backtest.start_date)",
        ),
        (
            {"bot": {"long": {"ema_span0": 3}}},
            "c.json: bot.long.ema_span0: is unknown and left out (nearest known key: bot.long.ema_span_0)",
        ),
        (
            {"optimise": {}},
            "c.json: optimise: is unknown and left out (nearest known key: optimize)",
        ),
        (
            {"optimize": {"bounds": {"long_ema_spam_0": [1, 2]}}},
            "c.json: optimize.bounds.long_ema_spam_0: is unknown and left out "
            "(nearest known key: optimize.bounds.long_ema_span_0)",
        ),
        ({"live": {"xyz": 1}}, "c.json: live.xyz: is unknown and left out"),
        ({"bot": {"long": {"//note": 1}}}, "c.json: bot.long.//note: is unknown and left out"),
        ({"optimize": {"comment": "x"}}, "c.json: optimize.comment: is unknown and left out"),
        (
            {"live": {"start_date": "2024"}},
            "c.json: live.start_date: is unknown and left out (nearest known key: backtest.start_date)",
        ),
        (
            {"backtest.start_date": "2024"},
            "c.json: backtest.start_date: is unknown and left out (known is start_date inside backtest)",
        ),
        (
            {"optimize": {"bounds": {"long_ema_span_0": [1440, 200]}}},
            "c.json: optimize.bounds.long_ema_span_0: [1440, 200] is reversed and read as [200, 1440]",
        ),
        (
            {"optimize": {"enable_overrides": ["example", "lossless", "lossless_close_trailing"]}},
            "c.json: optimize.enable_overrides: 'lossless' is unknown; it and the names after it have no "
            "effect "
            "(known: lossless_close_trailing, example)",
        ),
        (
            {"optimize": {"limits": {"penalize_if_greater_than_btc_drawdown_worst": 0.3}}},
            "c.json: optimize.limits.penalize_if_greater_than_btc_drawdown_worst: has no effect: "
            "backtest.use_btc_collateral is off",
        ),
    ],
)
def test_findings(sections: dict[str, Any], finding: str) -> None:
    assert findings(**sections) == [finding]


def test_findings_of_the_command_line_name_it() -> None:
    assert findings(("optimize.bounds.long_ema_span_0=3,2",)) == [
        "the command line: optimize.bounds.long_ema_span_0: [3, 2] is reversed and read as [2, 3]"
    ]


def test_unknown_keys_and_reversed_bounds_are_treated_as_specified() -> None:
    config = load(
        optimize={"bounds": {"long_ema_span_0": [1440, 200], "nothing": 3}}, backtest={"strat_date": 1}
    )
    assert config.optimize.bounds["long_ema_span_0"] == (200.0, 1440.0)
    assert set(config.optimize.bounds) == set(BOUNDS)
    assert "strat_date" not in config.to_dict()["backtest"]


@pytest.mark.parametrize(
    ("written", "read"),
    [(5, 5.0), ([5], (5.0, 5.0)), ([5, 5], (5.0, 5.0)), ([1, 2.5], (1.0, 2.5)), ([2, -1], (-1.0, 2.0))],
)
def test_bounds(written: Any, read: Any) -> None:
    assert load(optimize={"bounds": {"long_ema_span_0": written}}).optimize.bounds["long_ema_span_0"] == read


def test_what_the_run_and_results_add_is_left_out_silently() -> None:
    raw = {
        "analysis": {"adg": 1},
        "analyses": {},
        "analyses_combined": {},
        "results_dir": "x",
        "results_filename": "y",
        "backtest": {"coins": {"combined": ["BTC"]}, "cache_dir": {"combined": "x"}},
        "live": {"base_config_path": "old.json"},
    }
    assert findings(**raw) == []
    config = load(**raw)
    assert config.live.base_config_path == "old.json"
    assert not {"analysis", "results_dir"} & set(config.to_dict())
    assert not {"coins", "cache_dir"} & set(config.to_dict()["backtest"])


def test_scoring_is_sorted_once_each_and_loses_btc_without_collateral() -> None:
    scoring = ["btc_sharpe_ratio", "adg", "btc_adg"]
    off = load(optimize={"scoring": scoring, "limits": {"btc_drawdown_worst": 0.4, "gain": 1.0}})
    on = load(optimize={"scoring": scoring}, backtest={"use_btc_collateral": True})
    assert off.optimize.scoring == ("adg", "sharpe_ratio")
    assert off.optimize.limits == {"drawdown_worst": 0.4, "gain": 1.0}
    assert on.optimize.scoring == ("adg", "btc_adg", "btc_sharpe_ratio")
    assert load(("optimize.scoring=mdg,adg",)).optimize.scoring == ("adg", "mdg")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (
            "--drawdown_worst 0.333 --loss_profit_ratio: 0.9",
            {"drawdown_worst": 0.333, "loss_profit_ratio": 0.9},
        ),
        ({"lower_bound_drawdown_worst": 0.3}, {"penalize_if_greater_than_drawdown_worst": 0.3}),
        (
            {"lower_bound_drawdown_worst": 0.3, "penalize_if_greater_than_drawdown_worst": 0.1},
            {"penalize_if_greater_than_drawdown_worst": 0.1},
        ),
        ({"btc_adg": 1, "adg": 2}, {"adg": 2.0}),
        ("", {}),
        ({}, {}),
    ],
)
def test_limits(written: Any, read: dict[str, float]) -> None:
    assert load(optimize={"limits": written}).optimize.limits == read


def test_single_limits_of_the_command_line_join_those_of_the_file() -> None:
    config = load(
        ("optimize.limits.gain=1.1", "optimize.limits.drawdown_worst=0.5"),
        optimize={"limits": "--drawdown_worst 0.3 --loss_profit_ratio 0.9"},
    )
    assert config.optimize.limits == {"drawdown_worst": 0.5, "gain": 1.1, "loss_profit_ratio": 0.9}
    assert load(("optimize.limits=--gain 2",), optimize={"limits": {"gain": 1}}).optimize.limits == {
        "gain": 2.0
    }


@pytest.mark.parametrize(
    ("entry", "path", "value"),
    [
        ("backtest.use_btc_collateral=Y", "backtest.use_btc_collateral", True),
        ("backtest.combine_ohlcvs=0", "backtest.combine_ohlcvs", False),
        ("backtest.exchanges=bybit, gateio", "backtest.exchanges", ["bybit", "gateio"]),
        ('backtest.exchanges=["bybit"]', "backtest.exchanges", ["bybit"]),
        ("optimize.iters=3e4", "optimize.iters", 30000),
        ("bot.long.ema_span_0=-1.5e2", "bot.long.ema_span_0", -150.0),
        ("optimize.bounds.long_ema_span_0=7", "optimize.bounds.long_ema_span_0", 7.0),
        ("optimize.bounds.long_ema_span_0=-7,8", "optimize.bounds.long_ema_span_0", [-7.0, 8.0]),
        ("optimize.bounds.long_ema_span_0=[7]", "optimize.bounds.long_ema_span_0", [7.0, 7.0]),
        (
            "live.approved_coins=ETH,BTC",
            "live.approved_coins",
            {"long": ["BTC", "ETH"], "short": ["BTC", "ETH"]},
        ),
        ("live.approved_coins.short=ETH", "live.approved_coins", {"long": ["XRP"], "short": ["ETH"]}),
        ("live.user=a=b", "live.user", "a=b"),
        ("optimize.offspring_multiplier=-3", "optimize.offspring_multiplier", 1.0),
        ("bot.short.n_positions=2.5", "bot.short.n_positions", 3.0),
    ],
)
def test_values_of_the_command_line(entry: str, path: str, value: Any) -> None:
    data: Any = load((entry,), live={"approved_coins": "XRP"}).to_dict()
    for step in path.split("."):
        data = data[step]
    assert data == value


def test_numbers_count_as_booleans() -> None:
    config = load(
        bot={"long": {"enforce_exposure_limit": 0}, "short": {"enforce_exposure_limit": 0.1}},
        backtest={"use_btc_collateral": 1},
    )
    assert (config.bot.long.enforce_exposure_limit, config.bot.short.enforce_exposure_limit) == (False, True)
    assert config.backtest.use_btc_collateral is True


def test_from_dict_is_strict() -> None:
    with pytest.raises(
        ConfigError, match=r"^x: optimize\.bounds\.long_ema_span_1 is missing; allowed is a number"
    ):
        Config.from_dict({"optimize": {"bounds": {k: 1 for k in BOUNDS if k != "long_ema_span_1"}}}, file="x")
    with pytest.raises(
        ConfigError, match=r"^x: live\.levrage is not a key .* \(nearest known key: live\.leverage\)$"
    ):
        Config.from_dict({"live": {"levrage": 3}}, file="x")
    assert Config.from_dict({}) == Config()


numbers = st.floats(-1e6, 1e6) | st.integers(-1000, 1000)
coins = st.sampled_from(["BTC", "ETHUSDT", "1000SHIB/USDT:USDT", "kPEPE", "SOL,XRP", "DOGE"])
coin_lists = st.lists(coins, max_size=4) | coins
side = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(BotSide.model_fields, numbers)
    | {"enforce_exposure_limit": st.booleans() | st.integers(0, 2), "n_positions": st.floats(0, 20)},
)
documents = st.fixed_dictionaries(
    {
        "bot": st.fixed_dictionaries({}, optional=dict.fromkeys(SIDES, side)),
        "live": st.fixed_dictionaries(
            {},
            optional={
                "approved_coins": coin_lists
                | st.fixed_dictionaries({"long": coin_lists, "short": coin_lists}),
                "ignored_coins": coin_lists,
                "unknown": st.none(),
                "minimum_market_age_days": numbers,
            },
        ),
    },
    optional={
        "backtest": st.fixed_dictionaries(
            {"use_btc_collateral": st.booleans()},
            optional={"end_date": st.sampled_from(["now", "", "2024-05"])},
        ),
        "optimize": st.fixed_dictionaries(
            {
                "scoring": st.lists(st.sampled_from(sorted(METRIC_WEIGHTS)), min_size=1, max_size=4),
                "limits": st.dictionaries(st.sampled_from(sorted(METRIC_WEIGHTS)), numbers, max_size=4)
                | st.just("--drawdown_worst: 0.5 --btc_gain 1"),
                "bounds": st.dictionaries(
                    st.sampled_from(list(BOUNDS)),
                    numbers | st.lists(numbers, min_size=1, max_size=2),
                    max_size=5,
                ),
            }
        ),
        "coin_overrides": st.dictionaries(
            coins.filter(lambda name: "," not in name),
            st.fixed_dictionaries(
                {},
                optional={
                    "bot": st.fixed_dictionaries(
                        {
                            "long": st.dictionaries(
                                st.sampled_from(["ema_span_0", "wallet_exposure_limit"]), numbers
                            )
                        }
                    ),
                    "live": st.fixed_dictionaries({"leverage": numbers}),
                },
            ),
        ),
        "_private": st.dictionaries(st.text(max_size=3), numbers),
    },
)


@settings(max_examples=150, deadline=None)
@given(raw=documents)
def test_loading_what_is_loaded_changes_nothing(raw: dict[str, Any]) -> None:
    before = json.dumps(raw)
    once = load_mapping(raw, HERE)
    data = once.config.to_dict()
    assert json.dumps(raw) == before
    text = json.dumps(data, allow_nan=False)
    again = load_mapping(json.loads(text), Path("other.json"))
    assert json.dumps(again.config.to_dict()) == text
    assert Config.from_dict(json.loads(text)).to_dict() == data
    assert [f for f in again.findings if "has no effect" not in f.message] == []
