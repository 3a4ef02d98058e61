"""``passivbot study unseen STUDY``: the front on candles that the search has not seen."""

from pathlib import Path
from typing import Annotated

import typer

from passivbot.cli.shared import RowsOption, StudyArgument


def unseen(
    study: StudyArgument,
    candles: Annotated[
        Path | None,
        typer.Option(help="Candle folder or store with other minutes. Default: where the study's own lie."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start-date", metavar="DATE", help="First day, UTC. Default: the minute after the study's last."
        ),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end-date", metavar="DATE", help="End, UTC. Default: the last candle.")
    ] = None,
    rows: RowsOption = 20,
    json: Annotated[
        bool, typer.Option("--json", help="Print what was found as one JSON object and nothing else.")
    ] = False,
) -> None:
    """Run each member of the front on candles that the search has not seen, and compare.

    At least 7 days after the study's window, else before it, on the study's coins and bars of a minute. The
    result is kept in the study's folder, for passivbot pareto --holds, --where unseen.METRIC<NUMBER, and the
    page; the study itself does not change.
    """
    from json import dumps

    from passivbot.errors import ResourceError, StudyError
    from passivbot.study.publish import default_marks, publish
    from passivbot.study.study import Study
    from passivbot.study.terminal import console
    from passivbot.study.unseen import save, unseen_scenario
    from passivbot.study.unseen_table import examine_shown, render_unseen

    with Study.open(study) as opened:
        front = opened.front()
        members = opened.members(front)
        if not len(members):
            raise StudyError(f"{opened.folder}: no candidate could be scored; there is nothing to try")
        scenario = unseen_scenario(opened, candles, start, end)
        found = examine_shown(opened, members, scenario)
        marks = default_marks(members)
        try:
            save(opened, found)
            publish(opened, front, members, marks)
        except (StudyError, ResourceError) as error:
            typer.echo(f"warning: no files were written: {error}", err=True)
        if json:
            typer.echo(dumps(found.document(opened), indent=1, sort_keys=True, allow_nan=False))
            return
        for note in found.notes:
            typer.echo(f"note: {note}", err=True)
        console().print(render_unseen(opened, found, members, rows=rows, marks=marks))
        typer.echo(f"\nnext:\n  passivbot pareto {study} --holds --pick knee")
