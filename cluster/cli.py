"""``passivbot optimize``: run a search over a configuration's bounds on all processors, or on a cluster."""

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
    from cluster.head import Outcome
    from cluster.prepare import Plan
    from passivbot.study import StudyLog
    from passivbot.study.study import Results, Study


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    from cluster import cli_cluster, cli_jobs, cli_walk

    app.command("optimize", cls=config_command("optimize"))(optimize)
    cli_walk.register(app)
    cli_cluster.register(app)
    cli_jobs.register(app)


def optimize(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Argument(
            help="Configuration; the shipped template if none, or with --resume that of the study."
        ),
    ] = None,
    candles: CandlesOption = None,
    coins: CoinsOption = None,
    study: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder of the study. Default: studies/UTC-NAME."),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="auto, nsga2, nsga3, tpe, optuna-nsga3, gp, sobol or random. auto: tpe for up to 500 "
            "candidates, nsga2 for more, nsga3 for more than three objectives.",
        ),
    ] = None,
    iters: Annotated[
        int | None,
        typer.Option(min=1, help="Number of candidates of the whole study. Default: optimize.iters."),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(help="How long the whole study may run, all its runs together. Default: any time."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="hypervolume-stalls[:SHARE[:GAIN]]: end when the hypervolume grew by less than GAIN (0.01) "
            "over the last SHARE (0.2) of the candidates. With --resume also never.",
        ),
    ] = None,
    workers: WorkersOption = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Most candidates of one call to a worker. Default: what suits.")
    ] = None,
    population: PopulationOption = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**64 - 1, help="Of all random numbers. Default: drawn, printed and stored."),
    ] = None,
    lag: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most candidates in flight: candidate n is made from results up to n - lag. Default: a "
            "third of the population, at least 8. With --resume: from there on.",
        ),
    ] = None,
    stop_early: Annotated[
        bool,
        typer.Option(
            "--stop-early",
            help="Stop a candidate at the end of the day on which it lost its equity, or broke a limit that "
            "it can't keep any more. Such a candidate is logged as stopped, and never scored.",
        ),
    ] = False,
    holdout: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS",
            help="Keep the last days of the candles from the search, at least 7, and try the front on them "
            "at the end (passivbot study unseen).",
        ),
    ] = None,
    start: StartOption = None,
    fine_tune: Annotated[
        str | None,
        typer.Option(
            "--fine-tune",
            "--fine_tune_params",
            "-ft",
            metavar="KEY,…",
            help="Names of bounds to keep free, such as long_ema_span_0; all others stay as configured.",
        ),
    ] = None,
    sets: SetsOption = None,
    interval: IntervalOption = None,
    address: ClusterOption = None,
    panels: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="On a cluster, where candles go that are too large for its object stores: a folder that all "
            "machines reach, s3://… or gs://…",
        ),
    ] = None,
    weight: Annotated[
        float,
        typer.Option(help="On a cluster with several studies: the share of its workers, relative to theirs."),
    ] = 1.0,
    no_page: Annotated[bool, typer.Option("--no-page", help="Serve no page while the study runs.")] = False,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Keep a copy of the study in this folder (s3://…, gs://…, or a path), under its name, "
            "at most some seconds old.",
        ),
    ] = None,
    from_mirror: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="With --resume: bring the study back from its mirror first, and keep that one going.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the study that --study names.")
    ] = False,
) -> None:
    """Search for good configurations: run candidates in the engine, keep every result, show the front.

    The study can be stopped at any time with Ctrl-C and continued with --resume; its candidates depend on
    configuration, candles and seed alone, not on workers, batches or interruptions.

    The memory needed is shown before the start. PASSIVBOT_MEMORY_LIMIT (bytes) says how much may be taken.
    """
    from cluster.prepare import Request, plan_new, plan_resumed
    from cluster.run import execute

    options = with_interval(given_options(context), interval)
    if from_mirror is not None:
        study = str(_bring_back(from_mirror, study, resume=resume))
    request = Request(
        config=config,
        candles=candles,
        coins=coins_of(coins),
        study=study,
        search=search,
        iters=iters,
        hours=hours,
        until=until,
        population=population,
        seed=seed,
        lag=lag,
        stop_early=stop_early,
        holdout=holdout,
        start=tuple(start or ()),
        fine_tune=tuple(name.strip() for name in (fine_tune or "").split(",") if name.strip()),
        sets=tuple(sets or ()),
        options=options,
        resume=resume,
    )
    plan = plan_resumed(request) if resume else plan_new(request)
    _introduce(plan)
    log, outcome = execute(
        plan,
        workers=asked_workers(workers, options, plan.scenario.config),
        batch=batch,
        lag=lag,
        address=address,
        panels=panels,
        weight=weight,
        mirror=from_mirror if mirror is None else f"{mirror.rstrip('/')}/{plan.folder.absolute().name}",
        page=not no_page,
        say=typer.echo,
    )
    with log:
        _conclude(plan, log, outcome)
    if outcome is not None and not outcome.finished:
        raise typer.Exit(INTERRUPTED)


def _bring_back(uri: str, study: str | None, *, resume: bool) -> Path:
    """Restore a study from its mirror; return its folder."""
    from passivbot.errors import ConfigError
    from passivbot.study.mirror import restore

    if not resume:
        raise ConfigError("the command line: --from-mirror needs --resume: it continues a study")
    folder, count = restore(uri, None if study is None else Path(study))
    typer.echo(f"restored: {folder}, {count:,} candidates, from {uri}")
    return folder


