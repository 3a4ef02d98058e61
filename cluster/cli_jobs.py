"""``passivbot submit | status | attach | stop | weight``: studies of a cluster from any terminal."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli_options import AddressOption

if TYPE_CHECKING:
    from cluster.board import Notice

StudyArgument = Annotated[str, typer.Argument(help="Name or id of a study, as passivbot status lists it.")]
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("submit", context_settings=_PASSED_ON)(submit)
    app.command("status")(status)
    app.command("attach")(attach)
    app.command("stop")(stop)
    app.command("weight")(weight)


def submit(
    context: typer.Context,
    address: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="Of the cluster's head, or http://HOST:8265 of its dashboard; auto: this machine's.",
        ),
    ] = "auto",
) -> None:
    """Hand a search to a cluster: its driver runs on the head, and this terminal may go.

    Takes what passivbot optimize takes: CONFIG and options. The configuration, --start, and the files that
    --set or an option names go along; --candles and --study are folders of the head, relative to its user's
    home or PASSIVBOT_HOME.
    """
    from cluster.jobs import introduction, parcel, runs, wait_until_started
    from cluster.jobs import submit as hand_in
    from cluster.reach import dashboard_address, reach
    from passivbot.cli.options import print_findings

    given, options = _optimize_parameters(context)
    config = None
    if given.get("config") is not None:
        from passivbot.config import load_config

        # What is wrong in it is said here.
        loaded = load_config(given["config"], sets=tuple(given.get("sets") or ()), options=options)
        print_findings(loaded.findings)
        config = loaded.config
    packed = parcel(context.args, given, options, config)
    url = dashboard_address(address)
    board = None if "://" in address else reach(address)
    before = {} if board is None else runs(board)
    submission = hand_in(packed, url)
    typer.echo(f"submitted: {submission.study} on the head, job {submission.job}")
    wait_until_started(submission, url, board, before, typer.echo)
    for line in introduction(submission, url):  # which candles are meant, only the head knows
        typer.echo(line)
    # Who reached the dashboard alone knows where the head is; HEAD:6379 is as the documents name it.
    named = "" if address == "auto" else f" --address {'HEAD:6379' if '://' in address else address}"
    typer.echo(
        f"\nnext:\n  passivbot attach {submission.name}{named}\n  passivbot stop {submission.name}{named}"
    )


def status(
    study: Annotated[str | None, typer.Argument(help="Name or id of one study. Default: all.")] = None,
    address: AddressOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print records for other programs.")] = False,
) -> None:
    """List the studies of a cluster, or all about one of them."""
    import json
    from dataclasses import asdict

    from cluster.reach import find, reach, state_text

    notices = reach(address).heard()
    if study is not None:
        notices = [find(notices, study)]
    if as_json:
        records = [{**asdict(one), "state": state_text(one), "live": one.live} for one in notices]
        typer.echo(json.dumps(records, indent=1, sort_keys=True, allow_nan=False))
    elif study is not None:
        _print_one(notices[0])
    elif not notices:
        typer.echo("no studies on this cluster")
    else:
        _print_all(notices)


def attach(study: StudyArgument, address: AddressOption = "auto") -> None:
    """Watch a study of a cluster until it ends; Ctrl-C ends the watching only."""
    import sys

    from cluster.display import make_display, progress_of
    from cluster.reach import find, follow, reach, state_text
    from passivbot.errors import StudyError

    board = reach(address)
    display = make_display(sys.stdout, find(board.heard(), study).name)

    def seen(notice: "Notice") -> None:
        import time

        if notice.progress and (display.due(time.monotonic()) or not notice.live):
            display.show(progress_of(notice.progress), last=not notice.live)

    try:
        last = follow(board, study, seen)
    except KeyboardInterrupt:
        display.close()
        typer.echo(f"\ndetached; {study} goes on")
        return
    display.close()
    typer.echo(f"{state_text(last)}: {last.host}:{last.folder}")
    if last.state not in ("finished", "stopped"):
        raise StudyError(
            f"{last.name}: {state_text(last)}; on {last.host}, `passivbot optimize --address auto --study "
            f"{last.folder} --resume` goes on with it"
        )


def stop(
    study: StudyArgument,
    address: AddressOption = "auto",
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until it has ended.")] = False,
) -> None:
    """End a study of a cluster as Ctrl-C would; no other is touched, and --resume goes on with it."""
    from cluster.reach import find, follow, reach, state_text, wish

    board = reach(address)
    notice = find(board.heard(), study)
    wish(board, notice, stop=True)
    if no_wait:
        typer.echo(f"{notice.name} was asked to stop")
        return
    last = follow(board, notice.id, lambda seen: None)
    progress = last.progress
    typer.echo(
        f"{state_text(last)}: {last.host}:{last.folder}, {progress.get('logged', 0):,} of "
        f"{progress.get('budget', 0):,} candidates"
    )


def weight(
    study: StudyArgument,
    value: Annotated[float, typer.Argument(metavar="WEIGHT", help="Relative to the other running studies.")],
    address: AddressOption = "auto",
) -> None:
    """Change the share of the workers that a running study asks for."""
    from cluster.reach import find, reach, wish
    from passivbot.errors import ConfigError, located

    if not 0 < value < float("inf"):
        raise ConfigError(located("the command line", "WEIGHT", value, "a number above 0"))
    board = reach(address)
    notice = find(board.heard(), study)
    wish(board, notice, weight=value)
    typer.echo(f"{notice.name}: weight {value:g}")


def _optimize_parameters(context: typer.Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Return parameters of optimize and options of the configuration; what it would refuse is refused."""
    from cluster.cli import optimize
    from passivbot.cli.options import config_command, given_options

    app = typer.Typer(add_completion=False)
    app.command("optimize", cls=config_command("optimize"))(optimize)
    command = typer.main.get_command(app)
    inner = command.make_context("optimize", list(context.args), parent=context)
    return dict(inner.params), given_options(inner)


