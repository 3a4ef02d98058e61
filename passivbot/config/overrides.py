"""Parameters that single coins replace: ``coin_overrides`` (config-format §6)."""

from collections.abc import Callable, Mapping
from typing import Any

from passivbot.config import values as v
from passivbot.config.coins import coin_of
from passivbot.config.findings import Finding
from passivbot.config.schema import SIDES, BotSide, Config, Live
from passivbot.errors import ConfigError, located, nearest

_GLOBAL_ONLY = frozenset(
    {
        "filter_log_range_ema_span",
        "filter_volume_drop_pct",
        "filter_volume_ema_span",
        "n_positions",
        "total_wallet_exposure_limit",
        "unstuck_loss_allowance_pct",
    }
)


def _kind(model: type[BotSide] | type[Live], name: str) -> v.Kind:
    return next(kind for kind in model.model_fields[name].metadata if isinstance(kind, v.Kind))


BOT_KINDS: Mapping[str, v.Kind] = {
    **{name: _kind(BotSide, name) for name in BotSide.model_fields if name not in _GLOBAL_ONLY},
    "wallet_exposure_limit": v.NUMBER,
}
"""Keys of ``coin_overrides.<coin>.bot.<side>``."""

LIVE_KINDS: Mapping[str, v.Kind] = {
    name: _kind(Live, name) for name in ("forced_mode_long", "forced_mode_short", "leverage")
}
"""Keys of ``coin_overrides.<coin>.live``."""

_Groups = dict[str, dict[str, Any]]
"""``bot.long``, ``bot.short``, ``live`` → key → value."""

_GROUP_KINDS: Mapping[str, Mapping[str, v.Kind]] = {
    "bot.long": BOT_KINDS,
    "bot.short": BOT_KINDS,
    "live": LIVE_KINDS,
}


def normalise_overrides(
    config: Config,
    raw: Mapping[str, Any],
    file: str,
    load_file: Callable[[str], Config],
) -> tuple[dict[str, dict[str, Any]], list[Finding]]:
    """Reduce raw overrides to the allowed keys that differ from the main configuration.

    Parameters
    ----------
    config
        The main configuration.
    raw
        ``coin_overrides`` as written.
    file
        Where they stand, for messages.
    load_file
        Loads the configuration that ``override_config_path`` names.

    Returns
    -------
    The overrides by coin, ascending, and findings about keys that were dropped and files that were not used.

    Raises
    ------
    ConfigError
        A value has the wrong type.
    """
    findings: list[Finding] = []
    merged: dict[str, _Groups] = {}
    main = _groups_of(config)
    for name, override in raw.items():
        key = f"coin_overrides.{name}"
        if name.startswith("_"):
            continue
        if not isinstance(override, Mapping):
            raise ConfigError(
                located(file, key, override, "a mapping with bot, live or override_config_path")
            )
        groups = merged.setdefault(coin_of(name), {group: {} for group in _GROUP_KINDS})
        for source in (
            _from_file(override, key, file, load_file, findings),
            _written(override, key, file, findings),
        ):
            for group, values in source.items():
                # Only what differs is an override; the rest follows the main configuration, also in a search.
                groups[group] |= {
                    k: x for k, x in values.items() if k not in main[group] or main[group][k] != x
                }
    result = {coin: _nested(groups) for coin, groups in sorted(merged.items())}
    private = {name: value for name, value in raw.items() if name.startswith("_")}
    return {coin: override for coin, override in result.items() if override} | private, findings


def _groups_of(config: Config) -> _Groups:
    """Return the allowed keys of a whole configuration."""
    groups: _Groups = {
        f"bot.{side}": {
            name: getattr(config.bot.side(side), name) for name in BOT_KINDS if name in BotSide.model_fields
        }
        for side in SIDES
    }
    groups["live"] = {name: getattr(config.live, name) for name in LIVE_KINDS}
    return groups


def _from_file(
    override: Mapping[str, Any],
    key: str,
    file: str,
    load_file: Callable[[str], Config],
    findings: list[Finding],
) -> _Groups:
    path = override.get("override_config_path")
    if not path:
        return {}
    try:
        if not isinstance(path, str):
            raise ConfigError(located(file, f"{key}.override_config_path", path, "a path"))
        return _groups_of(load_file(path))
    except ConfigError as error:
        findings.append(Finding(file, f"{key}.override_config_path", f"is not used: {error}"))
        return {}


def _written(override: Mapping[str, Any], key: str, file: str, findings: list[Finding]) -> _Groups:
    """Return the allowed keys that stand directly under a coin; the others become findings."""
    groups: _Groups = {}
    parts = {"live": override.get("live", {})}
    bot = override.get("bot", {})
    if not isinstance(bot, Mapping):
        raise ConfigError(located(file, f"{key}.bot", bot, "a mapping with long and short"))
    parts |= {f"bot.{side}": bot.get(side, {}) for side in SIDES}
    unknown = [name for name in override if name not in ("bot", "live", "override_config_path")]
    unknown += [f"bot.{name}" for name in bot if name not in SIDES]
    for group, values in parts.items():
        if not isinstance(values, Mapping):
            raise ConfigError(located(file, f"{key}.{group}", values, "a mapping"))
        kinds = _GROUP_KINDS[group]
        unknown += [f"{group}.{name}" for name in values if name not in kinds]
        groups[group] = {
            name: _converted(value, kinds[name], f"{key}.{group}.{name}", file)
            for name, value in values.items()
            if name in kinds
        }
    findings += [
        Finding(file, f"{key}.{name}", _reason(name))
        for name in unknown
        if not name.rpartition(".")[2].startswith("_")
    ]
    return groups


def _converted(value: Any, kind: v.Kind, key: str, file: str) -> Any:
    try:
        return kind.convert(value)
    except ValueError:
        raise ConfigError(located(file, key, value, kind.allowed)) from None


def _reason(name: str) -> str:
    group, _, last = name.rpartition(".")
    if group.startswith("bot.") and last in _GLOBAL_ONLY:
        return "acts on the whole side and can't be set for a single coin; it is left out"
    near = nearest(last, _GROUP_KINDS.get(group, {}))
    return "is not a key of an override and is left out" + (f" (nearest known key: {near})" if near else "")


def _nested(groups: _Groups) -> dict[str, Any]:
    bot = {side: groups[f"bot.{side}"] for side in SIDES if groups[f"bot.{side}"]}
    return ({"bot": bot} if bot else {}) | ({"live": groups["live"]} if groups["live"] else {})