def _introduce(plan: "Plan") -> None:
    """Say what is going to run."""
    from passivbot.config.scoring import stop_text
    from passivbot.times import utc

    for warning in plan.warnings:
        typer.echo(f"warning: {warning}", err=True)
    for note in plan.notes:
        typer.echo(f"note: {note}", err=True)
    d, scenario, panel = plan.definition, plan.scenario, plan.scenario.panel
    arrows = {-1: "more", 1: "less"}
    objectives = ", ".join(f"{o.metric} ({arrows[o.weight]} is better)" for o in plan.scoring.objectives)
    limits = ", ".join(f"{limit.key} {limit.value:g}" for limit in plan.scoring.limits) or "none"
    typer.echo(f"study: {plan.folder} ({'resumed' if plan.log else 'new'}), {plan.ends}")
    typer.echo(
        f"search: {d.search}, seed {d.seed}, population {d.population}, lag {d.lag}; "
        f"{len(d.space.free)} of {len(d.space.names)} parameters free"
    )
    typer.echo(
        f"candles: {', '.join(scenario.coins)}; {utc(panel.requested_start_ms)} to {utc(panel.last_ms)} UTC, "
        f"{panel.minutes:,} minutes with warm-up, {panel.interval_minutes} a bar; {scenario.candles}"
    )
    typer.echo(f"objectives: {objectives}; limits: {limits}")
    if plan.holdout is not None:
        typer.echo(f"held out: {plan.holdout:g} days or more after {utc(panel.last_ms)}")
    if plan.stop_limits is not None:
        typer.echo(f"stopped early: {stop_text(plan.stop_limits)}")


def _conclude(plan: "Plan", log: "StudyLog", outcome: "Outcome | None") -> None:
    """Print the front, write its files, and name the next commands."""
    import os

    from cluster.run import missing
    from passivbot.errors import ResourceError, StudyError
    from passivbot.study.publish import default_marks, publish
    from passivbot.study.study import Study
    from passivbot.study.terminal import console, render_front
    from passivbot.study.unseen import may_find

    budget = max(plan.budget, log.count())
    if outcome is None:
        done = f"all {plan.budget:,} candidates are in the log already"
        if budget > plan.budget:
            done = f"the log has {budget:,} candidates already, more than {plan.budget:,}"
        typer.echo(f"finished: {done if missing(log, plan.budget) == 0 else 'its hours are spent'}")
    else:
        rate = outcome.evaluated / outcome.seconds if outcome.seconds else 0.0
        early = f", {outcome.stopped:,} stopped early" if outcome.stopped else ""
        typer.echo(
            f"{'finished' if outcome.finished else 'stopped'}: {outcome.evaluated:,} candidates{early} in "
            f"{outcome.seconds:.1f} s, {rate:.1f}/s; {outcome.engine_share:.1%} of the workers' time in the "
            f"engine, {outcome.overhead * 1e6:.0f} µs a candidate beside it"
        )
    study = Study(log)
    front = study.front()
    members = study.members(front)
    marks = default_marks(members)
    typer.echo("")
    console().print(render_front(front, members, marks=marks))
    ended = outcome is None or outcome.finished
    tried = plan.holdout is not None and ended and front.feasible and _try_unseen(study, members, marks)
    name = str(plan.folder)
    best = next(iter(marks), int(members.numbers[0]) if len(members) else None)
    if len(members):
        try:
            published = publish(study, front, members, marks)
        except (StudyError, ResourceError) as error:
            typer.echo(f"warning: no files were written: {error}", err=True)
        else:
            typer.echo(f"\nconfigurations: {published.front}{os.sep}  ({len(members)} files)")
            typer.echo(f"page: {published.page}")
    typer.echo("\nnext:")
    if best is not None:
        typer.echo(f"  passivbot pareto {name}{' --holds' if tried else ''} --pick knee")
        if not tried and ended:
            other = "" if may_find(study) else " --candles OTHER"
            typer.echo(f"  passivbot study unseen {name}{other}")
        # What was screened on longer bars is confirmed on minutes.
        fine = " --interval 1" if plan.scenario.panel.interval_minutes > 1 else ""
        typer.echo(f"  passivbot backtest {plan.folder / 'front' / f'{best:07d}.json'}{fine}")
    more = "" if outcome is not None and not outcome.finished else f" --iters {budget * 2}"
    if more and plan.ends.hours is not None and missing(log, plan.budget):
        more = f" --hours {plan.ends.hours * 2:g}"
    typer.echo(f"  passivbot optimize --study {name} --resume{more}")


def _try_unseen(study: "Study", members: "Results", marks: dict[int, str]) -> bool:
    """Try the front on the candles that were held out, keep and print what comes out; whether that worked."""
    from passivbot.errors import PassivbotError
    from passivbot.study.terminal import console
    from passivbot.study.unseen import save, unseen_scenario
    from passivbot.study.unseen_table import examine_shown, render_unseen

    try:
        found = examine_shown(study, members, unseen_scenario(study))
        save(study, found)
    except PassivbotError as error:
        # The search is done and kept: what comes after it can be asked for again.
        typer.echo(f"warning: the front was not tried on the held-out candles: {error}", err=True)
        return False
    typer.echo("")
    console().print(render_unseen(study, found, members, marks=marks))
    return True
