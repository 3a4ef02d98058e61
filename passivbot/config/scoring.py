"""Objectives and limits: names, directions, and how metrics become objectives and violations.

Names and weights are those of optimizer-semantics §3. What a broken limit does differs: it is a constraint
with a violation, and never touches the objectives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from passivbot.config.schema import SIDES, Config
from passivbot.engine import WATCHED_METRICS
from passivbot.errors import ConfigError, located, nearest

Array = NDArray[np.float64]

_PER_EXPOSURE = ("adg", "adg_w", "mdg", "mdg_w", "gain")
_RATIOS = ("calmar_ratio", "omega_ratio", "sharpe_ratio", "sortino_ratio", "sterling_ratio")
_LARGER_IS_BETTER = (
    *_PER_EXPOSURE,
    *(f"{metric}_per_exposure_{side}" for metric in _PER_EXPOSURE for side in SIDES),
    *(f"{ratio}{weighted}" for ratio in _RATIOS for weighted in ("", "_w")),
    "volume_pct_per_day_avg",
    "volume_pct_per_day_avg_w",
)
_SMALLER_IS_BETTER = (
    "drawdown_worst",
    "drawdown_worst_mean_1pct",
    "equity_balance_diff_neg_max",
    "equity_balance_diff_neg_mean",
    "equity_balance_diff_pos_max",
    "equity_balance_diff_pos_mean",
    "equity_choppiness",
    "equity_choppiness_w",
    "equity_jerkiness",
    "equity_jerkiness_w",
    "exponential_fit_error",
    "exponential_fit_error_w",
    "loss_profit_ratio",
    "loss_profit_ratio_w",
    "expected_shortfall_1pct",
    "flat_btc_balance_hours",
    "position_held_hours_max",
    "position_held_hours_mean",
    "position_held_hours_median",
    "position_unchanged_hours_max",
    "positions_held_per_day",
    "total_wallet_exposure_max",
    "total_wallet_exposure_mean",
    "total_wallet_exposure_median",
)
_USD = {**dict.fromkeys(_LARGER_IS_BETTER, -1), **dict.fromkeys(_SMALLER_IS_BETTER, 1)}
_EXPOSURE = ("total_wallet_exposure_max", "total_wallet_exposure_mean", "total_wallet_exposure_median")


def _has_btc_form(metric: str) -> bool:
    return metric != "flat_btc_balance_hours" and "position" not in metric and "volume_pct" not in metric


METRIC_WEIGHTS: Mapping[str, int] = {
    **_USD,
    **{f"btc_{name}": w for name, w in _USD.items() if _has_btc_form(name) and name not in _EXPOSURE},
}
"""Metric → −1 where larger is better, +1 where smaller is better (optimizer-semantics §3.1)."""

LIMITED_METRICS = frozenset({*METRIC_WEIGHTS, *(f"btc_{name}" for name in _EXPOSURE)})
"""Metrics that a limit may name: those of the weight table, and three that have no direction of their own."""

Direction = Literal["greater", "lower"]
_GREATER, _LOWER, _LEGACY = "penalize_if_greater_than_", "penalize_if_lower_than_", "lower_bound_"
_DIRECTIONS: Mapping[str, Direction] = {_GREATER: "greater", _LOWER: "lower"}


@dataclass(frozen=True)
class Objective:
    """One objective; its minimised value is metric × weight."""

    metric: str
    weight: int


@dataclass(frozen=True)
class Limit:
    """One limit: broken where the metric is greater (or lower) than the value.

    ``key`` is the name under which the configuration has it, and the study reports its violation.
    """

    key: str
    metric: str
    kind: Direction
    value: float


@dataclass(frozen=True)
class Scoring:
    """Objectives (ascending by metric) and limits (ascending by key) of a search."""

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...]

    @classmethod
    def from_config(cls, config: Config, file: str = "configuration") -> "Scoring":
        """Return the scoring of a configuration.

        A limit on a ``btc_`` metric has no effect without BTC collateral (optimizer-semantics §3.3: the value
        does not exist) and is left out.

        Raises
        ------
        ConfigError
            A metric is unknown, or there is no objective.
        """
        limits = [limit_of(key, value, file) for key, value in config.optimize.limits.items()]
        return cls(
            objectives=tuple(
                objective_of(name, file) for name in sorted_scoring(config.optimize.scoring, file)
            ),
            limits=tuple(
                limit
                for limit in sorted(limits, key=lambda limit: limit.key)
                if config.backtest.use_btc_collateral or not limit.metric.startswith("btc_")
            ),
        )

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that objectives and limits need, ascending."""
        return tuple(sorted({o.metric for o in self.objectives} | {limit.metric for limit in self.limits}))

    @property
    def stop_limits(self) -> dict[str, float]:
        """Limits that stay broken once they are, as ``Engine.evaluate`` takes them: metric → largest value.

        Those are the "greater than" limits on metrics that never fall while a run goes on; the others can be
        kept again later, and never stop a run.
        """
        found: dict[str, float] = {}
        for limit in self.limits:
            if limit.kind == "greater" and limit.metric.removeprefix("btc_") in WATCHED_METRICS:
                found[limit.metric] = min(limit.value, found.get(limit.metric, limit.value))
        return found

    def evaluate(self, names: Sequence[str], values: Array) -> tuple[Array, Array, Array]:
        """Turn metrics into objectives and violations.

        Parameters
        ----------
        names
            Names of the columns of ``values``; contains every name of :attr:`metrics`.
        values
            (n, m) metrics; NaN for null.

        Returns
        -------
        objectives
            (n, k), all minimised; not finite where the metric is not.
        violations
            (n, l), one a limit, ≥ 0: the excess ÷ magnitude of the limit, or ÷ 1 at limit 0; inf where the
            metric is not finite.
        total
            (n,) sum of the violations; inf where an objective or a limited metric is not finite.
        """
        column = {name: index for index, name in enumerate(names)}
        table = np.asarray(values, dtype=np.float64)
        weights = np.array([objective.weight for objective in self.objectives], dtype=np.float64)
        # + 0.0 turns −0 into 0, so that equal objectives also print alike.
        objectives = table[:, [column[objective.metric] for objective in self.objectives]] * weights + 0.0

        violations = np.empty((len(table), len(self.limits)))
        total = np.where(np.isfinite(objectives).all(axis=1), 0.0, np.inf)
        for index, limit in enumerate(self.limits):
            metric = table[:, column[limit.metric]]
            excess = metric - limit.value if limit.kind == "greater" else limit.value - metric
            scaled = np.maximum(excess, 0.0) / (abs(limit.value) or 1.0) + 0.0
            violations[:, index] = np.where(np.isfinite(metric), scaled, np.inf)
            # One limit after the other: numpy's own sum rounds differently with the number of rows.
            total += violations[:, index]
        return objectives, violations, total


