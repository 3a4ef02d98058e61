"""Scenarios of minutes that a search has not traded: after its window, before it, or between two days named.

The minutes that a warm-up needs may be the search's own: no order is placed on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from passivbot.backtest.scenario import Scenario
from passivbot.config import Config, warmup_minutes
from passivbot.times import DAY_MS, MINUTE_MS

LEAST_DAYS = 7
"""Days of candles that a search has not seen; fewer say nothing."""


@dataclass(frozen=True)
class Traded:
    """The minutes of a scenario in which orders are possible, UTC milliseconds."""

    first_ms: int
    last_ms: int

    @property
    def days(self) -> float:
        """Their number of days."""
        return (self.last_ms - self.first_ms + MINUTE_MS) / DAY_MS

    @property
    def enough(self) -> bool:
        """Whether they are :data:`LEAST_DAYS` whole days; one that begins at 00:01 counts as whole."""
        return self.last_ms - self.first_ms + 2 * MINUTE_MS >= LEAST_DAYS * DAY_MS


def traded(scenario: Scenario) -> Traded:
    """Return the minutes of a scenario after its warm-up."""
    warmup = warmup_minutes(scenario.config, scenario.coins)[0] * MINUTE_MS
    panel = scenario.panel
    return Traded(max(scenario.requested_start_ms, panel.first_ms + warmup), panel.last_ms)


def after(config: Config, place: str | Path, last_ms: int, coins: Sequence[str] | None) -> Scenario:
    """Return the scenario of the minutes after ``last_ms``; see :func:`between`."""
    return between(config, place, _time(last_ms + MINUTE_MS), "now", coins)


def before(config: Config, place: str | Path, first_ms: int, coins: Sequence[str] | None) -> Scenario:
    """Return the scenario of the whole days before ``first_ms``; see :func:`between`."""
    # 00:00 of the day on which the study began, or of the day before if it began at 00:00.
    return between(config, place, "", _time((first_ms - MINUTE_MS) // DAY_MS * DAY_MS), coins)


def between(config: Config, place: str | Path, start: str, end: str, coins: Sequence[str] | None) -> Scenario:
    """Return a configuration's scenario between two dates, on bars of a minute, whatever it is searched on.

    Parameters
    ----------
    config
        The configuration.
    place
        Candle folder, store, or ``demo``.
    start, end
        As ``backtest.start_date`` and ``backtest.end_date``.
    coins
        Coins, all of which must have candles there; None: the approved ones, as far as there are.

    Raises
    ------
    CandleError
        As :meth:`Scenario.prepare`.
    """
    dates = {"candle_interval_minutes": 1, "end_date": end, "start_date": start}
    backtest = config.backtest.model_copy(update=dates)
    return Scenario.prepare(config.model_copy(update={"backtest": backtest}), place, coins=coins)


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()
