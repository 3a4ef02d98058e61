"""What changes for the bot: the keys that differ, those that decide about risk first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from passivbot.config import Config, warmup_minutes
from passivbot.config.schema import SIDES

_SECTIONS = ("bot", "coin_overrides", "live")
_OF_SIDE = (
    "total_wallet_exposure_limit",
    "n_positions",
    "enforce_exposure_limit",
    "entry_initial_qty_pct",
    "entry_grid_double_down_factor",
    "entry_trailing_double_down_factor",
    "unstuck_loss_allowance_pct",
)
RISK = (
    *(f"bot.{side}.{name}" for name in _OF_SIDE for side in SIDES),
    "live.leverage",
    "live.user",
    *(f"live.forced_mode_{side}" for side in SIDES),
    *(f"live.approved_coins.{side}" for side in SIDES),
    *(f"live.ignored_coins.{side}" for side in SIDES),
    "live.empty_means_all_approved",
    "live.filter_by_min_effective_cost",
    "live.market_orders_allowed",
)
"""Keys that decide how much can be lost, in the order in which they are shown."""
_RISK_OF_COIN = ("wallet_exposure_limit", *_OF_SIDE, "leverage", "forced_mode_long", "forced_mode_short")
# They change nothing that a bot does.
_SILENT = frozenset({"live.base_config_path"})
ABSENT = "–"


@dataclass(frozen=True)
class Change:
    """One key that differs; ``before`` and ``after`` are texts, – where there is none."""

    key: str
    before: str
    after: str
    risk: bool


def difference(before: Config | None, after: Config) -> list[Change]:
    """Return what differs between two live configurations, risk first, then by key.

    Parameters
    ----------
    before
        What is traded now; None: nothing, so only the keys of risk are told.
    after
        What would be traded.
    """
    old, new = ({} if before is None else _facts(before)), _facts(after)
    changes = [
        Change(key, *_texts(old.get(key), new.get(key)), risk=_rank(key) <= len(RISK))
        for key in old.keys() | new.keys()
        if key not in old or key not in new or _plain(old[key]) != _plain(new[key])
    ]
    kept = [change for change in changes if before is not None or change.risk]
    return sorted(kept, key=lambda change: (_rank(change.key), change.key))


def _facts(config: Config) -> dict[str, Any]:
    document = config.to_dict()
    found = {
        key: value
        for section in _SECTIONS
        for key, value in _leaves(section, document[section])
        if key not in _SILENT
    }
    # Of the bounds, too, which are no key that a bot trades by (trading-semantics §7.1).
    coins = sorted(config.live.named_coins)
    found["warm-up minutes"] = warmup_minutes(config, coins)[0]
    return found


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not str(key).startswith("_"):
                yield from _leaves(f"{prefix}.{key}", inner)
    else:
        yield prefix, value


def _rank(key: str) -> int:
    if key in RISK:
        return RISK.index(key)
    parts = key.split(".")
    if parts[0] == "coin_overrides" and parts[-1] in _RISK_OF_COIN:
        return len(RISK)
    return len(RISK) + 1


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _texts(before: Any, after: Any) -> tuple[str, str]:
    if isinstance(before, list | tuple) and isinstance(after, list | tuple):
        gone = [f"-{item}" for item in before if item not in after]
        come = [f"+{item}" for item in after if item not in before]
        return f"{len(before)} entries", f"{len(after)} entries: {' '.join([*come, *gone])}"
    return _text(before), _text(after)


def _text(value: Any) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value) if value != "" else '""'
