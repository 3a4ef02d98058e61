"""The program ``passivbot``: finds its commands, and turns errors into messages and exit codes.

Exit codes: 0 done, 1 a finding or a difference, 2 an error of the user, 130 Ctrl-C. An unexpected exception
is a defect of ours and keeps its traceback.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from passivbot.cli.options import help_if_alone
from passivbot.errors import PassivbotError
from passivbot.ops.redact import redacted

COMMANDS = "passivbot.commands"
"""Entry-point group of commands from other packages: each entry is a function ``register(app)``."""

_BUILT_IN = (
    "passivbot.cli.config",
    "passivbot.cli.data",
    "passivbot.cli.backtest",
    "passivbot.cli.study",
    "passivbot.cli.pareto",
    "passivbot.cli.promote",
    "passivbot.cli.keys",
    "passivbot.cli.live",
    "passivbot.cli.paper",
)


def build() -> typer.Typer:
    """Return the program with all its commands; their libraries are imported when a command runs."""
    app = typer.Typer(
        name="passivbot",
        help="Search for the configuration that a grid bot shall trade.",
        invoke_without_command=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_program)
    for name in _BUILT_IN:
        import_module(name).register(app)
    for entry in sorted(entry_points(group=COMMANDS), key=lambda entry: entry.name):
        try:
            register = entry.load()
        except ImportError as error:
            # One package that lacks a library must not take the other commands away.
            typer.echo(f"warning: the command {entry.name} is not there ({error})", err=True)
            continue
        register(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"passivbot {version('passivbot-cluster')}")
        raise typer.Exit


def _program(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Search for the configuration that a grid bot shall trade."""
    help_if_alone(context)


def main(args: Sequence[str]) -> int:
    """Run the program and return its exit code."""
    try:
        code = build()(list(args), standalone_mode=False)
        sys.stdout.flush()
    except PassivbotError as error:
        # A service manager keeps it: an exchange's words may hold a signed request.
        typer.echo(f"error: {redacted(str(error))}", err=True)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # The reader has gone, as with `passivbot config show | head`. Nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        # Typer's usage errors; their base class has another home in each of its versions.
        usage = getattr(error, "format_message", None)
        if usage is None:
            raise
        typer.echo(f"error: {usage()}", err=True)
        return 2
    return code if isinstance(code, int) else 0


def run() -> None:
    """Entry point of the console script."""
    sys.exit(main(sys.argv[1:]))
