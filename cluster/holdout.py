"""Candles that are kept from a search, so that its front can be tried on them."""

import math
from collections.abc import Mapping
from typing import Any

from passivbot.backtest import Scenario
from passivbot.backtest.outside import LEAST_DAYS
from passivbot.config import Config
from passivbot.errors import ConfigError, located
from passivbot.study import StudyLog
from passivbot.times import DAY_MS, MINUTE_MS, day, utc

EVENT = "holdout"
"""Kind of the event that says how many days were kept, below "days"."""


def without_last_days(config: Config, scenario: Scenario, days: float) -> Config:
    """Return a configuration that ends so many days earlier, at 00:00, where periods end.

    Parameters
    ----------
    config
        The configuration.
    scenario
        What it runs on as it is.
    days
        Days to keep.

    Raises
    ------
    ConfigError
        Too few to say anything, or more than there are candles.
    """
    first, last = max(scenario.panel.first_ms, scenario.requested_start_ms), scenario.panel.last_ms
    if not (math.isfinite(days) and days >= LEAST_DAYS):
        raise ConfigError(
            located("the command line", "--holdout", f"{days:g}", f"a number of days from {LEAST_DAYS} on")
        )
    end = (last + MINUTE_MS - int(days * DAY_MS)) // DAY_MS * DAY_MS
    if end <= first:
        raise ConfigError(
            f"the command line: --holdout {days:g} leaves no candles to search on: they run from "
            f"{utc(first)} to {utc(last)}"
        )
    return _ending(config, day(end))


def ending_as(config: Config, stored: Mapping[str, Any]) -> Config:
    """Return a configuration that ends where that of a study did, whose last days were kept from it."""
    return _ending(config, str(stored["backtest"]["end_date"]))


def _ending(config: Config, date: str) -> Config:
    return config.model_copy(update={"backtest": config.backtest.model_copy(update={"end_date": date})})


def held_out(log: StudyLog) -> float | None:
    """Return how many days were kept from a study's search; None for none."""
    events = [event.payload for event in log.events() if event.kind == EVENT]
    return float(events[-1]["days"]) if events else None
