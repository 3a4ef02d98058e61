"""``passivbot backtest``: run one configuration and write its report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passivbot.cli.options import config_command, given_options, print_findings, with_interval
from passivbot.cli.shared import CandlesOption, CoinsOption, IntervalOption, SetsOption, coins_of

if TYPE_CHECKING:
    from passivbot.backtest import Report, Run


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("backtest", cls=config_command("backtest"))(backtest)


def backtest(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Argument(help="Configuration, or a front member of a study; the shipped template if none."),
    ] = None,
    candles: CandlesOption = None,
    coins: CoinsOption = None,
    sets: SetsOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report. Default: BASE_DIR/combined/UTC time.")
    ] = None,
    disable_plotting: Annotated[
        bool, typer.Option("--disable_plotting", "--disable-plotting", "-dp", help="Write no pages of plots.")
    ] = False,
    interval: IntervalOption = None,
    other_candles: Annotated[
        bool,
        typer.Option("--other-candles", help="Run a front member on other candles than those of its study."),
    ] = False,
) -> None:
    """Run one configuration; write fills, equity, analysis and plots.

    A front member of a study, or the config.json of a report, runs on the coins, candles, fee and market
    rules that it was made with, and must give the same metrics; the exit code is 1 if it does not. With
    another --interval it runs on the same minutes in other bars, and its scored metrics are shown beside the
    recorded ones.
    """
    from passivbot.backtest import default_folder, new_folder, prepare_run, run_backtest

    run = prepare_run(
        config,
        candles,
        coins=coins_of(coins),
        sets=sets or (),
        options=with_interval(given_options(context), interval),
        other_candles=other_candles,
    )
    print_findings(run.findings)
    for note in run.scenario.notes:
        typer.echo(f"note: {note}", err=True)
    folder = out or default_folder(run.scenario.config)
    with new_folder(folder) as partial:
        report = run_backtest(run.scenario, limits=run.limits)
        report.save(partial, plots=not disable_plotting)
    _print(run, report, folder)
    if run.recorded:
        different = report.differences(run.recorded)
        if different:
            typer.echo(f"difference: not as recorded in {config}: {', '.join(different)}", err=True)
            raise typer.Exit(1)
        typer.echo(f"All {len(run.recorded)} metrics recorded in {config} are repeated to the bit.")


def _print(run: "Run", report: "Report", folder: Path) -> None:
    import sys

    from rich.console import Console

    from passivbot.backtest.summary import print_screening, print_summary

    # A file or a pipe has no width of its own; 80 columns would break the table's lines.
    console = Console(width=None if sys.stdout.isatty() else 120)
    print_summary(report, console)
    if run.screened:
        print_screening(report, run.screened, run.screened_minutes, console)
    for note in report.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"Report: {folder}")
