"""One backtest: scenario, report, plots, summary."""

from passivbot.backtest.scenario import Scenario

__all__ = ["Scenario"]
