"""``passivbot study compare STUDY STUDY …``: fronts side by side."""

from contextlib import ExitStack
from typing import Annotated

import typer


def compare(
    studies: Annotated[
        list[str],
        typer.Argument(metavar="STUDY STUDY …", help="Folders of studies, or their names below studies/."),
    ],
) -> None:
    """Compare the fronts of studies with the same objectives, such as other searches, seeds or bounds.

    common: members that no member of another study dominates. hypervolume: against one reference, made of all
    members. Then the best value of each objective.
    """
    from rich.table import Table

    from passivbot.errors import ConfigError
    from passivbot.study.study import Study
    from passivbot.study.terminal import console, number
    from passivbot.study.versus import compare as side_by_side
    from passivbot.study.versus import differences

    if len(studies) < 2:
        raise ConfigError(f"the command line: {studies[0]} alone; needed are two studies or more")
    with ExitStack() as stack:
        opened = [stack.enter_context(Study.open(study)) for study in studies]
        sides = side_by_side(opened)
        for line in differences(opened):
            typer.echo(f"note: {line}", err=True)
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("study")
        table.add_column("search")
        for name in ("candidates", "front", "common", "hypervolume"):
            table.add_column(name, justify="right")
        objectives = opened[0].scoring.objectives
        for objective in objectives:
            arrow = "↑" if objective.weight < 0 else "↓"
            table.add_column(f"{objective.metric} {arrow}", justify="right", style="cyan")
        most = max(side.hypervolume for side in sides)
        for side in sides:
            best = side.members.objectives.min(axis=0).tolist()
            table.add_row(
                side.study.name,
                f"{side.study.definition.search}, seed {side.study.definition.seed}",
                f"{side.told:,}",
                f"{side.shared + side.beaten:,}",
                f"{side.shared:,}",
                f"{number(side.hypervolume)} ({side.hypervolume / most:.1%})" if most else "0",
                *(number(value * o.weight) for value, o in zip(best, objectives, strict=True)),
            )
        console().print(table)
