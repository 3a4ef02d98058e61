"""Bad input: each has its message, which names file, key, value and what is allowed."""

import re
from pathlib import Path
from typing import Any

import pytest

from passivbot.config import load_config
from passivbot.config.load import load_mapping
from passivbot.errors import ConfigError

SHAPE = "a number, [x], [low, high] or [low, high, step]"
FLAGS = "options of -lm MODE, -sm MODE, -lw X, -sw X, -lev X, -lc PATH"
MODES = "n, normal, m, manual, gs, graceful_stop, graceful-stop, t, tp, tp_only, tp-only, p, panic"


def message(raw: dict[str, Any], sets: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as caught:
        load_mapping(raw, Path("c.json"), sets=sets)
    return str(caught.value)


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        # wrong type
        ({"bot": {"long": {"ema_span_0": "x"}}}, "bot.long.ema_span_0 is 'x'; allowed is a number"),
        ({"bot": {"long": {"ema_span_0": True}}}, "bot.long.ema_span_0 is True; allowed is a number"),
        ({"bot": {"short": {"ema_span_0": None}}}, "bot.short.ema_span_0 is None; allowed is a number"),
        ({"bot": {"long": {"ema_span_0": [3]}}}, "bot.long.ema_span_0 is [3]; allowed is a number"),
        (
            {"bot": {"long": {"n_positions": "5"}}},
            "bot.long.n_positions is '5'; allowed is a number, without quotes",
        ),
        ({"bot": {"long": {"ema_span_0": float("nan")}}}, "bot.long.ema_span_0 is nan; allowed is a number"),
        (
            {"bot": {"long": {"enforce_exposure_limit": "yes"}}},
            "bot.long.enforce_exposure_limit is 'yes'; allowed is true or false",
        ),
        ({"bot": {"long": 3}}, "bot.long is 3; allowed is a mapping"),
        ({"bot": []}, "bot is []; allowed is a mapping"),
        ({"live": "x"}, "live is 'x'; allowed is a mapping"),
        ({"optimize": {"bounds": []}}, "optimize.bounds is []; allowed is a mapping"),
        ({"coin_overrides": []}, "coin_overrides is []; allowed is a mapping"),
        (
            {"coin_overrides": {"BTC": 3}},
            "coin_overrides.BTC is 3; allowed is a mapping with bot, live or override_config_path",
        ),
        (
            {"coin_overrides": {"BTC": {"bot": {"long": {"ema_span_0": "x"}}}}},
            "coin_overrides.BTC.bot.long.ema_span_0 is 'x'; allowed is a number",
        ),
        (
            {"coin_overrides": {"BTC": {"bot": 1}}},
            "coin_overrides.BTC.bot is 1; allowed is a mapping with long and short",
        ),
        (
            {"backtest": {"starting_balance": 0}},
            "backtest.starting_balance is 0; allowed is a number above 0",
        ),
        (
            {"backtest": {"gap_tolerance_ohlcvs_minutes": -1}},
            "backtest.gap_tolerance_ohlcvs_minutes is -1; allowed is a number of at least 0",
        ),
        *(
            (
                {"backtest": {"candle_interval_minutes": value}},
                f"backtest.candle_interval_minutes is {value!r}; allowed is 1, 2, 3, 4, 5, 6, 10, 12, 15, "
                "20, 30 or 60",
            )
            for value in (7, 0, 120, 2.5, "5m", "15")
        ),
        ({"backtest": {"exchanges": [1]}}, "backtest.exchanges is [1]; allowed is a list of names"),
        (
            {"backtest": {"start_date": "soon"}},
            "backtest.start_date is 'soon'; allowed is YYYY, YYYY-MM, YYYY-MM-DD, a timestamp, or empty for "
            "the "
            "first candle",
        ),
        (
            {"backtest": {"end_date": 20240101}},
            "backtest.end_date is 20240101; allowed is YYYY, YYYY-MM, YYYY-MM-DD, a timestamp, now or today",
        ),
        ({"optimize": {"iters": 1.5}}, "optimize.iters is 1.5; allowed is an integer of at least 1"),
        (
            {"optimize": {"population_size": 0}},
            "optimize.population_size is 0; allowed is an integer of at least 1",
        ),
        (
            {"optimize": {"crossover_probability": 1.1}},
            "optimize.crossover_probability is 1.1; allowed is a number from 0 to 1",
        ),
        (
            {"optimize": {"offspring_multiplier": "x"}},
            "optimize.offspring_multiplier is 'x'; allowed is a number",
        ),
        ({"optimize": {"scoring": 3}}, "optimize.scoring is 3; allowed is a list of names"),
        ({"logging": {"level": 4}}, "logging.level is 4; allowed is an integer from 0 to 3"),
        (
            {"live": {"time_in_force": "x"}},
            "live.time_in_force is 'x'; allowed is good_till_cancelled, post_only",
        ),
        (
            {"live": {"approved_coins": 3}},
            "live.approved_coins is 3; allowed is a list of coins, a text BTC,ETH, a path to a file of "
            "coins, or "
            "{long, short} of these",
        ),
        (
            {"live": {"approved_coins": {"long": [1]}}},
            "live.approved_coins.long is [1]; allowed is a list of coins, a text BTC,ETH, a path to a file "
            "of coins, "
            "or {long, short} of these",
        ),
        (
            {"live": {"approved_coins": "coins/none.json"}},
            "live.approved_coins is 'coins/none.json'; allowed is a file of coins that exists",
        ),
        # bounds
        (
            {"optimize": {"bounds": {"long_ema_span_0": None}}},
            f"optimize.bounds.long_ema_span_0 is missing; allowed is {SHAPE}",
        ),
        (
            {"optimize": {"bounds": {"long_ema_span_0": []}}},
            f"optimize.bounds.long_ema_span_0 is []; allowed is {SHAPE}",
        ),
        (
            {"optimize": {"bounds": {"long_ema_span_0": [1, 2, 3]}}},
            f"optimize.bounds.long_ema_span_0 is [1, 2, 3]; allowed is {SHAPE}",
        ),
        (
            {"optimize": {"bounds": {"short_ema_span_0": [1, "2"]}}},
            f"optimize.bounds.short_ema_span_0 is [1, '2']; allowed is {SHAPE}",
        ),
        # metrics
        ({"optimize": {"scoring": ["adgg"]}}, "optimize.scoring is 'adgg'; allowed is a metric such as adg"),
        (
            {"optimize": {"scoring": ["qqqq"]}},
            "optimize.scoring is 'qqqq'; allowed is a metric of the list in the manual",
        ),
        ({"optimize": {"scoring": []}}, "optimize.scoring is []; allowed is at least one metric"),
        (
            {"optimize": {"limits": {"drawdown": 0.3}}},
            "optimize.limits.drawdown names no known metric; allowed is a metric such as drawdown_worst, "
            "alone or "
            "after penalize_if_greater_than_ or penalize_if_lower_than_",
        ),
        (
            {"optimize": {"limits": "--penalize_if_lower_than_gane 0.3"}},
            "optimize.limits.penalize_if_lower_than_gane names no known metric; allowed is a metric such as "
            "gain, "
            "alone or after penalize_if_greater_than_ or penalize_if_lower_than_",
        ),
        (
            {
                "optimize": {"limits": {"btc_total_wallet_exposure_max": 0.3}},
                "backtest": {"use_btc_collateral": True},
            },
            "optimize.limits.btc_total_wallet_exposure_max states no direction and "
            "btc_total_wallet_exposure_max has "
            "none of its own; allowed is penalize_if_greater_than_btc_total_wallet_exposure_max or "
            "penalize_if_lower_than_btc_total_wallet_exposure_max",
        ),
        (
            {"optimize": {"limits": {"drawdown_worst": "0.3"}}},
            "optimize.limits.drawdown_worst is '0.3'; allowed is a number",
        ),
        (
            {"optimize": {"limits": "--drawdown_worst"}},
            "optimize.limits is '--drawdown_worst'; allowed is a mapping of limit to number, or a text such "
            "as "
            '"--drawdown_worst 0.3"',
        ),
        (
            {"optimize": {"limits": ["drawdown_worst"]}},
            "optimize.limits.0 is 'drawdown_worst'; allowed is {metric, penalize_if: greater_than, "
            "less_than, outside_range or auto, value or range}",
        ),
        # coins
        (
            {"live": {"approved_coins": "BTC", "ignored_coins": "BTC", "empty_means_all_approved": True}},
            "live.ignored_coins.long removes every coin of live.approved_coins.long; an empty list would "
            "mean "
            "all coins",
        ),
        ({"live": {"coin_flags": {"BTC": "-xx 3"}}}, f"live.coin_flags.BTC is '-xx 3'; allowed is {FLAGS}"),
        ({"live": {"coin_flags": {"BTC": "-lw x"}}}, f"live.coin_flags.BTC is '-lw x'; allowed is {FLAGS}"),
        (
            {"live": {"coin_flags": {"BTC": "-lm stop"}}},
            f"live.coin_flags.BTC is '-lm stop'; allowed is a mode of {MODES}",
        ),
    ],
)
def test_a_wrong_file(sections: dict[str, Any], expected: str) -> None:
    assert message({"bot": {}, "live": {}} | sections) == f"c.json: {expected}"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            "backtest.starting_balance=much",
            "backtest.starting_balance is 'much'; allowed is a number above 0",
        ),
        (
            "backtest.use_btc_collateral=maybe",
            "backtest.use_btc_collateral is 'maybe'; allowed is true or false",
        ),
        ("optimize.iters=1.5", "optimize.iters is '1.5'; allowed is an integer of at least 1"),
        (
            "optimize.bounds.long_ema_span_0=1,2,3",
            f"optimize.bounds.long_ema_span_0 is '1,2,3'; allowed is {SHAPE}",
        ),
        ("optimize.bounds.long_ema_span_0=", f"optimize.bounds.long_ema_span_0 is ''; allowed is {SHAPE}"),
        (
            "optimize.bounds.long_ema_span_0=nan",
            f"optimize.bounds.long_ema_span_0 is 'nan'; allowed is {SHAPE}",
        ),
        ("optimize.scoring=adg,mdgg", "optimize.scoring is 'mdgg'; allowed is a metric such as mdg"),
        ("optimize.limits.gain=x", "optimize.limits.gain is 'x'; allowed is a number"),
        (
            "optimize.limits=--gane 3",
            "optimize.limits.gane names no known metric; allowed is a metric such as gain, alone or after "
            "penalize_if_greater_than_ or penalize_if_lower_than_",
        ),
        (
            "live.approved_coins=none.json",
            "live.approved_coins is 'none.json'; allowed is a file of coins that exists",
        ),
        (
            "backtest.strat_date=2024",
            "backtest.strat_date is not a key of the configuration (nearest known key: backtest.start_date)",
        ),
        (
            "long.ema_span_0=3",
            "long.ema_span_0 is not a key of the configuration (nearest known key: bot.long.ema_span_0)",
        ),
        ("backtest.end_date", "--set is 'backtest.end_date'; allowed is key=value"),
        ("=3", "--set is '=3'; allowed is key=value"),
    ],
)
def test_a_wrong_command_line(entry: str, expected: str) -> None:
    assert message({"bot": {}, "live": {}}, (entry,)) == f"the command line: {expected}"