def _print_all(notices: list["Notice"]) -> None:
    from rich.table import Table

    from cluster.reach import state_text
    from passivbot.study.terminal import console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (
        "study",
        "state",
        "candidates",
        "per s",
        "front",
        "hypervolume",
        "workers",
        "weight",
        "host",
    ):
        numeric = name in ("candidates", "per s", "front", "hypervolume", "workers", "weight")
        table.add_column(name, justify="right" if numeric else "left")
    for one in sorted(notices, key=lambda notice: (not notice.live, -notice.updated)):
        progress = one.progress
        volume = progress.get("hypervolume")
        table.add_row(
            one.name,
            state_text(one),
            f"{progress.get('logged', 0):,}/{progress.get('budget', 0):,}",
            f"{progress.get('rate', 0.0):,.1f}" if one.live else "",
            f"{progress.get('front', 0):,}",
            "" if volume is None else f"{volume:.4g}",
            f"{one.workers}" if one.live else "",
            f"{one.weight:g}",
            one.host,
        )
    console().print(table)


def _print_one(notice: "Notice") -> None:
    from datetime import UTC, datetime

    from cluster.display import progress_of
    from cluster.reach import state_text
    from passivbot.times import duration

    rows = [
        ("study", f"{notice.name} ({notice.id})"),
        ("state", state_text(notice)),
        ("folder", f"{notice.host}:{notice.folder}, pid {notice.pid}"),
        ("started", f"{datetime.fromtimestamp(notice.started, UTC):%Y-%m-%d %H:%M:%S} UTC"),
        ("weight", f"{notice.weight:g}"),
    ]
    if notice.progress:
        progress = progress_of(notice.progress)
        rows += [
            ("candidates", f"{progress.logged:,} of {progress.budget:,}, {progress.failed:,} failed"),
            ("speed", f"{progress.rate:,.1f}/s, {duration(progress.seconds_left)} left"),
            ("front", progress.front_text()),
            ("hypervolume", "–" if progress.hypervolume is None else f"{progress.hypervolume:.5g}"),
            *((f"best {best.metric}", f"{best.value:.6g}") for best in progress.best),
            ("workers", f"{progress.workers_ready} of {progress.workers}, {progress.workers_lost} replaced"),
            ("memory", progress.memory_text()),
        ]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        typer.echo(f"{name:<{width}}  {text}")
