"""Older layouts, renames and dependent defaults (config-format §7)."""

from pathlib import Path
from typing import Any

import pytest

from passivbot.config import Config
from passivbot.config.load import Loaded, load_mapping
from passivbot.config.schema import BOUNDS, SIDES

HERE = Path("c.json")


def loaded(raw: dict[str, Any]) -> Loaded:
    return load_mapping(raw, HERE)


def load(**sections: Any) -> Config:
    result = loaded({"bot": {}, "live": {}} | sections)
    assert result.findings == ()
    return result.config


V6: dict[str, Any] = {
    "user": "bybit_02",
    "pnls_max_lookback_days": 20,
    "loss_allowance_pct": 0.004,
    "stuck_threshold": 0.7,
    "unstuck_close_pct": 0.03,
    "TWE_long": 1.5,
    "TWE_short": 0.8,
    "long_enabled": True,
    "short_enabled": False,
    "n_longs": 4,
    "n_shorts": 2.5,
    "leverage": 7,
    "execution_delay_seconds": 4,
    "approved_symbols": {"XRPUSDT": "-lw 0.3 -sm p", "ETH/USDT:USDT": ""},
    "ignored_symbols": ["1000SHIBUSDT"],
    "universal_live_config": {
        "long": {
            "ddown_factor": 0.8,
            "ema_span_0": 300,
            "ema_span_1": 900.5,
            "initial_eprice_ema_dist": -0.01,
            "initial_qty_pct": 0.02,
            "markup_range": 0.01,
            "min_markup": 0.003,
            "n_close_orders": 7.6,
            "rentry_pprice_dist": 0.05,
            "rentry_pprice_dist_wallet_exposure_weighting": 1.2,
            "filter_noisiness_rolling_window": 45,
            "filter_volume_rolling_window": 90,
        },
        "short": {"n_close_orders": 0, "ema_span_0": 77},
    },
}


def test_v6_multi_symbol() -> None:
    result = loaded(V6)
    config, long, short = result.config, result.config.bot.long, result.config.bot.short
    assert result.findings == ()
    assert (config.live.user, config.live.pnls_max_lookback_days, config.live.leverage) == (
        "bybit_02",
        20.0,
        7.0,
    )
    assert config.live.approved_coins["long"] == ("ETH", "XRP")
    assert config.live.ignored_coins["short"] == ("SHIB",)
    assert config.coin_overrides == {
        "XRP": {"bot": {"long": {"wallet_exposure_limit": 0.3}}, "live": {"forced_mode_short": "panic"}}
    }
    assert (
        long.model_dump()
        | {
            "entry_grid_double_down_factor": 0.8,
            "ema_span_0": 300.0,
            "ema_span_1": 900.5,
            "entry_initial_ema_dist": -0.01,
            "entry_initial_qty_pct": 0.02,
            "close_grid_qty_pct": 1 / 8,
            "entry_grid_spacing_pct": 0.05,
            "entry_grid_spacing_we_weight": 1.2,
            "filter_log_range_ema_span": 45.0,
            "filter_volume_ema_span": 90.0,
            "n_positions": 4.0,
            "total_wallet_exposure_limit": 1.5,
        }
        == long.model_dump()
    )
    assert (long.close_grid_markup_start, long.close_grid_markup_end) == (0.0344, 0.0089)
    assert (short.ema_span_0, short.close_grid_qty_pct) == (77.0, 0.125)
    assert (short.n_positions, short.total_wallet_exposure_limit) == (3.0, 0.0)
    for side in (long, short):
        assert (side.unstuck_close_pct, side.unstuck_loss_allowance_pct, side.unstuck_threshold) == (
            0.03,
            0.004,
            0.7,
        )
        zero = {"unstuck_ema_dist"} | {
            f"{order}_trailing_{key}"
            for order in ("entry", "close")
            for key in ("grid_ratio", "threshold_pct", "retracement_pct")
        }
        assert {key for key, value in side.model_dump().items() if value == 0} >= zero
    assert config.optimize.bounds == dict(BOUNDS)


