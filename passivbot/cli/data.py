"""``passivbot data``: what the store has, and whether it is sound; import and export of files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passivbot.cli import data_download
from passivbot.cli.options import help_if_alone
from passivbot.cli.shared import StoreOption

if TYPE_CHECKING:
    from passivbot.market.store import Store

ExchangeOption = Annotated[
    str | None, typer.Option("--exchange", "-e", metavar="NAME,…", help="Only these exchanges.")
]
CoinsOption = Annotated[str | None, typer.Option("--coins", "-s", metavar="A,B,…", help="Only these coins.")]
RuleOption = Annotated[
    list[str] | None,
    typer.Option("--rule", metavar="DEFECT=WHAT", help="What to do about a defect; repeatable."),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it; without this it is only said.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="Candles: download, import, check, export.", invoke_without_command=True)
    group.callback()(help_if_alone)
    data_download.register(group)
    group.command("list")(list_markets)
    group.command("show")(show)
    group.command("check")(check)
    group.command("repair")(repair)
    group.command("prune")(prune)
    group.command("import")(import_)
    group.command("export")(export)
    app.add_typer(group, name="data")


def _opened(store: Path | None) -> "Store":
    from passivbot.market.store import Store

    return Store.open(store)


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _day(text: str, option: str) -> int:
    """Return the start of a day in UTC milliseconds."""
    from datetime import UTC, datetime

    from passivbot.errors import CandleError, located

    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise CandleError(located("the command line", option, text, "a day such as 2023-01-31")) from None
    return int(day.timestamp()) * 1000


def list_markets(
    store: StoreOption = None, exchange: ExchangeOption = None, coins: CoinsOption = None
) -> None:
    """List the markets of the store: period, candles, coverage, size."""
    from passivbot.market.quality import check, market_names
    from passivbot.market.terminal import print_markets

    opened = _opened(store)
    names = market_names(opened, _words(exchange), _words(coins))
    print_markets(check(opened, names, deep=False), str(opened.root))


def show(
    exchange: Annotated[str, typer.Argument(help="Exchange.")],
    coin: Annotated[str, typer.Argument(help="Coin.")],
    store: StoreOption = None,
) -> None:
    """Show one market: its months, where they come from, its rules and fees."""
    from passivbot.market.terminal import print_market

    opened = _opened(store)
    opened.require(exchange, coin)
    print_market(opened, exchange, coin)


def check(
    store: StoreOption = None,
    exchange: ExchangeOption = None,
    coins: CoinsOption = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with a picture of what is covered.")] = None,
) -> None:
    """Read every candle: checksums, order, values, holes, prices against another exchange.

    Exit code 1 if there is something to look at.
    """
    from passivbot.market.quality import check as look
    from passivbot.market.quality import market_names
    from passivbot.market.terminal import print_markets

    opened = _opened(store)
    reports = look(opened, market_names(opened, _words(exchange), _words(coins)))
    print_markets(reports, str(opened.root), checked=True)
    if html is not None:
        from passivbot.market.files import make_folder, replace_file
        from passivbot.market.quality_page import page

        make_folder(html.parent)
        replace_file(html, page(reports, str(opened.root.resolve())).encode())
        typer.echo(f"page: {html}")
    if any(report.findings for report in reports):
        raise typer.Exit(1)


def repair(
    store: StoreOption = None,
    exchange: ExchangeOption = None,
    coins: CoinsOption = None,
    rule: RuleOption = None,
    yes: YesOption = False,
) -> None:
    """Put damaged files aside; treat defects by --rule inconsistent=widen|drop, idle=drop, outliers=drop.

    What was done is kept in the file. Exit code 1 if something would be done and --yes is missing.
    """
    from passivbot.market.quality import check as look
    from passivbot.market.quality import market_names
    from passivbot.market.repair import download_command
    from passivbot.market.repair import repair as mend
    from passivbot.market.tidy import Rules

    rules, opened = Rules.parse(rule or ()), _opened(store)
    reports = look(opened, market_names(opened, _words(exchange), _words(coins)))
    acts = mend(opened, reports, rules, act=yes)
    for act in acts:
        typer.echo(f"{act.path}: {act.text}")
    for report in reports:
        if report.damaged:
            typer.echo(f"missing then: `{download_command(report)}`")
    if not acts:
        typer.echo(f"{opened.root}: nothing to repair")
    elif not yes:
        typer.echo("nothing was changed; --yes does it", err=True)
        raise typer.Exit(1)


def prune(
    store: StoreOption = None,
    exchange: ExchangeOption = None,
    coins: CoinsOption = None,
    before: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only months that end before this day.")
    ] = None,
    panels: Annotated[
        bool, typer.Option("--panels", help="Remove kept panels; they are made again.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Remove candles of exchanges, coins or old months, kept panels, and what repairs put aside.

    Candles go only where --exchange, --coins or --before says so. Exit code 1 if --yes is missing.
    """
    from passivbot.market.quality import market_names
    from passivbot.market.repair import prune as remove

    opened = _opened(store)
    before_ms = None if before is None else _day(before, "--before")
    chosen = exchange or coins or before
    names = market_names(opened, _words(exchange), _words(coins)) if chosen else ()
    gone = remove(opened, names, before_ms=before_ms, panels=panels, act=yes)
    for path, _ in gone[:40]:
        typer.echo(str(path))
    if len(gone) > 40:
        typer.echo(f"… and {len(gone) - 40:,} more")
    size = sum(size for _, size in gone) / 1e6
    typer.echo(f"{len(gone):,} files, {size:,.1f} MB{' removed' if yes else ''}")
    if gone and not yes:
        typer.echo("nothing was removed; --yes does it", err=True)
        raise typer.Exit(1)


