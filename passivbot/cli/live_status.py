"""``passivbot live status``: the bots of this machine and how they are."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from passivbot.cli.shared import LIVE, LiveOption

_MOST_IDLE = 6


def status(
    account: Annotated[str | None, typer.Argument(help="Only the bot of this account.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print all that the bots tell, as JSON.")] = False,
    folder: LiveOption = LIVE,
) -> None:
    """Show the bots of this machine: version, last cycle, positions, guards.

    The exit code is 1 if one of them is not well; a bot that was stopped by a person is well.
    """
    import json as library

    from rich.table import Table
    from rich.text import Text

    from passivbot.ops.status import bots
    from passivbot.study.terminal import console

    found = bots(folder, account)
    if json:
        listed = [{**bot.document, "account": bot.account, "running": bot.running} for bot in found]
        typer.echo(library.dumps(listed, indent=2, sort_keys=True, default=str))
    elif not found:
        typer.echo(f"{folder}: no bot has run from here")
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in (
            "account",
            "trades",
            "state",
            "last cycle",
            "balance",
            "exposure",
            "cap",
            "positions",
            "orders",
        ):
            table.add_column(column, overflow="fold")
        for bot in found:
            style = "" if bot.well else "bold red"
            cells = _cells(bot.document)
            table.add_row(Text(bot.account), cells[0], Text(bot.state, style=style), *cells[1:])
        console().print(table)
        for bot in found:
            idle = bot.document.get("idle", ()) if bot.running else ()
            for text in idle[:_MOST_IDLE]:
                typer.echo(f"{bot.account}: not entered: {text}")
            if len(idle) > _MOST_IDLE:
                typer.echo(f"{bot.account}: not entered: {len(idle) - _MOST_IDLE} more, which --json names")
            for guard in bot.document.get("guards", ()):
                typer.echo(f"{bot.account}: {guard}")
            if mode := bot.document.get("mode"):
                typer.echo(f"{bot.account}: mode {mode} on every coin and side, by --mode")
            if bot.document.get("loss_stop"):
                typer.echo(f"{bot.account}: a loss stop holds: no entries, until --clear-loss-stop")
    if not all(bot.well for bot in found):
        raise typer.Exit(1)


def _cells(document: Mapping[str, Any]) -> list[str]:
    from passivbot.times import duration

    age = document.get("seconds_since_cycle")
    return [
        str(document.get("configuration") or document.get("name", "?")),
        "–" if age is None else f"{duration(age)} ago",
        _number(document.get("balance"), ",.2f"),
        _number(document.get("exposure")),
        _number(document.get("max_exposure")),
        ", ".join(map(str, document.get("positions", ()))) or "none",
        str(document.get("open_orders", "–")),
    ]


def _number(value: object, form: str = ".4g") -> str:
    return f"{value:{form}}" if isinstance(value, int | float) else "–"