def test_v6_without_slots_has_one_for_each_coin() -> None:
    config = loaded(V6 | {"n_longs": 0, "n_shorts": 0}).config
    assert (config.bot.long.n_positions, config.bot.short.n_positions) == (2.0, 2.0)


def test_early_v7() -> None:
    raw = {
        "common": {
            "approved_symbols": ["BTCUSDT", "ETHUSDT"],
            "symbol_flags": {"BTC": "-lm gs"},
            "user": "someone",
            "multisym": 1,
        },
        "backtest": {"starting_balance": 5, "gone": 1},
        "bot": {"long": {"ema_span_0": 5, "entry_grid_spacing_weight": 3}, "short": {}},
        "live": {"leverage": 3},
        "optimize": {"iters": 7, "bounds": {"long_entry_grid_spacing_weight": [1, 2]}},
    }
    result = loaded(raw)
    config = result.config
    assert result.findings == ()
    assert config.live.approved_coins["short"] == ("BTC", "ETH")
    assert config.coin_overrides == {"BTC": {"live": {"forced_mode_long": "graceful_stop"}}}
    assert (config.live.user, config.live.leverage, config.backtest.starting_balance) == ("someone", 3.0, 5.0)
    assert (config.bot.long.ema_span_0, config.bot.long.entry_grid_spacing_we_weight) == (5.0, 3.0)
    assert config.optimize.iters == 7
    assert config.optimize.bounds["long_entry_grid_spacing_we_weight"] == (1.0, 2.0)


def test_nested_and_live_only() -> None:
    current = Config().to_dict()
    current["bot"]["long"]["ema_span_0"] = 17.0
    for raw in (
        current,
        {"config": current, "metrics": {"x": 1}},
        {"bot": current["bot"], "live": current["live"]},
    ):
        result = loaded(raw)
        assert (result.config.bot.long.ema_span_0, result.findings) == (17.0, ())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("filter_noisiness_rolling_window", "filter_log_range_ema_span"),
        ("filter_noisiness_ema_span", "filter_log_range_ema_span"),
        ("filter_volume_rolling_window", "filter_volume_ema_span"),
        ("entry_grid_spacing_weight", "entry_grid_spacing_we_weight"),
    ],
)
@pytest.mark.parametrize("side", SIDES)
def test_renamed_bot_keys_and_bounds(old: str, new: str, side: str) -> None:
    renamed = load(bot={side: {old: 9}}, optimize={"bounds": {f"{side}_{old}": [3, 4]}})
    assert renamed.to_dict()["bot"][side][new] == 9.0
    assert renamed.optimize.bounds[f"{side}_{new}"] == (3.0, 4.0)
    both = load(
        bot={side: {old: 9, new: 8}}, optimize={"bounds": {f"{side}_{old}": [3, 4], f"{side}_{new}": [5, 6]}}
    )
    assert both.to_dict()["bot"][side][new] == 8.0
    assert both.optimize.bounds[f"{side}_{new}"] == (5.0, 6.0)


def test_renamed_live_and_backtest_keys() -> None:
    config = load(
        live={
            "minimum_market_age_days": 3,
            "minimum_coin_age_days": 9,
            "ohlcvs_1m_update_after_minutes": 4,
            "inactive_coin_candle_ttl_minutes": 5,
            "noisiness_rolling_mean_window_size": 6,
        },
        backtest={"exchange": "bybit"},
    )
    assert (config.live.minimum_coin_age_days, config.live.inactive_coin_candle_ttl_minutes) == (3.0, 4.0)
    assert config.backtest.exchanges == ("bybit",)
    # Renamed only after the dependent defaults were made, and dropped (§7.6).
    assert config.bot.long.filter_volume_ema_span == 60.0
    both = load(backtest={"exchange": "bybit", "exchanges": ["gateio"]})
    assert both.backtest.exchanges == ("gateio",)


