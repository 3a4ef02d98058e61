"""A proposal and a history in a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from passivbot.promotion.checks import Check
from passivbot.promotion.difference import Change
from passivbot.promotion.history import Entry
from passivbot.promotion.promote import Proposal

_STYLES = {"holds": "green", "fails": "bold red", "waived": "yellow"}


def print_proposal(proposal: Proposal, console: Console) -> None:
    """Print where it comes from, what changes, what was checked and what would be sent first."""
    origin = proposal.frozen.origin
    name, before = proposal.folder.name, proposal.before
    now = "nothing is live" if before is None else f"version {before.version} is live"
    what = f"candidate {origin.get('candidate')} of {origin.get('study')}"
    if proposal.restores is not None:
        what = f"back to version {proposal.restores}, {what}"
    console.print(f"{name}: {what}, for account {proposal.account}; {now}", style="bold", markup=False)
    print_changes(proposal.changes, console, first=before is None)
    print_checks(proposal.checks, console)
    if proposal.plan is not None:
        plan = proposal.plan
        console.print(
            f"\ndry plan: {len(plan.cancels)} cancels, {len(plan.creates)} creates; nothing is sent now",
            style="bold",
        )
        for line in (
            *(f"cancel {order}" for order in plan.cancels),
            *(f"create {order}" for order in plan.creates),
            *(f"note: {note}" for note in plan.notes),
        ):
            console.print(f"  {line}", markup=False)


def print_changes(changes: Sequence[Change], console: Console, *, first: bool = False) -> None:
    """Print what differs, risk first."""
    if not changes:
        console.print("\nno difference in what is traded")
        return
    console.print("\nwhat decides about risk" if first else f"\n{len(changes)} keys differ", style="bold")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "key", *(() if first else ("now",)), "new"):
        table.add_column(column, overflow="fold")
    for change in changes:
        risk = Text("risk", style="bold yellow") if change.risk and not first else Text("")
        values = (change.after,) if first else (change.before, change.after)
        table.add_row(risk, *map(Text, (change.key, *values)))
    console.print(table)


def print_checks(checks: Sequence[Check], console: Console) -> None:
    """Print each check with its figures."""
    console.print("\nchecks", style="bold")
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for found in checks:
        table.add_row(Text(found.state, style=_STYLES[found.state]), Text(found.name), Text(found.text))
    console.print(table)


def print_history(entries: Sequence[Entry], console: Console) -> None:
    """Print all versions, the newest last."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("version", "state", "at (UTC)", "by", "account", "what", "cap", "waived"):
        table.add_column(column, justify="right" if column in ("version", "cap") else "left", overflow="fold")
    for entry in entries:
        document = entry.promoted.document
        what = f"candidate {document.get('candidate')} of {document.get('study')}"
        if document.get("restores") is not None:
            what = f"back to version {document['restores']}: {what}"
        table.add_row(
            str(entry.promoted.version),
            Text(entry.state, style="bold green" if entry.state == "current" else ""),
            str(document.get("at")),
            str(document.get("by")),
            entry.promoted.account,
            what,
            "none" if (cap := entry.promoted.max_exposure) is None else f"{cap:g}",
            "; ".join(
                f"{found['name']}: {str(found['text']).removeprefix('not made: ')}"
                for found in document.get("checks", ())
                if found["state"] == "waived"
            ),
        )
    console.print(table)
