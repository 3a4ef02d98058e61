"""One backtest: scenario, report, plots, summary."""

from passivbot.backtest.report import Report, default_folder, new_folder, run_backtest
from passivbot.backtest.scenario import PROVENANCE, Scenario, provenance

__all__ = [
    "PROVENANCE",
    "Report",
    "Scenario",
    "default_folder",
    "new_folder",
    "provenance",
    "run_backtest",
]
