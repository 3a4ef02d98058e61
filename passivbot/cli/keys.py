"""``passivbot keys import | list | check | remove``: the API keys of accounts, never shown."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from passivbot.cli.options import help_if_alone

AccountArgument = Annotated[str, typer.Argument(help="Name of the account.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="Store and check the API keys of accounts.", invoke_without_command=True)
    group.callback()(help_if_alone)
    group.command("import")(import_keys)
    group.command("list")(list_keys)
    group.command("check")(check)
    group.command("remove")(remove)
    app.add_typer(group, name="keys")


def import_keys(
    file: Annotated[Path, typer.Argument(help="api-keys.json, as passivbot v7 has it; mode 0600.")],
    to: Annotated[
        Literal["auto", "keyring", "file"],
        typer.Option(help="auto: the keyring of the system where there is one, else the encrypted file."),
    ] = "auto",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace accounts that are there already.")
    ] = False,
) -> None:
    """Take the accounts of a key file into the keyring or into an encrypted file."""
    from passivbot.ops.importing import import_file

    imported = import_file(file, to=to, replace=replace)
    for name, exchange in imported.accounts:
        typer.echo(f"{name}: {exchange}, into {imported.store}")
    for note in imported.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{file} still holds the keys in the clear; delete it once `passivbot keys check` is content.")


def list_keys() -> None:
    """List the accounts, their exchanges and where their keys are."""
    from rich.table import Table
    from rich.text import Text

    from passivbot.ops.keys import accounts
    from passivbot.study.terminal import console

    found = accounts()
    if not found:
        typer.echo("no keys yet; passivbot keys import FILE brings them in")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("account", "exchange", "from"):
        table.add_column(column, overflow="fold")
    for listed in found:
        table.add_row(Text(listed.account), Text(listed.exchange), Text(listed.origin))
    console().print(table)


def check(
    account: AccountArgument,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the exchange.")] = False,
) -> None:
    """Check the keys of an account: complete, and at the exchange able to trade but not to withdraw.

    The exit code is 1 if the exchange says otherwise.
    """
    from passivbot.exchanges import canonical
    from passivbot.ops.keys import resolve

    keys = resolve(account)
    name = canonical(keys.exchange, keys.origin, f"{account}.exchange")
    typer.echo(f"{account}: {name}, from {keys.origin}, complete")
    if offline:
        return
    import asyncio

    from passivbot.ops.permissions import key_facts

    facts = asyncio.run(key_facts(keys))
    for line in facts.lines:
        typer.echo(line)
    if facts.problems:
        for problem in facts.problems:
            typer.echo(f"refused: {problem}", err=True)
        raise typer.Exit(1)


def remove(account: AccountArgument) -> None:
    """Remove an account from the keyring and from the encrypted file."""
    from passivbot.ops.importing import remove_account

    for store in remove_account(account):
        typer.echo(f"{account}: removed from {store}")
