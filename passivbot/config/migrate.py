"""Older layouts, renamed keys and defaults that depend on other keys (config-format §7).

Everything here works on raw dictionaries, before types are checked; ``migrate`` is steps 1–4 of §7.6.
"""

import copy
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from passivbot.config import later, legacy
from passivbot.config.schema import SIDES, Config
from passivbot.errors import ConfigError, located

SECTIONS = tuple(Config.model_fields)

# Old names that feed a default or a rename and disappear afterwards: no reason for a warning.
RETIRED: Mapping[str, frozenset[str]] = {
    "": frozenset({"analyses", "analyses_combined", "analysis", "results_dir", "results_filename"}),
    "backtest": frozenset({"cache_dir", "coins", "exchange"}),
    "bot.long": frozenset({"close_grid_markup_range", "close_grid_min_markup", "filter_rolling_window"}),
    "bot.short": frozenset({"close_grid_markup_range", "close_grid_min_markup", "filter_rolling_window"}),
    "live": frozenset({"coin_flags", "filter_relative_volume_clip_pct", "ohlcv_rolling_window"}),
    "optimize.bounds": frozenset(
        f"{side}_{name}"
        for side in SIDES
        for name in (
            "close_grid_markup_range",
            "close_grid_min_markup",
            "filter_rolling_window",
            "min_markup",
        )
    ),
}

_BOT_RENAMES = {
    "filter_noisiness_rolling_window": "filter_log_range_ema_span",
    "filter_noisiness_ema_span": "filter_log_range_ema_span",
    "filter_volume_rolling_window": "filter_volume_ema_span",
    "entry_grid_spacing_weight": "entry_grid_spacing_we_weight",
    **later.BOT_RENAMES,
}
_LIVE_RENAMES = {
    "minimum_market_age_days": "minimum_coin_age_days",
    "noisiness_rolling_mean_window_size": "ohlcv_rolling_window",
    "ohlcvs_1m_update_after_minutes": "inactive_coin_candle_ttl_minutes",
}


def migrate(raw: Mapping[str, Any], file: str | Path) -> dict[str, Any]:
    """Return a raw configuration of any recognised layout in the current one.

    Parameters
    ----------
    raw
        Content of a file; left as it is.
    file
        Its name, for messages.

    Raises
    ------
    ConfigError
        The layout is not recognised, a section is not a mapping, or a list of scoring or limits has a form
        that no version writes.
    """
    data = recognise(copy.deepcopy(dict(raw)), file)
    for name in SECTIONS:
        if name in data:
            _require_mapping(data, name, name, file)
    for name in SIDES:
        _require_mapping(data["bot"], name, f"bot.{name}", file)
        later.refuse_strategies(data["bot"][name], f"bot.{name}", file)
    bounds = data["optimize"].setdefault("bounds", {})
    _require_mapping(data["optimize"], "bounds", "optimize.bounds", file)

    for side in SIDES:
        for old, new in _BOT_RENAMES.items():
            _rename(data["bot"][side], old, new)
            _rename(bounds, f"{side}_{old}", f"{side}_{new}")
    _dependent_defaults(data, file)
    _rename_rest(data)
    for key, convert in (("scoring", later.scoring_of), ("limits", later.limits_of)):
        if key in data["optimize"]:
            data["optimize"][key] = convert(data["optimize"][key], file)
    if flags := data["live"].pop("coin_flags", None):
        data["coin_overrides"] = data.get("coin_overrides") or legacy.flags_to_overrides(flags, file)
    return data


def recognise(data: dict[str, Any], file: str | Path) -> dict[str, Any]:
    """Return the configuration in the current layout (§7.1, tested in its order).

    Raises
    ------
    ConfigError
        None of the layouts fits.
    """
    if all(key in data for key in legacy.V6_KEYS):
        return legacy.from_v6(data, file)
    if "common" in data:
        return legacy.from_early_v7(data, file)
    if all(name in data for name in SECTIONS):
        return data
    nested = data.get("config")
    if isinstance(nested, dict) and all(name in nested for name in SECTIONS):
        return nested
    if "bot" in data and "live" in data:
        data.setdefault("backtest", {})
        data.setdefault("optimize", {})
        return data
    missing = [name for name in ("bot", "live") if name not in data]
    raise ConfigError(
        f"{file}: is not a configuration of a known layout: section {' and '.join(missing)} missing"
    )


def _require_mapping(parent: MutableMapping[str, Any], name: str, key: str, file: str | Path) -> None:
    value = parent.setdefault(name, {})
    if not isinstance(value, dict):
        raise ConfigError(located(file, key, value, "a mapping"))


def _rename(section: MutableMapping[str, Any], old: str, new: str) -> None:
    """Give a key its new name; where that exists the old key is just deleted."""
    if old in section:
        section.setdefault(new, section.pop(old))


def _dependent_defaults(data: dict[str, Any], file: str | Path) -> None:
    """Add what is missing and follows from other keys (§7.4)."""
    live, bounds = data["live"], data["optimize"]["bounds"]
    for side in SIDES:
        bot = data["bot"][side]
        window = bot.get("filter_rolling_window", live.get("ohlcv_rolling_window", 60.0))
        # Order matters: the end of the markup uses the number that its start was made of.
        lowest = bot.get("close_grid_min_markup", 0.001)
        spread = bot.get("close_grid_markup_range", 0.001)
        if "close_grid_markup_start" not in bot:
            for name, value in (("close_grid_min_markup", lowest), ("close_grid_markup_range", spread)):
                legacy.require_number(value, f"bot.{side}.{name}", file)
            bot["close_grid_markup_start"] = lowest + spread
        markup = [0.001, 0.03]
        for name, value, bound in (
            ("close_trailing_qty_pct", 1.0, [0.05, 1.0]),
            (
                "entry_trailing_double_down_factor",
                bot.get("entry_grid_double_down_factor", 1.0),
                [0.01, 3.0],
            ),
            ("filter_log_range_ema_span", window, [10.0, 1440.0]),
            ("filter_volume_ema_span", window, [10.0, 1440.0]),
            ("close_grid_markup_start", None, bounds.get(f"{side}_min_markup", markup)),
            ("close_grid_markup_end", lowest, bounds.get(f"{side}_close_grid_min_markup", markup)),
            ("filter_volume_drop_pct", live.get("filter_relative_volume_clip_pct", 0.5), [0.0, 1.0]),
        ):
            bot.setdefault(name, value)
            bounds.setdefault(f"{side}_{name}", copy.copy(bound))


def _rename_rest(data: dict[str, Any]) -> None:
    """Rename the keys outside ``bot`` and ``optimize.bounds`` (§7.3)."""
    live, backtest = data["live"], data["backtest"]
    for old, new in _LIVE_RENAMES.items():
        if old in live:
            # These win over the new name (§7.3).
            live[new] = live.pop(old)
    if isinstance(exchange := backtest.get("exchange"), str):
        backtest.setdefault("exchanges", [exchange])
    # Shares between none and all of the balance in BTC are a later rule: they stay, and are reported.
    if backtest.get("btc_collateral_cap") in (0, 1) and "use_btc_collateral" not in backtest:
        backtest["use_btc_collateral"] = bool(backtest.pop("btc_collateral_cap"))
