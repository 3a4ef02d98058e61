"""Files of versions of v7 after 7.4.4: what is read, and what the engine can't do and says."""

from pathlib import Path
from typing import Any

import pytest

from passivbot.config.load import Loaded, load_mapping
from passivbot.errors import ConfigError


def load(**sections: Any) -> Loaded:
    return load_mapping({"bot": {}, "live": {}} | sections, Path("c.json"))


def limits(*entries: Any) -> dict[str, float]:
    return load(optimize={"limits": list(entries)}).config.optimize.limits


def test_renamed_parameters_keep_their_values_and_bounds() -> None:
    renamed = {
        "entry_grid_spacing_volatility_weight": 2.4,
        "entry_volatility_ema_span_hours": 1690,
        "filter_volatility_ema_span": 225,
    }
    bounds = {f"short_{name}": [1, value * 2] for name, value in renamed.items()}
    loaded = load(bot={"long": renamed, "short": dict(renamed)}, optimize={"bounds": bounds})
    assert loaded.findings == ()
    bot, kept = loaded.config.bot, loaded.config.optimize.bounds
    for side in (bot.long, bot.short):
        assert side.entry_grid_spacing_log_weight == 2.4
        assert side.entry_grid_spacing_log_span_hours == 1690
        assert side.filter_log_range_ema_span == 225
    assert kept["short_entry_grid_spacing_log_weight"] == (1, 4.8)
    assert kept["short_entry_grid_spacing_log_span_hours"] == (1, 3380)
    assert kept["short_filter_log_range_ema_span"] == (1, 450)


def test_rules_that_the_engine_lacks_are_named_once_a_section() -> None:
    loaded = load(
        bot={
            "long": {"entry_trailing_threshold_we_weight": 1.3, "risk_we_excess_allowance_pct": 0.4},
            "short": {"entry_trailing_threshold_we_weight": 0, "risk_wel_enforcer_threshold": 1.01},
        },
        optimize={
            "bounds": {
                "long_risk_we_excess_allowance_pct": [0, 0.4, 0.01],
                "short_risk_we_excess_allowance_pct": [0, 0],
            }
        },
    )
    assert [str(finding) for finding in loaded.findings] == [
        "c.json: bot.long: this trades otherwise here than there: left out are rules that came after v7.4.4, "
        "which the engine follows: entry_trailing_threshold_we_weight, risk_we_excess_allowance_pct",
        "c.json: optimize.bounds: is not searched here: left out is a rule that came after v7.4.4, "
        "which the engine follows: long_risk_we_excess_allowance_pct",
    ]


def test_metrics_with_a_currency_behind_them_and_objectives_with_a_goal() -> None:
    scoring = [{"metric": "mdg_w_usd", "goal": "max"}, "drawdown_worst_usd", {"metric": "adg_btc"}]
    config = load(backtest={"btc_collateral_cap": 1.0}, optimize={"scoring": scoring}).config
    assert config.backtest.use_btc_collateral
    assert config.optimize.scoring == ("btc_adg", "drawdown_worst", "mdg_w")
    assert not load(backtest={"btc_collateral_cap": 0.0}).config.backtest.use_btc_collateral
    half = load(backtest={"btc_collateral_cap": 0.5})
    assert [finding.key for finding in half.findings] == ["backtest.btc_collateral_cap"]


def test_limits_as_a_list() -> None:
    assert limits(
        {"metric": "drawdown_worst_usd", "penalize_if": "greater_than", "value": 0.4, "stat": "max"},
        {"metric": "drawdown_worst", "penalize_if": ">", "value": 0.3},
        {"metric": "adg", "penalize_if": "auto", "value": 0.001},
        {"metric": "loss_profit_ratio", "penalize_if": "outside_range", "range": [0.7, 0.1]},
        {"metric": "gain", "penalize_if": "less_than", "value": 1.1, "enabled": False},
    ) == {
        "penalize_if_greater_than_drawdown_worst": 0.3,
        "penalize_if_greater_than_loss_profit_ratio": 0.7,
        "penalize_if_lower_than_adg": 0.001,
        "penalize_if_lower_than_loss_profit_ratio": 0.1,
    }
    assert limits() == {}


@pytest.mark.parametrize(
    "entry",
    [
        "drawdown_worst",
        {"penalize_if": ">", "value": 1},
        {"metric": "adg", "penalize_if": "inside_range", "range": [0, 1]},
        {"metric": "adg", "penalize_if": "outside_range", "value": 1},
        {"metric": "adg", "penalize_if": "<"},
        {"metric": "adg", "penalize_if": "<", "value": "x"},
        {"metric": "adg", "penalize_if": "<", "value": 1, "stat": "std"},
        {"metric": "adg", "penalize_if": "<", "value": 1, "scenario": "bull"},
    ],
)
def test_limits_of_another_form_are_one_clear_error(entry: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"^c\.json: optimize\.limits\.0 is .*allowed is {metric, penalize_if"
    ):
        limits(entry)


def test_a_goal_against_the_metric_and_a_file_of_v8_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"optimize\.scoring is .*allowed is {metric, goal: max}"):
        load(optimize={"scoring": [{"metric": "adg", "goal": "min"}]})
    with pytest.raises(ConfigError, match=r"bot\.long\.risk holds a group of parameters"):
        load(bot={"long": {"risk": {"n_positions": 3}}, "short": {}})
