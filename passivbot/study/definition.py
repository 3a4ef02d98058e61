"""What a study is: everything that its candidates depend on, stored once when it is created.

Two studies with equal definitions have equal candidates, so ``--resume`` compares the definition it would
create with the stored one and refuses a difference by name.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from passivbot.errors import StudyError

# Dotted keys (and everything below them) that change no candidate and no result. The budget belongs here: a
# study is continued with a larger one. `lag` may be changed on resume, by an event in the log. Where the
# candles lie does not matter, their digest does.
WITHOUT_EFFECT = (
    "created",
    "lag",
    "config.backtest.base_dir",
    "config.backtest.cache_dir",
    "config.backtest.compress_cache",
    "config.live",
    "config.logging",
    "config.optimize.compress_results_file",
    "config.optimize.iters",
    "config.optimize.n_cpus",
    "config.optimize.pareto_max_size",
    "config.optimize.write_all_results",
    "scenario.candles",
    "scenario.notes",
)
# Keys that older studies do not have, and what they ran with.
ADDED: Mapping[str, object] = {
    "config.backtest.candle_interval_minutes": 1,
    "scenario.interval_minutes": 1,
    "scheme": 1,
    "space.step": [],
}
# The settings of the live bot that backtests heed all the same (config-format §3).
WITH_EFFECT = (
    "config.live.approved_coins",
    "config.live.empty_means_all_approved",
    "config.live.ignored_coins",
    "config.live.max_warmup_minutes",
    "config.live.minimum_coin_age_days",
    "config.live.warmup_ratio",
)


def canonical(value: object) -> str:
    """Return the one JSON text of a value: keys sorted, no spaces, floats in shortest round-trip form.

    Raises
    ------
    ValueError
        The value holds NaN or an infinity, which JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


@dataclass(frozen=True)
class Difference:
    """The first key in which two definitions differ, with both values as JSON text."""

    key: str
    here: str
    there: str

    def __str__(self) -> str:
        return f"{self.key} is {_shortened(self.there)}, the study has {_shortened(self.here)}"


@dataclass(frozen=True)
class Space:
    """The searched vector: names in the order of optimizer-semantics §1.1, bounds and significant digits.

    ``low``, ``high`` have one number per name; a component with equal ends is fixed. ``digits`` is None where
    the search does not round. ``step`` is empty where no component has steps, else one number per name, 0
    for none.
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    digits: int
    step: tuple[float, ...] = ()

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the components that the search may move."""
        return tuple(n for n, low, high in zip(self.names, self.low, self.high, strict=True) if low < high)


@dataclass(frozen=True, kw_only=True)
class Definition:
    """Everything that the candidates of a study and their results depend on.

    Parameters
    ----------
    config
        The whole configuration as ``Config.to_dict()`` gives it.
    scenario
        ``Scenario.describe()``: coins, window, fee, market rules, digest of the candles.
    search
        Name of the search, never ``auto``.
    seed, lag, population, sobol, block
        Settings of the search; ``sobol`` is the number of candidates of its space-filling start, ``block``
        the number of results told at once.
    metrics
        Names of the logged metrics, in the order of the log's metric vectors.
    seeds
        Starting vectors (enforced), in the order in which they are asked.
    space
        The searched vector.
    engine
        Version of the engine: another one may round differently.
    created
        UTC time as text, for people.
    scheme
        How an evolutionary search makes its children (``cluster.search.base.Settings``).
    stop_early
        Whether a candidate is stopped as soon as it is lost: ``Scoring.stop_limits`` or its equity.
    """

    config: Mapping[str, Any]
    scenario: Mapping[str, Any]
    search: str
    seed: int
    lag: int
    population: int
    sobol: int
    block: int
    metrics: tuple[str, ...]
    seeds: tuple[tuple[float, ...], ...]
    space: Space
    engine: str
    created: str
    stop_early: bool = False
    scheme: int = 1

    @property
    def interval_minutes(self) -> int:
        """Minutes of a bar of the candles."""
        return int(self.scenario.get("interval_minutes", 1))

    def to_json(self) -> str:
        """Return the canonical JSON text; ``from_json`` reads it back to an equal definition."""
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, text: str, *, file: str | Path) -> Self:
        """Read a definition; ``file`` names its origin in a message.

        Raises
        ------
        StudyError
            The text is not a definition.
        """
        try:
            raw = json.loads(text)
            space = raw.pop("space")
            raw["space"] = Space(
                names=tuple(space["names"]),
                low=tuple(map(float, space["low"])),
                high=tuple(map(float, space["high"])),
                digits=int(space["digits"]),
                step=tuple(map(float, space.get("step", ()))),
            )
            raw["metrics"] = tuple(raw["metrics"])
            raw["seeds"] = tuple(tuple(map(float, vector)) for vector in raw["seeds"])
            known = {field.name for field in fields(cls)}
            return cls(**{key: value for key, value in raw.items() if key in known})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StudyError(f"{file}: the definition of the study can't be read ({error})") from error

    def difference(self, other: Self) -> Difference | None:
        """Return the first key in which ``other`` differs, the configuration's keys first, or None.

        ``self`` is the stored study, ``other`` what the command line asks for. Private keys (leading ``_``)
        of the configuration never count.
        """
        here, there = ({**ADDED, **dict(_leaves("", json.loads(d.to_json())))} for d in (self, other))
        for key in sorted(here.keys() | there.keys(), key=lambda k: (not k.startswith("config."), k)):
            if _below(key, WITHOUT_EFFECT) and not _below(key, WITH_EFFECT):
                continue
            if key.startswith("config.") and "._" in key:
                continue
            if key not in here or key not in there or _plain(here[key]) != _plain(there[key]):
                return Difference(
                    key, *(canonical(side[key]) if key in side else "absent" for side in (here, there))
                )
        return None

    def require_same(self, other: Self, study: str | Path) -> None:
        """Raise if ``other`` would give other candidates or results than this study.

        Raises
        ------
        StudyError
            Names the first key that differs and both values.
        """
        difference = self.difference(other)
        if difference:
            raise StudyError(
                f"{study}: the study was made with another configuration: {difference}; "
                f"resume it with its own configuration, or name another study"
            )


def _leaves(prefix: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield (dotted key, value) of everything that is not a mapping."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else str(key), inner)
    else:
        yield prefix, value


def _below(key: str, names: Sequence[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _plain(value: object) -> object:
    """Make 1 and 1.0 the same number, as they are for the engine."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _shortened(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
