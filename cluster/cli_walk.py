"""``passivbot walk``: search, choose, trade what follows, and again some days later."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli_options import (
    INTERRUPTED,
    ClusterOption,
    PopulationOption,
    StartOption,
    WorkersOption,
    asked_workers,
)
from passivbot.cli.options import config_command, given_options, with_interval
from passivbot.cli.shared import CandlesOption, CoinsOption, IntervalOption, SetsOption, coins_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cluster.prepare import Request
    from cluster.walk import Fold, Step


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("walk", cls=config_command("optimize", "walk"))(walk)


def walk(
    context: typer.Context,
    train: Annotated[int, typer.Option(metavar="DAYS", help="Days of each search, at least 7.")],
    test: Annotated[
        int, typer.Option(metavar="DAYS", help="Days after it, at least 7, on which its choice is judged.")
    ],
    config: Annotated[
        Path | None, typer.Argument(help="Configuration; the shipped template if none.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            min=1, help="Only so many searches, the latest. Default: as many as there are candles for."
        ),
    ] = None,
    pick: Annotated[
        str, typer.Option(metavar="METHOD[:ARGUMENT]", help="How a member is chosen, see passivbot pareto.")
    ] = "knee",
    candles: CandlesOption = None,
    coins: CoinsOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the studies; one that exists is continued. Default: studies/walk-NAME.",
        ),
    ] = None,
    search: Annotated[
        str | None, typer.Option(metavar="NAME", help="As passivbot optimize takes it.")
    ] = None,
    iters: Annotated[
        int | None, typer.Option(min=1, help="Candidates of each search. Default: optimize.iters.")
    ] = None,
    workers: WorkersOption = None,
    side_by_side: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many searches run at once. Default: as many as keep the workers busy, and have room.",
        ),
    ] = None,
    population: PopulationOption = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**64 - 1, help="Of all random numbers. Default: drawn for each search."),
    ] = None,
    start: StartOption = None,
    sets: SetsOption = None,
    interval: IntervalOption = None,
    address: ClusterOption = None,
) -> None:
    """Walk forward: search on --train days, choose, judge on the --test days that follow; then the next.

    Says what the whole procedure would have earned on days that no search saw. Each search is a study of its
    own below --out. Ctrl-C ends it; the same command goes on.
    """
    from cluster.folds import Searches, ground
    from cluster.prepare import Request
    from cluster.run import estimated
    from cluster.walk import folds as cut
    from cluster.walk import judge, period, plan, study_folder, write
    from passivbot.study import StudyLog
    from passivbot.study.select import check_method
    from passivbot.study.study import STUDIES

    check_method(pick)
    request = Request(
        config=config,
        candles=candles,
        coins=coins_of(coins),
        search=search,
        iters=iters,
        population=population,
        seed=seed,
        start=tuple(start or ()),
        sets=tuple(sets or ()),
        options=with_interval(given_options(context), interval),
    )
    steps = cut(*period(request), train, test, folds)
    folder = out or STUDIES / f"walk-{'template' if config is None else config.stem}"
    typer.echo(f"walk: {len(steps)} folds of {train} + {test} days, pick {pick}; {folder}")
    done: list[Step] = []

    def searched(fold: "Fold") -> None:
        with StudyLog.open(study_folder(folder, fold)) as log:
            done.append(judge(log, fold, pick))
        _print([done[-1]], heading=False)

    latest = plan(request, folder, steps[-1])  # it has the most coins
    if latest.log is not None:
        latest.log.close()
    for warning in latest.warnings:
        typer.echo(f"warning: {warning}", err=True)
    workers = asked_workers(workers, request.options or {}, latest.scenario.config)
    need, lag = estimated(latest, workers, local=address is None), latest.settings.lag
    del latest  # its candles
    with ground(
        need,
        lag,
        folds=len(steps),
        wanted=side_by_side,
        workers=workers,
        address=address,
        say=typer.echo,
    ) as shared:
        if shared is None:
            ended = _one_by_one(request, folder, steps, searched, workers, address)
        else:
            ended = Searches(request, folder, shared, typer.echo).run(steps, searched)
    if not ended:
        typer.echo("stopped; the same command goes on")
        raise typer.Exit(INTERRUPTED)
    done.sort(key=lambda step: step.fold.number)
    path = write(folder, done, pick)
    typer.echo("")
    _print(done, heading=True)
    typer.echo(f"\nall figures: {path}\n\nnext:\n  passivbot pareto {folder} --serve")


def _one_by_one(
    request: "Request",
    folder: Path,
    folds: "Sequence[Fold]",
    searched: "Callable[[Fold], None]",
    workers: int | None,
    address: str | None,
) -> bool:
    """Search one fold after the other in this process; return whether none was stopped."""
    from cluster.run import execute
    from cluster.walk import plan

    for fold in folds:
        prepared = plan(request, folder, fold)
        typer.echo(f"\n{fold}; {prepared.folder}, {prepared.ends}")
        log, outcome = execute(
            prepared,
            workers=workers,
            batch=None,
            lag=None,
            address=address,
            page=False,
            say=typer.echo if fold.number == 1 else _quiet,
        )
        log.close()
        if outcome is not None and not outcome.finished:
            return False
        searched(fold)
    return True


def _quiet(text: str) -> None:
    """Leave out what was said of the first search."""


def _print(steps: "Sequence[Step]", *, heading: bool) -> None:
    from rich.table import Table

    from cluster.walk import chained, efficiency, growth
    from passivbot.study.terminal import console, number
    from passivbot.times import day

    objectives = [(o.metric, "↑" if o.weight < 0 else "↓") for o in steps[0].seen.scoring.objectives]
    if not heading:
        step = steps[0]
        figures = ", ".join(
            f"{name} {number(float(step.seen.metric(name)[0]))} → {number(float(step.there.metric(name)[0]))}"
            for name, _ in objectives
        )
        typer.echo(
            f"fold {step.fold.number}: chosen {step.candidate} of a front of {step.front}; {figures}; "
            f"{step.verdict}"
        )
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("searched", "judged until", "chosen"):
        table.add_column(name, justify="right")
    for name, arrow in objectives:
        table.add_column(f"{name} {arrow}", justify="right")
        table.add_column("unseen", justify="right", style="cyan")
    table.add_column("gain", justify="right", style="cyan")
    table.add_column("there")
    for step in steps:
        cells = [f"{day(step.fold.train_start_ms)} … {day(step.fold.train_end_ms)}"]
        cells += [day(step.fold.test_end_ms), str(step.candidate)]
        for name, _ in objectives:
            cells += [number(float(results.metric(name)[0])) for results in (step.seen, step.there)]
        table.add_row(*cells, number(float(step.there.metric("gain")[0])), step.verdict)
    console().print(table)
    gain, days = chained(steps)
    of = growth(steps)
    kept = efficiency(steps, of)
    worst = max(float(step.there.metric("drawdown_worst")[0]) for step in steps)
    held = sum(step.verdict == "holds" for step in steps)
    typer.echo(
        f"\nunseen, one after the other: {days:.0f} days, gain {number(gain)} in USD, worst drawdown of a "
        f"period {worst:.1%}; {held} of {len(steps)} choices hold"
    )
    typer.echo(
        "walk-forward efficiency: "
        + ("none, the searches promised no growth" if kept is None else f"{kept:.0%} of the {of} promised")
    )
