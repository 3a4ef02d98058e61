"""Warm-up minutes of a configuration (trading-semantics §7.1)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passivbot.config.schema import BOUNDS, SIDES, Config

_SCALE = {
    "ema_span_0": 1.0,
    "ema_span_1": 1.0,
    "filter_volume_ema_span": 1.0,
    "filter_log_range_ema_span": 1.0,
    "entry_grid_spacing_log_span_hours": 60.0,
}
"""Parameters that set the warm-up → minutes in their unit."""

_NAMES = tuple(BOUNDS)
_COLUMNS = tuple(
    (index, _SCALE[name[name.index("_") + 1 :]])
    for index, name in enumerate(_NAMES)
    if name[name.index("_") + 1 :] in _SCALE
)


def warmup_minutes(config: Config, coins: Sequence[str]) -> tuple[int, dict[str, int]]:
    """Return the global warm-up and that of each coin, in minutes.

    Parameters
    ----------
    config
        The evaluated configuration. Its bounds count for the global warm-up, also in a backtest.
    coins
        Coins of the run.

    Returns
    -------
    (global, coin → minutes)
    """
    bot, overrides = config.bot.to_engine(), config.engine_overrides(coins)

    def longest(coin: str | None) -> float:
        changed = overrides.get(coin, {}) if coin else {}
        return max(
            (bot[side] | changed.get(side, {}))[name] * scale
            for side in SIDES
            for name, scale in _SCALE.items()
        )

    spans = {coin: longest(coin) for coin in coins}
    everything = max([longest(None), _longest_bound(config), *spans.values()])
    return _minutes(everything, config), {coin: _minutes(span, config) for coin, span in spans.items()}


def _longest_bound(config: Config) -> float:
    return max(
        number * _SCALE[name.partition("_")[2]]
        for name, bound in config.optimize.bounds.items()
        if name.partition("_")[2] in _SCALE
        for number in (bound[:2] if isinstance(bound, tuple) else (bound,))
    )


def _minutes(longest: float, config: Config) -> int:
    if not math.isfinite(longest):
        return 0
    minutes = longest * max(0.0, config.live.warmup_ratio)
    if config.live.max_warmup_minutes > 0.0:
        minutes = min(minutes, config.live.max_warmup_minutes)
    return math.ceil(minutes) if minutes > 0.0 else 0


@dataclass(frozen=True)
class WarmupRule:
    """Warm-up minutes of many candidates at once; equal to :func:`warmup_minutes` of each one's
    configuration.

    Parameters
    ----------
    ratio, cap
        ``live.warmup_ratio`` and ``live.max_warmup_minutes`` (0: no cap).
    floor
        Longest span that every candidate's global warm-up covers: bounds and coin overrides, minutes.
    coins
        Coins of the run, in the order of the result's columns.
    replaced
        Index of a coin → (columns that stay the candidate's own, longest replaced span), for coins with
        overrides.
    """

    ratio: float
    cap: float
    floor: float
    coins: tuple[str, ...]
    replaced: tuple[tuple[int, tuple[tuple[int, float], ...], float], ...]

    @classmethod
    def from_config(cls, config: Config, coins: Sequence[str]) -> "WarmupRule":
        """Return the rule of a configuration for the coins of a run."""
        overrides = config.engine_overrides(coins)
        replaced = []
        floor = _longest_bound(config)
        for index, coin in enumerate(coins):
            spans = {
                f"{side}_{name}": value * _SCALE[name]
                for side, values in overrides.get(coin, {}).items()
                for name, value in values.items()
                if name in _SCALE
            }
            if spans:
                own = tuple((column, scale) for column, scale in _COLUMNS if _NAMES[column] not in spans)
                replaced.append((index, own, max(spans.values())))
                floor = max(floor, *spans.values())
        live = config.live
        return cls(max(0.0, live.warmup_ratio), live.max_warmup_minutes, floor, tuple(coins), tuple(replaced))

    def for_matrix(self, parameters: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the warm-up of each candidate.

        Parameters
        ----------
        parameters
            (n, 58), order of optimizer-semantics §1.1.

        Returns
        -------
        (n,) global minutes, (n, C) minutes of each coin in the order of :attr:`coins`.
        """
        base = _longest(parameters, _COLUMNS)
        per_coin = np.repeat(self._minutes(base)[:, None], len(self.coins), axis=1)
        for index, own, span in self.replaced:
            per_coin[:, index] = self._minutes(np.maximum(_longest(parameters, own), span))
        return self._minutes(np.maximum(base, self.floor)), per_coin

    def _minutes(self, longest: NDArray[np.float64]) -> NDArray[np.int64]:
        minutes = np.where(np.isfinite(longest), longest, 0.0) * self.ratio
        if self.cap > 0.0:
            minutes = np.minimum(minutes, self.cap)
        return np.ceil(np.maximum(minutes, 0.0)).astype(np.int64)


def _longest(parameters: NDArray[np.float64], columns: Iterable[tuple[int, float]]) -> NDArray[np.float64]:
    longest = np.full(len(parameters), -np.inf)
    for column, scale in columns:
        np.maximum(longest, parameters[:, column] * scale, out=longest)
    return longest
