"""Older layouts: v6 multi-symbol, early v7, and coin flags (config-format §7.1, 7.2, 7.5)."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passivbot.config import values as v
from passivbot.config.schema import SIDES, Config, Live
from passivbot.errors import ConfigError, located

V6_KEYS = (
    "user",
    "pnls_max_lookback_days",
    "loss_allowance_pct",
    "stuck_threshold",
    "unstuck_close_pct",
    "TWE_long",
    "TWE_short",
    "universal_live_config",
)

_V6_BOT = {
    "ddown_factor": "entry_grid_double_down_factor",
    "initial_eprice_ema_dist": "entry_initial_ema_dist",
    "initial_qty_pct": "entry_initial_qty_pct",
    "rentry_pprice_dist": "entry_grid_spacing_pct",
    "rentry_pprice_dist_wallet_exposure_weighting": "entry_grid_spacing_we_weight",
    "ema_span_0": "ema_span_0",
    "ema_span_1": "ema_span_1",
    "filter_noisiness_rolling_window": "filter_log_range_ema_span",
    "filter_volume_rolling_window": "filter_volume_ema_span",
}
_V6_ZERO = (
    "close_trailing_grid_ratio",
    "close_trailing_retracement_pct",
    "close_trailing_threshold_pct",
    "entry_trailing_grid_ratio",
    "entry_trailing_retracement_pct",
    "entry_trailing_threshold_pct",
    "unstuck_ema_dist",
)

_MODES = {
    "n": "normal",
    "normal": "normal",
    "m": "manual",
    "manual": "manual",
    "gs": "graceful_stop",
    "graceful_stop": "graceful_stop",
    "graceful-stop": "graceful_stop",
    "t": "tp_only",
    "tp": "tp_only",
    "tp_only": "tp_only",
    "tp-only": "tp_only",
    "p": "panic",
    "panic": "panic",
}


def require_number(value: object, key: str, file: str | Path) -> float:
    """Return a number of a raw file.

    Raises
    ------
    ConfigError
        It is something else, or not finite.
    """
    try:
        return v.finite(value)
    except ValueError:
        raise ConfigError(located(file, key, value, v.NUMBER.allowed)) from None


def _mapping(parent: Mapping[str, Any], name: str, key: str, file: str | Path) -> dict[str, Any]:
    value = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(located(file, key, value, "a mapping"))
    return value


def from_v6(old: dict[str, Any], file: str | Path) -> dict[str, Any]:
    """Return a v6 multi-symbol configuration in the current layout (§7.2)."""

    def number(key: str, default: float = 0.0) -> float:
        return require_number(old.get(key, default), key, file)

    new = Config().to_dict()
    live: dict[str, Any] = new["live"]
    live |= {key: value for key, value in old.items() if key in Live.model_fields}
    symbols = old.get("approved_symbols", {})
    flags = dict(symbols) if isinstance(symbols, dict) else {}
    live["coin_flags"] = flags
    live["approved_coins"] = sorted(flags) if flags else symbols or []
    live["ignored_coins"] = old.get("ignored_symbols", [])

    universal = _mapping(old, "universal_live_config", "universal_live_config", file)
    slots = {side: number(f"n_{side}s") for side in SIDES}
    if not any(slots.values()):
        slots = dict.fromkeys(SIDES, float(len(flags)))
    for side in SIDES:
        where = f"universal_live_config.{side}"
        source = _mapping(universal, side, where, file)
        bot: dict[str, Any] = new["bot"][side]
        bot |= {name: source[key] for key, name in _V6_BOT.items() if key in source}
        bot |= dict.fromkeys(_V6_ZERO, 0.0)
        orders = round(require_number(source.get("n_close_orders", 0), f"{where}.n_close_orders", file))
        if orders:
            bot["close_grid_qty_pct"] = 1.0 / orders
        bot |= {
            "n_positions": slots[side],
            "unstuck_close_pct": old["unstuck_close_pct"],
            "unstuck_loss_allowance_pct": old["loss_allowance_pct"],
            "unstuck_threshold": old["stuck_threshold"],
            "total_wallet_exposure_limit": old[f"TWE_{side}"] if old.get(f"{side}_enabled", True) else 0.0,
        }
    return new


def from_early_v7(old: dict[str, Any], file: str | Path) -> dict[str, Any]:
    """Return an early v7 configuration, one with a ``common`` section, in the current layout (§7.1)."""
    new = Config().to_dict()
    common = _mapping(old, "common", "common", file)
    # Whole values are copied, such as all of `bot.long` and of the bounds: their old names are renamed later.
    for name in ("backtest", "live", "optimize", "bot"):
        part = _mapping(old, name, name, file)
        new[name] |= {key: value for key, value in part.items() if key in new[name]}
    live: dict[str, Any] = new["live"]
    live |= {key: value for key, value in common.items() if key in Live.model_fields}
    if "approved_symbols" in common:
        live["approved_coins"] = common["approved_symbols"]
    if "symbol_flags" in common:
        live["coin_flags"] = common["symbol_flags"]
    return new


def flags_to_overrides(flags: object, file: str | Path) -> dict[str, Any]:
    """Return coin flags (``{"BTC": "-lm gs -lw 0.5"}``) as raw coin overrides (§7.5).

    Raises
    ------
    ConfigError
        An option or its value is not known.
    """
    if not isinstance(flags, dict):
        raise ConfigError(located(file, "live.coin_flags", flags, "a mapping of coin to a text of flags"))
    overrides = {coin: _one_coin(text, f"live.coin_flags.{coin}", file) for coin, text in flags.items()}
    return {coin: override for coin, override in overrides.items() if override}


def _one_coin(text: object, key: str, file: str | Path) -> dict[str, Any]:
    allowed = "options of -lm MODE, -sm MODE, -lw X, -sw X, -lev X, -lc PATH"
    wrong = ConfigError(located(file, key, text, allowed))
    if not isinstance(text, str):
        raise wrong
    try:
        words = shlex.split(text)
    except ValueError:
        raise wrong from None
    if len(words) % 2:
        raise wrong
    override: dict[str, Any] = {}
    for option, value in zip(words[::2], words[1::2], strict=True):
        match option:
            case "-lm" | "-sm":
                if value and value not in _MODES:
                    raise ConfigError(located(file, key, text, f"a mode of {v.known(_MODES)}"))
                side = "long" if option == "-lm" else "short"
                if value:
                    override.setdefault("live", {})[f"forced_mode_{side}"] = _MODES[value]
            case "-lw" | "-sw":
                side = "long" if option == "-lw" else "short"
                if limit := _float(value, wrong):
                    bot = override.setdefault("bot", {})
                    bot.setdefault(side, {})["wallet_exposure_limit"] = limit
            case "-lev":
                if leverage := _float(value, wrong):
                    override.setdefault("live", {})["leverage"] = leverage
            case "-lc":
                if value:
                    override["override_config_path"] = value
            case _:
                raise wrong
    return override


def _float(text: str, wrong: ConfigError) -> float:
    try:
        return v.finite(float(text))
    except ValueError:
        raise wrong from None
