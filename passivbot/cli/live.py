"""``passivbot live NAME|CONFIG --account ACCOUNT``: trade; ``passivbot live status``: how the bots are."""

from typing import Annotated, Literal

import typer

from passivbot.cli.group import group_with_default
from passivbot.cli.live_status import status
from passivbot.cli.options import help_if_alone, print_findings
from passivbot.cli.shared import LIVE, LiveOption


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(
        cls=group_with_default("run"),
        help="Trade an account: live NAME|CONFIG --account ACCOUNT; live status.",
        invoke_without_command=True,
    )
    group.callback()(help_if_alone)
    group.command("run")(live)
    group.command("status")(status)
    app.add_typer(group, name="live")


def live(
    name: Annotated[str, typer.Argument(metavar="NAME|CONFIG", help="A promoted configuration, or a file.")],
    account: Annotated[str, typer.Option(help="Account whose keys are used; see passivbot keys.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Plan against the real account and send nothing.")
    ] = False,
    cycles: Annotated[
        int | None, typer.Option(min=1, help="End after so many cycles; with --dry-run one is usual.")
    ] = None,
    max_exposure: Annotated[
        float | None,
        typer.Option(min=0.0, help="Cap of the account's exposure, long and short together, × balance."),
    ] = None,
    loss_stop: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=1.0, help="Place no entry once the equity is so far below its peak (0.2: 20 %)."
        ),
    ] = None,
    clear_loss_stop: Annotated[
        bool, typer.Option("--clear-loss-stop", help="Place entries again after a loss stop.")
    ] = False,
    mode: Annotated[
        Literal["panic", "tp_only", "graceful_stop", "manual"] | None,
        typer.Option(help="Force a mode on every coin and side: panic closes all by market orders."),
    ] = None,
    strategy: Annotated[
        str, typer.Option(help="Strategy; others come from other packages.")
    ] = "trailing_grid",
    folder: LiveOption = LIVE,
) -> None:
    """Trade an account until Ctrl-C or SIGTERM (the word "run" may be left out).

    The bot takes another version of NAME, a changed CONFIG and changed coin lists between two cycles. Its
    journal, log and status lie in DIR/bots/ACCOUNT.
    """
    import asyncio
    from dataclasses import replace

    from passivbot.live.policy import Policy
    from passivbot.live.start import Order, open_source, trade
    from passivbot.ops.run import Settings
    from passivbot.planner import Mode

    source = open_source(name, folder)
    print_findings(source.findings)
    settings = Settings.from_environment(root=folder, level=source.now.logging.level)
    forced = None if mode is None else Mode[mode.upper()]
    policy = replace(Policy(), max_exposure=max_exposure, loss_stop=loss_stop, mode=forced)
    asyncio.run(
        trade(
            Order(
                account,
                source,
                settings,
                policy=policy,
                strategy=strategy,
                dry_run=dry_run,
                cycles=cycles,
                clear_loss_stop=clear_loss_stop,
            )
        )
    )