def test_dependent_defaults_of_an_empty_side() -> None:
    config = load()
    long = config.bot.long
    assert (long.close_trailing_qty_pct, long.entry_trailing_double_down_factor) == (1.0, 1.0)
    assert (long.filter_log_range_ema_span, long.filter_volume_ema_span) == (60.0, 60.0)
    assert (long.close_grid_markup_start, long.close_grid_markup_end) == (0.002, 0.001)
    assert (long.filter_volume_drop_pct, long.ema_span_0) == (0.5, 1318.0)
    expected = dict(BOUNDS) | {f"{side}_entry_trailing_double_down_factor": (0.01, 3.0) for side in SIDES}
    assert config.optimize.bounds == expected


def test_dependent_defaults_follow_other_keys() -> None:
    config = load(
        bot={
            "long": {
                "entry_grid_double_down_factor": 2.5,
                "filter_rolling_window": 33,
                "close_grid_min_markup": 0.004,
                "close_grid_markup_range": 0.01,
            },
            "short": {},
        },
        live={"ohlcv_rolling_window": 44, "filter_relative_volume_clip_pct": 0.3},
        optimize={"bounds": {"long_min_markup": [0.5, 0.6], "long_close_grid_min_markup": [0.7, 0.8]}},
    )
    long, short, bounds = config.bot.long, config.bot.short, config.optimize.bounds
    assert long.entry_trailing_double_down_factor == 2.5
    assert (long.filter_log_range_ema_span, short.filter_volume_ema_span) == (33.0, 44.0)
    assert (long.close_grid_markup_start, long.close_grid_markup_end) == (0.014, 0.004)
    assert (long.filter_volume_drop_pct, short.filter_volume_drop_pct) == (0.3, 0.3)
    assert (bounds["long_close_grid_markup_start"], bounds["long_close_grid_markup_end"]) == (
        (0.5, 0.6),
        (0.7, 0.8),
    )
    assert bounds["short_close_grid_markup_start"] == (0.001, 0.03)


def test_dependent_defaults_leave_what_is_there() -> None:
    config = load(bot={"long": {"close_grid_markup_end": 0.02, "close_trailing_qty_pct": 0.3}})
    assert (config.bot.long.close_grid_markup_end, config.bot.long.close_trailing_qty_pct) == (0.02, 0.3)


@pytest.mark.parametrize(
    ("flags", "override"),
    [
        ("-lm n", {"live": {"forced_mode_long": "normal"}}),
        ("-sm graceful-stop", {"live": {"forced_mode_short": "graceful_stop"}}),
        (
            "-lw 0.5 -sw 1e-1",
            {"bot": {"long": {"wallet_exposure_limit": 0.5}, "short": {"wallet_exposure_limit": 0.1}}},
        ),
        ("-lw 0 -lev 0", None),
        ("-lev 5 -lm ''", {"live": {"leverage": 5.0}}),
        ("", None),
    ],
)
def test_coin_flags(flags: str, override: dict[str, Any] | None) -> None:
    config = load(live={"coin_flags": {"1000SHIBUSDT": flags}})
    assert config.coin_overrides == ({"SHIB": override} if override else {})


def test_coin_flags_yield_to_overrides() -> None:
    config = load(
        live={"coin_flags": {"BTC": "-lev 5"}}, coin_overrides={"ETH": {"bot": {"long": {"ema_span_0": 5}}}}
    )
    assert config.coin_overrides == {"ETH": {"bot": {"long": {"ema_span_0": 5.0}}}}


def test_a_file_of_coin_flags(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"bot": {"long": {"ema_span_0": 5}}, "live": {}}')
    raw = {"bot": {"long": {"ema_span_0": 6}}, "live": {"coin_flags": {"BTC": "-lc other.json"}}}
    config = load_mapping(raw, tmp_path / "main.json").config
    assert config.coin_overrides == {"BTC": {"bot": {"long": {"ema_span_0": 5.0}}}}
