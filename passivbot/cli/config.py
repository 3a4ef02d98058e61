"""``passivbot config show | check | template``."""

from pathlib import Path
from typing import Annotated

import typer

from passivbot.cli.options import config_command, given_options, help_if_alone, print_findings
from passivbot.cli.shared import SetsOption


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="Show, check or make a configuration.", invoke_without_command=True)
    group.callback()(help_if_alone)
    group.command("show", cls=config_command("config"))(show)
    group.command("check", cls=config_command("config"))(check)
    group.command("template")(template)
    app.add_typer(group, name="config")


def show(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Configuration; the shipped template if none.")] = None,
    sets: SetsOption = None,
) -> None:
    """Print the effective configuration as JSON: defaults, file, --set and options together."""
    from passivbot.config import load_config
    from passivbot.config.document import dump_document

    loaded = load_config(file, sets=sets or (), options=given_options(context))
    print_findings(loaded.findings)
    typer.echo(dump_document(loaded.config.to_dict()), nl=False)


def check(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Configuration.")],
    sets: SetsOption = None,
) -> None:
    """Print what in a configuration is most likely not meant; exit 1 if there is anything."""
    from passivbot.config import load_config

    loaded = load_config(file, sets=sets or (), options=given_options(context))
    for finding in loaded.findings:
        typer.echo(str(finding))
    if loaded.findings:
        raise typer.Exit(1)
    typer.echo(f"{file}: nothing to report")


def template(
    out: Annotated[Path | None, typer.Option(help="File to write; it must not exist yet.")] = None,
) -> None:
    """Print the shipped template, or write it to a file to start from."""
    from passivbot.config.resources import write_template

    text = write_template(out)
    typer.echo(text if out is None else f"{out}: written", nl=out is not None)
