"""What a person reads on the terminal after a backtest."""

from collections.abc import Mapping

import numpy as np
from rich.console import Console
from rich.table import Table

from passivbot.backtest.report import Report
from passivbot.config import Scoring
from passivbot.times import utc

_SHOWN = {
    "gain": "gain (final ÷ first equity)",
    "adg": "average daily gain",
    "adg_w": "average daily gain, recent days weigh more",
    "mdg": "median daily gain",
    "sharpe_ratio": "Sharpe ratio",
    "sortino_ratio": "Sortino ratio",
    "omega_ratio": "Omega ratio",
    "drawdown_worst": "worst drawdown",
    "equity_balance_diff_neg_max": "equity below balance, at most",
    "loss_profit_ratio": "loss ÷ profit",
    "positions_held_per_day": "positions a day",
    "position_held_hours_mean": "position held, mean hours",
    "position_held_hours_max": "position held, most hours",
    "position_unchanged_hours_max": "position unchanged, most hours",
    "total_wallet_exposure_max": "total wallet exposure, most",
    "volume_pct_per_day_avg": "volume a day ÷ balance",
}
"""Metrics of every summary and what they are. Others are shown if scoring or limits name them; all stand in
``analysis.json``."""
_SHARES = {"adg", "adg_w", "mdg", "drawdown_worst", "equity_balance_diff_neg_max"}
_NOT_IN_BTC = ("position", "volume_pct_per_day")
"""Metrics that are not reported in BTC (analysis-metrics §9)."""


def print_summary(report: Report, console: Console) -> None:
    """Print window, metrics and each coin's share."""
    panel = report.scenario.panel
    console.print(
        f"{utc(panel.requested_start_ms)} to {utc(panel.last_ms)} UTC, {panel.minutes} minutes with warm-up, "
        f"{panel.interval_minutes} a bar, "
        f"{len(panel.coins)} {'coin' if len(panel.coins) == 1 else 'coins'}, "
        f"{report.result.fills.num_rows} fills, maker fee {report.scenario.maker_fee:g}",
        highlight=False,
    )
    console.print(_metrics(report))
    if report.result.fills.num_rows:
        console.print(_coins(report))


def print_screening(
    report: Report, screened: Mapping[str, float | None], minutes: int, console: Console
) -> None:
    """Print the scored and limited metrics beside those that were recorded on bars of ``minutes``."""
    table = Table("metric", box=None, pad_edge=False)
    table.add_column(f"recorded, {minutes} min a bar", justify="right")
    table.add_column(f"here, {report.scenario.panel.interval_minutes} min a bar", justify="right")
    for name in Scoring.from_config(report.config).metrics:
        if name in screened:
            table.add_row(name, *(_number(name, values) for values in (screened, report.metrics)))
    console.print(table)


def _metrics(report: Report) -> Table:
    sets = ["usd", "btc"] if report.scenario.btc_usd is not None else ["usd"]
    table = Table("metric", box=None, pad_edge=False)
    for name in sets:
        table.add_column(name.upper(), justify="right")
    table.add_column("", style="dim")
    scored = (name.removeprefix("btc_") for name in Scoring.from_config(report.config).metrics)
    for metric, meaning in (_SHOWN | {name: "" for name in scored if name not in _SHOWN}).items():
        cells = [
            "" if name == "btc" and metric.startswith(_NOT_IN_BTC) else _number(metric, report.analysis[name])
            for name in sets
        ]
        table.add_row(metric, *cells, meaning)
    return table


def _number(metric: str, analysis: Mapping[str, float | None]) -> str:
    value = analysis.get(metric)
    if value is None:
        return "–"
    return f"{value:.3%}" if metric in _SHARES else f"{value:.4f}"


def _coins(report: Report) -> Table:
    """Fills, profit and fees of each coin, the most profitable first."""
    fills = report.result.fills
    coin = np.asarray(fills.column("coin").to_pylist(), dtype=object)
    pnl, fee = fills.column("pnl").to_numpy(), fills.column("fee_paid").to_numpy()
    rows = []
    for name in report.scenario.coins:
        chosen = coin == name
        rows.append((name, int(chosen.sum()), float(pnl[chosen].sum()), float(fee[chosen].sum())))
    table = Table("coin", box=None, pad_edge=False)
    for header in ("fills", "profit, USD", "fees, USD"):
        table.add_column(header, justify="right")
    for name, count, profit, fees in sorted(rows, key=lambda row: -row[2]):
        table.add_row(name, str(count), f"{profit:.2f}", f"{fees:.2f}")
    return table
