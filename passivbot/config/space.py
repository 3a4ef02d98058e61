"""The searched vector: names, bounds, rounding, and its way into a configuration (optimizer-semantics §1)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passivbot.config.findings import Finding
from passivbot.config.schema import BOUNDS, SIDES, Bot, Config, missing_bound
from passivbot.config.values import BoundValue
from passivbot.engine import round_significant
from passivbot.errors import ConfigError, nearest

Array = NDArray[np.float64]

NAMES = tuple(BOUNDS)
"""Names of the 58 components, ``long_close_grid_markup_end`` first."""

_STEP_DIGITS = 12
_CAPS = ("n_positions", "total_wallet_exposure_limit")
_INDEX = {name: index for index, name in enumerate(NAMES)}


@dataclass(frozen=True, eq=False)
class ParameterSpace:
    """Bounds and rounding of the searched vector.

    Parameters
    ----------
    names
        Names of the components, order of optimizer-semantics §1.1.
    low, high
        (58,) bounds; a component with equal ends is fixed.
    digits
        Significant digits of a component.
    enable_overrides
        ``optimize.enable_overrides``: rules that change what is evaluated, not the vector.
    findings
        What in the request was most likely not meant.
    step
        (58,) distance between the values that a component takes, from its lower bound on; 0: no steps.
    """

    names: tuple[str, ...]
    low: Array
    high: Array
    digits: int = 6
    enable_overrides: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    step: Array = field(default_factory=lambda: np.zeros(len(NAMES)))

    @classmethod
    def from_config(cls, config: Config, fine_tune: Sequence[str] = ()) -> "ParameterSpace":
        """Return the space of a configuration.

        A side whose ``n_positions`` or ``total_wallet_exposure_limit`` can't be above 0 is fixed at its lower
        bounds (§1.2).

        Parameters
        ----------
        config
            The run's configuration.
        fine_tune
            Names of bounds to keep free. All others are fixed at the configured value, except those with a
            range from the command line; one whose bound has equal ends, ``[x]`` or ``[x, x]``, is fixed there
            (§1.6).

        Raises
        ------
        ConfigError
            A bound is missing, or fine-tuning leaves nothing free.
        """
        bounds: Mapping[str, BoundValue] = config.optimize.bounds
        for name in NAMES:
            if name not in bounds:
                raise ConfigError(missing_bound(name, "configuration"))
        if fine_tune:
            bounds = _fine_tuned(config, frozenset(fine_tune))
        ends = [b if isinstance(b, tuple) else (b, b) for b in (bounds[name] for name in NAMES)]
        low, high, step = np.array([(*end, 0.0)[:3] for end in ends], dtype=np.float64).T.copy()
        for side in SIDES:
            if not _may_trade(side, high):
                of_side = [index for name, index in _INDEX.items() if name.startswith(f"{side}_")]
                high[of_side] = low[of_side]
        if fine_tune and not (low < high).any():
            raise ConfigError(
                f"--fine-tune {','.join(fine_tune)} leaves no parameter free; allowed are names of bounds "
                "with a range, such as long_ema_span_0"
            )
        return cls(
            names=NAMES,
            low=low,
            high=high,
            digits=config.optimize.round_to_n_significant_digits,
            enable_overrides=config.optimize.enable_overrides,
            findings=tuple(_unbounded(name) for name in fine_tune if name not in _INDEX),
            step=step,
        )

    @property
    def free(self) -> NDArray[np.bool_]:
        """(58,) mask of the components that a search may move."""
        return self.low < self.high

    @property
    def sides(self) -> tuple[str, ...]:
        """Sides that trade in some candidate."""
        return tuple(side for side in SIDES if _may_trade(side, self.high))

    def enforce(self, matrix: Array) -> Array:
        """Round to significant digits, then clamp (§1.3); a bound that clamps is not rounded itself.

        A component with steps goes to its nearest one instead: low + k × step, freed of rounding errors.

        Parameters
        ----------
        matrix
            (n, 58), or one vector (58,).
        """
        # Below 1e-12 round_sig gives 0 (its clean-up to 10 decimals), or NaN where 10^e overflows.
        values = np.where(np.abs(matrix) < 1e-12, 0.0, matrix)
        # + 0.0: a value that rounds to −0 is 0, so that equal vectors are equal bits.
        result = np.clip(round_significant(values, self.digits), self.low, self.high) + 0.0
        if not (on := self.step > 0.0).any():
            return result
        low, step = self.low[on], self.step[on]
        # The last step within the bounds, which may lie below the upper one; 1e-9 for what division loses.
        most = np.floor((self.high[on] - low) / step + 1e-9)
        steps = low + np.clip(np.rint((values[..., on] - low) / step), 0.0, most) * step
        result[..., on] = round_significant(np.where(np.abs(steps) < 1e-12, 0.0, steps), _STEP_DIGITS) + 0.0
        return result

    def evaluated(self, matrix: Array) -> Array:
        """Return what the engine runs: the vectors after ``enable_overrides`` (§1.5); same shape."""
        result = np.array(matrix, dtype=np.float64)
        for name in self.enable_overrides:
            if name == "lossless_close_trailing":
                for side in SIDES:
                    threshold = _INDEX[f"{side}_close_trailing_threshold_pct"]
                    retracement = _INDEX[f"{side}_close_trailing_retracement_pct"]
                    result[..., threshold] = np.maximum(result[..., threshold], result[..., retracement])
            elif name != "example":
                break
        return result

    def apply(self, config: Config, vector: Array) -> Config:
        """Return the configuration in which a vector is evaluated: its values and the enabled overrides
        (§1.4).

        ``n_positions`` is rounded as the engine does, so that the result is what it would be after loading.

        Parameters
        ----------
        config
            The run's configuration.
        vector
            (58,) enforced vector.
        """
        values = self.evaluated(vector).tolist()
        bot: dict[str, Any] = config.bot.model_dump()
        for name, value in zip(self.names, values, strict=True):
            side, _, key = name.partition("_")
            bot[side][key] = value
        return config.model_copy(update={"bot": Bot.model_validate(bot)})

    def vector(self, config: Config) -> Array:
        """Return the vector (58,) of a configuration, as it is: neither rounded nor clamped."""
        bot = config.bot.to_engine()
        return np.array(
            [bot[side][key] for side, _, key in (name.partition("_") for name in self.names)], np.float64
        )

    def seeds(self, paths: Iterable[Path | str]) -> Array:
        """Return starting vectors (k, 58); see :func:`passivbot.config.seeds.read_seeds`."""
        from passivbot.config.seeds import read_seeds

        return read_seeds(self, paths).vectors


def _may_trade(side: str, high: Array) -> bool:
    return all(high[_INDEX[f"{side}_{cap}"]] > 0.0 for cap in _CAPS)


def _fine_tuned(config: Config, named: frozenset[str]) -> dict[str, BoundValue]:
    bot = config.bot.to_engine()
    result: dict[str, BoundValue] = {}
    for name, bound in config.optimize.bounds.items():
        side, _, key = name.partition("_")
        keep = name in named or name in config.command_line_bounds
        equal = isinstance(bound, tuple) and bound[0] == bound[1]
        result[name] = bound if keep or equal else float(bot[side][key])
    return result


def _unbounded(name: str) -> Finding:
    near = nearest(name, NAMES)
    return Finding(
        "--fine-tune",
        name,
        "has no bound and is left out" + (f" (nearest known key: {near})" if near else ""),
    )
