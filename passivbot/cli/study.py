"""``passivbot study list | show | compare | unseen | export | restore``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passivbot.cli.compare import compare
from passivbot.cli.options import help_if_alone
from passivbot.cli.shared import StudyArgument
from passivbot.cli.unseen import unseen

if TYPE_CHECKING:
    from passivbot.study.study import Study


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="List, show, compare, export or restore studies.", invoke_without_command=True)
    group.callback()(help_if_alone)
    group.command("list")(list_studies)
    group.command("show")(show)
    group.command("compare")(compare)
    group.command("unseen")(unseen)
    group.command("export")(export)
    group.command("restore")(restore)
    app.add_typer(group, name="study")


def list_studies(
    folder: Annotated[Path, typer.Option("--dir", help="Folder that holds the studies.")] = Path("studies"),
) -> None:
    """List the studies of a folder."""
    from rich.table import Table

    from passivbot.errors import PassivbotError
    from passivbot.study.lock import holder
    from passivbot.study.log import StudyLog
    from passivbot.study.serve.view import budget_of, state_of
    from passivbot.study.study import listing
    from passivbot.study.terminal import console

    found = listing(folder)
    if not found:
        typer.echo(f"{folder}: no studies")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("study", "created", "search", "candidates", "seed", "coins", "now"):
        table.add_column(name, justify="right" if name == "candidates" else "left")
    for path in found:
        try:
            with StudyLog.open(path) as log:
                d, last, events = log.definition, log.last(), log.events()
        except PassivbotError as error:
            # One unreadable study does not hide the others.
            typer.echo(f"warning: {error}", err=True)
            continue
        writer, budget = holder(path), budget_of(events)
        coins = d.scenario.get("coins", ())
        candles = ", ".join(coins) if len(coins) <= 4 else f"{len(coins)} coins"
        if d.interval_minutes != 1:
            candles += f", {d.interval_minutes} min a bar"
        table.add_row(
            path.name,
            d.created,
            d.search,
            f"{last + 1:,}" if budget is None else f"{last + 1:,} of {budget:,}",
            str(d.seed),
            candles,
            f"running, {writer}" if writer else state_of(events, last + 1),
        )
    console().print(table)


def show(study: StudyArgument) -> None:
    """Show what a study is, how far it got and what happened to it."""
    from datetime import UTC, datetime

    from rich.table import Table

    from passivbot.study.lock import holder
    from passivbot.study.study import Study
    from passivbot.study.terminal import console, headline, number

    with Study.open(study) as opened:
        front = opened.front()
        stdout = console()
        facts = Table(box=None, pad_edge=False, show_header=False)
        facts.add_column(style="bold")
        facts.add_column()
        for name, value in _facts(opened):
            facts.add_row(name, value)
        statuses = ", ".join(f"{count:,} {status}" for status, count in opened.log.statuses().items())
        facts.add_row("logged", statuses or "nothing yet")
        facts.add_row("front", headline(front, opened.members(front)))
        if front.reference:
            point = ", ".join(number(value) for value in front.reference.point)
            facts.add_row("reference", f"{point} (minimised)")
        writer = holder(opened.folder)
        facts.add_row("now", f"running, {writer}" if writer else "nobody writes")
        stdout.print(facts)
        stdout.print("\nevents", style="bold")
        for event in opened.log.events():
            at = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
            payload = " ".join(f"{key}={value}" for key, value in event.payload.items())
            stdout.print(f"  {at}  {event.kind}  {payload}", markup=False)


def _facts(opened: "Study") -> list[tuple[str, str]]:
    """Return what a study is as (name, text) pairs."""
    from passivbot.config.scoring import stop_text
    from passivbot.times import utc

    d, scenario = opened.definition, opened.definition.scenario
    window = scenario.get("window", {})
    ends = [window[key] for key in ("requested_start_ms", "last_ms") if key in window]
    period = f"{utc(ends[0])} to {utc(ends[1])} UTC, " if len(ends) == 2 else ""
    arrows = {-1: "↑", 1: "↓"}
    return [
        ("study", str(opened.folder)),
        ("created", f"{d.created}, engine {d.engine}"),
        ("search", f"{d.search}, seed {d.seed}"),
        ("population", f"{d.population}, Sobol start {d.sobol}, told in blocks of {d.block}"),
        ("lag", ", ".join(f"{lag} from candidate {start}" for start, lag in opened.log.lags())),
        ("objectives", ", ".join(f"{o.metric} {arrows[o.weight]}" for o in opened.scoring.objectives)),
        ("limits", ", ".join(f"{limit.key} {limit.value:g}" for limit in opened.scoring.limits) or "none"),
        ("stopped early", stop_text(opened.stop_limits)),
        ("parameters", f"{len(d.space.free)} of {len(d.space.names)} free, {d.space.digits} digits"),
        ("coins", ", ".join(scenario.get("coins", ()))),
        (
            "candles",
            f"{period}{window.get('minutes', 0):,} minutes with warm-up, {d.interval_minutes} a bar; "
            f"{scenario.get('candles')}",
        ),
    ]


def export(
    study: StudyArgument,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="NAME", help="csv, parquet or json. Default: as the file ends, else csv."
        ),
    ] = None,
    candidate: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            help="Write the configuration of one candidate instead: what passivbot backtest repeats, be it a "
            "front member or not.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output if none.")] = None,
) -> None:
    """Write all evaluations of a study as a table, or one candidate as a configuration."""
    from passivbot.study.export import candidate_text, write_text
    from passivbot.study.study import Study
    from passivbot.study.table import FORMATS, export_table

    with Study.open(study) as opened:
        if candidate is not None:
            text = candidate_text(opened, candidate)
            if out is None:
                typer.echo(text, nl=False)
            else:
                write_text(out, text)
                typer.echo(f"{out}: candidate {candidate}")
            return
        if form is None:
            ending = "" if out is None else out.suffix[1:].lower()
            form = ending if ending in FORMATS else FORMATS[0]
        count = export_table(opened, form, out)
    if out is not None:
        typer.echo(f"{out}: {count:,} candidates")


def restore(
    uri: Annotated[str, typer.Argument(metavar="URI", help="Of a mirror, as optimize --mirror printed it.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the study. Default: studies/ and the study's name.")
    ] = None,
) -> None:
    """Write a study from its mirror."""
    from passivbot.study.mirror import restore as from_mirror

    folder, count = from_mirror(uri, out)
    typer.echo(f"{folder}: {count:,} candidates")
    place = uri.rstrip("/").rpartition("/")[0]
    typer.echo(f"\nnext:\n  passivbot optimize --study {folder} --resume --mirror {place}")
