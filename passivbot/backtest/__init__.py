"""One backtest: scenario, report, plots, summary."""

from passivbot.backtest.candidates import Candidates
from passivbot.backtest.prepare import Run, prepare_run
from passivbot.backtest.report import Report, default_folder, new_folder, run_backtest
from passivbot.backtest.scenario import PROVENANCE, Scenario, provenance

__all__ = [
    "PROVENANCE",
    "Candidates",
    "Report",
    "Run",
    "Scenario",
    "default_folder",
    "new_folder",
    "prepare_run",
    "provenance",
    "run_backtest",
]
