"""Replaying a logged candidate alone, and comparing with the log to the bit (architecture, decision 4)."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passivbot.backtest.scenario import Scenario
from passivbot.config import Config, warmup_minutes
from passivbot.engine import STOPPED_MINUTE, BacktestResult
from passivbot.study.export import evaluated_config
from passivbot.study.study import Study

Analysis = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class Deviation:
    """A metric whose bits differ between the log and a run; None for null."""

    metric: str
    logged: float | None
    found: float | None

    def __str__(self) -> str:
        return f"{self.metric}: logged {self.logged!r}, found {self.found!r}"


@dataclass(frozen=True, eq=False)
class Logged:
    """A candidate as the log has it.

    ``config`` is the evaluated configuration, ``parameters`` (58,) the logged vector, ``metrics`` name →
    value, None for null; ``limits`` are those at which the study stopped its candidates, None if it did not,
    and ``stopped`` the last minute of this one, None if it ran to its end.
    """

    candidate: int
    config: Config
    parameters: NDArray[np.float64]
    metrics: Mapping[str, float | None]
    limits: Mapping[str, float] | None = None
    stopped: int | None = None

    def deviations(self, result: BacktestResult) -> tuple[Deviation, ...]:
        """Compare with a run, its minute of stopping included; empty if all bits agree."""
        found = compare(self.metrics, result.analysis)
        if self.stopped != result.stopped:
            found = (Deviation(STOPPED_MINUTE, self.stopped, result.stopped), *found)
        return found

    def run(self, scenario: Scenario) -> BacktestResult:
        """Run the engine over a scenario as the study did."""
        common, single = warmup_minutes(self.config, scenario.coins)
        return scenario.engine().backtest(
            self.config.bot.to_engine(),
            self.config.engine_overrides(scenario.coins),
            warmup_minutes=common,
            coin_warmup_minutes=single,
            limits=self.limits,
        )


def logged(study: Study, candidate: int) -> Logged:
    """Return a candidate of the log with its configuration rebuilt.

    Raises
    ------
    StudyError
        It is not in the log, or has no result to compare with.
    """
    rows = study.row(candidate)
    values = (v if math.isfinite(v) else None for v in rows.metrics[0].tolist())
    return Logged(
        candidate=candidate,
        config=evaluated_config(study, rows.parameters[0]),
        parameters=rows.parameters[0],
        metrics=dict(zip(study.definition.metrics, values, strict=True)),
        limits=study.stop_limits,
        stopped=rows.stopped[0],
    )


def compare(metrics: Mapping[str, float | None], analysis: Analysis) -> tuple[Deviation, ...]:
    """Compare logged metrics with an analysis, bit by bit; one that the analysis lacks is null."""
    found = {name: _metric(analysis, name) for name in metrics}
    return tuple(
        Deviation(name, value, found[name])
        for name, value in metrics.items()
        if _bits(value) != _bits(found[name])
    )


def _metric(analysis: Analysis, name: str) -> float | None:
    """Return a metric by its logged name: ``btc_`` before it names the BTC set."""
    usd, btc = analysis.get("usd", {}), analysis.get("btc", {})
    if name not in usd and name.startswith("btc_"):
        return btc.get(name.removeprefix("btc_"))
    return usd.get(name)


def _bits(value: float | None) -> bytes | None:
    return None if value is None or not math.isfinite(value) else struct.pack("<d", value)
