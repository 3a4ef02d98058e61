"""``passivbot pareto STUDY``: the front of a study, printed, plotted, exported."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passivbot.cli.shared import HoldsOption, RowsOption, WhereOption, conditions_of

if TYPE_CHECKING:
    from passivbot.study.front import Front
    from passivbot.study.study import Results, Study


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("pareto")(pareto)


def pareto(
    study: Annotated[
        str,
        typer.Argument(
            help="Folder of a study, or its name below studies/; with --serve also a folder of studies."
        ),
    ],
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON records and nothing else; write no files.")
    ] = False,
    pick: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD[:ARGUMENT]",
            help="Choose one member: knee, ideal, min, utopian, midrange, geomedian, percentile[:P], "
            "weights:METRIC=W,…, weighted:METRIC=W,…, reference:METRIC=VALUE,…",
        ),
    ] = None,
    where: WhereOption = None,
    holds: HoldsOption = False,
    objectives: Annotated[
        str | None, typer.Option(metavar="METRIC,…", help="Choose by these objectives only.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All logged candidates, not only the front; with --json.")
    ] = False,
    cap: Annotated[
        int, typer.Option(min=1, help="Most members of the front that are kept, by crowding.")
    ] = 1000,
    rows: RowsOption = 20,
    serve: Annotated[
        bool,
        typer.Option(
            "--serve",
            help="Serve the page on this machine until Ctrl-C, live while the study runs; write no files.",
        ),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Of --serve; 0: any. Default: 8788, or the next that is free."),
    ] = None,
) -> None:
    """Print the front of a study; write its page and each member's configuration into the study's folder."""
    from passivbot.errors import ConfigError
    from passivbot.study.select import check_method
    from passivbot.study.select import pick as choose
    from passivbot.study.study import Study, write_records
    from passivbot.study.unseen import narrowed

    if pick:
        check_method(pick)
    conditions = conditions_of(where, holds)
    if everything and (not json or pick or conditions):
        raise ConfigError(
            "the command line: --all needs --json, and goes with none of --pick, --where, --holds"
        )
    if serve:
        if json or pick or conditions:
            raise ConfigError("the command line: --serve goes with none of --json, --pick, --where, --holds")
        _serve(study, port)
        return
    if port is not None:
        raise ConfigError("the command line: --port needs --serve")
    with Study.open(study) as opened:
        if everything:
            write_records((r for results in opened.all() for r in results.records()), sys.stdout)
            return
        front = opened.front(cap)
        members = opened.members(front)
        kept = narrowed(opened, members, conditions, empty=json and not pick)
        if not front.feasible:
            typer.echo("note: no candidate keeps all limits; these break them least", err=True)
        if pick:
            by = [name.strip() for name in (objectives or "").split(",") if name.strip()]
            index = choose(kept, pick, by)
            kept = kept.take(slice(index, index + 1))
        if json:
            write_records(kept.records(), sys.stdout)
            return
        _print(opened, front, members, kept, pick, rows)


def _serve(study: str, port: int | None) -> None:
    """Serve the page of a study, or of the studies in a folder, until Ctrl-C."""
    import asyncio

    from passivbot.study.serve.desk import Desk
    from passivbot.study.serve.server import address, listen, serve
    from passivbot.study.serve.site import Site
    from passivbot.study.study import find, listing

    folder = Path(study)
    desk = Desk(roots=[folder]) if listing(folder) else Desk(folders=[find(study)])
    listener = listen(port)
    typer.echo(f"page: {address(listener)}  (Ctrl-C ends it)")
    asyncio.run(serve(Site(desk), listener))


def _print(
    opened: "Study", front: "Front", members: "Results", kept: "Results", pick: str | None, rows: int
) -> None:
    """Print what --where and --pick left of the front; write page and configurations of all of it."""
    from passivbot.backtest.candles import DEMO
    from passivbot.errors import ResourceError, StudyError
    from passivbot.study.publish import default_marks, publish
    from passivbot.study.terminal import candidate_table, console, render_front
    from passivbot.study.unseen import known
    from passivbot.study.unseen_table import summary

    marks = {int(kept.numbers[0]): pick} if pick else default_marks(members)
    stdout = console()
    stdout.print(render_front(front, kept, rows=rows, marks=marks, background=members, plot=not pick))
    if not len(members):
        return
    try:
        published = publish(opened, front, members, marks)
    except (StudyError, ResourceError) as error:
        # A study on a read-only mount can still be looked at.
        typer.echo(f"warning: no files were written: {error}", err=True)
        return
    tried = known(opened)
    if tried is not None:
        typer.echo(f"unseen candles: {summary(tried, members)}")
    if pick:
        number = int(kept.numbers[0])
        there = tried.of(kept)[1] if tried is not None else None
        stdout.print(candidate_table(kept, there if there else None))
        path = published.front / f"{number:07d}.json"
        typer.echo(f"configuration: {path}")
        typer.echo(f"\nnext:\n  passivbot backtest {path}")
        if opened.definition.scenario.get("candles") != DEMO:
            typer.echo(f"  passivbot promote {opened.folder} --candidate {number} --to main")
    else:
        typer.echo(f"configurations: {published.front}{os.sep}  ({len(members)} files)")
    typer.echo(f"page: {published.page}")
