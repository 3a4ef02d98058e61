"""What versions of v7 after 7.4.4 write otherwise, brought into the form of config-format.

Renamed keys keep their meaning and are read. Rules that came later do not exist in the engine: where a file
uses one, it trades otherwise there than here, and loading says so. Everything works on raw values.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from passivbot.config.findings import Finding
from passivbot.config.scoring import LIMITED_METRICS, METRIC_WEIGHTS
from passivbot.config.values import finite
from passivbot.errors import ConfigError, located

BOT_RENAMES = {
    "entry_grid_spacing_volatility_weight": "entry_grid_spacing_log_weight",
    "entry_log_range_ema_span_hours": "entry_grid_spacing_log_span_hours",
    "entry_volatility_ema_span_hours": "entry_grid_spacing_log_span_hours",
    "filter_volatility_ema_span": "filter_log_range_ema_span",
}

RULES: Mapping[str, float] = {
    "entry_trailing_retracement_log_weight": 0.0,
    "entry_trailing_retracement_volatility_weight": 0.0,
    "entry_trailing_retracement_we_weight": 0.0,
    "entry_trailing_threshold_log_weight": 0.0,
    "entry_trailing_threshold_volatility_weight": 0.0,
    "entry_trailing_threshold_we_weight": 0.0,
    "filter_volatility_drop_pct": 0.0,
    "risk_twel_enforcer_threshold": 0.0,
    "risk_we_excess_allowance_pct": 0.0,
    "risk_wel_enforcer_threshold": 1.01,
}
"""Parameters of later rules, and the value with which each changes nothing of what 7.4.4 does."""

_GREATER, _LOWER = "penalize_if_greater_than_", "penalize_if_lower_than_"
_PREFIXES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys((">", ">=", "above", "greater", "greater_than", "greater_than_or_equal"), (_GREATER,)),
    **dict.fromkeys(("<", "<=", "below", "less", "less_than", "less_than_or_equal"), (_LOWER,)),
    **dict.fromkeys(("lower", "lower_than"), (_LOWER,)),
    **dict.fromkeys(("outside", "outside_range"), (_LOWER, _GREATER)),
    "auto": ("",),
}
# One data set is run: its mean, least and largest value are one.
_STATS = frozenset({None, "mean", "min", "max"})
_ENTRY = "{metric, penalize_if: greater_than, less_than, outside_range or auto, value or range}"


def refuse_strategies(bot: Mapping[str, Any], key: str, file: str | Path) -> None:
    """Refuse a side whose parameters lie in groups, as in v8.

    Read as v7 it would have none of its parameters, and trade by built-in ones.

    Raises
    ------
    ConfigError
        A value of the side is a mapping.
    """
    for name, value in bot.items():
        if isinstance(value, Mapping) and not name.startswith("_"):
            raise ConfigError(
                f"{file}: {key}.{name} holds a group of parameters, as files of versions after v7 do; "
                "allowed is a configuration of v7"
            )


def rules_finding(section: str, names: Mapping[str, Any], file: str | Path) -> Finding | None:
    """Return what is to be said of the rules of later versions that a section uses.

    Parameters
    ----------
    section
        ``bot.long``, ``bot.short`` or ``optimize.bounds``.
    names
        Parameters of :data:`RULES` that it has, with their values.
    file
        Where it stands.
    """
    used = sorted(name for name, value in names.items() if not _neutral(name, value))
    if not used:
        return None
    what = "is not searched here" if section == "optimize.bounds" else "this trades otherwise here than there"
    return Finding(
        str(file),
        section,
        f"{what}: left out {'is a rule' if len(used) == 1 else 'are rules'} that came after v7.4.4, "
        f"which the engine follows: {', '.join(used)}",
    )


def rule_of(section: str, name: str) -> str | None:
    """Return the parameter of :data:`RULES` that a key of a section is, or None."""
    if section == "optimize.bounds":
        name = name.partition("_")[2]
    elif section not in ("bot.long", "bot.short"):
        return None
    return name if name in RULES else None


def _neutral(name: str, value: object) -> bool:
    rule = RULES.get(name, RULES.get(name.partition("_")[2]))
    ends = value if isinstance(value, list) else [value]
    return all(end == rule for end in ends[:2])


def metric_of(name: str) -> str:
    """Return the name that a metric of a later version has here: ``adg_w_usd``, ``drawdown_worst_btc``."""
    if name.endswith("_usd") and name[:-4] in LIMITED_METRICS:
        return name[:-4]
    if name.endswith("_btc") and f"btc_{name[:-4]}" in LIMITED_METRICS:
        return f"btc_{name[:-4]}"
    return name


def scoring_of(value: object, file: str | Path) -> Any:
    """Return ``optimize.scoring`` as names; entries may be ``{metric, goal}`` with the metric's own goal.

    Raises
    ------
    ConfigError
        An entry names no metric, or a goal against the metric's direction.
    """
    if not isinstance(value, list):
        return value
    names = []
    for entry in value:
        name = entry.get("metric") if isinstance(entry, Mapping) else entry
        name = metric_of(name) if isinstance(name, str) else name
        if isinstance(entry, Mapping):
            goal = {-1: "max", 1: "min"}.get(METRIC_WEIGHTS.get(name, 0)) if isinstance(name, str) else None
            if name is None or (goal and entry.get("goal", goal) != goal):
                allowed = f"{{metric, goal: {goal}}}" if goal else "{metric, goal}, or a metric"
                raise ConfigError(located(file, "optimize.scoring", entry, allowed))
        names.append(name)
    return names


def limits_of(value: object, file: str | Path) -> Any:
    """Return ``optimize.limits`` as a mapping; a list of entries is what later versions write.

    Raises
    ------
    ConfigError
        An entry has another form, or asks for what one data set does not have.
    """
    if isinstance(value, Mapping):
        return {_key(str(key)): number for key, number in value.items()}
    if not isinstance(value, list):
        return value
    limits: dict[str, float] = {}
    for index, entry in enumerate(value):
        for key, number in _of_entry(entry, f"optimize.limits.{index}", file):
            # Two limits of one kind are both kept by keeping the narrower.
            tighter = max if key.startswith(_LOWER) else min
            limits[key] = tighter(number, limits.get(key, number))
    return limits


def _key(key: str) -> str:
    for prefix in (_GREATER, _LOWER):
        if key.startswith(prefix):
            return prefix + metric_of(key.removeprefix(prefix))
    return metric_of(key)


def _of_entry(entry: Any, key: str, file: str | Path) -> Iterable[tuple[str, float]]:
    wrong = ConfigError(located(file, key, entry, _ENTRY))
    if not isinstance(entry, Mapping) or not isinstance(entry.get("metric"), str):
        raise wrong
    if not entry.get("enabled", True):
        return ()
    prefixes = _PREFIXES.get(str(entry.get("penalize_if", "auto")).lower())
    unknown = set(entry) - {"metric", "penalize_if", "value", "range", "stat", "enabled"}
    if prefixes is None or unknown or entry.get("stat") not in _STATS:
        raise wrong
    numbers = entry.get("range") if len(prefixes) == 2 else [entry.get("value")]
    try:
        found = sorted(finite(number) for number in numbers or ())
    except (TypeError, ValueError):
        raise wrong from None
    if len(found) != len(prefixes):
        raise wrong
    metric = metric_of(entry["metric"])
    if prefixes == ("",) and METRIC_WEIGHTS.get(metric, 0) < 0:
        prefixes = (_LOWER,)
    elif prefixes == ("",) and metric in METRIC_WEIGHTS:
        prefixes = (_GREATER,)
    return [(prefix + metric, number) for prefix, number in zip(prefixes, found, strict=True)]