def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders with such below them.")],
    exchange: Annotated[
        str | None,
        typer.Option(
            "--exchange",
            "-e",
            metavar="NAME",
            help="Where the candles are from; default: what a folder's name says. A label may follow: "
            "binance-spot.",
        ),
    ] = None,
    coin: Annotated[str | None, typer.Option(help="The coin; default: what the files' names say.")] = None,
    volume: Annotated[str, typer.Option(help="Unit of the files' volume: base or quote.")] = "base",
    complete: Annotated[
        bool, typer.Option("--complete", help="Holes in the files are the exchange's: nothing to download.")
    ] = False,
    rule: RuleOption = None,
    store: StoreOption = None,
) -> None:
    """Import files: freqtrade, CSV and zip of archives, day caches of passivbot, Parquet and Arrow.

    Rules: unsorted=sort|refuse, duplicates=first|last|refuse, minutes=drop|refuse, values=drop|refuse,
    inconsistent=keep|widen|drop|refuse, idle=keep|drop; the first is the default.
    """
    from passivbot.market.importing import Imported, import_files
    from passivbot.market.store import Store
    from passivbot.market.tidy import Rules
    from passivbot.times import utc

    def told(done: Imported) -> None:
        w = done.written
        also = "".join(
            f", {n:,} {what}" for n, what in ((w.changed, "replaced"), (w.removed, "removed")) if n
        )
        typer.echo(
            f"{done.exchange} {done.coin}: {w.added:,} candles added{also}; "
            f"{utc(done.first_ms)} … {utc(done.last_ms)}, {done.files} files"
        )
        for defect in done.defects:
            typer.echo(f"{done.exchange} {done.coin}: {defect}")

    import_files(
        Store.open(store, create=True),
        paths,
        exchange=exchange,
        coin=coin,
        volume=volume,
        complete=complete,
        rules=Rules.parse(rule or ()),
        told=told,
        skipped=lambda why: typer.echo(f"skipped: {why}", err=True),
    )


def export(
    exchange: Annotated[str, typer.Option("--exchange", "-e", metavar="NAME", help="Exchange.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write into, one file per coin.")],
    coins: Annotated[str, typer.Option("--coins", "-s", metavar="all|A,B,…", help="Coins.")] = "all",
    form: Annotated[
        str, typer.Option("--format", help="csv, arrow, or parquet: a candle folder for --candles.")
    ] = "csv",
    begin: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First day.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Last day, whole.")] = None,
    store: StoreOption = None,
) -> None:
    """Write candles of one exchange as files."""
    from passivbot.config.coins import coin_of
    from passivbot.errors import CandleError
    from passivbot.market.export import export as write
    from passivbot.market.quality import market_names
    from passivbot.times import DAY_MS

    opened = _opened(store)
    named = [] if coins == "all" else [coin_of(word) for word in _words(coins)]
    chosen = [coin for _, coin in market_names(opened, [exchange], named)]
    first = None if begin is None else _day(begin, "--from")
    last = None if end is None else _day(end, "--to") + DAY_MS
    if first is not None and last is not None and last <= first:
        raise CandleError(f"--to {end} ends before --from {begin}")
    for path, rows in write(opened, exchange, chosen, form, out, begin_ms=first, end_ms=last):
        typer.echo(f"{path}: {rows:,} candles")