def stop_text(limits: Mapping[str, float] | None) -> str:
    """Return in words what stops a candidate early: :attr:`Scoring.stop_limits`; None stops nothing."""
    if limits is None:
        return "never"
    return ", ".join(["equity gone", *(f"{metric} > {limit:g}" for metric, limit in limits.items())])


def objective_of(metric: str, file: str = "configuration") -> Objective:
    """Return the objective that a name of ``optimize.scoring`` stands for.

    Raises
    ------
    ConfigError
        The name is not in the weight table.
    """
    if metric not in METRIC_WEIGHTS:
        raise ConfigError(located(file, "optimize.scoring", metric, f"a metric{_like(metric)}"))
    return Objective(metric, METRIC_WEIGHTS[metric])


def limit_of(key: str, value: float, file: str = "configuration") -> Limit:
    """Return the limit that one entry of ``optimize.limits`` stands for.

    Raises
    ------
    ConfigError
        The metric is unknown, or has no direction of its own and the key states none.
    """
    metric = key
    kind: Direction | None = None
    for prefix, stated in _DIRECTIONS.items():
        if key.startswith(prefix):
            metric, kind = key.removeprefix(prefix), stated
    if metric not in LIMITED_METRICS:
        raise ConfigError(
            f"{file}: optimize.limits.{key} names no known metric; allowed is a metric{_like(metric)}, "
            f"alone or after {_GREATER} or {_LOWER}"
        )
    if kind is None:
        if metric not in METRIC_WEIGHTS:
            raise ConfigError(
                f"{file}: optimize.limits.{key} states no direction and {key} has none of its own; "
                f"allowed is {_GREATER}{key} or {_LOWER}{key}"
            )
        kind = "lower" if METRIC_WEIGHTS[metric] < 0 else "greater"
    return Limit(key, metric, kind, value)


def _like(metric: str) -> str:
    near = nearest(metric, LIMITED_METRICS)
    return f" such as {near}" if near else " of the list in the manual"


def sorted_scoring(names: Sequence[str], file: str) -> tuple[str, ...]:
    """Return the objectives' metrics ascending, each once.

    Raises
    ------
    ConfigError
        There is none.
    """
    if not names:
        raise ConfigError(located(file, "optimize.scoring", list(names), "at least one metric"))
    return tuple(sorted(set(names)))


def current_limits(limits: Mapping[str, float], *, btc: bool) -> dict[str, float]:
    """Return limits with legacy keys renamed and, without BTC collateral, a leading ``btc_`` of a key
    removed.

    A key that is there under its new name already keeps its value.
    """
    result = {key: value for key, value in limits.items() if not key.startswith(_LEGACY)}
    for key, value in limits.items():
        if key.startswith(_LEGACY):
            result.setdefault(_GREATER + key.removeprefix(_LEGACY), value)
    if not btc:
        for key in [key for key in result if key.startswith("btc_")]:
            result.setdefault(key.removeprefix("btc_"), result.pop(key))
    return dict(sorted(result.items()))
