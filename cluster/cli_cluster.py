"""``passivbot cluster check``: whether the machines of a cluster fit together."""

from typing import TYPE_CHECKING

import typer

from cluster.cli_options import AddressOption
from passivbot.cli.options import help_if_alone

if TYPE_CHECKING:
    from cluster.check import Report

FAULTS = 1


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="Look after a cluster of several machines.", invoke_without_command=True)
    group.callback()(help_if_alone)
    group.command("check")(check)
    app.add_typer(group, name="cluster")


def check(
    address: AddressOption = "auto",
) -> None:
    """Ask every machine for its versions, cache, memory and clock; one line per fault, exit code 1 with any.

    Versions, and what the engine computes for the demo candles, are compared with those of this machine.
    """
    from cluster.check import ask, misfits, own_facts, weaknesses
    from cluster.launch import attached_cluster
    from cluster.nodes import machines

    with attached_cluster(address):
        reports = ask(machines(), with_clock=True)
    own = own_facts()
    _show(reports)
    faults = [
        f"{report.machine}: {fault}"
        for report in reports
        for fault in (*misfits(report, own), *weaknesses(report))
    ]
    for fault in faults:
        typer.echo(f"fault: {fault}")
    if faults:
        raise typer.Exit(FAULTS)
    cpus = sum(report.machine.cpus for report in reports)
    typer.echo(f"{_counted(len(reports), 'machine')}, {_counted(cpus, 'processor')}: all fit")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _show(reports: "list[Report]") -> None:
    from rich.table import Table

    from cluster.display import megabytes
    from passivbot.study.terminal import console

    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = (
        "machine",
        "processors",
        "memory free",
        "object store",
        "cache free",
        "clock",
        "python",
        "ray",
        "engine",
    )
    for name in columns:
        table.add_column(name, justify="left" if name in ("machine", "python", "ray", "engine") else "right")
    for report in reports:
        facts = report.facts
        row = [str(report.machine), str(report.machine.cpus)]
        if facts is not None:
            row += [megabytes(facts["memory"]), megabytes(report.machine.object_store)]
            row += [megabytes(facts["cache_free"]), f"{report.clock:+.3f} s", facts["python"]]
            row += [str(facts["packages"]["ray"]), facts["engine"] or "none"]
        table.add_row(*row)
    console().print(table)
