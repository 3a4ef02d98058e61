"""``passivbot promote STUDY | diff | history | rollback``: what a bot trades, and how it got there."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passivbot.cli.group import group_with_default
from passivbot.cli.options import help_if_alone
from passivbot.cli.shared import LIVE, HoldsOption, LiveOption, StudyArgument, WhereOption, conditions_of

if TYPE_CHECKING:
    from passivbot.promotion.promote import Proposal, Terms

NameArgument = Annotated[str, typer.Argument(help="Name of a live configuration, below live/.")]
PickOption = Annotated[
    str | None, typer.Option(metavar="METHOD[:ARGUMENT]", help="Choose a member, as passivbot pareto does.")
]
CandidateOption = Annotated[int | None, typer.Option(metavar="NUMBER", help="Take this candidate.")]
SetsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="live.KEY=VALUE", help="Set a key below live; may be given several times."),
]
AccountOption = Annotated[
    str | None, typer.Option(help="Name of the account. Default: that of the live version, else live.user.")
]
CapOption = Annotated[
    float | None,
    typer.Option(
        "--max-exposure",
        min=0.0,
        help="Largest worst-case exposure of both sides together, × balance. Default: as before, else 2.",
    ),
]
WaiveOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="unseen|account=REASON",
        help="Leave out the backtest on unseen candles, or all that asks the exchange; the reason is kept in "
        "the history.",
    ),
]
ConfirmOption = Annotated[
    str | None,
    typer.Option(metavar="ACCOUNT", help="The account's name, for scripts; else it is asked for."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(
        cls=group_with_default("study"),
        help="Give a bot its configuration: promote STUDY --pick METHOD|--candidate N --to NAME.",
        invoke_without_command=True,
    )
    group.callback()(help_if_alone)
    group.command("study")(promote)
    group.command("diff")(diff)
    group.command("history")(history)
    group.command("rollback")(rollback)
    app.add_typer(group, name="promote")


def promote(
    study: StudyArgument,
    to: Annotated[str, typer.Option(metavar="NAME", help="Name of the live configuration.")],
    pick: PickOption = None,
    where: WhereOption = None,
    holds: HoldsOption = False,
    candidate: CandidateOption = None,
    account: AccountOption = None,
    sets: SetsOption = None,
    candles: Annotated[
        Path | None, typer.Option(help="Where the candles of the study lie now, if they were moved.")
    ] = None,
    unseen: Annotated[
        Path | None,
        typer.Option(
            help="Folder with candles that the study has not seen, before or after its own. Default: the "
            "study's own folder."
        ),
    ] = None,
    max_exposure: CapOption = None,
    waive: WaiveOption = None,
    confirm: ConfirmOption = None,
    folder: LiveOption = LIVE,
) -> None:
    """Give a candidate of a study to the bot (the word "study" may be left out).

    Shows what changes, risk first; checks that the candidate keeps the study's limits, repeats its metrics to
    the bit, does well on candles that the study has not seen and can't risk more than the cap; looks at the
    account by reading alone and shows the orders that the bot would send first. Then the account's name has
    to be typed. A check that fails refuses: exit code 1.
    """
    from passivbot.promotion.promote import propose
    from passivbot.study.study import Study

    with Study.open(study) as opened:
        proposal = propose(
            opened,
            to,
            method=pick,
            candidate=candidate,
            conditions=conditions_of(where, holds),
            sets=sets or (),
            candles=candles,
            more_candles=unseen,
            terms=_terms(account, max_exposure, waive),
            root=folder,
        )
    _finish(proposal, confirm)


def diff(
    name: NameArgument,
    before: Annotated[
        int | None, typer.Argument(metavar="[VERSION]", help="Default: the one before.")
    ] = None,
    after: Annotated[int | None, typer.Argument(metavar="[VERSION]", help="Default: what is live.")] = None,
    study: Annotated[
        str | None, typer.Option(help="Compare what is live with a candidate of this study instead.")
    ] = None,
    pick: PickOption = None,
    where: WhereOption = None,
    holds: HoldsOption = False,
    candidate: CandidateOption = None,
    sets: SetsOption = None,
    folder: LiveOption = LIVE,
) -> None:
    """Show what differs between two versions, or between what is live and a candidate; risk first."""
    from passivbot.errors import PromotionError
    from passivbot.promotion.compare import compare_candidate, compare_versions
    from passivbot.promotion.show import print_changes
    from passivbot.study.study import Study
    from passivbot.study.terminal import console

    if study is None and (pick or where or holds or candidate is not None or sets):
        raise PromotionError("the command line: --pick, --where, --holds, --candidate and --set need --study")
    if study is not None and before is not None:
        raise PromotionError("the command line: --study compares with what is live; name no versions with it")
    stdout = console()
    if study is None:
        headline, changes = compare_versions(name, before, after, root=folder)
    else:
        with Study.open(study) as opened:
            headline, changes = compare_candidate(
                opened,
                name,
                method=pick,
                candidate=candidate,
                conditions=conditions_of(where, holds),
                sets=sets or (),
                root=folder,
            )
    stdout.print(headline, style="bold", markup=False)
    print_changes(changes, stdout)


def history(
    name: NameArgument,
    json: Annotated[
        bool, typer.Option("--json", help="Print the versions whole, as one JSON array.")
    ] = False,
    folder: LiveOption = LIVE,
) -> None:
    """Show all versions of a live configuration, after checking that none was changed."""
    import json as library

    from passivbot.promotion.history import entries
    from passivbot.promotion.show import print_history
    from passivbot.study.terminal import console
    from passivbot.versions import folder_of, read

    read(name, folder)
    known = entries(folder_of(name, folder))
    if json:
        documents = [{**entry.promoted.document, "state": entry.state} for entry in known]
        typer.echo(library.dumps(documents, indent=2, sort_keys=True))
        return
    print_history(known, console())


def rollback(
    name: NameArgument,
    version: Annotated[int | None, typer.Option(help="Default: the version that was live before.")] = None,
    account: AccountOption = None,
    max_exposure: CapOption = None,
    waive: WaiveOption = None,
    confirm: ConfirmOption = None,
    folder: LiveOption = LIVE,
) -> None:
    """Bring an older version back, as a new one, the same way: difference, checks, dry plan, confirmation."""
    from passivbot.promotion.promote import propose_rollback

    _finish(propose_rollback(name, version, terms=_terms(account, max_exposure, waive), root=folder), confirm)


def _terms(account: str | None, cap: float | None, waive: list[str] | None) -> "Terms":
    from passivbot.promotion.promote import Terms, read_waivers

    return Terms(account=account, cap=cap, waive=read_waivers(waive or ()))


def _finish(proposal: "Proposal", confirm: str | None) -> None:
    """Print a proposal; take it if it holds and is confirmed."""
    from passivbot.promotion.promote import take
    from passivbot.promotion.show import print_proposal
    from passivbot.study.terminal import console

    stdout = console()
    print_proposal(proposal, stdout)
    if proposal.failed:
        names = ", ".join(found.name for found in proposal.failed)
        typer.echo(f"refused: {names}; nothing was changed", err=True)
        picked = proposal.frozen.origin.get("picked") or "--holds"
        if [found.name for found in proposal.failed] == ["unseen data"] and "--holds" not in picked:
            typer.echo("--holds picks among the members that keep their limits there", err=True)
        raise typer.Exit(1)
    if confirm is None:
        typer.echo(
            f"\nType the name of the account to let the bot trade this ({proposal.account}): ", nl=False
        )
        confirm = sys.stdin.readline()
        if not sys.stdin.isatty():
            typer.echo()
    if confirm.strip() != proposal.account:
        typer.echo("not confirmed; nothing was changed", err=True)
        raise typer.Exit(1)
    promoted = take(proposal, confirm)
    typer.echo(
        f"{promoted.name}: version {promoted.version} is live; a bot that runs takes it after its cycle. "
        f"`passivbot promote rollback {promoted.name}` goes back."
    )
