"""``passivbot data download``: candles and market rules from the exchanges into the store."""

from typing import TYPE_CHECKING, Annotated

import typer

from passivbot.cli.shared import StoreOption

if TYPE_CHECKING:
    from passivbot.market.download.run import Report

_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the command to the group ``data``."""
    app.command("download")(download)


def download(
    exchange: Annotated[
        str | None,
        typer.Option(
            "--exchange",
            "-e",
            metavar="NAME,…",
            help="binance, bybit, okx, bitget, gateio, kucoin, hyperliquid.",
        ),
    ] = None,
    coins: Annotated[
        str | None,
        typer.Option(
            "--coins",
            "-s",
            metavar="COINS",
            help="BTC,ETH; top:50 by turnover of a day; all; or a file of coins, such as approved.json.",
        ),
    ] = None,
    begin: Annotated[
        str,
        typer.Option("--from", metavar="DATE", help="First day, or time. Default: where the store begins."),
    ] = "",
    end: Annotated[
        str, typer.Option("--to", metavar="DATE", help="Last day (month, year), whole; or a time; or now.")
    ] = "now",
    store: StoreOption = None,
    archives: Annotated[
        bool, typer.Option(help="Take published files where there are any, before asking the API.")
    ] = True,
) -> int:
    """Bring candles and market rules from exchanges into the store; only what is missing is fetched.

    Without --exchange and --coins everything in the store is brought up to date. May be stopped at any time
    and started again. Exit code 1: something that was asked for is still missing; it is listed.
    """
    import asyncio
    import time

    from rich.console import Console

    from passivbot.market.download.progress import Display
    from passivbot.market.download.request import parse_request, update_request
    from passivbot.market.download.run import download as run
    from passivbot.market.store import Store

    now_ms = int(time.time() * 1000)
    if exchange is None or coins is None:
        opened = Store.open(store)
        request = update_request(opened, exchange, coins, begin, end, now_ms=now_ms, archives=archives)
    else:
        request = parse_request([exchange], coins, begin, end, now_ms=now_ms, archives=archives)
        opened = Store.open(store, create=True)
    began = time.monotonic()
    try:
        with Display(Console(stderr=True, highlight=False)) as display:
            report = asyncio.run(run(request, opened, display))
    except KeyboardInterrupt:
        typer.echo(
            "stopped; what was fetched is in the store, and the same command goes on from there", err=True
        )
        raise
    _print(report, time.monotonic() - began, str(opened.root))
    return 0 if report.complete else 1


def _print(report: "Report", seconds: float, root: str) -> None:
    from passivbot.times import duration

    changed = f", {report.changed:,} replaced" if report.changed else ""
    markets = "1 market" if report.markets == 1 else f"{report.markets} markets"
    typer.echo(f"{root}: {report.added:,} candles added{changed}; {markets}, {duration(seconds)}")
    for missing in report.missing[:_SHOWN]:
        typer.echo(f"missing: {missing.exchange} {missing.coin} {missing.span}: {missing.why}")
    if len(report.missing) > _SHOWN:
        typer.echo(f"missing: {len(report.missing) - _SHOWN} more stretches")