def test_a_section_is_no_key() -> None:
    assert message({"bot": {}, "live": {}}, ("backtest=3",)).startswith(
        "the command line: backtest is not a key of the configuration"
    )


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    def of(path: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        return str(caught.value).removeprefix(str(path))

    assert of(tmp_path / "none.json") == ": there is no such file"
    assert of(tmp_path) == ": is a folder; a configuration file is needed"

    file = tmp_path / "x.json"
    file.write_bytes(b'{"bot": "\xff\xfe"}')
    assert of(file) == ": is not a text file (byte 9 is not UTF-8)"
    file.write_text('{"bot": {"long": [1, 2}')
    assert re.match(r": is neither JSON nor Hjson \(line 1, column \d+: .+\)$", of(file))
    file.write_text('["BTC"]')
    assert of(file) == ": holds a list; a configuration is a mapping of sections"
    file.write_text("")
    assert of(file) in (
        ": holds nothing; a configuration is a mapping of sections",
        ": is not a configuration of a known layout: section bot and live missing",
    )
    file.write_text('{"bot": {}, "optimize": {}}')
    assert of(file) == ": is not a configuration of a known layout: section live missing"


def test_the_source_of_a_value_is_named() -> None:
    raw = {"bot": {}, "live": {}, "optimize": {"scoring": ["adgg"]}}
    assert message(raw).startswith("c.json: optimize.scoring")
    assert message(raw, ("optimize.scoring=mdgg",)).startswith("the command line: optimize.scoring")
